"""A node: the rooms that it serves, and what joins it to others."""

from __future__ import annotations

import secrets
import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from .._numbers import positive_number, real, whole_number
from ._body import check_text
from ._broker import Broker
from ._errors import LimitError
from ._fanout import Policy
from ._memory import MemoryBroker
from ._node import HubState, Limits, Node
from ._room import Memberships, Room
from ._service import Envelope, Notice, Options
from ._stats import HubStats

__all__ = ["Hub"]

MAX_NAME = 200
MAX_TTL = 1 << 31
MAX_FLUSH = 1000
_LOGIN = ("username", "password")


class Hub:
    """The rooms of one node: of this process, joined with others over Redis.

    ``async with hub`` opens and closes it.

    Args:
        url: ``memory://`` for rooms of this process; ``memory://name`` for those that
            hubs of one event loop share; their histories take 64 MiB at most, those of
            rooms that were silent longest go first. ``redis://``, ``rediss://`` or
            ``unix://`` as redis-py takes them,
            ``redis+sentinel://host:port,host:port/service``,
            ``redis+cluster://host:port``. Several URLs: rooms are spread over them.
        node: this node's name, for who looks into Redis. Each ``open()`` adds
            something random, so a hub may be made before processes are forked, and
            members of one that was killed aren't taken for those of its successor.
        prefix: what all keys and channels in Redis begin with.
        max_members: members a room may have on this node.
        max_rooms: rooms that may be served on this node.
        max_rooms_per_connection: rooms a connection may be in.
        max_message_size: bytes of a message that is published.
        max_history: what ``history=`` of a room may be.
        publishes_per_second: how many ``Member.publish()`` a member may do in a second,
            in bursts of as many; None for no limit.
        connect_timeout: seconds until ``open()`` gives up.
        join_timeout: seconds until ``Room.join()`` gives up.

    Raises:
        ValueError: for a URL or another argument that can't be used.
        ImportError: if redis-py is needed and missing.
    """

    def __init__(
        self,
        url: str | Sequence[str] = "memory://",
        *,
        node: str | None = None,
        prefix: str = "pywscore",
        max_members: int = 100_000,
        max_rooms: int = 100_000,
        max_rooms_per_connection: int = 100,
        max_message_size: int = 1 << 20,
        max_history: int = 10_000,
        publishes_per_second: float | None = None,
        connect_timeout: float = 10.0,
        join_timeout: float = 10.0,
    ) -> None:
        self._called = node
        self.node = secrets.token_hex(8) if node is None else node
        if not self.node or not all(c.isalnum() or c in "-_" for c in self.node):
            raise ValueError("node must be letters, digits, - and _")
        if not prefix or any(c in "{}" or c.isspace() for c in prefix):
            raise ValueError("prefix must not be empty, or have spaces, { or }")
        given = Limits(
            *(max_members, max_rooms, max_rooms_per_connection, max_message_size),
            *(max_history, publishes_per_second, connect_timeout, join_timeout),
        )
        self._node = Node(self.node, _broker(url, prefix), _checked(given))
        self._memberships = Memberships()
        self._options = Options()
        self._rooms: weakref.WeakValueDictionary[str, Room] = (
            weakref.WeakValueDictionary()
        )

    def __repr__(self) -> str:
        served = len(self._node.served)
        return f"<Hub {self.node} {self.state.value} with {served} rooms>"

    # Life

    @property
    def state(self) -> HubState:
        """What it is in the middle of."""
        return self._node.state

    def healthy(self) -> bool:
        """Whether messages come: for a health check."""
        return self.state is HubState.UP

    async def open(self) -> None:
        """Connect; later losses of Redis are the hub's to mend.

        Raises:
            HubError: if Redis isn't there within ``connect_timeout``, is older than
                6.2, or refuses what is needed.
            RuntimeError: if it is open.
        """
        if self.state is HubState.CLOSED:
            drawn = secrets.token_hex(8)
            self.node = f"{self._called}-{drawn}" if self._called else drawn
            self._node.name = self.node
        await self._node.open()

    async def close(self) -> None:
        """All members leave, and Redis is let go of; connections stay open."""
        if self.state is HubState.CLOSED:
            return
        rooms = list(self._rooms.values())
        for room in rooms:
            room._empty()
        try:
            await self._node.close()
        finally:
            for room in rooms:
                room._drop()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # Rooms

    def room(
        self,
        name: str,
        *,
        history: int | None = None,
        ttl: float | None = None,
        policy: Policy | None = None,
        envelope: Envelope | None = None,
        notice: Notice | None = None,
        flush: float | None = None,
    ) -> Room:
        """The room of that name: the same object as long as anybody has it.

        Args:
            name: 1 to 200 characters.
            history: how many messages are kept, for members that come back; none by
                default.
            ttl: seconds after which a room without a new message is forgotten; an hour
                by default.
            policy: of members that read too slowly, whose output is above
                ``write_limit``: ``"skip"`` messages (the default); give them the
                ``"latest"`` of each key; ``"close"`` them, with 1013.
            envelope: makes what members get of a ``Message``, once for each; its data
                by default.
            notice: makes what members get of a ``Gap``, ``Joined`` or ``Left``, or
                None for nothing, which is the default.
            flush: milliseconds, up to 1,000, that a message may wait for others, which
                leave for each connection of pywscore in one ``send`` with it: more
                latency for less processor time. 0, the default: none waits.

        Raises:
            TypeError, ValueError: for arguments that can't be used, or other ones than
                the room's.
            LimitError: for more history than ``max_history``.
        """
        room = self._rooms.get(name)
        given: dict[str, Any] = {
            key: value
            for key, value in (
                *(("history", history), ("ttl", ttl), ("policy", policy)),
                *(("envelope", envelope), ("notice", notice), ("flush", flush)),
            )
            if value is not None
        }
        if room is not None:
            for key, value in given.items():
                if getattr(room._options, key) != value:
                    raise ValueError(f"room {name!r} has another {key}")
            return room
        if not isinstance(name, str):
            raise TypeError(f"a room's name is str, not {type(name).__name__}")
        if not 0 < len(name) <= MAX_NAME:
            raise ValueError(f"a room's name has 1 to {MAX_NAME} characters")
        check_text("a room's name", name)
        options = Options(**given)
        _check_options(options, self._node.limits)
        if options == self._options:
            options = self._options  # most rooms have the same
        self._options = options
        room = self._rooms[name] = Room(self._node, self._memberships, name, options)
        return room

    def stats(self) -> HubStats:
        """What it has counted since it was made."""
        node, fanouts = self._node, [it._fanout for it in self._rooms.values()]
        here = [it for it in fanouts if it is not None]
        return HubStats(
            up=self.healthy(),
            rooms=len(node.served),
            members=sum(len(it) for it in here),
            nodes=len(node.alive),
            published=node.published,
            received=node.received,
            delivered=node.delivered + sum(it.delivered for it in here),
            skipped=node.skipped + sum(it.skipped for it in here),
            gaps=node.gaps,
            reconnects=node.reconnects,
        )


