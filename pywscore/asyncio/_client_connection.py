"""A client's end of a connection."""

from __future__ import annotations

import asyncio
import ssl

from .. import _core
from .._shown import printable
from ..exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from ..http import Response
from ._alpn import other_protocol
from ._listener import ListenerFactory
from ._options import Options
from .connection import Connection

__all__ = ["ClientConnection"]


class ClientConnection(Connection):
    """A connection to a server.

    Args:
        protocol: the sans-IO object, with its request queued.
        options: settings.
    """

    protocol: _core.ClientProtocol
    _at_end: bool = False
    _listener_factory: ListenerFactory | None = None

    def __init__(self, protocol: _core.ClientProtocol, *, options: Options) -> None:
        super().__init__(protocol, options=options)
        self.request = protocol.request
        self._answered: asyncio.Future[None] = self.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._agreed_on_http():
            self._tell_head(">", self.protocol.request)
            self.flush()

    def _agreed_on_http(self) -> bool:
        """False before the end of this connection. True while TLS hasn't agreed."""
        other = other_protocol(self.transport)
        if other is not None:
            text = f"TLS agreed on {printable(other)} by ALPN, and this is HTTP/1.1"
            self._fail_handshake(InvalidHandshake(f"{text}: ssl= may not offer it"))
            self.transport.abort()
        return other is None

    def _on_response(self, response: Response) -> None:
        self.response = response
        # On the engine TLS hadn't agreed before.
        if not self._answered.done() and self._agreed_on_http():
            self._answered.set_result(None)
            self._has_opened()
            if self._listener_factory is not None:
                # Now, for what came with the response.
                self._start_listening(self._listener_factory)

    def _on_handshake_failed(self, exc: Exception) -> None:
        if isinstance(exc, InvalidStatus):
            self._tell_head("<", exc.response)
        self._fail_handshake(exc)

    def _log_error(self, error: Exception) -> None:
        # connect() raises it, if it isn't a redirect to be followed.
        if not isinstance(error, InvalidHandshake):
            super()._log_error(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._at_end = True
        # What ends TCP says less than that there was no response.
        if isinstance(exc, ssl.SSLError) or not isinstance(exc, OSError | None):
            self._fail_handshake(exc)
        super().connection_lost(exc)

    def _on_lost(self, exc: Exception | None) -> None:
        super()._on_lost(exc)
        self._fail_handshake(InvalidMessage("did not receive a valid HTTP response"))

    def _fail_handshake(self, exc: Exception) -> None:
        if self._answered.done():
            return
        if self._at_end and exc.__cause__ is None and type(exc) is InvalidMessage:
            # process_exception() tells by this that it is worth another try.
            exc.__cause__ = EOFError("connection closed before the response")
        self._answered.set_exception(exc)
        self._answered.exception()  # connect() may have been cancelled
