"""What uvicorn's HTTP protocols know of a request and don't hand over.

Checked with uvicorn 0.54 and its httptools, h11 and zttp classes. Names that aren't
public are used in this file only; where one is missing, nothing is found and all else
works.
"""

from __future__ import annotations

import asyncio
import sys
from types import FrameType
from typing import Any, cast

MAX_HEAD = 65536
"""Bytes of a request's head; what uvicorn's h11 class takes at most."""


def with_version(head: bytes, carrier: Any) -> bytes:
    """The head with the HTTP version that the request had: it always says 1.1.

    Args:
        head: what the HTTP protocol put together.
        carrier: the HTTP protocol.
    """
    scope = getattr(carrier, "scope", None) or {}
    version = scope.get("http_version", "1.1")
    if version == "1.1":
        return head
    line, end, rest = head.partition(b" HTTP/1.1\r\n")
    return line + end.replace(b"1.1", version.encode()) + rest


def bytes_after_head(carrier: Any) -> bytes:
    """Frames that came in the same packet as the request.

    h11 keeps them. httptools tells where they begin in the exception that is being
    handled while uvicorn hands over; the packet is in the frame that caught it. zttp
    tells nothing: its packet is in a caller's frame, and is searched.

    Args:
        carrier: the HTTP protocol.
    """
    kept = getattr(getattr(carrier, "conn", None), "trailing_data", None)
    if kept is not None:
        return bytes(kept[0])
    exc = sys.exc_info()[1]
    if exc is not None and type(exc).__name__ == "HttpParserUpgrade":
        offset = exc.args[0] if exc.args else None
        frame = None if exc.__traceback__ is None else exc.__traceback__.tb_frame
        packet = _packet_in(frame, carrier)
        return packet[offset:] if isinstance(offset, int) else b""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "handle_websocket_upgrade":
        frame = frame.f_back
    while frame is not None:
        packet = _packet_in(frame, carrier)
        if packet:
            return packet[_end_of_head(packet) :]
        frame = frame.f_back
    return b""


def _packet_in(frame: FrameType | None, carrier: Any) -> bytes:
    if frame is None or frame.f_code.co_name != "data_received":
        return b""
    names = frame.f_locals
    packet = names.get("data") if names.get("self") is carrier else None
    return packet if isinstance(packet, bytes) else b""


def _end_of_head(packet: bytes) -> int:
    # The packet may begin within the empty line that ends the head. What follows can't
    # be taken for a header line: a frame's first byte is no character of a name.
    end = b"\r\n\r\n"
    for length in (4, 3, 2, 1):
        after = packet[length : length + 1]
        if packet.startswith(end[-length:]) and not b"!" <= after <= b"~":
            return length
    return packet.find(end) + len(end) if end in packet else len(packet)


class _CompleteTransport:
    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def abort(self) -> None:
        self._transport.close()


def complete(transport: asyncio.BaseTransport) -> asyncio.Transport:
    """The transport, with stand-ins for what test doubles of transports leave out."""
    if not hasattr(transport, "set_write_buffer_limits"):
        return cast(asyncio.Transport, _CompleteTransport(transport))
    return cast(asyncio.Transport, transport)
