"""The asyncio WebSocket client."""

from __future__ import annotations

import asyncio
import functools
import logging
import traceback
import urllib.parse
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Unpack

from .._overrides import ChecksOverrides
from .._shown import printable, shown_url
from ..exceptions import InvalidStatus, SecurityError
from ..extensions.permessage_deflate import CLIENT_DEFAULT, PerMessageDeflate, choose
from ..http import USER_AGENT, Headers, HeadersLike
from ..protocol import ClientProtocol, checked_headers
from ..typing import Carrier, LoggerLike, PathLike
from ..uri import WebSocketURI, parse_uri
from ._arguments import check_tls, checked
from ._client_connection import ClientConnection
from ._keywords import OF_CLIENTS, check_keywords
from ._listener import ListenerFactory
from ._log import LimitedLogger, default_logger
from ._opening import open_connection
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
from ._rate import RateLimit
from ._reconnect import Resumption, backoff, process_exception
from ._signatures import ConnectArguments, CreateConnectionArguments

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    C = TypeVar("C", bound=ClientConnection, default=ClientConnection)
else:
    from typing import TypeVar

    C = TypeVar("C", bound=ClientConnection)  # defaults are of 3.13

__all__ = [
    "ClientConnection",
    "backoff",
    "connect",
    "process_exception",
    "unix_connect",
]

MAX_REDIRECTS = 10
_REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})


