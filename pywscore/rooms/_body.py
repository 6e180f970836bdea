"""A message as it travels between nodes, and as users know it."""

from __future__ import annotations

import logging
from typing import NamedTuple

from ._broker import Entry, Place
from ._log import log
from ._message import Message

__all__ = [
    *("Body", "body_of", "check_text", "id_of", "message_of", "pack", "place_of"),
]


# What a client says may be longer, and would go to Redis.
MAX_ID = 40
UNKNOWN = Place("?", 1)


class Body(NamedTuple):
    """
    Attributes:
        data: as published.
        key: what it is the newest value of.
        exclude: the session of the member who doesn't get it.
    """

    data: str | bytes
    key: str | None
    exclude: str


def check_text(what: str, text: str) -> None:
    """Raises:
    ValueError: for surrogates, which have no UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} must not have surrogates") from None


def pack(body: Body) -> bytes:
    """``kind length length key session data``: kind is t or b, in capitals if there is
    a key."""
    kind, data = "b", body.data
    if isinstance(data, str):
        kind, data = "t", data.encode()
    if body.key is None and not body.exclude:
        return b"%b 0 0 %b" % (kind.encode(), data)
    key = (body.key or "").encode()
    session = body.exclude.encode()
    if body.key is not None:
        kind = kind.upper()
    head = f"{kind} {len(key)} {len(session)} ".encode()
    return b"".join((head, key, session, data))


def unpack(packed: bytes) -> Body:
    """Raises:
    ValueError: if that isn't one.
    """
    kind, key_size, session_size, rest = packed.split(b" ", 3)
    start = int(key_size)
    end = start + int(session_size)
    if kind not in (b"t", b"b", b"T", b"B") or not 0 <= start <= end <= len(rest):
        raise ValueError("not a message of a room")
    data = rest[end:]
    return Body(
        data.decode() if kind in b"tT" else data,
        rest[:start].decode() if kind.isupper() else None,
        rest[start:end].decode(),
    )


def id_of(place: Place | None) -> str | None:
    return None if place is None else f"{place.epoch}-{place.offset}"


def place_of(since: str) -> Place | None:
    """None for all; what isn't an id is a place that isn't known."""
    if not isinstance(since, str):
        raise TypeError(f"since must be str, not {type(since).__name__}")
    if not since:
        return None
    if len(since) > MAX_ID:
        return UNKNOWN
    epoch, _, offset = since.rpartition("-")
    if epoch.isalnum() and offset.isascii() and offset.isdigit() and len(offset) < 16:
        return Place(epoch, int(offset))
    return UNKNOWN


def message_of(room: str, epoch: str, entry: Entry, body: Body) -> Message:
    place = Place(epoch, entry.offset) if entry.offset else None
    return Message(room, id_of(place), body.data, body.key)


def body_of(room: str, entry: Entry) -> Body | None:
    """None, with a warning, for what somebody else has put there."""
    try:
        return unpack(entry.body)
    except ValueError:
        log.log(logging.WARNING, "what isn't ours is in room %.100r", room)
        return None
