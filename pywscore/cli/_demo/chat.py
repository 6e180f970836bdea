"""Rooms of people, on a hub: with Redis between, those of several processes."""

from __future__ import annotations

import json
import logging
import math
import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pywscore
from pywscore._shown import escape
from pywscore.cli._demo.events import (
    MAX_MESSAGE_BYTES,
    SUBPROTOCOL,
    BadMessage,
    Say,
    Typing,
    encode,
    envelope,
    line_of,
    notice,
    now,
    read_json,
    read_line,
    read_target,
    welcome_lines,
)
from pywscore.rooms import Hub, HubError, LimitError, Member

__all__ = ["MAX_MESSAGE_BYTES", "SUBPROTOCOL", "Chat", "Full"]

logger = logging.getLogger("pywscore.cli")

PREFIX = "pywscore-demo"
MAX_ROOMS = 1000
MAX_MEMBERS = 500
HISTORY = 50
HISTORY_TTL = 86_400
# Seconds after which whoever has taken a name is known, or has gone again.
KNOWN_AFTER = 2.0
MESSAGES_PER_SECOND = 20
# What may wait for a member whose connection is full before it is let go; it
# reconnects and catches up instead.
MAX_BEHIND = 256 * 1024

POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013


class Full(Exception):
    """There is no place for another one; the text is for people."""


@dataclass(slots=True)
class Person:
    """One connection's, in one room; other workers know it as the member's `user`.

    Attributes:
        id: another one for each; it begins with the name of the worker's node.
        name: distinct in the room, but for others with the same key.
        key: what only the person's own connections have; "" is nobody's.
    """

    id: str
    name: str
    key: str
    is_here: bool = field(default=False, compare=False)

    def as_user(self) -> dict[str, str]:
        return {"id": self.id, "name": self.name, "key": self.key}


class Room:
    """What this worker knows of a room.

    Attributes:
        messages: what is said, and who is there.
        typing: who is typing. Nobody has to catch up with that.
        people: of this worker, by id, those who are about to join too.
        visits: how many use this object.
    """

    def __init__(self, hub: Hub, name: str) -> None:
        self.name = name
        self.messages = hub.room(
            name,
            history=HISTORY,
            ttl=HISTORY_TTL,
            policy="close",
            envelope=envelope,
            notice=notice,
        )
        # No room of people has a colon in its name.
        self.typing = hub.room(f"{name}:typing")
        # Names that were taken lately: for all workers in the same order.
        self._names = hub.room(f"{name}:names", history=100, ttl=60)
        self.people: dict[str, Person] = {}
        self.visits = 0
        self._hub = hub

    async def everybody(self) -> list[Person]:
        """Of all workers. What is known of this one's is newer than what was told."""
        own = f"{self._hub.node}."
        users = await self.messages.members()
        elsewhere = [Person(**it, is_here=True) for it in users]
        elsewhere = [it for it in elsewhere if not it.id.startswith(own)]
        return [*elsewhere, *self.people.values()]

    async def admit(self, name: str, key: str) -> Person:
        """Somebody who may join now, by that name if it can be.

        Raises:
            Full: if there are too many.
        """
        everybody = await self.everybody()
        if len(everybody) >= MAX_MEMBERS:
            raise Full("The room is full.")
        # Who comes back may still be there, as far as others know.
        others = [it for it in everybody if not (key and it.key == key)]
        taken = {it.name.casefold() for it in others}
        person = Person(f"{self._hub.node}.{secrets.token_hex(4)}", name, key)
        person.name = free_name(name, taken)
        self.people[person.id] = person
        try:
            while not await self._is_first(person):
                taken |= {it.name.casefold() for it in self.people.values()}
                person.name = free_name(name, taken)
        except BaseException:
            del self.people[person.id]
            raise
        return person

    async def _is_first(self, person: Person) -> bool:
        """Whether its name is this worker's, until others are told of the person."""
        claim = {**person.as_user(), "at": time.time()}
        await self._names.publish(json.dumps(claim))
        for message in await self._names.history():
            first = json.loads(message.data)
            is_recent = claim["at"] - first["at"] < KNOWN_AFTER
            if is_recent and first["name"].casefold() == person.name.casefold():
                is_own = first["id"].startswith(f"{self._hub.node}.")
                return is_own or (person.key != "" and first["key"] == person.key)
        return True


def free_name(name: str, taken: Collection[str]) -> str:
    """The name itself, or the first of "name (2)", "name (3)" … not taken."""
    candidate, number = name, 1
    while candidate.casefold() in taken:
        number += 1
        candidate = f"{name} ({number})"
    return candidate


