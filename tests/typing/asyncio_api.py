"""How users call serve() and connect(), as checkers of types see it. Never run."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from typing import Any, assert_type

import pywscore
from pywscore.rooms import Hub
from pywscore.typing import Carrier, Subprotocol


async def echo(ws: pywscore.ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


class Mine(pywscore.ServerConnection):
    user: str


class MyClient(pywscore.ClientConnection):
    token: str


async def greet(ws: Mine) -> None:
    await ws.send(ws.user)


class Echo:
    def on_message(self, ws: pywscore.Connection, message: str | bytes) -> None:
        ws.send_nowait(message)


def check(
    ws: pywscore.ServerConnection, request: pywscore.Request
) -> pywscore.Response | None:
    return ws.respond(403, "no") if request.path == "/no" else None


async def check_later(
    ws: pywscore.ServerConnection, request: pywscore.Request
) -> pywscore.Response | None:
    return check(ws, request)


async def sign(
    ws: pywscore.ServerConnection,
    request: pywscore.Request,
    response: pywscore.Response,
) -> None:
    response.headers["X-Path"] = request.path


def choose(
    ws: pywscore.ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    return offered[0] if offered else None


async def servers(context: ssl.SSLContext, carrier: Carrier) -> None:
    assert_type(pywscore.serve(echo, "127.0.0.1", 8765), pywscore.Server)
    pywscore.serve(
        echo,
        ["127.0.0.1", "::1"],
        0,
        ssl=context,
        carrier=carrier,
        process_request=check,
        process_response=sign,
        select_subprotocol=choose,
        reuse_port=True,
        start_serving=False,
        max_size=(1 << 20, None),
    )
    pywscore.serve(echo, process_request=check_later, ssl=None)
    pywscore.serve(echo, process_request=pywscore.basic_auth("r", credentials=None))
    pywscore.serve(greet, create_connection=Mine)
    pywscore.serve(None, "127.0.0.1", 0, listener=Echo)
    pywscore.serve(None, listener=Echo, create_connection=Mine)
    pywscore.unix_serve(echo, "/tmp/socket", ping_interval=None)
    pywscore.unix_serve(greet, create_connection=Mine)
    async with pywscore.serve(echo, "127.0.0.1", 8765) as server:
        assert_type(server, pywscore.Server)
    pywscore.run(echo, "127.0.0.1", 8765, workers=4, ssl=context, max_queue=(8, 2))
    pywscore.run(None, listener=Echo)
    pywscore.run(echo, "127.0.0.1", 8765, lifespan=lambda: Hub())


async def wrong_servers(context: ssl.SSLContext) -> None:
    # The ignores are checked: one that isn't needed is an error.
    pywscore.serve(echo, ssl=3)  # type: ignore[call-overload]
    pywscore.serve(echo, reuse_prot=True)  # type: ignore[call-overload]
    pywscore.serve(echo, ping_intervall=3)  # type: ignore[call-overload]
    pywscore.serve(echo, ping_interval="3")  # type: ignore[call-overload]
    pywscore.serve(echo, carrier="fast")  # type: ignore[call-overload]
    pywscore.serve(echo, listener=Echo)  # type: ignore[call-overload]
    pywscore.serve(None)  # type: ignore[call-overload]
    pywscore.serve(greet)  # type: ignore[arg-type]
    pywscore.serve(None, listener=Echo())  # type: ignore[call-overload]
    pywscore.serve(echo, process_request=sign)  # type: ignore[arg-type]
    pywscore.serve(echo, select_subprotocol=check)  # type: ignore[arg-type]
    pywscore.serve(lambda ws: None)  # type: ignore[arg-type, return-value]
    pywscore.serve(echo, extra_headers={})  # type: ignore[call-overload]
    pywscore.unix_serve(echo, "/tmp/socket", host="h")  # type: ignore[call-overload]
    pywscore.run(echo, lifespan=Hub())  # type: ignore[arg-type]
    pywscore.run(echo, worker=4)  # type: ignore[call-arg]
    pywscore.run(echo, ssl="cert.pem")  # type: ignore[arg-type]


async def clients(context: ssl.SSLContext, some: dict[str, Any]) -> None:
    ws = await pywscore.connect("ws://h", ssl=context, server_hostname="h")
    assert_type(ws, pywscore.ClientConnection)
    async with pywscore.connect("ws://h", create_connection=MyClient) as mine:
        assert_type(mine, MyClient)
        assert_type(mine.token, str)
    async for mine in pywscore.connect("ws://h", create_connection=MyClient):
        assert_type(mine, MyClient)
    async for ws in pywscore.connect("ws://h", carrier="engine"):
        assert_type(ws, pywscore.ClientConnection)
    async with pywscore.unix_connect("/tmp/socket", ping_timeout=3) as ws:
        assert_type(ws, pywscore.ClientConnection)
    async with pywscore.unix_connect(create_connection=MyClient) as mine:
        assert_type(mine, MyClient)
    await pywscore.connect("wss://h", proxy="http://p", proxy_ssl=None, ssl=True)
    await pywscore.connect("ws://h", **some)


class Redirecting(pywscore.connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        return super().process_redirect(exc)


async def wrong_clients() -> None:
    pywscore.connect("ws://h", ssl=3)  # type: ignore[arg-type]
    pywscore.connect("ws://h", ping_intervall=3)  # type: ignore[call-arg]
    pywscore.connect("ws://h", open_timeout="3")  # type: ignore[arg-type]
    pywscore.connect("ws://h", extra_headers={})  # type: ignore[call-arg]
    pywscore.connect("ws://h", create_connection=Mine)  # type: ignore[type-var]
    pywscore.connect("ws://h", carrier="fast")  # type: ignore[arg-type]
    pywscore.connect(None)  # type: ignore[arg-type]
    pywscore.unix_connect("/tmp/socket", proxy_port=3)  # type: ignore[call-arg]


async def sends(ws: pywscore.Connection, pieces: AsyncIterator[bytes]) -> None:
    await ws.send("text")
    await ws.send(bytearray(b"binary"), text=True)
    await ws.send(["in ", "pieces"])
    await ws.send(pieces)
    pong: Awaitable[float] = await ws.ping()
    assert_type(await pong, float)
    assert_type(ws.ping_interval, float | None)
    ws.close_timeout = 1.5


async def wrong_sends(ws: pywscore.Connection, numbers: Iterator[int]) -> None:
    await ws.send(1)  # type: ignore[arg-type]
    await ws.send(None)  # type: ignore[arg-type]
    await ws.send({"a": 1}.values())  # type: ignore[arg-type]
    await ws.send(numbers)  # type: ignore[arg-type]
    ws.ping_interval = 3  # type: ignore[misc]
