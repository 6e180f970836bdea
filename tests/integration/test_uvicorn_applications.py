"""Applications that do right and wrong things, on uvicorn's class and on ours.

Each row is what an application receives and sends; what comes of it is the class of the
exception that each step raises, what is received, and what the client gets. What may
differ is in ``DIFFERS``, each with its reason.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from uvicorn_servers import (
    OURS,
    THEIRS,
    Environment,
    Event,
    frame,
    model,
    raw,
    request,
)

from pywscore.integrations.uvicorn import WebSocketProtocol

RECEIVE: Event = {}
ACCEPT = {"type": "websocket.accept"}
# Sent when an application that accepted ends; theirs ends TCP.
GOODBYE = b"\x88\x02\x03\xe8"
CRASHED = b"HTTP/1.1 500"
ANSWERED = "500: theirs ends TCP without an answer"
PHRASE_OF_NAMES = "refused: RFC 9110 §5.6.2"

DIFFERS = {
    "text is bytes": "TypeError; theirs AttributeError",
    "text is a list": "TypeError; theirs AttributeError",
    "text is a number": "TypeError; theirs AttributeError",
    "close code 1000.0": "TypeError; theirs struct.error",
    "no close code": "1000, ASGI's default; theirs sends none",
    "unoffered subprotocol": "left out with a warning: the client would have to fail",
    "subprotocol is bytes": "left out with a warning; theirs sends its repr()",
    "headers are str": "TypeError; theirs AttributeError",
    "CR LF in a header": "ValueError; theirs is one of websockets'",
    "space in a name": PHRASE_OF_NAMES,
    "colon in a name": PHRASE_OF_NAMES,
    "empty name": PHRASE_OF_NAMES,
    "a denial's body left out": "empty, ASGI's default; theirs KeyError",
    "denial with 100": "RuntimeError: it isn't a final response",
    "denial with 103": "RuntimeError: it isn't a final response",
    "denial begun twice": ANSWERED,
    "denial, then close": ANSWERED,
    "denial, then accept": ANSWERED,
    "denial is str": ANSWERED,
    "denial without a body": ANSWERED,
    "denial without its end": ANSWERED,
    "denial goes on after its end": "RuntimeError; theirs AssertionError",
}


def accept(**how: Any) -> Event:
    return {**ACCEPT, **how}


def header(name: bytes, value: bytes = b"1") -> Event:
    return accept(headers=[(name, value)])


def send(**what: Any) -> Event:
    return {"type": "websocket.send", **what}


def close(**how: Any) -> Event:
    return {"type": "websocket.close", **how}


def start(status: Any = 401, **how: Any) -> Event:
    return {"type": "websocket.http.response.start", "status": status, **how}


def body(body: Any = b"no", **how: Any) -> Event:
    return {"type": "websocket.http.response.body", "body": body, **how}


OPEN = [RECEIVE, ACCEPT]
AFTER = send(text="after")
APPLICATIONS: dict[str, list[Event]] = {
    "does everything right": [*OPEN, AFTER, close()],
    "accept twice": [*OPEN, ACCEPT],
    "accept at once": [ACCEPT, RECEIVE, AFTER],
    "send before accept": [RECEIVE, AFTER],
    "unknown": [RECEIVE, {"type": "foo"}],
    "no type": [RECEIVE, {"foo": 1}],
    "unknown later": [*OPEN, {"type": "foo"}],
    "text is bytes": [*OPEN, send(text=b"x"), AFTER],
    "text is a list": [*OPEN, send(text=["a", "b"]), AFTER],
    "text is a number": [*OPEN, send(text=5), AFTER],
    "text is None": [*OPEN, send(text=None), AFTER],
    "bytes are str": [*OPEN, send(bytes="x"), AFTER],
    "bytes are a list": [*OPEN, send(bytes=[b"a", b"b"]), AFTER],
    "nothing to send": [*OPEN, send(), AFTER],
    "text and bytes": [*OPEN, send(text="t", bytes=b"b")],
    "text, no bytes": [*OPEN, send(text="t", bytes=None)],
    "bytes, no text": [*OPEN, send(text=None, bytes=b"b")],
    "bytearray": [*OPEN, send(bytes=bytearray(b"b"))],
    "memoryview": [*OPEN, send(bytes=memoryview(b"b"))],
    "lone surrogate": [*OPEN, send(text="\ud800"), AFTER],
    "empty": [*OPEN, send(text=""), send(bytes=b"")],
    "no close code": [*OPEN, close(code=None)],
    "no reason": [*OPEN, close(code=4000, reason=None)],
    "a reason": [*OPEN, close(code=4000, reason="why")],
    "a long reason": [*OPEN, close(code=4000, reason="x" * 124), AFTER],
    "close twice": [*OPEN, close(), close()],
    "send after close": [*OPEN, close(), AFTER],
    "receive after close": [*OPEN, close(code=4000, reason="why"), RECEIVE],
    "deny": [RECEIVE, close()],
    "deny with a code": [RECEIVE, close(code=4000, reason="x")],
    "receive after denying": [RECEIVE, close(), RECEIVE],
    "accept after denying": [RECEIVE, close(), ACCEPT],
    "deny twice": [RECEIVE, close(), close()],
    "subprotocol": [RECEIVE, accept(subprotocol="b")],
    "no subprotocol": [RECEIVE, accept(subprotocol=None)],
    "empty subprotocol": [RECEIVE, accept(subprotocol="")],
    "unoffered subprotocol": [RECEIVE, accept(subprotocol="z")],
    "subprotocol is bytes": [RECEIVE, accept(subprotocol=b"b")],
    "headers": [RECEIVE, accept(headers=[(b"X-A", b"1"), (b"x-a", b"2")])],
    "headers are a tuple": [RECEIVE, accept(headers=((b"X-A", b"1"),))],
    "headers are None": [RECEIVE, accept(headers=None)],
    "headers are str": [RECEIVE, accept(headers=[("X-A", "1")])],
    "ISO-8859-1": [RECEIVE, header(b"x-a", bytes(range(0x80, 0x100)))],
    "CR LF in a header": [RECEIVE, header(b"x-a", b"1\r\nb: 2")],
    "space in a name": [RECEIVE, header(b"x a")],
    "colon in a name": [RECEIVE, header(b"x-a:")],
    "empty name": [RECEIVE, header(b"")],
    "space around a value": [RECEIVE, header(b"x-a", b" 1 ")],
    "subprotocol as a header": [RECEIVE, header(b"sec-websocket-protocol", b"b")],
    "own date": [RECEIVE, header(b"date", b"now")],
    "denial": [RECEIVE, start(), body()],
    "denial with headers": [RECEIVE, start(headers=[(b"X-A", b"1")]), body()],
    "denial with a type": [RECEIVE, start(headers=[(b"content-type", b"a/b")]), body()],
    "denial in pieces": [RECEIVE, start(), body(b"a", more_body=True), body(b"b")],
    "denial with a length": [
        RECEIVE,
        start(headers=[(b"content-length", b"2")]),
        body(),
    ],
    "denial in ISO-8859-1": [RECEIVE, start(headers=[(b"x-a", b"\xe9")]), body()],
    "a denial's body left out": [RECEIVE, start(), {"type": body()["type"]}],
    "denial begun twice": [RECEIVE, start(), start()],
    "denial, then close": [RECEIVE, start(), close()],
    "denial, then accept": [RECEIVE, start(), ACCEPT],
    "denial goes on after its end": [RECEIVE, start(), body(), body()],
    "denial is str": [RECEIVE, start(), body("x")],
    "denial without a body": [RECEIVE, start()],
    "denial without its end": [RECEIVE, start(), body(more_body=True)],
    "receive after a denial": [RECEIVE, start(), body(), RECEIVE],
    "denial after accept": [*OPEN, start()],
    "nothing": [],
    "only receives": [RECEIVE],
}
for status in (200, 204, 302, 599, 600, 99, 100, 103, "401"):
    APPLICATIONS[f"denial with {status}"] = [RECEIVE, start(status), body(b"")]
# 101 isn't among them: theirs upgrades.
UNSENDABLE = (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 70000, "1000", 1000.0)
for code in (1001, 1012, 3000, 4999, *UNSENDABLE):
    APPLICATIONS[f"close code {code!r}"] = [*OPEN, close(code=code), AFTER]


async def shown(client: Any) -> Any:
    """What the client gets, without what is another in each response."""
    client.writer.write(request("Sec-WebSocket-Protocol: a, b"))
    data = b""
    answered = False
    while chunk := await client.reader.read(65536):
        data += chunk
        head, _, rest = data.partition(b"\r\n\r\n")
        at = rest.find(b"\x88")
        if head.startswith(b"HTTP/1.1 101") and at >= 0 and not answered:
            answered = True
            client.writer.write(frame(8, rest[at + 2 : at + 4]))
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    pairs = [line.lower().split(b":", 1) for line in lines]
    varying = (b"date", b"server", b"sec-websocket-accept", b"connection", b"upgrade")
    kept = sorted((n, v.strip()) for n, v in pairs if n not in varying)
    return first[:12], kept, rest.removesuffix(GOODBYE) if not answered else rest


def outcome(ws: str, steps: list[Event]) -> tuple[list[Any], Any]:
    results: list[Any] = []
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for step in steps:
            try:
                if step is RECEIVE:
                    async with asyncio.timeout(1):
                        results.append(await receive())
                else:
                    results.append(await send(step))
            except Exception as exc:
                results.append(type(exc).__name__)

    async def main() -> None:
        environment = Environment("asyncio", "h11", ws)
        async with environment.serve(app) as served, raw(served.port) as client:
            seen.append(await shown(client))

    Environment("asyncio", "h11").run(main)
    [what] = seen
    return results, what


@model
@pytest.mark.parametrize("name", APPLICATIONS)
def test_application(name: str) -> None:
    theirs, ours = (outcome(ws, APPLICATIONS[name]) for ws in (THEIRS, OURS))
    status, headers, rest = ours[1]
    ended = rest.removesuffix(GOODBYE)
    if status == b"HTTP/1.1 101" and theirs[1][2] == ended:
        ours = ours[0], (status, headers, ended)
    assert (theirs != ours) is (name in DIFFERS), (theirs, ours)


def test_http_1_0_says_what_to_do(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nginx sends without the directive: refused, and said once."""
    monkeypatch.setattr(WebSocketProtocol, "_warned_of_proxy", False)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    async def main() -> None:
        environment = Environment("asyncio", "h11")
        async with environment.serve(app) as served:
            for _ in range(3):
                async with raw(served.port) as client:
                    client.writer.write(request(version="HTTP/1.0"))
                    status, _ = await client.read_head()
                    assert status == 505

    Environment("asyncio", "h11").run(main)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    [warning] = [line for line in warnings if "proxy" in line]
    assert "proxy_http_version 1.1" in warning
