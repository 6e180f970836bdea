"""Reading and writing header values, with the names they have in ``websockets``.

What connections need is done in C; these are for proxies, tests and the like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from .exceptions import InvalidHeaderFormat, InvalidHeaderValue
from .http import (
    TOKEN,
    basic_challenge,
    basic_credentials,
    host_header,
    parse_basic_credentials,
)

__all__ = [
    "build_authorization_basic",
    "build_extension",
    "build_host",
    "build_subprotocol",
    "build_www_authenticate_basic",
    "parse_authorization_basic",
    "parse_connection",
    "parse_extension",
    "parse_subprotocol",
    "parse_upgrade",
    "validate_subprotocols",
]

T = TypeVar("T")
ExtensionHeader = tuple[str, list[tuple[str, str | None]]]

_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e\x80-\xff])*"'
_token = re.compile(TOKEN)
_protocol = re.compile(rf"{TOKEN}(?:/{TOKEN})?")
_parameter = re.compile(
    rf"[\t ]*;[\t ]*({TOKEN})(?:[\t ]*=[\t ]*(?:({TOKEN})|({_QUOTED})))?"
)
_start = re.compile(r"(?:,[\t ,]*)?")
_separator = re.compile(r"[\t ]*(?:,[\t ,]*|\Z)")
_scheme = re.compile(rf"({TOKEN}) [-._~+/0-9A-Za-z]+=*")
_escape = re.compile(r"\\(.)")


def _parse_list(
    name: str, header: str, parse: Callable[[str, int], tuple[T, int] | None]
) -> list[T]:
    """Elements between commas (RFC 9110 §5.6.1); there must be one.

    Args:
        name: the header.
        header: its value.
        parse: gives the element at a position and where it ends, None if there is none.
    """
    start = _start.match(header)
    position = 0 if start is None else start.end()
    elements: list[T] = []
    while not elements or position < len(header):
        found = parse(header, position)
        if found is None:
            raise InvalidHeaderFormat(name, "expected token", header, position)
        element, position = found
        elements.append(element)
        separator = _separator.match(header, position)
        if separator is None:
            raise InvalidHeaderFormat(name, "expected comma", header, position)
        position = separator.end()
    return elements


def _by(pattern: re.Pattern[str]) -> Callable[[str, int], tuple[str, int] | None]:
    def parse(header: str, position: int) -> tuple[str, int] | None:
        match = pattern.match(header, position)
        return None if match is None else (match[0], match.end())

    return parse


def _parse_extension(header: str, position: int) -> tuple[ExtensionHeader, int] | None:
    name = _token.match(header, position)
    if name is None:
        return None
    position = name.end()
    parameters: list[tuple[str, str | None]] = []
    while (parameter := _parameter.match(header, position)) is not None:
        value: str | None = parameter[2]
        if parameter[3] is not None:
            # RFC 6455 §9.1: once unescaped, it must be a token.
            value = _escape.sub(r"\1", parameter[3][1:-1])
            if _token.fullmatch(value) is None:
                raise InvalidHeaderFormat(
                    "Sec-WebSocket-Extensions",
                    "invalid quoted header content",
                    header,
                    parameter.start(3),
                )
        parameters.append((parameter[1], value))
        position = parameter.end()
    return (name[0], parameters), position


def parse_connection(header: str) -> list[str]:
    """The options of a Connection header (RFC 9110 §7.6.1).

    Args:
        header: the value.

    Raises:
        InvalidHeaderFormat: if it isn't a list of tokens.
    """
    return _parse_list("Connection", header, _by(_token))


def parse_upgrade(header: str) -> list[str]:
    """The protocols of an Upgrade header, with their versions if there are some (RFC
    9110 §7.8).

    Args:
        header: the value.

    Raises:
        InvalidHeaderFormat: if it isn't a list of them.
    """
    return _parse_list("Upgrade", header, _by(_protocol))


def parse_extension(header: str) -> list[ExtensionHeader]:
    """The extensions of a Sec-WebSocket-Extensions header (RFC 6455 §9.1).

    Args:
        header: the value.

    Returns:
        ``(name, [(parameter, value or None), ...])`` of each.

    Raises:
        InvalidHeaderFormat: if it isn't a list of them.
    """
    return _parse_list("Sec-WebSocket-Extensions", header, _parse_extension)


def build_extension(extensions: Sequence[ExtensionHeader]) -> str:
    """The value of a Sec-WebSocket-Extensions header (RFC 6455 §9.1).

    Args:
        extensions: as ``parse_extension()`` gives them.
    """
    return ", ".join(
        "; ".join(
            [
                name,
                *(
                    parameter if value is None else f"{parameter}={value}"
                    for parameter, value in parameters
                ),
            ]
        )
        for name, parameters in extensions
    )


def parse_subprotocol(header: str) -> list[str]:
    """The subprotocols of a Sec-WebSocket-Protocol header (RFC 6455 §11.3.4).

    Args:
        header: the value.

    Raises:
        InvalidHeaderFormat: if it isn't a list of tokens.
    """
    return _parse_list("Sec-WebSocket-Protocol", header, _by(_token))


def build_subprotocol(subprotocols: Sequence[str]) -> str:
    """The value of a Sec-WebSocket-Protocol header (RFC 6455 §11.3.4).

    Args:
        subprotocols: tokens.
    """
    return ", ".join(subprotocols)


def validate_subprotocols(subprotocols: Sequence[str]) -> None:
    """See whether subprotocols can be offered (RFC 6455 §4.1, item 10).

    Args:
        subprotocols: a list of strings.

    Raises:
        TypeError: for what isn't a sequence, and for a single string.
        ValueError: if one isn't a token.
    """
    if isinstance(subprotocols, str) or not isinstance(subprotocols, Sequence):
        kind = type(subprotocols).__name__
        raise TypeError(f"subprotocols must be a list of strings, not {kind}")
    for subprotocol in subprotocols:
        if _token.fullmatch(subprotocol) is None:
            raise ValueError(f"invalid subprotocol: {subprotocol!r}")


def build_host(
    host: str, port: int, secure: bool, *, always_include_port: bool = False
) -> str:
    """The value of a Host header (RFC 9110 §7.2).

    Args:
        host: a name, or an IP address without brackets.
        port: the port.
        secure: whether the scheme is ``wss``, whose port needn't be said if it is 443.
        always_include_port: say it all the same.
    """
    default = None if always_include_port else 443 if secure else 80
    return host_header(host, port, default)


def build_www_authenticate_basic(realm: str) -> str:
    """The value of a WWW-Authenticate header (RFC 7617 §2).

    Args:
        realm: what the credentials are for.

    Raises:
        ValueError: if ``realm`` has a character that can't be sent.
    """
    if re.fullmatch(r"[\t\x20-\x7e]*", realm) is None:
        raise ValueError(f"invalid realm: {realm!r}")
    return basic_challenge(realm)


def parse_authorization_basic(header: str) -> tuple[str, str]:
    """The username and password of an Authorization header (RFC 7617 §2).

    Args:
        header: the value.

    Raises:
        InvalidHeaderFormat: if it doesn't have a scheme and a token.
        InvalidHeaderValue: if these aren't those of a username and password.
    """
    if _scheme.fullmatch(header) is None:
        raise InvalidHeaderFormat("Authorization", "expected credentials", "...", 0)
    try:
        return parse_basic_credentials(header)
    except ValueError as exc:
        raise InvalidHeaderValue("Authorization", str(exc)) from None


def build_authorization_basic(username: str, password: str) -> str:
    """The value of an Authorization header (RFC 7617 §2).

    Args:
        username: a name without a colon.
        password: any text.

    Raises:
        ValueError: if ``username`` has a colon.
    """
    if ":" in username:
        raise ValueError("a username has no colon")
    return basic_credentials(username, password)
