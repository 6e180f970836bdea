"""Server: handlers, limits, the end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from peers import head_of
from waiting import until

import pywscore
from pywscore import ConnectionClosedOK, InvalidStatus, State

pytestmark = pytest.mark.every_environment


async def nothing(ws: Any) -> None:
    await ws.wait_closed()


async def test_three_ways_to_serve(
    serve: Any, connect: Any, uri_of: Any, echo: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        async with connect(uri_of(server)) as ws:
            await ws.send("x")
            assert await ws.recv() == "x"
    server = await serve(echo, "127.0.0.1", 0)
    assert server.is_serving() and server.get_loop() is asyncio.get_running_loop()
    server.close()
    server.close()
    await server.wait_closed()
    assert not server.is_serving() and server.sockets == ()
    server = await serve(echo, "127.0.0.1", 0, start_serving=False)
    assert not server.is_serving()
    forever = asyncio.create_task(server.serve_forever())
    await until(server.is_serving)
    forever.cancel()
    with pytest.raises(asyncio.CancelledError):
        await forever
    assert not server.is_serving()


async def test_serve_forever_returns_when_closed(serve: Any, echo: Any) -> None:
    server = await serve(echo, "127.0.0.1", 0)
    forever = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0)
    server.close()
    done, _ = await asyncio.wait([forever], timeout=5)
    assert done and forever.exception() is None


async def test_preexisting_socket(
    serve: Any, connect: Any, uri_of: Any, echo: Any
) -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    async with serve(echo, sock=sock) as server, connect(uri_of(server)) as ws:
        await ws.send(b"x")
        assert await ws.recv() == b"x"


@pytest.mark.skipif(os.name != "posix", reason="Unix sockets")
async def test_unix_sockets(environment: Any, echo: Any, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with pywscore.unix_serve(echo, path, carrier=environment.carrier):
        async with pywscore.unix_connect(path, carrier=environment.carrier) as ws:
            assert ws.request is not None and ws.request.headers["Host"] == "localhost"
            await ws.send("x")
            assert await ws.recv() == "x"
            assert ws.remote_address == str(path)


async def test_connections(serve: Any, connect: Any, uri_of: Any) -> None:
    async with serve(nothing, "127.0.0.1", 0) as server:
        assert server.connections == set()
        async with connect(uri_of(server)) as one, connect(uri_of(server)):
            await (await one.ping())
            await until(lambda: len(server.connections) == 2)
            assert {ws.state for ws in server.connections} == {State.OPEN}
            assert {ws.server for ws in server.connections} == {server}
        await until(lambda: server.connections == set())


@pytest.mark.threat("LOG-3")
async def test_failing_handler_is_1011_and_one_traceback(
    serve: Any, connect: Any, uri_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(ws: Any) -> None:
        raise LookupError("oops")

    async with serve(handler, "127.0.0.1", 0) as server:
        for _ in range(15):
            async with connect(uri_of(server)) as ws:
                with pytest.raises(pywscore.ConnectionClosedError):
                    await ws.recv()
                assert ws.close_code == 1011
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert 10 <= len(errors) <= 15
    assert all(
        record.exc_info and record.exc_info[0] is LookupError for record in errors
    )


async def test_handler_that_ends_with_its_peer_logs_nothing(
    serve: Any, connect: Any, uri_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def handler(ws: Any) -> None:
        while True:
            await ws.recv()

    async with serve(handler, "127.0.0.1", 0) as server:
        for code in (1000, 4000):
            async with connect(uri_of(server)) as ws:
                await ws.close(code)
        async with connect(uri_of(server)) as ws:
            ws.transport.abort()
        await until(lambda: not server._tasks)
    assert all(record.exc_info is None for record in caplog.records)
    assert [r for r in caplog.records if r.levelno > logging.INFO] == []


async def test_handler_returns(serve: Any, connect: Any, uri_of: Any) -> None:
    async def handler(ws: Any) -> None:
        await ws.send("bye")

    async with serve(handler, "127.0.0.1", 0) as server, connect(uri_of(server)) as ws:
        assert [message async for message in ws] == ["bye"]
        assert ws.close_code == 1000


async def test_handler_that_cancels_itself(
    serve: Any, connect: Any, uri_of: Any
) -> None:
    async def handler(ws: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await ws.recv()

    async with serve(handler, "127.0.0.1", 0) as server, connect(uri_of(server)) as ws:
        await ws.wait_closed()
        assert ws.close_code == 1011


@pytest.mark.threat("DED-7")
async def test_close_says_1001_to_all(serve: Any, connect: Any, uri_of: Any) -> None:
    server = await serve(nothing, "127.0.0.1", 0)
    clients = [await connect(uri_of(server)) for _ in range(20)]
    start = time.monotonic()
    server.close(reason="going home")
    for ws in clients:
        with pytest.raises(ConnectionClosedOK) as info:
            await ws.recv()
        assert info.value.rcvd is not None
        assert (info.value.rcvd.code, info.value.rcvd.reason) == (1001, "going home")
    await server.wait_closed()
    assert time.monotonic() - start < 1
    with pytest.raises(OSError):
        await connect("ws://127.0.0.1:1/")


async def test_what_tasks_send_when_the_server_closes_goes_out(
    serve: Any, connect: Any, uri_of: Any
) -> None:
    async def farewell(ws: Any) -> None:
        await ws.send("bye")

    server = await serve(nothing, "127.0.0.1", 0)
    async with connect(uri_of(server)) as client:
        await (await client.ping())
        [ws] = server.connections
        saying = asyncio.create_task(farewell(ws))
        server.close()
        assert await client.recv() == "bye"
        with pytest.raises(ConnectionClosedOK):
            await client.recv()
        await saying
    await server.wait_closed()


@pytest.mark.threat("DED-7")
async def test_close_with_a_deaf_peer_ends_after_close_timeout(
    serve: Any, raw_client: Any
) -> None:
    async with serve(nothing, "127.0.0.1", 0, close_timeout=0.3) as server:
        async with raw_client(server), raw_client(server, path=None):
            await asyncio.sleep(0.02)
            start = time.monotonic()
            server.close(code=1012)
            await server.wait_closed()
            assert time.monotonic() - start < 1.2


async def test_close_can_leave_connections_alone(
    serve: Any, connect: Any, uri_of: Any, echo: Any
) -> None:
    server = await serve(echo, "127.0.0.1", 0)
    ws = await connect(uri_of(server))
    await (await ws.ping())
    server.close(close_connections=False)
    await ws.send("still there")
    assert await ws.recv() == "still there"
    waiting = asyncio.create_task(server.wait_closed())
    await asyncio.sleep(0.02)
    assert not waiting.done()
    await ws.close()
    await waiting


async def test_requests_while_closing_get_503(
    serve: Any, connect: Any, uri_of: Any
) -> None:
    answer = asyncio.Event()

    async def slow(ws: Any, request: Any) -> None:
        await answer.wait()

    server = await serve(nothing, "127.0.0.1", 0, process_request=slow)
    connecting = asyncio.ensure_future(connect(uri_of(server)).__aenter__())
    await asyncio.sleep(0.05)
    server.close()
    answer.set()
    with pytest.raises(InvalidStatus) as info:
        await connecting
    assert info.value.response.status_code == 503
    await server.wait_closed()


async def test_half_open_connections_get_503_when_closing(
    serve: Any, raw_client: Any
) -> None:
    async with serve(nothing, "127.0.0.1", 0) as server:
        async with raw_client(server, path=None) as peer:
            peer.writer.write(b"GET / HT")
            await asyncio.sleep(0.02)
            server.close()
            assert (await head_of(peer)).startswith("HTTP/1.1 503 ")
            assert "shutting down" in (await peer.reader.read()).decode()


async def test_max_connections_counts_half_open_ones(
    serve: Any, raw_client: Any, connect: Any, uri_of: Any
) -> None:
    async with serve(nothing, "127.0.0.1", 0, max_connections=2) as server:
        async with raw_client(server), raw_client(server, path=None):
            await asyncio.sleep(0.02)
            with pytest.raises(InvalidStatus) as info:
                await connect(uri_of(server))
            assert info.value.response.status_code == 503
            assert info.value.response.headers["Retry-After"] == "1"
            async with raw_client(server, path=None) as silent:
                start = time.monotonic()
                assert (await head_of(silent)).startswith("HTTP/1.1 503 ")
                await silent.reader.read()
                assert time.monotonic() - start < 0.5
        await asyncio.sleep(0.05)
        async with connect(uri_of(server)) as ws:
            assert ws.state is State.OPEN


@pytest.mark.threat("HSK-8")
@pytest.mark.parametrize("dripped", [False, True])
async def test_open_timeout(serve: Any, raw_client: Any, dripped: bool) -> None:
    async with serve(nothing, "127.0.0.1", 0, open_timeout=0.3) as server:
        async with raw_client(server, path=None) as peer:
            start = time.monotonic()

            async def drip() -> None:
                for byte in b"GET / HTTP/1.1\r\nHost: " + b"x" * 1000:
                    peer.writer.write(bytes([byte]))
                    await asyncio.sleep(0.01)

            task = asyncio.create_task(drip()) if dripped else None
            try:
                assert await peer.reader.read() == b""
            except OSError:
                pass
            assert 0.25 < time.monotonic() - start < 0.8
            if task is not None:
                task.cancel()


@pytest.mark.threat("HSK-8")
async def test_open_timeout_includes_process_request(
    serve: Any, connect: Any, uri_of: Any
) -> None:
    cancelled = asyncio.Event()

    async def slow(ws: Any, request: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with serve(
        nothing, "127.0.0.1", 0, open_timeout=0.2, process_request=slow
    ) as server:
        with pytest.raises((pywscore.InvalidMessage, OSError)):
            await connect(uri_of(server))
        await asyncio.wait_for(cancelled.wait(), 1)


async def test_create_connection(serve: Any, connect: Any, uri_of: Any) -> None:
    class Mine(pywscore.ServerConnection):
        greeting = "hello"

    async def handler(ws: Mine) -> None:
        await ws.send(ws.greeting)

    async with serve(handler, "127.0.0.1", 0, create_connection=Mine) as server:
        async with connect(uri_of(server)) as ws:
            assert await ws.recv() == "hello"


@pytest.mark.threat("LOG-1")
async def test_a_thousand_hostile_connections_are_a_few_lines(
    serve: Any, raw_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serve(nothing, "127.0.0.1", 0, close_timeout=1) as server:
        for _ in range(10):
            async with raw_client(server, path=None) as peer:
                peer.writer.write(b"\x16\x03\x01\x02\x00\x01" + b"\0" * 100)
                await peer.reader.read()
            async with raw_client(server) as peer:
                peer.send_frame(3, b"\x1b[2J")
                assert await peer.close_code() == 1002
    lines = [record for record in caplog.records if "fail" in record.getMessage()]
    assert 1 <= len(lines) <= 20
    for record in lines:
        assert record.levelno == logging.INFO and record.exc_info is None
        assert len(record.getMessage()) < 250 and record.getMessage().isprintable()
