"""The server's decisions in the opening handshake (RFC 6455 §4.2.2)."""

from __future__ import annotations

import asyncio
import http
import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..exceptions import (
    InvalidHandshake,
    InvalidHeader,
    InvalidMethod,
    InvalidOrigin,
    InvalidProtocol,
    InvalidUpgrade,
    NegotiationError,
)
from ..http import Headers, HeadersLike, Request, Response, plain_response
from ._log import is_exit, printable

if TYPE_CHECKING:
    from .server import ServerConnection

ProcessRequest = Callable[..., Awaitable[Response | None] | Response | None]
ProcessResponse = Callable[..., Awaitable[Response | None] | Response | None]
SelectSubprotocol = Callable[..., str | None]
Origins = Sequence[str | re.Pattern[str] | None]

_is_token = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+").fullmatch


def check_subprotocols(subprotocols: Iterable[str] | None) -> tuple[str, ...]:
    """Raises:
    TypeError: if it isn't a sequence of strings.
    ValueError: if one isn't a token (RFC 6455 §4.1).
    """
    if isinstance(subprotocols, str):
        raise TypeError("subprotocols must be a list of strings, not a string")
    names = tuple(subprotocols or ())
    for name in names:
        if not _is_token(name):
            raise ValueError(f"invalid subprotocol: {name!r}")
    return names


def check_origins(origins: Origins | None) -> tuple[str | re.Pattern[str] | None, ...]:
    """Raises:
    TypeError: if it isn't a sequence of strings, patterns and None.
    """
    if isinstance(origins, (str, re.Pattern)):
        raise TypeError("origins must be a list")
    allowed = tuple(origins or ())
    for origin in allowed:
        if origin is not None and not isinstance(origin, (str, re.Pattern)):
            raise TypeError(f"not an origin: {origin!r}")
    return allowed


