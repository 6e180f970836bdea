"""What ``next_event()`` of the sans-IO protocol objects gives."""

from ._core import BinaryMessage, Close, Ping, Pong, TextMessage
from .http import Request, Response

__all__ = [
    "BinaryMessage",
    "Close",
    "Event",
    "Ping",
    "Pong",
    "Request",
    "Response",
    "TextMessage",
]

Event = Request | Response | TextMessage | BinaryMessage | Ping | Pong | Close
"""What ``next_event()`` gives."""
