"""What one ``async for`` over a room hasn't taken yet."""

from __future__ import annotations

import asyncio
from collections import deque

from ._message import Event, Gap, Message

__all__ = ["Events"]

MAX_EVENTS = 1000
MAX_SIZE = 1 << 20


class Events:
    """Above its limits messages are missed, and a gap says so."""

    __slots__ = ("_ended", "_misses", "_missing", "_queue", "_room", "_size", "_waiter")

    def __init__(self, room: str) -> None:
        self._room = room
        self._queue: deque[Event] = deque()
        self._size = 0
        self._misses = False
        self._missing: int | None = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def put(self, event: Event) -> None:
        full = len(self._queue) >= MAX_EVENTS or self._size > MAX_SIZE
        if not full and not self._misses:
            self._queue.append(event)
            self._size += _size_of(event)
        elif isinstance(event, (Message, Gap)):
            more = event.count if isinstance(event, Gap) else 1
            known = self._missing is not None and more is not None
            self._missing = self._missing + more if known else None  # type: ignore[operator]
            self._misses = True
        self._wake()

    def end(self) -> None:
        """There will be no more."""
        self._ended = True
        self._wake()

    async def get(self) -> Event | None:
        """The next one; None after the last."""
        while not self._queue:
            if self._misses:
                missing, self._missing, self._misses = self._missing, 0, False
                return Gap(self._room, missing)
            if self._ended:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        event = self._queue.popleft()
        self._size -= _size_of(event)
        return event

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _size_of(event: Event) -> int:
    return len(event.data) if isinstance(event, Message) else 0
