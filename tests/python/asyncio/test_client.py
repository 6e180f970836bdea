"""connect(): answers that aren't right, redirects, reconnecting, timeouts."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from waiting import until

import pywscore
from pywscore import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidHeader,
    InvalidMessage,
    InvalidStatus,
    InvalidUpgrade,
    NegotiationError,
    SecurityError,
)
from pywscore.asyncio._reconnect import backoff, process_exception


async def nothing(ws: Any) -> None:
    await ws.wait_closed()


async def test_request(raw_server: Any, accept_response: Any, connect: Any) -> None:
    heads: list[str] = []

    async def script(peer: Any, head: str) -> None:
        heads.append(head)
        peer.writer.write(accept_response(head, "Sec-WebSocket-Protocol: b\r\n"))
        peer.send_close(await peer.close_code())

    async with raw_server(script) as uri:
        async with connect(
            uri.replace("ws://", "ws://user:pass@") + "path?query",
            origin="https://example.org",
            subprotocols=["a", "b"],
            additional_headers={"X-More": "yes"},
            user_agent_header="tester",
        ) as ws:
            assert ws.subprotocol == "b"
            assert ws.request.path == "/path?query"
    lines = heads[0].split("\r\n")
    assert lines[0] == "GET /path?query HTTP/1.1"
    assert lines[1] == f"Host: {uri[5:-1]}"
    for line in (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: a, b",
        "Origin: https://example.org",
        "Authorization: Basic dXNlcjpwYXNz",
        "X-More: yes",
        "User-Agent: tester",
    ):
        assert lines.count(line) == 1


@pytest.mark.parametrize("name", ["Upgrade", "connection", "Sec-WebSocket-Key"])
def test_headers_of_the_handshake_cannot_be_set(name: str) -> None:
    with pytest.raises(ValueError):
        pywscore.connect("ws://h/", additional_headers={name: "x"})


OK = "HTTP/1.1 101 Switching Protocols\r\n"
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\n"


@pytest.mark.threat("HSK-9")
@pytest.mark.parametrize(
    ("template", "exception", "name"),
    [
        (OK + UPGRADE + "\r\n", InvalidHeader, "Sec-WebSocket-Accept"),
        (
            OK + UPGRADE + "Sec-WebSocket-Accept: x\r\n\r\n",
            InvalidHeader,
            "Sec-WebSocket-Accept",
        ),
        (OK + UPGRADE + "{accept}{accept}\r\n", InvalidHeader, "Sec-WebSocket-Accept"),
        (OK + "Connection: Upgrade\r\n{accept}\r\n", InvalidUpgrade, "Upgrade"),
        (OK + "Upgrade: websocket\r\n{accept}\r\n", InvalidUpgrade, "Connection"),
        (
            OK + "Upgrade: h2c\r\nConnection: Upgrade\r\n{accept}\r\n",
            InvalidUpgrade,
            "Upgrade",
        ),
        (
            OK + UPGRADE + "{accept}Sec-WebSocket-Protocol: other\r\n\r\n",
            InvalidHandshake,
            "subprotocol",
        ),
        (
            OK
            + UPGRADE
            + "{accept}Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n\r\n",
            InvalidHandshake,
            "Sec-WebSocket-Protocol",
        ),
        (
            OK + UPGRADE + "{accept}Sec-WebSocket-Extensions: x-unknown\r\n\r\n",
            InvalidHandshake,
            "Sec-WebSocket-Extensions",
        ),
        (
            OK + UPGRADE + "{accept}Sec-WebSocket-Extensions: permessage-deflate, "
            "permessage-deflate\r\n\r\n",
            InvalidHandshake,
            "Sec-WebSocket-Extensions",
        ),
        (
            OK + UPGRADE + "{accept}Sec-WebSocket-Extensions: permessage-deflate; "
            "client_max_window_bits=99\r\n\r\n",
            NegotiationError,
            "",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", InvalidStatus, ""),
        ("HTTP/1.1 404 Not Found\r\n\r\nnothing", InvalidStatus, ""),
        ("nonsense\r\n\r\n", InvalidMessage, ""),
        ("HTTP/1.1 101 OK\r\nbad header: x\r\n\r\n", InvalidMessage, ""),
        ("", InvalidMessage, ""),
        ("HTTP/1.1 101 Swi", InvalidMessage, ""),
    ],
)
async def test_wrong_answers(
    raw_server: Any,
    connect: Any,
    template: str,
    exception: type[Exception],
    name: str,
) -> None:
    async def script(peer: Any, head: str) -> None:
        key = head.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
        accept = f"Sec-WebSocket-Accept: {pywscore.accept_key(key)}\r\n"
        peer.writer.write(template.format(accept=accept).encode())
        peer.send_frame(1, b"must not be parsed")

    async with raw_server(script) as uri:
        with pytest.raises(exception) as info:
            await connect(uri, subprotocols=["a", "b"])
        assert name in str(info.value)
        if isinstance(info.value, InvalidStatus) and "200" in template:
            response = info.value.response
            assert (response.status_code, response.body[:2]) == (200, b"hi")


# HSK-10


def redirect(location: str, status: int = 302) -> bytes:
    return (
        f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\n"
        "Content-Length: 0\r\nConnection: close\r\n\r\n"
    ).encode()


@pytest.mark.threat("HSK-10")
@pytest.mark.parametrize(("steps", "works"), [(1, True), (10, True), (11, False)])
async def test_number_of_redirects(
    raw_server: Any, accept_response: Any, connect: Any, steps: int, works: bool
) -> None:
    async def script(peer: Any, head: str) -> None:
        number = int(head.split(" ")[1].strip("/") or 0)
        if number < steps:
            peer.writer.write(redirect(f"/{number + 1}"))
        else:
            peer.writer.write(accept_response(head))
            peer.send_close(await peer.close_code())

    async with raw_server(script) as uri:
        if works:
            async with connect(uri) as ws:
                assert ws.request.path == f"/{steps}"
        else:
            with pytest.raises(SecurityError, match="10 redirects"):
                await connect(uri)


@pytest.mark.threat("HSK-10")
@pytest.mark.parametrize("location", ["{uri}x", "{http}x", "//{host}/x", "x", "/x"])
@pytest.mark.parametrize("status", [300, 301, 303, 307, 308])
async def test_forms_of_redirects(
    raw_server: Any, accept_response: Any, connect: Any, location: str, status: int
) -> None:
    async def script(peer: Any, head: str) -> None:
        if "GET /x " in head:
            peer.writer.write(accept_response(head))
            peer.send_close(await peer.close_code())
            return
        target = location.format(
            uri=uri, http=uri.replace("ws:", "http:"), host=uri[5:-1]
        )
        peer.writer.write(redirect(target, status))

    async with raw_server(script) as uri:
        async with connect(uri) as ws:
            assert ws.request.path == "/x"


@pytest.mark.threat("HSK-10")
async def test_credentials_stay_with_their_origin(
    raw_server: Any, accept_response: Any, connect: Any
) -> None:
    heads: list[str] = []

    async def target(peer: Any, head: str) -> None:
        heads.append(head)
        peer.writer.write(accept_response(head))
        peer.send_close(await peer.close_code())

    async def first(peer: Any, head: str) -> None:
        heads.append(head)
        peer.writer.write(redirect("/same" if "/same" not in head else there))

    secrets = {"Authorization": "Bearer t", "Cookie": "c=d", "X-Api-Key": "k"}
    async with raw_server(target) as there, raw_server(first) as here:
        async with connect(here, additional_headers=secrets):
            pass
    assert len(heads) == 3
    for head, kept in zip(heads, (True, True, False), strict=True):
        for name in secrets:
            assert (f"{name}: " in head) is kept
    async with raw_server(target) as there, raw_server(first) as here:
        async with connect(here.replace("//", "//u:p@")):
            pass
    assert "Authorization" in heads[3] and "Authorization" in heads[4]
    assert "Authorization" not in heads[5]


@pytest.mark.threat("HSK-10")
async def test_never_from_wss_to_ws(
    serve: Any, connect: Any, uri_of: Any, certificates: Any
) -> None:
    def away(ws: Any, request: Any) -> Any:
        response = ws.respond(302, "")
        response.headers["Location"] = "ws://127.0.0.1:1/"
        return response

    async with serve(
        nothing, "127.0.0.1", 0, ssl=certificates.server, process_request=away
    ) as server:
        with pytest.raises(SecurityError, match="non-secure"):
            await connect(uri_of(server, scheme="wss"), ssl=certificates.client)


@pytest.mark.threat("HSK-10")
@pytest.mark.parametrize("location", ["ftp://h/", "ws://h:99999/", "ws://h/#x"])
async def test_redirects_to_nowhere(
    raw_server: Any, connect: Any, location: str
) -> None:
    async def script(peer: Any, head: str) -> None:
        peer.writer.write(redirect(location))

    async with raw_server(script) as uri:
        with pytest.raises(pywscore.InvalidURI):
            await connect(uri)


async def test_redirects_with_a_fixed_way(raw_server: Any, connect: Any) -> None:
    async def script(peer: Any, head: str) -> None:
        peer.writer.write(redirect("ws://elsewhere.invalid/"))

    async with raw_server(script) as uri:
        host, port = uri[5:-1].split(":")
        with pytest.raises(ValueError, match="explicit host"):
            await connect("ws://example.invalid/", host=host, port=int(port))
        sock = socket.create_connection((host, int(port)))
        sock.setblocking(False)
        with pytest.raises(ValueError, match="preexisting socket"):
            await connect("ws://example.invalid/", sock=sock)


# Timeouts and cancelling


@pytest.mark.threat("HSK-8")
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 101 Sw", b"drip"])
async def test_open_timeout(raw_server: Any, connect: Any, answer: bytes) -> None:
    async def script(peer: Any, head: str) -> None:
        for _ in range(100):
            peer.writer.write(b"H" if answer == b"drip" else answer)
            await asyncio.sleep(0.02 if answer == b"drip" else 2)

    async with raw_server(script) as uri:
        start = time.monotonic()
        with pytest.raises((TimeoutError, InvalidMessage)) as info:
            await connect(uri, open_timeout=0.3)
        assert time.monotonic() - start < 0.8
        if answer != b"drip":
            assert str(info.value) == "timed out during opening handshake"


@pytest.mark.threat("HSK-8")
async def test_endless_head(raw_server: Any, connect: Any) -> None:
    sent = 0

    async def script(peer: Any, head: str) -> None:
        nonlocal sent
        peer.writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
        while sent < 1 << 26:
            peer.writer.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
            sent += 1012
            await peer.writer.drain()

    async with raw_server(script) as uri:
        with pytest.raises((InvalidMessage, SecurityError)):
            await connect(uri)
    assert sent < 1 << 25


@pytest.mark.threat("LIF-7")
@pytest.mark.parametrize("steps", range(12))
async def test_cancelled_connect_leaves_nothing(
    serve: Any, connect: Any, uri_of: Any, steps: int
) -> None:
    async with serve(nothing, "127.0.0.1", 0) as server:
        task = asyncio.ensure_future(connect(uri_of(server)).__aenter__())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        try:
            ws = await task
        except asyncio.CancelledError:
            pass
        else:
            await ws.close()
        await until(lambda: not server._all)


# Again and again


async def test_reconnecting(serve: Any, connect: Any, uri_of: Any) -> None:
    async def handler(ws: Any) -> None:
        await ws.send("hello")
        if ws.server.served % 2:
            ws.transport.abort()
        ws.server.served += 1

    async with serve(handler, "127.0.0.1", 0) as server:
        server.served = 0
        seen = 0
        async for ws in connect(uri_of(server)):
            try:
                while True:
                    assert await ws.recv() == "hello"
                    seen += 1
            except ConnectionClosed:
                if seen == 4:
                    break
        assert seen == 4


async def test_reconnecting_backs_off_from_transient_errors(
    raw_server: Any, accept_response: Any, connect: Any
) -> None:
    answers = [
        b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n",
        b"",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    ]
    delays: list[float] = []

    async def script(peer: Any, head: str) -> None:
        if answers:
            peer.writer.write(answers.pop(0))
            return
        peer.writer.write(accept_response(head))
        peer.send_close(await peer.close_code())

    def short_delays() -> Any:
        while True:
            delays.append(0.01)
            yield 0.01

    async with raw_server(script) as uri:
        async for ws in connect(uri, reconnect_delays=short_delays):
            await ws.close()
            break
    assert len(delays) == 3


async def test_reconnecting_stops_at_fatal_errors(
    raw_server: Any, connect: Any
) -> None:
    async def script(peer: Any, head: str) -> None:
        peer.writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    def replace(exc: Exception) -> Exception:
        return LookupError("fatal")

    def fail(exc: Exception) -> Exception:
        raise ArithmeticError

    async with raw_server(script) as uri:
        for hook, exception in (
            (process_exception, InvalidStatus),
            (replace, LookupError),
            (fail, ArithmeticError),
        ):
            with pytest.raises(exception):
                async for _ in connect(uri, process_exception=hook):
                    raise AssertionError


def test_what_is_transient() -> None:
    lost = InvalidMessage("lost")
    lost.__cause__ = EOFError()
    for exc, transient in (
        (OSError(), True),
        (TimeoutError(), True),
        (lost, True),
        (InvalidMessage("nonsense"), False),
        (InvalidStatus(pywscore.Response(503)), True),
        (InvalidStatus(pywscore.Response(404)), False),
        (ValueError(), False),
    ):
        assert process_exception(exc) is (None if transient else exc)


def test_backoff() -> None:
    delays = backoff()
    values = [next(delays) for _ in range(12)]
    assert 0 <= values[0] <= 5
    # RFC 6455 §7.2.3: truncated exponential
    assert values[1:4] == pytest.approx([3.1, 3.1 * 1.618, 3.1 * 1.618**2])
    assert values[-1] == 90.0 and max(values) == 90.0


async def test_connect_is_not_reentrant(serve: Any, connect: Any, uri_of: Any) -> None:
    async with serve(nothing, "127.0.0.1", 0) as server:
        connecting = connect(uri_of(server))
        async with connecting:
            with pytest.raises(RuntimeError):
                async with connecting:
                    pass
        async with connecting:
            pass


async def test_elsewhere_than_the_uri_says(serve: Any, connect: Any) -> None:
    async with serve(nothing, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with connect("ws://example.org/", host=host, port=port) as ws:
            assert ws.request.headers["Host"] == "example.org"


async def test_create_connection(serve: Any, connect: Any, uri_of: Any) -> None:
    class Mine(pywscore.ClientConnection):
        pass

    async with serve(nothing, "127.0.0.1", 0) as server:
        async with connect(uri_of(server), create_connection=Mine) as ws:
            assert type(ws) is Mine
