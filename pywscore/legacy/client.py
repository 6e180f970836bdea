"""The names of ``websockets.legacy.client``."""

from ..asyncio.client import ClientConnection as WebSocketClientProtocol
from ..asyncio.client import connect, unix_connect

__all__ = ["WebSocketClientProtocol", "connect", "unix_connect"]
