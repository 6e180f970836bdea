"""The names of ``websockets.legacy.exceptions``."""

from __future__ import annotations

import http

from ..exceptions import InvalidHandshake, InvalidStatusCode, WebSocketProtocolError
from ..http import Headers, HeadersLike
from ..typing import StatusLike

__all__ = [
    "AbortHandshake",
    "InvalidStatusCode",
    "RedirectHandshake",
    "WebSocketProtocolError",
]


class AbortHandshake(InvalidHandshake):
    """Never raised: a response that an old server's hook wanted to be sent."""

    def __init__(
        self, status: StatusLike, headers: HeadersLike, body: bytes = b""
    ) -> None:
        super().__init__(status, headers, body)
        self.status = http.HTTPStatus(status)
        self.headers = Headers(headers)
        self.body = body

    def __str__(self) -> str:
        return f"response with HTTP {self.status.value}"


class RedirectHandshake(InvalidHandshake):
    """Never raised: a redirect that an old client followed."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.uri = uri

    def __str__(self) -> str:
        return f"redirect to {self.uri}"
