"""What a server's and a client's object have in common: messages in and out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self, cast

from aiohttp import EofStream, WebSocketError, WSCloseCode, WSMessage, WSMsgType

from ...enums import CloseCode
from ...exceptions import ConnectionClosed
from ._connection import CLOSING_TRANSPORT, ControlConnection, UpgradedConnection
from ._private import (
    ClientConnectionResetError,
    WSMessageTextBytes,
    WSMessageTypeError,
)

__all__ = ["Messages"]

_TEXT = WSMsgType.TEXT
_BINARY = WSMsgType.BINARY
_ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)
CLOSED_MESSAGE = WSMessage(WSMsgType.CLOSED, None, None)
CLOSING_MESSAGE = WSMessage(WSMsgType.CLOSING, None, None)
# Without the __new__ that a NamedTuple has, in Python.
_tuple = cast(Callable[..., WSMessage], tuple.__new__)


def _compression(connection: UpgradedConnection, compress: int | None) -> bool | None:
    """None leaves it to the connection; 0 does so too, as in aiohttp."""
    if compress is False:
        return False
    if compress and connection.protocol.compression is not None:
        return True
    return None


class Messages:
    """Sending and receiving with aiohttp's names and types."""

    _connection: UpgradedConnection | None = None
    _plain: UpgradedConnection | None = None
    _waiting: bool = False
    _closed: bool = False
    _closing: bool = False
    _close_code: int | None = None
    _close_wait: asyncio.Future[None] | None = None
    _exception: BaseException | None = None
    _receive_timeout: float | None = None
    _decode_text: bool = True
    _autoping: bool = True
    _autoclose: bool = True

    # State

    @property
    def closed(self) -> bool:
        """True when close() was called, or the end of the connection was received."""
        return self._closed

    @property
    def close_code(self) -> int | None:
        """The peer's close code, 0 for none in its close frame, 1006 for no frame."""
        return self._close_code

    def exception(self) -> BaseException | None:
        """What ended the connection, if that wasn't a close frame."""
        return self._exception

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the transport; ``default`` if it doesn't know ``name``."""
        connection = self._connection
        if connection is None or connection.transport is None:
            return default
        return connection.transport.get_extra_info(name, default)

    def _open_connection(self) -> UpgradedConnection:
        connection = self._connection
        if connection is None:
            raise RuntimeError("Call .prepare() first")
        return connection

    # Sending

    async def ping(self, message: bytes = b"") -> None:
        """Send a ping (RFC 6455 §5.5.2) with up to 125 bytes."""
        await self.send_frame(message, WSMsgType.PING)

    async def pong(self, message: bytes = b"") -> None:
        """Send a pong that nobody asked for (RFC 6455 §5.5.3)."""
        await self.send_frame(message, WSMsgType.PONG)

    async def send_frame(
        self, message: bytes, opcode: WSMsgType, compress: int | None = None
    ) -> None:
        """Send a whole message, or a control frame, as ``opcode`` says.

        Raises:
            ProtocolError: for a control frame of more than 125 bytes, or an opcode that
                begins no message.
        """
        connection = self._open_connection()
        if opcode in (_TEXT, _BINARY):
            await self._send(connection, message, opcode == _TEXT, compress)
            return
        if opcode == WSMsgType.CONTINUATION:
            connection.protocol.send_continuation(message)
        elif opcode in (WSMsgType.PING, WSMsgType.PONG, WSMsgType.CLOSE):
            connection.send_control(opcode, message)
        else:
            raise ValueError(f"no opcode of a frame: {opcode!r}")
        if connection.write_paused:
            await self._drain(connection)

    async def send_str(self, data: str, compress: int | None = None) -> None:
        """Send a text message.

        Args:
            data: the text.
            compress: False sends it uncompressed, a positive number compressed if
                compression was agreed on; by default as agreed.

        Raises:
            TypeError: if data isn't str.
            ClientConnectionResetError: if the connection is closing or closed.
        """
        connection = self._connection
        if connection is None:
            raise RuntimeError("Call .prepare() first")
        if not isinstance(data, str):
            raise TypeError(f"data argument must be str ({type(data)!r})")
        if compress is not None:
            await self._send(connection, data, True, compress)
            return
        try:
            await connection.send(data)
        except ConnectionClosed as exc:
            raise ClientConnectionResetError("Connection lost") from exc

    async def send_bytes(self, data: bytes, compress: int | None = None) -> None:
        """Send a binary message; see send_str()."""
        connection = self._connection
        if connection is None:
            raise RuntimeError("Call .prepare() first")
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data argument must be byte-ish ({type(data)!r})")
        if compress is not None:
            await self._send(connection, data, False, compress)
            return
        try:
            await connection.send(data)
        except ConnectionClosed as exc:
            raise ClientConnectionResetError("Connection lost") from exc

    async def send_json(
        self,
        data: Any,
        compress: int | None = None,
        *,
        dumps: Callable[[Any], str] = json.dumps,
    ) -> None:
        """Send ``dumps(data)`` as text."""
        await self.send_str(dumps(data), compress=compress)

    async def send_json_bytes(
        self, data: Any, compress: int | None = None, *, dumps: Callable[[Any], bytes]
    ) -> None:
        """Send ``dumps(data)``, which is bytes, as a binary message."""
        await self.send_bytes(dumps(data), compress=compress)

    async def _send(
        self,
        connection: UpgradedConnection,
        data: Any,
        text: bool,
        compress: int | None,
    ) -> None:
        try:
            await connection.send(data, text, _compression(connection, compress))
        except ConnectionClosed as exc:
            raise ClientConnectionResetError("Connection lost") from exc

    async def _drain(self, connection: UpgradedConnection) -> None:
        try:
            await connection.drain()
        except ConnectionClosed as exc:
            raise ClientConnectionResetError("Connection lost") from exc

    # Receiving

    async def receive(self, timeout: float | None = None) -> WSMessage:
        """Wait for a message.

        Args:
            timeout: in seconds; the object's receive timeout by default.

        Returns:
            TEXT or BINARY, and with ``autoping=False`` PING or PONG; at the end CLOSE
            for the peer's close frame, CLOSING when another task calls close(), CLOSED
            when the connection was lost or closed before, ERROR with an exception.

        Raises:
            asyncio.TimeoutError: after ``timeout``; the connection stays open.
            RuntimeError: if another task is in receive(), or the end was ignored for
                too long.
        """
        connection = self._connection
        if connection is None:
            raise RuntimeError("Call .prepare() first")
        if self._waiting:
            raise RuntimeError("Concurrent call to receive() is not allowed")
        if self._closed or self._closing:
            return await self._receive_after_end()
        timeout = timeout or self._receive_timeout
        self._waiting = True
        try:
            if timeout or not self._autoping:
                async with asyncio.timeout(timeout or None):
                    data = await self._next(connection)
                if isinstance(data, WSMessage):
                    return data
            else:
                data = await connection.recv()
        except ConnectionClosed:
            data = None
        finally:
            self._waiting = False
            if self._close_wait is not None and not self._close_wait.done():
                self._close_wait.set_result(None)
        if type(data) is str:
            if self._decode_text:
                return _tuple(WSMessage, (_TEXT, data, ""))
            return _tuple(WSMessageTextBytes, (_TEXT, data.encode(), ""))
        if data is not None:
            return _tuple(WSMessage, (_BINARY, data, ""))
        return await self._receive_end(connection)

    async def _next(self, connection: UpgradedConnection) -> str | bytes | WSMessage:
        if isinstance(connection, ControlConnection):
            return await connection.recv_or_control()
        return await connection.recv()

    async def _receive_after_end(self) -> WSMessage:
        raise NotImplementedError

    async def _receive_end(self, connection: UpgradedConnection) -> WSMessage:
        """The connection ended, and all messages were received."""
        if self._closed:
            if self._exception is not None:
                return WSMessage(WSMsgType.ERROR, self._exception, None)
            self._set_closing(WSCloseCode.OK)
            return CLOSING_MESSAGE
        protocol = connection.protocol
        connection.stop_heartbeat()
        error = protocol.error
        received = protocol.close_received
        if error is not None:
            sent = protocol.close_sent
            code = CloseCode.PROTOCOL_ERROR if sent is None else sent.code
            failure = WebSocketError(int(code), str(error))
            failure.__cause__ = error
            self._lost(failure)
            return WSMessage(WSMsgType.ERROR, failure, None)
        if received is None:
            self._lost(ClientConnectionResetError(CLOSING_TRANSPORT))
            return CLOSED_MESSAGE
        code = 0 if received.code == CloseCode.NO_STATUS_RCVD else received.code
        self._set_closing(code)
        if self._autoclose:
            await self._close_after_peer()
        return WSMessage(WSMsgType.CLOSE, code, received.reason)

    async def _close_after_peer(self) -> None:
        self._closed = True

    def _lost(self, exc: BaseException) -> None:
        self._closed = True
        self._close_code = WSCloseCode.ABNORMAL_CLOSURE
        self._exception = exc

    def _set_closing(self, code: int) -> None:
        self._closing = True
        self._close_code = code
        if self._connection is not None:
            self._connection.stop_heartbeat()

    def _heartbeat_expired(self, exc: BaseException) -> None:
        connection = self._connection
        if self._closed or connection is None:
            return
        self._lost(exc)
        connection.stop_heartbeat()
        connection.cut()

    async def _closing_handshake(self, connection: UpgradedConnection) -> None:
        """Wait for the peer's close frame and the end of TCP; set what came of it."""
        try:
            await connection.wait_closed()
        except asyncio.CancelledError:
            self._close_code = WSCloseCode.ABNORMAL_CLOSURE
            connection.cut()
            raise
        received = connection.protocol.close_received
        if received is not None and connection.protocol.error is None:
            no_code = received.code == CloseCode.NO_STATUS_RCVD
            self._close_code = 0 if no_code else received.code
            return
        self._close_code = WSCloseCode.ABNORMAL_CLOSURE
        timed_out = connection.cut_why is not None
        self._exception = TimeoutError() if timed_out else EofStream()

    async def receive_str(self, *, timeout: float | None = None) -> str:
        """The next message, which has to be text.

        Raises:
            WSMessageTypeError: if it isn't.
        """
        message = await self.receive(timeout)
        if message.type is not _TEXT:
            raise WSMessageTypeError(
                f"Received message {message.type}:{message.data!r} "
                "is not WSMsgType.TEXT"
            )
        return cast(str, message.data)

    async def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """The next message, which has to be binary; see receive_str()."""
        message = await self.receive(timeout)
        if message.type is not _BINARY:
            raise WSMessageTypeError(
                f"Received message {message.type}:{message.data!r} "
                "is not WSMsgType.BINARY"
            )
        return cast(bytes, message.data)

    async def receive_json(
        self,
        *,
        loads: Callable[[Any], Any] = json.loads,
        timeout: float | None = None,
    ) -> Any:
        """``loads()`` of the next message, which has to be text."""
        return loads(await self.receive_str(timeout=timeout))

    def _set_plain(self, connection: UpgradedConnection, receive: Any) -> None:
        """Let iteration go straight to ``connection`` if receive() does no more."""
        if (
            self._autoping
            and self._decode_text
            and not self._receive_timeout
            and type(self).receive is receive
        ):
            self._plain = connection

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WSMessage:
        connection = self._plain
        if connection is not None and not (
            self._waiting or self._closed or self._closing
        ):
            # receive(), with one coroutine less.
            self._waiting = True
            try:
                data = await connection.recv()
                if type(data) is str:
                    return _tuple(WSMessage, (_TEXT, data, ""))
                return _tuple(WSMessage, (_BINARY, data, ""))
            except ConnectionClosed:
                pass
            finally:
                self._waiting = False
                if self._close_wait is not None and not self._close_wait.done():
                    self._close_wait.set_result(None)
            message = await self._receive_end(connection)
            if message.type in _ENDS:
                raise StopAsyncIteration
            return message
        message = await self.receive()
        if message.type in _ENDS:
            raise StopAsyncIteration
        return message
