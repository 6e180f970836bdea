"""The ASGI application of ``uvicorn.py`` with pywscore's class for ``--ws``."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn

from .uvicorn import echo

DISTRIBUTION = "pywscore"
TITLE = "uvicorn with pywscore"
WS = "pywscore.integrations.uvicorn:WebSocketProtocol"

tasks: list[asyncio.Task[None]] = []


async def listen(application: Any, ws: str, compression: bool) -> int:
    """Serve an ASGI application; returns the port."""
    config = uvicorn.Config(
        application,
        ws=ws,
        ws_per_message_deflate=compression,
        lifespan="off",
        log_level="error",
    )
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = uvicorn.Server(config)
    tasks.append(asyncio.create_task(server.serve(sockets=[listening])))
    while not server.started:
        await asyncio.sleep(0.01)
    port: int = listening.getsockname()[1]
    return port


async def serve(compression: bool) -> int:
    return await listen(echo, WS, compression)
