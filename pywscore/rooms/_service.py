"""What a node has of a room while that is served: fan-out, timeline, presence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from ._body import Body, body_of, message_of, place_of
from ._broker import Entry, Place, Reading, Report
from ._events import Events
from ._fanout import Fanout, Policy, Seat
from ._log import is_exit, log
from ._message import Gap, Joined, Left, Message
from ._node import Node
from ._outbox import Data
from ._presence import Changes, Nodes, pack_members
from ._timeline import CatchUp, Timeline, again, result_of

__all__ = ["Envelope", "Notice", "Options", "Service"]

Envelope = Callable[[Message], str | bytes]
Notice = Callable[[Gap | Joined | Left], str | bytes | None]

WIRES_FOR = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """What ``Hub.room()`` was given."""

    history: int = 0
    ttl: float = 3600.0
    policy: Policy = "skip"
    envelope: Envelope | None = None
    notice: Notice | None = None
    flush: float = 0.0


class Owner(Protocol):
    """The room."""

    def _on_gone(self, member: Any) -> object:
        """It can't be sent to any more; it is to be removed."""


class Service:
    """
    Args:
        node: of the hub.
        name: the room's.
        options: the room's.
        room: whose service it is.

    Attributes:
        fanout: its members here.
        ready: it has been read; what was missed since then has to be read again.
    """

    __slots__ = (
        "_changes",
        "_name",
        "_node",
        "_nodes",
        "_options",
        "_overtaken",
        "_queues",
        "_reading",
        "_reports",
        "_room",
        "_timeline",
        "_wires",
        "fanout",
        "ready",
    )

    def __init__(self, node: Node, name: str, options: Options, room: Owner) -> None:
        self._node = node
        self._name = name
        self._options = options
        self._room = room
        self._wires: dict[str, Data | None] | None = None
        self._changes: Changes | None = None
        # Who is where is followed for those who want to be told of it.
        self._nodes: Nodes | None = None if options.notice is None else Nodes()
        self._reading: asyncio.Task[None] | None = None
        self._reports: list[Report] | None = None
        self._overtaken = False
        self._queues: tuple[Events, ...] = ()
        self._timeline = Timeline(options.history, self) if options.history else None
        flush = 0.0 if node.broker.brings_many else None
        if options.flush:
            flush = options.flush / 1000
        self.fanout = Fanout(options.policy, self, flush)
        self.ready = False

    async def begin(self) -> None:
        """Read what there is, however long that takes."""
        while not self.ready:
            self._overtaken = False
            if self._nodes is not None:
                await self._read_presence()
            if self._timeline is not None:
                await self._timeline.begin()
            self.ready = not self._overtaken

    def close(self) -> None:
        """It has no members any more, which may still be to be told."""
        self.fanout.close()
        timeline, self._timeline = self._timeline, None
        if timeline is not None:
            timeline.close()
        if self._reading is not None:
            self._reading.cancel()
        for queue in self._queues:
            queue.end()

    async def since(self, since: str) -> CatchUp:
        if self._timeline is None:
            return CatchUp(None, [])
        return await self._timeline.since(place_of(since))

    def add(self, member: Any, catch_up: CatchUp) -> None:
        wires = [self._wire_again(epoch, entry) for epoch, entry in catch_up.entries]
        known = [wire for wire in wires if wire is not None]
        self.fanout.add(member, known, catch_up.missing)
        self._change().join(member)

    def remove(self, member: Any) -> None:
        self.fanout.remove(member)
        self._change().leave(member)

    # Messages, for a node

    def on_message(self, place: Place | None, body: bytes) -> None:
        if place is None or self._timeline is None:
            self.on_entry("", Entry(0, "", body))
        else:
            self._timeline.see(place, body)

    def on_down(self) -> None:
        if self._timeline is not None:
            self._timeline.lose_sight()

    async def on_up(self) -> None:
        """All that may have been missed."""
        if self._timeline is not None:
            self._timeline.lose_sight()
        if not self.ready:
            self._overtaken = True  # by what begin() hasn't read
            return
        if self._timeline is None:
            self.on_gap(None)
        elif repair := self._timeline.repair():
            await asyncio.wait([repair])
        self.report_again()
        if self._nodes is not None:
            await self._read_presence()

    # For a timeline

    async def read(self, place: Place | None, limit: int) -> Reading:
        return await self._node.broker.read(self._name, place, limit)

    def on_entry(self, epoch: str, entry: Entry) -> None:
        body = body_of(self._name, entry)
        if body is None:
            return
        message = message_of(self._name, epoch, entry, body)
        if len(self.fanout):
            wire = self._wire(message)
            if wire is not None:
                self.fanout.send(wire, body.key, self._excluded(body))
        for queue in self._queues:
            queue.put(message)

    def on_gap(self, missing: int | None) -> None:
        self._node.gaps += 1
        self._on_event(Gap(self._name, missing))

    # For a fan-out

    def gap_notice(self, missing: int | None) -> Data | None:
        return self._notice(Gap(self._name, missing))

    def on_gone(self, member: Seat) -> None:
        self._room._on_gone(member)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._node.start(coroutine)

    def call_at_end(self, callback: Callable[[], object]) -> None:
        self._node.call_at_end(callback)

    def _excluded(self, body: Body) -> Seat | None:
        if not body.exclude.startswith(f"{self._node.name}."):
            return None
        members: Any = self.fanout
        return next((it for it in members if it.session == body.exclude), None)

    def _on_event(self, event: Gap | Joined | Left) -> None:
        if self._options.notice is not None and len(self.fanout):
            notice = self._notice(event)
            if notice is not None:
                self.fanout.tell(notice)
        for queue in self._queues:
            queue.put(event)

    def _notice(self, event: Gap | Joined | Left) -> Data | None:
        if self._options.notice is None:
            return None
        try:
            notice = self._options.notice(event)
            return None if notice is None else _checked(notice)
        except BaseException as exc:
            if is_exit(exc):
                raise
            self._failed("notice", exc)
            return None

    def _wire(self, message: Message) -> Data | None:
        """What members get of it; None if that can't be made."""
        if self._options.envelope is None:
            return message.data
        try:
            return _checked(self._options.envelope(message))
        except BaseException as exc:
            if is_exit(exc):
                raise
            self._failed("envelope", exc)
            return None

    def _failed(self, what: str, exc: BaseException) -> None:
        """A function of the application has, perhaps by what a client sent."""
        text = "%s() of room %.100r failed"
        log.log(logging.ERROR, text, what, self._name, exc_info=exc)

    def _wire_again(self, epoch: str, entry: Entry) -> Data | None:
        """For one of perhaps many members that come back."""
        if self._wires is None:
            self._wires = {}
            asyncio.get_running_loop().call_later(WIRES_FOR, self._forget_wires)
        if entry.tag not in self._wires:
            body = body_of(self._name, entry)
            self._wires[entry.tag] = body and self._wire(
                message_of(self._name, epoch, entry, body)
            )
        return self._wires[entry.tag]

    def _forget_wires(self) -> None:
        self._wires = None

    # Presence

    async def watch(self, queue: Events) -> None:
        """From now on it gets all there is."""
        if self._nodes is None:
            await self._read_presence()
        self._queues = (*self._queues, queue)

    def unwatch(self, queue: Events) -> None:
        self._queues = tuple(it for it in self._queues if it is not queue)
        if not self._queues and self._options.notice is None:
            self._nodes = None

    async def _read_presence(self) -> None:
        # One that was cancelled before it began is still there.
        while self._reading is not None and not self._reading.done():
            await asyncio.wait([self._reading])
        self._reading = self._node.start(self._follow())
        await result_of(self._reading)

    async def _follow(self) -> None:
        """Learn who is where. What is told meanwhile is newer."""
        reports = self._reports = []
        try:
            present = await again(lambda: self._node.broker.present(self._name))
        finally:
            self._reports = self._reading = None
        self._node.heard_from(self._name, present)
        nodes = self._nodes = self._nodes or Nodes()
        events = list(nodes.whole(self._name, present))
        for report in reports:
            events += nodes.apply(report)
        for event in events:
            self._on_event(event)

    def _change(self) -> Changes:
        if self._changes is None:
            self._changes = Changes()
            self._node.tell_soon(self._name, self)
        return self._changes

    @property
    def has_changed(self) -> bool:
        return self._changes is not None

    def report(self) -> tuple[Report, bytes]:
        changes, self._changes = self._changes or Changes(), None
        members: Any = list(self.fanout)
        told = changes.report(self._name, self._node.name, members, len(members))
        return told, pack_members(members, len(members))

    def report_again(self) -> None:
        self._change().whole = True

    def on_report(self, report: Report) -> None:
        if self._reports is not None:
            self._reports.append(report)
        elif self._nodes is not None:
            for event in self._nodes.apply(report):
                self._on_event(event)

    def on_nodes_gone(self, gone: Collection[str]) -> None:
        nodes = self._nodes
        if nodes is None:
            return
        for node in [name for name in nodes.names() if name in gone]:
            for event in nodes.forget(self._name, node):
                self._on_event(event)


def _checked(data: Any) -> Data:
    """Raises:
    TypeError, ValueError: if it can't be a message.
    """
    if isinstance(data, str):
        if not data.isascii():
            data.encode()
        return data
    if isinstance(data, bytes):
        return data
    raise TypeError(f"a message is str or bytes, not {type(data).__name__}")
