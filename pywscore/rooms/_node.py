"""What the rooms of a node have in common: the broker, what comes from it, what is told
to it. Knows rooms by what it calls of them."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from ._broker import Broker, Place, Publication, Report
from ._errors import HubClosed, HubError, LimitError

__all__ = ["HubState", "Limits", "Node", "Served"]

logger = logging.getLogger("pywscore.rooms")

# Changes of members are told together.
CHANGES_AFTER = 0.1
MAX_DELAY = 2.0
RECOVER_AT_ONCE = 256
# Rooms without members here, of which Redis may have forgotten that they left.
MAX_LEFT = 1000


class HubState(enum.Enum):
    """Of a ``Hub``.

    Attributes:
        CLOSED: not opened, or closed.
        CONNECTING: opened, and never connected yet.
        UP: messages come.
        DOWN: Redis is away; it is tried again and again.
    """

    CLOSED = "closed"
    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Limits:
    """What ``Hub()`` was given."""

    max_members: int
    max_rooms: int
    max_rooms_per_connection: int
    max_message_size: int
    max_history: int
    publishes_per_second: float | None
    connect_timeout: float
    join_timeout: float


class Told(Protocol):
    """Of whose members others are told."""

    @property
    def has_changed(self) -> bool:
        """There is something to tell of its members."""

    def report(self) -> tuple[Report, bytes]:
        """What is to be told of this node's members, once."""

    def report_again(self) -> None:
        """What was told may not have come to all: tell everything."""


class Served(Told, Protocol):
    """A room while it is served."""

    def on_message(self, place: Place | None, body: bytes) -> None: ...
    def on_report(self, report: Report) -> None: ...
    def on_nodes_gone(self, gone: Collection[str]) -> None: ...
    def on_down(self) -> None: ...
    async def on_up(self) -> None: ...


