"""The asyncio WebSocket server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar, Unpack, overload

from .. import _core
from .._tls import TLSContext
from ..extensions.permessage_deflate import SERVER_DEFAULT, PerMessageDeflate, choose
from ..http import SERVER
from ..typing import Carrier, LoggerLike, PathLike
from ._acceptor import Acceptor
from ._arguments import Origins, check_tls, checked
from ._auth import basic_auth
from ._forwarded import Forwarded
from ._handshake import Handshake
from ._keywords import OF_SERVERS, check_keywords
from ._listener import ListenerFactory
from ._log import LimitedLogger, default_logger
from ._options import (
    CLOSE_TIMEOUT,
    MAX_QUEUE,
    MAX_SIZE,
    OPEN_TIMEOUT,
    PING_INTERVAL,
    PING_TIMEOUT,
    WRITE_LIMIT,
    Options,
)
from ._places import Places
from ._rate import RateLimit
from ._serving import Server, ServerConnection
from ._signatures import (
    Handler,
    ProcessRequest,
    ProcessResponse,
    SelectSubprotocol,
    ServeArguments,
)
from .connection import broadcast

__all__ = [
    "Server",
    "ServerConnection",
    "basic_auth",
    "broadcast",
    "serve",
    "unix_serve",
]


C = TypeVar("C", bound=ServerConnection)


@overload
def serve(
    handler: Handler,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    listener: None = None,
    create_connection: None = None,
    **kwargs: Unpack[ServeArguments],
) -> Server: ...
@overload
def serve(
    handler: Callable[[C], Awaitable[Any]],
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    listener: None = None,
    create_connection: Callable[..., C],
    **kwargs: Unpack[ServeArguments],
) -> Server: ...
@overload
def serve(
    handler: None,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    listener: ListenerFactory,
    create_connection: Callable[..., ServerConnection] | None = None,
    **kwargs: Unpack[ServeArguments],
) -> Server: ...
def serve(
    handler: Callable[..., Awaitable[Any]] | None,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    listener: ListenerFactory | None = None,
    origins: Origins | None = None,
    extensions: Sequence[PerMessageDeflate] | None = None,
    subprotocols: Sequence[str] | None = None,
    select_subprotocol: SelectSubprotocol | None = None,
    compression: Literal["deflate"] | PerMessageDeflate | None = "deflate",
    process_request: ProcessRequest | None = None,
    process_response: ProcessResponse | None = None,
    server_header: str | None = SERVER,
    open_timeout: float | None = OPEN_TIMEOUT,
    ping_interval: float | None = PING_INTERVAL,
    ping_timeout: float | None = PING_TIMEOUT,
    close_timeout: float | None = CLOSE_TIMEOUT,
    idle_timeout: float | None = None,
    max_size: int | tuple[int | None, int | None] | None = MAX_SIZE,
    max_queue: int | tuple[int | None, int | None] | None = MAX_QUEUE,
    write_limit: int | tuple[int, int | None] = WRITE_LIMIT,
    rate_limit: RateLimit | None = None,
    max_connections: int | None = None,
    max_connections_per_address: int | None = None,
    forwarded: Forwarded | None = None,
    logger: LoggerLike | None = None,
    carrier: Carrier = "auto",
    create_connection: Callable[..., ServerConnection] | None = None,
    **kwargs: Any,
) -> Server:
    """Serve WebSocket connections on a TCP port::

        async with serve(handler, "127.0.0.1", 8765) as server:
            await server.serve_forever()

    ``await serve(...)`` gives the server too, which is then to be closed by hand. For
    each connection there is a task that runs ``handler(ws)``. When it returns, the
    connection is closed with 1000; when it raises, with 1011 and a line in the log.

    Args:
        handler: coroutine function that gets a ServerConnection; None with a listener.
        host: address or addresses to listen on; None for all.
        port: port to listen on; 0 for any free one.
        listener: called without arguments for each connection, makes the object whose
            methods get its messages, in the place of a handler; see ``Listener``.
        origins: allowed values of the Origin header, to keep other web sites' pages
            out: strings for an exact match, compiled patterns for a full match, None
            for requests without it; others get 403. Without a list all are allowed
            (RFC 6455 §10.2).
        extensions: a list with a PerMessageDeflate, instead of ``compression``.
        subprotocols: what the server speaks, the preferred one first. A client that
            offers none of them gets 400.
        select_subprotocol: gets the connection and the list that the client offered,
            returns one of them or None, or raises NegotiationError.
        compression: ``"deflate"`` for permessage-deflate with small windows,
            PerMessageDeflate for other settings, None to do without.
        process_request: function or coroutine function that gets the connection and
            the Request; a Response that it returns is sent instead of accepting. It is
            cancelled when the client is gone.
        process_response: the same with connection, Request and Response, before the
            response is sent.
        server_header: value of the Server header, None for none.
        open_timeout: seconds for the opening handshake, TLS included; None for no
            limit. For this and all that follow.
        ping_interval: seconds between keepalive pings, None to send none.
        ping_timeout: seconds to wait for a pong before closing with 1011.
        close_timeout: seconds to wait for the peer's part of the closing handshake,
            from when the peer took some of our output last.
        idle_timeout: seconds without a complete message before closing with 1001.
        max_size: bytes in a received message, decompressed; beyond, 1009. None for no
            limit.
        max_queue: messages received and not yet taken before reading stops, or
            ``(high, low)`` water marks.
        write_limit: bytes waiting to be sent before ``send()`` waits, or ``(high,
            low)`` water marks.
        rate_limit: messages and bytes that one connection may receive in a second; see
            ``RateLimit``.
        max_connections: connections at the same time, half-open ones included, and
            those that are gone while their hook or handler still runs; beyond, 503.
        max_connections_per_address: of these, from one IPv4 address or IPv6 network of
            64 bits. Behind a reverse proxy all have its address, without ``forwarded``.
        forwarded: how proxies say whose connections those are, and which are trusted;
            see ``Forwarded``. None: a proxy is the client.
        logger: where to log; ``logging.getLogger("pywscore.server")`` by default.
        carrier: who does the I/O: ``"transport"`` is asyncio's transports;
            ``"engine"`` is sockets in C, on Linux and macOS;
            ``"auto"`` is the engine where it can serve.
        create_connection: called as ``ServerConnection(protocol, server,
            options=...)``.
        kwargs: passed on to ``loop.create_server()``: ``ssl``, ``sock``,
            ``reuse_port``, ``start_serving`` and so on.

    Returns:
        The server, to be awaited or entered with ``async with``.

    Raises:
        OSError: on starting, if the address can't be listened on.
        TypeError, ValueError: if an argument can't be used.
    """
    check_keywords(serve, kwargs, OF_SERVERS)
    given = checked(locals())
    if (handler is None) == (listener is None):
        raise TypeError("either a handler or a listener is needed")
    deflate = choose(compression, given["extensions"], SERVER_DEFAULT)
    tls = kwargs.pop("ssl", None)
    check_tls(tls, server=True, carrier=carrier)
    log = LimitedLogger(logger or default_logger("server"))
    options = Options.of(given, log)
    handshake = Handshake(
        origins=given["origins"],
        subprotocols=given["subprotocols"],
        select_subprotocol=select_subprotocol,
        process_request=process_request,
        process_response=process_response,
        server_header=server_header,
        over_tls=tls is not None and not isinstance(tls, TLSContext),
    )
    factory = create_connection or ServerConnection
    # Without hooks, what isn't a correct request is refused by the core, and no task is
    # made for it.
    any_request = handshake.has_hooks

    def new_connection() -> ServerConnection:
        protocol = _core.ServerProtocol(
            max_size=given["max_size"], compression=deflate, any_request=any_request
        )
        made = factory(protocol, server, options=options)
        if not isinstance(made, ServerConnection):
            raise TypeError("create_connection must make a ServerConnection")
        return made

    acceptor = Acceptor(
        where=(given["host"], port),
        tls=tls,
        arguments=kwargs,
        timeouts={
            "ssl_handshake_timeout": given["open_timeout"],
            "ssl_shutdown_timeout": given["close_timeout"],
        },
        carrier=carrier,
        forwarded=forwarded,
        new_connection=new_connection,
        admit=lambda ws, address: server._admit(ws, address),
        proxied=lambda ws, proxy, client: server._proxied(ws, proxy, client),
        left=lambda ws: server._left(ws),
        log=log,
    )
    server = Server(
        acceptor.listen,
        handler,
        listener=listener,
        handshake=handshake,
        log=log,
        places=Places(given["max_connections"], given["max_connections_per_address"]),
        forwarded=forwarded,
    )
    return server


serve_any: Callable[..., Server] = serve
"""For callers who pass on what they got."""


@overload
def unix_serve(
    handler: Handler,
    path: PathLike | None = None,
    *,
    listener: None = None,
    create_connection: None = None,
    **kwargs: Unpack[ServeArguments],
) -> Server: ...
@overload
def unix_serve(
    handler: Callable[[C], Awaitable[Any]],
    path: PathLike | None = None,
    *,
    listener: None = None,
    create_connection: Callable[..., C],
    **kwargs: Unpack[ServeArguments],
) -> Server: ...
@overload
def unix_serve(
    handler: None,
    path: PathLike | None = None,
    *,
    listener: ListenerFactory,
    create_connection: Callable[..., ServerConnection] | None = None,
    **kwargs: Unpack[ServeArguments],
) -> Server: ...
def unix_serve(
    handler: Callable[..., Awaitable[Any]] | None,
    path: PathLike | None = None,
    **kwargs: Any,
) -> Server:
    """Serve on a Unix socket, behind a reverse proxy for instance.

    Args:
        handler: as for ``serve()``.
        path: where the socket is made; None with ``sock=``.
        kwargs: as for ``serve()``, without host and port.

    Returns:
        As ``serve()``.

    Raises:
        OSError, TypeError, ValueError: as ``serve()``.
    """
    return serve_any(handler, unix=True, path=path, **kwargs)
