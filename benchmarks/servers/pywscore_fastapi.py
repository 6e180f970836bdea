"""The application of ``fastapi_sansio.py`` with pywscore's class for ``--ws``."""

from __future__ import annotations

from .fastapi_sansio import app
from .pywscore_uvicorn import WS
from .uvicorn import listen

DISTRIBUTION = "fastapi"
TITLE = "FastAPI, uvicorn with pywscore"


async def serve(compression: bool) -> int:
    return await listen(app, WS, compression)
