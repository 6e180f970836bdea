"""A message of one connection goes to all."""

from __future__ import annotations

import pywscore

members: set[pywscore.ServerConnection] = set()


async def relay(ws: pywscore.ServerConnection) -> None:
    members.add(ws)
    try:
        async for message in ws:
            pywscore.broadcast(members, message)
    finally:
        members.discard(ws)


async def serve(compression: bool) -> int:
    server = await pywscore.serve(relay, "127.0.0.1", 0, compression=None)
    port: int = server.sockets[0].getsockname()[1]
    return port
