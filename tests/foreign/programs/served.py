"""What the programs have in common."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from pywscore.integrations.uvicorn import WebSocketProtocol


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@asynccontextmanager
async def served(app) -> AsyncIterator[str]:
    """An ASGI application under uvicorn; gives its host and port."""
    server = uvicorn.Server(uvicorn.Config(app, ws=WebSocketProtocol, lifespan="off"))
    sock = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([sock]))
    host, port = sock.getsockname()
    yield f"{host}:{port}"
    server.should_exit = True
    await serving
