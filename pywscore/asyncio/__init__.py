"""WebSocket connections on asyncio: serve(), connect() and what they give.

Each name is imported when it is asked for: many programs are a server or a client, not
both.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._auth import basic_auth
    from ._client_connection import ClientConnection
    from ._forwarded import Forwarded
    from ._listener import Listener
    from ._rate import RateLimit
    from ._serving import Server, ServerConnection
    from ._shared_stats import SharedStats
    from ._stats import ConnectionStats, ServerStats, metrics_response
    from ._workers import run
    from .client import connect, unix_connect
    from .connection import Connection, broadcast
    from .router import Router, route, unix_route
    from .server import serve, unix_serve

__all__ = [
    "ClientConnection",
    "Connection",
    "ConnectionStats",
    "Forwarded",
    "Listener",
    "RateLimit",
    "Router",
    "Server",
    "ServerConnection",
    "ServerStats",
    "SharedStats",
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

_MODULES = {
    "ClientConnection": "client",
    "Connection": "connection",
    "ConnectionStats": "_stats",
    "Forwarded": "_forwarded",
    "Listener": "_listener",
    "RateLimit": "_rate",
    "Router": "router",
    "Server": "server",
    "ServerConnection": "server",
    "ServerStats": "_stats",
    "SharedStats": "_shared_stats",
    "basic_auth": "server",
    "broadcast": "connection",
    "connect": "client",
    "metrics_response": "_stats",
    "route": "router",
    "run": "_workers",
    "serve": "server",
    "unix_connect": "client",
    "unix_route": "router",
    "unix_serve": "server",
}

if not TYPE_CHECKING:  # else any name would do for type checkers

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        globals()[name] = value
        return value
