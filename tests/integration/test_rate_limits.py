"""rate_limit= with both drop-ins."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from uvicorn_servers import ENVIRONMENTS, Environment
from waiting import until

import pywscore
from pywscore import RateLimit
from pywscore.integrations.aiohttp import WebSocketResponse
from pywscore.integrations.uvicorn import WebSocketProtocol

pytestmark = pytest.mark.threat("RAT-1")

CLOSES = RateLimit(messages=3, action="close")
# So rare that the second doesn't come while the test runs.
PAUSES = RateLimit(messages=0.001)


@asynccontextmanager
async def by_aiohttp(limit: RateLimit, carrier: str, received: list[Any]) -> Any:
    connections = []

    async def handler(request: web.Request) -> web.StreamResponse:
        ws = WebSocketResponse(rate_limit=limit, carrier=carrier)
        await ws.prepare(request)
        connections.append(ws._connection)
        async for message in ws:
            received.append(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/")).replace("http", "ws"), connections


@asynccontextmanager
async def by_uvicorn(limit: RateLimit, received: list[Any]) -> Any:
    connections = []

    class Limited(WebSocketProtocol):
        rate_limit = limit

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            connections.append(self)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            received.append(event["text"])

    loop, http = ENVIRONMENTS[0]
    environment = Environment(loop, http, Limited)  # type: ignore[arg-type]
    async with environment.serve(app) as server:
        yield server.uri, connections


def served(name: str, limit: RateLimit, received: list[Any]) -> Any:
    if name == "uvicorn":
        return by_uvicorn(limit, received)
    return by_aiohttp(limit, name.removeprefix("aiohttp-"), received)


NAMES = pytest.mark.parametrize(
    "name", ["uvicorn", "aiohttp-auto", "aiohttp-transport"]
)


@NAMES
def test_who_sends_more_is_closed(name: str) -> None:
    async def main() -> None:
        received: list[Any] = []
        async with served(name, CLOSES, received) as (uri, _):
            async with pywscore.connect(uri, proxy=None) as ws:
                for number in range(10):
                    await ws.send(str(number))
                await ws.wait_closed()
                assert (ws.close_code, ws.close_reason) == (1008, "too many messages")
        assert received == ["0", "1", "2"]

    asyncio.run(main())


@NAMES
def test_who_sends_more_waits(name: str) -> None:
    async def main() -> None:
        received: list[Any] = []
        async with served(name, PAUSES, received) as (uri, connections):
            async with pywscore.connect(uri, proxy=None, close_timeout=0.1) as ws:
                for number in range(10):
                    await ws.send(str(number))
                await until(lambda: connections and connections[0].read_paused)
                await until(lambda: received)
                assert received == ["0"]
                assert ws.state is pywscore.State.OPEN
                connections[0].transport.abort()

    asyncio.run(main())


def test_what_aiohttps_class_takes() -> None:
    with pytest.raises(TypeError, match="rate_limit must be a RateLimit"):
        WebSocketResponse(rate_limit=3)  # type: ignore[arg-type]
