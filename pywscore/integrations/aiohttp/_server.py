"""``WebSocketResponse``: aiohttp's, on pywscore's connection."""

from __future__ import annotations

import types
from collections.abc import Collection, Iterable
from typing import Any

from aiohttp import WSCloseCode, WSMessage, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from ... import _core
from ...asyncio._rate import RateLimit
from ...enums import CloseCode, State
from ...http import Headers, Response
from .._ledger import ledger
from ._arguments import OF_SERVERS
from ._connection import (
    CLOSING_TRANSPORT,
    NotingConnection,
    UpgradedConnection,
    carry,
    options_for,
)
from ._heartbeat import signs_by_kernel
from ._messages import CLOSED_MESSAGE, CLOSING_MESSAGE, Messages
from ._opening import accept_head, parameters, wire_text
from ._private import (
    ClientConnectionResetError,
    default_headers_written,
    upgraded_handler,
    use_transport,
)

WebSocketReady = web.WebSocketReady
"""What ``can_prepare()`` gives: ``ok`` and ``protocol``; true if ``ok``."""

__all__ = ["WebSocketReady", "WebSocketResponse"]

# The fifth receive() after the end raises, so that a loop without a way out ends.
_RECEIVES_AFTER_END = 5
_WRITER_LIMIT = 65536


class _Events:
    """The parser that aiohttp's request handler has after the upgrade."""

    __slots__ = ("_response", "received")

    def __init__(self, response: WebSocketResponse) -> None:
        self._response: WebSocketResponse | None = response
        self.received = bytearray()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        # What came together with the request's head.
        self.received += data
        return False, b""

    def feed_eof(self) -> None:
        self._response = None

    def is_response(self, response: Any) -> bool:
        return response is self._response

    def handler_failed(self) -> None:
        if self._response is not None:
            self._response._handler_failed()

    def shutting_down(self) -> None:
        if self._response is not None:
            self._response._shutting_down()

    def shut_down(self) -> None:
        response = self._response
        if response is not None and response._connection is not None:
            response._connection.end()


