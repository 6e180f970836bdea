"""Each call that can fail fails once, and all is where it was: HLF-1.

Sockets, tasks, places, what listens. The other end is bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
from waiting import until

import pywscore
from pywscore import _core
from pywscore.asyncio import ClientConnection, ServerConnection
from pywscore.asyncio import _attending as server_module
from pywscore.asyncio import _engine as engine
from pywscore.asyncio._places import Places

pytestmark = [
    pytest.mark.threat("HLF-1"),
    pytest.mark.skipif(sys.platform != "linux", reason="/proc"),
]

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


class Purpose(Exception):
    """Raised on purpose."""


class Once:
    """In the place of a function: fails when it is called for the first time."""

    def __init__(self, function: Callable[..., Any], exception: BaseException) -> None:
        self.function = function
        self.exception: BaseException | None = exception

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.exception is not None:
            exception, self.exception = self.exception, None
            raise exception
        return self.function(*args, **kwargs)


def replace(
    monkeypatch: Any, owner: Any, name: str, exception: BaseException | None = None
) -> Once:
    once = Once(getattr(owner, name), exception or Purpose())

    def method(*args: Any, **kwargs: Any) -> Any:
        return once(*args, **kwargs)

    monkeypatch.setattr(owner, name, method)
    return once


@contextlib.contextmanager
def reported() -> Any:
    """What the loop's exception handler gets is expected here."""
    loop = asyncio.get_running_loop()
    before, seen = loop.get_exception_handler(), []
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
    try:
        yield seen
    finally:
        loop.set_exception_handler(before)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def ask(server: Any) -> bytes:
    """The first line of the answer; empty when TCP ends without one."""
    with contextlib.suppress(ConnectionResetError):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        with contextlib.closing(writer.transport):
            writer.write(REQUEST)
            line = await reader.readline()
            if b" 101 " not in line:
                await asyncio.wait_for(reader.read(), 5)
            writer.transport.abort()
            return line
    return b""


async def settled(server: Any) -> None:
    await until(lambda: not (server._all or server._tasks or server._places._taken))
    assert server._places._taken_from == {}


async def handler(ws: ServerConnection) -> None:
    await ws.wait_closed()


LIMITS = {"max_connections": 2, "max_connections_per_address": 2, "open_timeout": 0.3}


# --- connections that can't begin ---


class Early(ServerConnection):
    def connection_made(self, transport: Any) -> None:
        if Early.failing:
            raise Purpose
        super().connection_made(transport)

    failing = True


class Late(ServerConnection):
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if Late.failing:
            raise Purpose

    failing = True


def refuses(*args: Any, **kwargs: Any) -> Any:
    if refuses.failing:  # type: ignore[attr-defined]
        raise Purpose
    return ServerConnection(*args, **kwargs)


def makes_nothing(*args: Any, **kwargs: Any) -> Any:
    if makes_nothing.failing:  # type: ignore[attr-defined]
        return None
    return ServerConnection(*args, **kwargs)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("factory", [Early, Late, refuses, makes_nothing])
async def test_connection_that_cannot_begin(
    serve: Any, certificates: Any, factory: Any, secure: bool
) -> None:
    factory.failing = True
    ssl = certificates.server if secure else None
    async with serve(
        handler, "127.0.0.1", 0, create_connection=factory, ssl=ssl, **LIMITS
    ) as server:
        host, port = server.sockets[0].getsockname()
        context = certificates.client if secure else None
        with reported() as problems:
            for _ in range(2):
                before = descriptors()
                with contextlib.suppress(OSError):
                    reader, writer = await asyncio.open_connection(
                        host, port, ssl=context
                    )
                    # It ends, at the latest with the time to open.
                    await asyncio.wait_for(reader.read(), 5)
                    writer.transport.abort()
                await settled(server)
                await asyncio.sleep(0.01)
                gc.collect()
                assert descriptors() <= before
        assert problems
        factory.failing = False
        async with pywscore.connect(
            f"{'wss' if secure else 'ws'}://127.0.0.1:{port}/", ssl=context, proxy=None
        ):
            assert len(server.connections) == 1


# --- each call while a connection begins ---

BEGIN: dict[str, tuple[Any, str]] = {
    "a protocol": (_core, "ServerProtocol"),
    "its address": (server_module, "network_of"),
    "a place": (Places, "take"),
    "arriving": (server_module.Attending, "_arrived"),
    "its deadline": (ServerConnection, "_opens_by"),
    "the engine's transport": (engine.EngineTransport, "__init__"),
}


