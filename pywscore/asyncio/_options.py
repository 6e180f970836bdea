"""What all connections of one server, or of one ``connect()``, have in common."""

from __future__ import annotations

import asyncio
import dataclasses
import weakref
from collections.abc import Mapping
from typing import Any

from .._core import ReceiveBuffer, Timers
from ._log import LimitedLogger
from ._rate import RateLimit

# What serve() and connect() have by default.
OPEN_TIMEOUT = 10
PING_INTERVAL = 20
PING_TIMEOUT = 20
CLOSE_TIMEOUT = 10
MAX_SIZE = 1 << 20
MAX_QUEUE = 16
WRITE_LIMIT = (65536, 16384)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
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
        rate_limit: how much may come in a second, None for no limit.
        log: where to log.
        of_loop: what ``for_core()`` gave last, in the loop that is its first.
    """

    open_timeout: float | None = OPEN_TIMEOUT
    ping_interval: float | None = PING_INTERVAL
    ping_timeout: float | None = PING_TIMEOUT
    close_timeout: float | None = CLOSE_TIMEOUT
    idle_timeout: float | None = None
    max_queue: tuple[int, int] | None = (MAX_QUEUE, MAX_QUEUE // 4)
    write_limit: tuple[int, int] = WRITE_LIMIT
    rate_limit: RateLimit | None = None
    log: LimitedLogger
    of_loop: tuple[Any, ...] = dataclasses.field(
        default=(None,), init=False, repr=False, compare=False
    )

    def for_core(self, loop: asyncio.AbstractEventLoop) -> tuple[Any, ...]:
        """The core's arguments for a connection in ``loop``, after the protocol: by
        position, as names of arguments are looked up one by one."""
        known = self.of_loop
        if known[0] is not loop:
            limit = self.rate_limit
            known = (
                loop,
                receive_buffer(loop),
                timers(loop),
                self.max_queue,
                self.write_limit,
                self.ping_interval,
                self.ping_timeout,
                self.idle_timeout,
                None if limit is None else limit._parts(),
            )
            object.__setattr__(self, "of_loop", known)
        return known

    @classmethod
    def of(cls, arguments: Mapping[str, Any], log: LimitedLogger) -> Options:
        """Those that are among ``arguments``, which have been checked."""
        names = {field.name for field in dataclasses.fields(cls) if field.init}
        return cls(log=log, **{name: arguments[name] for name in names - {"log"}})


_receive_buffers: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, ReceiveBuffer
] = weakref.WeakKeyDictionary()


def receive_buffer(loop: asyncio.AbstractEventLoop) -> ReceiveBuffer:
    """The memory that all connections of ``loop`` receive into."""
    found = _receive_buffers.get(loop)
    if found is None:
        # Not by setdefault(): without memory, CPython 3.13 damages the dictionary.
        found = _receive_buffers[loop] = ReceiveBuffer()
    return found


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
