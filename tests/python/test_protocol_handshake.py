"""The opening handshake by hand: each fault with its answer, limits, injection."""

from __future__ import annotations

import base64
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from wire import (
    KEY,
    TEXT,
    accept_for,
    assert_linear,
    client,
    feed,
    frame,
    key_of,
    request,
    response,
    splits,
)

import pywscore
from pywscore import (
    ClientProtocol,
    Headers,
    InvalidState,
    PerMessageDeflate,
    Request,
    Response,
    ServerProtocol,
    State,
    TextMessage,
)

# ---- server --------------------------------------------------------------------------


def answer(data: bytes, **options: Any) -> tuple[int, dict[str, str]]:
    """Status and headers of what is answered, the same for every split."""
    seen = set()
    for how, pieces in splits(data, 2):
        print(how)
        protocol = ServerProtocol(**options)
        sent = b""
        for piece in pieces:
            protocol.receive_data(piece)
            if protocol.next_event() is not None:
                protocol.accept()
            sent += protocol.data_to_send()
        seen.add(sent)
        assert protocol.close_expected == (not sent.startswith(b"HTTP/1.1 101 "))
    (sent,) = seen
    head, _, body = sent.partition(b"\r\n\r\n")
    start, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert start.startswith("HTTP/1.1 ")
    if not start.startswith("HTTP/1.1 101 "):
        assert headers["Connection"] == "close"
        size = int(headers["Content-Length"])
        assert size > 0 and len(body) == (0 if data.startswith(b"HEAD ") else size)
    return int(start[9:12]), headers


VERSIONS = [(400, "Sec-WebSocket-Version", [])] + [
    (426, "Sec-WebSocket-Version", [f"Sec-WebSocket-Version: {version}"])
    for version in ("0", "7", "8", "12", "14", "013", "13, 8", "8, 13", "+13", "x", "")
]
TABLE: list[tuple[int, str, list[str]]] = [
    (101, "", []),
    *VERSIONS,
    (400, "", ["Sec-WebSocket-Version: 13"]),
    (400, "Host", []),
    (400, "", ["Host: other"]),
    (400, "Host", ["Host: "]),
    (400, "Host", ["Host: a b"]),
    (426, "Upgrade", []),
    (426, "Upgrade", ["Upgrade: h2c"]),
    (426, "Upgrade", ["Upgrade: websocket2"]),
    (101, "Upgrade", ["Upgrade: h2c, WebSocket"]),
    (426, "Connection", []),
    (426, "Connection", ["Connection: keep-alive"]),
    (101, "Connection", ["Connection: keep-alive, upgrade"]),
    (400, "Sec-WebSocket-Key", []),
    (400, "", [f"Sec-WebSocket-Key: {KEY}"]),
    *(
        (400, "Sec-WebSocket-Key", [f"Sec-WebSocket-Key: {key}"])
        for key in (
            "",
            base64.b64encode(bytes(15)).decode(),
            base64.b64encode(bytes(17)).decode(),
            KEY[:-1],
            KEY[:-2],
            "*" + KEY[1:],
            KEY + ", " + KEY,
        )
    ),
    (400, "", ["Content-Length: 5"]),
    (101, "", ["Content-Length: 0"]),
    (400, "", ["Content-Length: 0", "Content-Length: 0"]),
    (400, "", ["Content-Length: 00"]),
    (400, "", ["Content-Length: -0"]),
    (400, "", ["Transfer-Encoding: chunked"]),
    (400, "", ["Transfer-Encoding: identity"]),
    (400, "", ["Content-Length: 5", "Transfer-Encoding: chunked"]),
    (400, "", ["Content-Length: 0", "Transfer-Encoding: chunked"]),
    (400, "", ["X : y"]),
    (400, "", ["X\t: y"]),
    (400, "", [" folded"]),
    (400, "", ["\tfolded"]),
    (400, "", [": no name"]),
    (400, "", ["no colon"]),
    (400, "", ["X: \rTransfer-Encoding: chunked"]),
    (400, "", ["X: a\nY: b"]),
    (400, "", ["X: a\0b"]),
    (400, "", ["Transfer-Encoding\0: chunked"]),
    (400, "", ["X\x01: y"]),
    (400, "", ["X: \x7f"]),
    (400, "", ["X: \x1b[31m"]),
    (400, "", ["Ü: y"]),
    (101, "", ["X: ü"]),
    (101, "", ["X:"]),
    (400, "", ["Origin: a", "Origin: a"]),
    (400, "", ["Sec-WebSocket-Protocol: a,a"]),
    (400, "", ["Sec-WebSocket-Protocol: a b"]),
    (400, "", ["Sec-WebSocket-Protocol: "]),
    (400, "", ['Sec-WebSocket-Protocol: "a"']),
    (101, "", ["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"]),
    (400, "", ["Sec-WebSocket-Extensions: ;"]),
    (400, "", ['Sec-WebSocket-Extensions: a; b="']),
    (101, "", ["Sec-WebSocket-Extensions: constructor, __proto__; __class__=x"]),
]


