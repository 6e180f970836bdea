"""Rooms spread over several brokers, each of which knows nothing of the others."""

from __future__ import annotations

import asyncio
import bisect
import functools
import hashlib
from collections.abc import Collection, Iterable, Mapping

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
        self.brings_many = any(broker.brings_many for broker in self._brokers)
        self._ring = sorted(
            (_hash(f"{name} {number}"), index)
            for index, name in enumerate(brokers)
            for number in range(POINTS)
        )
        self._points = [point for point, _ in self._ring]

    async def open(self, node: Node, name: str, timeout: float) -> None:
        try:
            await asyncio.gather(
                *(
                    broker.open(_Part(node, index), name, timeout)
                    for index, broker in enumerate(self._brokers)
                )
            )
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await asyncio.gather(*(broker.close() for broker in self._brokers))

    def part_of(self, room: str) -> int:
        point = bisect.bisect(self._points, _hash(room)) % len(self._ring)
        return self._ring[point][1]

    async def publish(self, publication: Publication) -> Place | None:
        return await self._of(publication.room).publish(publication)

    async def subscribe(self, rooms: Collection[str]) -> None:
        await self._of(next(iter(rooms))).subscribe(rooms)

    async def unsubscribe(self, rooms: Collection[str]) -> None:
        await self._of(next(iter(rooms))).unsubscribe(rooms)

    async def read(self, room: str, after: Place | None, limit: int) -> Reading:
        return await self._of(room).read(room, after, limit)

    async def announce(self, reports: Iterable[tuple[Report, bytes]]) -> None:
        reports = list(reports)
        await self._of(reports[0][0].room).announce(reports)

    async def present(self, room: str) -> Mapping[str, bytes]:
        return await self._of(room).present(room)

    def _of(self, room: str) -> Broker:
        return self._brokers[self.part_of(room)]


class _Part:
    """What one of the brokers tells."""

    def __init__(self, node: Node, part: int) -> None:
        self.on_message = node.on_message
        self.on_report = node.on_report
        self.on_nodes = functools.partial(node.on_nodes, part=part)
        self.on_forgotten = functools.partial(node.on_forgotten, part=part)
        self.on_state = functools.partial(node.on_state, part=part)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
