"""How things of a peer are shown, in exceptions, logs and on terminals: addresses and
headers without secrets, text without what would do something there."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable

__all__ = [
    "escape",
    "printable",
    "shown_address",
    "shown_header",
    "shown_url",
    "unawaited",
    "without_user_info",
]

MAX_TEXT = 200
# Zero-width joiner and non-joiner: format characters that emoji and several
# scripts cannot do without, and that cannot move or hide other text.
_HARMLESS_FORMAT = "\u200c\u200d"

_split = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)?(.*)", re.DOTALL).fullmatch
# As such, percent-encoded, and what Unicode has that is taken for it.
_at = re.compile(r"@|%40|[\ufe6b\uff20]").split
# A host and perhaps a port.
_AUTHORITY = r"(?:\[[0-9A-Fa-f:.]*(?:%\w*)?\]?|[^/?#:\ufe55\uff1a]*)(?::[0-9]{0,5})?"
_is_plain = re.compile(_AUTHORITY + r"(?:[/?#].*)?", re.DOTALL).fullmatch
_user_info = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*://).*(?:@|%40)|[^\s'\"]+(?:@|%40)", re.DOTALL
).sub

_SECRET_HEADERS = frozenset(
    {"authorization", "cookie", "proxy-authorization", "set-cookie"}
)


def shown_url(url: str) -> str:
    """``url`` without user information (RFC 3986 §3.2.1).

    It need not be a valid one. Where it can't be told what is a password and what
    isn't, three dots stand for all that follows the scheme.
    """
    match = _split(url)
    assert match is not None
    scheme, rest = match.groups(default="")
    before, *after = _at(rest)
    is_ws = scheme.lower() in ("ws://", "wss://")
    if not after and (is_ws or not scheme or _is_plain(rest)):
        return url
    # RFC 3986 §3.3, §3.4: paths and queries may have an @. Proxies have no path, and
    # nothing here has a fragment: a # is a password's.
    if is_ws and _is_plain(before) and re.search("[/?]", before) and "#" not in before:
        return url
    return scheme + (after[0] if len(after) == 1 and _is_plain(after[0]) else "...")


def without_user_info(text: str) -> str:
    """``text`` without what may be user information in it, and more if in doubt."""
    return _user_info(r"\1", text)


def shown_address(address: object) -> str:
    """A socket's address, as ``socket.getsockname`` gives it: ``host:port``, the path
    of a Unix socket, or ``?`` for none."""
    match address:
        case (str(host), int(port), *_):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case str() | bytes() if address:
            return escape(os.fsdecode(address))  # a peer may have chosen it
    return "?"


def shown_header(name: str, value: str) -> str:
    """The value of a header without what may be secret in it."""
    name = name.lower()
    if name in _SECRET_HEADERS:
        return "..."
    return shown_url(value) if name == "location" else value


def printable(text: object) -> str:
    """``str(text)`` in visible ASCII, escaped as in a literal and cut to 200: for logs,
    whose readers and encodings aren't known."""
    escaped = _escaped(str(text)[: MAX_TEXT + 1])
    return escaped if len(escaped) <= MAX_TEXT else escaped[: MAX_TEXT - 3] + "..."


def escape(text: str, *, keep: str = "", limit: int | None = None) -> str:
    """Make text from a peer safe to print: no control, bidi or line characters.

    Characters in `keep` stay; above `limit` characters the text is cut.
    """
    cut = limit is not None and len(text) > limit
    if cut:
        text = text[:limit]
    if not (text.isascii() and text.isprintable()):
        text = "".join(
            char if char in keep or _is_printable(char) else _escaped(char)
            for char in text
        )
    return text + "…" if cut else text


def _is_printable(char: str) -> bool:
    import unicodedata  # a big table, which servers do without

    if char in _HARMLESS_FORMAT:
        return True
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")


def unawaited(value: object) -> str:
    """The end of a message about what can't be sent, such as ``ws.recv()``."""
    return ": an await is missing" if isinstance(value, Awaitable) else ""
