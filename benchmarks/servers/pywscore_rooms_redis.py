"""A message of one member of a room goes to all, over the Redis of $REDIS_URL."""

from __future__ import annotations

import os

from pywscore.rooms import Hub

from .pywscore_rooms import relay_by


async def serve(compression: bool) -> int:
    return await relay_by(Hub(os.environ["REDIS_URL"]))
