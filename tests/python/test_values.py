"""Every public class of values can be copied and pickled, with what it says."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

import pywscore
from pywscore import exceptions
from pywscore.asyncio._stats import connection_stats, server_stats
from pywscore.legacy.exceptions import AbortHandshake, RedirectHandshake
from pywscore.proxy import Proxy

RESPONSE = pywscore.Response(
    403, "Forbidden", pywscore.Headers([("A", "1"), ("a", "2")]), b"no"
)
CLOSED = (pywscore.Close(1000, "a"), pywscore.Close(1011), True)
VALUES: list[Any] = [
    pywscore.TextMessage("é", fin=False),
    pywscore.BinaryMessage(b"x", compressed=True),
    pywscore.Ping(b"x"),
    pywscore.Pong(b"x"),
    pywscore.Close(1000, "é"),
    pywscore.Request("/", pywscore.Headers(Host="a")),
    RESPONSE,
    pywscore.Headers([("A", "1"), ("a", "2")]),
    pywscore.PerMessageDeflate(level=3),
    pywscore.RateLimit(messages=3, action="close"),
    pywscore.Forwarded("Forwarded", trusted=["10.0.0.0/8", "unix"]),
    pywscore.parse_uri("ws://user:secret@host/path?query"),
    connection_stats((1,) * 11, 0.5),
    server_stats(
        (1,) * 11,
        dict.fromkeys(pywscore.State, 1),
        [0.5],
        accepted=2,
        failed=1,
        close_codes={1001: 1, 1000: 1},
    ),
    *pywscore.State,
    *pywscore.Side,
    *pywscore.Opcode,
    *pywscore.CloseCode,
    Proxy("http", "host", 80, "user", "secret"),
    pywscore.ConnectionClosed(*CLOSED),
    pywscore.ConnectionClosedOK(*CLOSED),
    pywscore.ConnectionClosedError(None, None),
    pywscore.InvalidURI("ws://user:secret@h", "why"),
    pywscore.InvalidProxy("http://user:secret@h", "why"),
    pywscore.InvalidProxyStatus(RESPONSE),
    pywscore.InvalidStatus(RESPONSE),
    exceptions.InvalidStatusCode(403, RESPONSE.headers),
    pywscore.InvalidMethod("POST"),
    pywscore.InvalidProtocol("HTTP/1.0"),
    pywscore.InvalidHeader("Name", "value"),
    pywscore.InvalidHeaderFormat("Name", "error", "value", 3),
    pywscore.InvalidHeaderValue("Name"),
    pywscore.InvalidOrigin(None),
    pywscore.InvalidUpgrade("Upgrade", "h2c"),
    pywscore.DuplicateParameter("name"),
    pywscore.InvalidParameterName("name"),
    pywscore.InvalidParameterValue("name", None),
    pywscore.PayloadTooBig(10, 5, 3),
    pywscore.TooManyFragments(5),
    pywscore.MultipleValuesError("name"),
    AbortHandshake(200, {"a": "b"}, b"x"),
    RedirectHandshake("ws://h"),
    *(
        getattr(pywscore, name)("text")
        for name in (
            *("ConcurrencyError", "HeaderLineTooLong", "InvalidHandshake"),
            *("InvalidMessage", "InvalidProxyMessage", "InvalidState"),
            *("NegotiationError", "ProtocolError", "ProxyError", "SecurityError"),
            *("RequestLineTooLong", "StatusLineTooLong", "TooManyHeaders"),
            "WebSocketException",
        )
    ),
]
# These do something: they are no values.
OTHERS = {
    *("Connection", "ServerConnection", "ClientConnection", "Server", "Router"),
    *("Protocol", "ServerProtocol", "ClientProtocol", "TLSContext", "connect"),
    *("Listener", "Origin", "Subprotocol", "ExtensionName", "SharedStats"),
}


def test_all_are_here() -> None:
    public = {
        name for name in pywscore.__all__ if inspect.isclass(getattr(pywscore, name))
    }
    assert public - {type(value).__name__ for value in VALUES} == OTHERS & public


def state(value: Any) -> Any:
    """What it says, also where it has no ``==``."""
    if isinstance(value, BaseException):
        return type(value), repr(value), str(value), {**vars(value)}
    return type(value), repr(value), value


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_copies(value: Any) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert state(pickle.loads(pickle.dumps(value, protocol))) == state(value)
    assert state(copy.copy(value)) == state(value)
    assert state(copy.deepcopy(value)) == state(value)


def test_a_copy_of_headers_is_one_of_its_own() -> None:
    headers = pywscore.Headers(A="1")
    headers._pack()
    for other in (copy.copy(headers), copy.deepcopy(headers), headers.copy()):
        other["B"] = "2"
        assert list(headers) == ["a"] and list(other) == ["a", "b"]
