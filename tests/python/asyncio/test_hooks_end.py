"""What is done for a connection ends with it, and has its place until then."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from waiting import until

from pywscore import Response
from pywscore.asyncio import ServerConnection

pytestmark = pytest.mark.threat("HLF-1")

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


async def handler(ws: ServerConnection) -> None:
    await ws.wait_closed()


class Hook:
    """Hangs; ``lingers``: also when it is cancelled, until it is let go."""

    def __init__(self, lingers: bool = False) -> None:
        self.running = 0
        self.lingers = lingers
        self.let_go = asyncio.Event()

    async def __call__(self, ws: ServerConnection, *args: Any) -> None:
        self.running += 1
        try:
            await asyncio.sleep(3600)
        finally:
            if self.lingers:
                await self.let_go.wait()
            self.running -= 1

    async def until(self, running: int) -> None:
        async with asyncio.timeout(5):
            while self.running != running:
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def leaving(server: Any) -> AsyncIterator[asyncio.StreamReader]:
    """A client that asks, and leaves at the end."""
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    try:
        yield reader
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("name", ["process_request", "process_response"])
async def test_hook_ends_with_its_client(serve: Any, name: str) -> None:
    hook = Hook()
    hooks = {name: hook}
    async with serve(
        handler,
        "127.0.0.1",
        0,
        max_connections=2,
        open_timeout=None,
        close_timeout=0.1,  # it may have ended its side alone
        **hooks,
    ) as server:
        for _ in range(5):
            async with leaving(server):
                await hook.until(1)
            await hook.until(0)
        await until(lambda: not server._all)
        # All places are free again.
        async with leaving(server), leaving(server):
            await hook.until(2)
        await hook.until(0)
    assert server._places._taken == 0


async def test_hook_of_a_client_that_stays(serve: Any) -> None:
    hook = Hook()
    async with serve(
        handler, "127.0.0.1", 0, process_request=hook, open_timeout=0.1
    ) as server:
        async with leaving(server) as reader:
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        await hook.until(0)


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
async def test_hook_that_does_not_end_has_a_place(serve: Any, limit: str) -> None:
    hook = Hook(lingers=True)
    # It may have ended its side alone.
    options = {limit: 1, "open_timeout": 0.5}
    async with serve(
        handler, "127.0.0.1", 0, process_request=hook, **options
    ) as server:
        async with leaving(server):
            await hook.until(1)
        await until(lambda: not server._all)
        async with leaving(server) as reader:
            assert b" 503 " in await reader.readline()
        hook.let_go.set()
        await hook.until(0)
        await until(lambda: not server._tasks)
        async with leaving(server):
            await hook.until(1)


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
async def test_handler_has_a_place_until_it_returns(serve: Any, limit: str) -> None:
    """It learns of the loss, and isn't cancelled."""
    go_on = asyncio.Event()
    ended = []

    async def busy(ws: ServerConnection) -> None:
        try:
            await ws.wait_closed()
            await go_on.wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        ended.append("returned")

    limits = {limit: 1}
    async with serve(busy, "127.0.0.1", 0, **limits) as server:
        async with leaving(server) as reader:
            assert b" 101 " in await reader.readline()
        await until(lambda: not server._all)
        async with leaving(server) as reader:
            assert b" 503 " in await reader.readline()
        go_on.set()
        await until(lambda: not server._tasks)
        async with leaving(server) as reader:
            assert b" 101 " in await reader.readline()
    assert ended == ["returned", "returned"]
    assert server._places._taken == 0


async def test_hook_that_waits_for_the_end_goes_on(serve: Any) -> None:
    noted = []

    async def noting(ws: ServerConnection, request: Any) -> None:
        await ws.wait_closed()
        await asyncio.sleep(0.01)
        noted.append(ws.close_code)
        await asyncio.sleep(3600)

    async with serve(
        handler, "127.0.0.1", 0, process_request=noting, open_timeout=None
    ) as server:
        async with leaving(server):
            await until(lambda: bool(server._tasks))
        await until(lambda: not server._tasks)
    assert noted == [1006]


# --- answers ---


def answers() -> dict[str, Any]:
    def fails(*args: Any) -> Any:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        return future

    def leaves(*args: Any) -> Any:
        raise GeneratorExit

    class Odd(Response):
        headers = property(lambda self: 1 / 0, lambda self, value: None)  # type: ignore[assignment]

    return {
        "status": lambda *args: Response(99),
        "informational": lambda *args: Response(100, "Continue"),
        "no number": lambda *args: Response("200"),  # type: ignore[arg-type]
        "body": lambda *args: Response(200, "OK", body=5),  # type: ignore[arg-type]
        "phrase": lambda *args: Response(200, "a\r\nb"),
        "phrase of another type": lambda *args: Response(200, 5),  # type: ignore[arg-type]
        "no headers": lambda *args: Response(200, "OK", None),  # type: ignore[arg-type]
        "headers": lambda *args: Response(200, "OK", {"a b": "c"}),  # type: ignore[arg-type]
        "properties": lambda *args: Odd(200),
        "another type": lambda *args: "200",
        "101": lambda *args: Response(101, "Switching Protocols"),
        "cancelled": fails,
        "no Exception": leaves,
    }


