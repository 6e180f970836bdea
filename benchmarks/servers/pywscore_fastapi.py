"""The application of ``fastapi_sansio.py`` with pywscore's class for ``--ws``."""

from __future__ import annotations

from pywscore.cli._bench.servers.pywscore_uvicorn import WS
from pywscore.cli._bench.servers.uvicorn import listen

from .fastapi_sansio import app

DISTRIBUTION = "fastapi"
TITLE = "FastAPI, uvicorn with pywscore"


async def serve(compression: bool) -> int:
    return await listen(app, WS, compression)
