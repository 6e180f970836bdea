"""A server and its connections, which know each other: how they begin and end."""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from .. import _core
from .._overrides import ChecksOverrides
from .._shown import printable, shown_address
from ..enums import CloseCode, State
from ..exceptions import ConnectionClosed
from ..http import Request, Response, plain_response
from ..typing import StatusLike
from . import _overridden
from ._ending import check_close
from ._handshake import Handshake
from ._listener import ListenerFactory
from ._log import LimitedLogger, is_exit
from ._options import Options
from ._places import Places, network_of
from ._refusals import failed, shutting_down, too_many
from ._totals import Totals
from .connection import Connection

if TYPE_CHECKING:
    from ._stats import ServerStats

__all__ = ["REFUSAL_TIMEOUT", "Listening", "Server", "ServerConnection"]

# How long a peer that gets no connection may take to read why.
REFUSAL_TIMEOUT = 1.0
# How long a hook may go on that has waited for the end of its connection.
_NOTICE = 0.25


class Listening(Protocol):
    """What accepts connections: an ``asyncio.Server``, or what stands in its place."""

    @property
    def sockets(self) -> tuple[Any, ...]: ...
    def get_loop(self) -> asyncio.AbstractEventLoop: ...
    def is_serving(self) -> bool: ...
    async def start_serving(self) -> None: ...
    def close(self) -> None: ...
    async def wait_closed(self) -> None: ...


class ServerConnection(Connection):
    """A connection that a server accepted.

    Args:
        protocol: the sans-IO object.
        server: the server.
        options: what all its connections have in common.
    """

    protocol: _core.ServerProtocol
    username: str
    """Set by ``basic_auth()``."""
    handler: Callable[..., Awaitable[Any]]
    """Set by ``route()``; and what it gets as keyword arguments."""
    handler_kwargs: Mapping[str, Any]

    _opening: asyncio.Task[None] | None = None
    _opened: bool = False
    _running: int = 0  # tasks of the server's that work for it
    _has_place: bool | None = None  # None: not asked for yet
    _network: str = ""  # that the place is counted for

    def __init__(
        self, protocol: _core.ServerProtocol, server: Server, *, options: Options
    ) -> None:
        super().__init__(protocol, options=options)
        self.server = server
        # With TLS this is before its handshake: one deadline for all (HSK-8).
        self._accepted_at = self.loop.time()

    def respond(self, status: StatusLike, text: str) -> Response:
        """A plain text response, to be returned by ``process_request``.

        It may be changed before it is returned.
        """
        return plain_response(status, text)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.server._arrived(self)
        if not self._ended and self.options.open_timeout is not None:
            self._opens_by(self._accepted_at + self.options.open_timeout)
        del self._accepted_at  # idle connections are many

    @property
    def _has_begun(self) -> bool:
        """Whether it has its deadline, and a place or a refusal."""
        return "_accepted_at" not in self.__dict__

    def _refuse_unasked(self, response: Response) -> None:
        self.transport.write(response.serialize())
        self._closes_within(REFUSAL_TIMEOUT)
        self._end()

    def _on_request(self, request: Request) -> None:
        self.request = request
        if not self._ended:
            # No task before this, so that half-open connections have none.
            self.server._answer(self, request)

    def _on_lost(self, exc: Exception | None) -> None:
        super()._on_lost(exc)
        if self._opened:
            self._tell_closed()
        if isinstance(exc, ssl.SSLError):
            self._log(logging.INFO, "TLS failed: %s", printable(exc))
        if self._opening is not None:
            # It may be who waits for the end: then it has a moment for what it does.
            notice = 0.0 if self._lost_waiter is None else _NOTICE
            self.loop.call_later(notice, self._opening.cancel)
            self._opening = None
        self.server._left(self)

    def _respond(self, response: Response) -> bool:
        """Queue it; whether the connection is open then."""
        self._opening = None
        self.response = response
        if self.state is not State.CONNECTING or self._ended:
            return False
        try:
            self.protocol.respond(response)
        except Exception as exc:
            self._log(logging.ERROR, "the response can't be sent", exc_info=exc)
            self.response = failed()
            self.protocol.respond(self.response)
        self._tell_head(">", self.response)
        self.response.headers._pack()
        if self.response.status_code != 101:
            self._tell_rejected(self.response)
            return False
        self._opened = True
        self._has_opened()
        self._tell_opened()
        return True


