"""Constructors, attributes and hierarchy are those of websockets.exceptions."""

import inspect
import pickle

import pytest
import websockets.exceptions as theirs
from websockets import frames

import pywscore
import pywscore.exceptions as ours
from pywscore import Close, Response

LEGACY = {
    *("AbortHandshake", "InvalidStatusCode", "RedirectHandshake"),
    "WebSocketProtocolError",
}


def bases(cls: type) -> list[str]:
    return [base.__name__ for base in cls.__mro__]


@pytest.mark.parametrize("name", sorted(set(theirs.__all__) - LEGACY))
def test_hierarchy_is_that_of_websockets(name: str) -> None:
    assert [base for base in bases(getattr(ours, name)) if base not in LEGACY] == bases(
        getattr(theirs, name)
    )
    assert getattr(pywscore, name, None) or name.startswith("InvalidProxy")


def test_all_is_complete() -> None:
    defined = {
        name
        for name, value in vars(ours).items()
        if name not in LEGACY
        and inspect.isclass(value)
        and issubclass(value, ours.WebSocketException)
    }
    assert set(ours.__all__) == defined == set(theirs.__all__) - LEGACY


RESPONSE = Response(403, "Forbidden")


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("InvalidURI", ("http://h", "scheme isn't ws or wss")),
        ("InvalidProxy", ("ftp://h", "scheme ftp isn't supported")),
        ("InvalidProxyStatus", (RESPONSE,)),
        ("InvalidStatus", (RESPONSE,)),
        ("InvalidMethod", ("POST",)),
        ("InvalidProtocol", ("HTTP/1.0",)),
        ("InvalidHeader", ("Name",)),
        ("InvalidHeader", ("Name", "")),
        ("InvalidHeader", ("Name", "value")),
        ("InvalidHeaderFormat", ("Name", "expected token", "a=|", 3)),
        ("InvalidHeaderValue", ("Name", "value")),
        ("InvalidOrigin", (None,)),
        ("InvalidOrigin", ("http://bad",)),
        ("InvalidUpgrade", ("Upgrade",)),
        ("DuplicateParameter", ("a",)),
        ("InvalidParameterName", ("|",)),
        ("InvalidParameterValue", ("a", None)),
        ("InvalidParameterValue", ("a", "")),
        ("InvalidParameterValue", ("a", "|")),
        ("PayloadTooBig", (None, 4)),
        ("PayloadTooBig", (8, 4)),
        ("PayloadTooBig", (8, 4, 2)),
        ("TooManyFragments", (16,)),
    ],
)
def test_text_and_attributes_are_those_of_websockets(
    name: str, args: tuple[object, ...]
) -> None:
    mine, other = getattr(ours, name)(*args), getattr(theirs, name)(*args)
    if name == "PayloadTooBig" and len(args) == 3:
        # There max_size becomes the sum; here it stays what was given.
        assert (
            str(mine)
            == "frame with 8 bytes after reading 2 bytes exceeds limit of 4 bytes"
        )
    else:
        assert str(mine) == str(other)
        for key, value in vars(other).items():
            assert getattr(mine, key) == value
    copy = pickle.loads(pickle.dumps(mine)) if "Status" not in name else mine
    assert str(copy) == str(mine)


NORMAL, OOPS = Close(1000, ""), Close(1011, "oops")


def test_codes_have_their_names_in_websockets() -> None:
    for code in range(999, 5001):
        theirs_says = str(theirs.ConnectionClosed(frames.Close(code, "why"), None))
        assert str(ours.ConnectionClosed(Close(code, "why"), None)) == theirs_says


@pytest.mark.parametrize(
    ("args", "text", "code", "reason"),
    [
        ((None, None), "no close frame received or sent", 1006, ""),
        (
            (NORMAL, None),
            "received 1000 (OK); no close frame sent",
            1000,
            "",
        ),
        (
            (None, OOPS),
            "sent 1011 (internal error) oops; no close frame received",
            1006,
            "",
        ),
        (
            (OOPS, NORMAL, True),
            "received 1011 (internal error) oops; then sent 1000 (OK)",
            1011,
            "oops",
        ),
        (
            (Close(3000, ""), Close(4000, ""), False),
            "sent 4000 (private use); then received 3000 (registered)",
            3000,
            "",
        ),
    ],
)
def test_connection_closed(
    args: tuple[object, ...], text: str, code: int, reason: str
) -> None:
    exc = ours.ConnectionClosedError(*args)  # type: ignore[arg-type]
    assert str(exc) == text
    assert (exc.code, exc.reason) == (code, reason)
    assert (exc.rcvd, exc.sent) == args[:2]
    assert exc.rcvd_then_sent is (args[2] if len(args) > 2 else None)
