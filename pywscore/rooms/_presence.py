"""Who is in a room: what this node says of its members, and what all nodes said."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol

from ._broker import Report
from ._log import log
from ._message import Joined, Left

__all__ = ["MAX_TOLD", "Changes", "Nodes", "Present", "pack_members", "unpack_members"]

# Above so many members, changes are told by number.
MAX_TOLD = 1000


class Present(Protocol):
    """A member of this node.

    Attributes:
        session: its name, among all nodes.
        _packed_user: what is known of it as JSON; None if nothing is.
    """

    @property
    def session(self) -> str: ...
    @property
    def _packed_user(self) -> bytes | None: ...


def pack_members(members: Iterable[Present], count: int) -> bytes:
    """All of a node's members: users as JSON by session, and how many there are with
    those without a user."""
    listed = b",".join(
        b'"%b":%b' % (it.session.encode(), it._packed_user)
        for it in members
        if it._packed_user is not None
    )
    return b'{"n":%d,"s":{%b}}' % (count, listed) if count else b""


def unpack_members(room: str, packed: bytes) -> tuple[int, dict[str, Any]]:
    """None, with a warning, for what ``pack_members`` hasn't made."""
    try:
        it = json.loads(packed)
        return int(it["n"]), dict(it["s"])
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        text = "what isn't ours is among the members of room %.100r"
        log.log(logging.WARNING, text, room)
        return 0, {}


class Changes:
    """Who joined and left since the last report; all if `whole`."""

    __slots__ = ("_joined", "_left", "whole")

    def __init__(self) -> None:
        self._joined: dict[Present, None] = {}
        self._left: list[str] = []
        self.whole = False

    def join(self, member: Present) -> None:
        if member._packed_user is not None:
            self._joined[member] = None

    def leave(self, member: Present) -> None:
        if member in self._joined:
            del self._joined[member]
        elif member._packed_user is not None:
            self._left.append(member.session)

    def report(
        self, room: str, node: str, members: Iterable[Present], count: int
    ) -> Report:
        """To be told of a node that now has so many members; by number only if there
        are many."""
        if count > MAX_TOLD:
            return Report(room, node, count, None, ())
        joined = members if self.whole else self._joined
        users = {
            it.session: it._packed_user for it in joined if it._packed_user is not None
        }
        return Report(room, node, count, users, self._left, self.whole)


class _Known:
    __slots__ = ("count", "users")

    def __init__(self) -> None:
        self.count = 0
        self.users: dict[str, Any] = {}


class Nodes:
    """What all nodes, this one included, have said of one room's members."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    @property
    def count(self) -> int:
        return sum(known.count for known in self._known.values())

    def names(self) -> list[str]:
        return list(self._known)

    def apply(self, report: Report) -> Iterator[Joined | Left]:
        """Take a report in; what there is to be told of it."""
        known = self._known.setdefault(report.node, _Known())
        before, known.count = known.count, report.count
        total = self.count
        if report.joined is None or total > MAX_TOLD:
            known.users.clear()
            if report.count != before:
                kind = Joined if report.count > before else Left
                yield kind(report.room, None, total)
        else:
            yield from self._tell(report, known, before, total)
        if not known.count:
            self._known.pop(report.node, None)

    def _tell(
        self, report: Report, known: _Known, before: int, total: int
    ) -> Iterator[Joined | Left]:
        assert report.joined is not None
        joined = {key: json.loads(user) for key, user in report.joined.items()}
        left: Collection[str] = report.left
        if report.whole:
            left = [key for key in known.users if key not in joined]
        others = known.count - before
        for session in left:
            if session in known.users:
                others += 1
                yield Left(report.room, known.users.pop(session), total)
        for session, user in joined.items():
            if session not in known.users:
                known.users[session] = user
                others -= 1
                yield Joined(report.room, user, total)
        if others:  # without a user
            yield (Joined if others > 0 else Left)(report.room, None, total)

    def whole(self, room: str, present: Mapping[str, bytes]) -> Iterator[Joined | Left]:
        """All that is known of all nodes: what changed."""
        for node in [name for name in self._known if name not in present]:
            yield from self.forget(room, node)
        for node, packed in present.items():
            count, users = unpack_members(room, packed)
            listed = {key: json.dumps(user).encode() for key, user in users.items()}
            yield from self.apply(Report(room, node, count, listed, (), whole=True))

    def forget(self, room: str, node: str) -> Iterator[Joined | Left]:
        """A node is gone."""
        known = self._known.get(node)
        if known is None:
            return
        everybody = list(known.users) if known.users else None
        yield from self.apply(
            Report(room, node, 0, None if everybody is None else {}, everybody or ())
        )
