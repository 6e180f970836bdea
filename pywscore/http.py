"""HTTP/1.1 as far as the opening handshake needs it (RFC 6455 §4, RFC 9110)."""

from __future__ import annotations

import base64
import binascii
import http
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field

from ._shown import shown_header
from ._version import __version__

__all__ = [
    "Headers",
    "HeadersLike",
    "MultipleValuesError",
    "Request",
    "Response",
    "SERVER",
    "USER_AGENT",
]

SERVER = "Python/{}.{} pywscore/{}".format(*sys.version_info[:2], __version__)
"""What the Server header says by default."""

USER_AGENT = SERVER
"""What the User-Agent header says by default."""

# RFC 9110 §5.6.2 and §5.5. Peers do send obs-text: it may be ISO-8859-1, or bytes that
# stay what they are as surrogate escapes.
TOKEN = r"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
is_token = re.compile(TOKEN).fullmatch
_is_field_value = re.compile(r"[\t\x20-\x7e\x80-\xff\udc80-\udcff]*").fullmatch


class MultipleValuesError(LookupError):
    """``headers[name]`` when there are several lines of that name."""

    def __str__(self) -> str:
        return repr(self.args[0]) if len(self.args) == 1 else super().__str__()


class Headers(MutableMapping[str, str]):
    """HTTP header lines in their order, looked up without regard to case.

    ``headers[name]`` raises KeyError if there is none and MultipleValuesError if there
    are several. ``headers[name] = value`` adds a line and never replaces one; delete
    first to replace. Iteration gives each name once, in lower case.

    Names must be tokens and values must be free of control characters other than tab
    (RFC 9110 §5.5), else ValueError. Bytes above 0x7f are ISO-8859-1.

    Args:
        lines: other Headers, a mapping, or pairs of name and value.
        more: values by their names.
    """

    # A handshake has a dozen lines: one list is smaller than an index, and as fast. As
    # one str they are smaller still, and most are never looked at.
    __slots__ = ("_data",)

    def __init__(self, lines: HeadersLike = (), /, **more: str) -> None:
        self._data: list[tuple[str, str]] | str = []
        self.update(lines, **more)

    @property
    def _lines(self) -> list[tuple[str, str]]:
        if isinstance(self._data, str):
            lines = self._data.split("\r\n")[:-1]
            self._data = []
            for line in lines:
                name, _, value = line.partition(": ")
                self._data.append((name, value))
        return self._data

    @_lines.setter
    def _lines(self, lines: list[tuple[str, str]]) -> None:
        self._data = lines

    def _pack(self) -> None:
        """Keep them in little memory until somebody looks at them."""
        if not isinstance(self._data, str):
            self._data = str(self)[:-2]

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        if len(values) > 1:
            raise MultipleValuesError(name)
        return values[0]

    def __setitem__(self, name: str, value: str) -> None:
        if not is_token(name):
            raise ValueError(f"invalid header name: {name!a:.200}")
        value = str(value)  # a number is fine
        if not _is_field_value(value):
            # Not the value: it may be a secret, with the line break of its file.
            raise ValueError(f"invalid value for header {name}: control character")
        self._lines.append((name, value))

    def __delitem__(self, name: str) -> None:
        wanted = name.lower()
        kept = [line for line in self._lines if line[0].lower() != wanted]
        if len(kept) == len(self._lines):
            raise KeyError(name)
        self._lines = kept

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        return bool(self.get_all(name))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key.lower() for key, _ in self._lines))

    def __len__(self) -> int:
        return len({key.lower() for key, _ in self._lines})

    def __eq__(self, other: object) -> bool:
        """Equal when every name has the same values in the same order."""
        if not isinstance(other, Headers):
            return NotImplemented
        return set(self) == set(other) and all(
            self.get_all(name) == other.get_all(name) for name in self
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """For people: without credentials and cookies."""
        lines = [(name, shown_header(name, value)) for name, value in self._lines]
        return f"Headers({lines!r})"

    def __str__(self) -> str:
        if isinstance(self._data, str):
            return self._data + "\r\n"
        return "".join(f"{name}: {value}\r\n" for name, value in self._data) + "\r\n"

    def update(  # type: ignore[override]
        self, lines: HeadersLike = (), /, **more: str
    ) -> None:
        """Add lines; none is replaced.

        Args:
            lines: other Headers, a mapping, or pairs of name and value.
            more: values by their names.

        Raises:
            ValueError: if a name or value can't be sent (RFC 9110 §5.5).
        """
        if isinstance(lines, Headers):
            self._lines.extend(lines._lines)
        elif type(lines) is list or type(lines) is tuple:
            for name, value in lines:
                self[name] = value
        else:
            super().update(lines)
        if more:
            super().update(more)

    def __copy__(self) -> Headers:
        return self.copy()

    def copy(self) -> Headers:
        """A copy that can be changed on its own."""
        copy = Headers()
        copy._lines = self._lines.copy()
        return copy

    def clear(self) -> None:
        """Remove all lines."""
        self._lines = []

    def get_all(self, name: str) -> list[str]:
        """The values of all lines of that name, in order; empty if there is none.

        Args:
            name: in whatever case.
        """
        wanted = name.lower()
        if isinstance(self._data, str) and is_token(name):
            return _values(self._data, wanted)
        return [value for key, value in self._lines if key.lower() == wanted]

    def raw_items(self) -> Iterator[tuple[str, str]]:
        """All lines as ``(name, value)``, names as they were written."""
        return iter(self._lines)

    def serialize(self) -> bytes:
        """The lines and the empty line after them, as they travel."""
        return str(self).encode("iso-8859-1", "surrogateescape")


def _values(block: str, name: str) -> list[str]:
    """The values of a name, in lower case, in packed lines."""
    values = []
    folded = "\r\n" + block.lower()
    needle = f"\r\n{name}: "
    at = folded.find(needle)
    while at >= 0:
        start = at + len(needle) - 2
        end = block.index("\r\n", start)
        values.append(block[start:end])
        at = folded.find(needle, end)
    return values


HeadersLike = Headers | Mapping[str, str] | Iterable[tuple[str, str]]
"""What can be given where headers are wanted."""


@dataclass(slots=True)
class Request:
    """The client's half of the opening handshake (RFC 6455 §4.1).

    Attributes:
        path: the path and query that the request is for (RFC 9112 §3.2).
        headers: the header lines.
        method: GET in a WebSocket handshake.
        protocol: HTTP/1.1 in a WebSocket handshake.
    """

    path: str
    headers: Headers
    method: str = "GET"
    protocol: str = "HTTP/1.1"

    def serialize(self) -> bytes:
        """The request as it travels."""
        line = f"{self.method} {self.path} {self.protocol}\r\n"
        return line.encode("ascii") + self.headers.serialize()


@dataclass(slots=True)
class Response:
    """The server's half of the opening handshake (RFC 6455 §4.2.2).

    Attributes:
        status_code: 101 accepts.
        reason_phrase: the words after the status code.
        headers: the header lines.
        body: what comes after them, unless the status is 101.
    """

    status_code: int
    reason_phrase: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes | bytearray = b""

    def serialize(self) -> bytes:
        """The response as it travels."""
        line = f"HTTP/1.1 {self.status_code} {self.reason_phrase}\r\n"
        head = line.encode() + Headers(self.headers).serialize()
        return head + bytes(self.body)


def plain_response(status: http.HTTPStatus | int, text: str) -> Response:
    """A refusal in plain text, after which the connection is closed.

    Raises:
        ValueError: if ``status`` isn't a status code that HTTP knows.
    """
    import email.utils  # takes longer than all of this package

    status = http.HTTPStatus(status)
    body = text.encode()
    headers = Headers(
        [
            ("Date", email.utils.formatdate(usegmt=True)),
            ("Connection", "close"),
            ("Content-Length", str(len(body))),
            ("Content-Type", "text/plain; charset=utf-8"),
        ]
    )
    return Response(status.value, status.phrase, headers, body)


def host_header(host: str, port: int, default_port: int | None) -> str:
    """``host[:port]`` of a Host header or a CONNECT target (RFC 9110 §7.2)."""
    if ":" in host:
        host = f"[{host}]"
    return host if port == default_port else f"{host}:{port}"


def basic_credentials(username: str, password: str) -> str:
    """The value of an Authorization header (RFC 7617 §2)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def basic_challenge(realm: str) -> str:
    """The value of a WWW-Authenticate header (RFC 7617 §2)."""
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    return f'Basic realm="{quoted}", charset="UTF-8"'


def parse_basic_credentials(value: str) -> tuple[str, str]:
    """Username and password from an Authorization header (RFC 7617 §2).

    Raises:
        ValueError: if it isn't of that form.
    """
    scheme, _, token = value.strip().partition(" ")
    if scheme.lower() != "basic":
        raise ValueError("not Basic")
    try:
        decoded = base64.b64decode(token.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise ValueError("not base64 of UTF-8") from exc
    username, colon, password = decoded.partition(":")
    if not colon:
        raise ValueError("no colon")
    return username, password
