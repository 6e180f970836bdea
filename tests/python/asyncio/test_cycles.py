"""What fails on the server's side is freed at once, without the collector: LIF-8."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
import weakref
from typing import Any

import pytest
from waiting import until

import pywscore
from pywscore.asyncio import ServerConnection

pytestmark = [pytest.mark.threat("LIF-8"), pytest.mark.slow]

HEAD = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
TIMES = 5
# A transport of asyncio's refers to itself by the method that reads; since Python 3.12
# what it has to write is a deque.
OF_ASYNCIO = {
    *("_SelectorSocketTransport", "TransportSocket", "socket"),
    *("dict", "method", "tuple", "deque"),
}


def raises(*args: Any) -> Any:
    raise ValueError


async def raises_later(*args: Any) -> Any:
    await asyncio.sleep(0)
    raise ValueError


async def hangs(*args: Any) -> None:
    await asyncio.sleep(3600)


async def refuses(ws: ServerConnection, request: Any) -> Any:
    await asyncio.sleep(0)
    return ws.respond(403, "no")


def refuses_subprotocol(*args: Any) -> Any:
    raise pywscore.NegotiationError("no")


async def passes(*args: Any) -> None:
    pass


async def waits(ws: ServerConnection) -> None:
    await ws.wait_closed()


async def iterates(ws: ServerConnection) -> None:
    async for _ in ws:
        pass


async def receives(ws: ServerConnection) -> None:
    await ws.recv()


class Listener:
    on_message = raises


class Unmade(ServerConnection):
    connection_made = raises


CASES: dict[str, dict[str, Any]] = {
    "refused": {"process_request": refuses},
    "a hook that raises": {"process_request": raises_later},
    "another": {"process_response": raises_later},
    "a hook of one who left": {"process_request": hangs},
    "a hook without an end": {"process_request": hangs, "open_timeout": 0.02},
    "unsendable": {"process_request": lambda *args: pywscore.Response(99)},
    "origin": {"origins": ["https://a.example"], "process_request": passes},
    "origin, no hook": {"origins": ["https://a.example"]},
    "subprotocol": {"select_subprotocol": refuses_subprotocol},
    "a subprotocol that raises": {"select_subprotocol": raises},
    "no WebSocket": {"sent": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    "no WebSocket, hook": {
        "sent": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "process_request": passes,
    },
    "no HTTP": {"sent": b"\x16\x03\r\n\r\n"},
    "half a head": {"sent": b"GET", "open_timeout": 0.02},
    "too many": {"max_connections": 1},
    "a handler that raises": {"handler": raises_later},
    "lost": {"handler": iterates},
    "lost in recv()": {"handler": receives},
    "protocol error": {"handler": iterates, "sent": HEAD + b"\xff\xff\xff"},
    "no listener": {"handler": None, "listener": raises},
    "a listener that raises": {
        "handler": None,
        "listener": Listener,
        "sent": HEAD + b"\x81\x80\0\0\0\0",
    },
    "no connection": {"create_connection": raises},
    "a connection that can't begin": {"create_connection": Unmade},
    "TLS": {"secure": True},
    "TLS, left": {"secure": True, "sent": b""},
}


@pytest.mark.parametrize("hook", [None, lambda ws, request: ws.respond(403, "no")])
async def test_tls_is_not_left_to_the_collector(
    serve: Any, connect: Any, certificates: Any, hook: Any
) -> None:
    """Both ends; what the loop has of TLS refers to itself, but not to us."""
    ssl = certificates.server
    seen: list[weakref.ref[Any]] = []

    class Noted(ServerConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            seen.append(weakref.ref(self))

    async def visit(uri: str) -> None:
        with contextlib.suppress(pywscore.InvalidStatus):
            async with connect(uri, ssl=certificates.client) as ws:
                seen.append(weakref.ref(ws))

    async with serve(
        waits, "127.0.0.1", 0, ssl=ssl, process_request=hook, create_connection=Noted
    ) as server:
        gc.disable()
        try:
            await visit(f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
            await until(lambda: not (server._all or server._tasks))
            await until(lambda: seen and not any(ref() for ref in seen))
        finally:
            gc.enable()


async def come_and_go(port: int, sent: bytes) -> None:
    """Without transports, which refer to themselves."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock, contextlib.suppress(ConnectionError):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, sent)
        for _ in range(4):
            await asyncio.sleep(0.01)
            with contextlib.suppress(BlockingIOError):
                sock.recv(65536)


@pytest.mark.parametrize("case", CASES)
async def test_nothing_is_left_to_the_collector(
    serve: Any, certificates: Any, environment: Any, case: str
) -> None:
    arguments = {"handler": waits, "sent": HEAD, "secure": False, **CASES[case]}
    sent, secure = arguments.pop("sent"), arguments.pop("secure")
    ssl = certificates.server if secure else None
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda *args: None)
    async with serve(
        arguments.pop("handler"),
        "127.0.0.1",
        0,
        ssl=ssl,
        close_timeout=0.1,
        **arguments,
    ) as server:
        port = server.sockets[0].getsockname()[1]
        with contextlib.ExitStack() as stack:
            if case == "too many":
                first = stack.enter_context(
                    socket.create_connection(("127.0.0.1", port))
                )
                await asyncio.sleep(0.02)
            await come_and_go(port, sent)
            await asyncio.sleep(0.05)
            gc.collect()
            stack.callback(gc.enable)
            stack.callback(gc.set_debug, 0)
            stack.callback(gc.garbage.clear)
            gc.disable()
            for _ in range(TIMES):
                await come_and_go(port, sent)
            async with asyncio.timeout(5):
                while len(server._all) > (case == "too many") or server._tasks:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            names = [type(it).__name__ for it in gc.garbage]
        found = {name for name in names if names.count(name) >= TIMES}
        allowed = OF_ASYNCIO if environment.loop == "asyncio" else set()
        assert found <= allowed, found - allowed
        if case == "too many":
            first.close()
    loop.set_exception_handler(before)
