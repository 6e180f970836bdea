"""WebSocket URIs (RFC 6455 §3, RFC 3986)."""

from __future__ import annotations

import pytest
import websockets.uri
from hypothesis import given
from hypothesis import strategies as st

from pywscore import InvalidURI, parse_uri
from pywscore._shown import shown_url

VALID = [
    ("ws://localhost", False, "localhost", 80, "/"),
    ("ws://localhost/", False, "localhost", 80, "/"),
    ("wss://localhost", True, "localhost", 443, "/"),
    ("WSS://Example.ORG:1/Path?Query", True, "example.org", 1, "/Path?Query"),
    ("ws://h:65535/a/b;c=1?d=e&f", False, "h", 65535, "/a/b;c=1?d=e&f"),
    ("ws://h:/x", False, "h", 80, "/x"),
    ("ws://h?q", False, "h", 80, "/?q"),
    ("ws://h/?", False, "h", 80, "/"),
    ("ws://h/a/../b", False, "h", 80, "/a/../b"),
    ("ws://h/%0d%0aX:%20y", False, "h", 80, "/%0d%0aX:%20y"),
    ("ws://127.0.0.1:8765/", False, "127.0.0.1", 8765, "/"),
    ("ws://[::1]:8765/", False, "::1", 8765, "/"),
    ("ws://[2001:DB8::0:1]/", False, "2001:db8::1", 80, "/"),
    ("ws://xn--mnchen-3ya.example./", False, "xn--mnchen-3ya.example.", 80, "/"),
    ("ws://my_host/", False, "my_host", 80, "/"),
    (
        "ws://münchen.example/é?ü=ö",
        False,
        "xn--mnchen-3ya.example",
        80,
        "/%C3%A9?%C3%BC=%C3%B6",
    ),
    ('ws://h/?q={"a":[1|2]}', False, "h", 80, "/?q=%7B%22a%22:[1%7C2]%7D"),
]


@pytest.mark.threat("INJ-2")
@pytest.mark.parametrize(("uri", "secure", "host", "port", "target"), VALID)
def test_valid(uri: str, secure: bool, host: str, port: int, target: str) -> None:
    parsed = parse_uri(uri)
    assert (parsed.secure, parsed.host, parsed.port) == (secure, host, port)
    assert parsed.resource_name == target
    assert parsed.user_info is None


@pytest.mark.threat("INJ-2")
@pytest.mark.parametrize(
    "uri",
    [
        "",
        "localhost",
        "//localhost/",
        "http://localhost/",
        "https://localhost/",
        "ws:localhost",
        "ws:/localhost",
        "ws://",
        "ws:///path",
        "ws://?q",
        "ws://:80/",
        "ws://h/#",
        "ws://h/#fragment",
        "ws://h#fragment",
        "ws://h:0/",
        "ws://h:65536/",
        "ws://h:99999999999999999999/",
        "ws://h:-1/",
        "ws://h:8o/",
        "ws://h:80:80/",
        "ws://h:٣/",
        "ws://::1/",
        "ws://[::1/",
        "ws://[::1]x/",
        "ws://[]/",
        "ws://[127.0.0.1]/",
        "ws://[v1.a]/",
        "ws://[fe80::1%25eth0]/",
        "ws://[fe80::1%eth0]/",
        "ws://h%2eexample/",
        "ws://h%0d%0aX/",
        "ws://a b/",
        "ws://a..b/",
        "ws://.b/",
        "ws://a!b/",
        f"ws://{'a' * 64}.example/",
        f"ws://{'a.' * 128}example/",
        f"ws://{'é' * 64}/",
        "ws://h\\@evil/",
        "ws://h/\\",
        "ws://h/a b",
        " ws://h/",
        "ws://h/\n",
        "ws://h/\r\nX: y",
        "ws://h/\t",
        "ws://h/\0",
        "ws://h/\x7f",
        "ws://h/\ud800",
        "ws://h/%",
        "ws://h/%z0",
        "ws://h/?%1",
        "ws://user@h/",
        "ws://us%3Aer:password@h/",
        "ws://user:pass%0Aword@h/",
        "ws://us%FFer:password@h/",
    ],
)
def test_invalid(uri: str) -> None:
    with pytest.raises(InvalidURI) as info:
        parse_uri(uri)
    assert info.value.uri == shown_url(uri)
    assert "@" in uri or info.value.uri == uri


@pytest.mark.parametrize(
    ("uri", "user_info"),
    [
        ("ws://user:password@h/", ("user", "password")),
        ("ws://us%40er:p%C3%A9:%2F@h/", ("us@er", "pé:/")),
        ("ws://:@h/", ("", "")),
        ("ws://a:b@c@h/", ("a", "b@c")),
    ],
)
def test_user_information(uri: str, user_info: tuple[str, str]) -> None:
    parsed = parse_uri(uri)
    assert parsed.user_info == user_info and parsed.host == "h"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("ws://h", "h"),
        ("ws://h:443", "h:443"),
        ("wss://h:443", "h"),
        ("ws://[::1]:81", "[::1]:81"),
    ],
)
def test_host_header(uri: str, expected: str) -> None:
    assert parse_uri(uri).host_header == expected


def test_origin_is_scheme_host_and_port() -> None:
    first = parse_uri("ws://h/a").origin
    assert parse_uri("ws://H:80/b?c").origin == first
    for other in ("wss://h/a", "ws://i/a", "ws://h:81/a"):
        assert parse_uri(other).origin != first


@given(st.text(max_size=40).map(lambda text: "ws://h/" + text) | st.text(max_size=40))
def test_raises_nothing_else_and_gives_visible_ascii(uri: str) -> None:
    try:
        parsed = parse_uri(uri)
    except InvalidURI:
        return
    text = parsed.resource_name + parsed.host_header
    assert all(0x21 <= ord(char) <= 0x7E for char in text) and "#" not in text


@pytest.mark.parametrize(
    "uri", [row[0] for row in VALID if "{" not in row[0] and "[2" not in row[0]]
)
def test_same_as_websockets(uri: str) -> None:
    mine, other = parse_uri(uri), websockets.uri.parse_uri(uri)
    assert (mine.secure, mine.host, mine.port) == (other.secure, other.host, other.port)
    assert mine.resource_name == other.resource_name
