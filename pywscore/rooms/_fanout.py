"""The members of a room on this node, and how each gets what is sent to all: framed
once, and nobody waits for another. Knows no broker."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Literal, Protocol

from .. import _core
from ..asyncio.connection import Connection
from ._outbox import HIGH_WATER, Data, Outbox

__all__ = ["Fanout", "Owner", "Policy", "Seat"]

logger = logging.getLogger("pywscore.rooms")

Policy = Literal["skip", "latest", "close"]

# What waits by key for one member: so many, and so many bytes or one of them.
MAX_KEYS = 1000
MAX_NEWEST = 8 << 20
TRY_AGAIN_LATER = 1013

# What rooms without connections have; nothing is put into it.
_NO_CONNECTIONS: dict[Any, Seat] = {}


class Seat:
    """What a fan-out knows of a member.

    Attributes:
        skipped: messages that it missed because it read too slowly.
        _key: our connection; another library's, or what stands for it, with an outbox.
        _outbox: for that.
    """

    __slots__ = ("_key", "_outbox", "skipped")

    def __init__(self, key: Any, outbox: Outbox | None) -> None:
        self.skipped = 0
        self._key = key
        self._outbox = outbox

    @property
    def _target(self) -> Connection | Outbox:
        return self._key if self._outbox is None else self._outbox


class Owner(Protocol):
    """What a fan-out needs of its room."""

    def gap_notice(self, missing: int | None) -> Data | None:
        """What a member is told that has missed so many messages."""

    def on_gone(self, member: Any) -> object:
        """It can't be sent to any more; it is to be removed."""

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it as a task of the hub."""

    def call_at_end(self, callback: Callable[[], object]) -> None:
        """When this turn of the loop has brought all its messages."""


class Lag:
    """What waits for a member that isn't sent to with the others, since it catches up
    or reads too slowly.

    Attributes:
        member: whose it is.
        queue: messages that it will get, in order.
        size: of all of them; up to `limit`, new ones wait here, too.
        newest: for ``policy="latest"``, by key.
        newest_size: of all of them.
        missed: messages that it won't get, and hasn't been told of.
        task: gives it what waits.
    """

    __slots__ = (
        *("limit", "member", "missed", "newest", "newest_size", "queue", "size"),
        "task",
    )

    def __init__(self, member: Seat, queue: Iterable[Data] = (), room: int = 0) -> None:
        self.member = member
        self.queue = deque(queue)
        self.size = sum(map(len, self.queue))
        self.limit = self.size + room
        self.newest: OrderedDict[str | None, Data] = OrderedDict()
        self.newest_size = 0
        self.missed = 0
        self.task: asyncio.Task[None] | None = None

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
            return self._pop(next(iter(self.newest)))
        return None

    def replace(self, data: Data, key: str | None) -> int:
        """Keep it as the newest of its key; how many others are given up for it."""
        count = len(self.newest) + 1
        if key in self.newest:
            self._pop(key)
        self.newest[key] = data
        self.newest_size += len(data)
        while len(self.newest) > MAX_KEYS or (
            self.newest_size > MAX_NEWEST and len(self.newest) > 1
        ):
            self._pop(next(iter(self.newest)))
        return count - len(self.newest)

    def _pop(self, key: str | None) -> Data:
        data = self.newest.pop(key)
        self.newest_size -= len(data)
        return data


class Pending:
    """Messages that leave together, with who doesn't get each."""

    __slots__ = ("messages", "size", "timer")

    def __init__(self, timer: asyncio.TimerHandle | None) -> None:
        self.timer = timer
        self.messages: list[tuple[Data, str | None, Seat | None]] = []
        self.size = 0


