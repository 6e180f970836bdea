"""How a client's connection comes about: TCP, proxies, TLS."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl as ssl_module
from collections.abc import Callable
from typing import Any, Literal

from ..exceptions import InvalidURI
from ..http import host_header
from ..tls import TLSContext
from ..uri import WebSocketURI, parse_uri
from .client_connection import ClientConnection
from .engine import Handover, adopt, uses_engine
from .proxy import connect_http, connect_socks, get_proxy, parse_proxy

__all__ = ["open_connection"]

# The proxy's address is in proxy=, with the credentials that are for it alone.
_OTHER_PROXIES = ("proxy_host", "proxy_port", "proxy_sock")


async def open_connection(
    uri: WebSocketURI,
    factory: Callable[[], ClientConnection],
    *,
    carrier: str,
    proxy: str | Literal[True] | None,
    user_agent_header: str | None,
    **kwargs: Any,
) -> ClientConnection:
    """A connection to ``uri``'s server, or to ``host`` and ``port``, that is about to
    send its request. Arguments as for ``connect()``."""
    loop = asyncio.get_running_loop()
    if uri.secure:
        if kwargs.get("ssl") is None:
            kwargs["ssl"] = True
        kwargs.setdefault("server_hostname", uri.host)
    on_engine = uses_engine(carrier, loop, kwargs.get("ssl"))
    tls: TLSContext | None = None
    name: str | None = None
    if isinstance(kwargs.get("ssl"), TLSContext):
        tls = kwargs.pop("ssl")
        name = kwargs.pop("server_hostname") or uri.host
    if kwargs.pop("unix", False):
        if on_engine:
            made = await loop.create_unix_connection(Handover, **kwargs)
            return adopt(*made, _new(factory, made[0]), tls, name)
        _, connection = await loop.create_unix_connection(factory, **kwargs)
        return connection
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
            if tls is not None:
                raise ValueError("TLSContext doesn't go with an HTTP proxy")
            ours, theirs = _split(kwargs, parsed.scheme == "https")
            transport = await connect_http(parsed, target, user_agent_header, **theirs)
            return await _through(transport, _new(factory, transport), **ours)
        kwargs["sock"] = await connect_socks(
            parsed, target, kwargs.pop("local_addr", None)
        )
    if kwargs.get("sock") is None:
        kwargs.setdefault("host", uri.host)
        kwargs.setdefault("port", uri.port)
    if on_engine:
        made = await loop.create_connection(Handover, **kwargs)
        return adopt(*made, _new(factory, made[0]), tls, name)
    _, connection = await loop.create_connection(factory, **kwargs)
    return connection


def _new(
    factory: Callable[[], ClientConnection], transport: asyncio.Transport
) -> ClientConnection:
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
