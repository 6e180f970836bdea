"""FastAPI, Starlette and Django Channels applications on pywscore's uvicorn class."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import websockets

pytest.importorskip("fastapi")
import anyio
import fastapi
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn_servers import OURS, Environment, both
from waiting import until

import pywscore

# FastAPI --------------------------------------------------------------------------

app = fastapi.FastAPI()
log: list[Any] = []


async def session() -> AsyncIterator[str]:
    log.append("opened")
    try:
        yield "a session"
    finally:
        log.append("closed")


async def token(
    websocket: fastapi.WebSocket,
    token: Annotated[str | None, fastapi.Query()] = None,
    cookie: Annotated[str | None, fastapi.Cookie(alias="token")] = None,
) -> str:
    if token is None and cookie is None:
        raise fastapi.WebSocketException(1008, "no token")
    return token or cookie or ""


@app.websocket("/items/{item}")
async def items(
    ws: fastapi.WebSocket,
    item: int,
    session: Annotated[str, fastapi.Depends(session)],
    token: Annotated[str, fastapi.Depends(token)],
) -> None:
    await ws.accept(subprotocol="json")
    await ws.send_json({"item": item, "token": token, "session": session})
    try:
        while True:
            await ws.send_json({"got": await ws.receive_json()}, mode="binary")
    except fastapi.WebSocketDisconnect as exc:
        log.append((exc.code, exc.reason))


@app.websocket("/late")
async def late(ws: fastapi.WebSocket) -> None:
    await ws.accept()
    await ws.receive_text()
    await until(lambda: "gone" in log)
    try:
        await ws.send_text("too late")
    except fastapi.WebSocketDisconnect as exc:
        log.append(exc.code)


@app.websocket("/deny")
async def deny(ws: fastapi.WebSocket) -> None:
    await ws.send_denial_response(PlainTextResponse("not you", 401))


@app.websocket("/close")
async def close(ws: fastapi.WebSocket) -> None:
    await ws.accept()
    await ws.close(3001, "enough")


@both
def test_fastapi(environment: Environment) -> None:
    async def main() -> None:
        log.clear()
        async with environment.serve(app) as served:
            async with websockets.connect(
                f"{served.uri}/items/7?token=t", subprotocols=["json"]
            ) as client:
                assert client.subprotocol == "json"
                expected = {"item": 7, "token": "t", "session": "a session"}
                assert json.loads(await client.recv()) == expected
                await client.send('{"a": [1]}')
                assert json.loads(await client.recv()) == {"got": {"a": [1]}}
                await client.close(3000, "bye")
            await until(lambda: "closed" in log)
            assert log == ["opened", (3000, "bye"), "closed"]

            for path in ("/items/7", "/items/word?token=t", "/nowhere"):
                with pytest.raises(websockets.InvalidStatus) as caught:
                    await websockets.connect(served.uri + path)
                assert caught.value.response.status_code == 403
            with pytest.raises(websockets.InvalidStatus) as caught:
                await websockets.connect(served.uri + "/deny")
            assert caught.value.response.status_code == 401
            assert caught.value.response.body == b"not you"
            assert caught.value.response.headers.get_all("Content-Length") == ["7"]

            async with websockets.connect(served.uri + "/close") as client:
                with pytest.raises(websockets.ConnectionClosedError):
                    await client.recv()
                assert (client.close_code, client.close_reason) == (3001, "enough")

            log.clear()
            async with websockets.connect(served.uri + "/late") as client:
                await client.send("now")
            log.append("gone")
            await until(lambda: len(log) == 2)
            assert log == ["gone", 1006]

    environment.run(main)


def test_fastapis_test_client_is_untouched() -> None:
    pytest.importorskip("httpx2" if _needs_httpx2() else "httpx")
    from fastapi.testclient import TestClient

    client = TestClient(app)
    with client.websocket_connect("/items/1?token=t") as ws:
        assert ws.receive_json()["item"] == 1
        ws.send_json("x")
        assert ws.receive_json(mode="binary") == {"got": "x"}


def _needs_httpx2() -> bool:
    import starlette

    return int(starlette.__version__.partition(".")[0]) >= 1


# Starlette ------------------------------------------------------------------------


class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_text(f"{websocket.url.path}: {data}")

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        log.append(close_code)


async def iterate(websocket: WebSocket) -> None:
    await websocket.accept(headers=[(b"x-hello", b"yes")])
    async for data in websocket.iter_bytes():
        await websocket.send_bytes(data[::-1])
    with pytest.raises((RuntimeError, WebSocketDisconnect)):
        await websocket.send_text("x")
    log.append("iterated")


async def scopes(websocket: WebSocket) -> None:
    """Cancelled by anyio's scopes, from outside and by itself, while it receives."""
    await websocket.accept()
    with anyio.CancelScope() as scope:
        await websocket.receive_text()
        scope.deadline = anyio.current_time() + 0.02
        await websocket.receive_text()
    await websocket.send_text("in time")
    async with anyio.create_task_group() as group:

        async def receive() -> None:
            await websocket.send_text(await websocket.receive_text())
            group.cancel_scope.cancel()

        group.start_soon(receive)
        await anyio.sleep_forever()
    with anyio.CancelScope() as scope:
        await websocket.receive_text()
        scope.cancel()
        await websocket.send_text("before the next wait")
        await websocket.receive_text()
        await websocket.send_text("never")
    await websocket.send_text(await websocket.receive_text())


