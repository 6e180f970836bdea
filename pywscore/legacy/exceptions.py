"""The names of ``websockets.legacy.exceptions``."""

from ..exceptions import (
    AbortHandshake,
    InvalidStatusCode,
    RedirectHandshake,
    WebSocketProtocolError,
)

__all__ = [
    "AbortHandshake",
    "InvalidStatusCode",
    "RedirectHandshake",
    "WebSocketProtocolError",
]
