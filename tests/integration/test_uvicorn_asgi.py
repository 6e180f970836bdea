"""What an ASGI application sees and does, on pywscore's class for uvicorn.

Where nothing speaks against it, the same tests run on uvicorn's own class.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import struct
from typing import Any

import pytest
import websockets
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn_servers import (
    ENVIRONMENTS,
    THEIRS,
    Environment,
    Event,
    both,
    frame,
    model,
    ours,
    raw,
    request,
)

import pywscore

ACCEPT = {"type": "websocket.accept"}


def send_text(text: str) -> Event:
    return {"type": "websocket.send", "text": text}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive()) == {"type": "websocket.connect"}
    await send(ACCEPT)
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


class Recorder:
    """An application that keeps what it receives, to the disconnect."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        while True:
            self.events.append(await receive())
            if self.events[-1]["type"] == "websocket.disconnect":
                break
        self.ended.set()


@both
def test_text_and_bytes_go_both_ways(environment: Environment) -> None:
    async def main() -> None:
        async with environment.serve(echo) as served:
            async with websockets.connect(served.uri) as client:
                for message in (
                    "",
                    "grün €",
                    b"",
                    b"\xff\0",
                    "x" * 70000,
                    b"y" * 200000,
                ):
                    await client.send(message)
                    assert await client.recv() == message
                await client.send(["a", "b", "c"])
                assert await client.recv() == "abc"
            async with pywscore.connect(served.uri) as ours:
                await ours.send(b"bytes")
                assert await ours.recv() == b"bytes"

    environment.run(main)


@model
@ours
def test_scope_is_theirs(environment: Environment) -> None:
    scopes: list[Event] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        scope["state"]["added"] = 1
        await receive()
        await send(ACCEPT)

    async def main() -> None:
        pair = (environment, dataclasses.replace(environment, ws=THEIRS))
        for each in pair:
            async with each.serve(app, root_path="/app", proxy_headers=False) as served:
                async with raw(served.port) as client:
                    await client.open(
                        "X-Twice: a",
                        "X-Twice: b",
                        "Sec-WebSocket-Protocol: one, two",
                        "Sec-WebSocket-Protocol: three",
                        "Cookie: gr\xfcn",
                        path="/caf%C3%A9/%2F?a=b&c=%20d",
                    )
                scopes[-1]["expected_server"] = ("127.0.0.1", served.port)
        mine, theirs = scopes
        for scope in scopes:
            assert scope["server"] == scope.pop("expected_server")
            assert scope.pop("client")[0] == "127.0.0.1"
            del scope["server"]
            key = [h for h in scope["headers"] if h[0] == b"sec-websocket-key"]
            assert len(key) == 1
            scope["headers"].remove(key[0])
        assert mine.pop("asgi") == {"version": "3.0", "spec_version": "2.5"}
        assert theirs.pop("asgi") == {"version": "3.0", "spec_version": "2.4"}
        assert "pywscore" not in theirs["extensions"]
        del mine["extensions"]["pywscore"]  # for rooms
        assert mine == theirs
        assert mine["path"] == "/app/café//"
        assert mine["raw_path"] == b"/app/caf%C3%A9/%2F"
        assert mine["query_string"] == b"a=b&c=%20d"
        assert mine["subprotocols"] == ["one", "two", "three"]

    environment.run(main)


@both
def test_lifespan_state_is_copied_for_each_connection(
    environment: Environment,
) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["made"] = "at startup"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        seen.append(dict(scope["state"]))
        scope["state"]["mine"] = True
        await echo(scope, receive, send)

    async def main() -> None:
        async with environment.serve(app, lifespan="on") as served:
            for _ in range(2):
                async with websockets.connect(served.uri):
                    pass
        assert seen == [{"made": "at startup"}] * 2

    environment.run(main)


