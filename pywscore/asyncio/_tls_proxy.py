"""TLS to a proxy, and through it, below what the engine carries.

asyncio's transports keep their TLS to themselves. Here the way to the proxy is a plain
socket, whose TLS is in memory, so that the engine can take both.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, cast

from ..uri import WebSocketURI
from ._default_tls import default_context
from ._engine import tls_parts
from ._proxy import Connecting, Proxy, connect_request

__all__ = ["Outer", "connect_https"]

_STEP = 1 << 16


class Outer(asyncio.Protocol):
    """TLS to a proxy, on a plain transport: what ``inner`` is a protocol of.

    Args:
        context: settings of TLS.
        name: of the proxy, None says and checks none.
        inner: gets a transport that can ``write()``, once TLS is agreed on.
    """

    def __init__(
        self, context: ssl.SSLContext, name: str | None, inner: Connecting
    ) -> None:
        self.context = context
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self._inner = inner
        self._open = False
        self._unwritten = b""
        self._transport: asyncio.WriteTransport

    # For its transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._go_on()

    def data_received(self, data: bytes) -> None:
        self.incoming.write(data)
        self._go_on()

    def eof_received(self) -> None:
        self.incoming.write_eof()
        self._go_on()
        self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def _go_on(self) -> None:
        try:
            if not self._open:
                self.ssl.do_handshake()
                self._open = True
                self._inner.connection_made(cast(asyncio.BaseTransport, self))
            if data := self.read():
                self._inner.data_received(data)
        except ssl.SSLWantReadError:
            pass
        except Exception as exc:
            if not self._inner.answered.done():
                self._inner.answered.set_exception(exc)
        self._transport.write(self.encrypted())

    # For what goes through it

    def read(self) -> bytes:
        """What has come."""
        data = b""
        try:
            while self.incoming.pending and (more := self.ssl.read(_STEP)):
                data += more
        except ssl.SSLWantReadError:
            pass
        return data

    def write(self, data: bytes) -> None:
        """Encrypt it, now or as soon as the proxy lets us."""
        self._unwritten += data
        while self._unwritten:
            try:
                done = self.ssl.write(self._unwritten)
            except ssl.SSLWantReadError:
                return
            self._unwritten = self._unwritten[done:]

    def encrypted(self) -> bytes:
        """What is to be sent."""
        self.write(b"")
        return self.outgoing.read()

    def start_tls(self, tls: ssl.SSLContext | None, name: str | None) -> Any:
        """What an EngineTransport takes: this, or ``tls`` through it."""
        if tls is None:
            return tls_parts(self.ssl, self.context, self.incoming, self.outgoing)
        incoming, outgoing = _Incoming(self), _Outgoing(self)
        inner = tls.wrap_bio(incoming.bio, outgoing.bio, server_hostname=name)
        return tls_parts(inner, tls, incoming, outgoing)


class _Incoming:
    """What comes by ``outer``, as a MemoryBIO of what goes through it."""

    def __init__(self, outer: Outer) -> None:
        self.bio = ssl.MemoryBIO()
        self._outer = outer

    @property
    def pending(self) -> int:
        return self.bio.pending

    def write(self, data: bytes) -> int:
        self._outer.incoming.write(data)
        self.bio.write(self._outer.read())
        return len(data)

    def write_eof(self) -> None:
        self.bio.write_eof()


class _Outgoing:
    """What leaves by ``outer``, the same."""

    def __init__(self, outer: Outer) -> None:
        self.bio = ssl.MemoryBIO()
        self._outer = outer

    @property
    def pending(self) -> int:
        return self.bio.pending + self._outer.outgoing.pending

    def read(self) -> bytes:
        self._outer.write(self.bio.read())
        return self._outer.encrypted()


async def connect_https(
    proxy: Proxy,
    uri: WebSocketURI,
    user_agent_header: str | None,
    *,
    ssl: ssl.SSLContext | bool = True,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    **kwargs: Any,
) -> tuple[asyncio.Transport, Outer]:
    """As ``connect_http()``, with TLS to the proxy that isn't the transport's."""
    context = default_context() if isinstance(ssl, bool) else ssl
    name = proxy.host if server_hostname is None else server_hostname or None
    inner = Connecting(connect_request(proxy, uri, user_agent_header))
    outer = Outer(context, name, inner)
    transport, _ = await asyncio.get_running_loop().create_connection(
        lambda: outer, proxy.host, proxy.port, **kwargs
    )
    try:
        async with asyncio.timeout(ssl_handshake_timeout):
            await inner.answered
    except BaseException:
        transport.abort()
        raise
    finally:
        del inner  # refers to the exception, whose traceback refers to here
    return transport, outer
