"""What docs/uvicorn.md says of how our class differs from uvicorn's: the same
application with both, each row of the table by what comes of it in each."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from uvicorn_servers import (
    OURS,
    THEIRS,
    TIMEOUT,
    Environment,
    Event,
    RawClient,
    frame,
    model,
    raw,
    request,
)
from waiting import until

PAGE = Path(__file__).resolve().parents[2] / "docs/uvicorn.md"
ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
START = {"type": "websocket.http.response.start", "status": 401}

App = Callable[[Any, Any, Any], Coroutine[Any, Any, Any]]
Program = Callable[[str], Coroutine[Any, Any, Any]]


@asynccontextmanager
async def client_of(ws: str, app: App) -> AsyncIterator[RawClient]:
    environment = Environment("asyncio", "h11", ws)
    async with environment.serve(app, ws_max_size=10) as served:
        async with raw(served.port) as client:
            yield client
        # Theirs can't shut down with what it never answered.
        await until(lambda: not served.server.server_state.connections)


def reader(received: list[Any], count: int) -> tuple[App, asyncio.Event]:
    """An application that receives so many events: texts and codes, None for nothing
    in half a second."""
    done = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        while len(received) < count:
            try:
                async with asyncio.timeout(0.5):
                    event = await receive()
                received.append(event.get("text", event.get("code")))
            except TimeoutError:
                received.append(None)
        done.set()

    return app, done


async def behind(ws: str) -> Any:
    received: list[Any] = []
    app, done = reader(received, 1)
    async with client_of(ws, app) as client:
        client.writer.write(request() + frame(1, b"x"))
        await done.wait()
    return received


async def before_a_failure(ws: str) -> Any:
    received: list[Any] = []
    app, done = reader(received, 1)
    async with client_of(ws, app) as client:
        await client.open()
        client.writer.write(frame(1, b"x") + frame(1, b"longer than 10"))
        await done.wait()
    return received


async def broken(ws: str) -> Any:
    received: list[Any] = []
    app, done = reader(received, 2)
    async with client_of(ws, app) as client:
        await client.open()
        client.writer.close()
        await done.wait()
    return received


async def answer(ws: str, app: App, *lines: str, version: str = "HTTP/1.1") -> Any:
    """Status and names of headers, None without an answer in half a second; then the
    first frame, if any."""
    async with client_of(ws, app) as client:
        client.writer.write(request(*lines, version=version))
        try:
            async with asyncio.timeout(0.5):
                status, headers = await client.read_head()
        except (TimeoutError, asyncio.IncompleteReadError):
            return None
        if status != 101:
            return status, "server" in dict(headers), None
        try:
            async with asyncio.timeout(0.5):
                return (
                    status,
                    dict(headers).get("sec-websocket-protocol"),
                    (await client.read_frame()),
                )
        except (TimeoutError, asyncio.IncompleteReadError):
            return status, dict(headers).get("sec-websocket-protocol"), None


def ending(what: Any, *messages: Event) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> Any:
        await receive()
        for message in messages:
            await send(message)
        if isinstance(what, Exception):
            raise what
        return what

    return app


def answered(app: App, *lines: str, version: str = "HTTP/1.1") -> Program:
    return lambda ws: answer(ws, app, *lines, version=version)


async def accepting(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(ACCEPT)
    await receive()


async def slow_denial(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(START | {"headers": [(b"content-length", b"2")]})
    await asyncio.sleep(1)
    await send({"type": "websocket.http.response.body", "body": b"no"})


async def spec_version(ws: str) -> Any:
    found: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(scope["asgi"]["spec_version"])
        await accepting(scope, receive, send)

    async with client_of(ws, app) as client:
        await client.open()
    return found


def closed(code: int) -> Any:
    return 101, None, (8, code.to_bytes(2))


# Of each row: what comes of programs with uvicorn's class, and with ours.
ROWS: dict[str, list[tuple[Program, Any, Any]]] = {
    "frames in the packet of the request": [(behind, [None], ["x"])],
    "messages before one that is too big, in one packet": [
        (before_a_failure, [1009], ["x"])
    ],
    "the connection breaks without a close frame": [
        (broken, [1005, None], [1006, 1006])
    ],
    "the application raises, returns a value, returns without closing": [
        (answered(ending(OSError(), ACCEPT)), (101, None, None), closed(1011)),
        (answered(ending("x", ACCEPT)), (101, None, None), closed(1011)),
        (answered(ending(None, ACCEPT)), (101, None, None), closed(1000)),
        (answered(ending(None, START)), None, (500, True, None)),
    ],
    "`close` with the code None": [
        (
            answered(ending(None, ACCEPT, CLOSE | {"code": None})),
            (101, None, (8, b"")),
            closed(1000),
        )
    ],
    "403, 500 and denial responses": [
        (answered(ending(None, CLOSE)), (403, False, None), (403, True, None))
    ],
    "denial with a Content-Length": [
        (answered(slow_denial), None, (401, True, None)),
    ],
    "requests with a body or too long a head; HTTP/1.0": [
        (answered(accepting, "Content-Length: 1"), None, (400, True, None)),
        (
            answered(accepting, version="HTTP/1.0"),
            (101, None, None),
            (505, True, None),
        ),
        (answered(accepting, *["X-A: b"] * 140), None, (431, False, None)),
    ],
    "a subprotocol that wasn't offered": [
        (
            answered(ending(None, ACCEPT | {"subprotocol": "b"})),
            (101, "b", None),
            closed(1000),
        )
    ],
    "`asgi.spec_version` in the scope": [(spec_version, ["2.4"], ["2.5"])],
}
ELSEWHERE = {"what can't be sent": "test_uvicorn_applications.py"}


def situations() -> list[str]:
    """The first column of the page's table."""
    rows = PAGE.read_text(encoding="utf-8").partition("| situation |")[2]
    rows = rows.partition("\n\n")[0]
    return re.findall(r"^\| (.+?) \| ", rows, re.MULTILINE)[1:]


def test_each_row_is_held() -> None:
    assert sorted(situations()) == sorted([*ROWS, *ELSEWHERE])
    assert all((Path(__file__).parent / name).exists() for name in ELSEWHERE.values())


@model
@pytest.mark.parametrize(
    ("program", "theirs", "ours"),
    [pytest.param(*each, id=row) for row in ROWS for each in ROWS[row]],
)
def test_row(program: Program, theirs: Any, ours: Any) -> None:
    async def main(ws: str) -> Any:
        # Theirs has exceptions that nobody catches.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with asyncio.timeout(TIMEOUT):
            return await program(ws)

    assert [asyncio.run(main(ws)) for ws in (THEIRS, OURS)] == [theirs, ours]
