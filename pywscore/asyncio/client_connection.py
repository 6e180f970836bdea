"""A client's end of a connection."""

from __future__ import annotations

import asyncio

from .. import _core
from ..exceptions import InvalidMessage
from ..http import Response
from .connection import Connection
from .options import Options

__all__ = ["ClientConnection"]


class ClientConnection(Connection):
    """A connection to a server.

    Args:
        protocol: the sans-IO object, with its request queued.
        options: settings.
    """

    protocol: _core.ClientProtocol

    def __init__(self, protocol: _core.ClientProtocol, *, options: Options) -> None:
        super().__init__(protocol, options=options)
        self.request = protocol.request
        self._answered: asyncio.Future[None] = self.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.flush()

    async def _handshake(self) -> None:
        await self._answered
        self._deadlines.opened()

    def _on_response(self, response: Response) -> None:
        self.response = response
        if not self._answered.done():
            self._answered.set_result(None)

    def _on_handshake_failed(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)

    def _on_lost(self, exc: Exception | None) -> None:
        super()._on_lost(exc)
        if not self._answered.done():
            error = self.protocol.handshake_exception
            if error is None:
                error = InvalidMessage("did not receive a valid HTTP response")
                error.__cause__ = EOFError("connection closed before the response")
            self._answered.set_exception(error)
            self._answered.exception()  # connect() may have been cancelled