starlette_app = Starlette(
    routes=[
        WebSocketRoute("/echo", Echo),
        WebSocketRoute("/iterate", iterate),
        WebSocketRoute("/scopes", scopes),
    ]
)


@both
def test_starlette(environment: Environment) -> None:
    async def main() -> None:
        log.clear()
        async with environment.serve(starlette_app) as served:
            async with pywscore.connect(served.uri + "/echo") as ours:
                await ours.send("hi")
                assert await ours.recv() == "/echo: hi"
            async with websockets.connect(served.uri + "/echo") as client:
                await client.send(b"bytes where text is wanted")
                with pytest.raises(websockets.ConnectionClosedError):
                    await client.recv()
                assert client.close_code == 1003
            async with websockets.connect(served.uri + "/iterate") as client:
                assert client.response is not None
                assert client.response.headers["X-Hello"] == "yes"
                await client.send(b"abc")
                assert await client.recv() == b"cba"
            await until(lambda: "iterated" in log)
            assert log == [1000, 1011, "iterated"]
            async with websockets.connect(served.uri + "/scopes") as client:
                await client.send("the first of two")
                assert await client.recv() == "in time"
                await client.send("for the group")
                assert await client.recv() == "for the group"
                await client.send("before the scope is cancelled")
                assert await client.recv() == "before the next wait"
                await client.send("after it")
                assert await client.recv() == "after it"

    environment.run(main)


# Django Channels ------------------------------------------------------------------


@both
def test_channels(environment: Environment) -> None:
    pytest.importorskip("channels")
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            CHANNEL_LAYERS={
                "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}
            },
        )
    import channels.layers
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.urls import path

    class Room(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
        async def connect(self) -> None:
            self.room = self.scope["url_route"]["kwargs"]["room"]
            if self.room == "secret":
                await self.close()
                return
            await self.channel_layer.group_add(self.room, self.channel_name)
            await self.accept()

        async def receive_json(self, content: Any, **kwargs: Any) -> None:
            event = {"type": "room.message", "content": content}
            await self.channel_layer.group_send(self.room, event)

        async def room_message(self, event: Any) -> None:
            await self.send_json(event["content"])

        async def disconnect(self, code: int) -> None:
            await self.channel_layer.group_discard(self.room, self.channel_name)
            log.append(code)

    routes = URLRouter([path("rooms/<str:room>", Room.as_asgi())])
    application = ProtocolTypeRouter({"websocket": routes})

    async def main() -> None:
        log.clear()
        channels.layers.channel_layers.backends.clear()
        async with environment.serve(application) as served:
            async with (
                websockets.connect(served.uri + "/rooms/tea") as ann,
                websockets.connect(served.uri + "/rooms/tea") as bob,
            ):
                await ann.send('{"text": "hello"}')
                assert json.loads(await bob.recv()) == {"text": "hello"}
                assert json.loads(await ann.recv()) == {"text": "hello"}
            with pytest.raises(websockets.InvalidStatus) as caught:
                await websockets.connect(served.uri + "/rooms/secret")
            assert caught.value.response.status_code == 403
            await until(lambda: len(log) >= 2)
            assert log[:2] == [1000, 1000]

    environment.run(main)


# The command line -----------------------------------------------------------------

PROGRAM = """
async def app(scope, receive, send):
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})
    print(event, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("more", [[], ["--workers", "2"], ["--reload"]])
def test_command_line(tmp_path: Path, more: list[str]) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "uvicorn", "--ws", OURS, "--port", str(port)),
        *("--lifespan", "off", "--log-level", "warning", *more, "program:app"),
    ]
    top = str(Path(pywscore.__file__).parents[1])
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": top},
        stdout=subprocess.PIPE,
        text=True,
    )

    async def client() -> int | None:
        for _ in range(200):
            with contextlib.suppress(OSError):
                async with websockets.connect(f"ws://127.0.0.1:{port}/") as ws:
                    await ws.send("hi")
                    assert await ws.recv() == "hi"
                    process.send_signal(signal.SIGTERM)
                    await ws.wait_closed()
                    return ws.close_code
            await asyncio.sleep(0.05)
        return None

    try:
        assert asyncio.run(asyncio.wait_for(client(), 20)) == 1012
        output, _ = process.communicate(timeout=10)
        assert "'code': 1012" in output
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
