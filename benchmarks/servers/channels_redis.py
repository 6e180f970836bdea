"""The chat of Channels' tutorial, with its layer over Redis Pub/Sub, under uvicorn with
``--ws websockets-sansio``."""

from __future__ import annotations

import os
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter
from django.conf import settings

from pywscore.cli._bench.servers.uvicorn import listen


class Chat(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def connect(self) -> None:
        await self.channel_layer.group_add("lobby", self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard("lobby", self.channel_name)

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        event = {"type": "chat.message", "data": bytes_data}
        await self.channel_layer.group_send("lobby", event)

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(bytes_data=event["data"])


async def serve(compression: bool) -> int:
    settings.configure(
        CHANNEL_LAYERS={
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": [os.environ["REDIS_URL"]]},
            }
        }
    )
    app = ProtocolTypeRouter({"websocket": Chat.as_asgi()})
    return await listen(app, "websockets-sansio", compression)
