"""The chat of FastAPI's documentation, with Redis Pub/Sub between processes, under
uvicorn with ``--ws websockets-sansio``."""

from __future__ import annotations

import asyncio
import os

import redis.asyncio
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from pywscore.cli._bench.servers.uvicorn import listen

app = FastAPI()
members: set[WebSocket] = set()
client = redis.asyncio.Redis.from_url(os.environ.get("REDIS_URL", "redis://"))
tasks: list[asyncio.Task[None]] = []


async def give_to_members(pubsub: redis.asyncio.client.PubSub) -> None:
    async for message in pubsub.listen():
        if message["type"] == "message":
            for ws in list(members):
                await ws.send_bytes(message["data"])


@app.websocket("/")
async def relay(ws: WebSocket) -> None:
    await ws.accept()
    members.add(ws)
    try:
        while True:
            await client.publish("lobby", await ws.receive_bytes())
    except WebSocketDisconnect:
        pass
    finally:
        members.discard(ws)


async def serve(compression: bool) -> int:
    pubsub = client.pubsub()
    await pubsub.subscribe("lobby")
    tasks.append(asyncio.create_task(give_to_members(pubsub)))
    return await listen(app, "websockets-sansio", compression)