@pytest.mark.parametrize("call", BEGIN)
async def test_calls_at_the_begin(
    monkeypatch: Any, serve: Any, environment: Any, call: str
) -> None:
    async with serve(handler, "127.0.0.1", 0, **LIMITS) as server:
        before = descriptors()
        once = replace(monkeypatch, *BEGIN[call])
        with reported() as problems:
            answer = await ask(server)
            await settled(server)
            await asyncio.sleep(0.01)
        if once.exception is not None:
            assert (call, environment.carrier) == (
                "the engine's transport",
                "transport",
            )
        else:
            assert answer == b""
            assert [type(problem) for problem in problems] == [Purpose]
        assert descriptors() <= before
        for _ in range(3):
            assert b" 101 " in await ask(server)
            await settled(server)


# --- each call while a request is answered ---

ANSWER: dict[str, tuple[Any, str]] = {
    "the answer": (server_module.Handshake, "answer"),
    "accepting": (_core.ServerProtocol, "build_response"),
    "responding": (ServerConnection, "_respond"),
    "a handler's task": (_core, "Stepper"),
    "running it": (server_module.Attending, "_start_handler"),
}


@pytest.mark.parametrize("exception", [Purpose(), asyncio.CancelledError()])
@pytest.mark.parametrize("call", ["the answer", "a handler's task", "running it"])
async def test_calls_of_the_answer(
    monkeypatch: Any, serve: Any, call: str, exception: BaseException
) -> None:
    """500 as long as nothing is sent, else 1011."""

    def hook(ws: Any, request: Any) -> None:
        pass

    async with serve(
        handler, "127.0.0.1", 0, process_request=hook, close_timeout=1, **LIMITS
    ) as server:
        replace(monkeypatch, *ANSWER[call], exception)
        answer = await ask(server)
        expected = (b" 500 ",) if call == "the answer" else (b" 101 ",)
        assert any(status in answer for status in expected) or (
            isinstance(exception, asyncio.CancelledError) and answer == b""
        )
        await settled(server)
        assert b" 101 " in await ask(server)
        await settled(server)


@pytest.mark.parametrize("exception", [Purpose(), asyncio.CancelledError()])
@pytest.mark.parametrize("hooked", [True, False])
async def test_listener_that_cannot_be_made(
    serve: Any, connect: Any, uri_of: Any, exception: BaseException, hooked: bool
) -> None:
    def factory() -> Any:
        raise exception

    hook = (lambda ws, request: None) if hooked else None
    async with serve(
        None, "127.0.0.1", 0, listener=factory, process_request=hook, **LIMITS
    ) as server:
        for _ in range(3):
            async with connect(uri_of(server)) as ws:
                await ws.wait_closed()
                assert ws.close_code == 1011
            await settled(server)


async def test_task_that_cannot_be_made(serve: Any) -> None:
    """Of a hook: 500; of a handler: 1011."""
    loop = asyncio.get_running_loop()

    def fails(loop: Any, coroutine: Any, **kwargs: Any) -> Any:
        if coroutine.__qualname__ not in ("Attending._answer_later", "Stepper"):
            return asyncio.Task(coroutine, loop=loop, **kwargs)
        raise Purpose

    async def hook(ws: Any, request: Any) -> None:
        pass

    async with serve(handler, "127.0.0.1", 0, process_request=hook, **LIMITS) as server:
        loop.set_task_factory(fails)
        try:
            assert b" 500 " in await ask(server)
        finally:
            loop.set_task_factory(None)
        await settled(server)
        assert b" 101 " in await ask(server)


# --- closing ---


@pytest.mark.parametrize(
    ("arguments", "raised"),
    [
        ({"code": 1005}, pywscore.ProtocolError),
        ({"code": 70000}, pywscore.ProtocolError),
        ({"code": "1000"}, TypeError),
        ({"reason": "x" * 124}, pywscore.ProtocolError),
        ({"reason": "\ud800"}, UnicodeError),
        ({"reason": None}, TypeError),
        ({"reason": b"bytes"}, TypeError),
    ],
)
@pytest.mark.parametrize("close_connections", [True, False])
async def test_close_that_cannot_be_sent(
    serve: Any,
    connect: Any,
    uri_of: Any,
    echo: Any,
    arguments: dict[str, Any],
    raised: Any,
    close_connections: bool,
) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        async with connect(uri_of(server)) as ws:
            with pytest.raises(raised):
                server.close(close_connections, **arguments)
            assert server.is_serving()
            for one in ws, await connect(uri_of(server)):
                await one.send("still")
                assert await one.recv() == "still"
            server.close()
            await asyncio.wait_for(server.wait_closed(), 5)
            assert ws.close_code == 1001


