"""The transport of an end in memory."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from ._faults import Direction

__all__ = ["MemoryTransport"]

# As of asyncio's own.
HIGH_WATER = 64 * 1024
# What an end takes before its protocol reads, as TCP does.
RECEIVE_BUFFER = 4 * 1024


@dataclass(slots=True)
class Arriving:
    """What has come over the link and the protocol hasn't got."""

    pieces: deque[bytes | str] = field(default_factory=deque)
    size: int = 0


class MemoryTransport(asyncio.Transport):
    """One end. What is written is at the other end in a later step of the loop."""

    peer: MemoryTransport

    def __init__(
        self, loop: asyncio.AbstractEventLoop, way: Direction, name: tuple[str, int]
    ) -> None:
        super().__init__()
        self._loop = loop
        self._thread = threading.get_ident()
        self._way = way
        self._name = name
        self._protocol: asyncio.BaseProtocol | None = None
        self._arriving = Arriving()
        self._reading = True
        self._closing = False
        self._lost = False
        self._eof_sent = False
        self._write_paused = False
        self._high, self._low = HIGH_WATER, HIGH_WATER // 4
        self._delivering = False
        self.stalled = False

    def connect(self, protocol: asyncio.BaseProtocol) -> None:
        """Give it a protocol, which is told."""
        self._protocol = protocol
        protocol.connection_made(self)
        self.deliver_soon()

    # asyncio.Transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "sockname":
            return self._name
        if name == "peername":
            return self.peer._name
        return default

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._check_thread()
        self._reading = False

    def resume_reading(self) -> None:
        self._check_thread()
        self._reading = True
        self.deliver_soon()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._check_thread()
        if self._closing or self._eof_sent or not data:
            return
        pieces, what = self._way.carry(bytes(data))
        self.peer.arrive(pieces)
        if what == "end":
            self.peer.arrive(["end"])
        elif what == "reset":
            self.peer.arrive(["reset"])
            self._loop.call_soon(self.reset)
        self._check_room()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._check_thread()
        if not self._eof_sent and not self._closing:
            self._eof_sent = True
            self.peer.arrive(["end"])

    def get_write_buffer_size(self) -> int:
        return self.peer._untaken()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        self._high = HIGH_WATER if high is None else high
        self._low = self._high // 4 if low is None else low

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._check_thread()
        if not self._closing:
            self.write_eof()
            self._closing = True
            self._lose_when_taken()

    def abort(self) -> None:
        self._check_thread()
        if not self._lost:
            self._closing = True
            self.peer.arrive(["reset"])
            self._loop.call_soon(self._lose, None)

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise RuntimeError(
                "a connection is used in the thread of its event loop only"
            )

    # The other end, and the link

    def reset(self) -> None:
        self._closing = True
        self._lose(ConnectionResetError("reset by the link"))

    def arrive(self, pieces: Iterable[bytes | str]) -> None:
        arriving = self._arriving
        for piece in pieces:
            if self._lost and isinstance(piece, bytes):
                self.peer.arrive(["reset"])  # as TCP answers where nobody is
                return
            arriving.pieces.append(piece)
            arriving.size += len(piece) if isinstance(piece, bytes) else 0
        self.deliver_soon()

    def deliver_soon(self) -> None:
        """At the end of the delay, and one piece in each step of the loop."""
        if not self._delivering and self._arriving.pieces and not self._lost:
            self._delivering = True
            delay = self.peer._way._faults.delay
            if delay:
                self._loop.call_later(delay, self._deliver)
            else:
                self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivering = False
        arriving = self._arriving
        if self._lost or self.stalled or not arriving.pieces:
            return
        if not self._reading and arriving.pieces[0] != "reset":
            return
        piece = arriving.pieces.popleft()
        if piece == "reset":
            self.reset()
            return
        if piece == "end":
            if not self._closing:
                keeps = cast(asyncio.Protocol, self._protocol).eof_received()
                if not keeps:
                    self.close()
        else:
            assert isinstance(piece, bytes)
            arriving.size -= len(piece)
            if not self._closing:
                self._receive(piece)
        self.peer._check_room()
        self.deliver_soon()

    def _receive(self, data: bytes) -> None:
        protocol = self._protocol
        if not isinstance(protocol, asyncio.BufferedProtocol):
            cast(asyncio.Protocol, protocol).data_received(data)
            return
        rest = memoryview(data)
        while rest and not self._lost:
            buffer = memoryview(cast(Any, protocol.get_buffer(len(rest))))
            size = min(len(rest), len(buffer))
            buffer[:size] = rest[:size]
            protocol.buffer_updated(size)
            rest = rest[size:]

    def _untaken(self) -> int:
        """Bytes that TCP wouldn't have acknowledged here."""
        size = self._arriving.size
        return size if self.stalled else max(size - RECEIVE_BUFFER, 0)

    def _lose_when_taken(self) -> None:
        if self.get_write_buffer_size() == 0:
            self._loop.call_soon(self._lose, None)

    def _check_room(self) -> None:
        if self._lost or self._protocol is None:
            return
        if self._closing:
            self._lose_when_taken()
            return
        size = self.get_write_buffer_size()
        if not self._write_paused and size > self._high:
            self._write_paused = True
            self._protocol.pause_writing()
        elif self._write_paused and size <= self._low:
            self._write_paused = False
            self._protocol.resume_writing()

    def _lose(self, exc: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        self._arriving = Arriving()
        self.peer._check_room()
        if self._protocol is not None:
            self._protocol.connection_lost(exc)
