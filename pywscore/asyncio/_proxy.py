"""HTTP and SOCKS proxies, for clients (RFC 6455 §4.1, step 3; RFC 9110 §9.3.6)."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import SplitResult, unquote, urlsplit

from .. import _core
from ..exceptions import (
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    ProxyError,
)
from ..http import Headers, Response, basic_credentials, host_header
from ..uri import WebSocketURI, unwanted

__all__ = ["Connecting", "Proxy", "connect_request", "get_proxy", "parse_proxy"]

_DEFAULT_PORTS = {
    "http": 80,
    "https": 443,
    "socks4": 1080,
    "socks4a": 1080,
    "socks5": 1080,
    "socks5h": 1080,
}
_MAX_HEAD = 32768
_SOCKS_HINT = "a SOCKS proxy needs python-socks: pip install 'pywscore[proxy]'"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy's address.

    Attributes:
        scheme: http, https, socks4, socks4a, socks5 or socks5h.
        host: lower case, without brackets.
        port: the scheme's default if the address has none.
        username: decoded, or None.
        password: decoded, or None.
    """

    scheme: str
    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


def parse_proxy(proxy: str) -> Proxy:
    """Parse the address of a proxy.

    Args:
        proxy: its URL.

    Returns:
        Its parts.

    Raises:
        InvalidProxy: if it isn't one.
    """
    # Surrogates are what the environment has of bytes that aren't UTF-8.
    if unwanted(proxy):
        raise InvalidProxy(proxy, "white space, control character or backslash")
    try:
        parts: SplitResult | None = urlsplit(proxy)
        assert parts is not None
        port = parts.port
        host = parts.hostname
        if host is not None and not host.isascii():
            host = host.encode("idna").decode()
    except ValueError:
        # What urlsplit() says may quote the password.
        parts = None
    if parts is None:
        raise InvalidProxy(proxy, "not of the form http://host:port")
    if parts.scheme not in _DEFAULT_PORTS:
        raise InvalidProxy(proxy, f"scheme isn't one of {', '.join(_DEFAULT_PORTS)}")
    if not host:
        raise InvalidProxy(proxy, "hostname isn't provided")
    if port == 0:
        raise InvalidProxy(proxy, "port isn't between 1 and 65535")
    for name, value in (
        ("path", parts.path.removeprefix("/")),
        ("query", parts.query),
        ("fragment", parts.fragment),
    ):
        if value:
            raise InvalidProxy(proxy, f"{name} is meaningless")
    username, password = parts.username, parts.password
    if username is not None:
        if password is None:
            raise InvalidProxy(proxy, "username provided without password")
        username, password = unquote(username), unquote(password)
    port = port or _DEFAULT_PORTS[parts.scheme]
    return Proxy(parts.scheme, host, port, username, password)


def get_proxy(uri: WebSocketURI) -> str | None:
    """The proxy that the environment or the system sets, if any.

    For ``wss``, the first of the variables wss_proxy, socks_proxy and https_proxy; for
    ``ws``, of ws_proxy, socks_proxy, https_proxy and http_proxy; nothing for hosts in
    no_proxy.

    Args:
        uri: where to connect to.
    """
    import urllib.request  # takes longer than all of this package

    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(f"{uri.host}:{uri.port}"):
        return None
    names = (
        ["wss", "socks", "https"] if uri.secure else ["ws", "socks", "https", "http"]
    )
    for name in names:
        proxy = proxies.get(name)
        if proxy:
            if name == "socks" and proxy.startswith("http://"):
                proxy = "socks5h://" + proxy.removeprefix("http://")
            return proxy
    return None


# SOCKS ---------------------------------------------------------------------------


