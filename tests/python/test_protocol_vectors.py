"""The fixtures of tests/c/vectors, through the sans-IO objects."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from wire import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    ROLES,
    TEXT,
    Outcome,
    Role,
    Vector,
    accept_for,
    client,
    feed,
    frame,
    key_of,
    opened,
    outcome_of,
    request,
    response,
    splits,
    vectors,
)

import pywscore
from pywscore import PerMessageDeflate, ServerProtocol, State

OPCODES = {"text": TEXT, "bin": BINARY, "cont": CONT}
OPCODES |= {"close": CLOSE, "ping": PING, "pong": PONG}


def cases(name: str) -> Any:
    # The sans-IO objects give whole messages, and a line end can't be in a header.
    chosen = [
        case
        for case in vectors(name)
        if case.get("settings", "streaming") is None
        and not any(set(b"\r\n") & set(value) for value in case.all("header", "value"))
    ]
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.name)


def text_of(value: bytes | str) -> str:
    """As headers come out: bytes above 0x7f as surrogate escapes."""
    raw = value if isinstance(value, bytes) else value.encode()
    return raw.decode("ascii", "surrogateescape")


# ---- requests ------------------------------------------------------------------------

# Missing or not what it should be: InvalidHeader or InvalidHeaderValue.
WITH_VALUES = {"KEY", "VERSION", "ACCEPT"}

REFUSALS = {
    "METHOD": pywscore.InvalidMethod,
    "HTTP_VERSION": pywscore.InvalidProtocol,
    "UPGRADE": pywscore.InvalidUpgrade,
    "CONNECTION": pywscore.InvalidUpgrade,
    "PROTOCOL": pywscore.InvalidHeader,
    "EXTENSIONS": pywscore.InvalidHeader,
}


def answer_of(protocol: ServerProtocol) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of a plain text refusal."""
    head, _, body = protocol.data_to_send().partition(b"\r\n\r\n")
    start, *lines = head.decode("ascii").split("\r\n")
    version, status, phrase = start.split(" ", 2)
    assert version == "HTTP/1.1" and phrase
    headers = dict(line.split(": ", 1) for line in lines)
    assert headers["Connection"] == "close"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Content-Length"] == str(len(body))
    return int(status), headers, body.decode()


@cases("handshake_request")
@pytest.mark.threat("HSK-1", "HSK-2", "HSK-5", "HSK-6", "LEN-9")
def test_requests(case: Vector) -> None:
    data = case.bytes_of("request")
    result = case.get("outcome", "result")
    for how, pieces in splits(data, 2):
        print(how)
        protocol = ServerProtocol()
        events: list[Any] = []
        for piece in pieces:
            protocol.receive_data(piece)
            events += protocol.events()
        if result == "accepted":
            check_accepted(case, protocol, events)
        elif result == "incomplete":
            assert events == [] and protocol.data_to_send() == b""
            assert protocol.state is State.CONNECTING and not protocol.close_expected
        else:
            assert events == []
            check_refused(case, protocol)


def check_accepted(case: Vector, protocol: ServerProtocol, events: list[Any]) -> None:
    (event,) = events
    assert isinstance(event, pywscore.Request)
    start = case.bytes_of("request").partition(b"\r")[0].decode("ascii")
    method, target, version = start.split(" ")
    assert (event.method, event.protocol) == (method, version)
    # RFC 9112 §3.2: what an absolute target names besides is where it was sent.
    assert target in (event.path, f"http://{event.headers['Host']}{event.path}")
    assert target == case.get("outcome", "target")
    assert event.headers["Host"] == case.get("outcome", "host")
    key = case.get("outcome", "key")
    assert key is not None and event.headers["Sec-WebSocket-Key"] == key
    origins = case.all("outcome", "origin")
    assert protocol.origin == (text_of(origins[0]) if origins else None)
    offered = [text_of(value) for value in case.all("outcome", "subprotocol")]
    assert protocol.offered_subprotocols == offered
    protocol.accept(subprotocol=offered[-1] if offered else None)
    lines = protocol.data_to_send().split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert f"Sec-WebSocket-Accept: {accept_for(key)}".encode() in lines
    assert protocol.subprotocol == (offered[-1] if offered else None)


