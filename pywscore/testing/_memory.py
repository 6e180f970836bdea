"""Servers and clients joined in memory: no sockets, the real protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from ..asyncio import client as _client
from ..asyncio import server as _server
from ..asyncio._acceptor import Acceptor, begin
from ..asyncio.client import ClientConnection
from ..asyncio.server import Server, ServerConnection
from ._link import FaultyLink, joined

__all__ = ["MemoryServer", "Pair", "connected", "serve_in_memory"]

Handler = Callable[[ServerConnection], Awaitable[Any]]


class Pair(NamedTuple):
    """The two ends of one connection."""

    client: ClientConnection
    server: ServerConnection


class MemoryListening:
    """Stands where a server of the loop's would listen."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._serving = True

    @property
    def sockets(self) -> tuple[Any, ...]:
        return ()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._serving

    async def start_serving(self) -> None:
        self._serving = True

    def close(self) -> None:
        self._serving = False

    async def wait_closed(self) -> None:
        pass


class MemoryServer:
    """What ``serve_in_memory()`` gives.

    Args:
        server: the server.
        acceptor: what makes its connections.

    Attributes:
        server: the ``Server``.
    """

    def __init__(self, server: Server, acceptor: Acceptor) -> None:
        self.server = server
        self._acceptor = acceptor

    @contextlib.asynccontextmanager
    async def connect(
        self, path: str = "/", *, link: FaultyLink | None = None, **arguments: Any
    ) -> AsyncIterator[ClientConnection]:
        """A client of it, which is closed at the end.

        Args:
            path: of the request, with its query.
            link: what joins the two; one without faults by default.
            arguments: as for ``pywscore.connect()``.

        Raises:
            InvalidHandshake: if the server refuses.
            ConnectionRefusedError: if it is closed.
            TimeoutError: after ``open_timeout``.
        """
        async with await self._open(path, link, arguments) as ws:
            yield ws

    async def _open(
        self, path: str, link: FaultyLink | None, arguments: Mapping[str, Any]
    ) -> ClientConnection:
        if not self.server.is_serving():
            raise ConnectionRefusedError("the server is closed")
        opening: Any = _client.connect(f"ws://memory{path}", **arguments)
        near, far = joined(link or FaultyLink())
        begin_server = self._acceptor.new_connection
        connection: ClientConnection = opening._new_connection(
            opening.ws_uri, opening.additional_headers
        )
        try:
            async with asyncio.timeout(opening.open_timeout):
                accepted = begin_server()
                far._protocol = accepted
                begin(accepted, far)
                near.connect(connection)
                far.deliver_soon()
                await connection._answered
        except BaseException:
            near.abort()
            raise
        return connection


@contextlib.asynccontextmanager
async def serve_in_memory(
    handler: Handler | None = None, **arguments: Any
) -> AsyncIterator[MemoryServer]:
    """A server that listens nowhere, for ``MemoryServer.connect()``.

    Args:
        handler: as for ``pywscore.serve()``.
        arguments: as for ``pywscore.serve()``, but for those about sockets and TLS.
    """
    arguments["carrier"] = "transport"
    server = _server.serve(handler, "memory", 0, **arguments)
    acceptor: Acceptor = server._create_server.__self__  # type: ignore[attr-defined]

    async def listen() -> MemoryListening:
        return MemoryListening(asyncio.get_running_loop())

    server._create_server = listen
    async with server:
        yield MemoryServer(server, acceptor)


@contextlib.asynccontextmanager
async def connected(
    *,
    server: Mapping[str, Any] | None = None,
    client: Mapping[str, Any] | None = None,
    link: FaultyLink | None = None,
    tcp: bool = False,
) -> AsyncIterator[Pair]:
    """A client's and a server's end of one open connection::

        async with connected() as (client, server):
            await client.send("hello")
            assert await server.recv() == "hello"

    Args:
        server: arguments of ``pywscore.serve()``.
        client: arguments of ``pywscore.connect()``.
        link: what joins the two; one without faults by default.
        tcp: join them over loopback instead, by the carrier that the arguments say.

    Raises:
        InvalidHandshake: if the server refuses.
        TimeoutError: after ``open_timeout``.
        TypeError: for a link over TCP.
    """
    if tcp and link is not None:
        raise TypeError("a link joins in memory, not over TCP")
    accepted: asyncio.Future[ServerConnection] = (
        asyncio.get_running_loop().create_future()
    )

    async def handler(ws: ServerConnection) -> None:
        accepted.set_result(ws)
        await ws.wait_closed()

    server, client = server or {}, client or {}
    if tcp:
        async with _server.serve(handler, "127.0.0.1", 0, **server) as running:
            host, port = running.sockets[0].getsockname()
            uri = f"ws://{host}:{port}/"
            arguments: dict[str, Any] = {"proxy": None, **client}
            async with _client.connect(uri, **arguments) as ws:
                yield Pair(ws, await accepted)
    else:
        async with serve_in_memory(handler, **server) as listening:
            async with listening.connect(link=link, **client) as ws:
                yield Pair(ws, await accepted)
