"""A room's messages as this node gets them: in order, read again where some are
missing. Knows no member."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, TypeVar

from ._broker import Entry, Place, Reading
from ._errors import HubClosed, HubError
from ._order import Order

__all__ = ["PAGE", "CatchUp", "Owner", "Timeline", "again", "result_of"]

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


class Owner(Protocol):
    """What a timeline needs of its room."""

    async def read(self, place: Place | None, limit: int) -> Reading:
        """What the broker has after a place, at most so many."""

    def on_entry(self, epoch: str, entry: Entry) -> None:
        """A message, in order."""

    def on_gap(self, missing: int | None) -> None:
        """So many are missing here; None if nobody knows how many."""


class Timeline:
    """
    Args:
        keep: how many messages are remembered for members that come back.
        owner: the room.
    """

    __slots__ = ("_losses", "_order", "_owner", "_reads", "_repair")

    def __init__(self, keep: int, owner: Owner) -> None:
        self._order = Order(keep, KEEP_BYTES)
        self._owner = owner
        self._losses = 0
        self._reads: dict[Place | None, asyncio.Task[Reading]] | None = None
        self._repair: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Read what there is; nobody gets it."""
        while self._order.behind:
            await self._take_more()

    def see(self, place: Place, body: bytes) -> None:
        """A message was published."""
        entry = self._order.see(place, body)
        if entry is not None:
            self._owner.on_entry(place.epoch, entry)
        elif self._order.behind:
            self.repair()

    def lose_sight(self) -> None:
        """Messages may pass, or have passed, unseen: what is being read doesn't
        count."""
        self._losses += 1
        self._order.lose_sight()

    def repair(self) -> asyncio.Task[None] | None:
        """Read what is missing, unless that is being done or nothing is."""
        if self._order.place is None or not self._order.behind:
            return None  # begin() is at it
        if self._repair is None or self._repair.done():
            self._repair = asyncio.create_task(self._read_missing())
        return self._repair

    def close(self) -> None:
        for task in [*(self._reads or {}).values(), self._repair]:
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
            if not epoch:
                return CatchUp(missing, entries)  # nothing is kept
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
            if place.offset >= reading.top.offset:
                await self._come_along()

    async def _come_along(self) -> None:
        """The node isn't where the broker is."""
        repair = self.repair()
        if repair is not None:
            await asyncio.wait([repair])
        else:
            await asyncio.sleep(0.01)  # its message is under way

    async def _read_missing(self) -> None:
        with contextlib.suppress(HubClosed):
            while self._order.behind:
                epoch, missing, entries = await self._take_more()
                if missing != 0:
                    self._owner.on_gap(missing)
                for entry in entries:
                    self._owner.on_entry(epoch, entry)

    async def _take_more(self) -> tuple[str, int | None, list[Entry]]:
        order, losses, held = self._order, self._losses, self._order.held
        reading = await again(lambda: self._owner.read(order.place, PAGE))
        missing, entries = order.take(reading, held if self._losses == losses else 0)
        if self._losses != losses:
            order.lose_sight()
        return reading.top.epoch, missing, entries

    async def _read_once(self, place: Place | None) -> Reading:
        """One reading for all who want the same."""
        if self._reads is None:
            self._reads = {}
        task = self._reads.get(place)
        if task is None:
            task = asyncio.ensure_future(self._owner.read(place, PAGE))
            self._reads[place] = task
            task.add_done_callback(lambda task: self._has_read(place, task))
        return await result_of(task)

    def _has_read(self, place: Place | None, task: asyncio.Task[Reading]) -> None:
        if self._reads is not None:
            self._reads.pop(place, None)
            self._reads = self._reads or None
        if not task.cancelled():
            task.exception()  # there may be nobody any more who waits for it


async def result_of(task: asyncio.Task[T], seconds: float | None = None) -> T:
    """What a task gives to all who wait for it, of whom any may be cancelled.

    Raises:
        HubClosed: if it is cancelled, which is how the hub ends its tasks.
        TimeoutError: if it takes longer.
    """
    done, _ = await asyncio.wait([task], timeout=seconds)
    if not done:
        raise TimeoutError
    if task.cancelled():
        raise HubClosed("the hub is closed")
    return task.result()


async def again(call: Callable[[], Awaitable[T]]) -> T:
    """What it gives in the end, tried again while it raises HubError.

    Raises:
        HubClosed: if the hub isn't open.
    """
    delay = 0.05
    while True:
        try:
            return await call()
        except HubClosed:
            raise
        except HubError:
            await asyncio.sleep(delay * random.uniform(0.5, 1))
            delay = min(2 * delay, MAX_DELAY)
