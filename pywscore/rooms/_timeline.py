"""A room's messages as this node gets them: in order, read again where some are
missing. Knows no member."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from ._broker import Entry, Place, Reading
from ._errors import HubError
from ._order import Order

__all__ = ["PAGE", "CatchUp", "Timeline", "again"]

PAGE = 256
KEEP_BYTES = 1 << 20
MAX_DELAY = 2.0

T = TypeVar("T")


class CatchUp(NamedTuple):
    """What a member that comes back gets.

    Attributes:
        missing: how many messages before these are gone; None if nobody knows.
        entries: the messages with their epochs, in order.
    """

    missing: int | None
    entries: list[tuple[str, Entry]]


class Timeline:
    """
    Args:
        keep: how many messages are remembered for members that come back.
        read: what the broker has after a place, at most so many.
        on_entry: called with the epoch and each message, in order.
        on_gap: called where some are missing, with how many or None.
    """

    __slots__ = ("_on_entry", "_on_gap", "_order", "_read", "_reads", "_repair")

    def __init__(
        self,
        keep: int,
        read: Callable[[Place | None, int], Awaitable[Reading]],
        on_entry: Callable[[str, Entry], object],
        on_gap: Callable[[int | None], object],
    ) -> None:
        self._order = Order(keep, KEEP_BYTES)
        self._read = read
        self._on_entry = on_entry
        self._on_gap = on_gap
        self._reads: dict[Place | None, asyncio.Task[Reading]] = {}
        self._repair: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Read what there is; nobody gets it."""
        order = self._order
        while order.behind:
            order.take(await again(lambda: self._read(order.place, PAGE)))

    def see(self, place: Place, body: bytes) -> None:
        """A message was published."""
        entry = self._order.see(place, body)
        if entry is not None:
            self._on_entry(place.epoch, entry)
        elif self._order.behind:
            self.repair()

    def lose_sight(self) -> None:
        """Messages may pass unseen from now on."""
        self._order.lose_sight()

    def repair(self) -> asyncio.Task[None] | None:
        """Read what is missing, unless that is being done or nothing is."""
        if self._order.place is None or not self._order.behind:
            return None  # begin() is at it
        if self._repair is None or self._repair.done():
            self._repair = asyncio.create_task(self._read_missing())
        return self._repair

    def close(self) -> None:
        for task in [*self._reads.values(), self._repair]:
            if task is not None:
                task.cancel()

    async def since(self, place: Place | None) -> CatchUp:
        """All that went out after a place up to now, or that is kept of it."""
        missing: int | None = 0
        entries: list[tuple[str, Entry]] = []
        order = self._order
        while True:
            last = order.place
            assert last is not None
            known = None if place is None else order.since(place)
            if known is not None:
                return CatchUp(missing, [*entries, *((last.epoch, it) for it in known)])
            reading = await self._read_once(place)
            if not reading.continued:
                missing = None
            elif reading.missing and missing is not None and place is not None:
                missing += reading.missing
            epoch = reading.top.epoch
            entries += [(epoch, entry) for entry in reading.entries]
            end = reading.entries[-1] if reading.entries else None
            place = Place(epoch, end.offset, end.tag) if end else reading.top
            last = order.place
            assert last is not None
            if place.epoch == last.epoch and place.offset >= last.offset:
                # What is newer comes to all.
                return CatchUp(
                    missing, [it for it in entries if it[1].offset <= last.offset]
                )
            if place.offset >= reading.top.offset and (repair := self.repair()):
                await asyncio.shield(repair)

    async def _read_missing(self) -> None:
        order = self._order
        while order.behind:
            reading = await again(lambda: self._read(order.place, PAGE))
            missing, entries = order.take(reading)
            if missing != 0:
                self._on_gap(missing)
            epoch = reading.top.epoch
            for entry in entries:
                self._on_entry(epoch, entry)

    async def _read_once(self, place: Place | None) -> Reading:
        """One reading for all who want the same."""
        task = self._reads.get(place)
        if task is None:
            task = asyncio.ensure_future(self._read(place, PAGE))
            self._reads[place] = task
            task.add_done_callback(lambda _: self._reads.pop(place, None))
        return await asyncio.shield(task)


async def again(call: Callable[[], Awaitable[T]]) -> T:
    """What it gives in the end, tried again while it raises HubError."""
    delay = 0.05
    while True:
        try:
            return await call()
        except HubError:
            await asyncio.sleep(delay * random.uniform(0.5, 1))
            delay = min(2 * delay, MAX_DELAY)
