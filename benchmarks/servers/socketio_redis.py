"""The chat of python-socketio, with its manager over Redis Pub/Sub, under uvicorn with
``--ws websockets-sansio``."""

from __future__ import annotations

import os
from typing import Any

import socketio

from pywscore.cli._bench.servers.uvicorn import listen


async def serve(compression: bool) -> int:
    server = socketio.AsyncServer(
        async_mode="asgi",
        transports=["websocket"],
        client_manager=socketio.AsyncRedisManager(os.environ["REDIS_URL"]),
        ping_interval=3600,  # the client answers none
    )

    async def connect(sid: str, environ: Any) -> None:
        await server.enter_room(sid, "lobby")

    async def relay(sid: str, data: str) -> None:
        await server.emit("m", data, room="lobby")

    server.on("connect", connect)
    server.on("m", relay)
    return await listen(socketio.ASGIApp(server), "websockets-sansio", compression)
