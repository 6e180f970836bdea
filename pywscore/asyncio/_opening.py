"""How a client's connection comes about: TCP, proxies, TLS."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import socket
import ssl as ssl_module
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from .._tls import TLSContext
from ..exceptions import InvalidURI
from ..http import host_header
from ..uri import WebSocketURI, parse_uri
from ._client_connection import ClientConnection
from ._default_tls import default_context
from ._engine import (
    Handover,
    adopt,
    carry,
    end_slow_handshake,
    start_tls,
    uses_engine,
)
from ._log import is_exit
from ._reconnect import Resumption
from ._tcp import connect_tcp, is_plain

if TYPE_CHECKING:
    from ._proxy import Proxy

__all__ = ["open_connection"]

C = TypeVar("C", bound=ClientConnection)

# The proxy's address is in proxy=, with the credentials that are for it alone.
_OTHER_PROXIES = ("proxy_host", "proxy_port", "proxy_sock")


async def open_connection(
    uri: WebSocketURI,
    factory: Callable[[], C],
    *,
    carrier: str,
    proxy: str | Literal[True] | None,
    user_agent_header: str | None,
    resumption: Resumption | None = None,
    **kwargs: Any,
) -> C:
    """A connection to ``uri``'s server, or to ``host`` and ``port``, that is about to
    send its request. Arguments as for ``connect()``."""
    from ._proxy import connect_http, connect_socks, get_proxy, parse_proxy

    loop = asyncio.get_running_loop()
    if uri.secure:
        if kwargs.get("ssl") is None:
            kwargs["ssl"] = True
        kwargs.setdefault("server_hostname", uri.host)
    on_engine: OnEngine | None = None
    if uses_engine(carrier, loop, kwargs.get("ssl")):
        on_engine = OnEngine.of(uri, kwargs, resumption)
    if kwargs.get("unix"):
        return await _connect(factory, on_engine, **kwargs)
    kwargs.pop("unix", None)
    target = uri
    if kwargs.get("sock") is not None:
        proxy = None
    elif proxy is True:
        proxy = get_proxy(uri)
        if proxy is not None:
            target = _target(uri, kwargs)
            proxy = get_proxy(target)  # no_proxy may name the host
    elif proxy is not None:
        target = _target(uri, kwargs)
    if proxy is not None:
        kwargs.pop("host", None)
        kwargs.pop("port", None)
        parsed = parse_proxy(proxy)
        if parsed.scheme.startswith("http"):
            ours, theirs = _split(kwargs, parsed.scheme == "https")
            if on_engine is not None:
                return await on_engine.through(
                    factory, parsed, target, user_agent_header, theirs
                )
            transport = await connect_http(parsed, target, user_agent_header, **theirs)
            return await _through(transport, _new(factory, transport), **ours)
        sock = await connect_socks(parsed, target, kwargs.pop("local_addr", None))
        try:
            return await _connect(factory, on_engine, **kwargs, sock=sock)
        except Exception:
            sock.close()  # by an argument that can't be used, no transport has it
            raise
    if kwargs.get("sock") is None:
        kwargs.setdefault("host", uri.host)
        kwargs.setdefault("port", uri.port)
    return await _connect(factory, on_engine, **kwargs)


@dataclasses.dataclass(frozen=True, slots=True)
class OnEngine:
    """How a connection begins that the engine carries.

    Attributes:
        tls: settings of TLS, None for none.
        name: of the server, for TLS; None says and checks none.
        handshake_timeout: ``ssl_handshake_timeout``.
        session: gives the TLS session to resume, if there is one.
    """

    tls: ssl_module.SSLContext | TLSContext | None
    name: str | None
    handshake_timeout: float | None
    session: Callable[[], ssl_module.SSLSession | None] = lambda: None

    @classmethod
    def of(
        cls, uri: WebSocketURI, kwargs: dict[str, Any], resumption: Resumption | None
    ) -> OnEngine:
        """By the arguments for TLS, which it takes out of ``kwargs``."""
        tls = kwargs.pop("ssl", None)
        name = kwargs.pop("server_hostname", None)
        if tls is None:
            return cls(None, None, None)
        kwargs.pop("ssl_shutdown_timeout", None)  # it waits for no close_notify
        timeout = kwargs.pop("ssl_handshake_timeout", None)
        if tls is True:
            tls = default_context()
        if name is None or isinstance(tls, TLSContext):
            name = name or uri.host
        made = cls(tls, name or None, timeout)
        # One that wraps BIOs its own way may not know of sessions.
        usual = getattr(type(tls), "wrap_bio", None) is ssl_module.SSLContext.wrap_bio
        if resumption is None or not usual:
            return made
        of = tls, name, uri.host, uri.port
        return dataclasses.replace(
            made, session=functools.partial(resumption.take, *of)
        )

    def _start_tls(self) -> Any:
        assert self.tls is not None
        return start_tls(
            self.tls,
            server_side=False,
            server_hostname=self.name,
            session=self.session(),
        )

    def carry(self, sock: socket.socket, factory: Callable[[], C]) -> C:
        """A connection over a connected socket, which is the engine's then."""
        with sock:
            made = factory()
            tls = None if self.tls is None else self._start_tls()
            carry(sock, made, tls, self.name)
        end_slow_handshake(made, self.handshake_timeout)
        return made

    def adopt(self, transport: asyncio.Transport, handover: Handover, made: C) -> C:
        """Take the socket over from a transport that has sent nothing of ours."""
        begin = None if self.tls is None else self._start_tls
        adopt(transport, handover, made, begin, self.name)
        end_slow_handshake(made, self.handshake_timeout)
        return made

    async def through(
        self,
        factory: Callable[[], C],
        proxy: Proxy,
        target: WebSocketURI,
        user_agent_header: str | None,
        kwargs: dict[str, Any],
    ) -> C:
        """The same over an HTTP proxy, with ``kwargs`` for the way to it."""
        from ._proxy import connect_http

        if proxy.scheme == "http":
            transport = await connect_http(proxy, target, user_agent_header, **kwargs)
            return self.adopt(transport, Handover(), _new(factory, transport))
        if isinstance(self.tls, TLSContext):
            raise ValueError("TLSContext doesn't go with an https:// proxy")
        from ._tls_proxy import connect_https

        transport, outer = await connect_https(
            proxy, target, user_agent_header, **kwargs
        )
        begin = functools.partial(outer.start_tls, self.tls, self.name)
        made = adopt(transport, Handover(), _new(factory, transport), begin)
        end_slow_handshake(made, self.handshake_timeout)
        return made


