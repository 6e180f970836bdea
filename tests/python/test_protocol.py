"""The sans-IO face: ClientProtocol with a URI, against ServerProtocol and wsproto."""

from __future__ import annotations

from typing import Any

import pytest
import wsproto
import wsproto.events

import pywscore
from pywscore import (
    BinaryMessage,
    ClientProtocol,
    Close,
    InvalidURI,
    PerMessageDeflate,
    Ping,
    Pong,
    Request,
    Response,
    ServerProtocol,
    State,
    TextMessage,
)


def head_lines(protocol: ClientProtocol) -> list[str]:
    return protocol.data_to_send().decode().split("\r\n")


def test_request_of_a_uri() -> None:
    protocol = ClientProtocol(
        "ws://user:p%40ss@example.org:81/chat?room=1",
        origin="https://example.org",
        subprotocols=["a", "b"],
        headers={"X-More": "yes"},
        user_agent_header="tester",
    )
    assert protocol.uri.host == "example.org"
    lines = head_lines(protocol)
    assert lines[0] == "GET /chat?room=1 HTTP/1.1"
    assert lines[1] == "Host: example.org:81"
    for line in (
        "Origin: https://example.org",
        "Authorization: Basic dXNlcjpwQHNz",
        "X-More: yes",
        "User-Agent: tester",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: a, b",
    ):
        assert lines.count(line) == 1
    assert lines[-2:] == ["", ""]
    assert not [line for line in lines if line.startswith("Sec-WebSocket-Extensions")]


def test_what_is_given_by_hand_wins() -> None:
    lines = head_lines(
        ClientProtocol(
            "ws://user:pass@example.org/",
            headers=[
                ("host", "other"),
                ("Authorization", "mine"),
                ("User-Agent", "me"),
            ],
        )
    )
    assert [line for line in lines if line.lower().startswith("host:")] == [
        "Host: other"
    ]
    assert [line for line in lines if line.startswith("Auth")] == [
        "Authorization: mine"
    ]
    assert [line for line in lines if line.startswith("User-")] == ["User-Agent: me"]
    plain = head_lines(ClientProtocol("ws://h/", user_agent_header=None))
    assert not [line for line in plain if line.startswith("User-Agent")]


@pytest.mark.threat("INJ-1")
@pytest.mark.parametrize(
    "arguments",
    [
        {"origin": "http://a\r\nX: y"},
        {"user_agent_header": "a\0"},
        {"headers": {"X": "a\nb"}},
        {"headers": {"X Y": "a"}},
        {"headers": {"Host": "a\r\nX: y"}},
        {"headers": {"upgrade": "x"}},
        {"headers": {"Sec-WebSocket-Protocol": "x"}},
        {"subprotocols": ["a b"]},
        {"subprotocols": ["a\r\nX: y"]},
    ],
)
def test_what_cannot_be_written(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ClientProtocol("ws://example.org/", **arguments)


@pytest.mark.threat("INJ-2")
def test_invalid_uri() -> None:
    with pytest.raises(InvalidURI):
        ClientProtocol("http://example.org/")


def opened(**settings: Any) -> tuple[ClientProtocol, ServerProtocol]:
    client = ClientProtocol("ws://example.org/", **settings)
    server = ServerProtocol(**settings)
    server.receive_data(client.data_to_send())
    request = server.next_event()
    assert isinstance(request, Request) and request.path == "/"
    server.accept()
    client.receive_data(server.data_to_send())
    response = client.next_event()
    assert isinstance(response, Response) and response.status_code == 101
    assert client.state is server.state is State.OPEN
    return client, server


@pytest.mark.parametrize("compression", [None, PerMessageDeflate(threshold=0)])
def test_events_by_match(compression: PerMessageDeflate | None) -> None:
    client, server = opened(compression=compression)
    client.send_text("é" * 100)
    client.send_binary(b"x" * 100)
    client.send_ping(b"p")
    client.send_pong(b"q")
    client.send_close(4000, "bye")
    server.receive_data(client.data_to_send())
    seen: list[Any] = []
    for event in server.events():
        match event:
            case TextMessage(data=text):
                seen.append(text)
            case BinaryMessage(data=data):
                seen.append(data)
            case Ping(data=data) | Pong(data=data):
                seen.append((type(event).__name__, data))
            case Close(code=code, reason=reason):
                seen.append((code, reason))
    assert seen == [
        "é" * 100,
        b"x" * 100,
        ("Ping", b"p"),
        ("Pong", b"q"),
        (4000, "bye"),
    ]
    client.receive_data(server.data_to_send())
    assert list(client.events()) == [Pong(b"p"), Close(4000, "bye")]
    assert client.close_code == server.close_code == 4000


def test_against_wsproto() -> None:
    theirs = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    client = ClientProtocol("ws://example.org/path", subprotocols=["chat"])
    theirs.receive_data(client.data_to_send())
    (request,) = theirs.events()
    assert isinstance(request, wsproto.events.Request)
    assert (request.host, request.target) == ("example.org", "/path")
    client.receive_data(
        theirs.send(wsproto.events.AcceptConnection(subprotocol="chat"))
    )
    assert isinstance(client.next_event(), Response) and client.subprotocol == "chat"
    client.send_text("hello")
    theirs.receive_data(client.data_to_send())
    (message,) = theirs.events()
    assert isinstance(message, wsproto.events.TextMessage) and message.data == "hello"
    client.receive_data(theirs.send(wsproto.events.CloseConnection(1001, "bye")))
    assert list(client.events()) == [Close(1001, "bye")]


def test_refusal() -> None:
    client, server = ClientProtocol("ws://example.org/"), ServerProtocol()
    server.receive_data(client.data_to_send())
    assert isinstance(server.next_event(), Request)
    server.reject(403, "no\n")
    client.receive_data(server.data_to_send())
    client.receive_eof()
    assert list(client.events()) == []
    exc = client.handshake_exception
    assert isinstance(exc, pywscore.InvalidStatus)
    assert (exc.response.status_code, exc.response.body) == (403, b"no\n")


def test_names() -> None:
    for name in pywscore.__all__:
        assert getattr(pywscore, name) is not None
    # RFC 6455 §1.3
    assert pywscore.accept_key("dGhlIHNhbXBsZSBub25jZQ==") == (
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    )
    assert pywscore.__version__ == pywscore._version.__version__
