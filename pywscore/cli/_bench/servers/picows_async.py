"""picows' async API, which is that of websockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import picows.websockets

from . import ssl_context


async def echo(ws: Any) -> None:
    async for message in ws:
        await ws.send(message)


async def serve(compression: bool, tls: Path | None = None) -> int:
    server = await picows.websockets.serve(
        echo,
        "127.0.0.1",
        0,
        compression="deflate" if compression else None,
        ssl=ssl_context(tls),
    )
    port: int = server.sockets[0].getsockname()[1]
    return port
