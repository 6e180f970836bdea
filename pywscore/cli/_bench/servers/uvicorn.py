"""An ASGI application under uvicorn with ``--ws websockets-sansio``."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
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


async def listen(
    application: Any, ws: str, compression: bool, tls: Path | None = None
) -> int:
    """Serve an ASGI application; returns the port."""
    config = uvicorn.Config(
        application,
        ws=ws,
        ws_per_message_deflate=compression,
        lifespan="off",
        log_level="error",
        ssl_certfile=tls and tls / "certificate.pem",
        ssl_keyfile=tls and str(tls / "key.pem"),
    )
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = uvicorn.Server(config)
    tasks.append(asyncio.create_task(server.serve(sockets=[listening])))
    while not server.started:
        await asyncio.sleep(0.01)
    port: int = listening.getsockname()[1]
    return port


async def serve(compression: bool, tls: Path | None = None) -> int:
    return await listen(echo, "websockets-sansio", compression, tls)
