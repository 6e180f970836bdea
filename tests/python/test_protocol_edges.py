"""HTTP where it is more than one request and one answer: HEAD, 1xx, other targets."""

from __future__ import annotations

from typing import Any

import pytest
from wire import TEXT, client, frame, key_of, request, response

import pywscore
from pywscore import Response, ServerProtocol, TextMessage


def asked(data: bytes) -> ServerProtocol:
    protocol = ServerProtocol(any_request=True)
    protocol.receive_data(data)
    return protocol


@pytest.mark.parametrize("any_request", [False, True])
def test_no_content_for_head(any_request: bool) -> None:
    """RFC 9110 §9.3.2: a server MUST NOT send content."""
    protocol = ServerProtocol(any_request=any_request)
    protocol.receive_data(request(start="HEAD / HTTP/1.1"))
    if any_request:
        assert isinstance(protocol.next_event(), pywscore.Request)
        protocol.reject(200, "a page")
    else:
        assert protocol.next_event() is None
    sent = protocol.data_to_send()
    assert sent.endswith(b"\r\n\r\n") and sent.count(b"\r\n\r\n") == 1
    assert b"Content-Length: 0" not in sent and b"Content-Length: " in sent
    assert sent.startswith(b"HTTP/1.1 200 " if any_request else b"HTTP/1.1 405 ")


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_content(status: int) -> None:
    """RFC 9112 §6.3."""
    protocol = asked(request(start="GET / HTTP/1.1"))
    assert protocol.next_event() is not None
    protocol.respond(Response(status, "", pywscore.Headers(), b"content"))
    assert protocol.data_to_send().endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/chat?a=b", "/chat?a=b"),
        ("http://server.example.com/chat?a=b", "/chat?a=b"),
        ("HTTPS://server.example.com:443/chat", "/chat"),
        ("ws://server.example.com", "/"),
        ("ws://server.example.com?a=/b", "/?a=/b"),
        ("http://[::1]:80/", "/"),
        ("//server.example.com/chat", "//server.example.com/chat"),
        ("/http://server.example.com/", "/http://server.example.com/"),
        ("*", "*"),
        ("server.example.com:80", "server.example.com:80"),
        ("://x/y", "://x/y"),
        ("http:/x", "http:/x"),
    ],
)
def test_targets(target: str, path: str) -> None:
    """RFC 9112 §3.2.2: a server MUST accept the absolute-form."""
    protocol = asked(request(start=f"GET {target} HTTP/1.1"))
    event = protocol.next_event()
    assert isinstance(event, pywscore.Request) and event.path == path


INTERIM = (
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n",
)


def test_interim_responses_are_skipped() -> None:
    """RFC 9110 §15.2."""
    rest = frame(TEXT, b"x", to="client")
    for cut in range(1, len(b"".join(INTERIM) + response() + rest)):
        protocol = client()
        data = b"".join(INTERIM) + response(key=key_of(protocol)) + rest
        events: list[Any] = []
        for piece in (data[:cut], data[cut:]):
            protocol.receive_data(piece)
            events += protocol.events()
        assert isinstance(events[0], Response) and events[0].status_code == 101
        assert "X" not in events[0].headers and "Link" not in events[0].headers
        assert events[1:] == [TextMessage("x")]


def test_interim_responses_before_a_refusal() -> None:
    protocol = client()
    protocol.receive_data(
        INTERIM[0] + b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    )
    assert protocol.next_event() is None
    error = protocol.handshake_exception
    assert isinstance(error, pywscore.InvalidStatus)
    assert error.response.status_code == 403 and error.response.body == b"no"


def test_interim_responses_are_bounded() -> None:
    protocol = client()
    protocol.receive_data(INTERIM[1] * 16)
    assert protocol.next_event() is None and protocol.handshake_exception is None
    protocol.receive_data(INTERIM[1])
    assert protocol.next_event() is None
    error = protocol.handshake_exception
    assert isinstance(error, pywscore.InvalidStatus)
    assert error.response.status_code == 103 and protocol.close_expected


def test_end_after_an_interim_response() -> None:
    protocol = client()
    protocol.receive_data(INTERIM[0])
    assert protocol.next_event() is None
    protocol.receive_eof()
    assert isinstance(protocol.handshake_exception, pywscore.InvalidMessage)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "a b"),
        ("Upgrade", "h2c"),
        ("Connection", "close"),
        ("Content-Length", "x"),
        ("Transfer-Encoding", "chunked"),
        ("Sec-WebSocket-Version", "x"),
        ("Sec-WebSocket-Key", "x"),
        ("Sec-WebSocket-Protocol", "a b"),
        ("Sec-WebSocket-Protocol", ";"),
        ("Sec-WebSocket-Extensions", "a; b="),
        ("Sec-WebSocket-Extensions", "permessage-deflate;;"),
        ("Sec-WebSocket-Extensions", '"'),
    ],
)
def test_a_malformed_header_is_not_called_missing(name: str, value: str) -> None:
    protocol = asked(request(f"{name}: {value}", without=name))
    protocol.next_event()
    error = protocol.handshake_exception
    assert isinstance(error, pywscore.InvalidHandshake)
    assert "missing" not in str(error)
    if isinstance(error, pywscore.InvalidHeader):
        assert (error.name, error.value) == (name, value)
