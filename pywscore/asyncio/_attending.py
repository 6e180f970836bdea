"""What a server does for each of its connections: a place, an answer, a handler."""

from __future__ import annotations

import asyncio
import errno
import inspect
import logging
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from .. import _core
from .._shown import printable, shown_address
from ..enums import CloseCode, State
from ..exceptions import ConnectionClosed
from ..http import Request, Response
from . import _overridden
from ._alpn import other_protocol
from ._forwarded import Forwarded, client_of
from ._handshake import Handshake
from ._listener import ListenerFactory
from ._log import LimitedLogger, is_exit
from ._places import Places, network_of
from ._refusals import failed, shutting_down, too_many
from ._totals import Totals
from .connection import Connection

__all__ = ["REFUSAL_TIMEOUT", "Attended", "Attending"]

# How long a peer that gets no connection may take to read why.
REFUSAL_TIMEOUT = 1.0
# Members of enums and their values are looked up by functions, of CPython 3.11's at
# least, and these for each connection.
_CONNECTING, _OPEN = State.CONNECTING, State.OPEN
_NORMAL_CLOSURE, _INTERNAL_ERROR = CloseCode.NORMAL_CLOSURE, CloseCode.INTERNAL_ERROR
_ABNORMAL_CLOSURE: int = CloseCode.ABNORMAL_CLOSURE.value
# How long a hook may go on that has waited for the end of its connection.
_NOTICE = 0.25


class Attended(Connection):
    """A connection as its server's work knows it."""

    protocol: _core.ServerProtocol
    server: Any

    _accepted_at: float | None = None  # None: it has its deadline
    _opening: asyncio.Task[None] | None = None
    _opened: bool = False
    _running: int = 0  # tasks of the server's that work for it
    _has_place: bool | None = None  # None: not asked for yet
    _network: str = ""  # that the place is counted for
    _client: Any = None  # the address that a proxy has told of

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.server._arrived(self)
        timeout = self.options.open_timeout
        if timeout is not None and not self._ended:
            assert self._accepted_at is not None
            self._opens_by(self._accepted_at + timeout)
        self._accepted_at = None  # idle connections are many

    @property
    def _has_begun(self) -> bool:
        """Whether it has its deadline, and a place or a refusal."""
        return self._accepted_at is None

    @property
    def remote_address(self) -> Any:
        """The peer's address, as ``socket.getpeername`` gives it; the client's, if a
        proxy that ``forwarded=`` trusts has told of it."""
        return super().remote_address if self._client is None else self._client

    def _on_proxied(self, source: tuple[int, bytes, int] | None) -> None:
        peer = super().remote_address
        if not self.server._proxied(self, peer, client_of(source)):
            self._refuse_unasked(too_many())

    def _log_no_header(self, peer: Any) -> None:
        self._log(
            logging.WARNING,
            "the proxy at %s sends no header of the PROXY protocol",
            shown_address(peer),
        )

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
        if exc is not None and not isinstance(exc, OSError):
            # Of a context's or an SSLObject's subclass; now, as it has its traceback.
            self._log(logging.ERROR, "TLS failed", exc_info=exc)
        super()._on_lost(exc)
        if isinstance(exc, OSError) and exc.errno == errno.EPROTO:
            self._log_no_header(super().remote_address)
        if self._opened:
            self._tell_closed()
        if isinstance(exc, ssl.SSLError):
            self._log(logging.INFO, "TLS failed: %s", printable(exc))
        if self._opening is not None:
            # It may be who waits for the end: then it has a moment for what it does.
            notice = 0.0 if self._lost_waiters is None else _NOTICE
            self.loop.call_later(notice, self._opening.cancel)
            self._opening = None
        self.server._left(self)

    def _respond(self, response: Response, queued: bool) -> bool:
        """Queue it, unless it is; whether the connection is open then."""
        self._opening = None
        self.response = response
        if not queued:
            if self.state is not _CONNECTING or self._ended:
                return False
            try:
                self.protocol.respond(response)
            except Exception as exc:
                self._log(logging.ERROR, "the response can't be sent", exc_info=exc)
                self.response = response = failed()
                self.protocol.respond(response)
        if self._traced:
            self._tell_head(">", response)
        response.headers._pack()
        if response.status_code != 101:
            self._tell_rejected(response)
            return False
        self._opened = True
        self._has_opened()
        self._tell_opened()
        return True


