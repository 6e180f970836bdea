"""The objects that next_event() gives."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import pytest

import pywscore
from pywscore import BinaryMessage, Close, Ping, Pong, TextMessage

ALL: list[Any] = [
    TextMessage("é"),
    TextMessage("x", fin=False, compressed=True),
    BinaryMessage(b"\0"),
    BinaryMessage(b"x", fin=False, compressed=True),
    Ping(b"x"),
    Pong(b"x"),
    Close(1000, "é"),
    Close(1005),
]


def test_attributes() -> None:
    message = TextMessage("é")
    assert (message.data, message.fin, message.compressed) == ("é", True, False)
    part = BinaryMessage(b"x", fin=False, compressed=True)
    assert (part.data, part.fin, part.compressed) == (b"x", False, True)
    assert Ping(b"p").data == b"p" and Pong(b"p").data == b"p"
    assert (Close(1000, "é").code, Close(1000, "é").reason) == (1000, "é")
    assert Close(1005).reason == ""
    assert Close(code=1001, reason="r") == Close(1001, "r")


@pytest.mark.parametrize("event", ALL, ids=repr)
def test_immutable(event: Any) -> None:
    for name in ("data", "fin", "code", "reason", "new", "__class__"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(event, name, 1)
    with pytest.raises(TypeError):
        type(event).data = 1
    with pytest.raises(TypeError):
        type("Derived", (type(event),), {})


@pytest.mark.parametrize("event", ALL, ids=repr)
def test_equality_and_hash(event: Any) -> None:
    assert [other == event for other in ALL].count(True) == 1
    assert [other != event for other in ALL].count(False) == 1
    same = eval(repr(event), vars(pywscore))
    assert same == event and hash(same) == hash(event)
    assert event != event.__repr__() and event is not None
    assert event != getattr(event, "data", None)
    with pytest.raises(TypeError):
        assert event < event
    assert {event: 1}[same] == 1


def test_repr() -> None:
    assert [repr(event) for event in ALL] == [
        "TextMessage('é')",
        "TextMessage('x', fin=False, compressed=True)",
        r"BinaryMessage(b'\x00')",
        "BinaryMessage(b'x', fin=False, compressed=True)",
        "Ping(b'x')",
        "Pong(b'x')",
        "Close(code=1000, reason='é')",
        "Close(code=1005, reason='')",
    ]
    assert str(Close(1000, "é")) == "1000 (OK) é"
    assert str(Close(4000)) == "4000 (private use)"


def describe(event: object) -> Any:
    match event:
        case TextMessage(text):
            return "text", text
        case BinaryMessage(data, fin=False):
            return "part", data
        case BinaryMessage(data=data):
            return "binary", data
        case Ping(data) | Pong(data):
            return type(event).__name__, data
        case Close(1005):
            return ("no code",)
        case Close(code, reason):
            return code, reason
    return None


def test_matching() -> None:
    assert [describe(event) for event in ALL] == [
        ("text", "é"),
        ("text", "x"),
        ("binary", b"\0"),
        ("part", b"x"),
        ("Ping", b"x"),
        ("Pong", b"x"),
        (1000, "é"),
        ("no code",),
    ]
    assert TextMessage.__match_args__ == BinaryMessage.__match_args__ == ("data",)
    assert Ping.__match_args__ == Pong.__match_args__ == ("data",)
    assert Close.__match_args__ == ("code", "reason")


@pytest.mark.parametrize(
    "make",
    [
        lambda: TextMessage(b"x"),  # type: ignore[arg-type]
        lambda: TextMessage(1),  # type: ignore[arg-type]
        lambda: TextMessage(),  # type: ignore[call-arg]
        lambda: TextMessage("x", False),  # type: ignore[misc]
        lambda: BinaryMessage("x"),  # type: ignore[arg-type]
        lambda: BinaryMessage(5),  # type: ignore[arg-type]
        lambda: Ping("x"),  # type: ignore[arg-type]
        lambda: Ping(5),  # type: ignore[arg-type]
        lambda: Pong(),  # type: ignore[call-arg]
        lambda: Close("1000"),  # type: ignore[arg-type]
        lambda: Close(1000, b"x"),  # type: ignore[arg-type]
        lambda: Close(1000, None),  # type: ignore[arg-type]
    ],
)
@pytest.mark.threat("CTL-1")
def test_wrong_arguments(make: Any) -> None:
    with pytest.raises(TypeError):
        make()


def test_buffers_are_copied() -> None:
    data = bytearray(b"abc")
    message, ping = BinaryMessage(data), Ping(data)  # type: ignore[arg-type]
    data[:] = b"xyz"
    data.clear()
    assert message.data == ping.data == b"abc"
    assert type(message.data) is type(ping.data) is bytes


class Text(str):
    def __eq__(self, other: object) -> bool:
        raise AssertionError

    def __hash__(self) -> int:
        raise AssertionError

    def __repr__(self) -> str:
        raise AssertionError


class Data(bytes):
    def __eq__(self, other: object) -> bool:
        raise AssertionError

    def __hash__(self) -> int:
        raise AssertionError

    def __bytes__(self) -> bytes:
        return b"something else"


@pytest.mark.threat("LIF-3")
def test_subclasses_become_exact() -> None:
    message = TextMessage(Text("x"))
    assert type(message.data) is str and message == TextMessage("x")
    close = Close(1000, Text("r"))
    assert type(close.reason) is str and repr(close) == "Close(code=1000, reason='r')"
    assert type(BinaryMessage(Data(b"d")).data) is bytes
    assert BinaryMessage(Data(b"d")) == BinaryMessage(b"d")
    assert type(Ping(Data(b"d")).data) is bytes


def test_not_tracked_by_the_collector() -> None:
    assert not any(gc.is_tracked(event) for event in ALL)


@pytest.mark.parametrize("event", ALL, ids=repr)
def test_copies(event: Any) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(event, protocol)) == event
    assert copy.copy(event) == copy.deepcopy(event) == event