class Server(ChecksOverrides):
    """What ``serve()`` gives: like ``asyncio.Server``, with connections.

    Args:
        create_server: starts to listen.
        handler: coroutine function for one connection; None with a listener.
        listener: makes what gets the messages of one connection.
        handshake: how to answer requests.
        log: where to log.
        places: how many connections it takes, half-open ones included.
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
    ) -> None:
        self.handler = handler
        self.logger = log.logger
        self._create_server = create_server
        self._listener = listener
        self._handshake = handshake
        self._used = False
        self._log = log
        self._places = places
        self._all: set[ServerConnection] = set()
        self._totals = Totals()
        self._tasks: dict[asyncio.Task[Any], ServerConnection] = {}
        self._closing = False
        self._close_task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._changed: asyncio.Event = asyncio.Event()
        self._closed: asyncio.Event = asyncio.Event()
        self.server: Listening
        handshake.is_closing = lambda: self._closing

    def __repr__(self) -> str:
        if not hasattr(self, "server"):
            state = "not started"
        elif self._closed.is_set():
            state = "closed"
        elif self._closing:
            state = "closing"
        else:
            names = [shown_address(sock.getsockname()) for sock in self.sockets]
            state = f"{'on' if self.is_serving() else 'bound to'} {', '.join(names)}"
        name = type(self).__name__
        return f"<{name} {state}, {len(self._all)} connections at {id(self):#x}>"

    @property
    def connections(self) -> set[ServerConnection]:
        """The connections that are open, as a new set."""
        return {ws for ws in self._all if ws.protocol.state is State.OPEN}

    def stats(self) -> ServerStats:
        """What all connections have counted, those that ended included.

        It looks at each connection there is; the messages aren't counted in Python.
        """
        return self._totals.stats(
            (ws.state, ws._counts(), ws.latency) for ws in self._all
        )

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets."""
        return tuple(self.server.sockets)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the server runs on."""
        return self.server.get_loop()

    def is_serving(self) -> bool:
        """Whether new connections are accepted."""
        return not self._closing and self.server.is_serving()

    async def start_serving(self) -> None:
        """Start to accept connections, after ``serve(..., start_serving=False)``.

        Raises:
            RuntimeError: after ``close()``.
        """
        if self._closing:
            raise RuntimeError("the server is closed; serve() makes another")
        await self.server.start_serving()

    async def serve_forever(self) -> None:
        """Serve until ``close()`` is called or this is cancelled; that closes, too."""
        try:
            if not self._closing and not self.is_serving():
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
        self._close_task = loop.create_task(self._finish())
        self._closing = True
        self.server.close()
        for ws in connections:
            try:
                if ws.request is None and not ws._ended:
                    ws._refuse_unasked(shutting_down())
                elif close_connections and ws.state is State.OPEN:
                    self._end(ws, code, reason)
            except Exception as exc:
                ws._log(logging.ERROR, "closing a connection failed", exc_info=exc)
                ws._cut("it could not be closed")

    async def _finish(self) -> None:
        await asyncio.sleep(0)  # tasks may be eager
        self._log.log_always(logging.INFO, "server closing")
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

    # Connections

    def _admit(self, ws: ServerConnection, address: Any) -> None:
        network = network_of(address) if self._places.counts_addresses else ""
        # Those that are refused are gone soon, and hold no place meanwhile.
        ws._has_place = self._places.take(network)
        if network:
            ws._network = network

    def _arrived(self, ws: ServerConnection) -> None:
        if ws._has_place is None:
            self._admit(ws, ws.remote_address)
        self._all.add(ws)
        self._totals.arrived()
        if self._closing:
            ws._refuse_unasked(shutting_down())
        elif not ws._has_place:
            self._log.log(logging.INFO, "connection refused: too many connections")
            ws._refuse_unasked(too_many())

    def _left(self, ws: ServerConnection) -> None:
        if ws in self._all:
            self._all.discard(ws)
            code = ws.close_code or CloseCode.ABNORMAL_CLOSURE.value
            self._totals.left(ws._counts(), code if ws._opened else None)
        self._empty_place(ws)

    def _empty_place(self, ws: ServerConnection) -> None:
        # What is done for a connection holds its place, too.
        if ws._has_place and not ws._running and ws not in self._all:
            ws._has_place = False
            self._places.give_back(ws._network)
        self._changed.set()

    def _run(
        self,
        ws: ServerConnection,
        task: asyncio.Task[Any],
        done: Callable[[asyncio.Task[Any]], None],
    ) -> None:
        self._tasks[task] = ws
        ws._running += 1
        task.add_done_callback(done)

    def _ran(self, task: asyncio.Task[Any]) -> ServerConnection:
        ws = self._tasks.pop(task)
        ws._running -= 1
        self._empty_place(ws)
        return ws

    def _answer(self, ws: ServerConnection, request: Request) -> None:
        if not self._handshake.has_hooks:
            response = self._handshake.answer_at_once(ws, ws.protocol, request)
            self._answer_with(ws, response)
            return
        answering = self._answer_later(ws, request)
        try:
            ws._opening = ws.loop.create_task(answering)
        except Exception as exc:
            answering.close()
            self._opening_failed(ws, exc)
        else:
            self._run(ws, ws._opening, self._opening_done)

    async def _answer_later(self, ws: ServerConnection, request: Request) -> None:
        self._answer_with(ws, await self._handshake.answer(ws, ws.protocol, request))

    def _answer_with(self, ws: ServerConnection, response: Response) -> None:
        if ws._respond(response):
            self._start_handler(ws)
        # Not before: it goes on to what came with the request, pings for instance.
        ws.flush()
        ws._end_as_peer()

    def _opening_done(self, task: asyncio.Task[None]) -> None:
        ws = self._ran(task)
        ws._opening = None
        if task.cancelled():
            if ws.state is State.CONNECTING:
                ws._cut("the opening handshake was cancelled")
            elif self.handler is not None and not ws._running:
                ws._start_close(CloseCode.INTERNAL_ERROR)
        elif (exc := task.exception()) is not None:
            self._opening_failed(ws, exc)

    def _opening_failed(self, ws: ServerConnection, exc: BaseException) -> None:
        ws._log(logging.ERROR, "opening handshake failed", exc_info=exc)
        if ws.state is State.CONNECTING:
            ws._respond(failed())
        ws._start_close(CloseCode.INTERNAL_ERROR)
        ws.flush()

    def _start_handler(self, ws: ServerConnection) -> None:
        if self.handler is None:
            assert self._listener is not None
            ws._start_listening(self._listener)
            return
        running: Coroutine[Any, Any, Any] | None = None
        try:
            made = self.handler(ws)
            running = made if asyncio.iscoroutine(made) else _wait_for(made)
            task: asyncio.Task[Any] = ws.loop.create_task(_core.Stepper(running))
        except BaseException as exc:
            if running is not None:
                running.close()
            self._handler_failed(ws, exc)
            if is_exit(exc):
                raise
        else:
            self._run(ws, task, self._handler_done)

    def _handler_done(self, task: asyncio.Task[Any]) -> None:
        ws = self._ran(task)
        if task.cancelled():
            self._end(ws, CloseCode.INTERNAL_ERROR)
        elif (exc := task.exception()) is not None:
            self._handler_failed(ws, exc)
        else:
            self._end(ws, CloseCode.NORMAL_CLOSURE)

    def _handler_failed(self, ws: ServerConnection, exc: BaseException) -> None:
        if isinstance(exc, ConnectionClosed) and ws.state is not State.OPEN:
            if self.logger.isEnabledFor(logging.DEBUG):
                ws._log(logging.DEBUG, "handler ended: %s", printable(exc))
        else:
            ws._log(logging.ERROR, "connection handler failed", exc_info=exc)
        self._end(ws, CloseCode.INTERNAL_ERROR)

    def _end(self, ws: ServerConnection, code: int, reason: str = "") -> None:
        """Start the closing handshake, by the connection's ``close()`` if that is a
        subclass's own."""
        if not ws._closes_by_hand:
            ws._start_close(code, reason)
            return
        closing = _overridden.close(ws, code, reason)
        try:
            task = ws.loop.create_task(closing)
        except Exception:
            closing.close()
            ws._start_close(code, reason)
        else:
            self._run(ws, task, self._closing_done)

    def _closing_done(self, task: asyncio.Task[None]) -> None:
        ws = self._ran(task)
        if task.cancelled():
            ws._start_close(CloseCode.INTERNAL_ERROR)

    # await serve(...), async with serve(...)

    async def _start(self) -> Self:
        self._used = True
        async with self._starting:
            if not hasattr(self, "server"):
                self.server = await self._create_server()
                if self.server.is_serving():
                    self._log_listening()
        return self

    def _log_listening(self) -> None:
        for sock in self.server.sockets:
            name = _socket_name(sock)
            self._log.log_always(logging.INFO, "server listening on %s", name)

    def __await__(self) -> Generator[Any, None, Self]:
        return self._start().__await__()

    def __getattr__(self, name: str) -> Any:
        if name in ("server", "sockets"):
            raise AttributeError(f"{self._unused()}, and doesn't listen yet")
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

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


async def _wait_for(running: Awaitable[Any]) -> None:
    if not inspect.isawaitable(running):
        raise TypeError(
            f"the handler gave {running!r}, nothing to await: it has to be a coroutine "
            "function (async def)"
        )
    await running


def _socket_name(sock: socket.socket) -> str:
    address = sock.getsockname()
    if sock.family is socket.AF_INET:
        return "{}:{}".format(*address)
    if sock.family is socket.AF_INET6:
        return "[{}]:{}".format(*address[:2])
    return str(address)
