"""A chat room on FastAPI, with pywscore below uvicorn and its rooms.

    pip install fastapi 'pywscore[uvicorn]'
    python examples/chat_fastapi.py

and open http://127.0.0.1:8000/ in two windows. With uvicorn's own program it is

    uvicorn --app-dir examples --ws pywscore.integrations.uvicorn:WebSocketProtocol \\
        chat_fastapi:app

Several processes are one room by `--redis redis://127.0.0.1:6379 --workers 2`, or with
the URL in CHAT_REDIS (pip install 'pywscore[redis]').
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI, WebSocket
from fastapi.responses import HTMLResponse

from pywscore.rooms import Gap, Hub, Joined, Left

MAX_NAME = 32
MAX_TEXT = 2000

PAGE = Path(__file__).with_name("chat.html").read_text(encoding="utf-8")


def notice(event: Gap | Joined | Left) -> str | None:
    """What members are told besides messages."""
    if isinstance(event, Joined):
        return f"{event.user} joined; {event.members} here"
    return f"{event.user} left" if isinstance(event, Left) else None


hub = Hub(os.environ.get("CHAT_REDIS", "memory://"))
room = hub.room("lobby", notice=notice)


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with hub:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.websocket("/ws/{name}")
async def chat(ws: WebSocket, name: str) -> None:
    await ws.accept()
    name = name.strip()
    if not name or len(name) > MAX_NAME or name in await room.members():
        await ws.close(1008, "this name can't be used, or is taken")
        return
    # Who reads too slowly misses messages: nobody else waits for them.
    async with room.join(ws, user=name):
        async for text in ws.iter_text():
            await room.publish(f"{name}: {text[:MAX_TEXT]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat room on FastAPI.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--redis", default="memory://", metavar="URL")
    parser.add_argument("--workers", type=int, default=1)
    options = vars(parser.parse_args())
    os.environ["CHAT_REDIS"] = options.pop("redis")
    ws = "pywscore.integrations.uvicorn:WebSocketProtocol"
    uvicorn.run("chat_fastapi:app", ws=ws, **options)
