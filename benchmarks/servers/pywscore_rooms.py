"""A message of one member of a room goes to all, in one process."""

from __future__ import annotations

import pywscore
from pywscore.rooms import Hub


async def relay_by(hub: Hub) -> int:
    room = hub.room("lobby")

    async def relay(ws: pywscore.ServerConnection) -> None:
        async with room.join(ws):
            async for message in ws:
                await room.publish(message)

    await hub.open()
    await room._hold()  # whoever joins is there at once
    server = await pywscore.serve(relay, "127.0.0.1", 0, compression=None)
    port: int = server.sockets[0].getsockname()[1]
    return port


async def serve(compression: bool) -> int:
    return await relay_by(Hub())
