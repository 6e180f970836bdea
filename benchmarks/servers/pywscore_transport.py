"""The same as pywscore.py, over asyncio's transports."""

from __future__ import annotations

import pywscore


async def echo(ws: pywscore.ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


async def serve(compression: bool) -> int:
    server = await pywscore.serve(
        echo,
        "127.0.0.1",
        0,
        compression="deflate" if compression else None,
        carrier="transport",
    )
    port: int = server.sockets[0].getsockname()[1]
    return port
