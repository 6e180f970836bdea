"""What a server's and a client's object have in common: messages in and out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

from aiohttp import EofStream, WebSocketError, WSCloseCode, WSMessage, WSMsgType

from ... import _core
from ..._shown import unawaited
from ...enums import CloseCode, State
from ...exceptions import ConnectionClosed
from ._connection import CLOSING_TRANSPORT, UpgradedConnection
from ._private import (
    ClientConnectionResetError,
    WSMessageTextBytes,
    WSMessageTypeError,
)
from ._stand_ins import Reader, Writer

__all__ = ["Messages"]

_TEXT = WSMsgType.TEXT
_BINARY = WSMsgType.BINARY
_ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)
CLOSED_MESSAGE = WSMessage(WSMsgType.CLOSED, None, None)
CLOSING_MESSAGE = WSMessage(WSMsgType.CLOSING, None, None)
# What _core.MessageStream makes messages of, with decode_text and without.
_CONTROLS = WSMsgType.PING, WSMsgType.PONG
_DECODED = WSMessage, _TEXT, WSMessage, _BINARY, "", True, *_CONTROLS
_UNDECODED = WSMessageTextBytes, _TEXT, WSMessage, _BINARY, "", False, *_CONTROLS
# aiohttp stops reading at so many bytes of messages.
_MAX_QUEUE_BYTES = 128 * 1024


def _compression(connection: UpgradedConnection, compress: int | None) -> bool | None:
    """None leaves it to the connection; 0 does so too, as in aiohttp."""
    if compress is False:
        return False
    if compress and connection.protocol.compression is not None:
        return True
    return None


def _wrong(what: str, value: object) -> TypeError:
    return TypeError(f"{what} ({type(value)!r}){unawaited(value)}")


class Messages(_core.MessageStream):
    """Sending and receiving with aiohttp's names and types.

    What happens per message is in C, as long as nothing unusual is asked for.
    """

    if TYPE_CHECKING:
        # As in C, with the type of the messages.
        def receive(
            self, timeout: float | None = None
        ) -> Coroutine[Any, Any, WSMessage]: ...
        def __anext__(self) -> Coroutine[Any, Any, WSMessage]: ...

    _connection: UpgradedConnection | None
    _close_code: int | None = None
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
        """What the transport knows.

        Args:
            name: as of ``transport.get_extra_info()``.
            default: what to return if it isn't known.
        """
        connection = self._connection
        if connection is None or connection.transport is None:
            return default
        return connection.transport.get_extra_info(name, default)

    def _open_connection(self) -> UpgradedConnection:
        connection = self._connection
        if connection is None:
            raise RuntimeError("Call .prepare() first")
        return connection

    @property
    def _loop(self) -> asyncio.AbstractEventLoop | None:
        return None if self._connection is None else self._connection.loop

    @property
    def _reader(self) -> Reader | None:
        return None if self._connection is None else Reader(self._connection)

    @property
    def _writer(self) -> Writer | None:
        return None if self._connection is None else Writer(self, self._connection)

    # Sending

    async def ping(self, message: bytes = b"") -> None:
        """Send a ping (RFC 6455 §5.5.2).

        Args:
            message: up to 125 bytes.

        Raises:
            ClientConnectionResetError: if the connection is closing or lost.
            ProtocolError: if ``message`` is longer.
            RuntimeError: before prepare().
        """
        await self.send_frame(message, WSMsgType.PING)

    async def pong(self, message: bytes = b"") -> None:
        """Send a pong that nobody asked for (RFC 6455 §5.5.3).

        Args:
            message: up to 125 bytes.

        Raises:
            ClientConnectionResetError: if the connection is closing or lost.
            ProtocolError: if ``message`` is longer.
            RuntimeError: before prepare().
        """
        await self.send_frame(message, WSMsgType.PONG)

    async def send_frame(
        self, message: bytes, opcode: WSMsgType, compress: int | None = None
    ) -> None:
        """Send a whole message, or a control frame (RFC 6455 §5.5, §5.6).

        Args:
            message: the payload.
            opcode: which of them.
            compress: as of ``send_str()``.

        Raises:
            ClientConnectionResetError: if the connection is closing or lost.
            ProtocolError: for a control frame of more than 125 bytes, or an opcode that
                begins no message.
            RuntimeError: before prepare().
            TypeError: if ``message`` isn't bytes-like.
            ValueError: for text that isn't UTF-8, or an opcode of no frame.
        """
        connection = self._open_connection()
        if not isinstance(message, (bytes, bytearray, memoryview)):
            raise _wrong("message must be byte-ish", message)
        if connection.state is not State.OPEN:
            raise ClientConnectionResetError(CLOSING_TRANSPORT)
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

    async def _send_str_slow(self, data: str, compress: int | None = None) -> None:
        connection = self._open_connection()
        if not isinstance(data, str):
            raise _wrong("data argument must be str", data)
        await self._send(connection, data, True, compress)

    async def _send_bytes_slow(self, data: bytes, compress: int | None = None) -> None:
        connection = self._open_connection()
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise _wrong("data argument must be byte-ish", data)
        await self._send(connection, data, False, compress)

    async def _send_lost(self) -> None:
        # The connection was lost while send_*() waited for room.
        raise ClientConnectionResetError("Connection lost")

    async def send_json(
        self,
        data: Any,
        compress: int | None = None,
        *,
        dumps: Callable[[Any], str] = json.dumps,
    ) -> None:
        """Send ``dumps(data)`` as text.

        Args:
            data: what to send.
            compress: as of ``send_str()``.
            dumps: makes a ``str`` of it.

        Raises:
            ClientConnectionResetError: if the connection is closing or lost.
            RuntimeError: before prepare().
        """
        await self.send_str(dumps(data), compress=compress)

    async def send_json_bytes(
        self, data: Any, compress: int | None = None, *, dumps: Callable[[Any], bytes]
    ) -> None:
        """Send ``dumps(data)``, which is bytes, as a binary message.

        Args:
            data: what to send.
            compress: as of ``send_str()``.
            dumps: makes bytes of it.

        Raises:
            ClientConnectionResetError: if the connection is closing or lost.
            RuntimeError: before prepare().
        """
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

    def __aiter__(self) -> AsyncIterator[WSMessage]:
        # It may be replaced, also in one object.
        if getattr(self.receive, "__func__", None) is _core.MessageStream.receive:
            return self
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[WSMessage]:
        while (message := await self.receive()).type not in _ENDS:
            yield message

    async def _receive_slow(self, timeout: float | None = None) -> WSMessage:
        connection = self._open_connection()
        if self._waiting:
            raise RuntimeError("Concurrent call to receive() is not allowed")
        if self._closed or self._closing:
            return await self._receive_after_end()
        self._waiting = True
        try:
            async with asyncio.timeout(timeout or self._receive_timeout or None):
                data = await connection.recv()
        except ConnectionClosed:
            data = None
        except TimeoutError:
            self._timed_out()
            raise
        finally:
            self._end_waiting()
        if data is None:
            return await self._receive_end()
        return cast(WSMessage, self._make_message(data))

    def _timed_out(self) -> None:
        pass

    async def _receive_after_end(self) -> WSMessage:
        raise NotImplementedError

    async def _receive_end(self) -> WSMessage:
        """The connection ended, and all messages were received."""
        connection = self._open_connection()
        connection.end_known()
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
            failure = _failure(protocol)
            self._failed(failure)
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
        self._open_connection().answer_close()
        self._closed = True

    def _failed(self, failure: WebSocketError) -> None:
        self._lost(failure)

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

    async def _close(
        self, code: int, message: bytes | str, *, waits: bool = False
    ) -> bool:
        """What close() does, but for what the two ends do to aiohttp's objects.

        Clients wait (``waits``) for the peer's code, also while they receive; but not
        after a receive() that timed out.
        """
        connection = self._open_connection()
        if self._closed:
            return False
        self._closed = True
        connection.stop_heartbeat()
        if self._closing:
            if connection.state is State.OPEN:  # autoclose=False
                connection.start_closing(code, message)
            elif connection.transport is not None:
                connection.end()
            return True
        if connection.state is State.CLOSED and not self._waiting:
            self._lost(ClientConnectionResetError(CLOSING_TRANSPORT))
            connection.end_known()
            return True
        connection.start_closing(code, message)
        if waits and self._close_code:
            return True
        if self._waiting:
            await self._wait_for_receiver(connection, end=not waits)
            if not waits:
                connection.end_known()
                if self._close_code is None:
                    self._close_code = WSCloseCode.OK
                return True
            self._close_code = None
        await self._closing_handshake(connection)
        return True

    async def _closing_handshake(self, connection: UpgradedConnection) -> None:
        """Wait for the peer's close frame, or the end of TCP; set what came of it."""
        try:
            await connection.wait_answered()
        except asyncio.CancelledError:
            self._close_code = WSCloseCode.ABNORMAL_CLOSURE
            connection.end()
            raise
        finally:
            connection.end_known()
        protocol = connection.protocol
        received = protocol.close_received
        if received is not None and protocol.error is None:
            no_code = received.code == CloseCode.NO_STATUS_RCVD
            self._close_code = 0 if no_code else received.code
            return
        self._close_code = WSCloseCode.ABNORMAL_CLOSURE
        if connection.cut_why is not None:
            self._exception = TimeoutError()
        elif protocol.error is not None:
            self._exception = _failure(protocol)
        else:
            self._exception = EofStream()

    async def receive_str(self, *, timeout: float | None = None) -> str:
        """The next message, which has to be text.

        Args:
            timeout: as of ``receive()``.

        Raises:
            WSMessageTypeError: if it isn't.
            TimeoutError: after ``timeout``.
            RuntimeError: as of ``receive()``.
        """
        message = await self.receive(timeout)
        if message.type is not _TEXT:
            raise WSMessageTypeError(
                f"Received message {message.type}:{message.data!r} "
                "is not WSMsgType.TEXT"
            )
        return cast(str, message.data)

    async def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """The next message, which has to be binary.

        Args:
            timeout: as of ``receive()``.

        Raises:
            WSMessageTypeError: if it isn't.
            TimeoutError: after ``timeout``.
            RuntimeError: as of ``receive()``.
        """
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
        """What ``loads()`` makes of the next message, which has to be text.

        Args:
            loads: reads a ``str``.
            timeout: as of ``receive()``.

        Raises:
            WSMessageTypeError: if it isn't.
            TimeoutError: after ``timeout``.
            RuntimeError: as of ``receive()``.
        """
        return loads(await self.receive_str(timeout=timeout))

    def _use(self, connection: UpgradedConnection, max_msg_size: int) -> None:
        """Send and receive over ``connection``."""
        direct = not self._receive_timeout
        connection.autoclose = self._autoclose
        self._open_stream(
            connection,
            _DECODED if self._decode_text else _UNDECODED,
            direct_receive=direct,
            # A subclass's receive() is used by iteration too.
            direct_next=direct and type(self).receive is _core.MessageStream.receive,
            control_messages=not self._autoping,
            close_by_hand=True,
            max_queue_bytes=_MAX_QUEUE_BYTES,
            # aiohttp refuses what is as long as its limit, unless it was compressed.
            max_plain_size=max_msg_size - 1 if max_msg_size else None,
        )

    async def _wait_for_receiver(
        self, connection: UpgradedConnection, *, end: bool = True
    ) -> None:
        """End the receive() that is waiting in another task, and TCP with ``end``."""
        ended = connection.loop.create_future()

        def released() -> None:
            if not ended.done():
                ended.set_result(None)

        self._released = released
        if end:
            connection.release()
        else:
            connection._end_receiving()
        await ended

    async def _next_slow(self) -> WSMessage:
        return _unless_end(await self.receive())

    async def _next_end(self) -> WSMessage:
        return _unless_end(await self._receive_end())


def _failure(
    protocol: _core.ServerProtocol | _core.ClientProtocol,
) -> WebSocketError:
    """What aiohttp has for the error that the peer made."""
    sent = protocol.close_sent
    code = CloseCode.PROTOCOL_ERROR if sent is None else sent.code
    failure = WebSocketError(int(code), str(protocol.error))
    failure.__cause__ = protocol.error
    return failure


def _unless_end(message: WSMessage) -> WSMessage:
    if message.type in _ENDS:
        raise StopAsyncIteration
    return message