class WebSocketResponse(Messages, web.WebSocketResponse):  # type: ignore[misc,override]
    """A WebSocket response of an aiohttp handler.

    The arguments are those of ``aiohttp.web.WebSocketResponse``, and four more.

    Args:
        timeout: seconds that close() waits for the peer's close frame.
        receive_timeout: default for receive(), None for no limit.
        autoclose: close when the peer's close frame is received.
        autoping: answer pings; without it receive() gives PING and PONG messages.
        heartbeat: seconds without data until a ping is sent; half as long is waited
            for the pong.
        protocols: the subprotocols that the server speaks.
        compress: accept permessage-deflate, with windows of 12 bits; a number from 9
            to 15 is that of the bits (aiohttp has 15).
        max_msg_size: messages of this size are refused, 0 for no limit.
        writer_limit: bytes of output from which send_*() waits.
        decode_text: False gives text messages as bytes.
        close_on_shutdown: close with 1001 when the application shuts down.
        close_on_error: close with 1011 when the handler raises.
        rate_limit: messages and bytes that the client may send in a second; see
            ``pywscore.RateLimit``.
        carrier: ``"auto"`` takes sockets over into the engine where there is one, those
            with TLS on asyncio's own loop; ``"transport"`` stays with the event loop's
            transport.
    """

    _length_check = False
    _timeout: float | None  # type: ignore[assignment]

    def __init__(
        self,
        *,
        timeout: float | None = 10.0,
        receive_timeout: float | None = None,
        autoclose: bool = True,
        autoping: bool = True,
        heartbeat: float | None = None,
        protocols: Iterable[str] = (),
        compress: bool | int = True,
        max_msg_size: int = 4 * 1024 * 1024,
        writer_limit: int = _WRITER_LIMIT,
        decode_text: bool = True,
        close_on_shutdown: bool = True,
        close_on_error: bool = True,
        rate_limit: RateLimit | None = None,
        carrier: str = "auto",
    ) -> None:
        given = locals()
        usual: dict[str, Any] = WebSocketResponse.__init__.__kwdefaults__ or {}
        # Most are as usual, and one of these is made for each connection.
        for name, check in OF_SERVERS.items():
            if given[name] is not usual[name]:
                given[name] = check(name, given[name])
        web.StreamResponse.__init__(self, status=101)
        if carrier not in ("auto", "transport"):
            raise ValueError(f"carrier must be auto or transport, not {carrier!r}")
        self._protocols: Collection[str] = given["protocols"]
        self._rate_limit = rate_limit
        self._timeout = given["timeout"]
        self._receive_timeout = given["receive_timeout"]
        self._autoclose = autoclose
        self._autoping = autoping
        self._heartbeat: float | None = given["heartbeat"]
        self._compress = compress
        self._max_msg_size: int = given["max_msg_size"]
        self._writer_limit: int = given["writer_limit"]
        self._decode_text = decode_text
        self._close_on_shutdown = close_on_shutdown
        self._close_on_error = close_on_error
        self._carrier = carrier
        self._ws_protocol: str | None = None
        self._accepted: _core.ServerProtocol | None = None
        self._conn_lost = 0

    __class_getitem__: Any = classmethod(types.GenericAlias)

    # State

    @property
    def prepared(self) -> bool:
        """True after prepare()."""
        return self._connection is not None

    @property
    def ws_protocol(self) -> str | None:
        """The subprotocol that was chosen."""
        return self._ws_protocol

    @property
    def compress(self) -> int | bool:
        """After prepare(), the window bits of what is sent, 0 without compression."""
        return self._compress

    # Opening

    def can_prepare(self, request: web.BaseRequest) -> WebSocketReady:
        """Would prepare() accept this request?

        Args:
            request: it.

        Returns:
            What is true or false, with the subprotocol in its ``protocol``.

        Raises:
            RuntimeError: after prepare().
        """
        if self._connection is not None:
            raise RuntimeError("Already started")
        try:
            _, protocol, _, _ = self._handshake(request)
        except web.HTTPException:
            return WebSocketReady(False, None)
        return WebSocketReady(True, protocol)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Do the opening handshake, once (RFC 6455 §4.2).

        Args:
            request: what to answer.

        Returns:
            What aiohttp writes its responses with.

        Raises:
            HTTPBadRequest: if this isn't a WebSocket handshake.
            ClientConnectionResetError: if the client is gone.
        """
        if self._payload_writer is not None:
            return self._payload_writer
        headers, protocol, compress, _ = self._handshake(request)
        self.set_status(101)
        self.headers.update(headers)
        self.force_close()
        self._compress = compress
        self._ws_protocol = protocol
        if request.transport is None:
            raise ClientConnectionResetError("Connection lost")
        try:
            writer = await web.StreamResponse.prepare(self, request)
        except BaseException:
            if self._connection is None:
                self._payload_writer = None  # it may be tried again
            raise
        assert writer is not None
        request.protocol.keep_alive(False)
        return writer

    def _handshake(
        self, request: web.BaseRequest
    ) -> tuple[CIMultiDict[str], str | None, int, bool]:
        """The response's headers, the subprotocol, the window bits of what we compress
        (0 for none), and whether the window is forgotten after each message."""
        accepted, headers, protocol = accept_head(
            request,
            protocols=self._protocols,
            compress=self._compress,
            max_msg_size=self._max_msg_size,
        )
        self._accepted = accepted
        bits, forgets = parameters(headers)
        return headers, protocol, bits, forgets

    async def _write_headers(self) -> None:
        # Called by StreamResponse when the headers are complete: it is the core that
        # writes them, as the first bytes of the connection.
        request, accepted = self._req, self._accepted
        if request is None or accepted is None:  # without prepare()
            await super()._write_headers()
            return
        self._accepted = None
        transport = request.transport
        # A mock's is_closing() is neither.
        if transport is None or transport.is_closing() is True:
            raise ClientConnectionResetError(CLOSING_TRANSPORT)
        lines = [(name, wire_text(value)) for name, value in self.headers.items()]
        headers = Headers(lines)
        accepted.respond(Response(101, self.reason or "", headers))
        handler = request.protocol
        connection = self._new_connection(accepted, handler, transport)
        self._use(connection, self._max_msg_size)
        try:
            events = _Events(self)
            handler.set_parser(events)  # type: ignore[arg-type]
            upgraded_handler(handler)
            received = bytes(events.received)
            events.received.clear()
            taken = carry(
                transport, connection, received, on_engine=self._on_engine(connection)
            )
        except BaseException:
            transport.abort()  # aiohttp has no other response after an upgrade
            raise
        if not connection._lost:
            use_transport(handler, taken)
        size = sum(len(name) + len(value) + 4 for name, value in headers.raw_items())
        default_headers_written(self._payload_writer, size)
        if self._heartbeat is not None and not connection._lost:
            connection.start_heartbeat(self._heartbeat, self._no_pong)

    def _new_connection(
        self, accepted: _core.ServerProtocol, handler: Any, transport: Any
    ) -> UpgradedConnection:
        # A deadline of no seconds is one that has passed.
        timeout = None if self._timeout is None else max(self._timeout, 0.001)
        options = options_for(timeout, self._writer_limit, self._rate_limit)
        cls: type[UpgradedConnection] = UpgradedConnection
        if self._heartbeat is not None and signs_by_kernel(transport) is None:
            cls = NotingConnection
        connection = cls(accepted, handler, options=options)
        ledger.begin(connection)
        return connection

    def _on_engine(self, connection: UpgradedConnection) -> bool:
        # Bytes that go through Python are read by the transport.
        return self._carrier == "auto" and type(connection) is UpgradedConnection

    # The end

    async def _receive_after_end(self) -> WSMessage:
        if self._closed:
            self._conn_lost += 1
            if self._conn_lost >= _RECEIVES_AFTER_END:
                raise RuntimeError("WebSocket connection is closed.")
            return CLOSED_MESSAGE
        return CLOSING_MESSAGE

    async def close(
        self,
        *,
        code: int = WSCloseCode.OK,
        message: bytes | str = b"",
        drain: bool = True,
    ) -> bool:
        """Close the connection.

        The heartbeat ends, the close frame is sent, a receive() that waits in another
        task gets CLOSING, and the transport is closed: at once if one did, else when
        the peer's close frame came or ``timeout`` is over.

        Args:
            code: the close code; one that can't be sent is left out.
            message: the reason, up to 123 bytes of UTF-8.
            drain: for compatibility; output is always sent before the transport ends.

        Returns:
            False if the connection was closed before.
        """
        return await self._close(code, message)

    async def write_eof(self) -> None:  # type: ignore[override]
        """Called by aiohttp when the handler returned: close.

        Raises:
            RuntimeError: before prepare().
        """
        if self._eof_sent:
            return
        if self._payload_writer is None:
            raise RuntimeError("Response has not been started")
        await self.close()
        self._eof_sent = True

    async def write(self, data: Any) -> None:
        """Not on a WebSocket.

        Args:
            data: no matter.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("Cannot call .write() for websocket")

    def _no_pong(self) -> None:
        interval = self._heartbeat
        assert interval is not None
        self._heartbeat_expired(
            TimeoutError(f"No PONG received after {interval / 2} seconds")
        )

    def _handler_failed(self) -> None:
        connection = self._connection
        if connection is None:
            return
        connection.end_known()
        connection.answer_close()
        if connection.state is not State.OPEN:
            return
        if self._close_on_error:
            connection._start_close(CloseCode.INTERNAL_ERROR, "internal error")
            # aiohttp would close it before the peer has read why.
            if self._req is not None:
                self._req.protocol.transport = None

    def _shutting_down(self) -> None:
        connection = self._connection
        if connection is not None and self._close_on_shutdown:
            connection._start_close(CloseCode.GOING_AWAY, "server shutdown")