@pytest.mark.parametrize(("status", "without", "lines"), TABLE)
@pytest.mark.threat("HSK-2", "HSK-5", "HSK-6", "LEN-9", "ORI-1")
def test_requests(status: int, without: str, lines: list[str]) -> None:
    """RFC 6455 §4.2.1; RFC 9112 for the rest."""
    got, headers = answer(request(*lines, without=without))
    assert got == status
    if status == 101:
        assert headers["Sec-WebSocket-Accept"] == accept_for(KEY)
        assert headers["Upgrade"] == "websocket"
        assert headers["Connection"] == "Upgrade"
    assert ("Sec-WebSocket-Version" in headers) == (status == 426)
    if status == 426:
        assert headers["Sec-WebSocket-Version"] == "13"


STARTS = [
    (405, "POST / HTTP/1.1"),
    (405, "get / HTTP/1.1"),
    (405, "HEAD / HTTP/1.1"),
    (405, "CONNECT x:1 HTTP/1.1"),
    (505, "GET / HTTP/1.0"),
    (505, "GET / HTTP/0.9"),
    (505, "GET / HTTP/2.0"),
    (101, "GET / HTTP/1.1"),
    (101, "GET / HTTP/1.2"),
    (101, "GET /?q#f HTTP/1.1"),
    (400, "GET / HTTP/11"),
    (400, "GET / http/1.1"),
    (400, "GET / HTTP/1.1 "),
    (400, "GET  / HTTP/1.1"),
    (400, "GET /a b HTTP/1.1"),
    (400, "GET /\t HTTP/1.1"),
    (400, "GET /é HTTP/1.1"),
    (400, "GET /\0 HTTP/1.1"),
    (400, "GET"),
    (400, "GET /"),
    (400, " GET / HTTP/1.1"),
    (400, "\x16\x03\x01\x02\x00\x01"),
    (400, ""),
]


@pytest.mark.parametrize(("status", "start"), STARTS)
@pytest.mark.threat("HSK-5", "HSK-6", "TLS-2")
def test_request_lines(status: int, start: str) -> None:
    got, headers = answer(request(start=start))
    assert got == status
    assert ("Allow" in headers) == (status == 405)


@pytest.mark.threat("HSK-5")
def test_line_ends() -> None:
    """RFC 9112 §2.2, without the leniency."""
    assert answer(request().replace(b"\r\n", b"\n"))[0] == 400
    assert answer(request().replace(b"\r\n", b"\r"))[0] == 400
    for index in range(request().count(b"\r\n")):
        parts = request().split(b"\r\n")
        for end in (b"\n", b"\r", b"\r\r\n"):
            data = b"\r\n".join(parts[: index + 1]) + end
            data += b"\r\n".join(parts[index + 1 :]) + b"\r\n\r\n"
            assert answer(data)[0] == 400


