"""What the chat's server and its clients say to each other.

Two wire formats. Clients with the subprotocol below speak JSON objects, one a
text message, with a `type`; clients without one speak plain lines: what they send
is said in the room, and everyone gets `name: text`.

    to the server   {"type": "message", "text": …}
                    {"type": "typing", "active": true}
    to the client   {"type": "welcome", "name", "room", "users", "history", "server"}
                    {"type": "message", "id", "name", "text", "time"}
                    {"type": "join" | "leave", "name", "time"}
                    {"type": "typing", "name", "active"}
                    {"type": "error", "code", "text"}

Times are seconds since 1970. Message ids grow within a room as long as the value
of `server` stays the same.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, unquote

__all__ = [
    "BadMessage",
    "Event",
    "Say",
    "Typing",
    "clean_name",
    "clean_text",
    "read_json",
    "read_line",
    "read_target",
]

SUBPROTOCOL = "chat.pywscore"

MAX_NAME = 40
MAX_ROOM = 40
MAX_TEXT = 4000
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


class Event:
    """Something to tell; each format is encoded once, however many receive it."""

    def __init__(self, kind: str, **fields: Any) -> None:
        self.kind = kind
        self.fields = fields

    @cached_property
    def json(self) -> str:
        return json.dumps(
            {"type": self.kind, **self.fields},
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @cached_property
    def line(self) -> str | None:
        """The event for clients of plain lines, None when it is not for them."""
        fields = self.fields
        match self.kind:
            case "message":
                return _said(fields)
            case "welcome":
                others = ", ".join(n for n in fields["users"] if n != fields["name"])
                first = f"* you are {fields['name']} in {fields['room']}"
                here = f"{first}, with {others}" if others else f"{first}, alone"
                return "\n".join([*map(_said, fields["history"]), _one_line(here)])
            case "join":
                return _one_line(f"* {fields['name']} joined")
            case "leave":
                return _one_line(f"* {fields['name']} left")
            case "error":
                return f"* {fields['text']}"
        return None


def _said(message: dict[str, Any]) -> str:
    return _one_line(f"{message['name']}: {message['text']}")


def _one_line(text: str) -> str:
    # What looks like another line could be taken for another member's.
    return _NOT_IN_LINES.sub(" ", text)


@dataclass(frozen=True, slots=True)
class Say:
    text: str


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


def read_target(path: str) -> tuple[str, str]:
    """Name and room from `/ws/{name}?room=…`; raises `BadMessage`."""
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
    return name or DEFAULT_NAME, room or DEFAULT_ROOM
