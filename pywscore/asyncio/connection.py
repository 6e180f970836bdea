"""One end of a WebSocket connection on an asyncio transport."""

from __future__ import annotations

import asyncio
import codecs
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast, overload

from .. import _core
from .._overrides import ChecksOverrides
from .._shown import printable, shown_address, unawaited
from ..enums import CloseCode, State
from ..exceptions import ConcurrencyError, ConnectionClosed
from ..http import Response
from ..typing import Data, DataLike
from . import _overridden
from ._ending import Ending, as_protocol_error
from ._fragments import send_fragments
from ._listener import ListenerFactory, check_methods
from ._options import Options
from ._pings import Pings, payload_of
from ._totals import Counts

if TYPE_CHECKING:
    import uuid

    from ._stats import ConnectionStats

__all__ = ["Connection", "broadcast"]

_ENGINE: Any = getattr(_core, "EngineTransport", ())
_INIT = _core.Connection.__init__  # no object of super() for each connection


class Connection(Ending, ChecksOverrides):
    """A WebSocket connection, of a server or a client.

    ``async for message in ws`` gives messages until the connection ends: it stops when
    both ends closed with 1000, 1001 or no code, and raises ConnectionClosedError
    otherwise. ``async with ws`` closes the connection at the end.

    Attributes of your own may be set on it.

    Args:
        protocol: the sans-IO object.
        options: what it has in common with other connections.
    """

    response: Response | None = None
    """The opening handshake's response."""
    latency: float = 0.0
    """Round-trip time in seconds, by the last ping that was answered; 0.0 before."""

    _id: uuid.UUID | None = None
    _pings: Pings | None = None
    _keepalive_task: asyncio.Task[None] | None = None  # of a ping() that isn't ours

    def __init__(
        self,
        protocol: _core.ServerProtocol | _core.ClientProtocol,
        *,
        options: Options,
    ) -> None:
        loop = asyncio.get_running_loop()
        _INIT(self, protocol, *options.for_core(loop))
        self.options = options
        if loop.get_debug():
            self._by_loop = True
        if options.log.is_enabled_for(logging.DEBUG):
            self._start_trace()
            self._traced = True

    def __repr__(self) -> str:
        addresses = ""
        if self.transport is not None:
            local, remote = map(
                shown_address, (self.local_address, self.remote_address)
            )
            addresses = f" {local} to {remote}"
        name = type(self).__name__
        return f"<{name} {self.state.name}{addresses} at {id(self):#x}>"

    # What it is

    @property
    def id(self) -> uuid.UUID:
        """A random identifier, made when first asked for."""
        if self._id is None:
            import random
            import uuid

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

    @property
    def ping_interval(self) -> float | None:
        """Seconds between keepalive pings, None for no pings."""
        return self.options.ping_interval

    @property
    def ping_timeout(self) -> float | None:
        """Seconds to wait for the pong, None for no limit."""
        return self.options.ping_timeout

    @property
    def close_timeout(self) -> float | None:
        """Seconds for the closing handshake, None for no limit; may be set."""
        return self.options.close_timeout

    @close_timeout.setter
    def close_timeout(self, seconds: float | None) -> None:
        self.options = dataclasses.replace(self.options, close_timeout=seconds)

    def stats(self) -> ConnectionStats:
        """What went through it so far, what waits, and the latency."""
        from ._stats import connection_stats

        return connection_stats(self._counts(), self.latency)

    def _counts(self) -> Counts:
        *sums, waiting = self._traffic
        transport: Any = self.transport
        # The engine's has nothing of its own.
        own = transport is None or self._lost or isinstance(transport, _ENGINE)
        if not own:
            waiting += transport.get_write_buffer_size()
        return (*sums, self.messages_queued, waiting, self.broadcasts_skipped)

    # Receiving

    def __aiter__(self) -> AsyncIterator[Data]:
        if _function_of(self.recv) is _RECV:
            return self
        return _overridden.iterate(self)

    @overload
    def recv_streaming(self, decode: Literal[True]) -> AsyncIterator[str]: ...
    @overload
    def recv_streaming(self, decode: Literal[False]) -> AsyncIterator[bytes]: ...
    @overload
    def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]: ...

    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Any]:
        """Iterate over the fragments of the next message, as they come.

        The iterator has to be used up: a message can't be received before the one
        before it. Cancelling before the first fragment loses nothing.

        Args:
            decode: True for ``str`` also from binary messages, False for ``bytes``
                also from text messages.

        Returns:
            An asynchronous iterator of them (RFC 6455 §5.4).

        Raises:
            ConnectionClosed: when the connection is closed.
            ConcurrencyError: if another task receives at the same time.
        """
        decoder: codecs.IncrementalDecoder | None = None
        while True:
            fragment = await self._recv_fragment()
            data: str | bytes = fragment.data
            if decode is False and isinstance(data, str):
                data = data.encode()
            elif decode is True and isinstance(data, bytes):
                if decoder is None:
                    decoder = codecs.getincrementaldecoder("utf-8")()
                try:
                    data = decoder.decode(data, fragment.fin)
                except UnicodeDecodeError as exc:
                    await self._undecodable(exc)
            yield data
            if fragment.fin:
                return

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
        with as_protocol_error():
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
        with as_protocol_error():
            self.protocol.send_pong(payload)
        self.flush()
        if self.write_paused:
            await self.drain()

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

    # What the core calls

    def _wake_all(self) -> None:
        if self._pings is not None:
            self._pings.drop(self._close_exception())
        super()._wake_all()

    def _on_pong(self, data: bytes) -> None:
        if self._pings is not None:
            latency, alive = self._pings.answered(data)
            if latency is not None:
                self.latency = latency
            if alive:
                self._debug("% received keepalive pong")
                self._is_alive(self.latency)

    @property
    def _closes_by_hand(self) -> bool:
        """Whether a subclass, or whoever, has put another close() in its place."""
        return _function_of(self.close) is not _CLOSE

    def _send_keepalive_ping(self) -> None:
        if _function_of(self.ping) is not _PING:
            _overridden.send_keepalive_ping(self)
            return
        if self._pings is None:
            self._pings = Pings()
        payload = self._pings.choose(None)
        self.protocol.send_ping(payload)
        self._pings.keepalive_sent(payload)
        self.flush()
        self._debug("% sent keepalive ping")

    def _start_listening(self, factory: ListenerFactory) -> None:
        """Make a listener and give it the messages; the connection is open."""
        try:
            listener: Any = self._timed(factory)()
            check_methods(type(listener))
            if self._by_loop:
                from ._timed import TimedListener

                listener = TimedListener(self.loop, listener)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:
            self._on_listener_failed(exc)
            self._start_close(CloseCode.INTERNAL_ERROR)
        else:
            self._listen(listener)

    def _on_listener_failed(self, exc: BaseException) -> None:
        if isinstance(exc, ConnectionClosed) and self.state is not State.OPEN:
            self._log(logging.DEBUG, "listener ended: %s", printable(exc))
        else:
            self._log(logging.ERROR, "connection listener failed", exc_info=exc)


