"""Rooms: what is published in one reaches its members, in this process or, over Redis,
in many::

    hub = Hub("redis://127.0.0.1:6379")
    lobby = hub.room("lobby", history=200)

    async def handler(ws):
        async with lobby.join(ws, user={"name": "ada"}):
            async for text in ws:
                await lobby.publish(text)

    async def main():
        async with hub, serve(handler, "127.0.0.1", 8765) as server:
            await server.serve_forever()
"""

from ._errors import HubError, LimitError, PublishError
from ._hub import Hub
from ._message import Event, Gap, Joined, Left, Message
from ._node import HubState
from ._room import Member, Room
from ._stats import HubStats

__all__ = [
    "Hub",
    "HubState",
    "HubStats",
    "Room",
    "Member",
    "Message",
    "Gap",
    "Joined",
    "Left",
    "Event",
    "HubError",
    "PublishError",
    "LimitError",
]
