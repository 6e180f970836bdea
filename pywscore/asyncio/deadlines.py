"""All clocks of one connection, on one timer.

An idle connection has one ``TimerHandle`` and no task. A deadline that is moved back
leaves the timer where it is: it then fires for nothing and is set anew.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from ..enums import CloseCode
from .options import IDLE_CODE

if TYPE_CHECKING:
    from .connection import Connection

NEVER = math.inf
# Output that the kernel takes no byte of for this long ends the connection; looked at
# every STALL_SAMPLE seconds.
STALL_LIMIT = 40.0
STALL_SAMPLE = 4.0
PONG_SAMPLE = 1.0
IDLE_SAMPLES = 8
# Timers may fire a little before their time (uvloop counts milliseconds).
_EARLY = 0.002


class Deadlines:
    """The clocks of ``connection``. Its methods tell what happened to it."""

    __slots__ = (
        "_close_at",
        "_connection",
        "_handle",
        "_handle_at",
        "_idle_at",
        "_idle_count",
        "_idle_since",
        "_open_at",
        "_ping_at",
        "_pong_at",
        "_pong_left",
        "_pong_sampled",
        "_stall_at",
        "_stall_since",
        "_stall_size",
    )

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection
        self._handle: asyncio.TimerHandle | None = None
        self._handle_at = NEVER
        self._open_at = self._close_at = self._stall_at = NEVER
        self._ping_at = self._pong_at = self._idle_at = NEVER
        self._pong_left = self._pong_sampled = 0.0
        self._idle_since = self._stall_since = 0.0
        self._idle_count = self._stall_size = 0

    # What happened

    def opening(self, at: float) -> None:
        """The opening handshake has to end at ``at`` on the loop's clock."""
        self._open_at = at
        self._arm()

    def opened(self) -> None:
        """The opening handshake ended well."""
        connection = self._connection
        if connection is None:
            return
        now = connection.loop.time()
        options = connection.options
        self._open_at = NEVER
        if options.ping_interval is not None:
            self._ping_at = now + options.ping_interval
        if options.idle_timeout is not None:
            self._idle_since = now
            self._idle_count = connection.messages_received
            self._idle_at = now + options.idle_timeout
        self._arm()

    def pong_received(self) -> None:
        """The pong that answers our last keepalive ping came."""
        connection = self._connection
        if connection is None or self._pong_at is NEVER:
            return
        interval = connection.options.ping_interval
        self._pong_at = NEVER
        if interval is not None:
            pause = max(interval - connection.latency, 0.0)
            self._ping_at = connection.loop.time() + pause
            self._arm()

    def write_paused(self) -> None:
        """Output rose above the high-water mark (SLW-4)."""
        connection = self._connection
        if connection is None:
            return
        now = connection.loop.time()
        self._stall_size = connection.transport.get_write_buffer_size()
        self._stall_since = now
        self._stall_at = now + STALL_SAMPLE
        self._arm()

    def write_resumed(self) -> None:
        """Output fell below the low-water mark."""
        self._stall_at = NEVER

    def closing(self, within: float | None) -> None:
        """From now on only the end of TCP is awaited, for ``within`` seconds."""
        connection = self._connection
        if connection is None:
            return
        self._open_at = self._ping_at = self._pong_at = self._idle_at = NEVER
        if within is not None and self._close_at is NEVER:
            self._close_at = connection.loop.time() + within
        self._arm()

    def lost(self) -> None:
        """TCP is gone: there is nothing left to wait for."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        # The connection is to be freed without the garbage collector's help.
        self._connection = None

    # The timer

    def _arm(self) -> None:
        at = min(
            self._open_at,
            self._close_at,
            self._stall_at,
            self._ping_at,
            self._pong_at,
            self._idle_at,
        )
        if at < self._handle_at and self._connection is not None:
            if self._handle is not None:
                self._handle.cancel()
            self._handle = self._connection.loop.call_at(at, self._fired)
            self._handle_at = at

    def _fired(self) -> None:
        self._handle = None
        self._handle_at = NEVER
        if self._connection is not None:
            self._run(self._connection, self._connection.loop.time() + _EARLY)
            self._arm()

    def _run(self, connection: Connection, now: float) -> None:
        # The first one that ends the connection wins (DED-8).
        if now >= self._close_at:
            self._close_at = NEVER
            connection._abort("timed out while closing connection")
        elif now >= self._open_at:
            self._open_at = NEVER
            connection._on_open_timeout()
        elif now >= self._stall_at and self._is_stalled(connection, now):
            self._stall_at = NEVER
            connection._abort("output stalled")
        elif now >= self._pong_at and self._is_pong_overdue(connection, now):
            self._pong_at = NEVER
            connection._fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
        elif now >= self._idle_at and self._is_idle(connection, now):
            self._idle_at = NEVER
            connection._start_close(IDLE_CODE, "idle timeout")
        elif now >= self._ping_at:
            self._ping(connection, now)

    def _ping(self, connection: Connection, now: float) -> None:
        options = connection.options
        if connection.write_paused:
            # It would wait behind the output; the stall clock looks after that.
            self._ping_at = now + PONG_SAMPLE
            return
        assert options.ping_interval is not None
        connection._send_keepalive_ping()
        if options.ping_timeout is None:
            self._ping_at = now + options.ping_interval
        else:
            self._ping_at = NEVER
            self._pong_left = options.ping_timeout
            self._sample_pong(now)

    def _sample_pong(self, now: float) -> None:
        self._pong_sampled = now
        self._pong_at = now + min(PONG_SAMPLE, self._pong_left)

    def _is_pong_overdue(self, connection: Connection, now: float) -> bool:
        # DED-3: the clock stands still while we don't read, be it that our queue is
        # full or that the loop was held up.
        if not connection.read_paused:
            self._pong_left -= min(now - self._pong_sampled, 2 * PONG_SAMPLE)
        if self._pong_left <= 2 * _EARLY:
            return True
        self._sample_pong(now)
        return False

    def _is_idle(self, connection: Connection, now: float) -> bool:
        timeout = connection.options.idle_timeout
        assert timeout is not None
        count = connection.messages_received
        if count != self._idle_count or connection.read_paused:
            self._idle_count = count
            self._idle_since = now
        if now - self._idle_since >= timeout - 2 * _EARLY:
            return True
        # No clock reading per message: looking from time to time is exact enough.
        left = self._idle_since + timeout - now
        self._idle_at = now + min(left, timeout / IDLE_SAMPLES)
        return False

    def _is_stalled(self, connection: Connection, now: float) -> bool:
        size = connection.transport.get_write_buffer_size()
        if size < self._stall_size:
            self._stall_since = now
        self._stall_size = size
        if now - self._stall_since >= STALL_LIMIT - STALL_SAMPLE - 2 * _EARLY:
            return True
        self._stall_at = now + STALL_SAMPLE
        return False
