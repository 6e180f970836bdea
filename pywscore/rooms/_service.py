"""What a node has of a room while that is served: fan-out, timeline, presence."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ._body import message_of, place_of, unpack
from ._broker import Entry, Place, Report
from ._fanout import Fanout, Policy, Seat
from ._message import Event, Gap, Joined, Left, Message
from ._node import Node
from ._outbox import Data
from ._presence import MAX_TOLD, Changes, Nodes, pack_members
from ._timeline import CatchUp, Timeline, again

__all__ = ["Envelope", "Events", "Notice", "Options", "Service"]

logger = logging.getLogger("pywscore.rooms")

Envelope = Callable[[Message], str | bytes]
Notice = Callable[[Gap | Joined | Left], str | bytes | None]

MAX_EVENTS = 1000
WIRES_FOR = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """What ``Hub.room()`` was given."""

    history: int = 0
    ttl: float = 3600.0
    policy: Policy = "skip"
    envelope: Envelope | None = None
    notice: Notice | None = None


class Service:
    """
    Args:
        node: of the hub.
        name: the room's.
        options: the room's.
        on_gone: called with a member that can't be sent to any more; it is to be
            removed.
    """

    __slots__ = (
        "_changes",
        "_name",
        "_node",
        "_nodes",
        "_options",
        "_users",
        "_wires",
        "fanout",
        "queues",
        "ready",
        "timeline",
    )

    def __init__(
        self, node: Node, name: str, options: Options, on_gone: Callable[[Any], object]
    ) -> None:
        self._node = node
        self._name = name
        self._options = options
        self._users: dict[str, str] = {}  # of the members here, as JSON, by session
        self._wires: dict[str, Data | None] = {}
        self._changes: Changes | None = None
        self._nodes = Nodes()
        self.ready = False
        self.fanout = Fanout(options.policy, self._gap_notice, on_gone, node.start)
        self.queues: list[Events] = []
        self.timeline: Timeline | None = None
        if options.history:
            self.timeline = Timeline(
                options.history,
                lambda place, limit: node.broker.read(name, place, limit),
                self._on_entry,
                self._on_gap,
            )

    async def begin(self) -> None:
        """Read what there is, however long that takes."""
        if self.timeline is not None:
            await self.timeline.begin()
        await again(self.read_presence)
        self.ready = True

    def close(self) -> None:
        if self.timeline is not None:
            self.timeline.close()

    async def since(self, since: str) -> CatchUp:
        if self.timeline is None:
            return CatchUp(None, [])
        return await self.timeline.since(place_of(since))

    def add(self, member: Seat, packed_user: str, catch_up: CatchUp) -> None:
        wires = [self._wire_again(epoch, entry) for epoch, entry in catch_up.entries]
        known = [wire for wire in wires if wire is not None]
        self.fanout.add(member, known, catch_up.missing)
        if packed_user != "null":
            self._users[member.session] = packed_user
        self._change().join(member.session, self._users.get(member.session))

    def remove(self, member: Seat) -> None:
        self.fanout.remove(member)
        self._users.pop(member.session, None)
        self._change().leave(member.session)

    # Messages

    def on_message(self, place: Place | None, body: bytes) -> None:
        if place is None or self.timeline is None:
            self._on_entry("", Entry(0, "", body))
        else:
            self.timeline.see(place, body)

    def on_down(self) -> None:
        if self.timeline is not None:
            self.timeline.lose_sight()

    async def on_up(self) -> None:
        """All that may have been missed."""
        if self.timeline is None:
            self._on_gap(None)
        elif repair := self.timeline.repair():
            await asyncio.shield(repair)
        self.report_again()
        await again(self.read_presence)

    def _on_entry(self, epoch: str, entry: Entry) -> None:
        try:
            body = unpack(entry.body)
        except ValueError:
            logger.warning("what isn't ours is in room %.100r", self._name)
            return
        message = message_of(self._name, epoch, entry, body)
        wire = self._wire(message) if self.fanout.members else None
        if wire is not None:
            self.fanout.send(wire, body.key, body.exclude)
        for queue in self.queues:
            queue.put(message)

    def _on_gap(self, missing: int | None) -> None:
        self._node.gaps += 1
        self._on_event(Gap(self._name, missing))

    def _on_event(self, event: Gap | Joined | Left) -> None:
        if self._options.notice is not None and self.fanout.members:
            notice = self._notice(event)
            if notice is not None:
                self.fanout.tell(notice)
        for queue in self.queues:
            queue.put(event)

    def _gap_notice(self, missing: int | None) -> Data | None:
        return self._notice(Gap(self._name, missing))

    def _notice(self, event: Gap | Joined | Left) -> Data | None:
        if self._options.notice is None:
            return None
        try:
            return self._options.notice(event)
        except Exception:
            logger.exception("notice() of room %.100r failed", self._name)
            return None

    def _wire(self, message: Message) -> Data | None:
        """What members get of it; None if that can't be made."""
        if self._options.envelope is None:
            return message.data
        try:
            return self._options.envelope(message)
        except Exception:
            logger.exception("envelope() of room %.100r failed", self._name)
            return None

    def _wire_again(self, epoch: str, entry: Entry) -> Data | None:
        """For one of perhaps many members that come back."""
        if not self._wires:
            loop = asyncio.get_running_loop()
            loop.call_later(WIRES_FOR, self._wires.clear)
        if entry.tag not in self._wires:
            message = message_of(self._name, epoch, entry)
            self._wires[entry.tag] = self._wire(message)
        return self._wires[entry.tag]

    # Presence

    def _change(self) -> Changes:
        if self._changes is None:
            self._changes = Changes()
            self._node.tell_soon(self)
        return self._changes

    @property
    def has_changed(self) -> bool:
        return self._changes is not None

    def report(self) -> tuple[Report, bytes]:
        changes, self._changes = self._changes or Changes(), None
        count = len(self.fanout.members)
        told = changes.report(
            self._name, self._node.name, count, self._users, tell=count <= MAX_TOLD
        )
        return told, pack_members(self._users, count)

    def report_again(self) -> None:
        self._change().whole = True

    def on_report(self, report: Report) -> None:
        for event in self._nodes.apply(report):
            self._on_event(event)

    def on_nodes_gone(self, gone: Collection[str]) -> None:
        for node in [name for name in self._nodes.names() if name in gone]:
            for event in self._nodes.forget(self._name, node):
                self._on_event(event)

    async def read_presence(self) -> None:
        present = await self._node.broker.present(self._name)
        self._node.heard_from(present)
        for event in self._nodes.whole(self._name, present):
            self._on_event(event)


class Events:
    """What one ``async for`` over a room hasn't taken yet."""

    __slots__ = ("_missed", "_queue", "_room", "_waiter")

    def __init__(self, room: str) -> None:
        self._room = room
        self._queue: deque[Event] = deque()
        self._missed = 0
        self._waiter: asyncio.Future[None] | None = None

    def put(self, event: Event) -> None:
        if len(self._queue) < MAX_EVENTS and not self._missed:
            self._queue.append(event)
        elif isinstance(event, Message):
            self._missed += 1
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> Event:
        while not self._queue:
            if self._missed:
                missed, self._missed = self._missed, 0
                return Gap(self._room, missed)
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._queue.popleft()
