"""What may be shown of addresses and headers, in exceptions, logs and on terminals."""

from __future__ import annotations

import re

__all__ = ["shown_header", "shown_url", "without_user_info"]

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


def shown_header(name: str, value: str) -> str:
    """The value of a header without what may be secret in it."""
    name = name.lower()
    if name in _SECRET_HEADERS:
        return "..."
    return shown_url(value) if name == "location" else value