async def connect_socks(
    proxy: Proxy, uri: WebSocketURI, local_addr: tuple[str, int] | None = None
) -> socket.socket:
    """A socket that the proxy connected to ``uri``'s host.

    Raises:
        ImportError: if python-socks isn't installed.
        OSError: if the proxy can't be reached.
        ProxyError: if it doesn't connect us.
    """
    try:
        from python_socks import ProxyType
        from python_socks.async_.asyncio import Proxy as SocksProxy
    except ImportError as exc:
        raise ImportError(_SOCKS_HINT) from exc
    if not f"{proxy.username}{proxy.password}".isascii():
        # The exception of python-socks would quote it.
        raise ProxyError("user information of a SOCKS proxy has to be ASCII")
    kind = ProxyType.SOCKS5 if "5" in proxy.scheme else ProxyType.SOCKS4
    remote_dns = proxy.scheme in ("socks5h", "socks4a")
    socks = SocksProxy(
        kind, proxy.host, proxy.port, proxy.username, proxy.password, remote_dns
    )
    try:
        return await socks.connect(uri.host, uri.port, local_addr=local_addr)
    except OSError:
        raise
    except Exception as exc:
        raise ProxyError("failed to connect to SOCKS proxy") from exc


# HTTP ----------------------------------------------------------------------------


def connect_request(
    proxy: Proxy, uri: WebSocketURI, user_agent_header: str | None
) -> bytes:
    """The CONNECT request for ``uri``."""
    target = host_header(uri.host, uri.port, None)
    headers = Headers([("Host", target)])
    if user_agent_header is not None:
        headers["User-Agent"] = user_agent_header
    if proxy.username is not None and proxy.password is not None:
        headers["Proxy-Authorization"] = basic_credentials(
            proxy.username, proxy.password
        )
    return f"CONNECT {target} HTTP/1.1\r\n".encode() + headers.serialize()


class Connecting(asyncio.Protocol):
    """Reads the proxy's response to CONNECT, and nothing after it."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._head = bytearray()
        self._size = 0  # of all that came
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.WriteTransport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.answered.done():
            return
        self._head += data
        self._size += len(data)
        try:
            response = self._next_response()
            # RFC 9110 §15.2: others may come before the final one.
            while response is not None and response.status_code < 200:
                response = self._next_response()
            if response is None:
                if self._size > _MAX_HEAD:
                    raise ValueError("head of the response is too long")
                return
            if response.status_code >= 300:
                self.answered.set_exception(InvalidProxyStatus(response))
                return
            if self._head:
                # In neither TLS nor WebSocket the server speaks first.
                raise ValueError("data after the response")
        except ValueError as exc:
            self.fail(exc)
        else:
            self.answered.set_result(None)

    def _next_response(self) -> Response | None:
        """None if its head hasn't come whole."""
        read = _core.read_response(self._head)
        if read is None:
            return None
        response, size = read
        del self._head[:size]
        return response

    def eof_received(self) -> None:
        self.fail(EOFError("proxy closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(exc or EOFError("proxy closed the connection"))

    def fail(self, cause: Exception) -> None:
        """There won't be a response, because of ``cause``."""
        if not self.answered.done():
            error = InvalidProxyMessage(
                "did not receive a valid HTTP response from proxy"
            )
            error.__cause__ = cause
            self.answered.set_exception(error)


async def connect_http(
    proxy: Proxy, uri: WebSocketURI, user_agent_header: str | None, **kwargs: Any
) -> asyncio.Transport:
    """A transport that the proxy connected to ``uri``'s host; kwargs as for
    ``loop.create_connection()``.

    Raises:
        OSError: if the proxy can't be reached.
        ProxyError: if it doesn't connect us.
    """
    request = connect_request(proxy, uri, user_agent_header)
    transport, protocol = await asyncio.get_running_loop().create_connection(
        lambda: Connecting(request), proxy.host, proxy.port, **kwargs
    )
    try:
        await protocol.answered
    except BaseException:
        transport.abort()
        raise
    finally:
        del protocol  # refers to the exception, whose traceback refers to here
    return transport
