"""A peer that takes what it is sent, however slowly, gets all of it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from environments import Environment
from slow_reader import Outcome, SlowReader, small_buffers
from tls_peer import Certificates, Files

from pywscore.testing import Frame

pytestmark = pytest.mark.every_environment

MESSAGE = bytes(200_000)
CLOSE_FRAME = bytes([0x88, 0x82, 0, 0, 0, 0]) + (1000).to_bytes(2)
PING = bytes([0x89, 0x80, 0, 0, 0, 0])


def port_of(server: Any) -> int:
    [listening] = server.sockets
    small_buffers(listening)
    return int(listening.getsockname()[1])


async def do_close(ws: Any) -> None:
    await ws.close()


async def do_return(ws: Any) -> None:
    pass


async def do_cancel(ws: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


async def do_shut_down(ws: Any) -> None:
    ws.server.close()
    await ws.wait_closed()


async def do_wait(ws: Any) -> None:
    await ws.wait_closed()


ENDS: dict[str, Callable[[Any], Any]] = {
    "close": do_close,
    "return": do_return,
    "cancel": do_cancel,
    "shutdown": do_shut_down,
    "peer closes": do_wait,
    "peer closes and goes on": do_wait,
    "error": do_wait,
}


async def read_of(
    serve: Any,
    end: str,
    message: bytes = MESSAGE,
    rate: int = 250_000,
    tls: Any = None,
    **options: Any,
) -> tuple[Outcome, Any]:
    """What a slow reader got, and the close code that the server saw."""
    found: list[Any] = []

    async def handler(ws: Any) -> None:
        found.append(ws)
        ws.send_nowait(message)
        await ENDS[end](ws)

    arguments = {"close_timeout": 0.2, "compression": None, "ping_interval": None}
    if tls is not None:
        options["ssl"] = tls.server
    async with serve(handler, "127.0.0.1", 0, **arguments | options) as server:
        reader = SlowReader(port_of(server), rate, tls and tls.client)
        await reader.connect()
        answer = not end.startswith("peer")
        if end == "error":
            reader.send(b"\x83\x80\0\0\0\0")
        elif not answer:
            reader.send(CLOSE_FRAME)
        chatter = PING if end.endswith("goes on") else b""
        outcome = await reader.read(answer=answer, chatter=chatter)
    return outcome, found[0].close_code


@pytest.mark.threat("END-1")
@pytest.mark.parametrize("end", ENDS)
async def test_nothing_is_cut_while_the_peer_reads(serve: Any, end: str) -> None:
    outcome, code = await read_of(serve, end)
    assert [opcode for opcode, _ in outcome.frames] == [2, 8]
    assert outcome.end is None
    assert (code == 1006) == (end == "error")


@pytest.mark.threat("END-1")
@pytest.mark.parametrize("end", ["close", "peer closes", "error"])
async def test_nothing_is_cut_below_tls(
    serve: Any, certificates: Any, end: str
) -> None:
    """asyncio's TLS has a buffer below it, of which nobody is told, and a limit for its
    own end, which is as short as close_timeout here."""
    outcome, _ = await read_of(serve, end, tls=certificates)
    assert [opcode for opcode, _ in outcome.frames] == [2, 8]


@pytest.mark.threat("END-1")
@pytest.mark.parametrize("end", ["close", "peer closes", "error", "shutdown"])
async def test_nothing_is_cut_over_the_engines_tls(
    environment: Environment, serve: Any, tmp_path: Any, end: str
) -> None:
    if environment.carrier == "transport":
        pytest.skip("elsewhere: the engine only")
    files = Files(tmp_path)
    both = Certificates(files.server(), files.python_client())  # type: ignore[arg-type]
    outcome, _ = await read_of(serve, end, tls=both)
    assert [opcode for opcode, _ in outcome.frames] == [2, 8]
    assert outcome.end is None


@pytest.mark.threat("END-1")
async def test_a_client_that_sends_to_a_slow_reader(
    raw_server: Any, accept_response: Any, connect: Any
) -> None:
    message = bytes(3_000_000)
    sizes: list[int] = []

    async def script(peer: Any, head: str) -> None:
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.writer.write(accept_response(head))
        left = 14 + len(message) + 8  # two frames
        while left > 0:
            await asyncio.sleep(0.05)
            left -= len(await peer.reader.read(400_000))
        sizes.append(left)
        peer.send_close()

    async with raw_server(script) as uri:
        ws = await connect(uri, close_timeout=0.2, compression=None)
        ws.send_nowait(message)
        await ws.close()
        assert ws.close_code == 1000
    assert sizes == [0]


@pytest.mark.slow
@pytest.mark.threat("END-1", "DED-4")
@pytest.mark.parametrize("reads", [0, 50_000])
async def test_a_peer_that_stops_reading_is_cut(serve: Any, reads: int) -> None:
    """With output left, after 5 s: less is no proof that nobody reads."""
    started: list[float] = []

    async def handler(ws: Any) -> None:
        ws.send_nowait(MESSAGE)
        started.append(time.monotonic())
        await ws.close()

    async with serve(
        handler, "127.0.0.1", 0, close_timeout=0.2, compression=None
    ) as server:
        reader = SlowReader(port_of(server), 1)
        await reader.connect()
        with reader.sock:
            await asyncio.sleep(0.1)
            for _ in range(reads // 1000):
                await asyncio.to_thread(reader.sock.recv, 1000)
            while server._all:
                await asyncio.sleep(0.05)
            assert 4.9 < time.monotonic() - started[0] < 7


@pytest.mark.threat("END-1", "DED-4")
async def test_a_peer_that_never_answers_sees_an_end(
    serve: Any, raw_client: Any
) -> None:
    async def handler(ws: Any) -> None:
        await ws.close(1001)

    async with serve(handler, "127.0.0.1", 0, close_timeout=0.1) as server:
        async with raw_client(server) as peer:
            assert await peer.close_code() == 1001
            assert await peer.reader.read() == b""  # a FIN, not a reset


@pytest.mark.threat("END-1")
async def test_abort_sends_on_what_the_kernel_has(serve: Any, raw_client: Any) -> None:
    async def handler(ws: Any) -> None:
        await ws.send(b"all")
        ws.transport.abort()

    async with serve(handler, "127.0.0.1", 0) as server, raw_client(server) as peer:
        assert await peer.receive() == Frame(2, b"all")
        assert await peer.reader.read() == b""


@pytest.mark.threat("END-1")
async def test_unread_input_makes_no_reset_of_an_end(
    environment: Environment, serve: Any, raw_client: Any
) -> None:
    async def handler(ws: Any) -> None:
        while not ws.read_paused:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)  # more has come than was read
        ws.send_nowait(b"all")
        ws.transport.close()

    if environment.carrier == "transport":
        pytest.skip("elsewhere: asyncio's transports close without looking")
    async with serve(handler, "127.0.0.1", 0, max_queue=1) as server:
        async with raw_client(server) as peer:
            for _ in range(100):
                peer.send_frame(2, bytes(1000))
            assert await peer.receive() == Frame(2, b"all")
            assert await peer.reader.read() == b""


@pytest.mark.slow
@pytest.mark.threat("END-1")
@pytest.mark.parametrize(
    ("size", "rate"), [(64_000_000, 16_000_000), (200_000, 20_000)]
)
async def test_large_messages_and_slow_readers(
    serve: Any, size: int, rate: int
) -> None:
    outcome, code = await read_of(serve, "close", bytes(size), rate)
    assert outcome.frames == [(2, size), (8, 2)] and code == 1000
