"""A chat room on aiohttp, with pywscore's WebSocketResponse.

    pip install 'pywscore[aiohttp]'
    python examples/chat_aiohttp.py

and open http://127.0.0.1:8080/ in two windows. To see aiohttp's own class at work,
import WebSocketResponse from aiohttp.web instead: nothing else changes.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from aiohttp import WSMsgType, web

from pywscore.integrations.aiohttp import WebSocketResponse

MAX_NAME = 32
MAX_TEXT = 2000
MAX_BEHIND = 100  # lines that may wait for a slow member

PAGE = Path(__file__).with_name("chat.html").read_text(encoding="utf-8")


class Room:
    """Who is here, and the lines that each of them has yet to be sent."""

    def __init__(self) -> None:
        self.members: dict[str, asyncio.Queue[str]] = {}

    def tell(self, line: str) -> None:
        """Say it to all. Who is too far behind misses it; nobody waits for them."""
        for queue in self.members.values():
            if not queue.full():
                queue.put_nowait(line)


ROOM = web.AppKey("room", Room)


async def page(request: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def chat(request: web.Request) -> WebSocketResponse:
    ws = WebSocketResponse(heartbeat=30, max_msg_size=65536)
    await ws.prepare(request)
    room = request.app[ROOM]
    name = request.match_info["name"].strip()
    if not name or len(name) > MAX_NAME or name in room.members:
        await ws.close(code=1008, message=b"this name can't be used, or is taken")
        return ws
    queue = room.members[name] = asyncio.Queue(MAX_BEHIND)
    writer = asyncio.create_task(write(ws, queue))
    room.tell(f"{name} joined; here: {', '.join(room.members)}")
    try:
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                room.tell(f"{name}: {message.data[:MAX_TEXT]}")
            elif message.type is WSMsgType.ERROR:
                print(f"{name}: {message.data}")
    finally:
        writer.cancel()
        del room.members[name]
        room.tell(f"{name} left")
    return ws


async def write(ws: WebSocketResponse, queue: asyncio.Queue[str]) -> None:
    try:
        while True:
            await ws.send_str(await queue.get())
    except ConnectionResetError:
        pass  # the one who reads sees it too


def application() -> web.Application:
    app = web.Application()
    app[ROOM] = Room()
    app.add_routes([web.get("/", page), web.get("/ws/{name}", chat)])
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    web.run_app(application(), host=arguments.host, port=arguments.port)


if __name__ == "__main__":
    main()