# They may be replaced, also later, in the class or in one object.
_RECV: Any = _core.Connection.recv
_PING: Any = Connection.ping
_CLOSE: Any = Connection.close


def _function_of(method: Any) -> Any:
    return getattr(method, "__func__", None)


def broadcast(
    connections: Iterable[Connection],
    message: str | bytes | bytearray | memoryview,
    raise_exceptions: bool = False,
    *,
    text: bool | None = None,
    compress: bool | None = None,
    slow: Literal["skip", "close"] = "skip",
) -> None:
    """Send a message to many connections at once.

    It is framed once for all, and compressed once for each set of parameters that the
    connections have agreed on.

    Connections that aren't open are passed over. So are those whose output is above
    the high-water mark of ``write_limit``: a peer that doesn't read costs no more than
    that and the message that passed the mark. How many messages it missed is in its
    ``broadcasts_skipped``.

    Args:
        connections: servers' or clients' connections, all of the running loop. A list,
            tuple, set or dict may change while this runs.
        message: ``str`` for a text message, bytes-like for a binary one.
        raise_exceptions: raise what went wrong with single connections, after the
            others were served; otherwise it is logged.
        text: True for a text message of UTF-8 bytes, False for a binary message of an
            encoded ``str``.
        compress: True or False overrides the threshold of the compression that was
            agreed, as in ``send()``.
        slow: what becomes of a connection above its high-water mark. ``"skip"``: it
            misses this message. ``"close"``: it is closed with 1008, for applications
            where one message doesn't make sense without those before it.

    Raises:
        TypeError: if message isn't ``str`` or bytes-like.
        ValueError: for another value of ``slow``.
        RuntimeError: for a connection of another thread's loop.
        ExceptionGroup: if ``raise_exceptions`` and something went wrong.
    """
    if not isinstance(message, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"data must be str or bytes-like{unawaited(message)}")
    if slow not in ("skip", "close"):
        raise ValueError("slow must be 'skip' or 'close'")
    problems = _core.broadcast(
        connections, message, text, compress, slow == "close", raise_exceptions, False
    )
    if problems is None:
        return
    errors = [_error(exc) for _, exc in problems]
    if raise_exceptions:
        raise ExceptionGroup("skipped broadcast", errors)
    for (connection, _), error in zip(problems, errors, strict=True):
        logger = cast(Connection, connection).logger
        logger.warning("skipped broadcast: %s", printable(_in_a_line(error)))


def _error(exc: Exception | None) -> Exception:
    if exc is None:
        return BlockingIOError("output is above its high-water mark")
    if isinstance(exc, ConcurrencyError):
        return exc
    error = RuntimeError("failed to write message")
    error.__cause__ = exc
    return error


def _in_a_line(error: Exception) -> str:
    cause = error.__cause__
    return f"{error}: {type(cause).__name__}: {cause}" if cause else str(error)
