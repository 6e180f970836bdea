"""Headers, Request, Response; Basic credentials (RFC 7617)."""

from __future__ import annotations

import string

import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st

from pywscore import Headers, MultipleValuesError, Request, Response
from pywscore.http import (
    basic_credentials,
    host_header,
    parse_basic_credentials,
    plain_response,
)


def test_lookup_ignores_case_and_keeps_lines() -> None:
    headers = Headers([("Host", "a"), ("Cookie", "x")])
    headers["cookie"] = "y"
    assert headers["HOST"] == "a"
    assert "hOST" in headers and "Origin" not in headers and 3 not in headers
    assert headers.get_all("COOKIE") == ["x", "y"]
    assert list(headers.raw_items()) == [
        ("Host", "a"),
        ("Cookie", "x"),
        ("cookie", "y"),
    ]
    assert list(headers) == ["host", "cookie"] and len(headers) == 2
    assert str(headers) == "Host: a\r\nCookie: x\r\ncookie: y\r\n\r\n"
    assert headers.serialize() == str(headers).encode()


def test_errors_of_lookup() -> None:
    headers = Headers([("A", "1"), ("A", "2")])
    with pytest.raises(KeyError):
        headers["B"]
    with pytest.raises(MultipleValuesError) as info:
        headers["a"]
    assert str(info.value) == "'a'"
    with pytest.raises(MultipleValuesError):
        headers.get("a")
    with pytest.raises(KeyError):
        del headers["B"]
    del headers["a"]
    assert not headers and headers.get("a") is None


def test_made_from_everything() -> None:
    expected = [("A", "1"), ("B", "2")]
    pairs = Headers(expected)
    for made in (
        Headers(dict(expected)),
        Headers(iter(expected)),
        Headers(A="1", B="2"),
        Headers(pairs),
        pairs.copy(),
    ):
        assert list(made.raw_items()) == expected and made == pairs
    pairs["C"] = "3"
    assert made != pairs and made != expected
    made.clear()
    assert len(made) == 0
    assert list(Headers(A=1).raw_items()) == [("A", "1")]  # type: ignore[arg-type]


NAMES = st.sampled_from(["A", "a", "B", "Set-Cookie", "set-cookie", "X"])
VALUES = st.text(string.ascii_letters + " ;=", max_size=4)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_behaves_like_headers_of_websockets(lines: list[tuple[str, str]]) -> None:
    mine, other = Headers(lines), websockets.Headers(lines)
    assert list(mine.raw_items()) == list(other.raw_items())
    assert list(mine) == list(other) and len(mine) == len(other)
    assert str(mine) == str(other) and mine.serialize() == other.serialize()
    for name in ("A", "set-COOKIE", "Nope"):
        assert mine.get_all(name) == other.get_all(name)
        assert (name in mine) == (name in other)


TOKEN = set("!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters)


@pytest.mark.threat("INJ-1")
@pytest.mark.parametrize("byte", range(256))
def test_each_byte_in_a_name_and_in_a_value(byte: int) -> None:
    char = chr(byte)
    headers = Headers()
    # RFC 9110 §5.6.2
    if char in TOKEN:
        headers[char] = ""
    else:
        with pytest.raises(ValueError):
            headers[f"X{char}"] = ""
    # RFC 9110 §5.5: field-vchar with obs-text, SP, HTAB
    if char == "\t" or 0x20 <= byte <= 0x7E or byte >= 0x80:
        headers["X"] = f"a{char}b"
        assert headers.serialize().endswith(b"X: a" + bytes([byte]) + b"b\r\n\r\n")
    else:
        before = str(headers)
        with pytest.raises(ValueError):
            headers["X"] = f"a{char}b"
        with pytest.raises(ValueError):
            Headers([("X", f"a{char}")])
        assert str(headers) == before


@pytest.mark.threat("INJ-1")
@pytest.mark.parametrize("value", ["\u0100", "\ud800", "\udc7f", "😀", "x\r\nY: z"])
def test_no_other_characters_in_a_value(value: str) -> None:
    with pytest.raises(ValueError):
        Headers()["X"] = value


def test_bytes_as_surrogate_escapes_stay_what_they_are() -> None:
    headers = Headers([("X", b"\xc3\xa9".decode("ascii", "surrogateescape"))])
    assert headers.serialize() == b"X: \xc3\xa9\r\n\r\n"


def test_request_and_response() -> None:
    request = Request("/", Headers())
    assert (request.method, request.protocol) == ("GET", "HTTP/1.1")
    match request:
        case Request(path="/", headers=headers):
            assert headers == Headers()
    response = Response(200, "OK", Headers(), b"body")
    response.status_code = 404
    assert response == Response(404, "OK", Headers(), b"body")


def test_plain_response() -> None:
    response = plain_response(418, "é\n")
    assert (response.status_code, response.reason_phrase) == (418, "I'm a Teapot")
    assert response.body == b"\xc3\xa9\n"
    assert response.headers["Content-Length"] == "3"
    assert response.headers["Connection"] == "close"
    with pytest.raises(ValueError):
        plain_response(99, "")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("example.org", 80, 80), "example.org"),
        (("example.org", 81, 80), "example.org:81"),
        (("::1", 80, 80), "[::1]"),
        (("::1", 80, None), "[::1]:80"),
    ],
)
def test_host_header(args: tuple[str, int, int | None], expected: str) -> None:
    assert host_header(*args) == expected


def test_basic_credentials() -> None:
    # RFC 7617 §2 and §2.1
    assert (
        basic_credentials("Aladdin", "open sesame")
        == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    )
    assert parse_basic_credentials("basic  dGVzdDoxMjPCow==") == ("test", "123£")
    assert parse_basic_credentials(basic_credentials("a", "b:c")) == ("a", "b:c")


@pytest.mark.parametrize(
    "value", ["", "Bearer x", "Basic", "Basic !", "Basic YQ==", "Basic /w=="]
)
def test_bad_basic_credentials(value: str) -> None:
    with pytest.raises(ValueError):
        parse_basic_credentials(value)


def test_a_request_as_it_travels() -> None:
    request = Request("/chat?x", Headers([("Host", "a"), ("X", "é")]), method="POST")
    assert request.serialize() == b"POST /chat?x HTTP/1.1\r\nHost: a\r\nX: \xe9\r\n\r\n"
