"""The same as pywscore_beside.py, over asyncio's transports."""

from __future__ import annotations

from pathlib import Path

from . import pywscore_beside


async def serve(compression: bool, tls: Path | None = None) -> int:
    return await pywscore_beside.serve(compression, tls, "transport")
