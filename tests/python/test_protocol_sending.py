"""What the sans-IO objects write, and what they refuse to."""

from __future__ import annotations

import array
import collections
import os
import random
from typing import Any

import pytest
from wire import (
    BINARY,
    CLOSE,
    CONT,
    DEFLATE,
    KEY,
    PING,
    PONG,
    ROLES,
    SEED,
    TEXT,
    Frame,
    Role,
    close_body,
    feed,
    frame,
    opened,
    pair,
    parse,
    request,
    run_fresh,
)

import pywscore
from pywscore import Close, InvalidState, ServerProtocol, State

both_roles = pytest.mark.parametrize("role", ROLES)


def sent(protocol: Any) -> list[Frame]:
    return parse(protocol.data_to_send(), "server" if protocol.is_server else "client")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 65537, 1 << 20])
@both_roles
def test_messages_of_all_sizes(role: Role, size: int) -> None:
    """RFC 6455 §5.2, §5.6: all forms of the length, minimal."""
    payload = random.Random(SEED).randbytes(size)
    text = "x" * size
    protocol = opened(role)
    protocol.send_binary(payload)
    protocol.send_text(text)
    assert sent(protocol) == [Frame(BINARY, payload), Frame(TEXT, text.encode())]
    assert protocol.data_to_send() == b""
    protocol.send_binary(payload)
    protocol.send_text(text)
    buffers = protocol.buffers_to_send()
    frames = parse(b"".join(buffers), role)
    assert frames == [Frame(BINARY, payload), Frame(TEXT, text.encode())]
    assert protocol.buffers_to_send() == []
    if role == "server" and size == 1 << 20:
        assert any(buffer is payload for buffer in buffers)  # by reference


@both_roles
def test_exact_bytes(role: Role) -> None:
    """RFC 6455 §5.7, the examples."""
    protocol = opened(role)
    protocol.send_text("Hel", fin=False)
    protocol.send_continuation("lo")
    protocol.send_ping(b"Hello")
    data = protocol.data_to_send()
    if role == "server":
        assert data == bytes.fromhex("010348656c 80026c6f 890548656c6c6f")
    else:
        assert [data[0], data[1]] == [0x01, 0x83]
        assert parse(data, role)[2] == Frame(PING, b"Hello")


@both_roles
@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"memoryview"),
        memoryview(b"-memory-view-")[1:-1],
        array.array("B", b"array"),
        array.array("I", [1, 2, 3]),
        memoryview(array.array("I", [1, 2, 3])),
        memoryview(bytearray(24)).cast("B", (2, 3, 4)),
        b"",
        bytearray(),
        memoryview(b""),
    ],
    ids=lambda data: f"{type(data).__name__}-{len(bytes(data))}",
)
@pytest.mark.threat("CTL-1", "LIF-2")
def test_all_kinds_of_buffers(role: Role, data: Any) -> None:
    """Contiguous buffers are taken by their bytes, whatever their items are."""
    raw = bytes(data)
    protocol = opened(role)
    protocol.send_binary(data)
    protocol.send_ping(data)
    protocol.send_pong(data)
    protocol.send_binary(data, fin=False)
    protocol.send_continuation(data)
    assert sent(protocol) == [
        Frame(BINARY, raw),
        Frame(PING, raw),
        Frame(PONG, raw),
        Frame(BINARY, raw, fin=False),
        Frame(CONT, raw),
    ]


@both_roles
@pytest.mark.parametrize("bad", [5, None, 1.5, ["x"], object(), True, {"a": 1}])
@pytest.mark.threat("CTL-1")
def test_what_is_no_payload(role: Role, bad: Any) -> None:
    protocol = opened(role)
    for method in ("send_text", "send_binary", "send_continuation"):
        with pytest.raises(TypeError):
            getattr(protocol, method)(bad)
    for method in ("send_ping", "send_pong", "receive_data"):
        with pytest.raises(TypeError):
            getattr(protocol, method)(bad)
    with pytest.raises(TypeError):
        protocol.send_close(1000, bad)
    for wrong in ("text", array.array("u", "x")):
        with pytest.raises(TypeError):
            protocol.send_close(1000, array.array("B", b"xxx"))  # type: ignore[arg-type]
        if wrong == "text":
            for method in ("send_binary", "send_ping", "send_pong", "receive_data"):
                with pytest.raises(TypeError):
                    getattr(protocol, method)(wrong)
    assert protocol.data_to_send() == b""
    assert protocol.state is State.OPEN


