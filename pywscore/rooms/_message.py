"""What goes through a room, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Event", "Gap", "Joined", "Left", "Message"]


@dataclass(frozen=True, slots=True)
class Message:
    """One that was published.

    Attributes:
        room: the room's name.
        id: opaque; those of one room are in order as long as Redis keeps its data. None
            in a room without history.
        data: ``str`` or ``bytes``, as published.
        key: what it is the newest value of, for ``policy="latest"``.
    """

    room: str
    id: str | None
    data: str | bytes
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages are missing here, between the one before and the one after it.

    Attributes:
        room: the room's name.
        count: how many; None if nobody can know.
    """

    room: str
    count: int | None


@dataclass(frozen=True, slots=True)
class Joined:
    """A member joined, or so many.

    Attributes:
        room: the room's name.
        user: what ``join()`` was given as ``user=``; None for members without, and
            where it stands for several.
        members: how many there are now, on all nodes.
    """

    room: str
    user: Any
    members: int


@dataclass(frozen=True, slots=True)
class Left:
    """A member left, or so many.

    Attributes:
        room: the room's name.
        user: as of ``Joined``.
        members: how many there are now, on all nodes.
    """

    room: str
    user: Any
    members: int


Event = Message | Gap | Joined | Left