class Fanout:
    """
    Args:
        policy: of members that read too slowly.
        owner: the room.
        flush: seconds that messages may wait for those that leave together with them:
            with 0 for those of the same turn of the loop, with None for none.

    Attributes:
        delivered, skipped: as of ``HubStats``.
    """

    # Each member is in one of the three: connections that are sent to at once; outboxes
    # that are, or None for none of them; those that lag behind, or None.
    __slots__ = (
        "_connections",
        "_flush",
        "_lags",
        "_outboxes",
        "_owner",
        "_pending",
        "_policy",
        "delivered",
        "skipped",
    )

    def __init__(self, policy: Policy, owner: Owner, flush: float | None) -> None:
        self.delivered = 0
        self._flush = flush
        self._pending: Pending | None = None
        self.skipped = 0
        self._policy: Policy = policy
        self._owner = owner
        self._connections = _NO_CONNECTIONS
        self._outboxes: dict[Any, Seat] | None = None
        self._lags: dict[Any, Lag] | None = None

    def __len__(self) -> int:
        count = len(self._connections)
        count += 0 if self._outboxes is None else len(self._outboxes)
        return count + (0 if self._lags is None else len(self._lags))

    def __iter__(self) -> Iterator[Seat]:
        yield from list(self._connections.values())
        yield from list((self._outboxes or {}).values())
        yield from [lag.member for lag in (self._lags or {}).values()]

    def get(self, key: Any) -> Seat | None:
        member = self._connections.get(key)
        if member is None and self._outboxes:
            member = self._outboxes.get(key)
        if member is None and self._lags and key in self._lags:
            member = self._lags[key].member
        return member

    def lag_of(self, member: Seat) -> Lag | None:
        """What waits for it, if it lags behind."""
        lag = self._lags.get(member._key) if self._lags else None
        return lag if lag is not None and lag.member is member else None

    def add(self, member: Seat, catch_up: list[Data], missed: int | None) -> None:
        """From now on it is sent to; before that come some messages, and the word that
        so many before them are missing."""
        self.send_pending()
        if catch_up or missed != 0:
            self._fall_behind(Lag(member, catch_up, HIGH_WATER), missed)
        else:
            self._include(member)

    def remove(self, member: Seat) -> None:
        self._exclude(member)
        lag = self.lag_of(member)
        if lag is not None:
            self._forget(lag)
            if lag.task is not None and lag.task is not asyncio.current_task():
                lag.task.cancel()
        if member._outbox is not None:
            member._outbox.close()

    def close(self) -> None:
        """There will be no member any more: let go of the room."""
        del self._owner

    def send(self, data: Data, key: str | None, out: Seat | None) -> None:
        """A message to all but one."""
        if self._flush is None:
            self._send(data, key, out, self._connections)
            return
        if self._pending is None:
            timer = None
            if self._flush:
                loop = asyncio.get_running_loop()
                timer = loop.call_later(self._flush, self.send_pending)
            else:
                self._owner.call_at_end(self.send_pending)
            self._pending = Pending(timer)
        self._pending.messages.append((data, key, out))
        self._pending.size += len(data)
        if self._pending.size > HIGH_WATER:
            self.send_pending()

    def send_pending(self) -> None:
        """What waits for others leaves with them: to each connection at once."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        if pending.timer is not None:
            pending.timer.cancel()
        messages = pending.messages
        # Who doesn't get one of them gets the others one by one.
        apart = {out._key for *_, out in messages if out is not None}
        for number, (data, key, out) in enumerate(messages, 1):
            together = self._connections
            if apart:
                for it in apart & together.keys():
                    if together[it] is not out:
                        self._send_to_connections({it: together[it]}, data, key)
                together = {it: together[it] for it in together if it not in apart}
            self._send(data, key, out, together, hold=number < len(messages))

    def _send(
        self,
        data: Data,
        key: str | None,
        out: Seat | None,
        connections: dict[Any, Seat],
        hold: bool = False,
    ) -> None:
        if out is not None and out._key in connections:
            connections = connections.copy()
            del connections[out._key]
        if connections:
            self._send_to_connections(connections, data, key, hold)
        if self._outboxes:
            for member in list(self._outboxes.values()):
                if member is not out:
                    self._send_to_outbox(member, data, key)
        if self._lags:
            for lag in list(self._lags.values()):
                if lag.member is not out:
                    self._push(lag, data, key)

    def tell(self, data: Data) -> None:
        """What isn't a message: who reads too slowly does without."""
        self.send_pending()
        if self._connections:
            _core.broadcast(self._connections, data, None, None, False, False, False)
        for member in list((self._outboxes or {}).values()):
            assert member._outbox is not None
            if not member._outbox.is_slow:
                member._outbox.send_nowait(data)
        for lag in (self._lags or {}).values():
            lag.put(data)

    def _send_to_connections(
        self,
        connections: dict[Any, Seat],
        data: Data,
        key: str | None,
        hold: bool = False,
    ) -> None:
        count = len(connections)
        problems = _core.broadcast(connections, data, None, None, False, True, hold)
        self.delivered += count - len(problems or ())
        for connection, exc in problems or ():
            member = self._connections.get(connection)
            if member is None:
                continue
            if exc is None:
                self._lag(member)
            else:
                logger.debug("%r is gone: %r", member, exc)
                self._owner.on_gone(member)

    def _send_to_outbox(self, member: Seat, data: Data, key: str | None) -> None:
        assert member._outbox is not None
        if member._outbox.is_slow:
            self._lag(member)
        else:
            member._outbox.send_nowait(data)
            self.delivered += 1

    # Members that lag behind

    def _lag(self, member: Seat) -> None:
        """It reads too slowly for a message, which send() gives it as one of those who
        lag behind."""
        if self._policy == "close":
            self._close(member)
        else:
            self._fall_behind(Lag(member), 0)

    def _fall_behind(self, lag: Lag, missed: int | None) -> None:
        self._exclude(lag.member)
        if self._lags is None:
            self._lags = {}
        self._lags[lag.member._key] = lag
        lag.task = self._owner.start(self._catch_up(lag, missed))

    def _push(self, lag: Lag, data: Data, key: str | None) -> None:
        if lag.put(data):
            return
        if self._policy == "close":
            self._close(lag.member)
            return
        given_up = 1
        if self._policy == "latest":
            given_up = lag.replace(data, key)
        else:
            lag.missed += 1
        lag.member.skipped += given_up
        self.skipped += given_up

    async def _catch_up(self, lag: Lag, missed: int | None) -> None:
        """Give a member what waits for it as fast as it takes that, and then let it be
        one like the others."""
        member = lag.member
        target = member._target
        try:
            if missed != 0:
                self._say_gap(target, missed)
            while True:
                await target.drain()
                if self.lag_of(member) is not lag:
                    return
                data = lag.next()
                while data is not None:
                    has_room = target.send_nowait(data)
                    self.delivered += 1
                    if not has_room:
                        break
                    data = lag.next()
                if data is not None:
                    continue  # it had no room for more
                missed, lag.missed = lag.missed, 0
                if missed != 0:
                    self._say_gap(target, missed)
                    continue
                self._forget(lag)
                self._include(member)
                return
        except asyncio.CancelledError:
            raise
        except Exception as exc:
            logger.debug("%r is gone: %r", member, exc)
            self._owner.on_gone(member)

    def _say_gap(self, target: Connection | Outbox, missed: int | None) -> None:
        notice = self._owner.gap_notice(missed)
        if notice is not None:
            target.send_nowait(notice)

    def _close(self, member: Seat) -> None:
        self._owner.on_gone(member)
        target = member._target
        if isinstance(target, Connection):
            target.close_nowait(TRY_AGAIN_LATER, "reads too slowly")
        else:
            self._owner.start(_close_other(member._key))

    def _forget(self, lag: Lag) -> None:
        assert self._lags is not None
        del self._lags[lag.member._key]
        if not self._lags:
            self._lags = None

    # Those who are sent to at once

    def _include(self, member: Seat) -> None:
        if member._outbox is None:
            if self._connections is _NO_CONNECTIONS:
                self._connections = {}
            self._connections[member._key] = member
            return
        if self._outboxes is None:
            self._outboxes = {}
        self._outboxes[member._key] = member

    def _exclude(self, member: Seat) -> None:
        if self._connections.get(member._key) is member:
            del self._connections[member._key]
        elif self._outboxes and self._outboxes.get(member._key) is member:
            del self._outboxes[member._key]


async def _close_other(ws: Any) -> None:
    """Another library's connection: as far as it can be closed with a code."""
    try:
        await ws.close(code=TRY_AGAIN_LATER)
    except Exception as exc:
        logger.debug("closing a slow member failed: %r", exc)
