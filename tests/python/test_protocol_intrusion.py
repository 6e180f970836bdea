"""Code of others that runs in the middle of a call: what is used after it is owned."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from wire import (
    BINARY,
    DEFLATE,
    ROLES,
    TEXT,
    Role,
    client,
    close_body,
    frame,
    key_of,
    opened,
    request,
    response,
    run_fresh,
)

import pywscore
from pywscore import ClientProtocol, PerMessageDeflate, ServerProtocol

pytestmark = pytest.mark.threat("BOR-2")
both_roles = pytest.mark.parametrize("role", ROLES)

ACTIONS: dict[str, Callable[[Any], object]] = {
    "answer": lambda protocol: protocol.reject(403, "no"),
    "accept": lambda protocol: protocol.accept(),
    "fail": lambda protocol: protocol.fail(1011),
    "end": lambda protocol: protocol.receive_eof(),
    "feed": lambda protocol: protocol.receive_data(b"more" * 100),
    "events": lambda protocol: list(protocol.events()),
    "take": lambda protocol: protocol.data_to_send(),
    "look": lambda protocol: [
        getattr(protocol, name, None)
        for name in ("error", "close_exception", "offered_subprotocols", "compression")
    ],
}


def intruder(protocol: Any, action: str) -> Callable[[], None]:
    """The action, not in the middle of itself."""
    busy = False

    def act() -> None:
        nonlocal busy
        if not busy:
            busy = True
            try:
                ACTIONS[action](protocol)
            except (AttributeError, pywscore.WebSocketException):
                pass
            finally:
                busy = False

    return act


def asked(*lines: str, without: str = "", **options: Any) -> ServerProtocol:
    protocol = ServerProtocol(**options)
    protocol.receive_data(request(*lines, without=without))
    return protocol


def answered(head: Callable[[ClientProtocol], bytes], **options: Any) -> ClientProtocol:
    protocol = client(**options)
    protocol.receive_data(head(protocol))
    return protocol


REFUSAL = b"HTTP/1.1 404 Not Found\r\nContent-Length: 6000\r\n\r\n" + b"x" * 6000
HEADS: dict[str, Callable[[], Any]] = {
    "request": lambda: asked("Sec-WebSocket-Protocol: a, b", "X: " + "y" * 5000),
    "bad request": lambda: asked(without="Upgrade"),
    "any request": lambda: asked(without="Upgrade", any_request=True),
    "response": lambda: answered(lambda made: response(key=key_of(made))),
    "refusal": lambda: answered(lambda _: REFUSAL),
    "bad response": lambda: answered(lambda _: b"HTTP/1.0 200 OK\r\n\r\n"),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("head", HEADS)
def test_a_head_becomes_an_event(head: str, action: str, intruding: Any) -> None:
    protocol = HEADS[head]()
    with intruding(intruder(protocol, action)):
        protocol.next_event()
    list(protocol.events())
    _ = protocol.error, protocol.handshake_exception, protocol.close_exception
    assert protocol.next_event() is None


@pytest.mark.parametrize("action", ACTIONS)
def test_a_request_is_looked_at_and_answered(action: str, intruding: Any) -> None:
    calls: list[Callable[[Any], object]] = [
        lambda protocol: protocol.offered_subprotocols,
        lambda protocol: protocol.origin,
        lambda protocol: protocol.build_response(subprotocol="b"),
        lambda protocol: protocol.accept(subprotocol="b", headers={"X": "y"}),
        lambda protocol: protocol.reject(403, "é" * 5000, headers=[("X", "y")]),
        lambda protocol: protocol.respond(pywscore.Response(200, "OK", {}, b"x")),
    ]
    for call in calls:
        protocol = asked("Sec-WebSocket-Protocol: a, b, c", "Origin: http://x")
        protocol.next_event()
        with intruding(intruder(protocol, action)):
            try:
                call(protocol)
            except (pywscore.InvalidState, ValueError):
                pass
        assert protocol.data_to_send().count(b"HTTP/1.1") <= 1
        list(protocol.events())


@both_roles
@pytest.mark.parametrize("action", ACTIONS)
def test_an_open_connection(role: Role, action: str, intruding: Any) -> None:
    protocol = opened(role, compression=DEFLATE)
    data = [
        frame(TEXT, "é".encode() * 3000, to=role, fin=False),
        frame(9, b"ping", to=role) + frame(0, b"more", to=role),
        frame(BINARY, bytes(100_000), to=role),
        frame(8, close_body(1000, "é"), to=role),
    ]
    with intruding(intruder(protocol, action)):
        try:
            for piece in data:
                protocol.receive_data(piece)
                protocol.receive_data(bytearray(piece))
                protocol.send_text("é" * 3000)
                protocol.send_binary(bytes(100_000))
                protocol.send_ping(b"x")
                list(protocol.events())
                protocol.buffers_to_send()
            protocol.send_close(1000)
        except pywscore.InvalidState:
            pass
        _ = protocol.close_exception, protocol.close_received, protocol.error
    list(protocol.events())
    protocol.receive_eof()


# ---- an object that is made while it is made ---------------------------------------


class Option:
    """Makes the object that it is an option of."""

    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make

    def act(self) -> None:
        make, self.make = self.make, lambda: None
        make()

    def __index__(self) -> int:
        self.act()
        return 1000

    def __bool__(self) -> bool:
        self.act()
        return True


@pytest.mark.parametrize("name", ["max_size", "max_line", "max_headers", "any_request"])
def test_a_protocol_made_twice(name: str) -> None:
    protocol = ServerProtocol.__new__(ServerProtocol)
    options: Any = {name: Option(protocol.__init__), "compression": DEFLATE}  # type: ignore[misc]
    with pytest.raises(RuntimeError, match="twice"):
        protocol.__init__(**options)  # type: ignore[misc]
    protocol.receive_data(request())
    assert isinstance(protocol.next_event(), pywscore.Request)


def test_settings_that_make_a_protocol_when_they_go() -> None:
    """The settings that are kept for the next protocol are never half of each."""
    refused: list[bool] = []

    class Level(int):
        def __del__(self) -> None:
            inner = ServerProtocol(max_size=20, compression=second, max_line=100)
            inner.receive_data(request(start=f"GET /{'x' * 150} HTTP/1.1"))
            refused.append(inner.next_event() is None)

    first = PerMessageDeflate()
    second = PerMessageDeflate()
    object.__setattr__(first, "level", Level(5))
    ServerProtocol(max_size=10, compression=first, max_line=100)
    del first
    ServerProtocol(max_size=20, compression=second, max_line=200)
    assert refused == [True]


# ---- what goes on an exception's way -------------------------------------------------


def test_a_large_message_goes_with_an_exception() -> None:
    """The memory that is kept for the next one doesn't take the exception's place."""
    code = """
def made():
    protocol = opened("server")
    protocol.send_binary(bytes(bytearray(100_000)))
    return protocol
def stop():
    raise KeyError("the right one")
try:
    (made(), stop())
except KeyError as error:
    print(error)
"""
    assert run_fresh(code).strip() == "'the right one'"


def test_a_subprotocol_is_collected() -> None:
    class Name(str):
        pass

    protocol = asked("Sec-WebSocket-Protocol: chat")
    protocol.next_event()
    name = Name("chat")
    name.owner = protocol  # type: ignore[attr-defined]
    protocol.accept(subprotocol=name)
    gone = weakref.ref(name)
    del protocol, name
    gc.collect()
    assert gone() is None
