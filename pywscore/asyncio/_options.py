"""What all connections of one server, or of one ``connect()``, have in common."""

from __future__ import annotations

import asyncio
import weakref
from dataclasses import dataclass
from typing import Any

from .._core import ReceiveBuffer, Timers
from ._log import LimitedLogger

type_or_pair = int | tuple[int | None, int | None] | None

MAX_QUEUE = 16
WRITE_LIMIT = (65536, 16384)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of connections; one object for many of them.

    Attributes:
        open_timeout: seconds for the whole opening handshake, None for no limit.
        ping_interval: seconds between keepalive pings, None for no pings.
        ping_timeout: seconds to wait for the pong, None for no limit.
        close_timeout: seconds for the closing handshake, None for no limit.
        idle_timeout: seconds without a complete message, None for no limit.
        max_queue: high- and low-water mark of the receive queue in messages, None for
            no limit.
        write_limit: high- and low-water mark of the output in bytes.
        log: where to log.
    """

    open_timeout: float | None = 10
    ping_interval: float | None = 20
    ping_timeout: float | None = 20
    close_timeout: float | None = 10
    idle_timeout: float | None = None
    max_queue: tuple[int, int] | None = (MAX_QUEUE, MAX_QUEUE // 4)
    write_limit: tuple[int, int] = WRITE_LIMIT
    log: LimitedLogger


def water_marks(name: str, value: Any) -> tuple[int, int] | None:
    """``(high, low)`` from a number, a pair with None for "the usual", or None.

    Raises:
        ValueError: if they are negative or in the wrong order.
    """
    high, low = value if isinstance(value, tuple) else (value, None)
    if high is None and low is None:
        return None
    if high is None:
        high = low * 4
    if low is None:
        low = high // 4
    if not 0 <= low <= high:
        raise ValueError(f"{name} needs 0 <= low <= high, not {value!r}")
    return high, low


def message_limit(max_size: Any) -> int | None:
    """``max_size`` in bytes; a pair is (message, fragment), as in ``websockets``.

    The core bounds whole messages, and with them their fragments.

    Raises:
        ValueError: if it is negative, or only a limit for fragments is given.
    """
    limit, fragment = max_size if isinstance(max_size, tuple) else (max_size, None)
    if limit is None and fragment is not None:
        raise ValueError("max_size can't limit fragments without limiting messages")
    if limit is not None and fragment is not None:
        limit = max(limit, fragment)
    if limit is not None and limit < 0:
        raise ValueError("max_size must not be negative")
    return None if limit is None else int(limit)


def check_carrier(carrier: str) -> None:
    """Raises:
    ValueError: if there is no such carrier in this build.
    """
    if carrier not in ("auto", "engine", "transport"):
        raise ValueError(f"carrier must be auto, engine or transport, not {carrier!r}")


_receive_buffers: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, ReceiveBuffer
] = weakref.WeakKeyDictionary()


def receive_buffer(loop: asyncio.AbstractEventLoop) -> ReceiveBuffer:
    """The memory that all connections of ``loop`` receive into."""
    try:
        return _receive_buffers[loop]
    except KeyError:
        return _receive_buffers.setdefault(loop, ReceiveBuffer())


# The timers hold the loop, so that this must not hold the timers: connections do.
_timers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[Timers]] = (
    weakref.WeakKeyDictionary()
)


def timers(loop: asyncio.AbstractEventLoop) -> Timers:
    """The timers of all connections of ``loop``."""
    known = _timers.get(loop)
    found = None if known is None else known()
    if found is None:
        found = Timers(loop)
        _timers[loop] = weakref.ref(found)
    return found
