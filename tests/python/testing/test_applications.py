"""Applications of ASGI and aiohttp, as users test them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

import pywscore
from pywscore.integrations import aiohttp, uvicorn
from pywscore.testing import ScriptedPeer, assert_closes, serve_aiohttp, serve_asgi


def run(main: Callable[[], Awaitable[Any]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await main()
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(limited())


class Echo:
    """An ASGI application that says what happened to it."""

    def __init__(self, *, starts: bool = True) -> None:
        self.starts = starts
        self.log: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
            return
        assert scope["type"] == "websocket"
        self.log.append((scope["path"], scope["query_string"]))
        self.log.append(type(receive.__self__))
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": event["text"]})
        self.log.append(event["code"])

    async def live(self, receive: Any, send: Any) -> None:
        await receive()
        self.log.append("startup")
        if not self.starts:
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.log.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})


def test_asgi() -> None:
    async def main() -> None:
        app = Echo()
        async with serve_asgi(app) as server:
            async with server.connect("/chat?room=1", max_size=10) as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"
                assert ws.response is not None
                assert ws.response.headers["Server"] == "uvicorn"
                await ws.send("x" * 11)
                with assert_closes(1009):
                    await ws.recv()
            async with await ScriptedPeer.connect(f"{server.uri}/raw") as peer:
                await peer.run("""
                    send text "hello"
                    expect text "hello"
                    send close 4000
                    expect close 4000
                """)
            ours = uvicorn.WebSocketProtocol
            assert app.log == [
                *("startup", ("/chat", b"room=1"), ours, 1009),
                *(("/raw", b""), ours, 4000),
            ]
        assert app.log[-1] == "shutdown"
        with pytest.raises(OSError, match="onnect"):
            await server.connect()

    run(main)


def test_uvicorn_has_its_other_options() -> None:
    async def main() -> None:
        app = Echo()
        options = {"lifespan": "off", "ws": "websockets-sansio", "root_path": "/a"}
        async with serve_asgi(app, **options) as server, server.connect("/b") as ws:
            await ws.close()
        assert app.log[0] == ("/a/b", b"")
        assert not issubclass(app.log[1], uvicorn.WebSocketProtocol)

    run(main)


def test_an_application_that_does_not_start(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="doesn't start"):
            async with serve_asgi(Echo(starts=False)):
                raise AssertionError

    run(main)
    assert "no database" in caplog.text


def test_aiohttp() -> None:
    log: list[Any] = []

    async def handler(request: web.Request) -> aiohttp.WebSocketResponse:
        ws = aiohttp.WebSocketResponse()
        await ws.prepare(request)
        log.append(request.path_qs)
        async for message in ws:
            await ws.send_str(message.data)
        log.append(ws.close_code)
        return ws

    async def note(app: web.Application) -> Any:
        log.append("startup")
        yield
        log.append("cleanup")

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/chat", handler)
        app.cleanup_ctx.append(note)
        async with serve_aiohttp(app) as server:
            async with server.connect("/chat?room=1") as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"
                await ws.close(4000)
            with pytest.raises(pywscore.InvalidStatus, match="404"):
                await server.connect("/other")
        assert log == ["startup", "/chat?room=1", 4000, "cleanup"]
        with pytest.raises(OSError, match="onnect"):
            await server.connect("/chat")

    run(main)


@pytest.mark.parametrize(
    ("name", "serve"), [("uvicorn", serve_asgi), ("aiohttp", serve_aiohttp)]
)
def test_without_the_package(
    name: str, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)

    async def main() -> None:
        with pytest.raises(ImportError, match=rf"pip install 'pywscore\[{name}\]'"):
            async with serve(None):
                raise AssertionError

    run(main)
