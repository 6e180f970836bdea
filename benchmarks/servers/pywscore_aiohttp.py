"""The handler of aiohttp.py with pywscore's WebSocketResponse."""

from __future__ import annotations

from aiohttp import WSMsgType, web

from pywscore.integrations.aiohttp import WebSocketResponse

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


async def serve(compression: bool) -> int:
    runner = web.AppRunner(application(compression))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port: int = runner.addresses[0][1]
    return port
