"""aiohttp's WebSockets on pywscore: change one import, keep your handlers.

``WebSocketResponse`` stands where ``aiohttp.web.WebSocketResponse`` does, and
``ws_connect(session, url)`` where ``session.ws_connect(url)`` does::

    from pywscore.integrations.aiohttp import WebSocketResponse
"""

from __future__ import annotations

try:
    import aiohttp as _aiohttp  # noqa: F401
except ImportError as exc:
    raise ImportError(
        "pywscore.integrations.aiohttp needs aiohttp: pip install 'pywscore[aiohttp]'"
    ) from exc

from ._client import ClientWebSocketResponse, ws_connect
from ._private import CHECKED_VERSIONS
from ._server import WebSocketReady, WebSocketResponse

__all__ = [
    "CHECKED_VERSIONS",
    "ClientWebSocketResponse",
    "WebSocketReady",
    "WebSocketResponse",
    "ws_connect",
]
