"""``ws_connect()``: a WebSocket client over an aiohttp session."""

from __future__ import annotations

import types
import warnings
import weakref
from collections.abc import Collection, Generator, Iterable
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import (
    ClientResponse,
    ClientSession,
    ServerTimeoutError,
    WebSocketError,
    WSCloseCode,
    WSMessage,
    WSServerHandshakeError,
    hdrs,
)
from multidict import CIMultiDict

from ... import _core
from ...asyncio._arguments import checked
from ...extensions import PerMessageDeflate
from ._arguments import OF_CLIENTS
from ._connection import (
    NotingConnection,
    UpgradedConnection,
    carry,
    options_for,
)
from ._heartbeat import signs_by_kernel
from ._messages import CLOSED_MESSAGE, Messages
from ._opening import deflate_elements
from ._private import ClientConnectionResetError, ClientWSTimeout, client_protocol

__all__ = ["ClientWebSocketResponse", "ws_connect"]

_WRITER_LIMIT = 65536
_DEFAULT: Any = object()
_SWITCHING = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"
)
# What asks for the upgrade, unless the caller's headers do.
_ASK = {
    hdrs.UPGRADE: "websocket",
    hdrs.CONNECTION: "Upgrade",
    hdrs.SEC_WEBSOCKET_VERSION: "13",
}


class _Tail:
    """The parser and payload that aiohttp's client protocol has after the upgrade.

    Args:
        response: is closed at the end of TCP, however that came. Not kept alive, for a
            response that is forgotten gives its place in the pool back too.
    """

    def __init__(self, response: ClientResponse) -> None:
        self.received = bytearray()
        self._response = weakref.ref(response)

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.received += data
        return False, b""

    def feed_eof(self) -> None:
        response = self._response()
        if response is not None:
            response.close()

    def set_exception(self, exc: Any, cause: Any = None) -> None:
        pass

    def is_eof(self) -> bool:
        return False


