"""A chat room on aiohttp, with pywscore's WebSocketResponse and rooms.

    pip install 'pywscore[aiohttp]'
    python examples/chat_aiohttp.py

and open http://127.0.0.1:8080/ in two windows. Several of these are one room with
`--redis redis://127.0.0.1:6379` (pip install 'pywscore[redis]'), each on a `--port` of
its own. aiohttp's own WebSocketResponse can be a member, too: nothing else changes.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import WSMsgType, web

from pywscore.integrations.aiohttp import WebSocketResponse
from pywscore.rooms import Gap, Hub, Joined, Left, Room

MAX_NAME = 32
MAX_TEXT = 2000

PAGE = Path(__file__).with_name("chat.html").read_text(encoding="utf-8")
ROOM = web.AppKey("room", Room)


async def page(request: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def chat(request: web.Request) -> WebSocketResponse:
    ws = WebSocketResponse(heartbeat=30, max_msg_size=65536)
    await ws.prepare(request)
    room = request.app[ROOM]
    name = request.match_info["name"].strip()
    if not name or len(name) > MAX_NAME or name in await room.members():
        await ws.close(code=1008, message=b"this name can't be used, or is taken")
        return ws
    async with room.join(ws, user=name):
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await room.publish(f"{name}: {message.data[:MAX_TEXT]}")
            elif message.type is WSMsgType.ERROR:
                print(f"{name}: {message.data}")
    return ws


def notice(event: Gap | Joined | Left) -> str | None:
    """What members are told besides messages."""
    if isinstance(event, Joined):
        return f"{event.user} joined; {event.members} here"
    return f"{event.user} left" if isinstance(event, Left) else None


def application(url: str = "memory://") -> web.Application:
    async def rooms(app: web.Application) -> AsyncIterator[None]:
        async with Hub(url) as hub:
            app[ROOM] = hub.room("lobby", notice=notice)
            yield

    app = web.Application()
    app.cleanup_ctx.append(rooms)
    app.add_routes([web.get("/", page), web.get("/ws/{name}", chat)])
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--redis", default="memory://", metavar="URL")
    arguments = parser.parse_args()
    web.run_app(application(arguments.redis), host=arguments.host, port=arguments.port)


if __name__ == "__main__":
    main()
