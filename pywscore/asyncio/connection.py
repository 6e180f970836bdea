"""One end of a WebSocket connection on an asyncio transport."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterator
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, overload

from .. import _core
from .._overrides import ChecksOverrides
from ..enums import CloseCode, State
from ..exceptions import (
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidState,
    ProtocolError,
)
from ..http import Request, Response
from ..typing import Data, DataLike
from ._broadcast import broadcast
from ._fragments import receive_fragments, send_fragments
from ._log import printable
from ._options import Options, receive_buffer, timers
from ._pings import Pings, payload_of
from ._stats import ConnectionStats, connection_stats

__all__ = ["Connection", "broadcast"]

_NOBODY = asyncio.BufferedProtocol()

# Output that the peer hasn't taken, if it is no more than a close frame and the like,
# is no reason to wait before TCP is ended in both directions.
_FEW_BYTES = 1024


@contextlib.contextmanager
def _as_protocol_error() -> Iterator[None]:
    """The sans-IO objects say ValueError, these ones what ``websockets`` says."""
    try:
        yield
    except UnicodeError:
        raise
    except ValueError as exc:
        raise ProtocolError(str(exc)) from None


def check_close(code: int, reason: str) -> None:
    """Raises:
    ProtocolError: if they can't be in a close frame (RFC 6455 §7.4).
    """
    # It looks at the arguments before it finds that it isn't open.
    with _as_protocol_error(), contextlib.suppress(InvalidState):
        _core.ServerProtocol().send_close(code, reason)


async def _by_recv(connection: Connection) -> AsyncIterator[Data]:
    """``__aiter__()`` of subclasses whose ``recv()`` is their own."""
    try:
        while True:
            yield await connection.recv()
    except ConnectionClosedOK:
        return


class Connection(_core.Connection, asyncio.BufferedProtocol, ChecksOverrides):
    """A WebSocket connection, of a server or a client.

    ``async for message in ws`` gives messages until the connection ends: it stops when
    both ends closed with 1000, 1001 or no code, and raises ConnectionClosedError
    otherwise. ``async with ws`` closes the connection at the end.

    Attributes of your own may be set on it.

    Args:
        protocol: the sans-IO object.
        options: what it has in common with other connections.
    """

    request: Request | None = None
    """The opening handshake's request."""
    response: Response | None = None
    """The opening handshake's response."""
    latency: float = 0.0
    """Round-trip time in seconds, by the last ping that was answered; 0.0 before."""

    _cause: Exception | None = None
    """What ended TCP, if not the closing handshake."""
    _id: uuid.UUID | None = None
    _pings: Pings | None = None
    _lost: bool = False
    _lost_waiter: asyncio.Future[None] | None = None
    _ended: bool = False
    _end_wanted: bool = False
    _lingers: bool = False
    _peer_ended: bool = False
    _resuming: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.recv is not Connection.recv and cls.__aiter__ is Connection.__aiter__:
            cls.__aiter__ = _by_recv  # type: ignore[method-assign, assignment]

    def __init__(
        self,
        protocol: _core.ServerProtocol | _core.ClientProtocol,
        *,
        options: Options,
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            protocol,
            loop=loop,
            receive_buffer=receive_buffer(loop),
            timers=timers(loop),
            max_queue=options.max_queue,
            write_limit=options.write_limit,
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            idle_timeout=options.idle_timeout,
        )
        self.options = options

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.state.name} "
            f"{'server' if self.protocol.is_server else 'client'} at {id(self):#x}>"
        )

    # What it is

    @property
    def id(self) -> uuid.UUID:
        """A random identifier, made when first asked for."""
        if self._id is None:
            self._id = uuid.UUID(int=random.getrandbits(128), version=4)
        return self._id

    @property
    def logger(self) -> logging.LoggerAdapter[Any]:
        """The server's or client's logger; records get this object as ``websocket``."""
        return logging.LoggerAdapter(self.options.log.logger, {"websocket": self})

    @property
    def local_address(self) -> Any:
        """This end's address, as ``socket.getsockname`` gives it."""
        return self.transport.get_extra_info("sockname")

    @property
    def remote_address(self) -> Any:
        """The peer's address, as ``socket.getpeername`` gives it."""
        return self.transport.get_extra_info("peername")

    @property
    def state(self) -> State:
        """CONNECTING, OPEN, CLOSING or CLOSED."""
        return self.protocol.state

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that both ends agreed on, or None (RFC 6455 §1.9)."""
        return self.protocol.subprotocol

    @property
    def close_code(self) -> int | None:
        """The close code received, 1005 for none in the frame, 1006 for no frame;
        None while the connection isn't closed (RFC 6455 §7.1.5)."""
        return self.protocol.close_code

    @property
    def close_reason(self) -> str | None:
        """The close reason received; None while the connection isn't closed."""
        return self.protocol.close_reason

    def stats(self) -> ConnectionStats:
        """What went through it so far, what waits, and the latency."""
        return connection_stats(self)

    # Receiving

    @overload
    def recv_streaming(self, decode: Literal[True]) -> AsyncIterator[str]: ...
    @overload
    def recv_streaming(self, decode: Literal[False]) -> AsyncIterator[bytes]: ...
    @overload
    def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]: ...

    def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Any]:
        """Iterate over the fragments of the next message, as they come.

        The iterator has to be used up: a message can't be received before the one
        before it. Cancelling before the first fragment loses nothing.

        Args:
            decode: True for ``str`` also from binary messages, False for ``bytes``
                also from text messages.

        Raises:
            ConnectionClosed: when the connection is closed.
            ConcurrencyError: if another task receives at the same time.
        """
        return receive_fragments(self, decode)

    async def _undecodable(self, exc: UnicodeDecodeError) -> NoReturn:
        if self._cause is None:
            self._cause = exc.with_traceback(None)
        self._fail(CloseCode.INVALID_DATA, exc.reason)
        await self.wait_closed()
        raise self._close_exception() from exc

    # Sending

    async def _send_slow(
        self, message: Any, text: bool | None, compress: bool | None
    ) -> None:
        await send_fragments(self, message, text, compress)

    async def ping(self, data: DataLike | None = None) -> Awaitable[float]:
        """Send a ping (RFC 6455 §5.5.2).

        Args:
            data: up to 125 bytes that the pong repeats; four random ones by default.

        Returns:
            A future for the pong that gives the round-trip time in seconds::

                pong = await ws.ping()
                latency = await pong

        Raises:
            ConnectionClosed: when the connection is closed; from the future too.
            ConcurrencyError: if a ping with the same data waits for its pong.
            ProtocolError: if data is longer than 125 bytes.
        """
        payload = None if data is None else payload_of(data)
        await self._wait_open()
        if self._pings is None:
            self._pings = Pings()
        payload = self._pings.choose(payload)
        with _as_protocol_error():
            self.protocol.send_ping(payload)
        pong: asyncio.Future[float] = self.loop.create_future()
        self._pings.sent(payload, pong)
        self.flush()
        if self.write_paused:
            await self.drain()
        return pong

    async def pong(self, data: DataLike = b"") -> None:
        """Send a pong that nobody asked for, a heartbeat (RFC 6455 §5.5.3).

        Args:
            data: up to 125 bytes.

        Raises:
            ConnectionClosed: when the connection is closed.
            ProtocolError: if data is longer than 125 bytes.
        """
        payload = payload_of(data)
        await self._wait_open()
        with _as_protocol_error():
            self.protocol.send_pong(payload)
        self.flush()
        if self.write_paused:
            await self.drain()

    # Closing

    async def close(
        self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = ""
    ) -> None:
        """Do the closing handshake and wait until TCP is closed (RFC 6455 §7.1.2).

        Does nothing but wait if the connection is closing already. TCP is ended when
        the peer, for ``close_timeout``, neither took anything of what was sent nor
        answered.

        Args:
            code: 1000-1014 as far as they may be sent, or 3000-4999.
            reason: up to 123 bytes of UTF-8.

        Raises:
            ProtocolError: if code or reason can't be sent.
        """
        if self.loop.is_closed():
            return  # in a coroutine that is destroyed with its loop
        self._start_close(code, reason)
        await self.wait_closed()

    def close_nowait(
        self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = ""
    ) -> None:
        """Start the closing handshake, as ``close()``, and don't wait for its end.

        Raises:
            ProtocolError: if code or reason can't be sent.
        """
        self._start_close(code, reason)

    async def wait_closed(self) -> None:
        """Wait until TCP is closed. May be cancelled and called at any time."""
        self._check_thread()
        if self._lost:
            return
        if self._peer_ended and self.state is State.CONNECTING:
            self._end(linger=False)  # it isn't the answer that comes next
        if self._lost_waiter is None:
            self._lost_waiter = self.loop.create_future()
        await asyncio.shield(self._lost_waiter)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            await self.close()
        else:
            await self.close(CloseCode.INTERNAL_ERROR)

    def _start_close(self, code: int, reason: str = "") -> None:
        self._check_thread()
        if self.state is State.OPEN:
            if self._fragmented_send is not None:
                # A close frame inside of a message is fine, but a message that stops
                # in the middle isn't a normal closure.
                code, reason = (
                    CloseCode.INTERNAL_ERROR,
                    "close during fragmented message",
                )
            with _as_protocol_error():
                self.protocol.send_close(code, reason)
            self.flush()
        elif self.state is State.CONNECTING:
            self._cut("closed during the opening handshake")

    def _fail(self, code: int, reason: str) -> None:
        if self.state is State.OPEN:
            self.protocol.fail(code, reason)
            self.flush()

    def _abort(self, why: str) -> None:
        if self._cause is None and not self._lost:
            self._cause = TimeoutError(why)
        self._cut(why)

    def _cut(self, why: str) -> None:
        if not self._lost and self.transport is not None:
            self._log(logging.DEBUG, "connection cut: %s", why)
            self.transport.abort()

    def _end(self, linger: bool = True) -> None:
        """End TCP once our output, all of it given to the transport, is sent.

        With ``linger``, only in our direction, and what still comes is dropped until
        the peer does the same: closing at once could send a reset that overtakes our
        last bytes (DED-5). While there are many of them (END-1), it is never at once.
        """
        if self._ended or self._lost:
            return
        self._closes_within(self.options.close_timeout)
        self._lingers = linger
        transport = self.transport
        halves = transport.can_write_eof()
        many = not (linger and halves) and self._untaken() > _FEW_BYTES
        if self.write_paused or (many and not halves):
            # resume_writing() comes back to this, or a look at what the peer has taken:
            # asyncio's TLS has a time of its own for all that is left at close().
            self._end_wanted = True
            return
        self._ended = True
        try:
            if halves and (linger or many) and not self._peer_ended:
                transport.write_eof()
                transport.resume_reading()
            else:
                transport.close()
        except (OSError, RuntimeError):
            transport.abort()

    def _end_as_peer(self) -> None:
        """The answer is sent, and the peer had ended its side before."""
        if self._peer_ended and self.state is State.OPEN:
            self._end(linger=False)

    async def _wait_open(self) -> None:
        self._check_thread()
        if self.state is not State.OPEN:
            await self.wait_closed()
            raise self._close_exception()

    # What the transport and the core call

    def pause_writing(self) -> None:
        self._resuming = False
        super().pause_writing()

    def resume_writing(self) -> None:
        # Not at once: asyncio's transports break when they are closed in here, and
        # those who wait to send may do that.
        self._resuming = True
        self.loop.call_soon(self._resume_writing)

    def _resume_writing(self) -> None:
        if not self._resuming or self._lost:
            return
        self._resuming = False
        super().resume_writing()
        if not self.write_paused and self._end_wanted:
            self._end(self._lingers)

    def eof_received(self) -> bool:
        """The peer has ended its side: that isn't the end for who waits for an answer
        to its request (END-2), unless the application waits for just that."""
        self._peer_ended = True
        if (
            self.state is State.CONNECTING
            and self.protocol.is_server
            and self.request is not None
            and not self._ended
            and self._lost_waiter is None
            and self.transport.can_write_eof()
        ):
            timeout = self.options.close_timeout
            if self.options.open_timeout is None and timeout is not None:
                self._opens_by(self.loop.time() + timeout)  # nobody may be there
            return True
        self._closes_within(self.options.close_timeout)
        return False

    def _on_output_taken(self) -> None:
        if self._end_wanted:
            self._end(self._lingers)
        # A second close() keeps asyncio's TLS from an abort() later.
        if self._ended and not self._lingers and not self.transport.is_closing():
            self.transport.close()

    def _on_closing(self) -> None:
        # Called by flush() at the end of a batch: output is with the transport, unless
        # that is blocked.
        protocol = self.protocol
        self._closes_within(self.options.close_timeout)
        if not protocol.close_expected or self._ended:
            return
        error = protocol.error
        if error is not None and not self._end_wanted:
            self._log_error(error)
        if protocol.close_received is None or error is not None:
            self._end()
        elif protocol.is_server:
            # RFC 6455 §7.1.1: the server closes TCP first, and at once.
            self._end(linger=False)

    def _on_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if exc is not None and self._cause is None:
            # Its traceback would hold the transport.
            self._cause = exc.with_traceback(None)
        if self._pings is not None:
            self._pings.drop(self._close_exception())
        if self._fragmented_send is not None:
            # Its iterator may never go on; those who wait for it do.
            self._fragmented_send.set_result(None)
            self._fragmented_send = None
        if self._lost_waiter is not None and not self._lost_waiter.done():
            self._lost_waiter.set_result(None)
        with contextlib.suppress(AttributeError):  # there is none, or it has let go
            if self.transport.get_extra_info("sslcontext") is not None:
                # TLS of the loops keeps methods of its protocol, which has it.
                self.transport.set_protocol(_NOBODY)

    def _on_open_timeout(self) -> None:
        self._abort("timed out during opening handshake")

    def _on_pong(self, data: bytes) -> None:
        if self._pings is not None:
            latency, alive = self._pings.answered(data)
            if latency is not None:
                self.latency = latency
            if alive:
                self._is_alive(self.latency)

    def _send_keepalive_ping(self) -> None:
        if self._pings is None:
            self._pings = Pings()
        payload = self._pings.choose(None)
        self.protocol.send_ping(payload)
        self._pings.keepalive_sent(payload)
        self.flush()

    def _on_listener_failed(self, exc: BaseException) -> None:
        if isinstance(exc, ConnectionClosed) and self.state is not State.OPEN:
            self._log(logging.DEBUG, "listener ended: %s", printable(exc))
        else:
            self._log(logging.ERROR, "connection listener failed", exc_info=exc)

    # Logging

    def _log(
        self,
        level: int,
        message: str,
        *args: object,
        exc_info: BaseException | None = None,
    ) -> None:
        log = self.options.log
        if log.logger.isEnabledFor(level):
            extra = {"websocket": self}
            log.log(level, message, *args, exc_info=exc_info, extra=extra)

    def _log_error(self, error: Exception) -> None:
        what = "connection failed"
        if isinstance(error, InvalidHandshake):
            what = "opening handshake failed"
        name = type(error).__name__
        self._log(logging.INFO, "%s: %s: %s", what, name, printable(error))
