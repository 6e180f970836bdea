"""The members of a room on this node, and how each gets what is sent to all: framed
once, and nobody waits for another. Knows no broker."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Literal

from .. import _core
from ..asyncio.connection import Connection
from ._outbox import HIGH_WATER, Data, Outbox

__all__ = ["Fanout", "Policy", "Seat"]

logger = logging.getLogger("pywscore.rooms")

Policy = Literal["skip", "latest", "close"]

MAX_KEYS = 1000
TRY_AGAIN_LATER = 1013


class Seat:
    """What a fan-out knows of a member.

    Attributes:
        session: its name, among all nodes.
        skipped: messages that it missed because it read too slowly.
        _key: our connection; another library's, or what stands for it, with an outbox.
        _outbox: for that.
        _index: among those that are sent to at once, -1 if it isn't one of them.
    """

    __slots__ = ("_index", "_key", "_outbox", "session", "skipped")

    def __init__(self, key: Any, outbox: Outbox | None, session: str) -> None:
        self.session = session
        self.skipped = 0
        self._key = key
        self._outbox = outbox
        self._index = -1

    @property
    def _target(self) -> Connection | Outbox:
        return self._key if self._outbox is None else self._outbox


class Lag:
    """What waits for a member that isn't sent to with the others, since it catches up
    or reads too slowly.

    Attributes:
        queue: messages that it will get, in order.
        size: of all of them; up to `limit`, new ones wait here, too.
        newest: for ``policy="latest"``, by key.
        missed: messages that it won't get, and hasn't been told of.
    """

    __slots__ = ("limit", "missed", "newest", "queue", "size")

    def __init__(self, queue: Iterable[Data] = (), room: int = 0) -> None:
        self.queue = deque(queue)
        self.size = sum(map(len, self.queue))
        self.limit = self.size + room
        self.newest: OrderedDict[str | None, Data] = OrderedDict()
        self.missed = 0

    def put(self, data: Data) -> bool:
        """Let it wait; whether there is room for it."""
        if self.size + len(data) > self.limit:
            return False
        self.queue.append(data)
        self.size += len(data)
        return True

    def next(self) -> Data | None:
        if self.queue:
            data = self.queue.popleft()
            self.size -= len(data)
            return data
        if self.newest:
            return self.newest.popitem(last=False)[1]
        return None


class Fanout:
    """
    Args:
        policy: of members that read too slowly.
        gap_notice: what a member is told that has missed so many messages.
        on_gone: called with a member that can't be sent to any more; it is to be
            removed.
        start: runs a coroutine as a task of the hub.
    """

    __slots__ = (
        "_connections",
        "_gap_notice",
        "_lags",
        "_on_gone",
        "_outboxes",
        "_policy",
        "_start",
        "delivered",
        "members",
        "skipped",
    )

    def __init__(
        self,
        policy: Policy,
        gap_notice: Callable[[int | None], Data | None],
        on_gone: Callable[[Seat], object],
        start: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.members: dict[Any, Seat] = {}
        self.delivered = 0
        self.skipped = 0
        self._policy: Policy = policy
        self._gap_notice = gap_notice
        self._on_gone = on_gone
        self._start = start
        self._connections: list[Connection] = []
        self._outboxes: list[Seat] = []
        self._lags: dict[Seat, Lag] = {}

    def add(self, member: Seat, catch_up: list[Data], missed: int | None) -> None:
        """From now on it is sent to; before that come some messages, and the word that
        so many before them are missing."""
        self.members[member._key] = member
        if catch_up or missed != 0:
            self._fall_behind(member, Lag(catch_up, HIGH_WATER), missed)
        else:
            self._include(member)

    def remove(self, member: Seat) -> None:
        del self.members[member._key]
        self._exclude(member)
        self._lags.pop(member, None)
        if member._outbox is not None:
            member._outbox.close()

    def send(self, data: Data, key: str | None, excluded: str) -> None:
        """A message to all but one, by session."""
        connections = self._connections
        out = None
        if excluded:
            out = next(
                (m for m in self.members.values() if m.session == excluded), None
            )
            if out is not None and out._outbox is None and out._index >= 0:
                connections = connections.copy()
                del connections[out._index]
        if connections:
            self._send_to_connections(connections, data, key)
        for member in self._outboxes.copy() if self._outboxes else ():
            if member is not out:
                self._send_to_outbox(member, data, key)
        if self._lags:
            for member, lag in self._lags.items():
                if member is not out:
                    self._push(member, lag, data, key)

    def tell(self, data: Data) -> None:
        """What isn't a message: who reads too slowly does without."""
        if self._connections:
            _core.broadcast(self._connections, data, None, None, False, False)
        for member in self._outboxes:
            assert member._outbox is not None
            if not member._outbox.is_slow:
                member._outbox.send_nowait(data)
        for lag in self._lags.values():
            lag.put(data)

    def _send_to_connections(
        self, connections: list[Connection], data: Data, key: str | None
    ) -> None:
        problems = _core.broadcast(connections, data, None, None, False, True)
        self.delivered += len(connections) - len(problems or ())
        for connection, exc in problems or ():
            member = self.members.get(connection)
            if member is None:
                continue
            if exc is None:
                self._lag(member, data, key)
            else:
                logger.debug("%r is gone: %r", member, exc)
                self._on_gone(member)

    def _send_to_outbox(self, member: Seat, data: Data, key: str | None) -> None:
        assert member._outbox is not None
        if member._outbox.is_slow:
            self._lag(member, data, key)
        else:
            member._outbox.send_nowait(data)
            self.delivered += 1

    # Members that lag behind

    def _lag(self, member: Seat, data: Data, key: str | None) -> None:
        """It reads too slowly for this message."""
        if self._policy == "close":
            self._close(member)
            return
        # send() gives it this message as one of those who lag behind.
        self._fall_behind(member, Lag(), 0)

    def _fall_behind(self, member: Seat, lag: Lag, missed: int | None) -> None:
        self._exclude(member)
        self._lags[member] = lag
        self._start(self._catch_up(member, lag, missed))

    def _push(self, member: Seat, lag: Lag, data: Data, key: str | None) -> None:
        if lag.put(data):
            return
        if self._policy == "close":
            self._start(self._close_soon(member))
            return
        member.skipped += 1
        self.skipped += 1
        if self._policy == "latest":
            if key not in lag.newest and len(lag.newest) >= MAX_KEYS:
                lag.newest.popitem(last=False)
            lag.newest[key] = data
            lag.newest.move_to_end(key)
        else:
            lag.missed += 1

    async def _catch_up(self, member: Seat, lag: Lag, missed: int | None) -> None:
        """Give a member what waits for it as fast as it takes that, and then let it be
        one like the others."""
        target = member._target
        try:
            if missed != 0:
                self._say_gap(target, missed)
            while True:
                await target.drain()
                if self._lags.get(member) is not lag:
                    return
                data = lag.next()
                while data is not None:
                    self.delivered += 1
                    if not target.send_nowait(data):
                        break
                    data = lag.next()
                if data is not None:
                    continue  # it had no room for more
                missed, lag.missed = lag.missed, 0
                if missed != 0:
                    self._say_gap(target, missed)
                    continue
                del self._lags[member]
                self._include(member)
                return
        except asyncio.CancelledError:
            raise
        except Exception as exc:
            logger.debug("%r is gone: %r", member, exc)
            self._on_gone(member)

    def _say_gap(self, target: Connection | Outbox, missed: int | None) -> None:
        notice = self._gap_notice(missed)
        if notice is not None:
            target.send_nowait(notice)

    def _close(self, member: Seat) -> None:
        self._on_gone(member)
        target = member._target
        if isinstance(target, Connection):
            target.close_nowait(TRY_AGAIN_LATER, "reads too slowly")
        else:
            self._start(_close_other(member._key))

    async def _close_soon(self, member: Seat) -> None:
        if self.members.get(member._key) is member:
            self._close(member)

    # Those who are sent to at once

    def _include(self, member: Seat) -> None:
        if member._outbox is None:
            member._index = len(self._connections)
            self._connections.append(member._key)
        else:
            member._index = len(self._outboxes)
            self._outboxes.append(member)

    def _exclude(self, member: Seat) -> None:
        index, member._index = member._index, -1
        if index < 0:
            return
        if member._outbox is None:
            connection = self._connections.pop()
            if index < len(self._connections):
                self._connections[index] = connection
                self.members[connection]._index = index
        else:
            last = self._outboxes.pop()
            if index < len(self._outboxes):
                self._outboxes[index] = last
                last._index = index


async def _close_other(ws: Any) -> None:
    """Another library's connection: as far as it can be closed with a code."""
    try:
        await ws.close(code=TRY_AGAIN_LATER)
    except Exception as exc:
        logger.debug("closing a slow member failed: %r", exc)