class ClientWebSocketResponse(Messages, aiohttp.ClientWebSocketResponse):  # type: ignore[misc]
    """A client's connection, with the interface of aiohttp's class of this name.

    Its place in the session's connector is given back when TCP ends, and when this is
    closed at the latest.
    """

    def __init__(
        self,
        connection: UpgradedConnection,
        response: ClientResponse,
        protocol: str | None,
        *,
        timeout: ClientWSTimeout,
        autoclose: bool,
        autoping: bool,
        heartbeat: float | None,
        decode_text: bool,
        max_msg_size: int,
    ) -> None:
        self._response = response
        self._protocol = protocol
        self._receive_timeout = timeout.ws_receive
        self._autoclose = autoclose
        self._autoping = autoping
        self._decode_text = decode_text
        self._heartbeat = heartbeat
        self._use(connection, max_msg_size)

    __class_getitem__: Any = classmethod(types.GenericAlias)

    @property
    def _conn(self) -> Any:  # type: ignore[override]
        return self._response.connection

    @property
    def protocol(self) -> str | None:
        """The subprotocol that the server chose."""
        return self._protocol

    @property
    def compress(self) -> int:
        """The window bits of what is sent, 0 without compression."""
        agreed = self._open_connection().protocol.compression
        return 0 if agreed is None else agreed.client_max_window_bits or 15

    @property
    def client_notakeover(self) -> bool:
        """Is the window forgotten after each message that is sent?"""
        agreed = self._open_connection().protocol.compression
        return agreed is not None and agreed.client_no_context_takeover

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport knows, while the connection isn't closed.

        Args:
            name: as of ``transport.get_extra_info()``.
            default: what to return if it isn't known.
        """
        if self._response.connection is None:
            return default
        return super().get_extra_info(name, default)

    def _failed(self, failure: WebSocketError) -> None:
        self._closed = True
        self._close_code = failure.code
        self._response.close()

    def _lost(self, exc: BaseException) -> None:
        super()._lost(exc)
        self._response.close()

    def _timed_out(self) -> None:
        self._close_code = WSCloseCode.ABNORMAL_CLOSURE

    async def _receive_after_end(self) -> WSMessage:
        if not self._closed:
            await self.close()
        return CLOSED_MESSAGE

    async def _close_after_peer(self) -> None:
        self._open_connection().answer_close()
        await self.close()

    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes | str = b""
    ) -> bool:
        """Close the connection; see WebSocketResponse.close().

        Args:
            code: the close code; one that can't be sent is left out.
            message: the reason, up to 123 bytes of UTF-8.

        Returns:
            False if it was closed before.
        """
        connection = self._open_connection()
        if self._closed:
            return False
        try:
            return await self._close(code, message, waits=True)
        finally:
            try:
                connection.write_now()
            finally:
                self._response.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _start_heartbeat(self) -> None:
        connection = self._open_connection()
        if self._heartbeat is not None and not connection._lost:
            # What nobody refers to any more isn't kept by its clock.
            known = weakref.ref(self)

            def expired() -> None:
                ws = known()
                if ws is not None:
                    ws._no_pong()

            connection.start_heartbeat(self._heartbeat, expired)

    def _no_pong(self) -> None:
        assert self._heartbeat is not None
        half = self._heartbeat / 2
        self._heartbeat_expired(
            ServerTimeoutError(f"No PONG received after {half} seconds")
        )


class _Connecting:
    """What ws_connect() returns: to be awaited, or entered with ``async with``."""

    def __init__(self, coroutine: Any) -> None:
        self._coroutine = coroutine
        self._ws: ClientWebSocketResponse | None = None

    def __await__(self) -> Generator[Any, None, ClientWebSocketResponse]:
        return self._coroutine.__await__()  # type: ignore[no-any-return]

    async def __aenter__(self) -> ClientWebSocketResponse:
        self._ws = await self
        return self._ws

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._ws is not None
        await self._ws.close()


def ws_connect(
    session: ClientSession,
    url: Any,
    *,
    method: str = hdrs.METH_GET,
    protocols: Iterable[str] = (),
    timeout: ClientWSTimeout | float | None = _DEFAULT,
    receive_timeout: float | None = None,
    autoclose: bool = True,
    autoping: bool = True,
    heartbeat: float | None = None,
    origin: str | None = None,
    headers: Any = None,
    compress: int = 0,
    max_msg_size: int = 4 * 1024 * 1024,
    decode_text: bool = True,
    **request: Any,
) -> _Connecting:
    """Connect to a WebSocket server through a session, as ``session.ws_connect()``
    does.

    Args:
        session: whose connector, TLS, cookies and proxies are used.
        url: the server's address, of ``ws``, ``wss``, ``http`` or ``https``.
        method: of the request.
        protocols: the subprotocols to offer, the preferred one first.
        timeout: a ``ClientWSTimeout``: seconds that close() waits for the peer's close
            frame, and those of receive().
        receive_timeout: the old way to say the latter.
        autoclose: close when the peer's close frame is received.
        autoping: answer pings; without it receive() gives PING and PONG messages.
        heartbeat: seconds without data until a ping is sent; half as long is waited for
            the pong.
        origin: value of the Origin header.
        headers: more headers for the request.
        compress: offer permessage-deflate, with windows of so many bits, 9 to 15; 0 for
            no offer.
        max_msg_size: messages of this size are refused, 0 for no limit.
        decode_text: False gives text messages as bytes.
        request: for ``session.request()``.

    Returns:
        An awaitable of a ClientWebSocketResponse, and an asynchronous context manager.

    Raises:
        ValueError: for another ``compress``.
        WSServerHandshakeError: if the server doesn't accept; when it is awaited, as
            what ``session.request()`` raises.
    """
    given = checked(
        {**locals(), "timeout": None if timeout is _DEFAULT else timeout}, OF_CLIENTS
    )
    max_msg_size, headers = given["max_msg_size"], given["headers"]
    if not isinstance(timeout, ClientWSTimeout):
        if timeout is not _DEFAULT:
            warnings.warn(
                "parameter 'timeout' of type 'float' is deprecated, please use "
                "'timeout=ClientWSTimeout(ws_close=...)'",
                DeprecationWarning,
                stacklevel=2,
            )
        timeout = ClientWSTimeout(ws_close=10.0 if timeout is _DEFAULT else timeout)
    if receive_timeout is not None:
        warnings.warn(
            "float parameter 'receive_timeout' is deprecated, please use parameter "
            "'timeout=ClientWSTimeout(ws_receive=...)'",
            DeprecationWarning,
            stacklevel=2,
        )
        timeout = ClientWSTimeout(ws_receive=receive_timeout, ws_close=timeout.ws_close)
    if compress and not 9 <= compress <= 15:
        raise ValueError("compress must be 0, or window bits from 9 to 15")
    bits = compress if compress and compress < 15 else None
    protocol = _core.ClientProtocol(
        target="/",
        headers=[("Host", "aiohttp")],
        max_size=max_msg_size or None,
        # The caller's own headers may offer it, too.
        compression=PerMessageDeflate(server_max_window_bits=bits, mem_level=5),
    )
    protocol.data_to_send()  # aiohttp sends the request
    lines: CIMultiDict[str] = CIMultiDict() if headers is None else headers
    for name, value in _ASK.items():
        lines.setdefault(name, value)
    ours = protocol.request.headers
    lines[hdrs.SEC_WEBSOCKET_KEY] = ours[hdrs.SEC_WEBSOCKET_KEY]
    if compress:
        lines[hdrs.SEC_WEBSOCKET_EXTENSIONS] = ours[hdrs.SEC_WEBSOCKET_EXTENSIONS]
    known: Collection[str] = given["protocols"]
    if known:
        lines[hdrs.SEC_WEBSOCKET_PROTOCOL] = ",".join(known)
    if origin is not None:
        lines[hdrs.ORIGIN] = origin
    settings = {
        "timeout": timeout,
        "autoclose": autoclose,
        "autoping": autoping,
        "heartbeat": heartbeat,
        "decode_text": decode_text,
        "max_msg_size": max_msg_size,
    }
    request.update(method=method, url=url, headers=lines, read_until_eof=False)
    return _Connecting(_connect(session, request, protocol, known, settings))


async def _connect(
    session: ClientSession,
    request: dict[str, Any],
    protocol: _core.ClientProtocol,
    known: Collection[str],
    settings: dict[str, Any],
) -> ClientWebSocketResponse:
    response = await session.request(**request)
    try:
        subprotocol = _check(response, protocol, known)
        owner, transport = client_protocol(response)
        if transport is None:
            raise ClientConnectionResetError("Connection lost")
        timeout: ClientWSTimeout = settings["timeout"]
        ws_close = timeout.ws_close
        if ws_close is not None:
            ws_close = max(ws_close, 0.001)
        options = options_for(ws_close, _WRITER_LIMIT)
        beats = settings["heartbeat"] is not None
        cls: type[UpgradedConnection] = UpgradedConnection
        if beats and signs_by_kernel(transport) is None:
            cls = NotingConnection
        connection = cls(protocol, owner, options=options)
        ws = ClientWebSocketResponse(connection, response, subprotocol, **settings)
        owner.read_timeout = None
        tail = _Tail(response)
        owner.set_parser(tail, tail)
        carry(transport, connection, tail.received, on_engine=False)
        ws._start_heartbeat()
    except BaseException:
        response.close()
        raise
    return ws


def _check(
    response: ClientResponse, protocol: _core.ClientProtocol, known: Collection[str]
) -> str | None:
    """Let ``protocol`` read what aiohttp looks at in a response.

    Returns:
        The subprotocol that the server chose, None if we didn't ask for it.
    """

    def refuse(why: str) -> WSServerHandshakeError:
        return WSServerHandshakeError(
            response.request_info,
            response.history,
            message=why,
            status=response.status,
            headers=response.headers,
        )

    headers = response.headers
    if response.status != 101:
        raise refuse("Invalid response status")
    if headers.get(hdrs.UPGRADE, "").lower() != "websocket":
        raise refuse("Invalid upgrade header")
    connection = ",".join(headers.getall(hdrs.CONNECTION, ()))
    if "upgrade" not in (item.strip() for item in connection.lower().split(",")):
        raise refuse("Invalid connection header")
    accept = _core.accept_key(protocol.request.headers[hdrs.SEC_WEBSOCKET_KEY])
    if headers.get(hdrs.SEC_WEBSOCKET_ACCEPT) != accept:
        raise refuse("Invalid challenge response")
    lines = [_SWITCHING, f"Sec-WebSocket-Accept: {accept}"]
    offers = response.request_info.headers.getall(hdrs.SEC_WEBSOCKET_EXTENSIONS, ())
    if "permessage-deflate" in ",".join(offers):
        answers = ",".join(headers.getall(hdrs.SEC_WEBSOCKET_EXTENSIONS, ()))
        if "permessage-deflate" in answers:
            agreed = deflate_elements(answers)
            if not agreed:
                raise refuse(f"Extension for deflate not supported: {answers}")
            lines.append(f"Sec-WebSocket-Extensions: {agreed[0]}")
    protocol.receive_data("\r\n".join([*lines, "", ""]).encode())
    protocol.next_event()
    failure = protocol.handshake_exception
    if failure is not None:
        raise refuse(str(failure)) from failure
    if known:
        for chosen in headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(","):
            if chosen.strip() in known:
                return chosen.strip()
    return None
