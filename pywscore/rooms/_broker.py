"""What a hub needs from whatever joins its nodes: nine calls, and five back.

A room's messages have offsets, 1, 2, 3 …, within an epoch. Each has a tag besides,
drawn by who publishes it: the same offset with another tag is another message, given
out by a server that had forgotten the first one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = [
    *("NOWHERE", "Broker", "Entry", "Node", "Place", "Publication", "Reading"),
    "Report",
]


class Place(NamedTuple):
    """A place in a room's history: of a message, or 0 before the first one. A tag of ""
    is not known."""

    epoch: str
    offset: int
    tag: str = ""


NOWHERE = Place("", 0)
"""Of a room in which nothing was published."""


class Entry(NamedTuple):
    """A message of a history. The body is the hub's business."""

    offset: int
    tag: str
    body: bytes


class Reading(NamedTuple):
    """A part of a room's history.

    Attributes:
        top: the newest message's place, whether or not it is in this part.
        entries: those after the place that was asked for, in order.
        missing: how many after it are gone, because there is a limit to what is kept.
        continued: the place asked for is known there. If not, the history is another
            one, with a new epoch, and `entries` begins with its oldest message.
    """

    top: Place
    entries: list[Entry]
    missing: int
    continued: bool


class Publication(NamedTuple):
    """A message to be published.

    Attributes:
        tag: 16 hexadecimal digits; the same if it is tried again.
        history: how many of the room's messages are kept; without any it has no place.
        ttl: seconds after which a room without new messages is forgotten.
        idempotency_key: of the same room, they are one message for some minutes.
    """

    room: str
    body: bytes
    tag: str
    history: int
    ttl: float
    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """Who of a node is in a room: changes since the last one, or all if `whole`.

    Attributes:
        node: whose members they are.
        count: how many the node has now.
        joined, left: sessions of members, with what is known of the users. None: too
            many to tell one by one.
    """

    room: str
    node: str
    count: int
    joined: Mapping[str, bytes] | None
    left: Collection[str]
    whole: bool = False


class Node(Protocol):
    """What a broker tells; each is called in the loop, and returns at once."""

    def on_message(self, room: str, place: Place | None, body: bytes) -> None:
        """A message was published in a room that is subscribed."""

    def on_report(self, report: Report) -> None:
        """A node told of its members in a room that is subscribed."""

    def on_nodes(self, alive: Collection[str], part: int = 0) -> None:
        """These nodes, and no other, have shown that they live, to this part."""

    def on_forgotten(self, part: int = 0) -> None:
        """Others may have taken this node for dead: all of its members in rooms of this
        part are to be told again."""

    def on_state(self, up: bool, why: str, part: int = 0) -> None:
        """Messages of rooms of this part reach this node, or don't. When they do again,
        all subscriptions are there, and what was missed is to be read."""


class Broker(ABC):
    """Joins nodes. All calls but the first and the last may fail with HubError; rooms
    that one is given together are of one part.

    Attributes:
        brings_many: messages may come to a node many at a time.
    """

    brings_many = False

    @abstractmethod
    async def open(self, node: Node, name: str, timeout: float) -> None:
        """Connect, and go on connecting until ``close()``. HubError if that can't be,
        or isn't done within so many seconds."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything."""

    def part_of(self, room: str) -> int:
        """Which rooms it is reached, or isn't, together with; 0 if all are."""
        return 0

    @abstractmethod
    async def publish(self, publication: Publication) -> Place | None:
        """Give it to all nodes that have subscribed, and keep it."""

    @abstractmethod
    async def subscribe(self, rooms: Collection[str]) -> None:
        """From its return on, messages and reports of these rooms come to the node."""

    @abstractmethod
    async def unsubscribe(self, rooms: Collection[str]) -> None:
        """No more of these rooms."""

    @abstractmethod
    async def read(self, room: str, after: Place | None, limit: int) -> Reading:
        """At most `limit` messages after a place, from the oldest one kept if that is
        None. A place whose message isn't there though it should be, or is another one,
        begins a new epoch, once for all nodes."""

    @abstractmethod
    async def announce(self, reports: Iterable[tuple[Report, bytes]]) -> None:
        """Tell the nodes, and keep the second of each: all that is known of the node's
        members in that room, b"" for none."""

    @abstractmethod
    async def present(self, room: str) -> Mapping[str, bytes]:
        """What `announce` kept, by node, of those that live."""
