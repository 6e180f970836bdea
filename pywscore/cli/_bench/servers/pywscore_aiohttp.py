"""The handler of aiohttp.py with pywscore's WebSocketResponse."""

from __future__ import annotations

from pathlib import Path

from aiohttp import WSMsgType, web

from pywscore.integrations.aiohttp import WebSocketResponse

from . import ssl_context

CARRIER = "auto"


def application(compression: bool) -> web.Application:
    async def echo(request: web.Request) -> WebSocketResponse:
        ws = WebSocketResponse(compress=compression, carrier=CARRIER)
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


async def serve(compression: bool, tls: Path | None = None) -> int:
    runner = web.AppRunner(application(compression))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context(tls))
    await site.start()
    port: int = runner.addresses[0][1]
    return port