@both_roles
@pytest.mark.threat("CTL-1")
def test_what_is_not_contiguous(role: Role) -> None:
    protocol = opened(role)
    view = memoryview(bytearray(100))[::2]
    for method in ("send_text", "send_binary", "send_ping", "send_pong"):
        with pytest.raises(TypeError, match="contiguous"):
            getattr(protocol, method)(view)
    assert protocol.data_to_send() == b""


@both_roles
@pytest.mark.threat("CTL-1")
def test_control_frames_that_are_too_long(role: Role) -> None:
    """RFC 6455 §5.5."""
    protocol = opened(role)
    for size in (126, 127, 1000, 70000):
        for method in ("send_ping", "send_pong"):
            with pytest.raises(ValueError):
                getattr(protocol, method)(bytes(size))
    for reason in ("x" * 124, "é" * 62, "x" * 122 + "é", "x" * 121 + "€", "y" * 70000):
        with pytest.raises(ValueError):
            protocol.send_close(1000, reason)
        with pytest.raises(ValueError):
            protocol.fail(1000, reason)
    with pytest.raises(ValueError):
        protocol.send_close(1000, "\ud800")
    assert protocol.data_to_send() == b"" and protocol.state is State.OPEN
    protocol.send_ping(bytes(125))
    protocol.send_close(1000, "é" * 61 + "x")
    assert sent(protocol) == [
        Frame(PING, bytes(125)),
        Frame(CLOSE, close_body(1000, "é" * 61 + "x")),
    ]


@both_roles
@pytest.mark.threat("CTL-6")
def test_close_codes_that_may_be_sent(role: Role) -> None:
    """RFC 6455 §7.4: 1005, 1006, 1015 and the unassigned never."""
    good = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    edges = [999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535, 65536]
    edges += [
        -1,
        0,
        1,
        1 << 40,
        -(1 << 70),
        1 << 70,
        1000 + (1 << 16),
        1000 + (1 << 32),
    ]
    for code in [*range(990, 1030), *range(2990, 3010), *range(4990, 5010), *edges]:
        protocol = opened(role)
        if code in good:
            protocol.send_close(code)
            assert sent(protocol) == [Frame(CLOSE, close_body(code))]
            assert protocol.state is State.CLOSING and not protocol.close_expected
            assert protocol.close_sent == Close(code)
        else:
            for method in (protocol.send_close, protocol.fail):
                with pytest.raises(ValueError):
                    method(code)
            assert protocol.data_to_send() == b"" and protocol.state is State.OPEN


@both_roles
def test_close_without_a_code(role: Role) -> None:
    protocol = opened(role)
    with pytest.raises(ValueError):
        protocol.send_close(None, "a reason needs a code")
    protocol.send_close()
    protocol.send_close(1000)  # the closing handshake has begun: nothing happens
    assert sent(protocol) == [Frame(CLOSE, b"")]
    assert protocol.close_sent == Close(1005)
    for call in (
        lambda: protocol.send_text("x"),
        lambda: protocol.send_binary(b"x"),
        lambda: protocol.send_continuation(b"x"),
        lambda: protocol.send_ping(),
        lambda: protocol.send_pong(),
    ):
        with pytest.raises(InvalidState):
            call()
    assert protocol.data_to_send() == b""
    outcome = feed(protocol, [frame(CLOSE, b"", to=role)])
    assert outcome.events == [Close(1005)] and outcome.end
    assert type(protocol.close_exception) is pywscore.ConnectionClosedOK


@both_roles
def test_failing_from_this_end(role: Role) -> None:
    """RFC 6455 §7.1.7."""
    protocol = opened(role)
    protocol.receive_data(frame(TEXT, b"unread", to=role))
    protocol.fail(1011, "broken")
    assert sent(protocol) == [Frame(CLOSE, close_body(1011, "broken"))]
    assert protocol.close_expected and protocol.state is State.CLOSING
    assert protocol.error is None
    assert protocol.next_event() is None
    protocol.fail(1000)
    assert protocol.data_to_send() == b""