def _broker(url: str | Sequence[str], prefix: str) -> Broker:
    urls = [url] if isinstance(url, str) else list(url)
    if not urls or not all(isinstance(it, str) for it in urls):
        raise TypeError("url must be str, or several of them")
    if len(urls) > 1:
        from ._spread import SpreadBroker

        brokers = [_broker(it, prefix) for it in urls]
        return SpreadBroker(dict(zip(map(_without_login, urls), brokers, strict=True)))
    scheme, found, rest = urls[0].partition("://")
    if scheme == "memory" and found:
        return MemoryBroker(rest)
    try:
        from ._redis import RedisBroker, Target
    except ImportError as exc:
        raise ImportError(
            "rooms over Redis need: pip install 'pywscore[redis]'"
        ) from exc
    return RedisBroker(Target.of(urls[0]), prefix)


def _without_login(url: str) -> str:
    """What tells it from others on all nodes, which get a new password one by one."""
    parts = urlsplit(url)
    query = [it for it in parse_qsl(parts.query) if not it[0].endswith(_LOGIN)]
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=place, query=urlencode(query)).geturl()


def _checked(limits: Limits) -> Limits:
    found: dict[str, Any] = {}
    for name in (
        *("max_members", "max_rooms", "max_rooms_per_connection"),
        *("max_message_size", "max_history"),
    ):
        found[name] = whole_number(name, getattr(limits, name), 1, sys.maxsize)
    for name in ("publishes_per_second", "connect_timeout", "join_timeout"):
        value = getattr(limits, name)
        if value is not None or name != "publishes_per_second":
            found[name] = positive_number(name, value)
    return replace(limits, **found)


def _check_options(options: Options, limits: Limits) -> None:
    whole_number("history", options.history, 0, sys.maxsize)
    if options.history > limits.max_history:
        raise LimitError(f"history is above max_history, {limits.max_history}")
    if not 1 <= real("ttl", options.ttl) <= MAX_TTL:
        raise ValueError(f"ttl must be 1 to {MAX_TTL} seconds")
    if not real("flush", options.flush) <= MAX_FLUSH:
        raise ValueError(f"flush must be 0 to {MAX_FLUSH} milliseconds")
    if options.policy not in ("skip", "latest", "close"):
        raise ValueError("policy must be 'skip', 'latest' or 'close'")
    for name in ("envelope", "notice"):
        value: Callable[..., Any] | None = getattr(options, name)
        if value is not None and not callable(value):
            raise TypeError(f"{name} must be a function")
