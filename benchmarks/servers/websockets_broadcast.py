"""A message of one connection goes to all, by websockets' broadcast()."""

from __future__ import annotations

from typing import Any

from websockets.asyncio.server import broadcast
from websockets.asyncio.server import serve as serve_websockets

members: set[Any] = set()


async def relay(ws: Any) -> None:
    members.add(ws)
    try:
        async for message in ws:
            broadcast(members, message)
    finally:
        members.discard(ws)


async def serve(compression: bool) -> int:
    server = await serve_websockets(relay, "127.0.0.1", 0, compression=None)
    return server.sockets[0].getsockname()[1]
