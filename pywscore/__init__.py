"""WebSockets (RFC 6455, RFC 7692) with a C core and the API of ``websockets``.

``serve()`` and ``connect()`` are the asyncio server and client; ``ServerProtocol`` and
``ClientProtocol`` are the protocol without I/O.
"""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING

from . import asyncio as _asyncio
from ._core import accept_key, apply_mask, is_valid_utf8
from ._tls import TLSContext
from ._version import __version__
from .enums import CloseCode, Opcode, Side, State
from .events import BinaryMessage, Close, Event, Ping, Pong, TextMessage
from .exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    DuplicateParameter,
    HeaderLineTooLong,
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderFormat,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidMethod,
    InvalidOrigin,
    InvalidParameterName,
    InvalidParameterValue,
    InvalidProtocol,
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidState,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    NegotiationError,
    PayloadTooBig,
    ProtocolError,
    ProxyError,
    RequestLineTooLong,
    SecurityError,
    StatusLineTooLong,
    TooManyFragments,
    TooManyHeaders,
    WebSocketException,
)
from .extensions import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from .http import Headers, HeadersLike, MultipleValuesError, Request, Response
from .protocol import ClientProtocol, Protocol, ServerProtocol
from .typing import (
    Data,
    ExtensionName,
    ExtensionParameter,
    LoggerLike,
    Origin,
    StatusLike,
    Subprotocol,
)
from .uri import WebSocketURI, parse_uri

if _TYPE_CHECKING:
    from ._install import install, uninstall
    from .asyncio import (
        ClientConnection,
        Connection,
        ConnectionStats,
        Forwarded,
        Listener,
        RateLimit,
        Router,
        Server,
        ServerConnection,
        ServerStats,
        SharedStats,
        basic_auth,
        broadcast,
        connect,
        metrics_response,
        route,
        run,
        serve,
        unix_connect,
        unix_route,
        unix_serve,
    )

__all__ = [
    "BinaryMessage",
    "ClientConnection",
    "ClientPerMessageDeflateFactory",
    "ClientProtocol",
    "Close",
    "CloseCode",
    "ConcurrencyError",
    "Connection",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "ConnectionStats",
    "Data",
    "DuplicateParameter",
    "Event",
    "ExtensionName",
    "ExtensionParameter",
    "Forwarded",
    "HeaderLineTooLong",
    "Headers",
    "HeadersLike",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidMethod",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProtocol",
    "InvalidProxy",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "InvalidUpgrade",
    "Listener",
    "LoggerLike",
    "MultipleValuesError",
    "NegotiationError",
    "Opcode",
    "Origin",
    "PayloadTooBig",
    "PerMessageDeflate",
    "Ping",
    "Pong",
    "Protocol",
    "ProtocolError",
    "ProxyError",
    "RateLimit",
    "Request",
    "RequestLineTooLong",
    "Response",
    "Router",
    "SecurityError",
    "Server",
    "ServerConnection",
    "ServerPerMessageDeflateFactory",
    "ServerProtocol",
    "ServerStats",
    "SharedStats",
    "Side",
    "State",
    "StatusLike",
    "StatusLineTooLong",
    "Subprotocol",
    "TLSContext",
    "TextMessage",
    "TooManyFragments",
    "TooManyHeaders",
    "WebSocketException",
    "WebSocketURI",
    "__version__",
    "accept_key",
    "apply_mask",
    "basic_auth",
    "broadcast",
    "connect",
    "install",
    "is_valid_utf8",
    "metrics_response",
    "parse_uri",
    "route",
    "run",
    "serve",
    "uninstall",
    "unix_connect",
    "unix_route",
    "unix_serve",
]

# What a program may do without, a server of the client for instance, the old names that
# ``websockets`` still has, and modules that few need: imported when they are asked for.
_ELSEWHERE = {
    **dict.fromkeys(_asyncio.__all__, "asyncio"),
    "install": "_install",
    "uninstall": "_install",
    "AbortHandshake": "legacy.exceptions",
    "InvalidStatusCode": "legacy.exceptions",
    "RedirectHandshake": "legacy.exceptions",
    "WebSocketClientProtocol": "legacy.client",
    "WebSocketCommonProtocol": "legacy.protocol",
    "WebSocketProtocolError": "legacy.exceptions",
    "WebSocketServer": "legacy.server",
    "WebSocketServerProtocol": "legacy.server",
}
_MODULES = frozenset(
    {
        *("client", "connection", "datastructures", "frames", "headers"),
        *("http11", "legacy", "proxy", "rooms", "server", "utils"),
    }
)

if _TYPE_CHECKING:
    from . import rooms as rooms
    from .legacy.client import WebSocketClientProtocol as WebSocketClientProtocol
    from .legacy.exceptions import AbortHandshake as AbortHandshake
    from .legacy.exceptions import InvalidStatusCode as InvalidStatusCode
    from .legacy.exceptions import RedirectHandshake as RedirectHandshake
    from .legacy.exceptions import WebSocketProtocolError as WebSocketProtocolError
    from .legacy.protocol import WebSocketCommonProtocol as WebSocketCommonProtocol
    from .legacy.server import WebSocketServer as WebSocketServer
    from .legacy.server import WebSocketServerProtocol as WebSocketServerProtocol
else:

    def __getattr__(name: str) -> object:
        if name in _ELSEWHERE:
            module = _importlib.import_module(f"{__name__}.{_ELSEWHERE[name]}")
            value = getattr(module, name)
            globals()[name] = value
            return value
        if name in _MODULES:
            return _importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
