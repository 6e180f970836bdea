"""uvicorn's HTTP protocols with bounds for the head of a request: its time and size.

uvicorn waits without an end for a request that isn't complete (0.54), and a class for
``--ws`` hears of it only then. So this is one for ``--http``::

    uvicorn --http pywscore.integrations.uvicorn:HTTPProtocol app:app
"""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING, Any, cast

import h11  # uvicorn needs it

from ._private import MAX_HEAD

__all__ = ["BoundedHead", "HTTPProtocol", "bounded"]


class BoundedHead(asyncio.Protocol):
    """Comes before one of uvicorn's HTTP protocols among the bases of a class."""

    head_timeout: float = 10.0
    """Seconds for a whole head, from its first byte or the begin of the connection."""
    max_head: int = MAX_HEAD
    """Bytes that come before a head is complete, at most."""

    # uvicorn's.
    cycle: Any
    loop: Any
    logger: Any
    scope: Any
    server_state: Any
    timeout_keep_alive_task: Any
    transport: Any

    _head_timer: asyncio.TimerHandle | None = None
    _head_size: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the transport, as what follows: TCP is there.

        Args:
            transport: it.
        """
        super().connection_made(transport)
        self._start_head(0)

    def data_received(self, data: bytes) -> None:
        """Bytes came.

        Args:
            data: the bytes.
        """
        super().data_received(data)
        if not self._awaits_head():
            self._end_head()
            return
        if self._head_timer is None:
            # Most of this packet may have been the end of a body: it isn't counted.
            self._start_head(1)
            return
        self._head_size += len(data)
        if self._head_size > self.max_head:
            self._refuse(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def connection_lost(self, exc: Exception | None) -> None:
        """TCP is gone.

        Args:
            exc: why; None if it was closed.
        """
        self._end_head()
        super().connection_lost(exc)

    def _start_head(self, size: int) -> None:
        self._head_size = size
        self._head_timer = self.loop.call_later(self.head_timeout, self._overdue)

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _awaits_head(self) -> bool:
        """Whether bytes of a head came, or the first head has to come."""
        transport = self.transport
        if transport.is_closing() or transport.get_protocol() is not self:
            return False
        if self.timeout_keep_alive_task is not None:
            return False  # uvicorn itself looks after the time between requests
        cycle = self.cycle
        if cycle is None:
            return True
        if not cycle.response_complete:
            return False
        # What comes now may also be the body of a request that was answered early.
        state = getattr(getattr(self, "conn", None), "their_state", None)
        if state is not None:  # h11 says it
            return state is h11.IDLE
        # httptools: a new scope is there when a head begins; zttp: with the cycle.
        return cycle.scope is not self.scope or not cycle.more_body

    def _overdue(self) -> None:
        self._head_timer = None
        if not self._head_size:
            self.transport.close()  # as browsers expect of connections made in advance
        elif self._awaits_head():
            self._refuse(http.HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, status: http.HTTPStatus) -> None:
        self._end_head()
        self.logger.warning("Invalid HTTP request received: %s.", status.phrase)
        body = status.phrase.encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = [b"HTTP/1.1 %d %s" % (status, body)]
        lines += [name + b": " + value for name, value in headers]
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.transport.close()


def bounded(base: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
    """A class like ``base`` with the bounds.

    Args:
        base: one of uvicorn's protocols for HTTP/1.1: H11Protocol, HttpToolsProtocol,
            ZttpProtocol.
    """
    return cast(
        type[asyncio.Protocol], type(f"Bounded{base.__name__}", (BoundedHead, base), {})
    )


if TYPE_CHECKING:
    HTTPProtocol = BoundedHead
    """What uvicorn takes for ``--http auto``, with the bounds."""
else:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    HTTPProtocol = bounded(AutoHTTPProtocol)
    HTTPProtocol.__name__ = HTTPProtocol.__qualname__ = "HTTPProtocol"
    HTTPProtocol.__module__ = __name__
    HTTPProtocol.__doc__ = "What uvicorn takes for ``--http auto``, with the bounds."