class Chat:
    """All rooms of one worker; `handle` is the connection handler.

    Args:
        url: of the hub.
    """

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self.hub = Hub(
            url,
            prefix=PREFIX,
            max_members=MAX_MEMBERS,
            # Those that everybody has left are there for some more seconds.
            max_rooms=4 * MAX_ROOMS,
            publishes_per_second=MESSAGES_PER_SECOND,
        )
        self.rooms: dict[str, Room] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Chat, (self.url,)  # for workers that are spawned

    def lifespan(self) -> Hub:
        return self.hub

    async def handle(self, ws: pywscore.Connection) -> None:
        assert ws.request is not None  # the handshake is over
        try:
            target = read_target(ws.request.path)
            with self._visit(target.room) as room:
                person = await room.admit(target.name, target.key)
                try:
                    await Guest(ws, room, person).stay(target.since)
                finally:
                    del room.people[person.id]
        except BadMessage as error:
            await ws.close(POLICY_VIOLATION, str(error))
        except Full as error:
            await ws.close(TRY_AGAIN_LATER, str(error))
        except LimitError:
            await ws.close(TRY_AGAIN_LATER, "There is no place just now.")
        except HubError as error:
            logger.info("nobody can join: %s", error)
            await ws.close(TRY_AGAIN_LATER, "The room can't be reached just now.")
        except pywscore.ConnectionClosed:
            pass

    @contextmanager
    def _visit(self, name: str) -> Iterator[Room]:
        room = self.rooms.get(name)
        if room is None:
            if len(self.rooms) >= MAX_ROOMS:
                raise Full("There are too many rooms.")
            room = self.rooms[name] = Room(self.hub, name)
        room.visits += 1
        try:
            yield room
        finally:
            room.visits -= 1
            if not room.visits:
                del self.rooms[name]


class Guest:
    """One connection in one room."""

    def __init__(self, ws: pywscore.Connection, room: Room, person: Person) -> None:
        self._ws = ws
        self._room = room
        self._person = person
        self._is_json = ws.subprotocol == SUBPROTOCOL
        self._typist: Member | None = None
        self._complained_at = -math.inf

    async def stay(self, since: str) -> None:
        """Join, and listen until the connection ends."""
        join = self._join_json(since) if self._is_json else self._join_lines()
        member = await join
        logger.info("%s joined %s", *self._names())
        try:
            async for message in self._ws:
                await self._take(member, message)
        finally:
            await member.leave()
            logger.info("%s left %s", *self._names())

    def _names(self) -> tuple[str, str]:
        return escape(self._person.name), escape(self._room.name)

    async def _join_json(self, since: str) -> Member:
        person, room = self._person, self._room
        user = person.as_user()
        member = await room.messages.join(self._ws, user=user, since=since)
        self._typist = await room.typing.join(self._ws)
        person.is_here = True
        # Those whose joins have been told; from now on this one is told of others.
        told = [it for it in await room.messages.members() if it["id"] != person.id]
        users = [{"id": it["id"], "name": it["name"]} for it in [*told, user]]
        await self._ws.send(
            encode("welcome", name=person.name, room=room.name, users=users)
        )
        return member

    async def _join_lines(self) -> Member:
        person, room = self._person, self._room
        others = {it.id: it.name for it in await room.everybody() if it.is_here}
        names = list(others.values())
        history = await room.messages.history()
        await self._ws.send(welcome_lines(person.name, room.name, names, history))

        async def send(wire: Any) -> None:
            line = line_of(wire)
            if line.joined == person.id or line.joined in others:
                return  # it knows
            if line.text is not None:
                await self._ws.send(line.text)

        since = history[-1].id if history else ""
        user = person.as_user()
        member = await room.messages.join(self._ws, user=user, since=since, send=send)
        person.is_here = True
        return member

    async def _take(self, member: Member, message: str | bytes) -> None:
        try:
            match read_json(message) if self._is_json else read_line(message):
                case Say(text=text, key=key) if text:
                    await self._say(member, text, key)
                case Typing(active=active) if self._typist is not None:
                    typing = encode("typing", name=self._person.name, active=active)
                    await self._typist.publish(typing, echo=False)
        except BadMessage as error:
            await self._complain(error.code, str(error))
        except LimitError:
            await self._complain("rate", "Too many messages; please slow down.")
        except HubError as error:
            logger.info("a message could not be published: %s", error)
            await self._complain("unavailable", "The room can't be reached just now.")

    async def _say(self, member: Member, text: str, key: str | None) -> None:
        """With a key, once only: whoever doesn't see it come may send it again."""
        fields = {"name": self._person.name, "text": text, "time": now()}
        once = None
        if key is not None:
            fields["key"] = key
            once = f"{self._person.key} {key}"
        await member.publish(encode("message", **fields), idempotency_key=once)

    async def _complain(self, code: str, text: str) -> None:
        """Rationed, or a flood would be answered by a flood."""
        if time.monotonic() - self._complained_at < 1:
            return
        self._complained_at = time.monotonic()
        wire = encode("error", code=code, text=text)
        await self._ws.send(wire if self._is_json else line_of(wire).text or "")
