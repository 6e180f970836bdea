"""What is used of aiohttp although it isn't documented, in one place.

Everything else that this package touches is public: ``request.protocol.set_parser``,
``keep_alive`` and ``transport``, ``transport.set_protocol``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Protocol, cast

from aiohttp import ClientConnectionResetError, ClientResponse, WSMessage, web

try:
    from aiohttp import ClientWSTimeout
except ImportError:  # before 3.11

    @dataclass(frozen=True)
    class ClientWSTimeout:  # type: ignore[no-redef]
        ws_receive: float | None = None
        ws_close: float | None = None


try:
    from aiohttp.client_exceptions import WSMessageTypeError
except ImportError:  # before 3.11
    WSMessageTypeError = TypeError  # type: ignore[assignment,misc]
try:
    # Text messages with decode_text=False.
    from aiohttp.http_websocket import WSMessageTextBytes
except ImportError:  # before 3.14
    WSMessageTextBytes = WSMessage  # type: ignore[assignment,misc]

__all__ = [
    "CHECKED_VERSIONS",
    "ClientConnectionResetError",
    "ClientWSTimeout",
    "HandlerEvents",
    "WSMessageTextBytes",
    "WSMessageTypeError",
    "cancels_handler",
    "client_protocol",
    "upgraded_handler",
    "use_transport",
]

CHECKED_VERSIONS = ("3.10.11", "3.14.5")
"""The versions of aiohttp that the tests of this package ran with."""


class HandlerEvents(Protocol):
    """What a request handler tells about its upgraded connection."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]: ...
    def feed_eof(self) -> None: ...
    def is_response(self, response: Any) -> bool: ...
    def handler_failed(self) -> None: ...
    def shutting_down(self) -> None: ...
    def shut_down(self) -> None: ...


def events_of(handler: web.RequestHandler) -> HandlerEvents | None:
    """Our parser, if that is the one that ``handler`` has."""
    parser = handler._payload_parser
    return cast(HandlerEvents, parser) if getattr(parser, "is_response", None) else None


@functools.cache
def _upgraded_type(cls: type[web.RequestHandler]) -> type[web.RequestHandler]:
    class UpgradedHandler(cls):  # type: ignore[valid-type,misc]
        __slots__ = ()

        async def shutdown(self, *args: Any, **kwargs: Any) -> None:
            # After the application's own hooks, before its handlers are waited for.
            events = events_of(self)
            if events is not None:
                events.shutting_down()
            await super().shutdown(*args, **kwargs)
            if events is not None:
                events.shut_down()

        def handle_error(self, *args: Any, **kwargs: Any) -> Any:
            events = events_of(self)
            if events is not None:
                events.handler_failed()
            return super().handle_error(*args, **kwargs)

        async def finish_response(
            self, request: web.BaseRequest, resp: Any, start_time: float | None
        ) -> tuple[Any, bool]:
            events = events_of(self)
            if events is None or events.is_response(resp):
                return await super().finish_response(request, resp, start_time)  # type: ignore[no-any-return]
            # A second response has no place on an upgraded connection.
            if isinstance(resp, web.StreamResponse):
                self.log_access(request, resp, start_time)
            else:
                self.log_exception(
                    "Web-handler should return the WebSocketResponse, got %r", resp
                )
            events.handler_failed()
            return resp, True

    UpgradedHandler.__name__ = UpgradedHandler.__qualname__ = cls.__name__
    return UpgradedHandler


def upgraded_handler(handler: Any) -> None:
    """Let ``handler`` tell its parser of a failed handler and of the shutdown."""
    if not issubclass(type(handler), web.RequestHandler):
        return  # a stand-in, of aiohttp.test_utils for instance
    try:
        handler.__class__ = _upgraded_type(type(handler))  # type: ignore[arg-type]
    except TypeError:
        pass  # a class of another layout: without 1001 and 1011, as aiohttp does


def use_transport(handler: Any, transport: Any) -> None:
    """Let ``handler``, and the server that has it, have ``transport``: nobody needs the
    one before any more."""
    handler.transport = transport
    connections = getattr(getattr(handler, "_manager", None), "_connections", None)
    if isinstance(connections, dict) and handler in connections:
        connections[handler] = transport


def writing_paused(protocol: Any) -> bool:
    """Did the transport ask this protocol of aiohttp to pause?"""
    return bool(protocol._paused)


def cancels_handler(protocol: Any) -> bool:
    """Does the loss of the connection cancel the handler?"""
    manager = getattr(protocol, "_manager", None)
    return getattr(manager, "handler_cancellation", False) is True


def client_protocol(response: ClientResponse) -> tuple[Any, Any]:
    """The protocol and the transport that a response came through."""
    connection = response.connection
    if connection is None or connection.protocol is None:
        return None, None
    return connection.protocol, connection.transport


def default_headers_written(writer: Any, size: int) -> None:
    """The response's head went another way than through ``writer``."""
    if isinstance(writer.output_size, int):
        writer.output_size += size
