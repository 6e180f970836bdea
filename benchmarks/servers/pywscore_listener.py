"""A listener that sends each message back."""

from __future__ import annotations

from typing import Any

import pywscore


class Echo:
    def on_message(self, ws: pywscore.ServerConnection, message: Any) -> None:
        ws.send_nowait(message)


async def serve(compression: bool) -> int:
    server = await pywscore.serve(
        None,
        "127.0.0.1",
        0,
        listener=Echo,
        compression="deflate" if compression else None,
    )
    port: int = server.sockets[0].getsockname()[1]
    return port
