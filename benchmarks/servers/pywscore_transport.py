"""The same as pywscore.py, over asyncio's transports."""

from __future__ import annotations

from pathlib import Path

import pywscore
from pywscore.cli._bench.servers import ssl_context
from pywscore.cli._bench.servers.pywscore import echo


async def serve(compression: bool, tls: Path | None = None) -> int:
    server = await pywscore.serve(
        echo,
        "127.0.0.1",
        0,
        compression="deflate" if compression else None,
        ssl=ssl_context(tls),
        carrier="transport",
    )
    port: int = server.sockets[0].getsockname()[1]
    return port