@dataclass(slots=True, kw_only=True)
class Handshake:
    """How a server answers requests. Arguments as in ``serve()``."""

    origins: Origins | None = None
    subprotocols: Sequence[str] = ()
    select_subprotocol: SelectSubprotocol | None = None
    process_request: ProcessRequest | None = None
    process_response: ProcessResponse | None = None
    server_header: str | None = None
    is_closing: Callable[[], bool] = field(default=lambda: False)
    _warned: bool = False

    @property
    def has_hooks(self) -> bool:
        """Whether the application takes part, so that an answer may have to wait."""
        return self.process_request is not None or self.process_response is not None

    def answer_at_once(
        self, connection: ServerConnection, request: Request
    ) -> Response:
        """As ``answer()``, without hooks."""
        response = self._accept(connection, request)
        return shutting_down() if self.is_closing() else response

    async def answer(self, connection: ServerConnection, request: Request) -> Response:
        """The response to a request; 101 accepts. Exceptions of hooks become 500."""
        response = await self._call(
            connection, "process_request", self.process_request, request
        )
        accepting: object = None
        if response is None:
            response = self._accept(connection, request)
            accepting = _accepting(response)
        else:
            self._sign(response)
        changed = await self._call(
            connection, "process_response", self.process_response, request, response
        )
        if changed is not None:
            response = changed
        if response.status_code >= 200:
            return response
        if accepting is None or _accepting(response) != accepting:
            code = response.status_code
            connection._log(logging.ERROR, "a hook can't answer with %s", code)
            return failed()
        return shutting_down() if self.is_closing() else response

    def _sign(self, response: Response) -> None:
        if self.server_header is not None and "Server" not in response.headers:
            response.headers["Server"] = self.server_header

    async def _call(
        self,
        connection: ServerConnection,
        name: str,
        hook: Callable[..., Any] | None,
        *args: object,
    ) -> Response | None:
        if hook is None:
            return None
        try:
            response = hook(connection, *args)
            if inspect.isawaitable(response):
                response = await response
            if response is not None and not isinstance(response, Response):
                raise TypeError(f"{name} must return a Response or None")
            if response is not None:
                response.headers = _as_headers(response.headers)
        except BaseException as exc:
            if is_exit(exc) or (
                isinstance(exc, asyncio.CancelledError) and _is_cancelled()
            ):
                raise
            connection._log(logging.ERROR, "%s failed", name, exc_info=exc)
            return failed()
        return response

    def _accept(self, connection: ServerConnection, request: Request) -> Response:
        protocol = connection.protocol
        if protocol.handshake_exception is not None:
            # Not raised: what the protocol keeps would get a traceback, which refers
            # to the connection.
            return self._refuse(connection, protocol.handshake_exception)
        try:
            self._check_origin(connection, request)
            subprotocol = self._choose_subprotocol(connection)
            return protocol.build_response(
                subprotocol=subprotocol,
                headers=()
                if self.server_header is None
                else (("Server", self.server_header),),
            )
        except InvalidHandshake as exc:
            return self._refuse(connection, exc)
        except BaseException as exc:
            if is_exit(exc):
                raise
            connection._log(logging.ERROR, "opening handshake failed", exc_info=exc)
            response = failed()
        self._sign(response)
        return response

    def _refuse(self, connection: ServerConnection, exc: Exception) -> Response:
        connection._log(logging.INFO, "opening handshake failed: %s", printable(exc))
        response = refusal(exc)
        self._sign(response)
        return response

    def _check_origin(self, connection: ServerConnection, request: Request) -> None:
        # Two Origin lines were refused by the core.
        origin = connection.protocol.origin
        if self.origins is None:
            self._warn_of_any_origin(connection, request, origin)
            return
        for allowed in self.origins:
            if allowed is None or origin is None or isinstance(allowed, str):
                if allowed == origin:
                    return
            elif allowed.fullmatch(origin) is not None:
                return
        raise InvalidOrigin(origin)

    def _warn_of_any_origin(
        self, connection: ServerConnection, request: Request, origin: str | None
    ) -> None:
        # docs/adr/0004-origin-default.md
        if self._warned or origin is None:
            return
        headers = request.headers
        if "Cookie" not in headers and "Authorization" not in headers:
            return
        if origin.partition("://")[2].lower() != headers.get("Host", "").lower():
            self._warned = True
            connection._log(
                logging.WARNING,
                "accepting a request with credentials from another origin, %s, since "
                "serve() has no origins= list; any web page can send such requests in "
                "its visitors' name",
                printable(origin),
            )

    def _choose_subprotocol(self, connection: ServerConnection) -> str | None:
        if self.select_subprotocol is None and not self.subprotocols:
            return None
        offered = connection.protocol.offered_subprotocols
        if self.select_subprotocol is not None:
            return self.select_subprotocol(connection, offered)
        if not offered:
            raise NegotiationError("missing subprotocol")
        for subprotocol in self.subprotocols:
            if subprotocol in offered:
                return subprotocol
        raise NegotiationError(
            f"invalid subprotocol; expected one of {', '.join(self.subprotocols)}"
        )


def _as_headers(headers: HeadersLike) -> Headers:
    return headers if isinstance(headers, Headers) else Headers(headers)


def _accepting(response: Response) -> object:
    """What makes a 101 one: nothing that a hook may change (RFC 6455 §4.2.2)."""
    if response.status_code != 101:
        return None
    names = "Upgrade", "Connection", "Sec-WebSocket-Accept"
    return [response.headers.get_all(name) for name in names]


def _is_cancelled() -> bool:
    # Not what a hook awaited, but the task that runs it.
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


# Refusals ------------------------------------------------------------------------


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


def serialize(response: Response) -> bytes:
    """A response as it travels, for those sent before there is a request."""
    head = f"HTTP/1.1 {response.status_code} {response.reason_phrase}\r\n"
    headers = Headers(response.headers)
    return head.encode() + headers.serialize() + bytes(response.body)
