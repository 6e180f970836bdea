"""``async for message in ws: await ws.send(message)``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pywscore


async def echo(ws: pywscore.ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


def settings(compression: bool, tls: Path | None) -> dict[str, Any]:
    ssl = None
    if tls is not None:
        ssl = pywscore.TLSContext.server(tls / "certificate.pem", tls / "key.pem")
    return {"compression": "deflate" if compression else None, "ssl": ssl}


async def serve(compression: bool, tls: Path | None = None) -> int:
    server = await pywscore.serve(echo, "127.0.0.1", 0, **settings(compression, tls))
    port: int = server.sockets[0].getsockname()[1]
    return port
