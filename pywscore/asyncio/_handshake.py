"""The server's decisions in the opening handshake (RFC 6455 §4.2.2)."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import _core
from .._shown import printable
from ..exceptions import InvalidHandshake, InvalidOrigin, NegotiationError
from ..http import Headers, HeadersLike, Request, Response
from ._arguments import Origins
from ._log import is_exit
from ._refusals import failed, refusal, shutting_down
from .connection import Connection

ProcessRequest = Callable[..., Awaitable[Response | None] | Response | None]
ProcessResponse = Callable[..., Awaitable[Response | None] | Response | None]
SelectSubprotocol = Callable[..., str | None]


@dataclass(slots=True, kw_only=True)
class Handshake:
    """How a server answers requests. Arguments as in ``serve()``; ``over_tls`` is that
    of an ``ssl.SSLContext``, which may agree on anything."""

    origins: Origins | None = None
    subprotocols: Sequence[str] = ()
    select_subprotocol: SelectSubprotocol | None = None
    process_request: ProcessRequest | None = None
    process_response: ProcessResponse | None = None
    server_header: str | None = None
    over_tls: bool = False
    closing: bool = False
    """Whether the server is, which accepts nothing then."""
    has_hooks: bool = field(init=False)
    """Whether the application takes part, so that an answer may have to wait."""
    _warned: bool = False

    def __post_init__(self) -> None:
        self.has_hooks = not (
            self.process_request is None and self.process_response is None
        )

    async def answer(
        self, connection: Connection, protocol: _core.ServerProtocol, request: Request
    ) -> Response:
        """The response to a request; 101 accepts. Exceptions of hooks become 500.

        Args:
            connection: for the hooks and the log.
            protocol: that of the connection.
            request: what it has read.
        """
        response = await self._call(
            connection, "process_request", self.process_request, request
        )
        accepting: object = None
        if response is None:
            response = self.decide(connection, protocol, request)
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
        return shutting_down() if self.closing else response

    def _sign(self, response: Response) -> None:
        if self.server_header is not None and "Server" not in response.headers:
            response.headers["Server"] = self.server_header

    async def _call(
        self,
        connection: Connection,
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

    def decide(
        self,
        connection: Connection,
        protocol: _core.ServerProtocol,
        request: Request,
        at_once: bool = False,
    ) -> Response:
        """The response, as far as hooks have no say. With ``at_once`` a 101 is queued,
        if the connection may still open."""
        if protocol.handshake_exception is not None:
            # Not raised: what the protocol keeps would get a traceback, which refers
            # to the connection.
            exc = protocol.handshake_exception
            return self._refuse(connection, exc, protocol.refusal)
        try:
            self._check_origin(connection, protocol.origin, request)
            subprotocol = None
            if self.subprotocols or self.select_subprotocol is not None:
                offered = protocol.offered_subprotocols
                subprotocol = self._choose_subprotocol(connection, offered)
            if at_once and not (self.closing or connection._ended):
                return protocol._accept(subprotocol, self.server_header)
            return protocol.build_response(
                subprotocol=subprotocol,
                headers=()
                if self.server_header is None
                else (("Server", self.server_header),),
            )
        except InvalidHandshake as exc:
            return self._refuse(connection, exc, protocol.refusal)
        except BaseException as exc:
            if is_exit(exc):
                raise
            connection._log(logging.ERROR, "opening handshake failed", exc_info=exc)
            response = failed()
        self._sign(response)
        return response

    def _refuse(
        self, connection: Connection, exc: Exception, said: tuple[int, str] | None
    ) -> Response:
        connection._log(logging.INFO, "opening handshake failed: %s", printable(exc))
        response = refusal(exc, said)
        self._sign(response)
        return response

    def _check_origin(
        self, connection: Connection, origin: str | None, request: Request
    ) -> None:
        # Two Origin lines were refused by the core.
        if self.origins is None:
            if origin is not None and not self._warned:
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
        self, connection: Connection, request: Request, origin: str
    ) -> None:
        # docs/adr/0004-origin-default.md
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

    def _choose_subprotocol(
        self, connection: Connection, offered: list[str]
    ) -> str | None:
        if self.select_subprotocol is not None:
            return connection._timed(self.select_subprotocol)(connection, offered)
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
