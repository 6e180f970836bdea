"""Time that tests move."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from .._numbers import finite

__all__ = ["Clock"]


class Clock:
    """The running loop's time, which stands still but for ``advance()``: keepalive and
    timeouts of minutes take none::

        async with Clock() as clock:
            await clock.advance(20)

    For asyncio's own loops. Between ``advance()`` calls sleeps and timeouts don't end;
    in them, those that began before end as well.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._loop: Any = None

    async def __aenter__(self) -> Self:
        loop: Any = asyncio.get_running_loop()
        if not hasattr(loop, "_scheduled"):
            raise TypeError("a Clock is for asyncio's own loops")
        if "time" in vars(loop):
            raise RuntimeError("the loop has a Clock")
        self._loop = loop
        self._now = loop.time()
        loop.time = lambda: self._now
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The time that has gone by here has gone by.
        start, real = self._now, type(self._loop).time(self._loop)
        loop = self._loop
        loop.time = lambda: start + type(loop).time(loop) - real
        self._loop = None

    async def advance(self, seconds: float) -> None:
        """Let time go by, timer after timer, each with all that follows from it.

        Args:
            seconds: how much.

        Raises:
            ValueError: if it is negative or not finite.
        """
        end = self._now + finite("seconds", seconds)
        await self._settle()
        while (when := self._next_timer()) is not None and when <= end:
            self._now = max(self._now, when)
            await self._settle()
        self._now = end
        await self._settle()

    def stall(self, seconds: float) -> None:
        """Let time go by in which the loop doesn't have its turn, as when a call
        blocks: what came and what is due waits until it has.

        Args:
            seconds: how much.

        Raises:
            ValueError: if it is negative or not finite.
        """
        self._now += finite("seconds", seconds)

    def _next_timer(self) -> float | None:
        times = [it.when() for it in self._loop._scheduled if not it.cancelled()]
        later = [when for when in times if when > self._now]
        return min(later, default=None)

    async def _settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
