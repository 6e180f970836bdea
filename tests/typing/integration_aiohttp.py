"""A handler of aiohttp, as mypy --strict sees it. Checked, never run."""

from typing import Any, assert_type

from aiohttp import ClientSession, WSMessage, web

from pywscore.integrations.aiohttp import WebSocketResponse, ws_connect


async def handler(request: web.Request) -> web.StreamResponse:
    ws = WebSocketResponse(heartbeat=30, compress=False)
    await ws.prepare(request)
    async for message in ws:
        assert_type(message, WSMessage)
        assert_type(await ws.send_str("text"), None)
        await ws.send_bytes(b"binary", compress=1)
        await ws.send_json({"data": message.data})
    assert_type(await ws.receive(timeout=1.5), WSMessage)
    assert_type(await ws.receive_str(), str)
    assert_type(ws.close_code, int | None)
    await ws.close(code=4000, message=b"that is all")
    return ws


async def client(url: str) -> Any:
    async with ClientSession() as session, ws_connect(session, url) as ws:
        await ws.send_bytes(b"binary")
        assert_type(await ws.receive_bytes(), bytes)
        return await ws.receive_json()
