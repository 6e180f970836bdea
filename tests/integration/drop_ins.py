"""Both drop-ins behind one interface, over TLS: handlers are the same for either.

python drop_ins.py NAME is an echo server. It says its port, and ends with its input.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp_rig
import pytest
import uvicorn_servers
from aiohttp import WSMsgType, web
from tls_peer import Files, TLSPeer
from waiting import until

from pywscore import _core
from pywscore.integrations.aiohttp import WebSocketResponse
from pywscore.integrations.uvicorn import WebSocketProtocol

HEAD = aiohttp_rig.request()


def text(data: str) -> bytes:
    return aiohttp_rig.frame(aiohttp_rig.TEXT, data.encode())


def answer(data: str) -> bytes:
    return aiohttp_rig.frame(aiohttp_rig.TEXT, data.encode(), mask=False)


async def echoes(peer: TLSPeer, message: str) -> None:
    peer.write(text(message))
    peer.flush()
    assert await peer.read_exactly(len(answer(message))) == answer(message)


def reset(peer: TLSPeer) -> None:
    sock = peer.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.writer.transport.abort()


class OnTransport(WebSocketProtocol):
    carrier = "transport"


@dataclass
class Side:
    """The server's side of a connection, for its handler."""

    connection: Any
    receive: Callable[[], Awaitable[str | bytes | None]]
    """None at the end."""
    send: Callable[[str | bytes], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    transport: Any
    """What the server takes for it."""

    @property
    def is_taken(self) -> bool:
        return isinstance(self.connection.transport, _core.EngineTransport)


Handler = Callable[[Side], Awaitable[None]]
Before = Callable[[Any], Awaitable[None]]
Tune = Callable[[ssl.SSLContext], None]


async def echo(side: Side) -> None:
    while (message := await side.receive()) is not None:
        await side.send(message)


async def collect(side: Side, got: list[Any]) -> None:
    """A handler that notes all that it receives, and the close code."""
    while (message := await side.receive()) is not None:
        got.append(message)
    got.append(side.connection.close_code)


async def nothing(transport: Any) -> None:
    pass


def _untuned(context: ssl.SSLContext) -> None:
    pass


@dataclass
class Served:
    port: int
    stop: Callable[[], Awaitable[None]]
    """Gracefully, as the server does it."""
    count: Callable[[], int]
    """Connections that the server knows."""
    sides: list[Side] = field(default_factory=list)

    async def gone(self) -> None:
        """All connections have ended."""
        await until(lambda: self.count() == 0)

    async def connect(self, files: Files, **client: Any) -> TLSPeer:
        """A client whose TLS is agreed on."""
        streams = await asyncio.open_connection("127.0.0.1", self.port)
        peer = TLSPeer(*streams, files.client(**client))
        await peer.handshake()
        return peer

    async def open(self, files: Files, more: bytes = b"", **client: Any) -> TLSPeer:
        """The same, after the opening handshake, with ``more`` behind its request."""
        peer = await self.connect(files, **client)
        peer.write(HEAD + more)
        peer.flush()
        assert (await peer.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        return peer


@dataclass(frozen=True)
class DropIn:
    name: str
    loop: str
    http: str = "httptools"
    carrier: str = "auto"

    def __str__(self) -> str:
        words = [self.name, self.loop]
        words += [self.http] if self.name == "uvicorn" else []
        return "-".join([*words, *(["transport"] if self.carrier != "auto" else [])])

    @property
    def takes(self) -> bool:
        """Does the engine take TLS over there?"""
        return self.carrier == "auto" and self.loop == "asyncio"

    def run(
        self, main: Callable[[], Coroutine[Any, Any, None]], within: float = 20
    ) -> None:
        """Within so many seconds."""
        if self.name == "aiohttp":
            aiohttp_rig.run(main(), self.loop, within)
        else:
            uvicorn_servers.Environment(self.loop, self.http).run(main, within)

    @asynccontextmanager
    async def serve(
        self,
        handler: Handler,
        files: Files,
        *,
        client_ca: bool = False,
        before: Before = nothing,
        tune: Tune = _untuned,
    ) -> AsyncIterator[Served]:
        """``before(transport)`` is awaited before a request is answered, and
        ``tune(context)`` called before there are any."""
        if self.name == "aiohttp":
            context = files.server(**({"client_ca": files.ca} if client_ca else {}))
            tune(context)
            serving = self._aiohttp(handler, before, context)
        else:
            options: dict[str, Any] = {"ssl_certfile": str(files.chain)}
            if client_ca:
                options |= {"ssl_ca_certs": str(files.ca), "ssl_cert_reqs": 2}
                assert ssl.CERT_REQUIRED == 2
            serving = self._uvicorn(handler, before, tune, options)
        async with serving as served:
            yield served

    @asynccontextmanager
    async def _aiohttp(
        self, handler: Handler, before: Before, context: ssl.SSLContext
    ) -> AsyncIterator[Served]:
        async def handle(request: web.Request) -> web.StreamResponse:
            await before(request.transport)
            ws = WebSocketResponse(carrier=self.carrier)
            await ws.prepare(request)

            async def receive() -> str | bytes | None:
                message = await ws.receive()
                data = message.type in (WSMsgType.TEXT, WSMsgType.BINARY)
                return message.data if data else None

            async def send(data: str | bytes) -> None:
                await (ws.send_str if isinstance(data, str) else ws.send_bytes)(data)  # type: ignore[operator]

            async def close() -> None:
                await ws.close()

            side = Side(ws._connection, receive, send, close, request.transport)
            served.sides.append(side)
            await handler(side)
            return ws

        app = web.Application()
        app.router.add_get("/", handle)
        runner = web.AppRunner(app, shutdown_timeout=2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        server = runner.server
        assert server is not None
        served = Served(
            runner.addresses[0][1], runner.cleanup, lambda: len(server.connections)
        )
        try:
            yield served
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def _uvicorn(
        self, handler: Handler, before: Before, tune: Tune, options: dict[str, Any]
    ) -> AsyncIterator[Served]:
        async def app(scope: Any, asgi_receive: Any, asgi_send: Any) -> None:
            connection = scope["extensions"]["pywscore"]["connection"]()
            assert scope["scheme"] == "wss"
            await before(connection.transport)
            await asgi_receive()
            await asgi_send({"type": "websocket.accept"})

            async def receive() -> str | bytes | None:
                event = await asgi_receive()
                if event["type"] != "websocket.receive":
                    return None
                data: str | bytes | None = event.get("text")
                return event["bytes"] if data is None else data

            async def send(data: str | bytes) -> None:
                kind = "text" if isinstance(data, str) else "bytes"
                await asgi_send({"type": "websocket.send", kind: data})

            async def close() -> None:
                await asgi_send({"type": "websocket.close"})
                await asgi_receive()

            side = Side(connection, receive, send, close, connection.transport)
            served.sides.append(side)
            await handler(side)

        ws = OnTransport if self.carrier == "transport" else uvicorn_servers.OURS
        environment = uvicorn_servers.Environment(self.loop, self.http, ws)
        async with environment.serve(app, tune, **options) as running:
            connections = running.server.server_state.connections
            served = Served(running.port, running.stop, lambda: len(connections))
            yield served


ALL = [
    DropIn("aiohttp", "asyncio"),
    DropIn("aiohttp", "uvloop"),
    DropIn("uvicorn", "asyncio", "httptools"),
    DropIn("uvicorn", "asyncio", "h11"),
    DropIn("uvicorn", "uvloop"),
]
each_drop_in = pytest.mark.parametrize("drop_in", ALL, ids=str)
# Whose TLS the engine takes over.
each_taking = pytest.mark.parametrize(
    "drop_in", [drop_in for drop_in in ALL if drop_in.takes], ids=str
)


async def main(drop_in: DropIn, folder: str) -> None:
    async with drop_in.serve(echo, Files(Path(folder), "SSLContext")) as served:
        print(served.port, flush=True)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
        await ended.wait()


if __name__ == "__main__":
    [wanted] = [drop_in for drop_in in ALL if str(drop_in) == sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(wanted, folder))