async def test_close_without_a_task(serve: Any) -> None:
    loop = asyncio.get_running_loop()

    def fails(loop: Any, coroutine: Any, **kwargs: Any) -> Any:
        coroutine.close()
        raise Purpose

    async with serve(handler, "127.0.0.1", 0) as server:
        loop.set_task_factory(fails)
        try:
            with pytest.raises(Purpose):
                server.close()
        finally:
            loop.set_task_factory(None)
        assert server.is_serving()
        assert b" 101 " in await ask(server)


async def test_close_in_another_thread(
    serve: Any, connect: Any, uri_of: Any, echo: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        async with connect(uri_of(server)) as ws:
            with pytest.raises(RuntimeError):
                await asyncio.to_thread(server.close)
            assert server.is_serving()
            await ws.send("still")
            assert await ws.recv() == "still"


async def test_close_before_the_start(serve: Any, echo: Any, uri_of: Any) -> None:
    server = serve(echo, "127.0.0.1", 0)
    with pytest.raises(AttributeError):
        server.close()
    async with server:
        assert b" 101 " in await ask(server)


async def test_one_connection_that_cannot_be_closed(
    monkeypatch: Any, serve: Any, connect: Any, uri_of: Any, echo: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        clients = [await connect(uri_of(server)) for _ in range(3)]
        replace(monkeypatch, ServerConnection, "_start_close")
        server.close()
        await asyncio.wait_for(server.wait_closed(), 5)
        codes = sorted(ws.close_code for ws in clients)
        assert codes == [1001, 1001, 1006]


# --- the engine ---


async def test_engine_that_cannot_be_watched(monkeypatch: Any) -> None:
    """The next one who asks gets one that is."""
    loop = asyncio.get_running_loop()
    with monkeypatch.context() as patch:
        if not hasattr(loop, "__dict__"):
            pytest.skip("elsewhere: uvloop's loops can't be patched")
        patch.setattr(engine, "_engines", {})
        patch.setattr(loop, "add_reader", Once(loop.add_reader, OSError()))
        with pytest.raises(OSError):
            engine.engine_of(loop)
        watched = engine.engine_of(loop)
        assert engine.engine_of(loop) is watched
        loop.remove_reader(watched.fileno())


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("EngineTransport", {}),
        ("connection_made", {}),
        # By a transport of the loop's.
        ("dup", {"local_addr": ("127.0.0.1", 0)}),
        ("EngineTransport", {"local_addr": ("127.0.0.1", 0)}),
        ("connection_made", {"local_addr": ("127.0.0.1", 0)}),
    ],
)
@pytest.mark.usefixtures("on_engine")
async def test_client_that_cannot_be_adopted(
    monkeypatch: Any, serve: Any, connect: Any, uri_of: Any, name: str, way: Any
) -> None:
    owner: Any = {"dup": os, "EngineTransport": engine}.get(
        name, pywscore.asyncio.ClientConnection
    )
    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(uri_of(server)):
            before = descriptors()
        await until(lambda: not server._all)
        replace(monkeypatch, owner, name, OSError("on purpose"))
        with pytest.raises(OSError, match="on purpose"):
            await connect(uri_of(server), **way)
        await until(lambda: not server._all and descriptors() <= before)
        async with connect(uri_of(server)):
            pass


class EarlyClient(ClientConnection):
    def connection_made(self, transport: Any) -> None:
        raise Purpose


class LateClient(ClientConnection):
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        raise Purpose


@pytest.mark.parametrize("factory", [EarlyClient, LateClient])
@pytest.mark.parametrize("way", ["plain", "tls", "proxy"])
async def test_client_that_cannot_begin(
    serve: Any, connect: Any, certificates: Any, factory: Any, way: str
) -> None:
    """Whoever carries it: what connection_made() raised, and nothing is left."""

    async def tunnel(reader: Any, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):  # a request that hasn't left
            await reader.read()
        writer.close()

    server: Any = serve(
        handler, "127.0.0.1", 0, ssl=certificates.server if way == "tls" else None
    )
    proxy: Any = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    arguments: dict[str, Any] = {"open_timeout": None}
    async with server, proxy:
        port = server.sockets[0].getsockname()[1]
        uri = f"{'wss' if way == 'tls' else 'ws'}://127.0.0.1:{port}/"
        if way == "tls":
            arguments |= {"ssl": certificates.client}
        if way == "proxy":
            number = proxy.sockets[0].getsockname()[1]
            arguments |= {"proxy": f"http://127.0.0.1:{number}"}
        for _ in range(2):
            before = descriptors()
            with pytest.raises(Purpose):
                async with asyncio.timeout(5):
                    await connect(uri, create_connection=factory, **arguments)
            await settled(server)
            await until(lambda: descriptors() <= before)  # noqa: B023
