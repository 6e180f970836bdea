"""picows' async API, which is that of websockets."""

from __future__ import annotations

from typing import Any

import picows.websockets


async def echo(ws: Any) -> None:
    async for message in ws:
        await ws.send(message)


async def serve(compression: bool) -> int:
    server = await picows.websockets.serve(
        echo, "127.0.0.1", 0, compression="deflate" if compression else None
    )
    return server.sockets[0].getsockname()[1]