@pytest.mark.threat("HSK-1", "HSK-3")
def test_limits() -> None:
    """431 for lines, block and count; 414 for the request line; exact at the edge."""

    def line(size: int) -> str:
        return "X: " + "a" * (size - 3)

    assert answer(request(line(8192)))[0] == 101
    assert answer(request(line(8193)))[0] == 431
    assert answer(request("Cookie: " + "c" * 8192))[0] == 431
    start = "GET /" + "a" * (8192 - 14) + " HTTP/1.1"
    assert len(start) == 8192
    assert answer(request(start=start))[0] == 101
    assert answer(request(start=start.replace("/", "/a", 1)))[0] == 414
    assert answer(request(start="GET /" + "a" * 65536 + " HTTP/1.1"))[0] == 414
    block = 32768 - len(request())
    lines = [line(8000)] * (block // 8002)
    lines.append(line(block - 8002 * len(lines) - 2))
    assert len(request(*lines)) == 32768
    assert answer(request(*lines))[0] == 101
    assert answer(request(*lines[:-1], lines[-1] + "a"))[0] == 431
    fields = 128 - 5
    assert answer(request(*["X: y"] * fields))[0] == 101
    assert answer(request(*["X: y"] * (fields + 1)))[0] == 431
    last = ["X: y"] * (fields + 1) + ["Upgrade: websocket"]
    assert answer(request(*last, without="Upgrade"))[0] == 431
    assert answer(request(*["X: y"] * 10_000))[0] == 431


@pytest.mark.parametrize("end", ["server", "client"])
@pytest.mark.threat("HSK-4")
def test_limits_are_passed_down(end: str) -> None:
    def refused(data_of: Any, **options: int) -> bool:
        if end == "server":
            protocol: Any = ServerProtocol(**options)
            protocol.receive_data(request(*data_of))
        else:
            protocol = client(**options)
            protocol.receive_data(response(*data_of, key=key_of(protocol)))
        event = protocol.next_event()
        assert (event is None) == protocol.close_expected
        return event is None

    line = "X: " + "a" * 200
    assert not refused([line])
    assert refused([line], max_header_line=202)
    assert not refused([line], max_header_line=203)
    assert refused([line], max_line=10)
    assert refused([line], max_head=250)
    assert refused([line, line], max_headers=4 if end == "client" else 6)
    assert not refused([line, line], max_headers=5 if end == "client" else 7)


@pytest.mark.threat("HSK-2")
def test_every_change_of_one_byte() -> None:
    """Always an answer or patience, never an exception."""
    head = request("Sec-WebSocket-Protocol: a, b", "Origin: http://x")
    for place in range(len(head)):
        for byte in (0, 9, 10, 13, 32, 34, 44, 58, 59, 61, 65, 127, 128, 255):
            data = head[:place] + bytes([byte]) + head[place + 1 :]
            protocol = ServerProtocol()
            protocol.receive_data(data)
            event = protocol.next_event()
            sent = protocol.data_to_send()
            if event is not None:
                protocol.accept()
                assert protocol.data_to_send().startswith(b"HTTP/1.1 101 ")
            elif sent:
                assert sent[9:12] in (b"400", b"405", b"414", b"426", b"431", b"505")
                assert protocol.handshake_exception is not None
            else:
                assert protocol.state is State.CONNECTING
                protocol.receive_eof()
                assert protocol.state is State.CLOSED
                error = protocol.handshake_exception
                assert isinstance(error, pywscore.InvalidMessage)


HOSTILE = {
    "subprotocol": "Sec-WebSocket-Protocol: b" + " " * 32_000 + "x",
    "extension": 'Sec-WebSocket-Extensions: a; b="' + "\\a" * 16_000,
    "offers": "Sec-WebSocket-Extensions: " + "permessage-deflate; x, " * 1000 + "x",
    "spaces": "Upgrade: " + "," * 32_000,
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.threat("HSK-1")
def test_hostile_lists(line: str) -> None:
    limits = {"max_header_line": 1 << 17, "max_head": 1 << 18}
    for compression in (None, PerMessageDeflate()):
        protocol = ServerProtocol(compression=compression, **limits)
        start = time.process_time()
        protocol.receive_data(request(line, without=line.partition(":")[0]))
        protocol.next_event()
        assert time.process_time() - start < 0.05
        assert answer(request(line))[0] == 431 or len(line) <= 8192


def cpu_of_head(size: int) -> float:
    limits = {"max_header_line": 1 << 22, "max_head": 1 << 23}
    data = request("X: " + "a" * size)
    pieces = [data[i : i + 1] for i in range(len(data))]
    best = 1e9
    for _ in range(3):
        protocol = ServerProtocol(**limits)
        start = time.process_time()
        for piece in pieces:
            protocol.receive_data(piece)
            event = protocol.next_event()
        best = min(best, time.process_time() - start)
        assert event is not None
    return best


@pytest.mark.slow
@pytest.mark.threat("HSK-1")
def test_a_head_in_small_pieces_is_linear() -> None:
    two = assert_linear(cpu_of_head, 1 << 18)
    assert two < 1.5e-6 * (1 << 19)  # a call for each byte, from Python


@pytest.mark.threat("HSK-7")
def test_frames_in_the_packet_of_the_request() -> None:
    frames = b"".join(frame(TEXT, b"%d" % n, to="server") for n in range(5))
    data = request() + frames
    expected = [TextMessage(str(n)) for n in range(5)]
    for cut in range(1, len(data)):
        protocol = ServerProtocol()
        events: list[Any] = []
        for piece in (data[:cut], data[cut:]):
            protocol.receive_data(piece)
            while (event := protocol.next_event()) is not None:
                events.append(event)
                if isinstance(event, Request):
                    assert protocol.next_event() is None  # it waits for the answer
                    protocol.accept()
        assert events[1:] == expected
    # The answer may come much later, and the end of TCP before it.
    protocol = ServerProtocol()
    for piece in (request()[:40], request()[40:] + frames[:9], frames[9:], b""):
        protocol.receive_data(piece)
    event = protocol.next_event()
    assert isinstance(event, Request)
    protocol.receive_eof()
    protocol.accept()
    assert list(protocol.events()) == expected
    assert protocol.state is State.CLOSED


@pytest.mark.threat("HSK-5", "HSK-7")
def test_nothing_is_read_after_a_refusal() -> None:
    smuggled = request() + frame(TEXT, b"x", to="server")
    for data in (request("Content-Length: 5") + b"hello", request(without="Upgrade")):
        for _, pieces in splits(data + smuggled, 2):
            protocol = ServerProtocol()
            sent, events = b"", []
            for piece in pieces:
                protocol.receive_data(piece)
                events += protocol.events()
                sent += protocol.data_to_send()
            assert events == [] and sent.count(b"HTTP/1.1") == 1
    protocol = ServerProtocol()
    protocol.receive_data(request() + frame(TEXT, b"x", to="server"))
    assert isinstance(protocol.next_event(), Request)
    protocol.reject(403, "no")
    protocol.receive_data(smuggled)
    assert protocol.next_event() is None
    assert protocol.data_to_send().count(b"HTTP/1.1") == 1
    assert protocol.close_expected


# ---- server: answers -----------------------------------------------------------------


def asked(*lines: str, **options: Any) -> ServerProtocol:
    protocol = ServerProtocol(**options)
    protocol.receive_data(request(*lines))
    assert isinstance(protocol.next_event(), Request)
    return protocol


def test_the_request_that_comes_out() -> None:
    protocol = ServerProtocol()
    protocol.receive_data(
        request("Cookie: a", "cookie: b", "X: \xff\t", start="GET /p?q=%20 HTTP/1.1")
    )
    event = protocol.next_event()
    assert isinstance(event, Request)
    assert event.path == "/p?q=%20"
    assert event.headers.get_all("COOKIE") == ["a", "b"]
    assert event.headers["x"].encode("ascii", "surrogateescape") == b"\xff"
    assert protocol.offered_subprotocols == [] and protocol.origin is None


def test_accept() -> None:
    """RFC 6455 §4.2.2."""
    protocol = asked("Sec-WebSocket-Protocol: chat, superchat", "Origin: null")
    assert protocol.offered_subprotocols == ["chat", "superchat"]
    assert protocol.origin == "null"
    protocol.accept(subprotocol="superchat", headers={"Set-Cookie": "a=b"})
    lines = protocol.data_to_send().decode().split("\r\n")
    assert lines == [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_for(KEY)}",
        "Sec-WebSocket-Protocol: superchat",
        "Set-Cookie: a=b",
        "",
        "",
    ]
    assert protocol.subprotocol == "superchat" and protocol.state is State.OPEN
    for again in (protocol.accept, protocol.build_response):
        with pytest.raises(InvalidState):
            again()
    with pytest.raises(InvalidState):
        protocol.reject(400)
    assert protocol.data_to_send() == b""


def test_subprotocol_that_was_not_offered() -> None:
    """RFC 6455 §4.2.2, item 5 (/subprotocol/)."""
    for lines in ([], ["Sec-WebSocket-Protocol: chat"]):
        for wrong in ("other", "Chat", "cha", "chat, superchat", "", "chat\r\nX: y"):
            protocol = asked(*lines)
            with pytest.raises(ValueError):
                protocol.accept(subprotocol=wrong)
            assert protocol.data_to_send() == b"" and protocol.subprotocol is None
            protocol.accept()
            assert b"Sec-WebSocket-Protocol" not in protocol.data_to_send()


HEADERS: list[Any] = [
    [("X", "1"), ("x", "2")],
    (("X", "1"), ("x", "2")),
    Headers([("X", "1"), ("x", "2")]),
    iter([("X", "1"), ["x", "2"]]),
]


@pytest.mark.parametrize("headers", HEADERS, ids=lambda h: type(h).__name__)
@pytest.mark.parametrize("method", ["accept", "reject", "respond"])
def test_kinds_of_headers(method: str, headers: Any) -> None:
    if not isinstance(headers, (list, tuple, Headers)):
        headers = iter([("X", "1"), ["x", "2"]])
    protocol = asked()
    if method == "accept":
        protocol.accept(headers=headers)
    elif method == "reject":
        protocol.reject(400, headers=headers)
    else:
        protocol.respond(Response(400, "Bad", headers))
    assert b"\r\nX: 1\r\nx: 2\r\n" in protocol.data_to_send()


@pytest.mark.parametrize("method", ["accept", "reject", "respond"])
@pytest.mark.parametrize(
    "headers",
    [5, None, ["abc"], [("a",)], [("a", "b", "c")], [(1, "x")], [("X", b"x")]],
)
def test_headers_that_are_none(method: str, headers: Any) -> None:
    protocol = asked()
    with pytest.raises((TypeError, ValueError)):
        if method == "accept":
            protocol.accept(headers=headers)
        elif method == "reject":
            protocol.reject(400, headers=headers)
        else:
            protocol.respond(Response(400, "Bad", headers))
    assert protocol.data_to_send() == b"" and protocol.state is State.CONNECTING


def test_build_response() -> None:
    protocol = asked(
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Extensions: permessage-deflate",
        compression=PerMessageDeflate(),
    )
    answer = protocol.build_response(subprotocol="chat", headers=[("X", "1")])
    assert isinstance(answer, Response)
    assert (answer.status_code, answer.body) == (101, b"")
    assert protocol.data_to_send() == b"" and protocol.state is State.CONNECTING
    answer.headers["Y"] = "2"
    protocol.respond(answer)
    sent = protocol.data_to_send().decode()
    for line in ("X: 1", "Y: 2", "Sec-WebSocket-Extensions: permessage-deflate"):
        assert f"\r\n{line}\r\n" in sent
    assert protocol.subprotocol == "chat" and protocol.compression is not None
    # Without its header there is no compression.
    protocol = asked(
        "Sec-WebSocket-Extensions: permessage-deflate", compression=PerMessageDeflate()
    )
    answer = protocol.build_response()
    del answer.headers["Sec-WebSocket-Extensions"]
    protocol.respond(answer)
    assert protocol.compression is None


@pytest.mark.parametrize("body", ["é", b"\xc3\xa9", bytearray(b"\xc3\xa9")])
def test_reject(body: Any) -> None:
    protocol = asked()
    protocol.reject(403, body, headers=[("X", "1")])
    assert protocol.data_to_send().decode().split("\r\n") == [
        "HTTP/1.1 403 Forbidden",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Length: 2",
        "Connection: close",
        "X: 1",
        "",
        "é",
    ]
    assert protocol.state is State.CLOSING and protocol.close_expected
    assert protocol.error is None
    with pytest.raises(InvalidState):
        protocol.accept()


def test_respond_with_a_page() -> None:
    protocol = asked(any_request=True)
    protocol.respond(Response(200, "Fine", Headers({"Content-Length": "2"}), b"ok"))
    assert (
        protocol.data_to_send() == b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok"
    )
    assert protocol.close_expected


@pytest.mark.parametrize("status", [-1, 0, 99, 600, 65536, 1 << 40])
def test_statuses_that_are_none(status: int) -> None:
    protocol = asked()
    with pytest.raises((ValueError, OverflowError)):
        protocol.reject(status)
    with pytest.raises((ValueError, OverflowError)):
        protocol.respond(Response(status))
    assert protocol.data_to_send() == b"" and protocol.state is State.CONNECTING


def test_answers_before_the_request() -> None:
    protocol = ServerProtocol()
    for call in (
        protocol.accept,
        protocol.build_response,
        lambda: protocol.reject(400),
        lambda: protocol.respond(Response(200)),
    ):
        with pytest.raises(InvalidState):
            call()
    with pytest.raises(ValueError):
        asked().reject(101)


# ---- client --------------------------------------------------------------------------


def test_the_request_that_is_sent() -> None:
    """RFC 6455 §4.1."""
    protocol = ClientProtocol(
        "ws://user:p%40ss@example.com:8080/chat?x=1",
        origin="http://example.com",
        subprotocols=["chat", "superchat"],
        headers=[("Cookie", "a=b")],
        user_agent_header="me",
        compression=PerMessageDeflate(),
    )
    start, *lines = protocol.data_to_send().decode().split("\r\n")
    assert start == "GET /chat?x=1 HTTP/1.1"
    assert lines[-2:] == ["", ""]
    headers = dict(line.split(": ", 1) for line in lines[:-2])
    key = headers.pop("Sec-WebSocket-Key")
    assert len(base64.b64decode(key, validate=True)) == 16
    assert headers == {
        "Host": "example.com:8080",
        "Origin": "http://example.com",
        "Authorization": "Basic " + base64.b64encode(b"user:p@ss").decode(),
        "Cookie": "a=b",
        "User-Agent": "me",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Protocol": "chat, superchat",
    }
    assert list(protocol.request.headers.raw_items()) == [
        tuple(line.split(": ", 1)) for line in lines[:-2]
    ]
    assert protocol.request.path == "/chat?x=1"


def test_keys_of_clients_are_fresh() -> None:
    """RFC 6455 §4.1, item 7: a nonce, new for each connection."""
    keys = {
        ClientProtocol("ws://x/").request.headers["Sec-WebSocket-Key"]
        for _ in range(2000)
    }
    assert len(keys) == 2000


ANSWERS: list[tuple[type[Exception] | None, str, list[str], dict[str, Any]]] = [
    (None, "", [], {}),
    (pywscore.InvalidUpgrade, "Upgrade", [], {}),
    (pywscore.InvalidUpgrade, "Upgrade", ["Upgrade: h2c"], {}),
    (pywscore.InvalidUpgrade, "Connection", [], {}),
    (pywscore.InvalidUpgrade, "Connection", ["Connection: close"], {}),
    (None, "Connection", ["Connection: keep-alive, upgrade"], {}),
    (pywscore.InvalidHeader, "Sec-WebSocket-Accept", [], {}),
    (pywscore.InvalidHeader, "Sec-WebSocket-Accept", ["Sec-WebSocket-Accept: x"], {}),
    (pywscore.InvalidHeader, "", ["Sec-WebSocket-Accept: x"], {}),
    (pywscore.NegotiationError, "", ["Sec-WebSocket-Protocol: chat"], {}),
    (
        pywscore.NegotiationError,
        "",
        ["Sec-WebSocket-Protocol: Chat"],
        {"subprotocols": ["chat"]},
    ),
    (
        pywscore.NegotiationError,
        "",
        ["Sec-WebSocket-Protocol: a, b"],
        {"subprotocols": ["a", "b"]},
    ),
    (
        pywscore.NegotiationError,
        "",
        ["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"],
        {"subprotocols": ["a", "b"]},
    ),
    (None, "", ["Sec-WebSocket-Protocol: b"], {"subprotocols": ["a", "b"]}),
    (None, "", [], {"subprotocols": ["a", "b"]}),
    (
        pywscore.NegotiationError,
        "",
        ["Sec-WebSocket-Extensions: permessage-deflate"],
        {},
    ),
    (
        pywscore.NegotiationError,
        "",
        ["Sec-WebSocket-Extensions: x-unknown"],
        {"compression": PerMessageDeflate()},
    ),
    (
        pywscore.NegotiationError,
        "",
        ["Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate"],
        {"compression": PerMessageDeflate()},
    ),
]


@pytest.mark.parametrize(("error", "without", "lines", "options"), ANSWERS)
@pytest.mark.threat("HSK-9", "INF-6")
def test_responses(
    error: type[Exception] | None,
    without: str,
    lines: list[str],
    options: dict[str, Any],
) -> None:
    for cut in ("whole", "byte by byte"):
        protocol = client(**options)
        data = response(*lines, key=key_of(protocol), without=without)
        data += frame(TEXT, b"x", to="client")
        events: list[Any] = []
        for piece in dict(splits(data, 0))[cut]:
            protocol.receive_data(piece)
            events += protocol.events()
        if error is None:
            assert isinstance(events[0], Response)
            assert events[1:] == [TextMessage("x")]
        else:
            assert events == [] and protocol.data_to_send() == b""
            got = protocol.handshake_exception
            assert isinstance(got, error) and isinstance(got, pywscore.InvalidHandshake)
            assert protocol.error is got
            assert protocol.close_expected and protocol.state is State.CLOSING
            if isinstance(got, pywscore.InvalidHeader):
                assert got.name == (without or lines[0].partition(":")[0])
            protocol.receive_eof()
            assert protocol.close_code == 1006


@pytest.mark.threat("HSK-6", "HSK-9")
def test_responses_that_are_not_http() -> None:
    for start in ("HTTP/1.0 101 x", "HTTP/2.0 101 x", "HTTP/1.1 1 x", "HTTP/1.1 600 x"):
        protocol = client()
        protocol.receive_data(response(key=key_of(protocol), start=start))
        assert protocol.next_event() is None
        assert isinstance(protocol.handshake_exception, pywscore.InvalidHandshake)
    for data in (b"SSH-2.0-x\r\n", b"\x15\x03\x01\x00\x02", b"HTTP/1.1 101 \x00"):
        protocol = client()
        protocol.receive_data(data)
        assert protocol.next_event() is None
        assert isinstance(protocol.handshake_exception, pywscore.InvalidMessage)
        assert protocol.close_expected


@pytest.mark.parametrize(
    ("lines", "body", "expected"),
    [
        (["Content-Length: 5"], b"hello, and more", b"hello"),
        (["Content-Length: 0"], b"", b""),
        ([], b"until the end", b"until the end"),
        (["Transfer-Encoding: chunked"], b"2\r\nok\r\n0\r\n\r\n", b"ok"),
        (["Content-Length: 99999999999"], b"x" * 100_000, b"x" * 16384),
        ([], b"x" * 100_000, b"x" * 16384),
    ],
)
def test_other_statuses(lines: list[str], body: bytes, expected: bytes) -> None:
    """RFC 6455 §4.1, item 1; the first bytes of the body are kept."""
    for status in (200, 301, 401, 404, 503):
        for how, _ in splits(b"xx", 1):
            protocol = client()
            start = f"HTTP/1.1 {status} Whatever"
            head = response(*lines, "X: y", key=key_of(protocol), start=start)
            for piece in (
                dict(splits(head + body, 1))[how] if len(body) < 99 else [head + body]
            ):
                protocol.receive_data(piece)
                assert protocol.next_event() is None
            protocol.receive_eof()
            error = protocol.handshake_exception
            assert isinstance(error, pywscore.InvalidStatus)
            assert error.response.status_code == status
            assert error.response.reason_phrase == "Whatever"
            assert error.response.headers["x"] == "y"
            assert bytes(error.response.body) == expected


@pytest.mark.threat("HSK-7")
def test_frames_in_the_packet_of_the_response() -> None:
    frames = b"".join(frame(TEXT, b"%d" % n, to="client") for n in range(5))
    size = len(response() + frames)
    for cut in range(1, size):
        protocol = client()
        data = response(key=key_of(protocol)) + frames
        events: list[Any] = []
        for piece in (data[:cut], data[cut:]):
            protocol.receive_data(piece)
            events += protocol.events()
        assert isinstance(events[0], Response)
        assert events[1:] == [TextMessage(str(n)) for n in range(5)]


@pytest.mark.threat("HSK-8")
def test_heads_that_never_end() -> None:
    """The memory that one may cost is bounded."""
    for protocol in (client(), ServerProtocol()):
        start = response() if not protocol.is_server else request()
        tracemalloc.start()
        protocol.receive_data(start[:-2])
        sent = 0
        while not protocol.close_expected and sent < 1 << 20:
            protocol.receive_data(b"X: " + b"y" * 1000 + b"\r\n")
            assert protocol.next_event() is None
            sent += 1005
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert sent < 40_000 and most < 128 << 10
        assert protocol.handshake_exception is not None


def test_eof_in_the_handshake() -> None:
    for protocol in (client(), ServerProtocol(), client()):
        protocol.receive_data(b"HTTP/1.1 1" if not protocol.is_server else b"GET /")
        protocol.receive_eof()
        assert protocol.next_event() is None
        assert isinstance(protocol.handshake_exception, pywscore.InvalidMessage)
        assert protocol.state is State.CLOSED and protocol.close_code == 1006
        assert protocol.data_to_send() == b"" or protocol.is_server


# ---- injection -----------------------------------------------------------------------

TOKEN = frozenset(
    b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
VISIBLE = frozenset(range(0x21, 0x7F))
PHRASE = VISIBLE | {0x20, 0x09}
VALUE = PHRASE | frozenset(range(0x80, 0x100))  # obs-text, RFC 9110 §5.5


def all_characters() -> Iterator[str]:
    yield from map(chr, range(256))
    yield from ("\ud800", "\udc0a", "\u010a", "\u2028", "\U0001f600")


def server_fields(text: str) -> Iterator[tuple[str, frozenset[int], Any]]:
    yield "header name", TOKEN, lambda p: p.accept(headers=[(f"X{text}", "y")])
    yield "header value", VALUE, lambda p: p.accept(headers=[("X", f"a{text}b")])
    yield "header name", TOKEN, lambda p: p.reject(400, headers=[(f"X{text}", "y")])
    yield "header value", VALUE, lambda p: p.reject(400, headers={"X": f"a{text}b"})
    yield (
        "response header",
        VALUE,
        lambda p: p.respond(Response(400, "Bad", [("X", f"a{text}b")])),  # type: ignore[arg-type]
    )
    yield "reason phrase", PHRASE, lambda p: p.respond(Response(400, f"a{text}b"))
    yield "built", VALUE, lambda p: p.build_response(headers=[("X", f"a{text}b")])


@pytest.mark.threat("INJ-1")
def test_injection_into_responses() -> None:
    for text in all_characters():
        for field, allowed, call in server_fields(text):
            protocol = asked()
            if ord(text) in allowed:
                call(protocol)
                sent = protocol.data_to_send()
                assert sent.count(b"\r\n\r\n") == (field != "built")
            else:
                with pytest.raises(ValueError):
                    call(protocol)
                assert protocol.data_to_send() == b"", (field, text)
                assert protocol.state is State.CONNECTING
        protocol = asked("Sec-WebSocket-Protocol: ab")
        with pytest.raises(ValueError):
            protocol.accept(subprotocol=f"a{text}b")
        assert protocol.data_to_send() == b""


URI_PATH = VISIBLE - frozenset(b"#%\\")


@pytest.mark.threat("INJ-1", "INJ-2")
def test_injection_into_requests() -> None:
    def fields(text: str) -> Iterator[tuple[str, frozenset[int], dict[str, Any]]]:
        yield "header name", TOKEN, {"headers": [(f"X{text}", "y")]}
        yield "header value", VALUE, {"headers": [("X", f"a{text}b")]}
        yield "host", VALUE, {"headers": [("Host", f"a{text}b")]}
        yield "origin", VALUE, {"origin": f"a{text}b"}
        yield "user agent", VALUE, {"user_agent_header": f"a{text}b"}
        yield "subprotocol", TOKEN, {"subprotocols": [f"a{text}b"]}

    for text in all_characters():
        for field, allowed, options in fields(text):
            if ord(text) in allowed:
                sent = ClientProtocol("ws://x/", **options).data_to_send()
                assert sent.count(b"\r\n\r\n") == 1 and sent.endswith(b"\r\n\r\n")
                assert sent.count(b"\n") == sent.count(b"\r") == sent.count(b"\r\n")
            else:
                with pytest.raises(ValueError):
                    ClientProtocol("ws://x/", **options)
                    raise AssertionError((field, text))
        for uri in (f"ws://x/a{text}b", f"ws://x/?a{text}b"):
            try:
                data = ClientProtocol(uri).data_to_send()
            except pywscore.InvalidURI:
                assert ord(text) not in URI_PATH
            else:
                target = data.split(b" ")[1]
                assert set(target) <= VISIBLE and data.count(b"\r\n\r\n") == 1


@pytest.mark.threat("INJ-1")
def test_injection_below_the_uri() -> None:
    """The C class, without the checks of Headers and of URIs before it."""
    for text in all_characters():
        for field, allowed, options in (
            ("target", VISIBLE - {ord("#")}, {"target": f"/a{text}b", "headers": []}),
            ("name", TOKEN, {"target": "/", "headers": [(f"X{text}", "y")]}),
            ("value", VALUE, {"target": "/", "headers": [("X", f"a{text}b")]}),
            (
                "subprotocol",
                TOKEN,
                {"target": "/", "headers": [], "subprotocols": [f"a{text}b"]},
            ),
        ):
            make = lambda: pywscore._core.ClientProtocol(**options)  # noqa: B023, E731
            if ord(text) in allowed:
                assert make().data_to_send().count(b"\r\n\r\n") == 1
            else:
                with pytest.raises(ValueError):
                    make()
                    raise AssertionError((field, text))


@pytest.mark.threat("INJ-1")
def test_reasons_travel_by_length() -> None:
    """Only what can't be encoded is refused in a close reason."""
    for text in all_characters():
        protocol = asked()
        protocol.accept()
        protocol.data_to_send()
        if 0xD800 <= ord(text) < 0xE000:
            with pytest.raises(ValueError):
                protocol.send_close(1000, f"a{text}b")
            assert protocol.data_to_send() == b""
        else:
            protocol.send_close(1000, f"a{text}b")
            assert protocol.data_to_send()[4:].decode() == f"a{text}b"


@pytest.mark.parametrize(
    "name",
    [
        "Upgrade",
        "connection",
        "Sec-WebSocket-Key",
        "sec-websocket-version",
        "Sec-WebSocket-Extensions",
        "Content-Length",
        "Transfer-Encoding",
    ],
)
def test_headers_that_are_the_handshake(name: str) -> None:
    """RFC 6455 §11.3: they must not come twice."""
    with pytest.raises(ValueError):
        ClientProtocol("ws://x/", headers=[(name, "x")])


def test_subprotocols_that_are_none() -> None:
    """RFC 6455 §4.1, item 10."""
    for wrong in (["a b"], [""], ["a,b"], ["é"], ["a\r\nb"], ["a", "b", "a"]):
        with pytest.raises(ValueError):
            ClientProtocol("ws://x/", subprotocols=wrong)
    with pytest.raises(TypeError):
        ClientProtocol("ws://x/", subprotocols=[b"a"])  # type: ignore[list-item]


def test_messages_after_a_handshake_in_pieces() -> None:
    protocol = asked()
    protocol.accept()
    protocol.data_to_send()
    outcome = feed(protocol, [frame(TEXT, b"x", to="server")])
    assert outcome.events == [TextMessage("x")]
