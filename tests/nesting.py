"""A loop that may be run inside of its own callbacks, as nest_asyncio makes them."""

from __future__ import annotations

import asyncio
import heapq
from typing import Any


class NestingLoop(asyncio.SelectorEventLoop):
    """asyncio's loop counts what is ready before it runs that: here it may be gone."""

    _ready: Any
    _scheduled: Any
    _selector: Any

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        timeout = None
        if ready or self._stopping:  # type: ignore[attr-defined]
            timeout = 0.0
        elif scheduled:
            timeout = max(0.0, scheduled[0]._when - self.time())
        self._process_events(self._selector.select(timeout))  # type: ignore[attr-defined]
        end = self.time() + self._clock_resolution  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._when < end:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            if not ready:
                break
            handle = ready.popleft()
            if not handle._cancelled:
                # What it ran in before may be entered still.
                handle._context = handle._context.copy()
                handle._run()

    def nest(self, rounds: int = 3) -> None:
        """Run a few rounds, from wherever one is."""
        task = asyncio.current_task(self)
        if task is not None:
            asyncio.tasks._leave_task(self, task)  # type: ignore[attr-defined]
        try:
            for _ in range(rounds):
                self.call_soon(int)
                self._run_once()
        finally:
            if task is not None:
                asyncio.tasks._enter_task(self, task)  # type: ignore[attr-defined]


async def comes_back(ws: Any, number: int) -> None:
    """All that a client of an echo server sends, in order, whatever runs meanwhile;
    each client has another number."""
    for size in (5, 300, 20_000, 300_000):
        sent = [bytes([number]) * (size + i) for i in range(3)]
        for message in sent:
            await ws.send(message)
        for message in sent:
            assert await ws.recv() == message
