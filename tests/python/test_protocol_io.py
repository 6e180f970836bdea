"""Sockets that take one byte at a time, or none: frames stay whole, nothing spins."""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import Any

import pytest
import wire

import pywscore


class Reluctant(socket.socket):
    """Sends as `turns` says: so many bytes, or the error."""

    turns: Any = None
    calls = 0
    sent = 0

    def accept(self) -> tuple[Reluctant, Any]:
        descriptor, address = self._accept()  # type: ignore[attr-defined]
        accepted = Reluctant(fileno=descriptor)
        accepted.turns = self.turns
        return accepted, address

    def send(self, data: Any, flags: int = 0) -> int:  # type: ignore[override]
        Reluctant.calls += 1
        turn = next(self.turns)
        if isinstance(turn, Exception):
            raise turn
        count = super().send(memoryview(data)[:turn], flags)
        Reluctant.sent += count
        return count

    def sendmsg(self, buffers: Any, *args: Any) -> int:  # type: ignore[override]
        return self.send(next(iter(buffers)))


FAULTS = {
    "one byte": [1],
    "EAGAIN": [3, BlockingIOError()],
    "EINTR": [2, InterruptedError(), 5],
    "all": [1, BlockingIOError(), 70, InterruptedError()],
}


@pytest.mark.parametrize("turns", FAULTS.values(), ids=FAULTS)
@pytest.mark.threat("CTL-8")
def test_writes_that_are_partial(turns: list[Any]) -> None:
    """During the handshake, data, pongs and the close."""

    async def echo(ws: pywscore.Connection) -> None:
        async for message in ws:
            await ws.send(message)

    async def main() -> tuple[bytes, int]:
        Reluctant.calls = Reluctant.sent = 0
        sock = Reluctant(socket.AF_INET, socket.SOCK_STREAM)
        sock.turns = itertools.cycle(turns)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        async with pywscore.serve(echo, sock=sock, carrier="transport"):
            reader, writer = await asyncio.open_connection(*sock.getsockname())
            writer.write(wire.request())
            await reader.readuntil(b"\r\n\r\n")
            for number in range(20):
                writer.write(wire.frame(wire.PING, b"%d" % number, to="server"))
                writer.write(wire.frame(wire.TEXT, b"x" * 150, to="server"))
            writer.write(wire.frame(wire.BINARY, bytes(3000), to="server"))
            data = await reader.readuntil(bytes(3000))
            writer.write(wire.frame(wire.PING, b"last", to="server"))
            writer.write(wire.frame(wire.CLOSE, wire.close_body(3000), to="server"))
            data += await reader.read(-1)
            writer.close()
        return data, Reluctant.calls

    async def bounded() -> tuple[bytes, int]:
        async with asyncio.timeout(30):
            return await main()

    data, calls = asyncio.run(bounded())
    frames = wire.parse(data, "server")
    payloads = {
        opcode: [sent.payload for sent in frames if sent.opcode == opcode]
        for opcode in (wire.TEXT, wire.BINARY, wire.PONG, wire.CLOSE)
    }
    assert payloads[wire.TEXT] == 20 * [b"x" * 150]
    assert payloads[wire.BINARY] == [bytes(3000)]
    assert payloads[wire.PONG][-1] == b"last"
    assert payloads[wire.CLOSE] == [wire.close_body(3000)]
    assert frames[-1].opcode == wire.CLOSE
    # Each wake-up makes progress or waits.
    assert calls <= 3 * Reluctant.sent + 10
