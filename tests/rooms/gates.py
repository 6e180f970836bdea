"""A broker in memory whose calls wait until they are let through."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Iterable, Mapping

from pywscore.rooms import Hub
from pywscore.rooms._broker import Place, Publication, Reading, Report
from pywscore.rooms._memory import MemoryBroker


class Gate:
    """Open, until it is shut."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self.waiting = 0
        self.passed = 0

    def shut(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    async def __call__(self) -> None:
        self.waiting += 1
        try:
            await self._open.wait()
        finally:
            self.waiting -= 1
        self.passed += 1


class GatedBroker(MemoryBroker):
    """Each gate is after the call's work, as the way back from a server is.

    Attributes:
        hears: what is published reaches this node.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.subscribing, self.reading = Gate(), Gate()
        self.announcing, self.presenting = Gate(), Gate()
        self.hears = True

    async def subscribe(self, rooms: Collection[str]) -> None:
        await self.subscribing()
        await super().subscribe(rooms)

    async def read(self, room: str, after: Place | None, limit: int) -> Reading:
        reading = await super().read(room, after, limit)
        await self.reading()
        return reading

    async def announce(self, reports: Iterable[tuple[Report, bytes]]) -> None:
        await super().announce(reports)
        await self.announcing()

    async def present(self, room: str) -> Mapping[str, bytes]:
        present = await super().present(room)
        await self.presenting()
        return present

    async def publish(self, publication: Publication) -> Place | None:
        heard = set(self._rooms)
        if not self.hears:
            self._rooms.clear()
        try:
            return await super().publish(publication)
        finally:
            self._rooms.update(heard)


def gated(**arguments: object) -> tuple[Hub, GatedBroker]:
    """A hub that isn't open yet, and its broker."""
    hub = Hub("memory://", **arguments)  # type: ignore[arg-type]
    broker = GatedBroker(secrets.token_hex(4))
    hub._node.broker = broker
    return hub, broker
