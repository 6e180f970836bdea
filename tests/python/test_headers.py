"""The values of headers, read and written as ``websockets`` does."""

from __future__ import annotations

from typing import Any

import pytest
import websockets
import websockets.headers as theirs
from hypothesis import example, given
from hypothesis import strategies as st

import pywscore.headers as ours
from pywscore import InvalidHeaderFormat, InvalidHeaderValue

PARSERS = ["connection", "upgrade", "extension", "subprotocol"]
# What separates, quotes and escapes, among tokens, and what is in none of these.
PIECES = [
    "a",
    "B-1",
    ",",
    ";",
    "=",
    "/",
    " ",
    "\t",
    '"',
    "\\",
    "x y",
    "é",
    "\n",
    "\x7f",
]


def parsed(module: Any, error: type[Exception], name: str, value: str) -> Any:
    try:
        return getattr(module, f"parse_{name}")(value)
    except error:
        return error.__name__


@pytest.mark.parametrize("name", PARSERS)
@given(value=st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@example(value='a; b="1"; c , B-1')
@example(value=",, a/1 ,\t,B-1/2,")
@example(value=r'a; b="\B-\1"')
@example(value='a; b="x y"')
def test_parsers_agree_with_those_of_websockets(name: str, value: str) -> None:
    value = value.strip(" \t")  # as values come out of a head
    mine = parsed(ours, InvalidHeaderFormat, name, value)
    assert mine == parsed(theirs, websockets.InvalidHeaderFormat, name, value)


def test_extensions_with_parameters() -> None:
    # RFC 6455 §9.1, RFC 7692 §5.1
    value = 'foo; bar; baz=2, permessage-deflate; client_max_window_bits="10"'
    extensions: list[Any] = [
        ("foo", [("bar", None), ("baz", "2")]),
        ("permessage-deflate", [("client_max_window_bits", "10")]),
    ]
    assert ours.parse_extension(value) == extensions
    written = ours.build_extension(extensions)
    assert written == value.replace('"', "")
    assert ours.parse_extension(written) == extensions


@pytest.mark.parametrize(
    ("name", "value", "what", "position"),
    [
        ("connection", "", "expected token", 0),
        ("connection", "keep-alive, @", "expected token", 12),
        ("upgrade", "websocket h2c", "expected comma", 9),
        ("extension", 'foo; bar="2 3"', "invalid quoted header content", 9),
        ("subprotocol", "chat, ch@t", "expected comma", 8),
    ],
)
def test_what_an_error_says(name: str, value: str, what: str, position: int) -> None:
    with pytest.raises(InvalidHeaderFormat) as info:
        getattr(ours, f"parse_{name}")(value)
    assert what in str(info.value) and f" at {position} in {value}" in str(info.value)


def test_subprotocols() -> None:
    names = ["chat", "v2.chat"]
    ours.validate_subprotocols(names)
    assert ours.build_subprotocol(names) == "chat, v2.chat"
    with pytest.raises(TypeError, match="not str"):
        ours.validate_subprotocols("chat")
    for bad in ("", "ch@t", "a b", "chat\n"):
        with pytest.raises(ValueError, match="invalid subprotocol"):
            ours.validate_subprotocols(["chat", bad])


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1", "::1"])
@pytest.mark.parametrize("port", [80, 443, 8080])
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("always", [False, True])
def test_host(host: str, port: int, secure: bool, always: bool) -> None:
    mine = ours.build_host(host, port, secure, always_include_port=always)
    assert mine == theirs.build_host(host, port, secure, always_include_port=always)


def test_basic_challenge() -> None:
    # RFC 7617 §2, with the quoting of RFC 9110 §5.6.4
    written = ours.build_www_authenticate_basic('a "b" \\ c')
    assert written == r'Basic realm="a \"b\" \\ c", charset="UTF-8"'
    assert written == theirs.build_www_authenticate_basic('a "b" \\ c')
    for bad in ("a\r\nX: b", "é", "\0"):
        with pytest.raises(ValueError, match="invalid realm"):
            ours.build_www_authenticate_basic(bad)


@pytest.mark.parametrize(
    ("username", "password"), [("Aladdin", "open sesame"), ("", ""), ("test", "1:£")]
)
def test_basic_credentials_and_back(username: str, password: str) -> None:
    written = ours.build_authorization_basic(username, password)
    assert written == theirs.build_authorization_basic(username, password)
    assert ours.parse_authorization_basic(written) == (username, password)


def test_a_username_has_no_colon() -> None:
    with pytest.raises(ValueError, match="colon"):
        ours.build_authorization_basic("a:b", "c")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("", InvalidHeaderFormat),
        ("Basic", InvalidHeaderFormat),
        ("Basic  YTpi", InvalidHeaderFormat),
        ("Basic YTpi, Basic YTpi", InvalidHeaderFormat),
        ("Bearer YTpi", InvalidHeaderValue),
        ("Basic YTp", InvalidHeaderValue),  # not base64
        ("Basic YWI=", InvalidHeaderValue),  # no colon
    ],
)
def test_what_are_no_credentials(value: str, error: type[Exception]) -> None:
    with pytest.raises(error) as info:
        ours.parse_authorization_basic(value)
    assert type(info.value) is error
    # They may be a secret.
    assert "YTp" not in str(info.value) and "YWI" not in str(info.value)