class connect(ChecksOverrides, Generic[C]):
    """Connect to a WebSocket server, in one of three ways::

        async with connect("wss://example.org/") as ws: ...    # closes it at the end
        ws = await connect("wss://example.org/")               # close it yourself
        async for ws in connect("wss://example.org/"):         # again and again
            try:
                ...
            except ConnectionClosed:
                continue

    Redirects are followed, at most 10, never from ``wss`` to ``ws``; to another origin
    ``additional_headers`` aren't sent along. ``process_redirect()`` of a subclass may
    decide otherwise.

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
        close_timeout: seconds to wait for the peer's part of the closing handshake,
            from when the peer took some of our output last.
        idle_timeout: seconds without a complete message before closing with 1001.
        reconnect_delays: for ``async for``: makes an iterator of the seconds to wait
            before each next try.
        max_size: bytes in a received message, decompressed; beyond, 1009. None for no
            limit.
        max_queue: messages received and not yet taken before reading stops, or
            ``(high, low)`` water marks.
        write_limit: bytes waiting to be sent before ``send()`` waits, or ``(high,
            low)`` water marks.
        rate_limit: messages and bytes that it may receive in a second; see
            ``RateLimit``.
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

    _headers_given = False
    _resumption: Resumption | None = None  # of async for

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
        open_timeout: float | None = OPEN_TIMEOUT,
        ping_interval: float | None = PING_INTERVAL,
        ping_timeout: float | None = PING_TIMEOUT,
        close_timeout: float | None = CLOSE_TIMEOUT,
        idle_timeout: float | None = None,
        reconnect_delays: Callable[[], Iterator[float]] = backoff,
        max_size: int | tuple[int | None, int | None] | None = MAX_SIZE,
        max_queue: int | tuple[int | None, int | None] | None = MAX_QUEUE,
        write_limit: int | tuple[int, int | None] = WRITE_LIMIT,
        rate_limit: RateLimit | None = None,
        logger: LoggerLike | None = None,
        carrier: Carrier = "auto",
        create_connection: Callable[..., C] | None = None,
        **kwargs: Unpack[CreateConnectionArguments],
    ) -> None:
        check_keywords(connect, kwargs, OF_CLIENTS)
        given = checked(locals())
        self._carrier = carrier
        self.uri = uri
        self.process_exception = process_exception
        self.open_timeout: float | None = given["open_timeout"]
        self.reconnect_delays = reconnect_delays
        self.proxy = proxy
        self.additional_headers = given["additional_headers"]
        self.ws_uri = parse_uri(uri)
        self.user_agent_header = user_agent_header
        self.create_connection_kwargs: dict[str, Any] = {**kwargs}
        if not self.ws_uri.secure and kwargs.get("ssl") is not None:
            raise ValueError("ssl argument is incompatible with a ws:// URI")
        if self.ws_uri.secure and kwargs.get("ssl", True) is None:
            raise ValueError("ssl=None is incompatible with a wss:// URI")
        check_tls(kwargs.get("ssl"), server=False, carrier=carrier)
        self._log = LimitedLogger(logger or default_logger("client"))
        options = Options.of(given, self._log)
        deflate = choose(compression, given["extensions"], CLIENT_DEFAULT)
        factory: Callable[..., Any] = create_connection or ClientConnection

        def new_connection(uri: WebSocketURI, headers: Headers) -> C:
            protocol = ClientProtocol(
                uri,
                origin=origin,
                subprotocols=given["subprotocols"],
                headers=headers,
                user_agent_header=user_agent_header,
                compression=deflate,
                max_size=given["max_size"],
            )
            connection: C = factory(protocol, options=options)
            connection._listener_factory = listener
            return connection

        self._new_connection = new_connection

    @property
    def additional_headers(self) -> Headers:
        """More headers for the request, of each try from now on."""
        return self._additional_headers

    @additional_headers.setter
    def additional_headers(self, headers: HeadersLike | None) -> None:
        self._additional_headers = checked_headers(headers)
        self._headers_given = True

    def __repr__(self) -> str:
        how = "to be awaited, or used by async with or async for"
        return f"<{type(self).__name__} to {shown_url(self.uri)}, {how}>"

    # One connection

    async def connect(self) -> C:
        """Try once, as ``await`` does.

        Returns:
            The connection, open.

        Raises:
            OSError: if TCP or TLS doesn't connect.
            InvalidHandshake: if the opening handshake fails; its child SecurityError
                after 10 redirects.
            TimeoutError: after ``open_timeout``.
        """
        uri, ws_uri, headers = self.uri, self.ws_uri, self.additional_headers
        timeout = asyncio.timeout(self.open_timeout)
        try:
            async with timeout:
                for _ in range(MAX_REDIRECTS + 1):
                    connection = await self._open(ws_uri, headers)
                    try:
                        await connection._answered
                        return connection
                    except BaseException as exc:
                        connection.transport.abort()
                        way = self._follow(exc, uri, ws_uri, headers)
                        if way is None:
                            raise
                        uri, ws_uri, headers = way
                    finally:
                        # It refers to the exception, whose traceback refers to here.
                        del connection
        except TimeoutError as exc:
            if timeout.expired():
                exc.__traceback__ = None  # refers to the task
                raise TimeoutError("timed out during opening handshake") from exc
            raise
        finally:
            del timeout  # refers to the task, which may end by the exception
        raise SecurityError(f"more than {MAX_REDIRECTS} redirects")

    async def _open(self, uri: WebSocketURI, headers: Headers) -> C:
        try:
            return await open_connection(
                uri,
                functools.partial(self._new_connection, uri, headers),
                carrier=self._carrier,
                proxy=self.proxy,
                user_agent_header=self.user_agent_header,
                resumption=self._resumption,
                **self.create_connection_kwargs,
            )
        except OSError as exc:
            # Frames of asyncio's refer to futures that refer to the exception.
            exc.__traceback__ = None
            raise

    def _follow(
        self, exc: BaseException, uri: str, ws_uri: WebSocketURI, headers: Headers
    ) -> tuple[str, WebSocketURI, Headers] | None:
        """Where to go on after ``exc`` (HSK-10); None if ``exc`` is to be raised."""
        if not isinstance(exc, Exception):
            return None
        before = self.uri, self.ws_uri, self._additional_headers
        self.uri, self.ws_uri, self._additional_headers = uri, ws_uri, headers.copy()
        self._headers_given = False
        try:
            new = self.process_redirect(exc)
            if new is exc:
                return None
            if isinstance(new, Exception):
                try:
                    raise new from exc
                finally:
                    del new  # its traceback refers to here
            new_ws_uri = parse_uri(new)
            if new_ws_uri.origin != ws_uri.origin and not self._headers_given:
                return new, new_ws_uri, Headers()
            return new, new_ws_uri, self.additional_headers
        finally:
            # The next try of ``async for`` asks for the redirect again.
            self.uri, self.ws_uri, self._additional_headers = before

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Decide what comes after a handshake that failed; for subclasses to override.

        ``uri``, ``ws_uri`` and ``additional_headers`` are those of the handshake. To
        another origin ``additional_headers`` aren't sent, unless an override sets them.

        Args:
            exc: an ``InvalidStatus`` if the server gave another answer than 101.

        Returns:
            The URI to go on with, if ``exc`` is a redirect that may be followed, else
            the exception to raise.
        """
        if not isinstance(exc, InvalidStatus):
            return exc
        response = exc.response
        locations = response.headers.get_all("Location")
        if response.status_code not in _REDIRECTS or len(locations) != 1:
            return exc
        target = _join(self.uri, locations[0])
        new = parse_uri(target)
        kwargs = self.create_connection_kwargs
        refused = f"cannot follow redirect to {shown_url(target)} with"
        if kwargs.get("sock") is not None:
            return ValueError(f"{refused} a preexisting socket")
        if self.ws_uri.secure and not new.secure:
            return SecurityError(
                f"cannot follow redirect to non-secure URI {shown_url(target)}"
            )
        if new.origin != self.ws_uri.origin:
            for name in ("unix", "host", "port"):
                if kwargs.get(name):
                    what = "path" if name == "unix" else name
                    return ValueError(f"{refused} an explicit {what}")
            self.additional_headers = None
        return target

    # The three ways

    def __await__(self) -> Generator[Any, None, C]:
        return self.connect().__await__()

    async def __aenter__(self) -> C:
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

    async def __aiter__(self) -> AsyncIterator[C]:
        delays: Iterator[float] | None = None
        self._resumption = resumption = Resumption()
        while True:
            try:
                connection = await self
            except Exception as exc:
                error = self._is_fatal(exc)
                try:
                    if error is exc:
                        raise
                    if error is not None:
                        raise error from exc
                finally:
                    del error  # its traceback refers to here
                delays = delays or iter(self.reconnect_delays())
                delay = next(delays, None)
                if delay is None:
                    raise  # reconnect_delays has come to its end, and so has this
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
                tls = connection.transport.get_extra_info("ssl_object")
                yield connection
            resumption.keep(tls)

    def _is_fatal(self, exc: Exception) -> Exception | None:
        try:
            return self.process_exception(exc)
        except Exception as raised:
            return raised


