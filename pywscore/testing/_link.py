"""Two transports joined in memory, and what can go wrong between them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

__all__ = ["DEFAULTS", "FaultyLink", "Faults", "Split", "joined"]

Split = Literal["whole", "bytes", "random"]

# Of a MemoryTransport, as of asyncio's own.
HIGH_WATER = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What happens to the bytes in one direction. Offsets count the bytes sent in that
    direction from the beginning, the opening handshake included.

    Attributes:
        split: ``"whole"`` as they were written, ``"bytes"`` one by one, ``"random"`` in
            random pieces. None: as pytest's ``--ws-split`` says, else whole.
        delay: seconds that each piece takes.
        drop: ranges of offsets, as ``(first, last + 1)``, of bytes that get lost.
        duplicate: ranges of offsets of bytes that come twice.
        end_at: the offset at which this direction ends, as by a half-close; what is
            sent after it gets lost.
        reset_at: the offset at which the connection is reset, for both ends.
    """

    split: Split | None = None
    delay: float = 0.0
    drop: Sequence[tuple[int, int]] = ()
    duplicate: Sequence[tuple[int, int]] = ()
    end_at: int | None = None
    reset_at: int | None = None

    def __post_init__(self) -> None:
        if self.split not in (None, "whole", "bytes", "random"):
            raise ValueError("split must be 'whole', 'bytes' or 'random'")
        if not self.delay >= 0:
            raise ValueError("delay must not be negative")


@dataclass(slots=True)
class Defaults:
    """What pytest was told."""

    split: Split = "whole"
    seed: int | None = None


DEFAULTS = Defaults()


class Direction:
    """One way of a link.

    Attributes:
        data: all that was sent, before anything happened to it.
    """

    def __init__(
        self,
        sender: str,
        faults: Faults,
        choose: random.Random,
        log: list[tuple[str, bytes]],
    ) -> None:
        self.data = bytearray()
        self._sender = sender
        self._log = log
        self._faults = faults
        self._random = choose
        self._ended = False

    def carry(self, data: bytes) -> tuple[list[bytes], str | None]:
        """The pieces that arrive, and after them ``"end"`` or ``"reset"``."""
        start = len(self.data)
        self.data += data
        self._log.append((self._sender, data))
        if self._ended:
            return [], None
        what = None
        for name, offset in (
            ("end", self._faults.end_at),
            ("reset", self._faults.reset_at),
        ):
            if offset is not None and start + len(data) >= offset:
                data = data[: max(offset - start, 0)]
                what = name
                self._ended = True
        return list(self._split(self._spoil(start, data))), what

    def _spoil(self, start: int, data: bytes) -> bytes:
        if not (self._faults.drop or self._faults.duplicate):
            return data
        out = bytearray()
        for index, byte in enumerate(data, start):
            if not _within(index, self._faults.drop):
                out.append(byte)
            for first, end in self._faults.duplicate:
                if index == end - 1:
                    out += self.data[first:end]
        return bytes(out)

    def _split(self, data: bytes) -> Iterator[bytes]:
        how = self._faults.split or DEFAULTS.split
        if how == "whole":
            if data:
                yield data
            return
        start = 0
        while start < len(data):
            size = 1
            if how == "random":
                size = self._random.choice((1, 1, 2, 3, 7, 50, 1000))
            yield data[start : start + size]
            start += size


def _within(index: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(first <= index < end for first, end in ranges)


class FaultyLink:
    """What joins a client and a server in memory.

    Args:
        to_server: faults of what the client sends; none by default.
        to_client: faults of what the server sends.
        seed: of what is random; shown by ``repr()``. A random one by default.

    Attributes:
        seed: what to give to have the same again.
    """

    def __init__(
        self,
        to_server: Faults | None = None,
        to_client: Faults | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        seed = DEFAULTS.seed if seed is None else seed
        self.seed = random.getrandbits(32) if seed is None else seed
        choose = random.Random(self.seed)
        self._log: list[tuple[str, bytes]] = []  # who sent what
        self._to_server = Direction("client", to_server or Faults(), choose, self._log)
        self._to_client = Direction("server", to_client or Faults(), choose, self._log)
        self._client: MemoryTransport | None = None
        self._server: MemoryTransport | None = None

    def __repr__(self) -> str:
        return f"<FaultyLink seed={self.seed}>"

    @property
    def sent_to_server(self) -> bytes:
        """All that the client has sent."""
        return bytes(self._to_server.data)

    @property
    def sent_to_client(self) -> bytes:
        """All that the server has sent."""
        return bytes(self._to_client.data)

    def reset(self) -> None:
        """Both ends see a ConnectionResetError."""
        for end in self._ends():
            end.reset()

    def stall(self) -> None:
        """Nothing arrives any more, until ``resume()``."""
        for end in self._ends():
            end.stalled = True

    def resume(self) -> None:
        """What was held up arrives, and all that follows."""
        for end in self._ends():
            end.stalled = False
            end.deliver_soon()

    def _ends(self) -> list[MemoryTransport]:
        return [end for end in (self._client, self._server) if end is not None]


def joined(link: FaultyLink) -> tuple[MemoryTransport, MemoryTransport]:
    """The client's transport and the server's.

    Raises:
        RuntimeError: if the link has been used.
    """
    if link._client is not None:
        raise RuntimeError("a link joins two ends once")
    loop = asyncio.get_running_loop()
    client = MemoryTransport(loop, link._to_server, ("memory-client", 0))
    server = MemoryTransport(loop, link._to_client, ("memory-server", 0))
    client.peer, server.peer = server, client
    link._client, link._server = client, server
    return client, server


@dataclass(slots=True)
class Arriving:
    """What has come over the link and the protocol hasn't got."""

    pieces: list[bytes | str] = field(default_factory=list)
    size: int = 0


class MemoryTransport(asyncio.Transport):
    """One end. What is written is at the other end in a later step of the loop."""

    peer: MemoryTransport

    def __init__(
        self, loop: asyncio.AbstractEventLoop, way: Direction, name: tuple[str, int]
    ) -> None:
        super().__init__()
        self._loop = loop
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
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self.deliver_soon()

    def write(self, data: bytes | bytearray | memoryview) -> None:
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
        if not self._eof_sent and not self._closing:
            self._eof_sent = True
            self.peer.arrive(["end"])

    def get_write_buffer_size(self) -> int:
        return self.peer._arriving.size

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
        if not self._closing:
            self.write_eof()
            self._closing = True
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        if not self._lost:
            self._closing = True
            self.peer.arrive(["reset"])
            self._loop.call_soon(self._lose, None)

    # The other end, and the link

    def reset(self) -> None:
        self._closing = True
        self._lose(ConnectionResetError("reset by the link"))

    def arrive(self, pieces: Iterable[bytes | str]) -> None:
        arriving = self._arriving
        for piece in pieces:
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
        piece = arriving.pieces.pop(0)
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

    def _check_room(self) -> None:
        if self._lost or self._protocol is None:
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
        if self._protocol is not None:
            self._protocol.connection_lost(exc)