async def _connect(
    factory: Callable[[], C],
    on_engine: OnEngine | None,
    *,
    unix: bool = False,
    **kwargs: Any,
) -> C:
    loop = asyncio.get_running_loop()
    if on_engine is not None and not unix and is_plain(loop, kwargs):
        return on_engine.carry(await connect_tcp(loop, **kwargs), factory)
    create = loop.create_unix_connection if unix else loop.create_connection
    if on_engine is not None:
        transport, handover = await create(Handover, **kwargs)
        return on_engine.adopt(transport, handover, _new(factory, transport))
    _, arrival = await create(functools.partial(_Arrival, factory), **kwargs)
    failure, arrival.failure = arrival.failure, None
    try:
        if failure is not None:
            raise failure
        return arrival.connection
    finally:
        del failure  # its traceback refers to here


class _Arrival(asyncio.Protocol, Generic[C]):
    """What a transport has until it has its connection; keeps what that raises."""

    def __init__(self, factory: Callable[[], C]) -> None:
        self.connection = factory()
        self.failure: BaseException | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        try:
            transport.set_protocol(self.connection)
            self.connection.connection_made(transport)
        except BaseException as exc:
            cast(asyncio.WriteTransport, transport).abort()
            if is_exit(exc):
                raise
            self.failure = exc


def _new(factory: Callable[[], C], transport: asyncio.Transport) -> C:
    try:
        return factory()
    except BaseException:
        transport.abort()
        raise


def _target(uri: WebSocketURI, kwargs: dict[str, Any]) -> WebSocketURI:
    """What the proxy is asked for: ``host`` and ``port`` name the server, not the
    proxy, which alone gets the proxy's secrets.

    Raises:
        ValueError: if it can't be asked for that.
    """
    host, port = kwargs.get("host"), kwargs.get("port")
    if host is None and port is None:
        return uri
    authority = host_header(
        uri.host if host is None else host, uri.port if port is None else port, None
    )
    try:
        target = parse_uri(f"ws://{authority}")
    except InvalidURI as exc:
        raise ValueError(f"host and port don't go with a proxy: {exc.msg}") from None
    if target.resource_name != "/" or target.user_info is not None:
        raise ValueError("host and port don't go with a proxy: more than a host")
    return dataclasses.replace(uri, host=target.host, port=target.port)


def _split(
    kwargs: dict[str, Any], secure: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments for the connection through a proxy, and to it."""
    for name in _OTHER_PROXIES:
        if name in kwargs:
            raise ValueError(f"{name} isn't used: give the proxy's address as proxy")
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
    connection: C,
    ssl: ssl_module.SSLContext | Literal[True] | None = None,
    **kwargs: Any,
) -> C:
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
        connection.connection_made(transport)
    except BaseException:
        transport.abort()
        raise
    return connection