@pytest.mark.parametrize("name", ["process_request", "process_response"])
@pytest.mark.parametrize("what", answers())
async def test_answer_that_cannot_be_sent(
    serve: Any, caplog: Any, name: str, what: str
) -> None:
    hooks = {name: answers()[what]}
    async with serve(handler, "127.0.0.1", 0, close_timeout=1, **hooks) as server:
        async with leaving(server) as reader:
            assert b" 500 " in await reader.readline()
            await reader.read()
        await until(lambda: not server._tasks)
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


async def test_a_101_is_the_servers(serve: Any) -> None:
    """A hook may add to it, and not make one of a refusal."""

    def adds(ws: Any, request: Any, response: Response) -> Response:
        response.headers["X-Added"] = "yes"
        return response

    def takes_away(ws: Any, request: Any, response: Response) -> None:
        del response.headers["Sec-WebSocket-Accept"]

    def accepts(ws: Any, request: Any, response: Response) -> None:
        response.status_code = 101

    for hook, origins, status in (
        (adds, None, b" 101 "),
        (takes_away, None, b" 500 "),
        (accepts, ["https://a.example"], b" 500 "),
    ):
        async with serve(
            handler, "127.0.0.1", 0, process_response=hook, origins=origins
        ) as server:
            async with leaving(server) as reader:
                head = await reader.readuntil(b"\r\n\r\n")
                assert status in head
                assert (b"X-Added: yes" in head) is (hook is adds)


# --- TLS that isn't agreed on ---


@pytest.mark.threat("OVL-2")
@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
async def test_half_open_tls_has_a_place(
    serve: Any, certificates: Any, limit: str
) -> None:
    limits = {limit: 2}
    async with serve(
        handler, "127.0.0.1", 0, ssl=certificates.server, open_timeout=10, **limits
    ) as server:
        port = server.sockets[0].getsockname()[1]
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
        ended = [asyncio.create_task(reader.read()) for reader, _ in silent]
        done, pending = await asyncio.wait(ended, timeout=1.5)
        assert (len(done), len(pending)) == (4, 2)
        for _, writer in silent:
            writer.transport.abort()
        await asyncio.wait(ended)
        for task in ended:
            task.exception()
        await until(lambda: server._places._taken == 0)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=certificates.client
        )
        writer.write(REQUEST)
        assert b" 101 " in await reader.readline()
        writer.transport.abort()
    assert server._places._taken == 0


@pytest.mark.threat("OVL-2")
async def test_half_open_tls_ends_with_the_server(
    serve: Any, certificates: Any
) -> None:
    async with serve(
        handler, "127.0.0.1", 0, ssl=certificates.server, open_timeout=None
    ) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: server._places._taken == 1)
        server.close()
        async with asyncio.timeout(2):
            await server.wait_closed()
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()
    assert server._places._taken == 0


@pytest.mark.threat("HLF-1")
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
async def test_tls_server_closed_at_any_step(serve: Any, certificates: Any) -> None:
    """Nothing is closed that the loop still watches, and all places are free."""

    async def visit(port: int) -> None:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=certificates.client
            )
            await reader.read()
            writer.close()

    for steps in range(16):
        before = len(os.listdir("/proc/self/fd"))
        # The engine's are in test_end_at_every_step_of_the_handshake.
        async with serve(
            *(handler, "127.0.0.1", 0),
            ssl=certificates.server,
            max_connections=2,
            carrier="transport",
        ) as server:
            port = server.sockets[0].getsockname()[1]
            silent = socket.create_connection(("127.0.0.1", port))
            visiting = asyncio.create_task(visit(port))
            for _ in range(steps):
                await asyncio.sleep(0)
            server.close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            await asyncio.wait_for(server.wait_closed(), 5)
            assert (len(server._all), server._places._taken) == (0, 0)
            silent.close()
            await visiting
        # An engine has come.
        await until(lambda: len(os.listdir("/proc/self/fd")) <= before + 1)  # noqa: B023


# --- behind another's fragments ---


@pytest.mark.parametrize("message", ["text", ["frag", "ments"]])
@pytest.mark.parametrize("end", ["abort", "peer", "close"])
async def test_send_behind_an_iterator_that_never_goes_on(
    pair: Any, message: Any, end: str
) -> None:
    async def never() -> AsyncIterator[str]:
        yield "first"
        await asyncio.sleep(3600)

    async with pair() as both:
        first = asyncio.create_task(both.server.send(never()))
        assert await anext(both.client.recv_streaming()) == "first"
        second = asyncio.create_task(both.server.send(message))
        await asyncio.sleep(0.01)
        match end:
            case "abort":
                both.server.transport.abort()
            case "peer":
                both.client.transport.abort()
            case "close":
                await both.server.close()
        with pytest.raises(Exception) as raised:
            async with asyncio.timeout(5):
                await second
        assert type(raised.value).__name__ == "ConnectionClosedError"
        assert not first.done()  # it is the application's
        first.cancel()
        await asyncio.wait([first])
