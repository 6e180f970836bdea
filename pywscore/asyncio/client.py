"""The asyncio WebSocket client."""

from __future__ import annotations

import asyncio
import logging
import ssl as ssl_module
import traceback
import urllib.parse
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Literal

from ..exceptions import InvalidStatus, SecurityError
from ..extensions import CLIENT_DEFAULT, PerMessageDeflate, choose
from ..http import USER_AGENT, Headers, HeadersLike
from ..protocol import ClientProtocol, checked_headers
from ..tls import TLSContext
from ..typing import LoggerLike, PathLike
from ..uri import WebSocketURI, parse_uri
from .client_connection import ClientConnection
from .engine import Handover, adopt, uses_engine
from .handshake import check_subprotocols
from .listener import ListenerFactory
from .log import LimitedLogger, printable
from .options import (
    MAX_QUEUE,
    WRITE_LIMIT,
    Options,
    check_carrier,
    message_limit,
    water_marks,
)
from .proxy import connect_http, connect_socks, get_proxy, parse_proxy
from .reconnect import backoff, process_exception

__all__ = [
    "ClientConnection",
    "backoff",
    "connect",
    "process_exception",
    "unix_connect",
]

MAX_REDIRECTS = 10
_REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})


class connect:
    """Connect to a WebSocket server, in one of three ways::

        async with connect("wss://example.org/") as ws: ...    # closes it at the end
        ws = await connect("wss://example.org/")               # close it yourself
        async for ws in connect("wss://example.org/"):         # again and again
            try:
                ...
            except ConnectionClosed:
                continue

    Redirects are followed, at most 10, never from ``wss`` to ``ws``; to another origin
    Authorization and Cookie headers aren't sent along.

    Args:
        uri: address of the server.
        listener: called without arguments for each connection, makes the object whose
            methods get its messages, in the place of ``recv()``; see ``Listener``.
        origin: value of the Origin header.
        extensions: a list with a PerMessageDeflate, instead of ``compression``.
        subprotocols: what to offer, the preferred one first.
        compression: ``"deflate"`` to offer permessage-deflate, PerMessageDeflate for
            other settings, None to do without.
        additional_headers: more headers for the request.
        user_agent_header: value of the User-Agent header, None for none.
        proxy: True takes the proxy from the environment or the system, None none; or
            the address of an HTTP or SOCKS proxy (with python-socks).
        process_exception: for ``async for``: gets the exception of a failed try,
            returns None to try again or an exception to raise.
        open_timeout: seconds for TCP, TLS and the opening handshake together, None for
            no limit. For this and all that follow.
        ping_interval: seconds between keepalive pings, None to send none.
        ping_timeout: seconds to wait for a pong before closing with 1011.
        close_timeout: seconds to wait for the peer's part of the closing handshake.
        idle_timeout: seconds without a complete message before closing with 1001.
        reconnect_delays: for ``async for``: makes an iterator of the seconds to wait
            before each next try.
        max_size: bytes in a received message, decompressed; beyond, 1009. None for no
            limit.
        max_queue: messages received and not yet taken before reading stops, or
            ``(high, low)`` water marks.
        write_limit: bytes waiting to be sent before ``send()`` waits, or ``(high,
            low)`` water marks.
        logger: where to log; ``logging.getLogger("pywscore.client")`` by default.
        carrier: as for ``serve()``.
        create_connection: called as ``ClientConnection(protocol, options=)``.
        kwargs: passed on to ``loop.create_connection()``: ``ssl``, ``server_hostname``,
            ``sock``, ``local_addr`` and so on; ``host`` and ``port`` to connect
            elsewhere than the URI says. With an HTTP proxy those that start with
            ``proxy_`` are for the connection to the proxy (``proxy_ssl``), and ``ssl``
            and ``server_hostname`` for the one through it.

    Raises:
        InvalidURI: if uri isn't valid.
        InvalidProxy: if proxy isn't valid.
        OSError: if TCP or TLS doesn't connect.
        InvalidHandshake: if the opening handshake fails.
        TimeoutError: after ``open_timeout``.
        TypeError, ValueError: if an argument can't be used.
    """

    def __init__(
        self,
        uri: str,
        *,
        listener: ListenerFactory | None = None,
        origin: str | None = None,
        extensions: Sequence[PerMessageDeflate] | None = None,
        subprotocols: Sequence[str] | None = None,
        compression: Literal["deflate"] | PerMessageDeflate | None = "deflate",
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        proxy: str | Literal[True] | None = True,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        idle_timeout: float | None = None,
        reconnect_delays: Callable[[], Iterator[float]] = backoff,
        max_size: int | tuple[int | None, int | None] | None = 1 << 20,
        max_queue: int | tuple[int | None, int | None] | None = MAX_QUEUE,
        write_limit: int | tuple[int, int | None] = WRITE_LIMIT,
        logger: LoggerLike | None = None,
        carrier: Literal["auto", "engine", "transport"] = "auto",
        create_connection: Callable[..., ClientConnection] | None = None,
        **kwargs: Any,
    ) -> None:
        check_carrier(carrier)
        self._carrier = carrier
        self.uri = uri
        self.process_exception = process_exception
        self.open_timeout = open_timeout
        self.reconnect_delays = reconnect_delays
        self.proxy = proxy
        self.additional_headers = checked_headers(additional_headers)
        self._ws_uri = parse_uri(uri)
        self._user_agent_header = user_agent_header
        self._kwargs = kwargs
        if not self._ws_uri.secure and kwargs.get("ssl") is not None:
            raise ValueError("ssl argument is incompatible with a ws:// URI")
        if self._ws_uri.secure and kwargs.get("ssl", True) is None:
            raise ValueError("ssl=None is incompatible with a wss:// URI")
        tls = kwargs.get("ssl")
        if isinstance(tls, TLSContext):
            if tls.is_server:
                raise ValueError(
                    "connect() needs a context made with TLSContext.client()"
                )
            if carrier == "transport":
                raise ValueError('TLSContext doesn\'t go with carrier="transport"')
        marks = water_marks("write_limit", write_limit)
        assert marks is not None
        self._log = LimitedLogger(logger or logging.getLogger("pywscore.client"))
        options = Options(
            open_timeout=open_timeout,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            idle_timeout=idle_timeout,
            max_queue=water_marks("max_queue", max_queue),
            write_limit=marks,
            log=self._log,
        )
        deflate = choose(compression, extensions, CLIENT_DEFAULT)
        offered = check_subprotocols(subprotocols)
        limit = message_limit(max_size)
        factory = create_connection or ClientConnection

        def new_connection(uri: WebSocketURI, headers: Headers) -> ClientConnection:
            protocol = ClientProtocol(
                uri,
                origin=origin,
                subprotocols=offered,
                headers=headers,
                user_agent_header=user_agent_header,
                compression=deflate,
                max_size=limit,
            )
            connection = factory(protocol, options=options)
            connection._listener_factory = listener
            return connection

        self._new_connection = new_connection

    # One connection

    async def _connect(self) -> ClientConnection:
        uri, headers = self._ws_uri, self.additional_headers
        try:
            async with asyncio.timeout(self.open_timeout) as timeout:
                for _ in range(MAX_REDIRECTS + 1):
                    connection = await self._open_tcp(uri, headers)
                    try:
                        await connection._handshake()
                        return connection
                    except InvalidStatus as exc:
                        connection.transport.abort()
                        uri, headers = self._redirect(exc, uri, headers)
                    except BaseException:
                        connection.transport.abort()
                        raise
        except TimeoutError as exc:
            if timeout.expired():
                raise TimeoutError("timed out during opening handshake") from exc
            raise
        raise SecurityError(f"more than {MAX_REDIRECTS} redirects")

    def _redirect(
        self, exc: InvalidStatus, uri: WebSocketURI, headers: Headers
    ) -> tuple[WebSocketURI, Headers]:
        """Where to go on, or an exception (HSK-10)."""
        response = exc.response
        locations = response.headers.get_all("Location")
        if response.status_code not in _REDIRECTS or len(locations) != 1:
            raise exc
        target = _join(uri, locations[0])
        new = parse_uri(target)
        if self._kwargs.get("sock") is not None:
            raise ValueError(
                f"cannot follow redirect to {target} with a preexisting socket"
            ) from exc
        if uri.secure and not new.secure:
            raise SecurityError(
                f"cannot follow redirect to non-secure URI {target}"
            ) from exc
        if new.origin != uri.origin:
            for name in ("unix", "host", "port"):
                if self._kwargs.get(name):
                    raise ValueError(
                        f"cannot follow redirect to {target} with an explicit "
                        f"{'path' if name == 'unix' else name}"
                    ) from exc
            kept = [
                line
                for line in headers.raw_items()
                if line[0].lower() not in _CREDENTIALS
            ]
            headers = Headers(kept)
            # A Host that was set by hand was meant for the other origin.
            headers.pop("Host", None)
        return new, headers

    async def _open_tcp(self, uri: WebSocketURI, headers: Headers) -> ClientConnection:
        loop = asyncio.get_running_loop()
        kwargs = self._kwargs.copy()
        if uri.secure:
            if kwargs.get("ssl") is None:
                kwargs["ssl"] = True
            kwargs.setdefault("server_hostname", uri.host)

        def factory() -> ClientConnection:
            return self._new_connection(uri, headers)

        on_engine = uses_engine(self._carrier, loop, kwargs.get("ssl"))
        tls: TLSContext | None = None
        name: str | None = None
        if isinstance(kwargs.get("ssl"), TLSContext):
            tls = kwargs.pop("ssl")
            name = kwargs.pop("server_hostname") or uri.host
        if kwargs.pop("unix", False):
            if on_engine:
                made = await loop.create_unix_connection(Handover, **kwargs)
                return adopt(*made, factory(), tls, name)
            _, connection = await loop.create_unix_connection(factory, **kwargs)
            return connection
        proxy = self.proxy if kwargs.get("sock") is None else None
        if proxy is True:
            proxy = get_proxy(uri)
        if proxy is not None:
            parsed = parse_proxy(proxy)
            if parsed.scheme.startswith("http"):
                if tls is not None:
                    raise ValueError("TLSContext doesn't go with an HTTP proxy")
                ours, theirs = _split(kwargs, parsed.scheme == "https")
                transport = await connect_http(
                    parsed, uri, self._user_agent_header, **theirs
                )
                return await _through(transport, factory(), **ours)
            kwargs["sock"] = await connect_socks(
                parsed, uri, kwargs.pop("local_addr", None)
            )
        if kwargs.get("sock") is None:
            kwargs.setdefault("host", uri.host)
            kwargs.setdefault("port", uri.port)
        if on_engine:
            made = await loop.create_connection(Handover, **kwargs)
            return adopt(*made, factory(), tls, name)
        _, connection = await loop.create_connection(factory, **kwargs)
        return connection

    # The three ways

    def __await__(self) -> Generator[Any, None, ClientConnection]:
        return self._connect().__await__()

    async def __aenter__(self) -> ClientConnection:
        if hasattr(self, "connection"):
            raise RuntimeError("connect() isn't reentrant")
        self.connection = await self
        return self.connection

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.connection.__aexit__(exc_type, exc_value, traceback)
        finally:
            del self.connection

    async def __aiter__(self) -> AsyncIterator[ClientConnection]:
        delays: Iterator[float] | None = None
        while True:
            try:
                connection = await self
            except Exception as exc:
                error = self._is_fatal(exc)
                if error is exc:
                    raise
                if error is not None:
                    raise error from exc
                delays = delays or iter(self.reconnect_delays())
                delay = next(delays)
                text = traceback.format_exception_only(exc)[0].strip()
                self._log.log(
                    logging.INFO,
                    "connect failed; next try in %.1f seconds: %s",
                    delay,
                    printable(text),
                )
                await asyncio.sleep(delay)
                continue
            delays = None
            async with connection:
                yield connection

    def _is_fatal(self, exc: Exception) -> Exception | None:
        try:
            return self.process_exception(exc)
        except Exception as raised:
            return raised


