"""The asyncio WebSocket server."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl as ssl_module
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from .. import _core
from ..enums import CloseCode, State
from ..exceptions import ConnectionClosed
from ..extensions import SERVER_DEFAULT, PerMessageDeflate, choose
from ..http import SERVER, Request, Response
from ..overrides import ChecksOverrides
from ..tls import TLSContext
from ..typing import LoggerLike, PathLike
from .acceptor import Acceptor, BoundServer
from .auth import basic_auth
from .broadcast import broadcast
from .connection import check_close
from .handshake import (
    Handshake,
    Origins,
    ProcessRequest,
    ProcessResponse,
    SelectSubprotocol,
    check_origins,
    check_subprotocols,
    failed,
    shutting_down,
    too_many,
)
from .listener import ListenerFactory, check_listener, start_listening
from .log import LimitedLogger, is_exit, printable
from .options import (
    MAX_QUEUE,
    WRITE_LIMIT,
    Options,
    check_carrier,
    message_limit,
    water_marks,
)
from .places import Places, check_limit, network_of
from .server_connection import ServerConnection
from .stats import ServerStats, Totals

__all__ = [
    "Server",
    "ServerConnection",
    "basic_auth",
    "broadcast",
    "serve",
    "unix_serve",
]


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

    def __init__(
        self,
        create_server: Callable[[], Coroutine[Any, Any, asyncio.Server | BoundServer]],
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
        self.server: asyncio.Server | BoundServer
        handshake.is_closing = lambda: self._closing

    @property
    def connections(self) -> set[ServerConnection]:
        """The connections that are open, as a new set."""
        return {ws for ws in self._all if ws.protocol.state is State.OPEN}

    def stats(self) -> ServerStats:
        """What all connections have counted, those that ended included.

        It looks at each connection there is; the messages aren't counted in Python.
        """
        return self._totals.stats(self._all)

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
        """Start to accept connections, after ``serve(..., start_serving=False)``."""
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
        self._closing = True
        self.server.close()
        for ws in connections:
            try:
                if ws.request is None and not ws._ended:
                    ws._refuse_unasked(shutting_down())
                elif close_connections and ws.state is State.OPEN:
                    ws._start_close(code, reason)
            except Exception as exc:
                ws._log(logging.ERROR, "closing a connection failed", exc_info=exc)
                ws._cut("it could not be closed")
        self._close_task = loop.create_task(self._finish())

    async def _finish(self) -> None:
        self._log.log_always(logging.INFO, "server closing")
        while self._all or self._tasks:
            self._changed.clear()
            await self._changed.wait()
        await self.server.wait_closed()
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
            self._totals.left(ws)
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
            self._answer_with(ws, self._handshake.answer_at_once(ws, request))
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
        self._answer_with(ws, await self._handshake.answer(ws, request))

    def _answer_with(self, ws: ServerConnection, response: Response) -> None:
        if ws._respond(response):
            self._start_handler(ws)
        # Not before: it goes on to what came with the request, pings for instance.
        ws.flush()

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
            start_listening(ws, self._listener)
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
            ws._start_close(CloseCode.INTERNAL_ERROR)
        elif (exc := task.exception()) is not None:
            self._handler_failed(ws, exc)
        else:
            ws._start_close(CloseCode.NORMAL_CLOSURE)

    def _handler_failed(self, ws: ServerConnection, exc: BaseException) -> None:
        if isinstance(exc, ConnectionClosed) and ws.state is not State.OPEN:
            if self.logger.isEnabledFor(logging.DEBUG):
                ws._log(logging.DEBUG, "handler ended: %s", printable(exc))
        else:
            ws._log(logging.ERROR, "connection handler failed", exc_info=exc)
        ws._start_close(CloseCode.INTERNAL_ERROR)

    # await serve(...), async with serve(...)

    async def _start(self) -> Self:
        async with self._starting:
            if not hasattr(self, "server"):
                self.server = await self._create_server()
                if self.server.is_serving():
                    self._log_listening()
        return self

    def _log_listening(self) -> None:
        for sock in self.server.sockets:
            name = sock.getsockname()
            self._log.log_always(logging.INFO, "server listening on %s", name)

    def __await__(self) -> Generator[Any, None, Self]:
        return self._start().__await__()

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
    await running


def serve(
    handler: Callable[[ServerConnection], Awaitable[Any]] | None,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    listener: ListenerFactory | None = None,
    origins: Origins | None = None,
    extensions: Sequence[PerMessageDeflate] | None = None,
    subprotocols: Sequence[str] | None = None,
    select_subprotocol: SelectSubprotocol | None = None,
    compression: Literal["deflate"] | PerMessageDeflate | None = "deflate",
    process_request: ProcessRequest | None = None,
    process_response: ProcessResponse | None = None,
    server_header: str | None = SERVER,
    open_timeout: float | None = 10,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    close_timeout: float | None = 10,
    idle_timeout: float | None = None,
    max_size: int | tuple[int | None, int | None] | None = 1 << 20,
    max_queue: int | tuple[int | None, int | None] | None = MAX_QUEUE,
    write_limit: int | tuple[int, int | None] = WRITE_LIMIT,
    max_connections: int | None = None,
    max_connections_per_address: int | None = None,
    logger: LoggerLike | None = None,
    carrier: Literal["auto", "engine", "transport"] = "auto",
    create_connection: Callable[..., ServerConnection] | None = None,
    **kwargs: Any,
) -> Server:
    """Serve WebSocket connections on a TCP port::

        async with serve(handler, "127.0.0.1", 8765) as server:
            await server.serve_forever()

    ``await serve(...)`` gives the server too, which is then to be closed by hand. For
    each connection there is a task that runs ``handler(ws)``. When it returns, the
    connection is closed with 1000; when it raises, with 1011 and a line in the log.

    Args:
        handler: coroutine function that gets a ServerConnection; None with a listener.
        host: address or addresses to listen on; None for all.
        port: port to listen on; 0 for any free one.
        listener: called without arguments for each connection, makes the object whose
            methods get its messages, in the place of a handler; see ``Listener``.
        origins: allowed values of the Origin header, to keep other web sites' pages
            out: strings for an exact match, compiled patterns for a full match, None
            for requests without it; others get 403. Without a list all are allowed
            (RFC 6455 §10.2).
        extensions: a list with a PerMessageDeflate, instead of ``compression``.
        subprotocols: what the server speaks, the preferred one first. A client that
            offers none of them gets 400.
        select_subprotocol: gets the connection and the list that the client offered,
            returns one of them or None, or raises NegotiationError.
        compression: ``"deflate"`` for permessage-deflate with small windows,
            PerMessageDeflate for other settings, None to do without.
        process_request: function or coroutine function that gets the connection and
            the Request; a Response that it returns is sent instead of accepting.
        process_response: the same with connection, Request and Response, before the
            response is sent.
        server_header: value of the Server header, None for none.
        open_timeout: seconds for the opening handshake, TLS included; None for no
            limit. For this and all that follow.
        ping_interval: seconds between keepalive pings, None to send none.
        ping_timeout: seconds to wait for a pong before closing with 1011.
        close_timeout: seconds to wait for the peer's part of the closing handshake.
        idle_timeout: seconds without a complete message before closing with 1001.
        max_size: bytes in a received message, decompressed; beyond, 1009. None for no
            limit.
        max_queue: messages received and not yet taken before reading stops, or
            ``(high, low)`` water marks.
        write_limit: bytes waiting to be sent before ``send()`` waits, or ``(high,
            low)`` water marks.
        max_connections: connections at the same time, half-open ones included; beyond,
            503.
        max_connections_per_address: of these, from one IPv4 address or IPv6 network of
            64 bits; None also behind a reverse proxy, whose address all have.
        logger: where to log; ``logging.getLogger("pywscore.server")`` by default.
        carrier: who does the I/O: ``"transport"`` is asyncio's transports;
            ``"engine"`` is sockets in C, on Linux and macOS, TLS by TLSContext;
            ``"auto"`` is the engine where it can serve.
        create_connection: called as ``ServerConnection(protocol, server,
            options=...)``.
        kwargs: passed on to ``loop.create_server()``: ``ssl``, ``sock``,
            ``reuse_port``, ``start_serving`` and so on.

    Raises:
        OSError: on starting, if the address can't be listened on.
        TypeError, ValueError: if an argument can't be used.
    """
    check_carrier(carrier)
    check_listener(listener, handler)
    deflate = choose(compression, extensions, SERVER_DEFAULT)
    limit = message_limit(max_size)
    marks = water_marks("write_limit", write_limit)
    assert marks is not None
    check_limit("max_connections", max_connections)
    check_limit("max_connections_per_address", max_connections_per_address)
    tls = kwargs.pop("ssl", None)
    if isinstance(tls, TLSContext):
        if not tls.is_server:
            raise ValueError("serve() needs a context made with TLSContext.server()")
        if carrier == "transport":
            raise ValueError('TLSContext doesn\'t go with carrier="transport"')
    elif tls is not None:
        if not isinstance(tls, ssl_module.SSLContext):
            raise TypeError("ssl must be an SSLContext or a TLSContext")
        kwargs.setdefault("ssl_handshake_timeout", open_timeout)
        kwargs.setdefault("ssl_shutdown_timeout", close_timeout)
    log = LimitedLogger(logger or logging.getLogger("pywscore.server"))
    options = Options(
        open_timeout=open_timeout,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        idle_timeout=idle_timeout,
        max_queue=water_marks("max_queue", max_queue),
        write_limit=marks,
        log=log,
    )
    handshake = Handshake(
        origins=None if origins is None else check_origins(origins),
        subprotocols=check_subprotocols(subprotocols),
        select_subprotocol=select_subprotocol,
        process_request=process_request,
        process_response=process_response,
        server_header=server_header,
    )
    factory = create_connection or ServerConnection
    # Without hooks, what isn't a correct request is refused by the core, and no task is
    # made for it.
    any_request = handshake.has_hooks

    def new_connection() -> ServerConnection:
        protocol = _core.ServerProtocol(
            max_size=limit, compression=deflate, any_request=any_request
        )
        made = factory(protocol, server, options=options)
        if not isinstance(made, ServerConnection):
            raise TypeError("create_connection must make a ServerConnection")
        return made

    acceptor = Acceptor(
        where=(host, port),
        tls=tls,
        arguments=kwargs,
        carrier=carrier,
        new_connection=new_connection,
        admit=lambda ws, address: server._admit(ws, address),
        left=lambda ws: server._left(ws),
        log=log,
    )
    server = Server(
        acceptor.listen,
        handler,
        listener=listener,
        handshake=handshake,
        log=log,
        places=Places(max_connections, max_connections_per_address),
    )
    return server


def unix_serve(
    handler: Callable[[ServerConnection], Awaitable[Any]] | None,
    path: PathLike | None = None,
    **kwargs: Any,
) -> Server:
    """Serve on a Unix socket, behind a reverse proxy for instance.

    Args:
        handler: as for ``serve()``.
        path: where the socket is made; None with ``sock=``.
        kwargs: as for ``serve()``, without host and port.
    """
    return serve(handler, unix=True, path=path, **kwargs)