class Node:
    """
    Args:
        name: of this node.
        broker: joins it to others.
        limits: of its hub.

    Attributes:
        state: what it is in the middle of.
        served: rooms, by name.
        published, received, delivered, skipped, gaps, reconnects: as of ``HubStats``;
            rooms that are served count what they deliver and skip.
    """

    def __init__(self, name: str, broker: Broker, limits: Limits) -> None:
        self.name = name
        self.broker = broker
        self.limits = limits
        self.state = HubState.CLOSED
        self.served: dict[str, Served] = {}
        self.published = self.received = self.delivered = self.skipped = 0
        self.gaps = self.reconnects = 0
        self._sessions = 0
        self._random = random.Random()
        self._tasks: set[asyncio.Task[Any]] = set()
        # By part of the broker: what is wrong with one is nothing to the others.
        self._alive: dict[int, Collection[str]] = {}
        self._heard_from: defaultdict[int, set[str]] = defaultdict(set)
        self._doubtful: dict[int, set[str]] = {}
        self._subscribing: dict[int, list[tuple[str, asyncio.Future[None]]]] = {}
        self._changed: dict[int, dict[str, Told]] = {}
        self._telling: set[int] = set()
        self._down: set[int] = set()
        self._recovering: dict[int, asyncio.Task[None]] = {}
        self._left: dict[str, None] = {}
        self._at_end: list[Callable[[], object]] = []
        self._closing = False

    async def open(self) -> None:
        if self.state is not HubState.CLOSED or self._closing:
            raise RuntimeError("the hub is open")
        self.state = HubState.CONNECTING
        self._down.clear()
        self._at_end.clear()  # of a loop that was stopped before
        self._random.seed()  # it may have been forked
        try:
            await self.broker.open(self, self.name, self.limits.connect_timeout)
        except BaseException:
            self.state = HubState.CLOSED
            raise
        if self.state is HubState.CONNECTING:
            self.state = HubState.DOWN if self._down else HubState.UP

    async def close(self) -> None:
        """The rooms have no members any more."""
        self.state = HubState.CLOSED
        self._closing = True
        up = self._changed.keys() - self._down
        telling = [self.start(self._tell_changes(part)) for part in up]
        try:
            if telling:
                await asyncio.wait(telling, timeout=1)
        finally:
            await self._end()

    async def _end(self) -> None:
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        self._subscribing.clear()
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            self.served.clear()
            self._changed.clear()
            self._left.clear()
            try:
                await self.broker.close()
            finally:
                self._closing = False

    def check_open(self) -> None:
        """Raises:
        HubClosed: if it isn't.
        """
        if self.state is HubState.CLOSED:
            raise HubClosed("the hub isn't open: async with hub, or await hub.open()")

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run it as a task until the node is closed."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def call_at_end(self, callback: Callable[[], object]) -> None:
        """When this turn of the loop has brought all its messages: once for all rooms,
        of which there may be many."""
        if not self._at_end:
            asyncio.get_running_loop().call_soon(self._end_turn)
        self._at_end.append(callback)

    def _end_turn(self) -> None:
        callbacks, self._at_end = iter(self._at_end), []
        try:
            for callback in callbacks:
                try:
                    callback()
                except Exception:  # the others' messages go on
                    logger.exception("sending a room's messages failed")
        finally:
            for callback in callbacks:  # what was raised leaves the loop
                self.call_at_end(callback)

    def new_session(self) -> int:
        """For a membership, another one for each."""
        self._sessions += 1
        return self._sessions

    def new_tag(self) -> str:
        """For a message, another one for each of all nodes."""
        return f"{self._random.getrandbits(64):016x}"

    # What rooms call

    async def publish(self, publication: Publication) -> Place | None:
        self.check_open()
        place = await self.broker.publish(publication)
        self.published += 1
        return place

    async def serve(self, name: str, room: Served) -> None:
        """Messages and reports come to it, from this call's end on all of them.

        Raises:
            LimitError: if `max_rooms` are served.
        """
        if name not in self.served and len(self.served) >= self.limits.max_rooms:
            raise LimitError(f"max_rooms, {self.limits.max_rooms}, are served here")
        self.served[name] = room
        part = self.broker.part_of(name)
        if self._changed.get(part, {}).pop(name, room) is not room:
            room.report_again()  # what there was to tell of the one before
        future = asyncio.get_running_loop().create_future()
        waiting = self._subscribing.setdefault(part, [])
        waiting.append((name, future))
        if len(waiting) == 1:
            self.start(self._subscribe(part))
        await future

    def leave_alone(self, name: str, room: Served) -> None:
        """It isn't served any more. What there is to tell of it still is told."""
        if self.served.get(name) is room:
            del self.served[name]
            self._left[name] = self._left.pop(name, None)
            if len(self._left) > MAX_LEFT:
                del self._left[next(iter(self._left))]
            if self.state is not HubState.CLOSED:
                self.start(self._unsubscribe(name))

    def tell_soon(self, name: str, room: Told) -> None:
        """There is something to tell of its members."""
        current: Told = self.served.get(name, room)
        if current is not room:
            current.report_again()
            return
        part = self.broker.part_of(name)
        self._changed.setdefault(part, {})[name] = room
        if part not in self._telling and self.state is not HubState.CLOSED:
            self._telling.add(part)
            self.start(self._tell(part))

    def heard_from(self, name: str, nodes: Collection[str]) -> None:
        """These are said to have members in a room."""
        self._heard_from[self.broker.part_of(name)].update(nodes)

    @property
    def alive(self) -> set[str]:
        """Names of the nodes that live."""
        return set().union(*self._alive.values())

    # What the broker calls

    def on_message(self, room: str, place: Place | None, body: bytes) -> None:
        self.received += 1
        served = self.served.get(room)
        if served is not None:
            served.on_message(place, body)

    def on_report(self, report: Report) -> None:
        self.heard_from(report.room, [report.node])
        served = self.served.get(report.room)
        if served is not None:
            served.on_report(report)

    def on_nodes(self, alive: Collection[str], part: int = 0) -> None:
        self._alive[part] = alive
        missing = self._heard_from[part].difference(alive)
        # Who has just come may have told of members before it is seen here.
        gone = missing & self._doubtful.get(part, set())
        self._doubtful[part] = missing
        if gone:
            self._heard_from[part] -= gone
            for served in self._served_by(part):
                served.on_nodes_gone(gone)

    def on_forgotten(self, part: int = 0) -> None:
        for served in self._served_by(part):
            served.report_again()

    def on_state(self, up: bool, why: str, part: int = 0) -> None:
        if not up:
            self._down.add(part)
            for served in self._served_by(part):
                served.on_down()
            if self.state is HubState.UP:
                self.state = HubState.DOWN
                logger.warning("rooms are cut off: %s", why)
        elif part in self._down:
            self._down.remove(part)
            if self.state is HubState.DOWN and not self._down:
                self.state = HubState.UP
                self.reconnects += 1
                logger.warning("rooms are joined again")
            if part in self._recovering:
                self._recovering[part].cancel()
            self._recovering[part] = self.start(self._recover(part))

    def _served_by(self, part: int) -> list[Served]:
        part_of = self.broker.part_of
        return [room for name, room in self.served.items() if part_of(name) == part]

    async def _recover(self, part: int) -> None:
        """All rooms get what they missed."""
        self._tell_of_left(part)
        rooms = self._served_by(part)
        for start in range(0, len(rooms), RECOVER_AT_ONCE):
            some = rooms[start : start + RECOVER_AT_ONCE]
            results = await asyncio.gather(
                *(room.on_up() for room in some), return_exceptions=True
            )
            for result in results:
                # Of a room that isn't needed any more: HubError.
                if isinstance(result, Exception) and not isinstance(result, HubError):
                    logger.error("a room can't be read again", exc_info=result)

    def _tell_of_left(self, part: int) -> None:
        """A replica that was behind may have members of rooms that they have left."""
        for name in self._left:
            if self.broker.part_of(name) != part:
                continue
            served = self.served.get(name)
            if served is not None:
                served.report_again()
            elif name not in self._changed.get(part, ()):
                self.tell_soon(name, _Left(self, name))

    async def _subscribe(self, part: int) -> None:
        await asyncio.sleep(0)  # rooms that are opened at the same time
        waiting = self._subscribing.pop(part, [])
        reason: Exception | None = None
        try:
            await self.broker.subscribe([name for name, _ in waiting])
        except BaseException as exc:
            reason = (
                exc if isinstance(exc, HubError) else HubClosed("the hub is closed")
            )
            if not isinstance(exc, HubError):
                raise
        finally:
            for _, future in waiting:
                if future.done():
                    pass
                elif reason is None:
                    future.set_result(None)
                else:
                    future.set_exception(reason)

    async def _unsubscribe(self, name: str) -> None:
        if name not in self.served:
            with contextlib.suppress(HubError):
                await self.broker.unsubscribe([name])

    async def _tell(self, part: int) -> None:
        delay = CHANGES_AFTER
        try:
            while self._changed.get(part):
                await asyncio.sleep(delay)
                try:
                    await self._tell_changes(part)
                    delay = CHANGES_AFTER
                except HubError as exc:
                    logger.debug("members of rooms could not be told: %s", exc)
                    delay = min(2 * delay, MAX_DELAY)
        finally:
            self._telling.discard(part)

    async def _tell_changes(self, part: int) -> None:
        changed = self._changed.pop(part, {})
        rooms = [room for room in changed.values() if room.has_changed]
        try:
            if rooms:
                await self.broker.announce([room.report() for room in rooms])
        except HubError:
            for room in rooms:
                room.report_again()
            raise

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        exc = None if task.cancelled() else task.exception()
        if exc is not None and not isinstance(exc, HubError):
            logger.error("a task of the hub failed", exc_info=exc)


class _Left:
    """A room in which this node has no member any more."""

    has_changed = True

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self._name = name

    def report(self) -> tuple[Report, bytes]:
        return Report(self._name, self._node.name, 0, {}, (), whole=True), b""

    def report_again(self) -> None:
        self._node.tell_soon(self._name, self)
