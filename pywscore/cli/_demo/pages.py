"""The page's files over HTTP, answered before the WebSocket handshake."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from importlib.resources import files

import pywscore
from pywscore.cli._demo.chat import Chat
from pywscore.cli._metrics import Metrics

__all__ = ["Pages"]

# Path → file in static/, type.
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/chat.js": ("chat.js", "text/javascript; charset=utf-8"),
    "/connection.js": ("connection.js", "text/javascript; charset=utf-8"),
    "/chat.css": ("chat.css", "text/css; charset=utf-8"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
}
PLAIN = "text/plain; charset=utf-8"


class Pages:
    """Static responses, built once; `origins` are those the page may connect to."""

    def __init__(
        self, origins: Sequence[str], chat: Chat, metrics: Metrics | None = None
    ) -> None:
        self._chat = chat
        self._metrics = metrics
        # Older browsers do not count sockets as 'self'; CSP has no IPv6 addresses.
        sockets = " ".join(
            origin.replace("http", "ws", 1) for origin in origins if "[" not in origin
        )
        self._policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; "
            f"img-src 'self'; connect-src 'self' {sockets}; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        static = files(__package__) / "static"
        self._bodies = {
            path: (content_type, (static / name).read_bytes())
            for path, (name, content_type) in FILES.items()
        }

    def process_request(
        self, ws: pywscore.ServerConnection, request: pywscore.Request
    ) -> pywscore.Response | None:
        """None for the chat's own path, which goes on to the handshake."""
        if self._metrics is not None:
            more = self._chat.hub.stats().prometheus()
            if (answer := self._metrics.answer(ws, request, more)) is not None:
                return answer
        path, _, _ = request.path.partition("?")
        if path == "/ws" or (path.startswith("/ws/") and path.count("/") == 2):
            return None
        if path == "/healthz":
            if self._chat.hub.healthy():
                return self._respond(HTTPStatus.OK, PLAIN, b"ok\n")
            body = b"The rooms are cut off from Redis.\n"
            return self._respond(HTTPStatus.SERVICE_UNAVAILABLE, PLAIN, body)
        if path in self._bodies:
            return self._respond(HTTPStatus.OK, *self._bodies[path])
        return self._respond(HTTPStatus.NOT_FOUND, PLAIN, b"There is no such page.\n")

    def _respond(
        self, status: HTTPStatus, content_type: str, body: bytes
    ) -> pywscore.Response:
        headers = pywscore.Headers(
            {
                "Content-Type": content_type,
                "Content-Length": str(len(body)),
                "Connection": "close",
                "Cache-Control": "no-cache",
                "Content-Security-Policy": self._policy,
                "Cross-Origin-Opener-Policy": "same-origin",
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
            }
        )
        return pywscore.Response(status.value, status.phrase, headers, body)
