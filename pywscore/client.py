"""The client without I/O, and names that ``websockets.client`` still has."""

from .asyncio._reconnect import backoff, process_exception
from .legacy.client import WebSocketClientProtocol, connect, unix_connect
from .protocol import ClientProtocol

__all__ = [
    "ClientConnection",
    "ClientProtocol",
    "WebSocketClientProtocol",
    "backoff",
    "connect",
    "process_exception",
    "unix_connect",
]

ClientConnection = ClientProtocol
