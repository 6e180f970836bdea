"""A server and its connections, which know each other: how they begin and end."""

from __future__ import annotations

import asyncio
import logging
import socket
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from .. import _core
from .._overrides import ChecksOverrides
from .._shown import shown_address
from ..enums import CloseCode, State
from ..http import Response, plain_response
from ..typing import StatusLike
from ._attending import Attended, Attending
from ._ending import check_close
from ._forwarded import Forwarded
from ._handshake import Handshake
from ._listener import ListenerFactory
from ._log import LimitedLogger
from ._options import Options
from ._places import Places
from ._refusals import shutting_down

if TYPE_CHECKING:
    from ._stats import ServerStats

__all__ = ["Listening", "Server", "ServerConnection"]


class Listening(Protocol):
    """What accepts connections: an ``asyncio.Server``, or what stands in its place."""

    @property
    def sockets(self) -> tuple[Any, ...]: ...
    def get_loop(self) -> asyncio.AbstractEventLoop: ...
    def is_serving(self) -> bool: ...
    async def start_serving(self) -> None: ...
    def close(self) -> None: ...
    async def wait_closed(self) -> None: ...


class ServerConnection(Attended):
    """A connection that a server accepted.

    Args:
        protocol: the sans-IO object.
        server: the server.
        options: what all its connections have in common.
    """

    username: str
    """Set by ``basic_auth()``."""
    handler: Callable[..., Awaitable[Any]]
    """Set by ``route()``; and what it gets as keyword arguments."""
    handler_kwargs: Mapping[str, Any]

    def __init__(
        self, protocol: _core.ServerProtocol, server: Server, *, options: Options
    ) -> None:
        super().__init__(protocol, options=options)
        self.server: Server = server
        # With TLS this is before its handshake: one deadline for all (HSK-8).
        self._accepted_at = self.loop.time()

    def respond(self, status: StatusLike, text: str) -> Response:
        """A response of plain text, to be returned by ``process_request``, changed
        before if need be.

        Args:
            status: HTTP's status code.
            text: the body.

        Raises:
            ValueError: if ``status`` isn't a status code that HTTP knows.
        """
        return plain_response(status, text)


