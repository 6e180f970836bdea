"""The handler of aiohttp.py with pywscore's WebSocketResponse."""

from __future__ import annotations

from pathlib import Path

from pywscore.integrations.aiohttp import WebSocketResponse

from .aiohttp import listen


async def serve(compression: bool, tls: Path | None = None) -> int:
    return await listen(lambda: WebSocketResponse(compress=compression), tls)
