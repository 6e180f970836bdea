"""An ASGI application under uvicorn with ``--ws websockets-sansio``."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn

tasks: list[asyncio.Task[None]] = []


async def echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send(
            {
                "type": "websocket.send",
                "bytes": event.get("bytes"),
                "text": event.get("text"),
            }
        )


async def serve(compression: bool) -> int:
    config = uvicorn.Config(
        echo,
        ws="websockets-sansio",
        ws_per_message_deflate=compression,
        lifespan="off",
        log_level="error",
    )
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = uvicorn.Server(config)
    tasks.append(asyncio.create_task(server.serve(sockets=[listening])))
    while not server.started:
        await asyncio.sleep(0.01)
    return listening.getsockname()[1]