class Server(Attending, ChecksOverrides):
    """What ``serve()`` gives: like ``asyncio.Server``, with connections.

    Args:
        create_server: starts to listen.
        handler: coroutine function for one connection; None with a listener.
        listener: makes what gets the messages of one connection.
        handshake: how to answer requests.
        log: where to log.
        places: how many connections it takes, half-open ones included.
        forwarded: how proxies say whose connections those are.
    """

    _used: bool = True  # without __init__() there is nothing to start

    def __init__(
        self,
        create_server: Callable[[], Coroutine[Any, Any, Listening]],
        handler: Callable[[ServerConnection], Awaitable[Any]] | None,
        *,
        listener: ListenerFactory | None = None,
        handshake: Handshake,
        log: LimitedLogger,
        places: Places,
        forwarded: Forwarded | None = None,
    ) -> None:
        super().__init__(handler, listener, handshake, log, places, forwarded)
        self._create_server = create_server
        self._used = False
        self._close_task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._closed: asyncio.Event = asyncio.Event()
        self._listening: Listening | None = None

    def __repr__(self) -> str:
        if self._listening is None:
            state = "not started"
        elif self._closed.is_set():
            state = "closed"
        elif self._handshake.closing:
            state = "closing"
        else:
            names = [shown_address(sock.getsockname()) for sock in self.sockets]
            state = f"{'on' if self.is_serving() else 'bound to'} {', '.join(names)}"
        name = type(self).__name__
        return f"<{name} {state}, {len(self._all)} connections at {id(self):#x}>"

    @property
    def connections(self) -> set[ServerConnection]:
        """The connections that are open, as a new set."""
        return {
            cast(ServerConnection, ws) for ws in self._all if ws.state is State.OPEN
        }

    def stats(self) -> ServerStats:
        """What all connections have counted, those that ended included.

        It looks at each connection there is; the messages aren't counted in Python.
        """
        return self._totals.stats(
            (ws.state, ws._counts(), ws.latency) for ws in self._all
        )

    # Not by __getattr__(): a class that has one is slower in all that it knows.
    @property
    def server(self) -> Listening:
        """What accepts connections, once it listens."""
        if self._listening is None:
            raise AttributeError(f"{self._unused()}, and doesn't listen yet")
        return self._listening

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets."""
        return tuple(self.server.sockets)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the server runs on."""
        return self.server.get_loop()

    def is_serving(self) -> bool:
        """Whether new connections are accepted."""
        return not self._handshake.closing and self.server.is_serving()

    async def start_serving(self) -> None:
        """Start to accept connections, after ``serve(..., start_serving=False)``.

        Raises:
            RuntimeError: after ``close()``.
        """
        if self._handshake.closing:
            raise RuntimeError("the server is closed; serve() makes another")
        await self.server.start_serving()

    async def serve_forever(self) -> None:
        """Serve until ``close()`` is called or this is cancelled; that closes, too."""
        try:
            if not self._handshake.closing and not self.is_serving():
                await self.start_serving()
            await self.wait_closed()
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise

    def close(
        self,
        close_connections: bool = True,
        code: int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Stop listening, and end the connections; ``wait_closed()`` waits for it.

        Requests that aren't answered yet get 503.

        Args:
            close_connections: close them now; False waits until they end by
                themselves.
            code: close code for open connections.
            reason: close reason.

        Raises:
            ProtocolError: if code or reason can't be sent; the server goes on, then.
        """
        if self._close_task is not None:
            return
        check_close(code, reason)
        loop = self.get_loop()
        connections = list(self._all)
        for ws in connections:
            ws._check_thread()
        finishing = self._finish(close_connections, code, reason)
        self._close_task = loop.create_task(finishing)
        self._handshake.closing = True
        self.server.close()
        for ws in connections:
            if ws.request is None and not ws._ended:
                self._let_go(ws, lambda ws: ws._refuse_unasked(shutting_down()))

    @staticmethod
    def _let_go(ws: Attended, how: Callable[[Attended], None]) -> None:
        try:
            how(ws)
        except Exception as exc:
            ws._log(logging.ERROR, "closing a connection failed", exc_info=exc)
            ws._cut("it could not be closed")

    async def _finish(self, close_connections: bool, code: int, reason: str) -> None:
        # Tasks may be eager; and what others that run now have to say goes out.
        await asyncio.sleep(0)
        self._log.log_always(logging.INFO, "server closing")
        for ws in list(self._all) if close_connections else ():
            if ws.state is State.OPEN:
                self._let_go(ws, lambda ws: self._end(ws, code, reason))
        await self.server.wait_closed()  # half-open ones may be whole until then
        while self._all or self._tasks:
            self._changed.clear()
            await self._changed.wait()
        self._closed.set()
        self._log.flush()
        self._log.log_always(logging.INFO, "server closed")

    async def wait_closed(self) -> None:
        """Wait until all connections are gone and all handlers have returned."""
        await self._closed.wait()

    # await serve(...), async with serve(...)

    async def _start(self) -> Self:
        self._used = True
        async with self._starting:
            if self._listening is None:
                self._listening = await self._create_server()
                if self._listening.is_serving():
                    self._log_listening()
        return self

    def _log_listening(self) -> None:
        for sock in self.server.sockets:
            name = shown_address(sock.getsockname())
            self._log.log_always(logging.INFO, "server listening on %s", name)

    def __await__(self) -> Generator[Any, None, Self]:
        return self._start().__await__()

    def __del__(self) -> None:
        if not self._used:
            warnings.warn(self._unused(), RuntimeWarning, source=self, stacklevel=2)

    def _unused(self) -> str:
        return "a server was never started: it is to be awaited, or used by async with"

    async def __aenter__(self) -> Self:
        return await self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        await self.wait_closed()
