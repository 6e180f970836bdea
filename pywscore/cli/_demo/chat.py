"""Rooms, members and what they are told; no member can hold up another."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import pywscore
from pywscore._shown import escape
from pywscore.cli._demo.events import (
    MAX_MESSAGE_BYTES,
    SUBPROTOCOL,
    BadMessage,
    Event,
    Say,
    Typing,
    read_json,
    read_line,
    read_target,
)

__all__ = ["MAX_MESSAGE_BYTES", "SUBPROTOCOL", "Chat", "Member", "Room", "TokenBucket"]

logger = logging.getLogger("pywscore.cli")

MAX_ROOMS = 1000
MAX_MEMBERS = 500
HISTORY = 50
# Bytes of memory that the messages of a room's history may take, and those of all rooms
# without members together.
MAX_HISTORY = 64 * 1024
MAX_EMPTY_HISTORY = 8 * 1024 * 1024
MESSAGES_PER_SECOND = 20
# What may wait for a member whose connection is full before it is let go; it
# reconnects and reads the history instead.
MAX_BEHIND = 256 * 1024

POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013

Clock = Callable[[], float]


class TokenBucket:
    """At most `rate` a second, with bursts of the same number."""

    def __init__(self, rate: float, clock: Clock = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._tokens = rate
        self._updated = clock()

    def take(self) -> bool:
        now = self._clock()
        self._tokens += (now - self._updated) * self._rate
        self._tokens = min(self._tokens, self._rate)
        self._updated = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Member:
    """One connection in one room."""

    def __init__(
        self, ws: pywscore.Connection, name: str, *, clock: Clock = time.monotonic
    ) -> None:
        self.ws = ws
        self.name = name
        self.behind = 0
        self.messages = TokenBucket(MESSAGES_PER_SECOND, clock)
        # Complaints are rationed too, or a flood would be answered by a flood.
        self.errors = TokenBucket(1, clock)
        self._json = ws.subprotocol == SUBPROTOCOL

    def read(self, message: str | bytes) -> Say | Typing:
        return read_json(message) if self._json else read_line(message)

    def tell(self, event: Event) -> bool:
        """Queue an event without waiting; False when the member must go."""
        wire = event.json if self._json else event.line
        if wire is None or (self.behind and event.kind == "typing"):
            return True
        try:
            has_room = self.ws.send_nowait(wire)
        except Exception as error:
            # A broken member must not disturb the others, whatever broke it.
            logger.debug("%s is gone: %s", self.name, error)
            return False
        if has_room or event.kind == "welcome":
            self.behind = 0
            return True
        self.behind += len(wire)
        return self.behind <= MAX_BEHIND

    def complain(self, code: str, text: str) -> bool:
        if not self.errors.take():
            return True
        return self.tell(Event("error", code=code, text=text))


class Room:
    """Members with distinct names, and the last messages."""

    def __init__(self, name: str, *, clock: Clock = time.time) -> None:
        self.name = name
        self.members: dict[str, Member] = {}
        self.history: deque[dict[str, Any]] = deque()
        self.history_size = 0
        self._last_id = 0
        self._clock = clock
        self._closing: set[asyncio.Task[None]] = set()

    def free_name(self, name: str) -> str:
        """The name itself, or the first of "name (2)", "name (3)" … not taken."""
        candidate, number = name, 1
        while candidate.casefold() in self.members:
            number += 1
            candidate = f"{name} ({number})"
        return candidate

    def join(self, member: Member, server: str) -> bool:
        member.name = self.free_name(member.name)
        self.members[member.name.casefold()] = member
        welcome = Event(
            "welcome",
            name=member.name,
            room=self.name,
            users=[other.name for other in self.members.values()],
            history=list(self.history),
            server=server,
        )
        # In this order nothing reaches the newcomer before its welcome.
        welcomed = member.tell(welcome)
        self.tell(Event("join", name=member.name, time=self._now()), exclude=member)
        return welcomed

    def leave(self, member: Member) -> None:
        if self.members.get(member.name.casefold()) is not member:
            return
        del self.members[member.name.casefold()]
        self.tell(self._leaves(member))

    def say(self, member: Member, text: str) -> None:
        self._last_id += 1
        fields = {
            "id": self._last_id,
            "name": member.name,
            "text": text,
            "time": self._now(),
        }
        self._remember(fields)
        self.tell(Event("message", **fields))

    def _remember(self, fields: dict[str, Any]) -> None:
        self.history.append(fields)
        self.history_size += _size(fields)
        while len(self.history) > HISTORY or self.history_size > MAX_HISTORY:
            self.history_size -= _size(self.history.popleft())

    def typing(self, member: Member, *, active: bool) -> None:
        self.tell(Event("typing", name=member.name, active=active), exclude=member)

    def tell(self, event: Event, *, exclude: Member | None = None) -> None:
        """Tell the members. Those who can't be told are let go, and the others are told
        of that, in turn."""
        lost = deque(self._tell(event, exclude))
        while lost:
            lost += self._tell(self._leaves(lost.popleft()))

    def _tell(self, event: Event, exclude: Member | None = None) -> list[Member]:
        lost = [
            member
            for member in self.members.values()
            if member is not exclude and not member.tell(event)
        ]
        for member in lost:
            del self.members[member.name.casefold()]
            self._close(member)
        return lost

    def _leaves(self, member: Member) -> Event:
        return Event("leave", name=member.name, time=self._now())

    def drop(self, member: Member) -> None:
        """Let a broken or slow member go; its handler ends with its connection."""
        if self.members.get(member.name.casefold()) is member:
            self._close(member)
            self.leave(member)

    def _close(self, member: Member) -> None:
        closing = asyncio.create_task(member.ws.close(TRY_AGAIN_LATER, "too slow"))
        self._closing.add(closing)
        closing.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.debug("closing a lost member: %s", error)

    def _now(self) -> float:
        return round(self._clock(), 3)


def _size(fields: dict[str, Any]) -> int:
    return sum(map(sys.getsizeof, (fields, *fields.values())))


class Chat:
    """All rooms of one server; `handle` is the connection handler."""

    def __init__(self) -> None:
        # Tells a page that reconnects whether message ids go on where they were.
        self._server = secrets.token_hex(8)
        self._rooms: OrderedDict[str, Room] = OrderedDict()

    def room(self, name: str) -> Room | None:
        """The room of that name, new if need be; None when there is no place."""
        room = self._rooms.get(name)
        if room is None:
            if len(self._rooms) >= MAX_ROOMS and not self._forget_empty_room():
                return None
            self._bound_history()
            room = self._rooms[name] = Room(name)
        self._rooms.move_to_end(name)
        return room

    def _forget_empty_room(self) -> bool:
        """Empty rooms keep their history until their place or memory is needed."""
        for name, room in self._rooms.items():
            if not room.members:
                del self._rooms[name]
                return True
        return False

    def _bound_history(self) -> None:
        kept = sum(r.history_size for r in self._rooms.values() if not r.members)
        for name, room in list(self._rooms.items()):
            if kept <= MAX_EMPTY_HISTORY:
                return
            if not room.members:
                kept -= room.history_size
                del self._rooms[name]

    async def handle(self, ws: pywscore.Connection) -> None:
        assert ws.request is not None  # the handshake is over
        try:
            name, room_name = read_target(ws.request.path)
        except BadMessage as error:
            await ws.close(POLICY_VIOLATION, str(error))
            return
        room = self.room(room_name)
        if room is None or len(room.members) >= MAX_MEMBERS:
            full = "There are too many rooms." if room is None else "The room is full."
            await ws.close(TRY_AGAIN_LATER, full)
            return
        member = Member(ws, name)
        try:
            if room.join(member, self._server):
                logger.info("%s joined %s", escape(member.name), escape(room.name))
                await self._listen(ws, room, member)
        except pywscore.ConnectionClosed:
            pass
        finally:
            room.leave(member)
            if not room.members:
                self._bound_history()
            logger.info("%s left %s", escape(member.name), escape(room.name))

    async def _listen(
        self, ws: pywscore.Connection, room: Room, member: Member
    ) -> None:
        async for message in ws:
            kept = True
            try:
                if not member.messages.take():
                    raise BadMessage("rate", "Too many messages; please slow down.")
                match member.read(message):
                    case Say(text=text) if text:
                        room.say(member, text)
                    case Typing(active=active):
                        room.typing(member, active=active)
            except BadMessage as error:
                kept = member.complain(error.code, str(error))
            if not kept:
                room.drop(member)
