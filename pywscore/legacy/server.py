"""The names of ``websockets.legacy.server``."""

from typing import Any

from ..asyncio import server
from ..asyncio.server import Server as WebSocketServer
from ..asyncio.server import ServerConnection as WebSocketServerProtocol
from ..asyncio.server import broadcast

__all__ = [
    "WebSocketServer",
    "WebSocketServerProtocol",
    "broadcast",
    "serve",
    "unix_serve",
]


def serve(*args: Any, **kwargs: Any) -> WebSocketServer:
    """``pywscore.serve()``, without the hooks that had other arguments once.

    Args:
        args: as of ``pywscore.serve()``.
        kwargs: as of ``pywscore.serve()``.

    Returns:
        The server.

    Raises:
        TypeError: for one of these hooks.
    """
    _check_hooks(kwargs)
    return server.serve(*args, **kwargs)


def unix_serve(*args: Any, **kwargs: Any) -> WebSocketServer:
    """``pywscore.unix_serve()``, without the hooks that had other arguments once.

    Args:
        args: as of ``pywscore.unix_serve()``.
        kwargs: as of ``pywscore.unix_serve()``.

    Returns:
        The server.

    Raises:
        TypeError: for one of these hooks.
    """
    _check_hooks(kwargs)
    return server.unix_serve(*args, **kwargs)


def _check_hooks(kwargs: dict[str, Any]) -> None:
    # An old hook, called with the new arguments, might let everybody in.
    for name, arguments in (
        ("process_request", "the connection and the request"),
        ("select_subprotocol", "the connection and what the client offers"),
    ):
        if kwargs.get(name) is not None:
            raise TypeError(
                f"{name} gets {arguments} today: pass it to pywscore.serve()"
            )
