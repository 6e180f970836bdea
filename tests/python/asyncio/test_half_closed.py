"""Clients that end their side right after a request: ``nc -N``, HTTP probes."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from slow_reader import REQUEST

import pywscore

pytestmark = pytest.mark.every_environment

PLAIN = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def sync_hook(ws: Any, request: Any) -> Any:
    return ws.respond(200, "OK\n") if "Upgrade" not in request.headers else None


async def async_hook(ws: Any, request: Any) -> Any:
    await asyncio.sleep(0.001)
    return sync_hook(ws, request)


async def response_hook(ws: Any, request: Any, response: Any) -> None:
    await asyncio.sleep(0.001)


HOOKS: dict[str, dict[str, Any]] = {
    "none": {},
    "sync": {"process_request": sync_hook},
    "async": {"process_request": async_hook},
    "response": {"process_response": response_hook},
}


def probe(port: int, request: bytes, late: bool = False) -> bytes:
    """All that comes back; an exception if it ends with a reset."""
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(request)
        if late:
            time.sleep(0.002)
        sock.shutdown(socket.SHUT_WR)
        got = b""
        while piece := sock.recv(4096):
            got += piece
        return got


async def waiting(ws: Any) -> None:
    await ws.wait_closed()


@pytest.mark.threat("END-2")
@pytest.mark.parametrize("hook", HOOKS)
async def test_a_request_is_answered_every_time(serve: Any, hook: str) -> None:
    closes: list[Any] = []

    async def handler(ws: Any) -> None:
        await ws.wait_closed()
        closes.append(ws.close_code)

    status = {"sync": b"200", "async": b"200"}.get(hook, b"426")

    def probe_all(port: int) -> None:
        for number in range(250):
            late = number % 10 == 0
            assert probe(port, PLAIN, late).startswith(b"HTTP/1.1 " + status)
            assert probe(port, REQUEST, late).startswith(b"HTTP/1.1 101")

    async with serve(handler, "127.0.0.1", 0, **HOOKS[hook]) as server:
        port = server.sockets[0].getsockname()[1]
        start = time.monotonic()
        await asyncio.to_thread(probe_all, port)
        server.close()
        await server.wait_closed()
        assert time.monotonic() - start < 9  # no close_timeout is waited for
    assert closes == [1006] * 250


@pytest.mark.threat("END-2")
async def test_frames_behind_the_request_are_received(serve: Any) -> None:
    received: list[Any] = []

    async def handler(ws: Any) -> None:
        try:
            while True:
                received.append(await ws.recv())
        except pywscore.ConnectionClosedError:
            received.append(ws.close_code)

    frames = b"\x81\x82\0\0\0\0hi" * 2
    for hook in HOOKS.values():
        async with serve(handler, "127.0.0.1", 0, **hook) as server:
            port = server.sockets[0].getsockname()[1]
            answer = await asyncio.to_thread(probe, port, REQUEST + frames)
            assert answer.startswith(b"HTTP/1.1 101")
    assert received == ["hi", "hi", 1006] * len(HOOKS)


@pytest.mark.threat("END-2", "HSK-8")
async def test_a_hook_has_its_time_and_no_more(serve: Any) -> None:
    async def hanging(ws: Any, request: Any) -> None:
        await asyncio.sleep(60)

    async with serve(
        waiting, "127.0.0.1", 0, process_request=hanging, open_timeout=0.3
    ) as server:
        port = server.sockets[0].getsockname()[1]
        start = time.monotonic()
        assert await asyncio.to_thread(probe, port, PLAIN) == b""
        assert 0.25 < time.monotonic() - start < 1
        while server._all or server._tasks:
            await asyncio.sleep(0.01)


@pytest.mark.threat("END-2")
async def test_who_waits_for_the_end_hears_of_it(serve: Any) -> None:
    before: list[bool] = []

    async def hook(ws: Any, request: Any) -> None:
        await asyncio.sleep(0 if before else 0.1)  # the end comes first, or later
        await ws.wait_closed()
        before.append(True)

    async with serve(waiting, "127.0.0.1", 0, process_request=hook) as server:
        port = server.sockets[0].getsockname()[1]
        for _ in range(2):
            assert await asyncio.to_thread(probe, port, PLAIN, late=True) == b""
    assert before == [True] * 2


@pytest.mark.threat("END-2")
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:"])
async def test_a_silent_client_is_ended_by_a_fin(serve: Any, sent: bytes) -> None:
    async with serve(waiting, "127.0.0.1", 0, open_timeout=0.1) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        assert await reader.read() == b""  # a reset would raise
        writer.close()


@pytest.mark.threat("END-2")
async def test_half_a_request_is_the_end(serve: Any) -> None:
    async with serve(waiting, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        start = time.monotonic()
        assert await asyncio.to_thread(probe, port, PLAIN[:-2]) == b""
        assert time.monotonic() - start < 1
