"""The names of ``websockets.legacy.protocol``."""

from ..asyncio.connection import Connection as WebSocketCommonProtocol
from ..asyncio.connection import broadcast

__all__ = ["WebSocketCommonProtocol", "broadcast"]
