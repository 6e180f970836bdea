"""A WebSocket connection as ASGI applications see it (version 2.5 of its messages).

What is particular to a server is left to a subclass.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, ClassVar
from urllib.parse import unquote

from ... import _core
from ..._shown import printable
from ...asyncio._engine import can_take_over, take_over
from ...asyncio._refusals import refusal
from ...asyncio.connection import Connection
from ...enums import CloseCode, State
from ...exceptions import ConcurrencyError, ConnectionClosed, InvalidHandshake
from ...http import Headers, Request, Response, plain_response
from .._ledger import ledger

Event = dict[str, Any]


class ASGIConnection(Connection):
    """A connection that calls an ASGI application for its request.

    A subclass sets the attributes without a value when it is made.
    """

    protocol: _core.ServerProtocol

    app: Callable[..., Awaitable[Any]]
    app_state: Event
    asgi_version: str
    root_path: str
    server: tuple[str, int | None] | None = None
    """Our address, for the scope."""
    client: tuple[str, int] | None = None
    """The peer's address, for the scope."""
    scheme: str = "ws"
    """``ws`` or ``wss``, for the scope."""
    tasks: set[asyncio.Task[None]]
    app_logger: logging.Logger
    """What the application does wrong, and how requests are answered, goes here."""
    carrier: str = "auto"
    """``"auto"`` takes sockets over into the engine once the request is accepted, where
    there is one, those with TLS on asyncio's own loop; ``"transport"`` leaves them to
    the loop's transports."""
    disconnect_error: type[OSError] = OSError
    """Raised by ``send()`` when the client is gone."""

    initial_response: tuple[int, Headers] | None = None
    """Status and headers of a denial response that the application began."""
    scope: Event

    _warned_of_proxy: ClassVar[bool] = False
    _accepted: bool = False
    _app_closed: bool = False  # the application sent websocket.close, or denied
    _connect_given: bool = False
    _shut_down: bool = False  # the server closed with 1012
    _disconnected: Event | None = None
    _receivers: deque[asyncio.Future[None]] | None = None
    _denial_body: bytearray | None = None  # until its length is known
    _denial_left: int | None = None  # of the Content-Length, once the head is sent

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """What all responses begin with."""
        return []

    @property
    def handshake_complete(self) -> bool:
        """Whether the request has been answered."""
        return self.state is not State.CONNECTING

    @property
    def close_sent(self) -> bool:
        """Whether a close frame or a refusal has been sent."""
        return self._app_closed or self.protocol.close_sent is not None

    def _log_answer(self, what: str) -> None:
        """Log how the request is answered."""

    def _on_request(self, request: Request) -> None:
        self.request = request
        self._opens_by(None)  # from here on it is the application's time
        if isinstance(self.protocol.handshake_exception, InvalidHandshake):
            self._refuse(self.protocol.handshake_exception)
            return
        self.scope = self._make_scope(request)
        task: asyncio.Task[None] = self.loop.create_task(
            _core.Stepper(self._run_asgi())
        )
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _refuse(self, exc: InvalidHandshake) -> None:
        self._app_closed = True
        self._log(logging.INFO, "opening handshake failed: %s", printable(exc))
        if self.request is not None and self.request.protocol == "HTTP/1.0":
            self._warn_of_proxy()
        self._answer(refusal(exc, self.protocol.refusal))

    @classmethod
    def _warn_of_proxy(cls) -> None:
        """Say once what a request of HTTP/1.0 comes from most of the time."""
        if not cls._warned_of_proxy:
            cls._warned_of_proxy = True
            cls.app_logger.warning(
                "A WebSocket request of HTTP/1.0 was refused. nginx sends it as such "
                "without 'proxy_http_version 1.1;'."
            )

    def eof_received(self) -> bool:
        kept = super().eof_received()
        if kept and self.options.open_timeout is not None:
            # The application has no end to its time, but nobody may be there.
            self._opens_by(self.loop.time() + self.options.open_timeout)
        return kept

    def _on_lost(self, exc: Exception | None) -> None:
        super()._on_lost(exc)
        ledger.end(self, self._accepted)
        if self._accepted:
            self._tell_closed()

    def _on_closing(self) -> None:
        if self._denial_left is not None:
            return  # the rest of the body is to come
        super()._on_closing()
        self._end_receiving()

    # The application

    def _make_scope(self, request: Request) -> Event:
        path, _, query = request.path.partition("?")
        raw_path = path.encode("latin-1", "surrogateescape")
        return {
            "type": "websocket",
            "asgi": {"version": self.asgi_version, "spec_version": "2.5"},
            "http_version": "1.1",
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "root_path": self.root_path,
            "path": self.root_path + unquote(path),
            "raw_path": self.root_path.encode() + raw_path,
            "query_string": query.encode("latin-1", "surrogateescape"),
            "headers": [
                (name.lower().encode(), value.encode("latin-1", "surrogateescape"))
                for name, value in request.headers.raw_items()
            ],
            "subprotocols": self.protocol.offered_subprotocols,
            "state": self.app_state.copy(),
            "extensions": {
                "websocket.http.response": {},
                # For rooms, which send in C what they would send by the application.
                "pywscore": {"connection": weakref.ref(self)},
            },
        }

    async def _run_asgi(self) -> None:
        code = CloseCode.NORMAL_CLOSURE
        try:
            result = await self.app(self.scope, self.asgi_receive, self.asgi_send)
        except self.disconnect_error:
            pass
        except BaseException:
            code = CloseCode.INTERNAL_ERROR
            self.app_logger.exception("Exception in ASGI application\n")
        else:
            if self.state is State.CONNECTING:
                self.app_logger.error(
                    "ASGI callable returned without completing handshake."
                )
            elif result is not None:
                code = CloseCode.INTERNAL_ERROR
                self.app_logger.error(
                    "ASGI callable should return None, but returned '%s'.", result
                )
        if self.state is State.OPEN:
            self._start_close(code)
        elif self.state is State.CONNECTING:
            self._send_500()
        elif self._denial_left is not None:
            self._cut("the application ended within a response")

    async def asgi_receive(self) -> Event:
        """What ASGI's ``receive()`` gives: ``websocket.connect``,
        ``websocket.receive``, and ``websocket.disconnect`` once the connection has
        ended."""
        if not self._connect_given:
            self._connect_given = True
            return {"type": "websocket.connect"}
        try:
            message = await self.recv()
        except ConcurrencyError:
            await self._wait_to_receive()
            return await self.asgi_receive()
        except ConnectionClosed:
            if self._disconnected is None:
                self._disconnected = self._make_disconnect()
            return self._disconnected.copy()
        finally:
            if self._receivers:
                self._let_next_receive()
        if type(message) is str:
            return {"type": "websocket.receive", "text": message}
        return {"type": "websocket.receive", "bytes": message}

    async def _wait_to_receive(self) -> None:
        # Tasks that receive at the same time get a message each, in turn.
        if self._receivers is None:
            self._receivers = deque()
        turn = self.loop.create_future()
        self._receivers.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._receivers:
                self._receivers.remove(turn)
            elif self._receivers:
                self._let_next_receive()
            raise

    def _let_next_receive(self) -> None:
        while self._receivers:
            turn = self._receivers.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _make_disconnect(self) -> Event:
        # The side that closed first says why. Without a close frame of the peer or the
        # application there is no reason to give.
        protocol = self.protocol
        close = protocol.close_sent
        if close is None or protocol.close_received_then_sent:
            close = protocol.close_received
        if close is None:
            return {"type": "websocket.disconnect", "code": 1006}
        code = int(close.code)
        if self._shut_down and not protocol.close_received_then_sent:
            return {"type": "websocket.disconnect", "code": code}
        return {"type": "websocket.disconnect", "code": code, "reason": close.reason}

    async def asgi_send(self, message: Event) -> None:
        """ASGI's ``send()``.

        Args:
            message: a ``websocket.accept``, ``websocket.send`` or ``websocket.close``,
                or of a response that denies the request.

        Raises:
            OSError: of class ``disconnect_error``, if the client is gone.
            RuntimeError: if it isn't the time for such a message.
            TypeError: for text that isn't ``str``, or bytes that aren't bytes-like.
        """
        kind = message["type"]
        if kind == "websocket.send" and self._accepted and not self._app_closed:
            data = message.get("bytes")
            if data is None:
                data = message.get("text")
                if data is None:
                    return
                if not isinstance(data, str):
                    raise TypeError(f"'text' must be str, not {type(data).__name__}")
            elif not isinstance(data, (bytes, bytearray, memoryview)):
                raise TypeError(f"'bytes' must be bytes, not {type(data).__name__}")
            try:
                await self.send(data)
            except ConnectionClosed:
                raise self.disconnect_error() from None
            return
        if self._lost:
            raise self.disconnect_error()
        if self.initial_response is not None and not self._app_closed:
            await self._send_denial_body(message)
        elif self._app_closed:
            raise RuntimeError(
                f"Unexpected ASGI message '{kind}', after sending 'websocket.close'."
            )
        elif not self._accepted:
            self._send_answer(message)
        elif kind == "websocket.close":
            code = message.get("code")
            self._app_close(1000 if code is None else code, message.get("reason") or "")
        else:
            raise RuntimeError(
                "Expected ASGI message 'websocket.send' or 'websocket.close', "
                f"but got '{kind}'."
            )

    async def _send_slow(
        self, message: Any, text: bool | None, compress: bool | None
    ) -> None:
        if self.state is not State.OPEN:
            raise self.protocol.close_exception  # now, not when TCP has ended
        await super()._send_slow(message, text, compress)

    def _app_close(self, code: int, reason: str) -> None:
        if self.state is State.OPEN:
            self._start_close(code, reason)
            self._app_closed = True

    # The answer to the request

    def _send_answer(self, message: Event) -> None:
        kind = message["type"]
        if kind not in (
            "websocket.accept",
            "websocket.close",
            "websocket.http.response.start",
        ):
            raise RuntimeError(
                "Expected ASGI message 'websocket.accept', 'websocket.close' or "
                f"'websocket.http.response.start' but got '{kind}'."
            )
        if self.state is not State.CONNECTING:
            raise self.disconnect_error()
        if kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            self._log_answer("403")
            self._app_closed = True
            self._answer(plain_response(http.HTTPStatus.FORBIDDEN, ""))
        else:
            with self._or_500():
                self._start_denial(message)

    def _accept(self, message: Event) -> None:
        self._log_answer("[accepted]")
        subprotocol = message.get("subprotocol")
        if subprotocol and subprotocol not in self.protocol.offered_subprotocols:
            # RFC 6455 §4.1: the client would have to fail the connection.
            self.app_logger.warning(
                "The subprotocol '%s' is left out: the client didn't offer it.",
                subprotocol,
            )
            subprotocol = None
        headers = _texts([*self.default_headers, *message.get("headers", ())])
        if self._traced:
            response = self.protocol.build_response(
                subprotocol=subprotocol or None, headers=headers
            )
            self.protocol.respond(response)
            self._tell_head(">", response)
        else:
            self.protocol.accept(subprotocol=subprotocol or None, headers=headers)
        self._accepted = True
        self._take_over()
        self.flush()
        self._has_opened()
        self._end_as_peer()
        self._tell_opened()

    def _take_over(self, *, again: bool = False) -> None:
        """Let the engine have the socket, if it can carry it."""
        transport = self.transport
        if self._lost or self._ended or self.carrier != "auto":
            return
        if not can_take_over(transport, self.loop):
            return
        if transport.get_protocol() is not self:
            # The server hasn't handed over yet: the application's task ran at once
            # (asyncio.eager_task_factory).
            if not again:
                self.loop.call_soon(partial(self._take_over, again=True))
            return
        try:
            take_over(transport, self)
        except OSError as exc:
            # No descriptor to be had: the transport still has its own.
            self._log(logging.WARNING, "the engine can't take a socket over: %s", exc)

    def _answer(self, response: Response) -> None:
        """Send a whole response that isn't the application's, and end."""
        headers = Headers(_texts(self.default_headers))
        for name, value in response.headers.raw_items():
            if name.lower() != "date":
                headers[name] = value
        response.headers = headers
        self._respond(response)

    def _respond(self, response: Response, body_left: int | None = None) -> None:
        self.protocol.respond(response)  # if that raises, nothing has changed
        self.response = response
        self._denial_left = body_left
        self._tell_head(">", response)
        self.flush()
        self._tell_rejected(response)

    def _send_500(self) -> None:
        if self.state is State.CONNECTING:
            self._app_closed = True
            try:
                self._answer(plain_response(500, "Internal Server Error"))
            except ValueError:  # the server's own headers
                self._cut("no response can be sent")

    @contextlib.contextmanager
    def _or_500(self) -> Iterator[None]:
        # The application may go on as if nothing was wrong, but the client would wait.
        try:
            yield
        except ValueError:
            self._send_500()
            raise

    def _start_denial(self, message: Event) -> None:
        status = message["status"]
        if not 200 <= status < 600:
            raise RuntimeError(f"Invalid HTTP status code '{status}' in response.")
        self._log_answer(str(status))
        headers = Headers(_texts([*self.default_headers, *message.get("headers", ())]))
        if "Connection" not in headers:
            headers["Connection"] = "close"
        if "Content-Type" not in headers:
            headers["Content-Type"] = "text/plain; charset=utf-8"
        self.initial_response = status, headers
        lengths = headers.get_all("Content-Length")
        if len(lengths) == 1 and lengths[0].isdecimal():
            self._deny(b"", int(lengths[0]))
        else:
            self._denial_body = bytearray()

    def _deny(self, body: bytes, body_left: int | None = None) -> None:
        assert self.initial_response is not None
        status, headers = self.initial_response
        self._respond(Response(status, _phrase(status), headers, body), body_left)

    async def _send_denial_body(self, message: Event) -> None:
        if message["type"] != "websocket.http.response.body":
            raise RuntimeError(
                "Expected ASGI message 'websocket.http.response.body' but got "
                f"'{message['type']}'."
            )
        body = message.get("body", b"")
        done = not message.get("more_body", False)
        if self._denial_left is not None:
            await self._stream_denial(body, done)
        elif self._denial_body is not None:
            self._denial_body += body
            if done:
                self._finish_denial(bytes(self._denial_body))

    async def _stream_denial(self, body: bytes, done: bool) -> None:
        assert self._denial_left is not None
        if len(body) > self._denial_left:
            raise RuntimeError("Response content longer than Content-Length")
        self._denial_left -= len(body)
        if done and self._denial_left:
            raise RuntimeError("Response content shorter than Content-Length")
        try:
            if body:
                await self.drain()  # the head is out before
                self.transport.write(body)
                await self.drain()
        except ConnectionClosed:
            raise self.disconnect_error() from None
        if done:
            self._denial_left = None
            self._app_closed = True
            self._on_closing()

    def _finish_denial(self, body: bytes) -> None:
        assert self.initial_response is not None
        headers = self.initial_response[1]
        if self.state is not State.CONNECTING:
            raise self.disconnect_error()
        headers["Content-Length"] = str(len(body))
        self._app_closed = True
        with self._or_500():
            self._deny(body)


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _texts(headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    # White space around a value is no part of it (RFC 9110 §5.5).
    return [
        (bytes(n).decode("latin-1"), bytes(v).strip(b" \t").decode("latin-1"))
        for n, v in headers
    ]
