"""WebSocket URIs (RFC 6455 §3)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

from .exceptions import InvalidURI
from .http import host_header

__all__ = ["WebSocketURI", "parse_uri"]

_split = re.compile(
    r"(?P<scheme>[A-Za-z]+)://"
    r"(?:(?P<userinfo>[^/?#]*)@)?"
    r"(?P<host>\[[^\]/?#@]*\]|[^\[\]:/?#@]*)"
    r"(?::(?P<port>[0-9]*))?"
    r"(?P<path>/[^?#]*)?"
    r"(?:\?(?P<query>[^#]*))?"
    r"(?P<fragment>#.*)?",
    re.DOTALL,
).fullmatch
_starts_right = re.compile(r"wss?://", re.IGNORECASE).match
# Nothing of what white space, control characters and backslashes could stand for is
# wanted: they are where parsers disagree.
unwanted = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]").search
_broken_escape = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_is_host = re.compile(r"[A-Za-z0-9._~-]+").fullmatch
# RFC 3986 §2.2, §2.3: what stays as it is; the rest is percent-encoded.
_KEEP = ":/?#[]@!$&'()*+,;=%"


@dataclass(frozen=True, slots=True)
class WebSocketURI:
    """The parts of a WebSocket URI.

    Attributes:
        secure: True for ``wss``.
        host: a name (IDNA-encoded, lower case) or an IP address without brackets.
        port: 1-65535; the scheme's default if the URI has none.
        path: percent-encoded; may be empty.
        query: percent-encoded; empty if there is none.
        username: decoded user information, or None.
        password: decoded, None exactly if ``username`` is.
    """

    secure: bool
    host: str
    port: int
    path: str
    query: str
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def resource_name(self) -> str:
        """The request target (RFC 6455 §3)."""
        path = self.path or "/"
        return f"{path}?{self.query}" if self.query else path

    @property
    def user_info(self) -> tuple[str, str] | None:
        """Username and password, or None."""
        if self.username is None or self.password is None:
            return None
        return self.username, self.password

    @property
    def host_header(self) -> str:
        """The value of the Host header: the port only if it isn't the default."""
        return host_header(self.host, self.port, 443 if self.secure else 80)

    @property
    def origin(self) -> tuple[bool, str, int]:
        """What has to be equal for two URIs to be of the same origin."""
        return self.secure, self.host, self.port


def parse_uri(uri: str) -> WebSocketURI:
    """Parse a ``ws`` or ``wss`` URI (RFC 6455 §3).

    Stricter than RFC 3986 where parsers are known to differ: no white space, control
    character, backslash or broken percent-escape, no percent-encoding in the host, no
    IPv6 zone. Characters outside of ASCII are encoded (IDNA in the host, UTF-8 and
    percent-encoding elsewhere).

    Args:
        uri: the URI.

    Returns:
        Its parts.

    Raises:
        InvalidURI: if it isn't one.
    """
    if unwanted(uri):
        raise InvalidURI(uri, "white space, control character or backslash")
    if not _starts_right(uri):
        raise InvalidURI(uri, "it must start with ws:// or wss://")
    parts = _split(uri)
    if parts is None:
        raise InvalidURI(uri, "not of the form ws://host[:port][/path][?query]")
    if parts["fragment"] is not None:
        raise InvalidURI(uri, "fragment identifier is meaningless")
    if _broken_escape(uri):
        raise InvalidURI(uri, "percent sign without two hexadecimal digits")
    secure = parts["scheme"].lower() == "wss"
    username, password = _parse_userinfo(uri, parts["userinfo"])
    return WebSocketURI(
        secure,
        _parse_host(uri, parts["host"]),
        _parse_port(uri, parts["port"], 443 if secure else 80),
        quote(parts["path"] or "", safe=_KEEP),
        quote(parts["query"] or "", safe=_KEEP),
        username,
        password,
    )


def _parse_host(uri: str, host: str) -> str:
    if not host:
        raise InvalidURI(uri, "it has no host")
    if host[0] == "[":
        try:
            if "%" in host:
                raise ValueError("IPv6 zone")
            return ipaddress.IPv6Address(host[1:-1]).compressed
        except ValueError as exc:
            raise InvalidURI(uri, "invalid IPv6 address") from exc
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError as exc:
            raise InvalidURI(uri, "hostname isn't valid IDNA") from exc
    labels = host.removesuffix(".").split(".")
    if not _is_host(host) or len(host) > 254:
        raise InvalidURI(uri, "invalid hostname")
    if any(not 1 <= len(label) <= 63 for label in labels):
        raise InvalidURI(uri, "hostname with an empty or too long label")
    return host.lower()


def _parse_port(uri: str, port: str | None, default: int) -> int:
    if not port:
        return default
    if len(port) > 5 or not 1 <= int(port) <= 65535:
        raise InvalidURI(uri, "port isn't between 1 and 65535")
    return int(port)


def _parse_userinfo(
    uri: str, userinfo: str | None
) -> tuple[str, str] | tuple[None, None]:
    if userinfo is None:
        return None, None
    username, colon, password = userinfo.partition(":")
    if not colon:
        raise InvalidURI(uri, "username provided without password")
    # What isn't UTF-8 becomes what isn't printable: an exception would quote it.
    username, password = (
        unquote_to_bytes(part).decode(errors="surrogateescape")
        for part in (username, password)
    )
    # RFC 7617 §2: no control characters, and no colon in the user-id.
    if ":" in username or not (username + password).isprintable():
        raise InvalidURI(uri, "user information with a character that can't be sent")
    return username, password