class Attending:
    """The part of a server that works for connections. Arguments as for ``Server``."""

    def __init__(
        self,
        handler: Callable[[Any], Awaitable[Any]] | None,
        listener: ListenerFactory | None,
        handshake: Handshake,
        log: LimitedLogger,
        places: Places,
        forwarded: Forwarded | None,
    ) -> None:
        self.handler = handler
        self.logger = log.logger
        self._listener = listener
        self._handshake = handshake
        self._log = log
        self._places = places
        self._forwarded = forwarded
        self._all: set[Attended] = set()
        self._totals = Totals()
        self._tasks: dict[asyncio.Task[Any], Attended] = {}
        self._changed: asyncio.Event = asyncio.Event()

    def _admit(self, ws: Attended, address: Any = None) -> None:
        """Give it a place; ``address`` is asked of its transport if it isn't given."""
        network = ""
        if self._places.per_address is not None:
            address = ws.remote_address if address is None else address
            if self._forwarded is None or not self._forwarded.trusts(address):
                network = network_of(address)
        # Those that are refused are gone soon, and hold no place meanwhile.
        ws._has_place = self._places.take(network)
        if network:
            ws._network = network

    def _proxied(self, ws: Attended, proxy: Any, client: Any) -> bool:
        """The proxy at an address has told of the client's, or not (None). False if
        that has no place left, and then neither has this connection."""
        ws._client = client
        if not ws._has_place or self._places.per_address is None:
            return True
        network = network_of(proxy if client is None else client)
        if self._places.count(network):
            ws._network = network
            return True
        ws._has_place = False
        self._places.give_back()
        self._log.log(logging.INFO, "connection refused: too many connections")
        return False

    def _arrived(self, ws: Attended) -> None:
        if ws._has_place is None:
            self._admit(ws)
        self._all.add(ws)
        self._totals.accepted += 1
        if self._handshake.closing:
            ws._refuse_unasked(shutting_down())
        elif not ws._has_place:
            self._log.log(logging.INFO, "connection refused: too many connections")
            ws._refuse_unasked(too_many())

    def _left(self, ws: Attended) -> None:
        if ws in self._all:
            self._all.discard(ws)
            code = ws.close_code or _ABNORMAL_CLOSURE
            self._totals.left(ws, code if ws._opened else None)
        self._empty_place(ws)

    def _empty_place(self, ws: Attended) -> None:
        # What is done for a connection holds its place, too.
        if ws._has_place and not ws._running and ws not in self._all:
            ws._has_place = False
            self._places.give_back(ws._network)
        self._changed.set()

    def _run(
        self,
        ws: Attended,
        task: asyncio.Task[Any],
        done: Callable[[asyncio.Task[Any]], None],
    ) -> None:
        self._tasks[task] = ws
        ws._running += 1
        task.add_done_callback(done)

    def _ran(self, task: asyncio.Task[Any]) -> Attended:
        ws = self._tasks.pop(task)
        ws._running -= 1
        self._empty_place(ws)
        return ws

    def _answer(self, ws: Attended, request: Request) -> None:
        if self._handshake.over_tls and (other := other_protocol(ws.transport)):
            text = (
                "TLS agreed on %s by ALPN, and this is HTTP/1.1: ssl= may not offer it"
            )
            ws._log(logging.WARNING, text, printable(other))
            ws.transport.abort()
            return
        if self._forwarded is not None and not self._ask_proxy(ws, request):
            self._answer_with(ws, too_many())
            return
        if not self._handshake.has_hooks:
            self._answer_at_once(ws, request)
            return
        answering = self._answer_later(ws, request)
        try:
            ws._opening = ws.loop.create_task(answering)
        except Exception as exc:
            answering.close()
            self._opening_failed(ws, exc)
        else:
            self._run(ws, ws._opening, self._opening_done)

    def _answer_at_once(self, ws: Attended, request: Request) -> None:
        response = self._handshake.decide(ws, ws.protocol, request, at_once=True)
        queued = response.status_code == 101 and ws.state is _OPEN
        if self._handshake.closing and not queued:
            response = shutting_down()
        self._answer_with(ws, response, queued)

    def _ask_proxy(self, ws: Attended, request: Request) -> bool:
        forwarded, peer = self._forwarded, ws.remote_address
        assert forwarded is not None
        if forwarded.by == "PROXY" or not forwarded.trusts(peer):
            return True
        return self._proxied(ws, peer, forwarded._client_of(request.headers))

    async def _answer_later(self, ws: Attended, request: Request) -> None:
        self._answer_with(ws, await self._handshake.answer(ws, ws.protocol, request))

    def _answer_with(
        self, ws: Attended, response: Response, queued: bool = False
    ) -> None:
        if ws._respond(response, queued):
            self._start_handler(ws)
        # Not before: it goes on to what came with the request, pings for instance.
        ws.flush()
        if ws._peer_ended:
            ws._end_as_peer()

    def _opening_done(self, task: asyncio.Task[None]) -> None:
        ws = self._ran(task)
        ws._opening = None
        if task.cancelled():
            if ws.state is _CONNECTING:
                ws._cut("the opening handshake was cancelled")
            elif self.handler is not None and not ws._running:
                ws._start_close(CloseCode.INTERNAL_ERROR)
        elif (exc := task.exception()) is not None:
            self._opening_failed(ws, exc)

    def _opening_failed(self, ws: Attended, exc: BaseException) -> None:
        ws._log(logging.ERROR, "opening handshake failed", exc_info=exc)
        if ws.state is _CONNECTING:
            ws._respond(failed(), False)
        ws._start_close(CloseCode.INTERNAL_ERROR)
        ws.flush()

    def _start_handler(self, ws: Attended) -> None:
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
            self._end(ws, _INTERNAL_ERROR)
        elif (exc := task.exception()) is not None:
            self._handler_failed(ws, exc)
        else:
            self._end(ws, _NORMAL_CLOSURE)

    def _handler_failed(self, ws: Attended, exc: BaseException) -> None:
        if isinstance(exc, ConnectionClosed) and ws.state is not _OPEN:
            if self.logger.isEnabledFor(logging.DEBUG):
                ws._log(logging.DEBUG, "handler ended: %s", printable(exc))
        else:
            ws._log(logging.ERROR, "connection handler failed", exc_info=exc)
        self._end(ws, _INTERNAL_ERROR)

    def _end(self, ws: Attended, code: int, reason: str = "") -> None:
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


async def _wait_for(running: Awaitable[Any]) -> None:
    if not inspect.isawaitable(running):
        raise TypeError(
            f"the handler gave {running!r}, nothing to await: it has to be a coroutine "
            "function (async def)"
        )
    await running
