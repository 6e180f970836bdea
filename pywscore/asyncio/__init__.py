"""WebSocket connections on asyncio: serve(), connect() and what they give."""

from ._listener import Listener
from ._stats import ConnectionStats, ServerStats, metrics_response
from ._workers import run
from .client import ClientConnection, connect, unix_connect
from .connection import Connection, broadcast
from .router import Router, route, unix_route
from .server import Server, ServerConnection, basic_auth, serve, unix_serve

__all__ = [
    "ClientConnection",
    "Connection",
    "ConnectionStats",
    "Listener",
    "Router",
    "Server",
    "ServerConnection",
    "ServerStats",
    "basic_auth",
    "broadcast",
    "connect",
    "metrics_response",
    "route",
    "run",
    "serve",
    "unix_connect",
    "unix_route",
    "unix_serve",
]
