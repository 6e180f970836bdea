"""websockets' asyncio server."""

from __future__ import annotations

from typing import Any

from websockets.asyncio.server import serve as serve_websockets


async def echo(ws: Any) -> None:
    async for message in ws:
        await ws.send(message)


async def serve(compression: bool) -> int:
    server = await serve_websockets(
        echo, "127.0.0.1", 0, compression="deflate" if compression else None
    )
    return server.sockets[0].getsockname()[1]