def unix_connect(
    path: PathLike | None = None,
    uri: str | None = None,
    *,
    create_connection: Callable[..., C] | None = None,
    **kwargs: Unpack[ConnectArguments],
) -> connect[C]:
    """Connect to a server that listens on a Unix socket.

    Args:
        path: where the socket is; None with ``sock=``.
        uri: what to say in the request; ``ws://localhost/`` by default, or
            ``wss://localhost/`` with ``ssl``.
        create_connection: as for ``connect()``.
        kwargs: as for ``connect()``.

    Returns:
        As ``connect()``, to be used in the same three ways.

    Raises:
        InvalidURI, TypeError, ValueError: if an argument can't be used.
    """
    if uri is None:
        uri = "ws://localhost/" if kwargs.get("ssl") is None else "wss://localhost/"
    arguments: dict[str, Any] = {"unix": True, "path": path, **kwargs}
    return connect(uri, create_connection=create_connection, **arguments)


def _join(uri: str, location: str) -> str:
    """The address that a Location header gives (RFC 9110 §10.2.2); http is ws then."""
    target = urllib.parse.urljoin(uri, location)
    for http_scheme, ws_scheme in (("http://", "ws://"), ("https://", "wss://")):
        if target.lower().startswith(http_scheme):
            return ws_scheme + target[len(http_scheme) :]
    return target
