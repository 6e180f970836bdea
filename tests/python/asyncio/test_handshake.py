"""How a server answers requests (RFC 6455 §4.2)."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import pytest

import pywscore
from pywscore import Headers, NegotiationError, Request, Response, State

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


async def ask(server: Any, request: str) -> tuple[int, Headers, str]:
    """Status, headers and body of the response to a request, read until TCP ends."""
    host, port = server.sockets[0].getsockname()[:2]
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request.encode("iso-8859-1"))
    data = b""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.partition(b"\r\n")[0]:
            data = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    status_line, *lines = head.decode().strip().split("\r\n")
    version, status, _ = status_line.split(" ", 2)
    assert version == "HTTP/1.1"
    headers = Headers(line.split(": ", 1) for line in lines)
    return int(status), headers, data.decode()


def request(*lines: str, start: str = "GET / HTTP/1.1", **replaced: str | None) -> str:
    """A correct request, but for the headers given as keyword arguments."""
    headers = {
        "Host": "example.org",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    kept = {name.lower(): (name, value) for name, value in headers.items()}
    for name, value in replaced.items():
        if value is None:
            del kept[name.replace("_", "-").lower()]
        else:
            kept[name.replace("_", "-").lower()] = (name.replace("_", "-"), value)
    all_lines = [start, *(f"{name}: {value}" for name, value in kept.values()), *lines]
    return "\r\n".join(all_lines) + "\r\n\r\n"


async def nothing(ws: Any) -> None:
    await ws.wait_closed()


@pytest.mark.parametrize(
    ("text", "status", "extra"),
    [
        (request(), 101, {"Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}),
        (request(start="POST / HTTP/1.1"), 405, {"Allow": "GET"}),
        (request(start="GET / HTTP/1.0"), 505, {}),
        (request(Upgrade=None), 426, {"Upgrade": "websocket"}),
        (request(Upgrade="h2c"), 426, {"Upgrade": "websocket"}),
        (request(Connection="keep-alive"), 426, {"Upgrade": "websocket"}),
        (request(Sec_WebSocket_Key=None), 400, {}),
        (request(Sec_WebSocket_Key="short"), 400, {}),
        (request(KEY), 400, {}),
        (request(Sec_WebSocket_Version=None), 400, {}),
        (request(Sec_WebSocket_Version="8"), 426, {"Sec-WebSocket-Version": "13"}),
        (request("Origin: http://a", "Origin: http://b"), 400, {}),
        (request(Host=None), 400, {}),
        (request("Bad Name: x"), 400, {}),
        (request(f"X: {'x' * 9000}"), 431, {}),
        ("nonsense\r\n\r\n", 400, {}),
    ],
)
@pytest.mark.parametrize("hook", [None, lambda ws, request: None])
async def test_requests(
    serve: Any, text: str, status: int, extra: dict[str, str], hook: Any
) -> None:
    async with serve(nothing, "127.0.0.1", 0, process_request=hook) as server:
        got, headers, body = await ask(server, text)
        assert got == status
        for name, value in extra.items():
            assert headers[name] == value
        if status != 101:
            assert "close" in headers["Connection"].lower()
            assert headers["Content-Length"] == str(len(body)) and body


async def test_server_header(serve: Any) -> None:
    for arguments, expected in (
        ({}, pywscore.http.SERVER),
        ({"server_header": "mine"}, "mine"),
        ({"server_header": None}, None),
    ):
        async with serve(nothing, "127.0.0.1", 0, **arguments) as server:
            _, headers, _ = await ask(server, request())
            assert headers.get("Server") == expected


# Hooks


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_process_request_answers_instead(serve: Any, asynchronous: bool) -> None:
    def health(ws: Any, request: Request) -> Response | None:
        assert isinstance(ws, pywscore.ServerConnection) and ws.request is request
        if request.path == "/health":
            return ws.respond(200, "OK\n")  # type: ignore[no-any-return]
        return None

    async def async_health(ws: Any, request: Request) -> Response | None:
        await asyncio.sleep(0)
        return health(ws, request)

    hook = async_health if asynchronous else health
    async with serve(nothing, "127.0.0.1", 0, process_request=hook) as server:
        for text in (
            request(start="GET /health HTTP/1.1"),
            "GET /health HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
        ):
            status, headers, body = await ask(server, text)
            assert (status, body) == (200, "OK\n")
            assert headers["Content-Type"] == "text/plain; charset=utf-8"
        assert (await ask(server, request()))[0] == 101
        assert (await ask(server, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"))[0] == 426


async def test_process_response(serve: Any) -> None:
    async def add(ws: Any, request: Request, response: Response) -> None:
        assert ws.request is request
        response.headers["X-Path"] = request.path

    def replace(ws: Any, request: Request, response: Response) -> Response:
        return Response(302, "Found", Headers(Location="/elsewhere"))

    async with serve(nothing, "127.0.0.1", 0, process_response=add) as server:
        status, headers, _ = await ask(server, request(start="GET /a HTTP/1.1"))
        assert (status, headers["X-Path"]) == (101, "/a")
    async with serve(nothing, "127.0.0.1", 0, process_response=replace) as server:
        status, headers, body = await ask(server, request())
        assert (status, headers["Location"], body) == (302, "/elsewhere", "")


def failing(*args: Any) -> Any:
    raise LookupError("no")


def misleading(*args: Any) -> Any:
    return 200


def unwritable(ws: Any, *args: Any) -> Response:
    return Response(200, "OK\r\nX: y")


@pytest.mark.parametrize("name", ["process_request", "process_response"])
@pytest.mark.parametrize("hook", [failing, misleading, unwritable])
async def test_failing_hooks_are_500(
    serve: Any, name: str, hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(nothing, "127.0.0.1", 0, **{name: hook}) as server:
        status, _, body = await ask(server, request())
        assert status == 500 and "LookupError" not in body
    assert [
        record.exc_info is not None for record in caplog.records if record.levelno >= 40
    ] == [True]


async def test_connection_lost_while_processing(serve: Any, raw_client: Any) -> None:
    started = asyncio.Event()
    states: asyncio.Queue[State] = asyncio.Queue()

    async def slow(ws: Any, request: Request) -> None:
        started.set()
        await ws.wait_closed()
        states.put_nowait(ws.state)

    async with serve(failing, "127.0.0.1", 0, process_request=slow) as server:
        async with raw_client(server, path=None) as peer:
            peer.writer.write(request().encode())
            await started.wait()
            peer.writer.transport.abort()
        assert await states.get() is State.CLOSED


# Subprotocols


@pytest.mark.parametrize(
    ("offered", "status", "chosen"),
    [
        (["chat"], 101, "chat"),
        (["other, chat"], 101, "chat"),
        (["chat", "superchat"], 101, "superchat"),
        (["other"], 400, None),
        ([], 400, None),
        (["a b"], 400, None),
    ],
)
async def test_subprotocols(
    serve: Any, offered: list[str], status: int, chosen: str | None
) -> None:
    lines = [f"Sec-WebSocket-Protocol: {name}" for name in offered]
    async with serve(
        nothing, "127.0.0.1", 0, subprotocols=["superchat", "chat"]
    ) as server:
        got, headers, _ = await ask(server, request(*lines))
        assert (got, headers.get("Sec-WebSocket-Protocol")) == (status, chosen)


async def test_select_subprotocol(serve: Any) -> None:
    def select(ws: Any, offered: list[str]) -> str | None:
        assert isinstance(ws, pywscore.ServerConnection)
        if "bad" in offered:
            raise NegotiationError("not this one")
        if "worse" in offered:
            raise LookupError
        return offered[-1] if offered else None

    async with serve(nothing, "127.0.0.1", 0, select_subprotocol=select) as server:
        for offered, status, chosen in (
            ("a, b", 101, "b"),
            ("bad", 400, None),
            ("worse", 500, None),
        ):
            got, headers, _ = await ask(
                server, request(f"Sec-WebSocket-Protocol: {offered}")
            )
            assert (got, headers.get("Sec-WebSocket-Protocol")) == (status, chosen)
        assert (await ask(server, request()))[0] == 101


async def test_without_subprotocols_offers_are_ignored(serve: Any) -> None:
    async with serve(nothing, "127.0.0.1", 0) as server:
        status, headers, _ = await ask(server, request("Sec-WebSocket-Protocol: a"))
        assert status == 101 and "Sec-WebSocket-Protocol" not in headers


# Origins

GOOD = "https://good.example"


@pytest.mark.threat("ORI-1")
@pytest.mark.parametrize(
    ("origins", "origin", "status"),
    [
        ([GOOD], GOOD, 101),
        ([GOOD], None, 403),
        ([GOOD], "null", 403),
        ([GOOD], "", 403),
        ([GOOD], "https://evil.example", 403),
        ([GOOD], "http://good.example", 403),
        ([GOOD], "https://good.example:8443", 403),
        ([GOOD], "https://good.example.evil", 403),
        ([GOOD], "https://evil-good.example", 403),
        ([GOOD], "https://Good.example", 403),
        ([GOOD], "https://good.example/", 403),
        ([GOOD, None], None, 101),
        ([None], GOOD, 403),
        ([], GOOD, 403),
        ([], None, 403),
        ([re.compile(r"https://\w+\.good\.example")], "https://a.good.example", 101),
        (
            [re.compile(r"https://\w+\.good\.example")],
            "https://a.good.example.evil",
            403,
        ),
        (
            [re.compile(r"https://\w+\.good\.example")],
            "evil https://a.good.example",
            403,
        ),
        ([re.compile(r".*")], None, 403),
        (None, "https://evil.example", 101),
    ],
)
async def test_origins(
    serve: Any, origins: list[Any] | None, origin: str | None, status: int
) -> None:
    lines = [] if origin is None else [f"Origin: {origin}"]
    async with serve(nothing, "127.0.0.1", 0, origins=origins) as server:
        assert (await ask(server, request(*lines)))[0] == status


@pytest.mark.threat("ORI-1")
async def test_two_origins(serve: Any) -> None:
    async with serve(nothing, "127.0.0.1", 0, origins=[GOOD]) as server:
        text = request(f"Origin: {GOOD}", f"Origin: {GOOD}")
        assert (await ask(server, text))[0] == 400


@pytest.mark.threat("ORI-2")
@pytest.mark.parametrize(
    ("lines", "warnings"),
    [
        (["Origin: https://evil.example", "Cookie: a=b"], 1),
        (["Origin: https://evil.example", "Authorization: Basic x"], 1),
        (["Origin: https://example.org", "Cookie: a=b"], 0),
        (["Origin: https://evil.example"], 0),
        (["Cookie: a=b"], 0),
    ],
)
async def test_one_warning_for_credentials_from_another_origin(
    serve: Any, lines: list[str], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(nothing, "127.0.0.1", 0) as server:
        for _ in range(3):
            assert (await ask(server, request(*lines)))[0] == 101
    found = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(found) == warnings
    assert all("origins=" in record.getMessage() for record in found)


@pytest.mark.threat("LOG-1", "LOG-2")
async def test_refused_requests_are_one_line_each(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serve(nothing, "127.0.0.1", 0, origins=[GOOD]) as server:
        await ask(server, request(f"Origin: http://{'x' * 4000}"))
        caplog.records.clear()
        for _ in range(3):
            await ask(server, request("Origin: http://a\tb"))
    lines = [record for record in caplog.records if "handshake" in record.getMessage()]
    assert len(lines) == 3
    for record in lines:
        text = record.getMessage()
        assert record.levelno == logging.INFO and record.exc_info is None
        assert text.isascii() and text.isprintable() and len(text) < 250
