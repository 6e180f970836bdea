"""The responses that refuse a WebSocket connection."""

from __future__ import annotations

import http

from ..exceptions import (
    InvalidHeader,
    InvalidMethod,
    InvalidOrigin,
    InvalidProtocol,
    InvalidUpgrade,
    NegotiationError,
)
from ..http import Response, plain_response

__all__ = ["failed", "refusal", "shutting_down", "too_many"]


def refusal(exc: Exception) -> Response:
    """The response that a request failing with ``exc`` gets."""
    status = http.HTTPStatus.BAD_REQUEST
    extra: dict[str, str] = {}
    what = "bad request"
    if isinstance(exc, InvalidOrigin):
        status, what = http.HTTPStatus.FORBIDDEN, "this origin isn't allowed"
    elif isinstance(exc, InvalidMethod):
        # RFC 9110 §15.5.6
        status, what = http.HTTPStatus.METHOD_NOT_ALLOWED, "the method must be GET"
        extra = {"Allow": "GET"}
    elif isinstance(exc, InvalidProtocol):
        status = http.HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        what = "the version must be HTTP/1.1"
    elif isinstance(exc, InvalidUpgrade):
        # RFC 9110 §15.5.22
        status = http.HTTPStatus.UPGRADE_REQUIRED
        what = "this address is for WebSocket clients, not for visiting it"
        extra = {"Upgrade": "websocket"}
    elif isinstance(exc, InvalidHeader):
        # The value stays out: the body may be shown by something that guesses types.
        what = f"{'missing' if exc.value is None else 'invalid'} {exc.name} header"
        if exc.name.lower() == "sec-websocket-version" and exc.value is not None:
            # RFC 6455 §4.2.2 item 4, §4.4
            status = http.HTTPStatus.UPGRADE_REQUIRED
            extra = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    elif isinstance(exc, NegotiationError):
        what = str(exc)
    response = plain_response(status, f"No WebSocket connection: {what}.\n")
    if "Upgrade" in extra:
        # RFC 9110 §7.8: Upgrade needs the connection option of that name.
        del response.headers["Connection"]
        extra["Connection"] = "close, upgrade"
    response.headers.update(extra)
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