def check_refused(case: Vector, protocol: ServerProtocol) -> None:
    status, headers, _ = answer_of(protocol)
    assert str(status) == case.get("outcome", "status")
    if status == 426:
        assert headers["Sec-WebSocket-Version"] == "13"
    assert protocol.state is State.CLOSING and protocol.close_expected
    error = protocol.handshake_exception
    assert error is not None and protocol.error is error
    if case.get("outcome", "result") == "unreadable":
        expected: type[Exception] = pywscore.InvalidMessage
        if case.get("outcome", "error") == "START_LINE_TOO_LONG":
            expected = pywscore.RequestLineTooLong
    else:
        name = case.get("outcome", "error")
        assert name is not None
        expected = REFUSALS.get(name, pywscore.InvalidHeader)
        if name in WITH_VALUES and getattr(error, "value", None) is not None:
            expected = pywscore.InvalidHeaderValue
    assert type(error) is expected
    header = case.get("outcome", "header")
    if isinstance(error, pywscore.InvalidHeader):
        assert error.name == header
        values = case.all("outcome", "value")
        if not case.get("outcome", "duplicate"):
            assert error.value == (text_of(values[0]) if values else None)


@cases("handshake_request")
@pytest.mark.threat("HSK-6")
def test_requests_that_the_application_sees_first(case: Vector) -> None:
    protocol = ServerProtocol(any_request=True)
    protocol.receive_data(case.bytes_of("request"))
    events = list(protocol.events())
    if case.get("outcome", "result") != "refused":
        assert len(events) == (case.get("outcome", "result") == "accepted")
        return
    (event,) = events
    assert isinstance(event, pywscore.Request)
    error = protocol.handshake_exception
    assert isinstance(error, pywscore.InvalidHandshake)
    with pytest.raises(type(error)) as info:
        protocol.accept()
    assert info.value is error
    with pytest.raises(type(error)):
        protocol.build_response()
    with pytest.raises(type(error)):
        protocol.respond(pywscore.Response(101))
    assert protocol.data_to_send() == b""
    protocol.reject(404, "nothing here")
    assert answer_of(protocol)[::2] == (404, "nothing here")
    assert protocol.close_expected


# ---- responses -----------------------------------------------------------------------

ANSWERS = {
    "HEAD": pywscore.InvalidMessage,
    "HTTP_VERSION": pywscore.InvalidProtocol,
    "STATUS": pywscore.InvalidStatus,
    "UPGRADE": pywscore.InvalidUpgrade,
    "CONNECTION": pywscore.InvalidUpgrade,
    "ACCEPT": pywscore.InvalidHeader,
}


