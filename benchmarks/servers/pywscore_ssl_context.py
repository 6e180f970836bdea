"""The same as pywscore.py, with Python's own TLS."""

from __future__ import annotations

from pathlib import Path

import pywscore
from pywscore.cli._bench.servers import ssl_context
from pywscore.cli._bench.servers.pywscore import echo, settings


async def serve(compression: bool, tls: Path | None = None) -> int:
    options = settings(compression, None) | {"ssl": ssl_context(tls)}
    server = await pywscore.serve(echo, "127.0.0.1", 0, **options)
    port: int = server.sockets[0].getsockname()[1]
    return port