@both_roles
def test_fragments(role: Role) -> None:
    """RFC 6455 §5.4: continuation frames continue, and nothing else does."""
    protocol = opened(role)
    with pytest.raises(InvalidState):
        protocol.send_continuation(b"x")
    protocol.send_text("a", fin=False)
    for method in (protocol.send_text, protocol.send_binary):
        with pytest.raises(InvalidState):
            method(b"b")
    protocol.send_ping(b"between")
    protocol.send_continuation("", fin=False)
    protocol.send_continuation("é")
    protocol.send_binary(b"next")
    assert sent(protocol) == [
        Frame(TEXT, b"a", fin=False),
        Frame(PING, b"between"),
        Frame(CONT, b"", fin=False),
        Frame(CONT, "é".encode()),
        Frame(BINARY, b"next"),
    ]


@both_roles
def test_text_as_bytes(role: Role) -> None:
    """RFC 6455 §5.6: the payload of a text message is UTF-8."""
    protocol = opened(role)
    protocol.send_text("é".encode())
    for bad in (b"\xff", b"abc\xed\xa0\x80", b"\xe2\x82"):
        with pytest.raises(UnicodeDecodeError):
            protocol.send_text(bad)
        with pytest.raises(UnicodeDecodeError):
            protocol.send_text(bytearray(bad))
    for surrogate in ("\ud800", "x\udfff"):
        with pytest.raises(UnicodeEncodeError):
            protocol.send_text(surrogate)
        with pytest.raises(UnicodeEncodeError):
            protocol.send_text(surrogate, fin=False)
    assert sent(protocol) == [Frame(TEXT, "é".encode())]


@pytest.mark.parametrize("arguments", [(), (b"a", b"b")])
def test_arguments_of_methods(arguments: tuple[bytes, ...]) -> None:
    protocol = opened("server")
    for method in ("send_text", "send_binary", "send_continuation", "receive_data"):
        with pytest.raises(TypeError):
            getattr(protocol, method)(*arguments)
    with pytest.raises(TypeError):
        protocol.send_text(b"x", False)  # type: ignore[misc]
    with pytest.raises(TypeError, match="final"):
        protocol.send_text(b"x", final=False)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        protocol.send_continuation(b"x", compress=True)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        protocol.send_ping(b"x", b"y")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        protocol.send_close("1000")  # type: ignore[arg-type]
    assert protocol.data_to_send() == b""


def test_before_the_handshake() -> None:
    for protocol in (ServerProtocol(), pywscore.ClientProtocol("ws://x/")):
        protocol.data_to_send()
        for call in (
            lambda: protocol.send_text("x"),  # noqa: B023
            lambda: protocol.send_ping(),  # noqa: B023
            lambda: protocol.send_close(1000),  # noqa: B023
        ):
            with pytest.raises(InvalidState):
                call()
        assert protocol.data_to_send() == b""
        assert protocol.state is State.CONNECTING and protocol.close_code is None


def test_bare_objects() -> None:
    with pytest.raises(TypeError):
        pywscore._core.Protocol()
    bare = ServerProtocol.__new__(ServerProtocol)
    for method in ("next_event", "events", "data_to_send", "buffers_to_send"):
        with pytest.raises(RuntimeError):
            getattr(bare, method)()
    for call in (
        lambda: bare.receive_data(b""),
        bare.receive_eof,
        bare.accept,
        bare.build_response,
        lambda: bare.reject(400),
        lambda: bare.respond(pywscore.Response(400)),
        lambda: bare.send_text(""),
        bare.send_ping,
        bare.send_close,
        lambda: bare.fail(1000),
    ):
        with pytest.raises(RuntimeError):
            call()
    for name in dir(bare):
        if not name.startswith("_"):
            getattr(bare, name)  # no crash
    protocol = ServerProtocol()
    with pytest.raises(RuntimeError):
        protocol.__init__()  # type: ignore[misc]


def test_unknown_options() -> None:
    for wrong in ({"max_sizes": 1}, {"max_line": -1}, {"max_headers": 1 << 63}):
        with pytest.raises((TypeError, ValueError)):
            ServerProtocol(**wrong)
    with pytest.raises(TypeError):
        ServerProtocol(1 << 20)  # type: ignore[call-arg]
    for compression in ("deflate", True, 15):
        with pytest.raises(TypeError):
            ServerProtocol(compression=compression)  # type: ignore[arg-type]


