"""The same as pywscore_beside.py, with websockets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from websockets.asyncio.server import serve as serve_websockets

from .pywscore_beside import STEP


async def handler(ws: Any) -> None:
    slow = ws.request.path == "/slow"
    async for message in ws:
        if slow:
            time.sleep(STEP)
        await ws.send(message)


async def serve(compression: bool, tls: Path | None = None) -> int:
    server = await serve_websockets(handler, "127.0.0.1", 0, compression=None)
    return server.sockets[0].getsockname()[1]
