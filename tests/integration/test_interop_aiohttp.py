"""Both ends against aiohttp's client and server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import pywscore
from pywscore import PerMessageDeflate

MESSAGES: list[Any] = ["", "é€😀", b"", bytes(range(256)), "a" * 70_000, b"\xff" * 126]
LARGE: list[Any] = [bytes(1 << 20), "x" * (1 << 20)]


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await coroutine

    return asyncio.run(bounded())


@asynccontextmanager
async def their_server(**options: Any) -> AsyncIterator[str]:
    """An echo server; `close CODE REASON` makes it close."""

    async def handler(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(**options)
        await ws.prepare(request)
        async for message in ws:
            if message.type is aiohttp.WSMsgType.BINARY:
                await ws.send_bytes(message.data)
            elif message.data.startswith("close "):
                code, _, reason = message.data[6:].partition(" ")
                await ws.close(code=int(code), message=reason.encode())
            else:
                await ws.send_str(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"ws://{host}:{port}/"
    finally:
        await runner.cleanup()


async def echo(ws: pywscore.Connection) -> None:
    async for message in ws:
        if isinstance(message, str) and message.startswith("close "):
            code, _, reason = message[6:].partition(" ")
            await ws.close(int(code), reason)
        else:
            await ws.send(message)


@asynccontextmanager
async def our_server(**options: Any) -> AsyncIterator[str]:
    async with pywscore.serve(echo, "127.0.0.1", 0, **options) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@asynccontextmanager
async def their_client(
    uri: str, **options: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(uri, **options) as ws:
            yield ws


async def send(ws: aiohttp.ClientWebSocketResponse, message: Any) -> None:
    await (ws.send_str if isinstance(message, str) else ws.send_bytes)(message)


@pytest.mark.parametrize("compress", [0, 15])
def test_their_client(compress: int) -> None:
    async def main() -> None:
        async with our_server() as uri:
            async with their_client(uri, compress=compress) as ws:
                assert bool(ws.compress) == bool(compress)
                for message in [*MESSAGES, *LARGE]:
                    await send(ws, message)
                    assert (await ws.receive()).data == message
                for number in range(1000):
                    await ws.send_str(str(number))
                for number in range(1000):
                    assert await ws.receive_str() == str(number)
                await ws.ping(b"p" * 125)
                await ws.pong(b"unasked")
                await ws.close(code=3000, message="é".encode())
                assert ws.close_code == 3000

    run(main())


@pytest.mark.parametrize("compress", [False, True])
def test_their_server(compress: bool) -> None:
    async def main() -> None:
        async with their_server(compress=compress) as uri:
            async with pywscore.connect(uri, proxy=None) as ws:
                assert (ws.protocol.compression is not None) == compress
                for message in [*MESSAGES, *LARGE]:
                    await ws.send(message)
                    assert await ws.recv() == message
                await ws.send(["in ", "", "é", " fragments"])
                assert await ws.recv() == "in é fragments"
                for number in range(1000):
                    await ws.send(str(number))
                for number in range(1000):
                    assert await ws.recv() == str(number)
                assert await (await ws.ping(b"p" * 125)) < 10
                await ws.close(4999, "é" * 61)
                # aiohttp answers every close with 1000.
                assert (ws.close_code, ws.close_reason) == (1000, "")
                assert ws.protocol.close_sent == pywscore.Close(4999, "é" * 61)

    run(main())


@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize("once", [False, True])
@pytest.mark.threat("INF-7")
def test_windows_with_our_server(bits: int, once: bool) -> None:
    async def main() -> None:
        settings = PerMessageDeflate(
            server_max_window_bits=bits,
            client_max_window_bits=bits,
            server_no_context_takeover=once,
            client_no_context_takeover=once,
            threshold=0,
        )
        text = "".join(f"line {number}\n" for number in range(5000))
        async with our_server(compression=settings) as uri:
            async with their_client(uri, compress=15) as ws:
                assert ws.compress == bits
                for message in (text, text[::-1], text.encode(), "short", text):
                    await send(ws, message)
                    assert (await ws.receive()).data == message

    run(main())


@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize("once", [False, True])
@pytest.mark.threat("INF-7")
def test_windows_with_our_client(bits: int, once: bool) -> None:
    async def main() -> None:
        # aiohttp doesn't answer an offer of 15, which RFC 7692 §7.1.2.1 asks for.
        settings = PerMessageDeflate(
            server_max_window_bits=bits if bits < 15 else None,
            server_no_context_takeover=once,
            threshold=0,
        )
        text = "".join(f"line {number}\n" for number in range(5000))
        async with their_server() as uri:
            async with pywscore.connect(uri, proxy=None, compression=settings) as ws:
                agreed = ws.protocol.compression
                assert agreed is not None
                assert agreed.server_max_window_bits == bits
                assert agreed.server_no_context_takeover == once
                for message in (text, text[::-1], text.encode(), "short", text):
                    await ws.send(message)
                    assert await ws.recv() == message

    run(main())


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "x"), (4321, "é" * 61)]
)
def test_closes_of_the_server(code: int, reason: str) -> None:
    async def main() -> None:
        async with their_server() as uri:
            async with pywscore.connect(uri, proxy=None) as ws:
                await ws.send(f"close {code} {reason}")
                await ws.wait_closed()
                assert (ws.close_code, ws.close_reason) == (code, reason)
        async with our_server() as uri:
            async with their_client(uri) as ws:
                await ws.send_str(f"close {code} {reason}")
                message = await ws.receive()
                assert message.type is aiohttp.WSMsgType.CLOSE
                assert (message.data, message.extra) == (code, reason)

    run(main())


def test_subprotocols_and_headers() -> None:
    async def main() -> None:
        async with their_server(protocols=["chat"]) as uri:
            async with pywscore.connect(
                uri, proxy=None, subprotocols=["x", "chat"]
            ) as ws:
                assert ws.subprotocol == "chat"
                assert ws.response is not None
                assert "aiohttp" in ws.response.headers["Server"]
        async with our_server(subprotocols=["chat"]) as uri:
            async with their_client(uri, protocols=["x", "chat"]) as ws:
                assert ws.protocol == "chat"

    run(main())


def test_refusals() -> None:
    async def main() -> None:
        async with our_server(
            process_request=lambda ws, _: ws.respond(404, "no")
        ) as uri:
            with pytest.raises(aiohttp.WSServerHandshakeError) as info:
                async with their_client(uri):
                    raise AssertionError
            assert info.value.status == 404
        async with their_server() as uri:
            with pytest.raises(pywscore.InvalidStatus) as refused:
                await pywscore.connect(uri + "missing", proxy=None)
            assert refused.value.response.status_code == 404

    run(main())


def test_pages_are_answered() -> None:
    """A plain GET to our server gets an answer that aiohttp can read."""

    async def main() -> None:
        async with our_server() as uri, aiohttp.ClientSession() as session:
            async with session.get(uri.replace("ws", "http", 1)) as response:
                assert response.status == 426
                assert response.headers["Sec-WebSocket-Version"] == "13"
                assert "WebSocket" in await response.text()

    run(main())
