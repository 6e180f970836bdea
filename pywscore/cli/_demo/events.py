"""What the chat's server and its clients say to each other.

Two wire formats. Clients with the subprotocol below speak JSON objects, one a
text message, with a `type`; clients without one speak plain lines: what they send
is said in the room, and everyone gets `name: text`.

    to the server   {"type": "message", "text": …, "key": …}
                    {"type": "typing", "active": true}
    to the client   {"type": "welcome", "name", "room", "users": [{"id", "name"}, …]}
                    {"type": "message", "id", "name", "text", "time", "key"}
                    {"type": "join" | "leave", "id", "name", "time"}
                    {"type": "typing", "name", "active"}
                    {"type": "gap", "count"}
                    {"type": "error", "code", "text"}

The welcome comes when the client has joined: what is before it belongs to the room
already, and what is told there of people is newer than its list or in it. A join may be
the client's own. Times are seconds since 1970.

A client that comes back names the last message that it has, as `since` in the URL: it
gets those after it, behind a gap if some are missing. A message that is sent again with
the same key, which is optional, stays one; a client with a key of its own in the URL
keeps its name.
"""

from __future__ import annotations

import json
import re
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from pywscore.rooms import Gap, Joined, Left, Message

__all__ = [
    "BadMessage",
    "Line",
    "Say",
    "Target",
    "Typing",
    "clean_name",
    "clean_text",
    "encode",
    "envelope",
    "line_of",
    "notice",
    "now",
    "read_json",
    "read_line",
    "read_target",
    "welcome_lines",
]

SUBPROTOCOL = "chat.pywscore"

MAX_NAME = 40
MAX_ROOM = 40
MAX_TEXT = 4000
MAX_KEY = 64
# JSON may write each of the characters as \uXXXX, or as two of these.
MAX_MESSAGE_BYTES = 64 * 1024

DEFAULT_NAME = "Anonymous"
DEFAULT_ROOM = "lobby"

_JOINER = "\u200d"
# Control characters, with all that str.splitlines() knows.
_NOT_IN_LINES = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NOT_IN_NAMES = dict.fromkeys(map(ord, ":*"))


class BadMessage(Exception):
    """A message the chat cannot take; `code` is for programs, the text for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def encode(kind: str, **fields: Any) -> str:
    """An event in the JSON format."""
    return json.dumps(
        {"type": kind, **fields}, ensure_ascii=False, separators=(",", ":")
    )


def now() -> float:
    return round(time.time(), 3)


def envelope(message: Message) -> str:
    """What members get of a message: as it was published, with its id."""
    assert isinstance(message.data, str)
    return f'{{"id":{json.dumps(message.id)},{message.data[1:]}'


def notice(event: Gap | Joined | Left) -> str | None:
    """What members get of other events."""
    if isinstance(event, Gap):
        return encode("gap", count=event.count)
    if event.user is None:
        return None
    kind = "join" if isinstance(event, Joined) else "leave"
    return encode(kind, id=event.user["id"], name=event.user["name"], time=now())


class Line(NamedTuple):
    """An event for clients of plain lines.

    Attributes:
        text: None when it is not for them.
        joined: the id of whom it says that they joined.
    """

    text: str | None
    joined: str = ""


@lru_cache(maxsize=64)
def line_of(wire: str) -> Line:
    """The line of an event in the JSON format, made once for all who get it."""
    event = json.loads(wire)
    match event["type"]:
        case "message":
            return Line(_one_line(f"{event['name']}: {event['text']}"))
        case "join":
            return Line(_one_line(f"* {event['name']} joined"), event["id"])
        case "leave":
            return Line(_one_line(f"* {event['name']} left"))
        case "gap":
            return Line("* messages are missing here")
        case "error":
            return Line(f"* {event['text']}")
    return Line(None)


def welcome_lines(
    name: str, room: str, others: Sequence[str], history: Sequence[Message]
) -> str:
    """What clients of plain lines get first."""
    here = f"* you are {name} in {room}, "
    here += f"with {', '.join(others)}" if others else "alone"
    said = [line_of(str(message.data)).text or "" for message in history]
    return "\n".join([*said, _one_line(here)])


def _one_line(text: str) -> str:
    # What looks like another line could be taken for another member's.
    return _NOT_IN_LINES.sub(" ", text)


@dataclass(frozen=True, slots=True)
class Say:
    text: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Typing:
    active: bool


def read_json(message: str | bytes) -> Say | Typing:
    """A message in the JSON format; raises `BadMessage`."""
    if not isinstance(message, str):
        raise BadMessage("bad-message", "Only text messages, please.")
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        value = None
    match value:
        case {"type": "message", "text": str(text), "key": str(key)}:
            if not 0 < len(key) <= MAX_KEY or not key.isascii() or not key.isalnum():
                raise BadMessage("bad-message", "That key can't be used.")
            return Say(clean_text(text), key)
        case {"type": "message", "text": str(text)}:
            return Say(clean_text(text))
        case {"type": "typing", "active": bool(active)}:
            return Typing(active)
    raise BadMessage("bad-message", "That message was not understood.")


def read_line(message: str | bytes) -> Say:
    """A message in the plain format; raises `BadMessage`."""
    if not isinstance(message, str):
        raise BadMessage("bad-message", "Only text messages, please.")
    return Say(clean_text(message))


def clean_text(text: str) -> str:
    """Text as it is said: no control characters but newline and tab."""
    if len(text) > MAX_TEXT:
        raise BadMessage("too-long", f"A message has at most {MAX_TEXT:,} characters.")
    text = text.replace("\r\n", "\n")
    return _without(text, {"Cc"}, keep="\n\t").strip()


def clean_name(text: str) -> str:
    """A name for a person or a room: one line, nothing invisible, and no colon or
    asterisk, which tell plain lines apart."""
    text = unicodedata.normalize("NFC", text).translate(_NOT_IN_NAMES)
    text = " ".join(text.split())
    return _without(text, {"Cc", "Cf", "Co", "Cn"}, keep=_JOINER).strip(" " + _JOINER)


def _without(text: str, categories: Iterable[str], *, keep: str) -> str:
    # A lone surrogate, which JSON can smuggle in, cannot be sent on as UTF-8.
    text = text.encode("utf-8", "replace").decode() if _has_surrogate(text) else text
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char
        for char in text
        if char in keep or unicodedata.category(char) not in categories
    )


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


class Target(NamedTuple):
    """Where a client wants to go."""

    name: str
    room: str
    since: str = ""
    key: str = ""


def read_target(path: str) -> Target:
    """From `/ws/{name}?room=…&since=…&key=…`; raises `BadMessage`."""
    path, _, query_text = path.partition("?")
    name = clean_name(unquote(path.removeprefix("/ws").removeprefix("/")))
    try:
        query = parse_qs(query_text, max_num_fields=8)
    except ValueError:
        query = {}
    room = clean_name(query.get("room", [""])[0])
    if len(name) > MAX_NAME:
        raise BadMessage("name", f"A name has at most {MAX_NAME} characters.")
    if len(room) > MAX_ROOM:
        raise BadMessage("room", f"A room's name has at most {MAX_ROOM} characters.")
    since, key = (query.get(it, [""])[0][:MAX_KEY] for it in ("since", "key"))
    return Target(name or DEFAULT_NAME, room or DEFAULT_ROOM, since, key)
