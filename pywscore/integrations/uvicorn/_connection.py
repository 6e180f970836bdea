"""The class for ``--ws``: an ASGI connection with what uvicorn does to its own."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import weakref
from typing import TYPE_CHECKING, Any, cast

from uvicorn.logging import TRACE_LOG_LEVEL
from uvicorn.protocols.utils import (
    ClientDisconnected,
    get_client_addr,
    get_local_addr,
    get_path_with_query_string,
    get_remote_addr,
    is_ssl,
)

from ... import _core
from ..._numbers import seconds_or_none, whole_number
from ...asyncio._arguments import Check, checked, optional, water_marks
from ...asyncio._log import LimitedLogger
from ...asyncio._options import Options, timers
from ...asyncio._rate import RateLimit
from ...enums import CloseCode, State
from ...extensions import PerMessageDeflate
from .._ledger import ledger
from ._asgi import ASGIConnection, Event
from ._private import MAX_HEAD, bytes_after_head, complete, with_version

logger = logging.getLogger("uvicorn.error")

# How long a peer may do nothing, neither answer nor take what it is sent, when the
# server shuts down.
_SHUTDOWN_TIMEOUT = 1.0
# data_received() goes through the receive buffer in steps of at most this.
_STEP = 65536


def _interval(name: str, value: Any) -> float | None:
    # To uvicorn, what isn't positive is none.
    above = max(value, 0) if isinstance(value, (int, float)) else value
    return seconds_or_none(name, above) or None


_ARGUMENTS: dict[str, Check] = {
    "ws_max_queue": whole_number,
    "ws_max_size": optional(whole_number),
    "ws_ping_interval": optional(_interval),
    "ws_ping_timeout": optional(seconds_or_none),
}
_options: weakref.WeakKeyDictionary[Any, Options] = weakref.WeakKeyDictionary()


def _options_of(config: Any, rate_limit: RateLimit | None = None) -> Options:
    """What the connections of one uvicorn configuration have in common."""
    known = _options.get(config)
    if known is None or known.rate_limit is not rate_limit:
        given = checked(vars(config), _ARGUMENTS)
        _options[config] = Options(
            ping_interval=given["ws_ping_interval"],
            ping_timeout=given["ws_ping_timeout"],
            max_queue=water_marks("ws_max_queue", max(given["ws_max_queue"], 1)),
            rate_limit=rate_limit,
            log=LimitedLogger(logger),
        )
    return _options[config]


if TYPE_CHECKING:
    # uvicorn.run(ws=) wants one; in truth it is a BufferedProtocol.
    class _Base(ASGIConnection, asyncio.Protocol):
        pass
else:
    _Base = ASGIConnection


class WebSocketProtocol(_Base):
    """A WebSocket connection that uvicorn's HTTP protocols hand over to.

    Arguments and attributes are those of uvicorn's own classes, as far as uvicorn or
    its users touch them.
    """

    app_logger = logger
    """``logging.getLogger("uvicorn.error")``."""
    disconnect_error = ClientDisconnected
    """Raised by ``send()`` when the client is gone: uvicorn's."""

    compression: PerMessageDeflate = PerMessageDeflate(
        server_max_window_bits=12, client_max_window_bits=12, mem_level=4
    )
    """With ``--ws-per-message-deflate``. uvicorn's own class has the same windows and a
    ``mem_level`` of 5, which takes a fifth more memory for the same size of messages
    (two percent less of long ones) and somewhat less time to compress."""
    rate_limit: RateLimit | None = None
    """How much a client may send in a second; for a subclass to set, as
    ``compression``."""
    ping_sent_at: float = 0.0
    """When the last keepalive ping was sent, on the loop's clock; 0.0 before."""

    def __init__(
        self,
        config: Any,
        server_state: Any,
        app_state: Event,
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        options = _options_of(config, self.rate_limit)
        protocol = _core.ServerProtocol(
            max_size=config.ws_max_size,
            compression=self.compression if config.ws_per_message_deflate else None,
            max_head=MAX_HEAD,
            any_request=True,
        )
        super().__init__(protocol, options=options)
        self.config = config
        self.app = config.loaded_app
        self.app_state = app_state
        self.server_state = server_state
        self.root_path = config.root_path
        self.asgi_version = config.asgi_version
        self.connections = server_state.connections
        self.tasks = server_state.tasks

    # What uvicorn's tests, and tools that know its classes, look at

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """The Date and Server headers, and those of the configuration."""
        return cast(list[tuple[bytes, bytes]], self.server_state.default_headers)

    @property
    def close_timeout(self) -> float:
        """Seconds to wait for the peer's part of the closing handshake."""
        return self.options.close_timeout or 0.0

    @close_timeout.setter
    def close_timeout(self, seconds: float) -> None:
        self.options = dataclasses.replace(self.options, close_timeout=seconds)

    @property
    def ping_timer(self) -> asyncio.TimerHandle | None:
        """The loop's timer, if keepalive pings are to be sent or answered."""
        return timers(self.loop)._handle if self._keepalive else None

    @property
    def close_timer(self) -> asyncio.TimerHandle | None:
        """The loop's timer, if the peer's close frame is awaited."""
        if self._lost or self._ended or self.protocol.close_sent is None:
            return None
        return timers(self.loop)._handle

    # What uvicorn calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self in self.connections:
            super().connection_made(transport)  # the engine's
            return
        transport = complete(transport)
        self.server = get_local_addr(transport)
        self.client = get_remote_addr(transport)
        self.scheme = "wss" if is_ssl(transport) else "ws"
        ledger.begin(self)
        self._trace("WebSocket connection made")
        self.connections.add(self)
        try:
            super().connection_made(transport)
            if self.options.open_timeout is not None:
                self._opens_by(self.loop.time() + self.options.open_timeout)
        except BaseException:
            self.connections.discard(self)
            raise

    def data_received(self, data: bytes) -> None:
        """What the HTTP protocol puts together from the request; later, any bytes.

        Frames that came behind the request in one packet aren't there: they are fetched
        from the HTTP protocol.

        Args:
            data: the bytes.
        """
        try:
            if self.request is None and hasattr(self.transport, "get_protocol"):
                carrier = self.transport.get_protocol()
                data = with_version(data, carrier) + bytes_after_head(carrier)
            for start in range(0, len(data), _STEP):
                part = data[start : start + _STEP]
                self.get_buffer(-1)[: len(part)] = part
                self.buffer_updated(len(part))
        except BaseException:
            # The transport may still be the HTTP protocol's, which hears of its end.
            self.connections.discard(self)
            self.transport.abort()
            raise

    def shutdown(self) -> None:
        """Close with 1012; 500 if the request hasn't been answered yet."""
        if self._lost:
            return
        self._closes_within(_SHUTDOWN_TIMEOUT)
        if self.state is State.OPEN:
            self._shut_down = True
            self._start_close(CloseCode.SERVICE_RESTART)
        else:
            self._send_500()
        if self._denial_left is None:  # else the rest of the body is to come
            self._end()

    # What the core calls

    def _on_lost(self, exc: Exception | None) -> None:
        super()._on_lost(exc)
        self.connections.discard(self)
        self._trace("WebSocket connection lost")

    def _send_keepalive_ping(self) -> None:
        self.ping_sent_at = self.loop.time()
        super()._send_keepalive_ping()

    def _trace(self, what: str) -> None:
        if logger.isEnabledFor(TRACE_LOG_LEVEL):
            prefix = "{}:{} - ".format(*self.client) if self.client else ""
            logger.log(TRACE_LOG_LEVEL, "%s%s", prefix, what)

    def _log_answer(self, what: str) -> None:
        client = get_client_addr(cast(Any, self.scope))
        path = get_path_with_query_string(cast(Any, self.scope))
        logger.info('%s - "WebSocket %s" %s', client, path, what)
