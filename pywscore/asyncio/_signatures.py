"""How ``serve()`` and ``connect()`` are called: what checkers of types and editors see.

The functions themselves name their own arguments once more, with what they are by
default; a test compares.
"""

from __future__ import annotations

import re
import socket
import ssl as ssl_module
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Literal, TypedDict

from .._tls import TLSContext
from ..extensions import PerMessageDeflate
from ..http import HeadersLike, Request, Response
from ..typing import Carrier, LoggerLike, Subprotocol
from ._forwarded import Forwarded
from ._listener import ListenerFactory
from ._rate import RateLimit
from ._serving import ServerConnection

__all__ = [
    "ConnectArguments",
    "CreateConnectionArguments",
    "Handler",
    "ProcessRequest",
    "ProcessResponse",
    "RouteArguments",
    "RunArguments",
    "SelectSubprotocol",
    "ServeArguments",
]

Handler = Callable[[ServerConnection], Awaitable[Any]]
ProcessRequest = Callable[
    [ServerConnection, Request], Awaitable[Response | None] | Response | None
]
ProcessResponse = Callable[
    [ServerConnection, Request, Response], Awaitable[Response | None] | Response | None
]
SelectSubprotocol = Callable[[ServerConnection, Sequence[Subprotocol]], str | None]

_Limits = int | tuple[int | None, int | None] | None


class _Socket(TypedDict, total=False):
    family: int
    flags: int
    sock: socket.socket | None
    ssl_handshake_timeout: float | None
    ssl_shutdown_timeout: float | None


class _Both(TypedDict, total=False):
    extensions: Sequence[PerMessageDeflate] | None
    subprotocols: Sequence[str] | None
    compression: Literal["deflate"] | PerMessageDeflate | None
    open_timeout: float | None
    ping_interval: float | None
    ping_timeout: float | None
    close_timeout: float | None
    idle_timeout: float | None
    max_size: _Limits
    max_queue: _Limits
    write_limit: int | tuple[int, int | None]
    rate_limit: RateLimit | None
    logger: LoggerLike | None
    carrier: Carrier


class _Serving(_Both, _Socket, total=False):
    origins: Sequence[str | re.Pattern[str] | None] | None
    select_subprotocol: SelectSubprotocol | None
    process_request: ProcessRequest | None
    process_response: ProcessResponse | None
    server_header: str | None
    max_connections: int | None
    max_connections_per_address: int | None
    forwarded: Forwarded | None
    # Of loop.create_server() and loop.create_unix_server().
    backlog: int
    reuse_address: bool | None
    reuse_port: bool | None
    keep_alive: bool | None
    start_serving: bool
    cleanup_socket: bool
    mode: int


class RouteArguments(_Serving, total=False):
    """``route()``, which has an ``ssl`` of its own."""

    create_connection: Callable[..., ServerConnection] | None


class ServeArguments(_Serving, total=False):
    """``serve()`` without ``listener`` and ``create_connection``, which say what the
    handler is."""

    ssl: ssl_module.SSLContext | TLSContext | None


class RunArguments(ServeArguments, total=False):
    """All of ``serve()``."""

    listener: ListenerFactory | None
    create_connection: Callable[..., ServerConnection] | None


class CreateConnectionArguments(_Socket, total=False):
    """Of ``loop.create_connection()``, ``loop.create_unix_connection()``, and the same
    for the connection to a proxy."""

    ssl: ssl_module.SSLContext | TLSContext | Literal[True] | None
    server_hostname: str | None
    host: str | None
    port: int | None
    proto: int
    local_addr: tuple[str, int] | None
    happy_eyeballs_delay: float | None
    interleave: int | None
    all_errors: bool
    proxy_ssl: ssl_module.SSLContext | Literal[True] | None
    proxy_server_hostname: str | None
    proxy_family: int
    proxy_flags: int
    proxy_proto: int
    proxy_local_addr: tuple[str, int] | None
    proxy_ssl_handshake_timeout: float | None
    proxy_ssl_shutdown_timeout: float | None
    proxy_happy_eyeballs_delay: float | None
    proxy_interleave: int | None
    proxy_all_errors: bool


class ConnectArguments(_Both, CreateConnectionArguments, total=False):
    """``connect()`` without ``create_connection``, which says what it gives."""

    listener: ListenerFactory | None
    origin: str | None
    additional_headers: HeadersLike | None
    user_agent_header: str | None
    proxy: str | Literal[True] | None
    process_exception: Callable[[Exception], Exception | None]
    reconnect_delays: Callable[[], Iterator[float]]
