"""Frames as they are on the wire, right or wrong (RFC 6455 §5.2). What is checked by it
isn't what it is made of: nothing of the codec is used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

__all__ = ["NAMES", "OPCODES", "Frame", "FrameReader", "Mask", "frame_bytes"]

OPCODES = {
    "continuation": 0,
    "text": 1,
    "binary": 2,
    "close": 8,
    "ping": 9,
    "pong": 10,
}
NAMES = {opcode: name for name, opcode in OPCODES.items()}

Mask = Literal["right", "none", "wrong", "zero"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        opcode: 0 to 15.
        payload: unmasked.
        fin: it is the last of its message.
        rsv: RSV1, RSV2 and RSV3 as 4, 2 and 1.
        masked: it came with a mask.
    """

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    masked: bool = False


def frame_bytes(frame: Frame, *, client: bool, mask: Mask = "right") -> bytes:
    """A frame of a client or a server.

    Args:
        frame: its ``masked`` isn't looked at.
        client: who sends it.
        mask: as it has to be, none, a mask from a server or none from a client
            (``"wrong"``), or one of zeros.
    """
    masked = client if mask in ("right", "zero") else mask == "wrong" and not client
    first = frame.fin << 7 | frame.rsv << 4 | frame.opcode
    size = len(frame.payload)
    bit = masked << 7
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 1 << 16:
        head = bytes([first, bit | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, bit | 127]) + size.to_bytes(8, "big")
    if not masked:
        return head + frame.payload
    key = bytes(4) if mask == "zero" else os.urandom(4)
    return head + key + _mask(frame.payload, key)


class FrameReader:
    """Frames of bytes that come in any pieces."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Those that are complete with this."""
        self._data += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    @property
    def missing(self) -> int:
        """Bytes of the next frame that haven't come, as far as that is known: so many
        belong to it, at least one."""
        data = self._data
        if len(data) < 2:
            return 2 - len(data)
        size, start = self._sizes()
        return start + size - len(data)

    def _sizes(self) -> tuple[int, int]:
        """Of the payload, and of what comes before it."""
        data = self._data
        size, start = data[1] & 0x7F, 2
        if size >= 126:
            start += 2 if size == 126 else 8
            size = int.from_bytes(data[2:start], "big") if len(data) >= start else 0
        return size, start + 4 * (data[1] >> 7)

    @property
    def rest(self) -> bytes:
        """What belongs to a frame that isn't complete."""
        return bytes(self._data)

    def _next(self) -> Frame | None:
        data = self._data
        if len(data) < 2:
            return None
        if self.missing > 0:
            return None
        size, start = self._sizes()
        end = start + size
        masked = bool(data[1] & 0x80)
        payload = bytes(data[start:end])
        if masked:
            payload = _mask(payload, bytes(data[start - 4 : start]))
        frame = Frame(
            data[0] & 0x0F, payload, bool(data[0] & 0x80), data[0] >> 4 & 7, masked
        )
        del data[:end]
        return frame


def _mask(payload: bytes, key: bytes) -> bytes:
    pad = (key * (len(payload) // 4 + 1))[: len(payload)]
    both = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return both.to_bytes(len(payload), "big")
