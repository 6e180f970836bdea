"""How a connection ends: the closing handshake, TCP after it, and failures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any, NoReturn, Protocol

from .. import _core
from ..enums import CloseCode, State
from ..exceptions import InvalidState, ProtocolError
from ..http import Request
from ._logged import Logged

__all__ = ["Ending", "as_protocol_error", "check_close"]

_ENGINE: Any = getattr(_core, "EngineTransport", ())
_NOBODY = asyncio.BufferedProtocol()
_CONNECTING, _OPEN = State.CONNECTING, State.OPEN  # see _attending

# Output that the peer hasn't taken, if it is no more than a close frame and the like,
# is no reason to wait before TCP is ended in both directions.
_FEW_BYTES = 1024


@contextlib.contextmanager
def as_protocol_error() -> Iterator[None]:
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
    with as_protocol_error(), contextlib.suppress(InvalidState):
        _core.ServerProtocol().send_close(code, reason)


class Attached(Protocol):
    """What ends with a connection, as a membership in a room does.

    Attributes:
        _next: another one of the same connection.
    """

    _next: Attached | None

    def _on_connection_ended(self) -> object: ...


class Ending(Logged):
    """What a Connection knows of its end (RFC 6455 §7)."""

    request: Request | None = None
    """The opening handshake's request."""

    _cause: Exception | None = None
    """What ended TCP, if not the closing handshake."""
    _lost: bool = False
    _lost_waiters: list[asyncio.Future[None]] | None = None
    """None until somebody has waited."""
    _ended: bool = False
    _end_wanted: bool = False
    _lingers: bool = False
    _peer_ended: bool = False
    _resuming: bool = False
    _attached: Attached | None = None
    """The first of those told of the end: each knows the next."""

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

        Args:
            code: as of ``close()``.
            reason: as of ``close()``.

        Raises:
            ProtocolError: if code or reason can't be sent.
            RuntimeError: in another thread than the loop's.
        """
        self._start_close(code, reason)

    async def wait_closed(self) -> None:
        """Wait until TCP is closed. May be cancelled and called at any time."""
        self._check_thread()
        if self._lost:
            return
        if self._peer_ended and self.state is State.CONNECTING:
            self._end(linger=False)  # it isn't the answer that comes next
        if self._lost_waiters is None:
            self._lost_waiters = []
        waiter: asyncio.Future[None] = self.loop.create_future()
        self._lost_waiters.append(waiter)
        try:
            await waiter
        finally:
            self._lost_waiters.remove(waiter)

    def _start_close(self, code: int, reason: str = "") -> None:
        self._check_thread()
        state = self.state
        if state is _OPEN:
            if self._fragmented_send is not None:
                # A close frame inside of a message is fine, but a message that stops
                # in the middle isn't a normal closure.
                code, reason = (
                    CloseCode.INTERNAL_ERROR,
                    "close during fragmented message",
                )
            with as_protocol_error():
                self.protocol.send_close(code, reason)
            self.flush()
        elif state is _CONNECTING:
            self._cut("closed during the opening handshake")

    def _fail(self, code: int, reason: str) -> None:
        if self.state is State.OPEN:
            self.protocol.fail(code, reason)
            self.flush()

    def _fail_handshake(self, exc: Exception) -> None:
        """TLS or the opening handshake won't come about, because of ``exc``."""
        if self._cause is None:
            self._cause = exc

    def _on_no_pong(self) -> None:
        self._debug("- timed out waiting for keepalive pong")
        self._fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")

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
                self._debug("x half-closing TCP connection")
                transport.write_eof()
                transport.resume_reading()
            else:
                self._debug("x closing TCP connection")
                transport.close()
        except (OSError, RuntimeError):
            transport.abort()

    def _end_as_peer(self) -> None:
        """The answer is sent, and the peer had ended its side before."""
        if self._peer_ended and self.state is _OPEN:
            self._end(linger=False)

    def _attach(self, it: Attached) -> None:
        """Have it told, by the loop, when this has ended."""
        it._next, self._attached = self._attached, it
        if self._lost:
            self.loop.call_soon(it._on_connection_ended)

    def _detach(self, it: Attached) -> None:
        rest = [other for other in self._all_attached() if other is not it]
        self._attached = it._next = None
        for other in reversed(rest):
            other._next, self._attached = self._attached, other

    def _all_attached(self) -> Iterator[Attached]:
        it = self._attached
        while it is not None:
            yield it
            it = it._next

    async def _undecodable(self, exc: UnicodeDecodeError) -> NoReturn:
        if self._cause is None:
            self._cause = exc.with_traceback(None)
        self._fail(CloseCode.INVALID_DATA, exc.reason)
        await self.wait_closed()
        raise self._close_exception() from exc

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
        if self._traced and self.protocol.close_received is None:
            self._debug("< EOF")
        if (
            self.state is _CONNECTING
            and self.protocol.is_server
            and self.request is not None
            and not self._ended
            and self._lost_waiters is None
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
        self._wake_all()
        if self._attached is not None:
            for it in self._all_attached():
                self.loop.call_soon(it._on_connection_ended)
        if not isinstance(self.transport, _ENGINE):
            self._let_go_of_tls()

    def _let_go_of_tls(self) -> None:
        with contextlib.suppress(AttributeError):  # there is none, or it has let go
            if self.transport.get_extra_info("sslcontext") is not None:
                # TLS of the loops keeps methods of its protocol, which has it.
                self.transport.set_protocol(_NOBODY)

    def _wake_all(self) -> None:
        """It has ended, for those who wait for something of it."""
        if self._fragmented_send is not None:
            # Its iterator may never go on; those who wait for it do.
            self._fragmented_send.set_result(None)
            self._fragmented_send = None
        for waiter in self._lost_waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def _on_open_timeout(self) -> None:
        self._abort("timed out during opening handshake")
