"""uvicorn's WebSocket connections on pywscore's core::

    uvicorn --ws pywscore.integrations.uvicorn:WebSocketProtocol app:app

FastAPI, Starlette and Django Channels applications run as they are. See
docs/uvicorn.md for what differs from uvicorn's own classes.
"""

from __future__ import annotations

try:
    import uvicorn as _uvicorn  # noqa: F401
except ImportError as exc:  # pragma: no cover
    raise ImportError(
        "pywscore.integrations.uvicorn needs uvicorn: pip install 'pywscore[uvicorn]'"
    ) from exc

from ._bounded_head import BoundedHead, HTTPProtocol, bounded
from ._connection import WebSocketProtocol

__all__ = ["BoundedHead", "HTTPProtocol", "WebSocketProtocol", "bounded"]