# ---- masking keys --------------------------------------------------------------------


def keys_of(protocol: Any, count: int) -> list[bytes]:
    for _ in range(count):
        protocol.send_ping()
    data = protocol.data_to_send()
    assert len(data) == 6 * count
    return [data[i + 2 : i + 6] for i in range(0, len(data), 6)]


@pytest.mark.threat("CTL-3")
def test_masking_keys_are_fresh() -> None:
    """RFC 6455 §5.3: a key for each frame, that can't be foretold."""
    count = 200_000
    keys = keys_of(opened("client"), count)
    # By chance count² / 2 / 2³² = 4.7 are equal; 30 or more have odds of 10⁻¹³.
    assert len(set(keys)) > count - 30
    for place in range(4):
        tally = collections.Counter(key[place] for key in keys)
        expected = count / 256
        chi_square = sum((tally[b] - expected) ** 2 / expected for b in range(256))
        assert 120 < chi_square < 450  # 255 degrees of freedom
    assert not set(keys[:1000]) & set(keys_of(opened("client"), 1000)[:50])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.threat("CTL-3", "LIF-5")
def test_masking_keys_after_fork() -> None:
    code = """
protocol = opened("client")
protocol.send_ping(); protocol.data_to_send()      # the pool of keys is filled
ours, theirs = os.pipe()
def keys():
    for _ in range(2000):
        protocol.send_ping()
    data = protocol.data_to_send()
    return {data[i + 2 : i + 6] for i in range(0, len(data), 6)}
if os.fork() == 0:
    os.write(theirs, b"".join(keys()))
    os._exit(0)
mine = keys()
data = b""
while len(data) < 4 * 1990:
    data += os.read(ours, 1 << 16)
child = {data[i : i + 4] for i in range(0, len(data), 4)}
os.wait()
print(len(mine & child))
"""
    assert int(run_fresh(code)) <= 1


# ---- what is sent can be read --------------------------------------------------------


@both_roles
@pytest.mark.parametrize("compression", [None, DEFLATE], ids=["plain", "deflate"])
def test_both_ends_agree(role: Role, compression: Any) -> None:
    ends = pair(compression)
    one, other = ends[role], ends["client" if role == "server" else "server"]
    rng = random.Random(SEED)
    print(f"PYWSCORE_SEED={SEED}")
    messages = [rng.randbytes(rng.choice([0, 1, 100, 5000, 70000])) for _ in range(40)]
    for message in messages:
        one.send_binary(message)
    other.receive_data(one.data_to_send())
    assert [event.data for event in other.events()] == messages
    one.send_close(1000, "done")
    other.receive_data(one.data_to_send())
    assert list(other.events()) == [Close(1000, "done")]
    one.receive_data(other.data_to_send())
    assert list(one.events()) == [Close(1000, "done")]
    assert one.close_expected and other.close_expected
    assert other.close_received_then_sent is True
    for end in (one, other):
        end.receive_eof()
        assert end.state is State.CLOSED
        assert type(end.close_exception) is pywscore.ConnectionClosedOK


def test_the_example_of_the_documentation() -> None:
    protocol = pywscore.ServerProtocol(max_size=1 << 20)
    protocol.receive_data(request()[:50])
    assert protocol.next_event() is None
    protocol.receive_data(request()[50:])
    head = protocol.next_event()
    assert isinstance(head, pywscore.Request)
    assert head.headers["Sec-WebSocket-Key"] == KEY
    protocol.accept()
    assert protocol.data_to_send().startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    chunk = frame(TEXT, b"text", to="server") + frame(BINARY, b"data", to="server")
    protocol.receive_data(chunk + frame(CLOSE, close_body(1000, "bye"), to="server"))
    seen: list[Any] = []
    for event in protocol.events():
        match event:
            case pywscore.TextMessage(data=text):
                protocol.send_text(text)
                seen.append(text)
            case pywscore.BinaryMessage(data=data):
                protocol.send_binary(data)
                seen.append(data)
            case pywscore.Close(code=code, reason=reason):
                seen.append((code, reason))
    assert seen == ["text", b"data", (1000, "bye")]
    # The close was answered before "data" was echoed? No: events come one by one.
    assert [f.opcode for f in sent(protocol)] == [TEXT, BINARY, CLOSE]
