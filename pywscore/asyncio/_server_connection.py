"""A server's end of a connection."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from .. import _core
from ..enums import State
from ..http import Request, Response, plain_response
from ..typing import StatusLike
from ._handshake import failed, serialize
from ._log import printable
from ._options import Options
from .connection import Connection

if TYPE_CHECKING:
    from .server import Server

__all__ = ["REFUSAL_TIMEOUT", "ServerConnection"]

# How long a peer that gets no connection may take to read why.
REFUSAL_TIMEOUT = 1.0
# How long a hook may go on that has waited for the end of its connection.
_NOTICE = 0.25


class ServerConnection(Connection):
    """A connection that a server accepted.

    Args:
        protocol: the sans-IO object.
        server: the server.
        options: what all its connections have in common.
    """

    protocol: _core.ServerProtocol
    username: str
    """Set by ``basic_auth()``."""
    handler: Callable[..., Awaitable[Any]]
    """Set by ``route()``; and what it gets as keyword arguments."""
    handler_kwargs: Mapping[str, Any]

    _opening: asyncio.Task[None] | None = None
    _opened: bool = False
    _running: int = 0  # tasks of the server's that work for it
    _has_place: bool | None = None  # None: not asked for yet
    _network: str = ""  # that the place is counted for

    def __init__(
        self, protocol: _core.ServerProtocol, server: Server, *, options: Options
    ) -> None:
        super().__init__(protocol, options=options)
        self.server = server
        # With TLS this is before its handshake: one deadline for all (HSK-8).
        self._accepted_at = self.loop.time()

    def respond(self, status: StatusLike, text: str) -> Response:
        """A plain text response, to be returned by ``process_request``.

        It may be changed before it is returned.
        """
        return plain_response(status, text)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.server._arrived(self)
        if not self._ended and self.options.open_timeout is not None:
            self._opens_by(self._accepted_at + self.options.open_timeout)
        del self._accepted_at  # idle connections are many

    @property
    def _has_begun(self) -> bool:
        """Whether it has its deadline, and a place or a refusal."""
        return "_accepted_at" not in self.__dict__

    def _refuse_unasked(self, response: Response) -> None:
        self.transport.write(serialize(response))
        self._closes_within(REFUSAL_TIMEOUT)
        self._end()

    def _on_request(self, request: Request) -> None:
        self.request = request
        if not self._ended:
            # No task before this, so that half-open connections have none.
            self.server._answer(self, request)

    def _on_lost(self, exc: Exception | None) -> None:
        super()._on_lost(exc)
        if isinstance(exc, ssl.SSLError):
            self._log(logging.INFO, "TLS failed: %s", printable(exc))
        if self._opening is not None:
            # It may be who waits for the end: then it has a moment for what it does.
            notice = 0.0 if self._lost_waiter is None else _NOTICE
            self.loop.call_later(notice, self._opening.cancel)
            self._opening = None
        self.server._left(self)

    def _respond(self, response: Response) -> bool:
        """Queue it; whether the connection is open then."""
        self._opening = None
        self.response = response
        if self.state is not State.CONNECTING or self._ended:
            return False
        try:
            self.protocol.respond(response)
        except Exception as exc:
            self._log(logging.ERROR, "the response can't be sent", exc_info=exc)
            self.response = failed()
            self.protocol.respond(self.response)
        self.response.headers._pack()
        if self.response.status_code != 101:
            return False
        self._opened = True
        self._has_opened()
        return True
