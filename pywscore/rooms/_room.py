"""A room: who is in it, and what was said in it."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Generator
from types import TracebackType
from typing import Any

from .._numbers import whole
from .._shown import unawaited
from ..asyncio._ending import Attached
from ..asyncio.connection import Connection
from ._body import Body, body_of, check_text, id_of, message_of, pack, place_of
from ._broker import Place, Publication
from ._errors import HubError, LimitError
from ._events import Events
from ._fanout import Seat
from ._log import log
from ._message import Event, Message
from ._node import Node
from ._outbox import Outbox, Send, connection_of, sender_of
from ._presence import unpack_members
from ._service import Options
from ._serving import Serving
from ._timeline import PAGE, CatchUp

__all__ = ["Joining", "Member", "Memberships", "Room"]

MAX_KEY = 200


class Room(Serving):
    """Made by ``Hub.room()``.

    ``async for event in room`` gives ``Message``, ``Joined``, ``Left`` and ``Gap``
    from the moment it begins to wait on, without being a member. It ends when the hub
    is closed.

    Attributes:
        name: the room's name.
    """

    __slots__ = ("__weakref__", "_memberships")

    def __init__(
        self, node: Node, memberships: Memberships, name: str, options: Options
    ) -> None:
        super().__init__(node, name, options)
        self._memberships = memberships

    def __repr__(self) -> str:
        here = len(self._service.fanout) if self._service else 0
        return f"<Room {self.name!r} with {here} members here>"

    def join(
        self,
        ws: Any,
        *,
        user: Any = None,
        since: str | None = None,
        send: Send | None = None,
    ) -> Joining:
        """Let a connection be a member: ``await room.join(ws)``, or ``async with
        room.join(ws)``, which leaves at the end.

        Its messages come from the moment it has joined on, in order. A connection of
        pywscore, that of the drop-ins too, leaves by itself when it ends.

        Args:
            ws: a connection of pywscore, its aiohttp class or aiohttp's own, the
                ``WebSocket`` of Starlette and FastAPI, or what has an ``async`` method
                ``send(message)``.
            user: what others get to know of the member, as JSON can have it; None for
                one who is counted only.
            since: the id of the last message that it has: those after it come first.
                ``""`` for all that are kept.
            send: a coroutine function that sends one message, for other objects.

        Returns:
            What gives a ``Member`` when it is awaited or entered.

        Raises:
            TypeError: for an object that can't be sent to, or a user JSON can't have.
            RuntimeError: for a connection that isn't open yet.
            LimitError: if there are too many members, or rooms of the connection.
            HubError: if the hub isn't open, it is a member already, or the room can't
                be reached in ``join_timeout``.
            ConnectionClosed: if the connection has ended.
        """
        return Joining(self, ws, user, since, send)

    async def leave(self, ws: Any) -> None:
        """Leave; nothing happens if it is no member.

        Args:
            ws: what has joined.
        """
        if (member := self._member(ws)) is not None:
            self._on_gone(member)

    async def publish(
        self,
        message: str | bytes | bytearray | memoryview,
        *,
        exclude: Any = None,
        key: str | None = None,
        idempotency_key: str | None = None,
    ) -> Message:
        """Send a message to all members, on all nodes. Members needn't have it yet when
        this returns.

        Args:
            message: ``str`` for a text message, bytes-like for a binary one.
            exclude: the connection (or ``Member``) that doesn't get it.
            key: what it is the newest value of, for ``policy="latest"``; up to 200
                characters.
            idempotency_key: published again within five minutes with the same one, it
                stays one message; up to 200 characters.

        Returns:
            The message, with its id if the room has a history.

        Raises:
            PublishError: if Redis didn't acknowledge it, after some attempts.
            LimitError: if it is larger than ``max_message_size``.
            TypeError: for another type.
            ValueError: for a key that is too long, or has surrogates.
        """
        data = _data_of(message)
        most = self._node.limits.max_message_size
        size = len(data)
        if isinstance(data, str) and not data.isascii():
            size = len(data.encode())
        if size > most:
            raise LimitError(f"{size} bytes are above max_message_size, {most}")
        _check_key("key", key)
        _check_key("idempotency_key", idempotency_key)
        excluded = exclude if isinstance(exclude, Member) else self._member(exclude)
        place = await self._node.publish(
            Publication(
                self.name,
                pack(Body(data, key, excluded.session if excluded else "")),
                self._node.new_tag(),
                self._options.history,
                self._options.ttl,
                idempotency_key,
            )
        )
        return Message(self.name, id_of(place), data, key)

    async def members(self) -> list[Any]:
        """The users of all members on all nodes that live, without those who are
        counted only.

        Raises:
            HubError: if Redis can't be asked.
        """
        present = await self._node.broker.present(self.name)
        users: list[Any] = []
        for packed in present.values():
            users += unpack_members(self.name, packed)[1].values()
        return users

    async def count(self) -> int:
        """How many members there are, on all nodes that live.

        Raises:
            HubError: if Redis can't be asked.
        """
        present = await self._node.broker.present(self.name)
        return sum(unpack_members(self.name, packed)[0] for packed in present.values())

    async def history(
        self, since: str | None = None, limit: int | None = None
    ) -> list[Message]:
        """The messages that are kept, oldest first.

        Args:
            since: the id of the message after which to begin; if it isn't known, all.
            limit: at most so many, of the newest.

        Raises:
            HubError: if Redis can't be asked.
            ValueError: for a negative limit.
        """
        if limit is not None:
            limit = whole("limit", limit, "a whole number or None")
        place = place_of(since or "")
        messages: deque[Message] = deque(maxlen=limit)
        while True:
            reading = await self._node.broker.read(self.name, place, PAGE)
            epoch = reading.top.epoch
            for entry in reading.entries:
                body = body_of(self.name, entry)
                if body is not None:
                    messages.append(message_of(self.name, epoch, entry, body))
                place = Place(epoch, entry.offset)
            if not reading.entries or reading.entries[-1].offset >= reading.top.offset:
                return list(messages)

    async def __aiter__(self) -> AsyncIterator[Event]:
        queue = Events(self.name)
        service = await self._hold()
        try:
            await self._in_time(service.watch(queue))
            self._check_serves(service)
            while (event := await queue.get()) is not None:
                yield event
        finally:
            service.unwatch(queue)
            self._release()

    # Members

    def _member(self, ws: Any) -> Member | None:
        if ws is None or self._service is None:
            return None
        found = self._service.fanout.get(connection_of(ws) or ws)
        return found if isinstance(found, Member) else None

    async def _join(
        self, ws: Any, user: Any, since: str | None, send: Send | None
    ) -> Member:
        packed = json.dumps(user).encode()
        connection = connection_of(ws)
        key = ws if connection is None else connection
        sender = sender_of(ws, send) if send or connection is None else None
        self._check_join(key)
        service = await self._hold()
        try:
            catch_up = CatchUp(0, [])
            if since is not None:
                catch_up = await self._in_time(service.since(since))
            # Nothing comes in between from here on.
            self._check_serves(service)
            self._check_join(key)
            if connection is not None and connection._lost:
                raise connection._close_exception()
        except BaseException:
            self._release()
            raise
        outbox = None
        if sender is not None:
            outbox = Outbox(sender, lambda exc: self._on_failed(member, exc))
        member = Member(self, key, outbox, user, None if user is None else packed)
        service.add(member, catch_up)
        self._memberships.add(member)
        return member

    def _check_join(self, key: Any) -> None:
        limits = self._node.limits
        fanout = self._fanout
        if fanout is not None and fanout.get(key) is not None:
            raise HubError(f"it is a member of room {self.name!r} already")
        if fanout is not None and len(fanout) >= limits.max_members:
            raise LimitError(
                f"room {self.name!r} has max_members, {limits.max_members}, here"
            )
        self._memberships.check(key, limits.max_rooms_per_connection)

    def _on_failed(self, member: Member, exc: BaseException) -> None:
        log.log(logging.DEBUG, "%r is gone: %r", member, exc)
        self._on_gone(member)

    def _on_gone(self, member: Member) -> None:
        service = self._service
        if service is None or service.fanout.get(member._key) is not member:
            return
        service.remove(member)
        self._memberships.remove(member)
        self._release()


class Member(Seat):
    """A connection in a room; what ``Room.join()`` gives.

    Attributes:
        room: the room.
        user: what ``join()`` was given as ``user=``.
        skipped: messages that it missed because it read too slowly.
    """

    __slots__ = ("_bucket", "_next", "_number", "_packed_user", "room", "user")

    def __init__(
        self,
        room: Room,
        key: Any,
        outbox: Outbox | None,
        user: Any,
        packed_user: bytes | None,
    ) -> None:
        super().__init__(key, outbox)
        self.room = room
        self.user = user
        self._packed_user = packed_user
        self._number = 0
        self._bucket: tuple[float, float] | None = None
        self._next: Attached | None = None

    def __repr__(self) -> str:
        return f"<Member {self.session} of {self.room.name!r}>"

    @property
    def session(self) -> str:
        """This membership's name, among all nodes."""
        node = self.room._node
        if not self._number:
            self._number = node.new_session()
        return f"{node.name}.{self._number}"

    async def publish(
        self,
        message: str | bytes | bytearray | memoryview,
        *,
        echo: bool = True,
        key: str | None = None,
        idempotency_key: str | None = None,
    ) -> Message:
        """Publish in the room, as this member: ``publishes_per_second`` of the hub
        counts it.

        Args:
            message: ``str`` for a text message, bytes-like for a binary one.
            echo: False: this member doesn't get it.
            key: as of ``Room.publish()``.
            idempotency_key: as of ``Room.publish()``.

        Returns:
            As ``Room.publish()``.

        Raises:
            PublishError: as of ``Room.publish()``.
            LimitError: as of ``Room.publish()``, or for too many in a second.
            HubError: if it has left.
        """
        if self.room._member(self._key) is not self:
            raise HubError(f"it has left room {self.room.name!r}")
        self._count_publish(self.room._node.limits.publishes_per_second)
        return await self.room.publish(
            message,
            exclude=None if echo else self,
            key=key,
            idempotency_key=idempotency_key,
        )

    async def leave(self) -> None:
        """Leave the room; nothing happens if it has left."""
        self.room._on_gone(self)

    def _on_connection_ended(self) -> None:
        self.room._on_gone(self)

    def _count_publish(self, rate: float | None) -> None:
        """Raises:
        LimitError: if it publishes more in a second, and as many before.
        """
        if rate is None:
            return
        now = time.monotonic()
        tokens, since = self._bucket or (rate, now)
        tokens = min(rate, tokens + (now - since) * rate)
        if tokens < 1:
            raise LimitError(f"more than publishes_per_second, {rate:g}")
        self._bucket = tokens - 1, now


