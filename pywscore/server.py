"""The server without I/O, and names that ``websockets.server`` still has."""

from .legacy.server import (
    WebSocketServer,
    WebSocketServerProtocol,
    broadcast,
    serve,
    unix_serve,
)
from .protocol import ServerProtocol

__all__ = [
    "ServerConnection",
    "ServerProtocol",
    "WebSocketServer",
    "WebSocketServerProtocol",
    "broadcast",
    "serve",
    "unix_serve",
]

ServerConnection = ServerProtocol