@cases("handshake_response")
@pytest.mark.threat("HSK-9", "HSK-1", "HSK-5")
def test_responses(case: Vector) -> None:
    result = case.get("outcome", "result")
    offered = [value.decode() for value in case.all("offer", "subprotocol")]
    compression = (
        PerMessageDeflate() if case.get("offer", "extension") is not None else None
    )
    key = case.get("offer", "key") or KEY
    for how, _ in splits(case.bytes_of("response"), 2):
        print(how)
        protocol = client(subprotocols=offered, compression=compression)
        # The key is fresh in each request: the case's right answer is made the right
        # answer to it.
        right = accept_for(key_of(protocol)).encode()
        data = case.bytes_of("response").replace(accept_for(key).encode(), right)
        pieces = dict(splits(data, 2))[how]
        events: list[Any] = []
        for piece in pieces:
            protocol.receive_data(piece)
            events += protocol.events()
        if result == "incomplete":
            assert events == [] and protocol.state is State.CONNECTING
            continue
        if result == "accepted":
            assert isinstance(events[0], pywscore.Response)
            assert events[0].status_code == 101
            assert protocol.state in (State.OPEN, State.CLOSING)
            chosen = case.all("outcome", "subprotocol")
            assert protocol.subprotocol == (chosen[0].decode() if chosen else None)
            agreed = case.get("outcome", "extension") is not None
            assert (protocol.compression is not None) == agreed
            continue
        if protocol.state is State.CONNECTING:
            protocol.receive_eof()  # a body may have followed
        assert events == [] and protocol.data_to_send() == b""
        error = protocol.handshake_exception
        name = case.get("outcome", "error") if result == "refused" else "HEAD"
        assert name is not None
        if name in ("PROTOCOL", "EXTENSIONS"):
            allowed: tuple[type, ...] = (
                pywscore.NegotiationError,
                pywscore.InvalidHeader,
            )
            assert isinstance(error, allowed)
        else:
            expected = ANSWERS[name]
            if name in WITH_VALUES and getattr(error, "value", None) is not None:
                expected = pywscore.InvalidHeaderValue
            if case.get("outcome", "error") == "START_LINE_TOO_LONG":
                expected = pywscore.StatusLineTooLong
            assert type(error) is expected
        header = case.get("outcome", "header")
        if isinstance(error, pywscore.InvalidHeader):
            assert error.name == header
        assert protocol.close_expected


# ---- extensions ----------------------------------------------------------------------


def settings_of(case: Vector) -> PerMessageDeflate | None:
    values: dict[str, Any] = {}
    for name, raw in case.fields("settings"):
        value = raw.decode()
        if name == "offered":
            return None
        values[name] = {"yes": True, "no": False}.get(value, value)
        if name.endswith("_bits") and isinstance(values[name], str):
            values[name] = int(value) or None
    return PerMessageDeflate(**values)


def agreed_of(case: Vector) -> dict[str, Any]:
    return {
        name: value == b"yes" if name.endswith("takeover") else int(value)
        for name, value in case.fields("outcome")
        if name.startswith(("server_", "client_"))
    }


def check_agreed(case: Vector, compression: PerMessageDeflate | None) -> None:
    assert compression is not None
    parameters = dataclasses.asdict(compression)
    agreed = agreed_of(case)
    assert len(agreed) == 4
    assert {name: parameters[name] for name in agreed} == agreed


def extension_line(case: Vector) -> list[str]:
    values = case.all("header", "value")
    prefix = "Sec-WebSocket-Extensions: "
    return [prefix + value.decode("iso-8859-1") for value in values]


@cases("extension_offer")
@pytest.mark.threat("INF-6", "HSK-2")
def test_offers(case: Vector) -> None:
    protocol = ServerProtocol(compression=settings_of(case))
    protocol.receive_data(request(*extension_line(case)))
    event = protocol.next_event()
    result = case.get("outcome", "result")
    if result == "refused":
        assert event is None
        status, _, _ = answer_of(protocol)
        assert status == 400
        return
    assert isinstance(event, pywscore.Request)
    protocol.accept()
    lines = protocol.data_to_send().decode().split("\r\n")
    answers = [line for line in lines if line.startswith("Sec-WebSocket-Extensions")]
    if result == "declined":
        assert answers == [] and protocol.compression is None
        return
    answer = case.get("outcome", "answer")
    assert answers == [f"Sec-WebSocket-Extensions: {answer}"]
    check_agreed(case, protocol.compression)


EXTENSION_ERRORS = {
    "GRAMMAR": pywscore.InvalidHeader,
    "UNKNOWN": pywscore.NegotiationError,
    "DUPLICATE": pywscore.NegotiationError,
    "NOT_AGREED": pywscore.NegotiationError,
    "UNKNOWN_PARAMETER": pywscore.InvalidParameterName,
    "DUPLICATE_PARAMETER": pywscore.DuplicateParameter,
    "PARAMETER_VALUE": pywscore.InvalidParameterValue,
}


