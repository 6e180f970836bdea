"""The responses that refuse a WebSocket connection."""

from __future__ import annotations

import http

from ..exceptions import InvalidOrigin, NegotiationError
from ..http import Response, plain_response

__all__ = ["failed", "refusal", "shutting_down", "too_many"]


def refusal(exc: Exception, said: tuple[int, str] | None) -> Response:
    """The response that a request failing with ``exc`` gets.

    Args:
        exc: what is wrong with it.
        said: what the core says of it, ``ServerProtocol.refusal``; None for what isn't
            the core's to judge.
    """
    if said is not None:
        status, sentence = said
    elif isinstance(exc, InvalidOrigin):
        status, sentence = 403, "This origin isn't allowed."
    elif isinstance(exc, NegotiationError):
        status, sentence = 400, f"No WebSocket connection: {exc}."
    else:
        status, sentence = 400, "This request can't be accepted."
    response = plain_response(status, f"{sentence}\n")
    headers = response.headers
    if status == http.HTTPStatus.METHOD_NOT_ALLOWED:  # RFC 9110 §15.5.6
        headers["Allow"] = "GET"
    elif status == http.HTTPStatus.UPGRADE_REQUIRED:
        # RFC 6455 §4.4; RFC 9110 §15.5.22, and §7.8: the connection option.
        del headers["Connection"]
        headers["Connection"] = "close, upgrade"
        headers["Upgrade"] = "websocket"
        headers["Sec-WebSocket-Version"] = "13"
    return response


def failed() -> Response:
    """500, when code of the application raised."""
    return plain_response(
        http.HTTPStatus.INTERNAL_SERVER_ERROR,
        "No WebSocket connection: the server failed, and its log says why.\n",
    )


def shutting_down() -> Response:
    """503, when the server is closing."""
    return plain_response(
        http.HTTPStatus.SERVICE_UNAVAILABLE, "The server is shutting down.\n"
    )


def too_many() -> Response:
    """503, when ``max_connections`` is reached."""
    response = plain_response(
        http.HTTPStatus.SERVICE_UNAVAILABLE, "The server has too many connections.\n"
    )
    response.headers["Retry-After"] = "1"
    return response