class Memberships:
    """How many rooms of a hub each connection is in."""

    def __init__(self) -> None:
        # Of other libraries' connections; ours have what is attached to them.
        self._counts: dict[Any, int] = {}

    def check(self, key: Any, most: int) -> None:
        """Raises:
        LimitError: if it is in so many.
        """
        if isinstance(key, Connection):
            count = sum(
                isinstance(it, Member) and it.room._memberships is self
                for it in key._all_attached()
            )
        else:
            count = self._counts.get(key, 0)
        if count >= most:
            raise LimitError(f"it is in max_rooms_per_connection, {most}, rooms")

    def add(self, member: Member) -> None:
        key = member._key
        if isinstance(key, Connection):
            key._attach(member)
        else:
            self._counts[key] = self._counts.get(key, 0) + 1

    def remove(self, member: Member) -> None:
        key = member._key
        if isinstance(key, Connection):
            key._detach(member)
        elif self._counts[key] == 1:
            del self._counts[key]
        else:
            self._counts[key] -= 1


class Joining:
    """What ``Room.join()`` gives: to be awaited, or entered."""

    __slots__ = ("_arguments", "_member", "_room")

    def __init__(self, room: Room, *arguments: Any) -> None:
        self._room = room
        self._arguments = arguments
        self._member: Member | None = None

    def __await__(self) -> Generator[Any, None, Member]:
        return self._room._join(*self._arguments).__await__()

    async def __aenter__(self) -> Member:
        self._member = await self
        return self._member

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._member is not None
        await self._member.leave()


def _data_of(message: Any) -> str | bytes:
    if isinstance(message, (str, bytes)):
        return message
    if isinstance(message, (bytearray, memoryview)):
        return bytes(message)
    name = type(message).__name__
    raise TypeError(f"a message is str or bytes-like, not {name}{unawaited(message)}")


def _check_key(name: str, key: str | None) -> None:
    if key is None:
        return
    if not isinstance(key, str):
        raise TypeError(f"{name} must be str, not {type(key).__name__}")
    if not 0 < len(key) <= MAX_KEY:
        raise ValueError(f"{name} must have 1 to {MAX_KEY} characters")
    check_text(name, key)
