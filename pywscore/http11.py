"""The opening handshake's halves, with the names they have in ``websockets.http11``."""

from .http import SERVER, USER_AGENT, Request, Response

__all__ = ["SERVER", "USER_AGENT", "Request", "Response"]

MAX_NUM_HEADERS = 128
"""Header lines of a head."""
MAX_LINE_LENGTH = 8192
"""Bytes of one of its lines."""
MAX_BODY_SIZE = 16384
"""Bytes of a refusal's body; a client drops the rest."""
