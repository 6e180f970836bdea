"""The ASGI application of ``uvicorn.py`` with pywscore's class for ``--ws``."""

from __future__ import annotations

from pathlib import Path

from .uvicorn import echo, listen

DISTRIBUTION = "pywscore"
TITLE = "uvicorn with pywscore"
WS = "pywscore.integrations.uvicorn:WebSocketProtocol"


async def serve(compression: bool, tls: Path | None = None) -> int:
    return await listen(echo, WS, compression, tls)
