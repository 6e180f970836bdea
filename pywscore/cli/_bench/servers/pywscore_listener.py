"""A listener: synchronous callbacks instead of a coroutine."""

from __future__ import annotations

from pathlib import Path

import pywscore

from .pywscore import settings


class Echo:
    def on_message(self, ws: pywscore.ServerConnection, message: str | bytes) -> None:
        ws.send_nowait(message)


async def serve(compression: bool, tls: Path | None = None) -> int:
    server = await pywscore.serve(
        None, "127.0.0.1", 0, listener=Echo, **settings(compression, tls)
    )
    port: int = server.sockets[0].getsockname()[1]
    return port