def unix_connect(
    path: PathLike | None = None,
    uri: str | None = None,
    **kwargs: Any,
) -> connect:
    """Connect to a server that listens on a Unix socket.

    Args:
        path: where the socket is; None with ``sock=``.
        uri: what to say in the request; ``ws://localhost/`` by default, or
            ``wss://localhost/`` with ``ssl``.
        kwargs: as for ``connect()``.
    """
    if uri is None:
        uri = "ws://localhost/" if kwargs.get("ssl") is None else "wss://localhost/"
    return connect(uri, unix=True, path=path, **kwargs)


def _join(uri: WebSocketURI, location: str) -> str:
    """The address that a Location header gives (RFC 9110 §10.2.2); http is ws then."""
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    scheme = "https" if uri.secure else "http"
    base = f"{scheme}://{host}:{uri.port}{uri.resource_name}"
    target = urllib.parse.urljoin(base, location)
    for http_scheme, ws_scheme in (("http://", "ws://"), ("https://", "wss://")):
        if target.lower().startswith(http_scheme):
            return ws_scheme + target[len(http_scheme) :]
    return target


def _split(
    kwargs: dict[str, Any], secure: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments for the connection through a proxy, and to it."""
    ours: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    for name, value in kwargs.items():
        if name.startswith("ssl") or name == "server_hostname":
            ours[name] = value
        else:
            theirs[name.removeprefix("proxy_")] = value
    if secure:
        if theirs.setdefault("ssl", True) is None:
            raise ValueError("proxy_ssl=None is incompatible with an https:// proxy")
    elif theirs.get("ssl") is not None:
        raise ValueError("proxy_ssl argument is incompatible with an http:// proxy")
    return ours, theirs


async def _through(
    transport: asyncio.Transport,
    connection: ClientConnection,
    ssl: ssl_module.SSLContext | Literal[True] | None = None,
    **kwargs: Any,
) -> ClientConnection:
    """Put a connection onto a transport that leads to its server."""
    if ssl is True:
        ssl = ssl_module.create_default_context()
    try:
        if ssl is not None:
            encrypted = await connection.loop.start_tls(
                transport, connection, ssl, **kwargs
            )
            assert encrypted is not None
            transport = encrypted
        else:
            transport.set_protocol(connection)
    except BaseException:
        transport.abort()
        raise
    connection.connection_made(transport)
    return connection
