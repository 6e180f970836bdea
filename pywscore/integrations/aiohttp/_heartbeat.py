"""aiohttp's heartbeat: a ping when nothing came for a while, and a limit for the pong.

Any byte that arrives is a sign of life. Nothing is done per message for that: the
kernel knows when the last bytes came, and is asked when the timer fires. Where it
doesn't tell, the connection notes the time of each read.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

# struct tcp_info of Linux: milliseconds since the last data, and bytes received so far.
_LAST_DATA_RECEIVED = struct.Struct("I"), 52
_BYTES_RECEIVED = struct.Struct("Q"), 128
_INFO_SIZE = 136
# Timers may fire a little before their time (uvloop counts milliseconds).
_EARLY = 0.002


Signs = tuple[int, float]
"""A count that grows with each arrival, and the seconds since the last one."""


def signs_by_kernel(transport: Any) -> Callable[[], Signs] | None:
    """How the kernel tells what arrived on ``transport``; None where it doesn't."""
    sock = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_INFO", None)
    if sock is None or option is None:
        return None

    def signs() -> Signs:
        info = sock.getsockopt(socket.IPPROTO_TCP, option, _INFO_SIZE)
        [count] = _BYTES_RECEIVED[0].unpack_from(info, _BYTES_RECEIVED[1])
        [silence] = _LAST_DATA_RECEIVED[0].unpack_from(info, _LAST_DATA_RECEIVED[1])
        return count, silence / 1000

    try:
        count, _ = signs()
    except (OSError, struct.error, AttributeError, TypeError):
        return None
    # A handshake was received: a kernel that says 0 doesn't count.
    return signs if count > 0 else None


class Heartbeat:
    """The clock of one connection.

    Args:
        loop: the event loop.
        interval: seconds without data until a ping; half of it for the pong.
        signs: tells what arrived.
        ping: sends a ping.
        expired: is called when the pong didn't come.
    """

    __slots__ = (
        "_expired",
        "_handle",
        "_interval",
        "_loop",
        "_ping",
        "_pinged_at",
        "_pinged_count",
        "_signs",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval: float,
        signs: Callable[[], Signs],
        ping: Callable[[], None],
        expired: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._interval = interval
        self._signs = signs
        self._ping = ping
        self._expired = expired
        self._pinged_at: float | None = None
        self._pinged_count = 0
        self._handle: asyncio.TimerHandle | None = None
        self._handle = loop.call_later(interval, self._fired)

    def stop(self) -> None:
        """No more pings."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        # What it calls refers to the connection, which refers to this.
        self._signs = _no_signs
        self._ping = self._expired = _nothing

    def _fired(self) -> None:
        try:
            count, silence = self._signs()
        except OSError:
            return  # the connection is gone
        now = self._loop.time()
        half = self._interval / 2
        if self._pinged_at is not None and count != self._pinged_count:
            self._pinged_at = None
        if self._pinged_at is not None:
            delay = self._pinged_at + half - now
            if delay <= _EARLY:
                self._expired()
                return
        elif silence >= self._interval - _EARLY:
            self._pinged_at, self._pinged_count = now, count
            self._ping()
            delay = half
        else:
            delay = self._interval - silence
        self._handle = self._loop.call_later(max(delay, _EARLY), self._fired)


def _no_signs() -> Signs:
    return 0, 0.0


def _nothing() -> None:
    pass
