"""The connection behind a WebSocketResponse, once HTTP is done with its transport."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import Any

from aiohttp import WSMsgType

from ... import _core
from ...asyncio._engine import can_take_over, feed, take_over
from ...asyncio._log import LimitedLogger
from ...asyncio._loops_tls import reads
from ...asyncio._options import Options
from ...asyncio._rate import RateLimit
from ...asyncio.connection import Connection
from ...enums import CloseCode, State
from ...exceptions import ProtocolError
from .._ledger import ledger
from ._heartbeat import Heartbeat, Signs, signs_by_kernel
from ._private import ClientConnectionResetError, cancels_handler, writing_paused

__all__ = ["UpgradedConnection", "carry", "options_for"]

CLOSING_TRANSPORT = "Cannot write to closing transport"
_CLOSE_PAYLOAD_MAX = 123
# Seconds in which a handler should have taken what came before the end.
_GRACE = 10.0
# Seconds in which a handler that is busy with a message may still answer it.
_ANSWER_WITHIN = 1.0

_log = LimitedLogger(logging.getLogger("aiohttp.websocket"))


@functools.lru_cache(64)
def options_for(
    close_timeout: float | None, writer_limit: int, rate_limit: RateLimit | None = None
) -> Options:
    """The settings of connections, shared by all with the same arguments."""
    return Options(
        open_timeout=None,
        ping_interval=None,
        ping_timeout=None,
        close_timeout=close_timeout,
        max_queue=None,
        write_limit=(writer_limit, writer_limit // 4),
        rate_limit=rate_limit,
        log=_log,
    )


class UpgradedConnection(Connection):
    """Reads and writes; aiohttp's protocol still hears of flow control and loss.

    Args:
        protocol: past its handshake.
        owner: aiohttp's protocol, which had the transport before.
        options: see options_for().
    """

    cut_why: str | None = None
    """Why a deadline cut the connection, if one did."""
    _heartbeat: Heartbeat | None = None
    autoclose: bool = True
    """Answer the peer's close frame; see answer_close()."""
    _answering: asyncio.TimerHandle | None = None
    _answer_waiter: asyncio.Future[None] | None = None
    _end_known: bool = False
    _telling: asyncio.TimerHandle | None = None

    def __init__(
        self,
        protocol: _core.ServerProtocol | _core.ClientProtocol,
        owner: Any,
        *,
        options: Options,
    ) -> None:
        super().__init__(protocol, options=options)
        self._owner: Any = owner

    # Heartbeat

    def start_heartbeat(self, interval: float, expired: Any) -> None:
        """Ping after ``interval`` seconds without data; see Heartbeat."""
        signs = signs_by_kernel(self.transport)
        if signs is None:
            signs = self._signs
        self._heartbeat = Heartbeat(
            self.loop, interval, signs, self._send_ping, expired
        )

    def stop_heartbeat(self) -> None:
        """No more pings."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None

    def _signs(self) -> Signs:
        return 0, 0.0

    def _send_ping(self) -> None:
        if self.state is State.OPEN:
            self.protocol.send_ping(b"")
            self.flush()

    # Sending

    def send_control(
        self, opcode: int, message: bytes | bytearray | memoryview
    ) -> None:
        """Queue a ping, a pong or, with its payload, a close frame."""
        payload = bytes(message)
        if opcode == WSMsgType.PING:
            self.protocol.send_ping(payload)
        elif opcode == WSMsgType.PONG:
            self.protocol.send_pong(payload)
        elif len(payload) < 2:
            self.protocol.send_close()
        else:
            code = int.from_bytes(payload[:2], "big")
            self.protocol.send_close(code, payload[2:].decode())
        self.flush()

    async def _send_slow(
        self, message: Any, text: bool | None, compress: bool | None
    ) -> None:
        # Nothing but a connection that isn't open leads here.
        raise ClientConnectionResetError(CLOSING_TRANSPORT)

    # Closing

    def start_closing(self, code: int, message: bytes | str) -> None:
        """Send a close frame; what can't be in one is left out."""
        try:
            if isinstance(message, str):
                message = message.encode()
            reason = bytes(message[:_CLOSE_PAYLOAD_MAX]).decode(errors="ignore")
            self._start_close(int(code), reason)
        except (ProtocolError, ValueError, OverflowError, TypeError):
            # 1005, 1006 and the like, of another connection perhaps: RFC 6455 §7.4.1
            # has them for this end's eyes only.
            self.protocol.send_close()
            self.flush()

    def _on_close_received(self) -> None:
        self.stop_heartbeat()
        if not self.autoclose:
            return
        if self.messages_received:
            self._answering = self.loop.call_later(_ANSWER_WITHIN, self.answer_close)
        else:
            self.answer_close()

    def answer_close(self) -> None:
        """Answer the peer's close frame, if that wasn't done yet.

        Handlers call it when they have received all messages, so that they can answer
        these before: a client may send and close in one go.
        """
        if self._answering is not None:
            self._answering.cancel()
            self._answering = None
        if self.protocol.close_received is not None and self.state is State.OPEN:
            # Not the peer's code: pages of aiohttp's servers look for 1000.
            self.protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self.flush()

    def write_now(self) -> None:
        """Write what is queued even in a batch, for the transport is about to close."""
        data = b"" if self._lost else self.protocol.data_to_send()
        if data:
            self.transport.write(data)

    def release(self) -> None:
        """Let a waiting recv() end now, and TCP as soon as our output is sent."""
        if self._lost:
            return
        self._end_receiving()
        self.end()

    def end(self) -> None:
        """End TCP as soon as our output is sent."""
        self.write_now()
        self._end(linger=False)

    def cut(self) -> None:
        """End TCP at once."""
        if self.transport is not None:
            self.transport.abort()

    def _on_closing(self) -> None:
        super()._on_closing()
        protocol = self.protocol
        if not protocol.is_server and protocol.close_expected:
            # Clients of aiohttp don't wait for the server to end TCP.
            self._end(linger=False)
        if protocol.close_received is not None or protocol.error is not None:
            # Nor do handlers of servers: they hear of the end now.
            self._end_receiving()
            self._wake_closer()

    async def wait_answered(self) -> None:
        """Wait for the peer's close frame, or the end of TCP."""
        if self._lost or self.protocol.close_received is not None:
            return
        if self._answer_waiter is None:
            self._answer_waiter = self.loop.create_future()
        await asyncio.shield(self._answer_waiter)

    def _wake_closer(self) -> None:
        waiter = self._answer_waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def end_known(self) -> None:
        """The handler has heard that the connection ended."""
        self._end_known = True
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
            self.loop.call_soon(self._tell_owner, None)

    def _cut(self, why: str) -> None:
        self.cut_why = why
        super()._cut(why)
        self._wake_closer()

    # What the transport calls

    def data_received(self, data: bytes) -> None:
        """Of TLS that was reading for aiohttp's protocol when that was changed."""
        feed(self, data)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._owner is not None and not writing_paused(self._owner):
            self._owner.pause_writing()

    def _resume_writing(self) -> None:
        super()._resume_writing()
        owner = self._owner
        if owner is not None and not self.write_paused and writing_paused(owner):
            owner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_heartbeat()
        # First, so that the handler, which may go on at once, finds things as usual.
        if self._may_cancel():
            self._tell_owner(exc)
        else:
            grace = self.options.close_timeout or _GRACE
            self._telling = self.loop.call_later(grace, self._tell_owner, exc)
        super().connection_lost(exc)

    def _on_lost(self, exc: Exception | None) -> None:
        super()._on_lost(exc)
        ledger.end(self, True)
        if self._answering is not None:
            self._answering.cancel()
            self._answering = None
        self._wake_closer()

    def _may_cancel(self) -> bool:
        """aiohttp's handler_cancellation is for peers that vanish, not for those that
        close: theirs wait for the answer until the handler has taken what they sent,
        while ours have it already. Nor does it cancel the handler's own close()."""
        if self._end_known or not cancels_handler(self._owner):
            return True
        protocol = self.protocol
        vanished = protocol.close_received is None and protocol.error is None
        return vanished and self._answer_waiter is None

    def _tell_owner(self, exc: Exception | None) -> None:
        self._telling = None
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.connection_lost(exc)


