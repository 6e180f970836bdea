"""aiohttp's WebSocketResponse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiohttp import WSMsgType, web

from . import ssl_context


def application(response: Callable[[], web.WebSocketResponse]) -> web.Application:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        ws = response()
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            else:
                await ws.send_bytes(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/", echo)
    return app


async def listen(
    response: Callable[[], web.WebSocketResponse], tls: Path | None
) -> int:
    """Serve an echo by what this makes; returns the port."""
    runner = web.AppRunner(application(response))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context(tls))
    await site.start()
    port: int = runner.addresses[0][1]
    return port


async def serve(compression: bool, tls: Path | None = None) -> int:
    return await listen(lambda: web.WebSocketResponse(compress=compression), tls)