@both
def test_client_behind_a_proxy(
    environment: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await send(send_text(f"{scope['client'][0]} {scope['scheme']}"))
        await receive()

    async def main() -> None:
        headers = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
        async with environment.serve(app) as served:
            async with websockets.connect(
                served.uri, additional_headers=headers
            ) as client:
                assert await client.recv() == "192.0.2.7 wss"

    with caplog.at_level("INFO", "uvicorn.error"):
        environment.run(main)
    assert '192.0.2.7:0 - "WebSocket /" [accepted]' in caplog.messages


@both
def test_accept_with_subprotocol_and_headers(environment: Environment) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
        await send({**ACCEPT, "subprotocol": "two", "headers": headers})
        await receive()

    async def main() -> None:
        async with environment.serve(app, headers=[("x-all", "here")]) as served:
            async with websockets.connect(
                served.uri, subprotocols=["one", "two"]
            ) as client:
                assert client.subprotocol == "two"
                assert client.response is not None
                headers = client.response.headers
                assert headers.get_all("Set-Cookie") == ["a=1", "b=2"]
                assert headers["X-All"] == "here"
                assert headers["Server"] == "uvicorn"
                assert len(headers.get_all("Date")) == 1

    environment.run(main)


@ours
def test_subprotocol_that_was_not_offered_is_left_out(
    environment: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({**ACCEPT, "subprotocol": "other"})
        await receive()

    async def main() -> None:
        async with environment.serve(app) as served:
            async with websockets.connect(served.uri) as client:
                assert client.subprotocol is None

    environment.run(main)
    assert any("'other' is left out" in line for line in caplog.messages)


@both
def test_close_before_accept_is_403(
    environment: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"})
        events.append(await receive())
        with pytest.raises((RuntimeError, ClientDisconnected)):
            await send(ACCEPT)

    async def main() -> None:
        async with environment.serve(app) as served:
            with pytest.raises(websockets.InvalidStatus) as caught:
                await websockets.connect(served.uri + "/a?b=c")
            response = caught.value.response
            assert response.status_code == 403
            assert response.body == b""
            if environment.ws != THEIRS:
                assert response.headers["Server"] == "uvicorn"
            assert len(response.headers.get_all("Date")) == 1

    with caplog.at_level("INFO", "uvicorn.error"):
        environment.run(main)
    assert events == [{"type": "websocket.disconnect", "code": 1006}]
    assert any(line.endswith('"WebSocket /a?b=c" 403') for line in caplog.messages)


def start(status: int, *headers: tuple[bytes, bytes]) -> Event:
    kind = "websocket.http.response.start"
    return {"type": kind, "status": status, "headers": list(headers)}


def body(data: bytes, more: bool = False) -> Event:
    kind = "websocket.http.response.body"
    return {"type": kind, "body": data, "more_body": more}


@both
def test_denial_gets_its_length(environment: Environment) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(start(404, (b"x-why", b"none")))
        await send(body(b"one ", True))
        await send(body(b"two"))

    async def main() -> None:
        async with environment.serve(app) as served:
            with pytest.raises(websockets.InvalidStatus) as caught:
                await websockets.connect(served.uri)
            response = caught.value.response
            assert response.status_code == 404
            assert response.body == b"one two"
            assert response.headers["Content-Length"] == "7"
            assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert response.headers["X-Why"] == "none"
            assert response.headers["Connection"] == "close"

    environment.run(main)


@ours
def test_denial_with_length_leaves_at_once(environment: Environment) -> None:
    head_read = asyncio.Event()
    big = b"x" * 300_000

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        length = str(4 + len(big)).encode()
        await send(start(401, (b"Content-Length", length), (b"server", b"mine")))
        await head_read.wait()
        await send(body(b"one ", True))
        await send(body(big))
        assert (await receive())["code"] == 1006

    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            client.writer.write(
                b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            status, headers = await client.read_head()
            assert status == 401
            assert [value for name, value in headers if name == "server"] == [
                "uvicorn",
                "mine",
            ]
            head_read.set()
            assert await client.reader.read(-1) == b"one " + big

    environment.run(main)


@ours
@pytest.mark.parametrize("length", [1, 3])
def test_denial_with_another_length_than_it_said(
    environment: Environment, length: int
) -> None:
    caught: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(start(401, (b"content-length", str(length).encode())))
        try:
            await send(body(b"xx"))
        except RuntimeError as exc:
            caught.append(exc)

    async def main() -> None:
        async with environment.serve(app) as served:
            with pytest.raises((websockets.InvalidMessage, websockets.InvalidStatus)):
                await websockets.connect(served.uri)

    environment.run(main)
    assert "than Content-Length" in str(caught[0])


@both
@pytest.mark.parametrize(
    ("code", "reason", "event"),
    [
        (1000, "", {"code": 1000, "reason": ""}),
        (3001, "bye €", {"code": 3001, "reason": "bye €"}),
        (None, "", {"code": 1005, "reason": ""}),
    ],
)
def test_disconnect_says_what_the_peer_said(
    environment: Environment, code: int | None, reason: str, event: Event
) -> None:
    async def main() -> None:
        app = Recorder()
        async with environment.serve(app) as served, raw(served.port) as client:
            await client.open()
            client.writer.write(frame(1, b"last"))
            content = b"" if code is None else struct.pack("!H", code)
            client.writer.write(frame(8, content + reason.encode()))
            assert await client.read_frame() == (8, content[:2] + reason.encode())
            assert await client.reader.read() == b""
            await app.ended.wait()
        assert app.events == [
            {"type": "websocket.receive", "text": "last"},
            {"type": "websocket.disconnect", **event},
        ]

    environment.run(main)


@ours
def test_disconnect_without_close_frame_is_1006(environment: Environment) -> None:
    async def main() -> None:
        app = Recorder()
        async with environment.serve(app) as served:
            async with raw(served.port) as client:
                await client.open()
            await app.ended.wait()
        assert app.events == [{"type": "websocket.disconnect", "code": 1006}]

    environment.run(main)


@both
def test_receive_goes_on_at_once_after_the_own_close(environment: Environment) -> None:
    """Also for one that was waiting; the peer never answers."""
    events: list[Event] = []
    done = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        waiting = asyncio.create_task(receive())
        await asyncio.sleep(0.01)
        await send({"type": "websocket.close", "code": 3000, "reason": "enough"})
        events.append(await waiting)
        with pytest.raises(RuntimeError, match="after sending"):
            await send(send_text("more"))
        done.set()

    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            await client.open()
            async with asyncio.timeout(2):
                await done.wait()
            assert await client.read_frame() == (8, b"\x0b\xb8enough")
        expected = {"code": 3000, "reason": "enough"}
        assert events == [{"type": "websocket.disconnect", **expected}]

    environment.run(main)


@both
def test_send_after_the_peer_closed(environment: Environment) -> None:
    caught: list[BaseException] = []
    done = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        assert (await receive())["type"] == "websocket.disconnect"
        for _ in range(2):
            try:
                await send(send_text("x"))
            except OSError as exc:
                caught.append(exc)
            await asyncio.sleep(0.05)  # now TCP is gone, too
        done.set()

    async def main() -> None:
        async with environment.serve(app) as served:
            async with websockets.connect(served.uri):
                pass
            await done.wait()
        assert [type(exc) for exc in caught] == [ClientDisconnected] * 2

    environment.run(main)


@both
def test_messages_out_of_order(environment: Environment) -> None:
    caught: list[str] = []

    async def attempt(send: Any, message: Event) -> None:
        with pytest.raises(RuntimeError) as info:
            await send(message)
        caught.append(str(info.value))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await attempt(send, send_text("early"))
        await attempt(send, start(99))
        await receive()
        await send(ACCEPT)
        await attempt(send, ACCEPT)
        await send({"type": "websocket.send"})
        await send({"type": "websocket.send", "bytes": None, "text": "fine"})

    async def main() -> None:
        async with environment.serve(app) as served:
            async with websockets.connect(served.uri) as client:
                assert await client.recv() == "fine"

    environment.run(main)
    assert caught == [
        "Expected ASGI message 'websocket.accept', 'websocket.close' or "
        "'websocket.http.response.start' but got 'websocket.send'.",
        "Invalid HTTP status code '99' in response.",
        "Expected ASGI message 'websocket.send' or 'websocket.close', "
        "but got 'websocket.accept'.",
    ]


@both
@pytest.mark.parametrize("ending", ["raise", "return"])
def test_application_ends_before_it_accepts(
    environment: Environment, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if ending == "raise":
            raise ValueError("of the application")

    async def main() -> None:
        async with environment.serve(app) as served:
            with pytest.raises(websockets.InvalidStatus) as caught:
                await websockets.connect(served.uri)
            assert caught.value.response.status_code == 500
            assert caught.value.response.body == b"Internal Server Error"

    caplog.set_level("INFO", "uvicorn.error")
    environment.run(main)
    line = {
        "raise": "Exception in ASGI application\n",
        "return": "ASGI callable returned without completing handshake.",
    }[ending]
    assert line in caplog.messages


@ours
@pytest.mark.parametrize(
    ("ending", "code"), [("raise", 1011), ("return", 1011), ("end", 1000)]
)
def test_application_ends_without_closing(
    environment: Environment,
    ending: str,
    code: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> str | None:
        await receive()
        await send(ACCEPT)
        if ending == "raise":
            raise ValueError("of the application")
        return "unwanted" if ending == "return" else None

    async def main() -> None:
        async with environment.serve(app) as served:
            async with websockets.connect(served.uri) as client:
                with pytest.raises(websockets.ConnectionClosed):
                    await client.recv()
                assert client.close_code == code

    caplog.set_level("INFO", "uvicorn.error")
    environment.run(main)
    line = {
        "raise": "Exception in ASGI application\n",
        "return": "ASGI callable should return None, but returned 'unwanted'.",
        "end": "connection open",
    }[ending]
    assert line in caplog.messages


@both
def test_tasks_that_receive_at_the_same_time(environment: Environment) -> None:
    got: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        tasks = [asyncio.create_task(receive()) for _ in range(4)]
        await asyncio.sleep(0.01)
        tasks[1].cancel()
        await send(send_text("ready"))
        for task in (tasks[0], tasks[2], tasks[3]):
            got.append((await task)["text"])
        await send(send_text("done"))

    async def main() -> None:
        async with environment.serve(app) as served:
            async with websockets.connect(served.uri) as client:
                assert await client.recv() == "ready"
                for text in ("one", "two", "three"):
                    await client.send(text)
                assert await client.recv() == "done"
        assert sorted(got) == ["one", "three", "two"]

    environment.run(main)


@both
def test_cancelled_receive_loses_nothing(environment: Environment) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        for _ in range(3):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(receive(), 0.01)
        await send(send_text("ready"))
        await send(send_text((await receive())["text"]))
        await receive()

    async def main() -> None:
        async with environment.serve(app) as served:
            async with websockets.connect(served.uri) as client:
                assert await client.recv() == "ready"
                await client.send("kept")
                assert await client.recv() == "kept"

    environment.run(main)


@both
def test_send_waits_for_a_slow_reader(environment: Environment) -> None:
    sent = 0
    ended = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await receive()
        await send(ACCEPT)
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(65536)})
                sent += 1
                # uvicorn's own classes don't notice the end of TCP without it.
                await asyncio.sleep(0)
        except ClientDisconnected:
            ended.set()

    async def main() -> None:
        async with environment.serve(app) as served:
            async with raw(served.port) as client:
                await client.open()
                before = -1
                while sent > before:
                    before = sent
                    await asyncio.sleep(0.1)
                assert 0 < sent < 1000
                for _ in range(200):
                    await client.reader.readexactly(65536)
                assert sent > before
            await ended.wait()

    environment.run(main)


@ours
def test_sending_on_and_on_lets_the_loop_see_the_end(
    environment: Environment,
) -> None:
    aborts: list[Any] = []
    ended = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        aborts.pop()()
        with pytest.raises(ClientDisconnected):
            for _ in range(1000):
                await send(send_text("x"))
        ended.set()

    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            aborts.append(lambda: served.protocol.transport.abort())
            client.writer.write(request())
            await ended.wait()

    environment.run(main)


def test_log_lines_are_theirs(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["path"] == "/deny":
            await send(start(404))
            await send(body(b""))
        elif scope["path"] == "/close":
            await send({"type": "websocket.close"})
        elif scope["path"] == "/raise":
            raise ValueError
        else:
            await send(ACCEPT)
            await receive()

    def lines(ws: str) -> list[str]:
        caplog.clear()
        environment = Environment(*ENVIRONMENTS[0], ws)

        async def main() -> None:
            async with environment.serve(app) as served:
                for path in ("/%41?b", "/deny", "/close", "/raise"):
                    with contextlib.suppress(websockets.InvalidStatus):
                        async with websockets.connect(served.uri + path):
                            pass

        with caplog.at_level("INFO", "uvicorn.error"):
            environment.run(main)
        texts = [text for text in caplog.messages if "running on" not in text]
        # Theirs complains of a handshake that was completed with a denial, and says
        # nothing of the end.
        wrong = "ASGI callable returned without completing handshake."
        return [
            text.partition(" - ")[2] or text
            for text in texts
            if (ws != THEIRS or text != wrong)
            and text != "connection closed: 1000 (OK)"
        ]

    mine = lines(Environment("", "").ws)
    assert mine == lines(THEIRS)
    assert '"WebSocket /A?b" [accepted]' in mine
