"""Rooms spread over several brokers, each of which knows nothing of the others."""

from __future__ import annotations

import asyncio
import bisect
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

from ._broker import Broker, Node, Place, Publication, Reading, Report

__all__ = ["SpreadBroker"]

POINTS = 128


class SpreadBroker(Broker):
    """A consistent hash of the room's name says which: with one more or one less, few
    rooms move.

    Args:
        brokers: by what they are told apart with, the same on all nodes.
    """

    def __init__(self, brokers: Mapping[str, Broker]) -> None:
        self._brokers = list(brokers.values())
        self._ring = sorted(
            (_hash(f"{name} {number}"), index)
            for index, name in enumerate(brokers)
            for number in range(POINTS)
        )
        self._points = [point for point, _ in self._ring]

    async def open(self, node: Node, name: str, timeout: float) -> None:
        states = _States(node, len(self._brokers))
        try:
            await asyncio.gather(
                *(
                    broker.open(_Part(states, index), name, timeout)
                    for index, broker in enumerate(self._brokers)
                )
            )
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await asyncio.gather(*(broker.close() for broker in self._brokers))

    async def publish(self, publication: Publication) -> Place | None:
        return await self._of(publication.room).publish(publication)

    async def subscribe(self, rooms: Collection[str]) -> None:
        await self._each(rooms, lambda broker, some: broker.subscribe(some))

    async def unsubscribe(self, rooms: Collection[str]) -> None:
        await self._each(rooms, lambda broker, some: broker.unsubscribe(some))

    async def read(self, room: str, after: Place | None, limit: int) -> Reading:
        return await self._of(room).read(room, after, limit)

    async def announce(self, reports: Iterable[tuple[Report, bytes]]) -> None:
        by_room = {report.room: (report, packed) for report, packed in reports}
        await self._each(
            by_room, lambda broker, some: broker.announce(by_room[it] for it in some)
        )

    async def present(self, room: str) -> Mapping[str, bytes]:
        return await self._of(room).present(room)

    def _of(self, room: str) -> Broker:
        index = bisect.bisect(self._points, _hash(room)) % len(self._ring)
        return self._brokers[self._ring[index][1]]

    async def _each(
        self,
        rooms: Collection[str],
        call: Callable[[Broker, list[str]], Awaitable[None]],
    ) -> None:
        shares: dict[Broker, list[str]] = {}
        for room in rooms:
            shares.setdefault(self._of(room), []).append(room)
        await asyncio.gather(*(call(broker, some) for broker, some in shares.items()))


class _States:
    """All are up, or the node is down."""

    def __init__(self, node: Node, count: int) -> None:
        self.node = node
        self.down = dict.fromkeys(range(count), "")
        self.alive: dict[int, Collection[str]] = {}

    def set(self, index: int, up: bool, why: str) -> None:
        if up:
            self.down.pop(index, None)
            if not self.down:
                self.node.on_state(True, "")
        else:
            self.down[index] = why
            self.node.on_state(False, why)

    def set_alive(self, index: int, alive: Collection[str]) -> None:
        # Who can't reach one of them can still reach the rooms of the others.
        self.alive[index] = alive
        if len(self.alive) == len(self.alive.keys() | self.down.keys()):
            self.node.on_nodes({name for some in self.alive.values() for name in some})


class _Part:
    """What one of the brokers tells."""

    def __init__(self, states: _States, index: int) -> None:
        self._states = states
        self._index = index
        self.on_message = states.node.on_message
        self.on_report = states.node.on_report
        self.on_forgotten = states.node.on_forgotten

    def on_nodes(self, alive: Collection[str]) -> None:
        self._states.set_alive(self._index, alive)

    def on_state(self, up: bool, why: str) -> None:
        self._states.set(self._index, up, why)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
