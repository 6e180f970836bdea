"""A chat room on FastAPI, with pywscore below uvicorn.

    pip install fastapi 'pywscore[uvicorn]'
    python examples/chat_fastapi.py

and open http://127.0.0.1:8000/ in two windows. With another server program it is

    uvicorn --app-dir examples --ws pywscore.integrations.uvicorn:WebSocketProtocol \\
        chat_fastapi:app
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse

MAX_NAME = 32
MAX_TEXT = 2000
MAX_BEHIND = 100  # messages that may wait for a slow member

PAGE = Path(__file__).with_name("chat.html").read_text(encoding="utf-8")

app = FastAPI()
members: dict[str, asyncio.Queue[str]] = {}


@app.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.websocket("/ws/{name}")
async def chat(ws: WebSocket, name: str) -> None:
    await ws.accept()
    name = name.strip()
    if not name or len(name) > MAX_NAME or name in members:
        await ws.close(1008, "this name can't be used, or is taken")
        return
    # A member who reads slowly has a queue of their own: nobody else waits for them.
    queue = members[name] = asyncio.Queue(MAX_BEHIND)
    writer = asyncio.create_task(write(ws, queue))
    try:
        tell(f"{name} joined; here: {', '.join(members)}")
        while True:
            text = await ws.receive_text()
            tell(f"{name}: {text[:MAX_TEXT]}")
    except WebSocketDisconnect:
        pass
    finally:
        writer.cancel()
        del members[name]
        tell(f"{name} left")


async def write(ws: WebSocket, queue: asyncio.Queue[str]) -> None:
    try:
        while True:
            await ws.send_text(await queue.get())
    except (WebSocketDisconnect, RuntimeError):
        pass  # the one who reads sees it too


def tell(text: str) -> None:
    """To all members; those who are too far behind miss it."""
    for queue in members.values():
        if not queue.full():
            queue.put_nowait(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat room on FastAPI.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        ws="pywscore.integrations.uvicorn:WebSocketProtocol",
    )