@cases("extension_answer")
@pytest.mark.threat("INF-6", "HSK-9")
def test_answers(case: Vector) -> None:
    protocol = client(compression=settings_of(case))
    protocol.receive_data(response(*extension_line(case), key=key_of(protocol)))
    event = protocol.next_event()
    result = case.get("outcome", "result")
    if result != "refused":
        assert isinstance(event, pywscore.Response)
        if result == "agreed":
            check_agreed(case, protocol.compression)
        else:
            assert protocol.compression is None
        return
    assert event is None
    name = case.get("outcome", "error")
    assert name is not None
    error = protocol.handshake_exception
    assert type(error) is EXTENSION_ERRORS[name]
    assert protocol.close_expected and protocol.data_to_send() == b""


# ---- frames --------------------------------------------------------------------------


def marked(name: str) -> tuple[str, bool, int]:
    """`text+*`: the kind, FIN, RSV1."""
    return name.rstrip("+*"), "+" not in name, 4 if "*" in name else 0


def expected_events(case: Vector) -> list[Any]:
    events: list[Any] = []
    for value in case.all("outcome", "event"):
        word, _, rest = value.partition(b" ")
        kind, fin, rsv = marked(word.decode())
        if kind == "close":
            code, _, reason = rest.partition(b" ")
            events.append(pywscore.Close(int(code), reason.decode()))
        elif kind in ("ping", "pong"):
            events.append({"ping": pywscore.Ping, "pong": pywscore.Pong}[kind](rest))
        elif kind == "text":
            events.append(
                pywscore.TextMessage(rest.decode(), fin=fin, compressed=bool(rsv))
            )
        else:
            events.append(pywscore.BinaryMessage(rest, fin=fin, compressed=bool(rsv)))
    return events


FRAME_ERRORS = {
    "PROTOCOL": "ProtocolError",
    "UTF8": "UnicodeDecodeError",
    "TOO_BIG": "PayloadTooBig",
    "POLICY": "ProtocolError",
}


@pytest.mark.parametrize("role", ROLES)
@cases("frames")
@pytest.mark.threat("FRG-5", "FRG-6", "CTL-6", "CTL-7", "INF-2", "INF-8", "INF-13")
def test_frames(case: Vector, role: Role) -> None:
    options: dict[str, Any] = {}
    max_size = case.get("settings", "max_size")
    if max_size is not None:
        options["max_size"] = int(max_size)
    extension = case.get("settings", "extension")
    if extension is not None:
        options |= {"compression": PerMessageDeflate(), "extension": extension}
    data = b""
    for name, payload in case.fields("frames"):
        kind, fin, rsv = marked(name)
        data += frame(OPCODES[kind], payload, to=role, fin=fin, rsv=rsv)

    outcome = outcome_of(lambda: opened(role, **options), data)
    assert outcome.events == expected_events(case)
    expected = []
    for value in case.all("outcome", "sent"):
        kind, _, rest = value.partition(b" ")
        expected.append([kind, rest])
    assert described(outcome) == expected
    error = case.get("outcome", "error")
    assert outcome.error == (FRAME_ERRORS[error] if error else None)
    state = case.get("outcome", "state")
    assert state is not None
    assert outcome.state.name.lower() == state.split(",")[0]
    assert outcome.end == ("end" in state)


def described(outcome: Outcome) -> list[list[bytes]]:
    result = []
    for sent in outcome.sent:
        if sent.opcode == CLOSE:
            code = int.from_bytes(sent.payload[:2])
            result.append([b"close", str(code).encode() if sent.payload else b""])
        else:
            assert sent.opcode == PONG
            result.append([b"pong", sent.payload])
    return result


def test_that_vectors_are_told_apart() -> None:
    """The reader of this file and the comparisons of above can fail."""
    names = [case.name for case in vectors("frames")]
    assert len(names) == len(set(names)) > 20
    outcome = feed(opened("server"), [frame(TEXT, b"x", to="server")])
    assert outcome.events != expected_events(vectors("frames")[0])
