"""An echo, or where the path says so one that blocks the loop with each message."""

from __future__ import annotations

import time
from pathlib import Path

import pywscore

STEP = 0.005


async def handler(ws: pywscore.ServerConnection) -> None:
    assert ws.request is not None
    slow = ws.request.path == "/slow"
    async for message in ws:
        if slow:
            time.sleep(STEP)
        await ws.send(message)


async def serve(
    compression: bool, tls: Path | None = None, carrier: str = "auto"
) -> int:
    server = await pywscore.serve(
        handler, "127.0.0.1", 0, compression=None, carrier=carrier
    )
    port: int = server.sockets[0].getsockname()[1]
    return port