class NotingConnection(UpgradedConnection):
    """Notes when it reads, for a heartbeat without the kernel's help."""

    _reads: int = 0
    _read_at: float = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._read_at = self.loop.time()
        super().connection_made(transport)

    def buffer_updated(self, nbytes: int) -> None:
        self._reads += 1
        self._read_at = self.loop.time()
        super().buffer_updated(nbytes)

    def _signs(self) -> Signs:
        return self._reads, self.loop.time() - self._read_at


class SharedTransport:
    """The loop's transport, for handlers: what they do to it comes after what they sent
    before, which may still wait for the end of a batch."""

    __slots__ = ("_connection", "_transport")

    def __init__(self, transport: Any, connection: UpgradedConnection) -> None:
        self._transport = transport
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        self._connection.end()

    def write(self, data: Any) -> None:
        self._connection.write_now()
        self._transport.write(data)

    def writelines(self, list_of_data: Any) -> None:
        self._connection.write_now()
        self._transport.writelines(list_of_data)

    def write_eof(self) -> None:
        self._connection.write_now()
        self._transport.write_eof()


def _go_on_reading(
    transport: asyncio.Transport, connection: UpgradedConnection
) -> None:
    if reads(transport):  # what that gives is the first to come
        connection.loop.call_soon(_go_on_reading, transport, connection)
    elif not connection.read_paused:
        transport.resume_reading()


def carry(
    transport: asyncio.Transport,
    connection: UpgradedConnection,
    received: bytes | bytearray,
    *,
    on_engine: bool,
) -> Any:
    """Carry ``connection`` over the socket of ``transport``, or over it.

    Args:
        transport: open, not at its end.
        connection: without a transport.
        received: bytes that came after the handshake already.
        on_engine: take the socket, where the engine can carry it.

    Returns:
        The transport that the connection has now, for those who had it before.
    """
    shared: Any = None
    transport.pause_reading()
    try:
        if on_engine and can_take_over(transport, connection.loop):
            try:
                shared = take_over(transport, connection)
            except OSError as exc:
                # No descriptor to be had: the transport still has its own.
                connection._log(
                    logging.WARNING, "the engine can't take a socket over: %s", exc
                )
        if shared is None:
            shared = transport
            transport.set_protocol(connection)
            if transport.get_protocol() is connection:  # a mock's isn't
                shared = SharedTransport(transport, connection)
            connection.connection_made(transport)
            _go_on_reading(transport, connection)
        feed(connection, received)
    except BaseException:
        # Half of the answer may be sent: there is no other.
        for either in (transport, connection.transport):
            if either is not None:
                either.abort()
        raise
    return shared
