"""WebSocket connections on asyncio: serve(), connect() and what they give."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._listener import Listener
from .client import ClientConnection, connect, unix_connect
from .connection import Connection, broadcast
from .server import Server, ServerConnection, basic_auth, serve, unix_serve

if TYPE_CHECKING:
    from ._stats import ConnectionStats, ServerStats, metrics_response
    from ._workers import run
    from .router import Router, route, unix_route

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

# What many programs do without is imported when it is asked for.
_MODULES = {
    "ConnectionStats": "_stats",
    "Router": "router",
    "ServerStats": "_stats",
    "metrics_response": "_stats",
    "route": "router",
    "run": "_workers",
    "unix_route": "router",
}

if not TYPE_CHECKING:  # else any name would do for type checkers

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        globals()[name] = value
        return value
