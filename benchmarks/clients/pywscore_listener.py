"""A listener: synchronous callbacks instead of a coroutine."""

from __future__ import annotations

import pywscore

from . import ssl_context


class Takes:
    def on_message(self, ws: pywscore.ClientConnection, message: str | bytes) -> None:
        pass


class TakesTurns:
    def on_message(self, ws: pywscore.ClientConnection, message: str | bytes) -> None:
        ws.send_nowait(message)


async def run(uri: str, *, tls: bool, compression: bool, turns: bool) -> None:
    async with pywscore.connect(
        uri,
        listener=TakesTurns if turns else Takes,
        compression="deflate" if compression else None,
        proxy=None,
        close_timeout=0.1,
        **({"ssl": ssl_context(tls)} if tls else {}),
    ) as ws:
        await ws.wait_closed()
