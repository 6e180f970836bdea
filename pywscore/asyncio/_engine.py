"""The engine carrier: sockets in C, watched by the event loop as one descriptor."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl as ssl_module
import sys
import weakref
from asyncio import trsock
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .. import _core
from .._shown import shown_address
from .._tls import TLSContext, TLSObject
from . import _loops_tls
from .connection import Connection

__all__ = [
    "EngineTransport",
    "Handover",
    "adopt",
    "can_take_over",
    "end_slow_handshake",
    "engine_of",
    "feed",
    "start_tls",
    "tls_parts",
    "take_over",
    "uses_engine",
]

BYTES = sys.byteorder

# Of what get_extra_info() knows, what TLS agreed on: how each is asked for.
_TLS_NAMES: dict[str, Callable[[Any], Any]] = {
    "ssl_object": lambda tls: tls,
    "cipher": lambda tls: tls.cipher(),
    "compression": lambda tls: tls.compression(),
    "peercert": lambda tls: None if type(tls) is TLSObject else tls.getpeercert(),
    "alpn": lambda tls: tls.selected_alpn_protocol(),
    "session_reused": lambda tls: tls.session_reused,
    "peercert_der": lambda tls: tls.getpeercert(binary_form=True),
}

AnyTLS = ssl_module.SSLContext | TLSContext

C = TypeVar("C", bound=Connection)

if TYPE_CHECKING:
    from .._core import Engine as _Engine
    from .._core import EngineTransport as _EngineTransport
else:  # object: elsewhere connections are on asyncio's transports
    _Engine = getattr(_core, "Engine", object)
    _EngineTransport = getattr(_core, "EngineTransport", object)

_engines: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, weakref.ref[_core.Engine]
] = weakref.WeakKeyDictionary()


def can_use_engine(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether ``loop`` can watch a descriptor, on a system that the engine knows."""
    if not hasattr(_core, "Engine"):
        return False
    return type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader


def uses_engine(carrier: str, loop: asyncio.AbstractEventLoop, ssl: Any) -> bool:
    """Whether a server or client with these arguments is carried by the engine."""
    if isinstance(ssl, TLSContext) and not can_use_engine(loop):
        raise ValueError("TLSContext needs the engine, which this loop can't watch")
    return carrier != "transport" and can_use_engine(loop)


def start_tls(
    tls: AnyTLS,
    *,
    server_side: bool,
    server_hostname: str | None = None,
    session: ssl_module.SSLSession | None = None,
) -> Any:
    """What an EngineTransport takes for ``tls`` of a new connection."""
    if isinstance(tls, TLSContext):
        return tls._current
    incoming, outgoing = ssl_module.MemoryBIO(), ssl_module.MemoryBIO()
    made = tls.wrap_bio(
        incoming,
        outgoing,
        server_side=server_side,
        server_hostname=server_hostname,
        **({} if session is None else {"session": session}),
    )
    return tls_parts(made, tls, incoming, outgoing)


def tls_parts(
    made: Any, context: Any, incoming: Any, outgoing: Any, is_open: bool = False
) -> Any:
    """The same for an SSLObject between what are, or behave like, two MemoryBIOs.

    ``is_open``: its handshake is done, and something may have come after that.
    """
    # What read() and write() of Python's own class hand over to, and no more.
    own = type(made) is ssl_module.SSLObject
    stream = getattr(made, "_sslobj", made) if own else made
    return made, stream, context, incoming, outgoing, is_open


def end_slow_handshake(connection: Connection, seconds: float | None) -> None:
    """``ssl_handshake_timeout`` of a connection whose TLS is Python's."""
    if seconds is None:
        return
    known = weakref.ref(connection)

    def look() -> None:
        ws = known()
        transport: Any = None if ws is None else ws.transport
        if (
            ws is None
            or transport is None
            or transport.is_closing()
            or transport.get_extra_info("ssl_object") is not None
        ):
            return
        text = f"SSL handshake is taking longer than {seconds} seconds"
        ws._fail_handshake(ConnectionAbortedError(text))
        transport.abort()

    connection.loop.call_later(seconds, look)


def engine_of(loop: asyncio.AbstractEventLoop) -> _core.Engine:
    """The engine of ``loop``, made when first asked for. The loop keeps it alive."""
    known = _engines.get(loop)
    engine = None if known is None else known()
    if engine is None:
        engine = (_DebuggedEngine if loop.get_debug() else _Engine)(loop)
        loop.add_reader(engine.fileno(), engine.ready)
        _engines[loop] = weakref.ref(engine)
    return engine


class _DebuggedEngine(_Engine):
    """The engine of a loop in debug mode."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._loop = loop

    @property
    def ready(self) -> Callable[[], None]:
        from ._timed import Turn

        return Turn(self._loop, super().ready)


def _after_fork() -> None:
    for known in list(_engines.values()):
        engine = known()
        if engine is not None:
            engine.forget()
    _engines.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Borrowed(socket.socket):
    """A socket object of a descriptor that is closed in C, and there only."""

    def __del__(self) -> None:
        self.detach()


def _address_of(raw: bytes) -> tuple[str, int] | tuple[str, int, int, int] | None:
    """A struct sockaddr as Python has it, None if it isn't of IPv4 or IPv6."""
    # BSDs have a length before the family.
    family = raw[1] if raw[:1] == bytes([len(raw)]) else int.from_bytes(raw[:2], BYTES)
    port = int.from_bytes(raw[2:4], "big")
    if family == socket.AF_INET and len(raw) >= 8:
        return socket.inet_ntop(family, raw[4:8]), port
    if family == socket.AF_INET6 and len(raw) >= 28:
        host = socket.inet_ntop(family, raw[8:24])
        flow, scope = int.from_bytes(raw[4:8], "big"), int.from_bytes(raw[24:28], BYTES)
        return host, port, flow, scope
    return None


class EngineTransport(_EngineTransport):
    """A socket of the engine with the interface of ``asyncio.Transport``."""

    _sockname: Any = None
    _peername: Any = None
    _tls_object: TLSObject | None = None

    def __repr__(self) -> str:
        state = "closing" if self.is_closing() else "open"
        if self.get_protocol() is None:
            state = "closed"
        local, remote = (
            shown_address(self.get_extra_info(name))
            for name in ("sockname", "peername")
        )
        name = type(self).__name__
        return f"<{name} {state} fd={self.fileno()} {local} to {remote}>"

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``socket``, ``sockname`` or ``peername``; with TLS ``ssl_object``, an
        ``ssl.SSLObject`` or a ``TLSObject``, and from it ``cipher``, ``compression``,
        ``peercert``, ``alpn``, ``session_reused`` and ``peercert_der``; ``sslcontext``
        if that is an ``ssl.SSLContext``."""
        if name == "socket":
            sock = self._get_socket()
            return default if sock is None else trsock.TransportSocket(sock)
        if name in ("sockname", "peername"):
            value = _address_of(self._address(name == "peername"))
            if value is None:
                self._note_names()
                value = self._sockname if name == "sockname" else self._peername
            return default if value is None else value
        if name == "sslcontext":
            parts = self._ssl_object()
            return default if parts is None else parts[1]
        tls = self._get_tls() if name in _TLS_NAMES else None
        value = None if tls is None else _TLS_NAMES[name](tls)
        return default if value is None else value

    def writelines(
        self, list_of_data: Iterable[bytes | bytearray | memoryview]
    ) -> None:
        """``write()`` of all of them."""
        self.write(b"".join(list_of_data))

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Raises:
        NotImplementedError: for another than the one it was made with.
        """
        if protocol is not self.get_protocol():
            raise NotImplementedError("an engine's transport has one connection only")

    def _get_tls(self) -> TLSObject | ssl_module.SSLObject | None:
        parts = self._ssl_object()
        if parts is not None:
            return parts[0]
        # Once asked for, it stays when the connection has ended.
        if self._tls_object is None and (info := self._tls_info()) is not None:
            cipher, version, bits, alpn, reused, certificate, server = info
            self._tls_object = TLSObject(
                server, reused, (cipher, version, bits), alpn, certificate
            )
        return self._tls_object

    def _get_socket(self) -> socket.socket | None:
        if self._socket is None and self.fileno() >= 0:
            self._socket = _Borrowed(fileno=self.fileno())
        return self._socket

    def _note_names(self) -> None:
        sock = self._get_socket()
        if sock is None or self._sockname is not None:
            return
        self._sockname = sock.getsockname()
        try:
            self._peername = sock.getpeername()
        except OSError:
            pass

    def _detach(self) -> None:
        # The descriptor is about to be closed in C, which keeps addresses of IP.
        if _address_of(self._address(True)) is None:
            self._note_names()
        if self._socket is not None:
            self._socket.detach()
            self._socket = None


class Handover(asyncio.Protocol):
    """Holds a new transport until its socket is taken over."""

    def __init__(self) -> None:
        self.received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop may read once all the same.
        cast(asyncio.ReadTransport, transport).pause_reading()

    def data_received(self, data: bytes) -> None:
        self.received += data


def adopt(
    transport: asyncio.Transport,
    handover: Handover,
    connection: C,
    start_tls: Callable[[], Any] | None = None,
    server_hostname: str | None = None,
) -> C:
    """Take the socket over from a transport that has sent nothing of ours.

    ``start_tls`` makes what an EngineTransport takes.
    """
    try:
        if start_tls is not None and handover.received:
            raise ssl_module.SSLError("the server isn't one for TLS")
        tls = None if start_tls is None else start_tls()
        take_over(transport, connection, tls, server_hostname)
    except BaseException:
        transport.abort()
        raise
    try:
        feed(connection, handover.received)
    except BaseException:
        connection.transport.abort()
        raise
    return connection


def can_take_over(
    transport: asyncio.Transport, loop: asyncio.AbstractEventLoop
) -> bool:
    """Whether the engine can carry what ``transport`` carries: a plain socket, or TLS
    of asyncio's own loop."""
    if not can_use_engine(loop):
        return False
    # Only sockets of the loops that are known: others may do more than send bytes.
    module = type(transport).__module__
    return (
        transport.get_extra_info("socket") is not None
        and module.startswith(("asyncio.", "uvloop."))
        and transport.get_write_buffer_size() == 0
        and not transport.is_closing()
        and (
            transport.get_extra_info("sslcontext") is None
            or _loops_tls.of_transport(transport) is not None
        )
    )


def carry(
    sock: socket.socket,
    connection: Connection,
    tls: Any = None,
    server_hostname: str | None = None,
) -> None:
    """Give ``connection`` a connected socket, of which ``sock`` is detached.

    Raises:
        OSError: the engine can't take it; ``sock`` is as it was.
        Exception: what ``connection_made()`` raised; the socket is at its end.
    """
    engine = engine_of(connection.loop)
    transport = EngineTransport(engine, sock.fileno(), connection, tls, server_hostname)
    sock.detach()
    _begin(connection, transport)


def take_over(
    transport: asyncio.Transport,
    connection: Connection,
    tls: Any = None,
    server_hostname: str | None = None,
) -> asyncio.Transport:
    """Give ``connection`` the socket of ``transport``, which is at its end with that.

    Its protocol isn't told. The caller hands over, by ``feed()``, what has been read.
    ``connection`` may have been the transport's protocol: what it holds back it goes on
    to hold back. TLS goes on where it was; what had come for it comes after ``feed()``.

    Returns:
        The connection's transport.

    Raises:
        OSError: there is no descriptor to be had; ``transport`` is as it was.
        Exception: what ``connection_made()`` raised; the socket is at its end.
    """
    loops_tls = _loops_tls.of_transport(transport)
    if loops_tls is not None:
        tls = tls_parts(*loops_tls, is_open=True)
    fd = os.dup(transport.get_extra_info("socket").fileno())
    try:
        taken = EngineTransport(
            engine_of(connection.loop),
            fd,
            connection,
            tls,
            server_hostname,
        )
    except BaseException:
        os.close(fd)
        raise
    if loops_tls is not None:
        _loops_tls.forget(transport)
    transport.set_protocol(asyncio.Protocol())
    # Closes its descriptor, not the TCP connection, which is ours as well.
    transport.abort()
    if connection.read_paused:
        taken.pause_reading()
    _begin(connection, taken)
    return cast(asyncio.Transport, taken)


def _begin(connection: Connection, transport: EngineTransport) -> None:
    try:
        connection.connection_made(cast(asyncio.Transport, transport))
    except BaseException:
        transport.abort()
        raise


def feed(connection: Connection, received: bytes | bytearray) -> None:
    """Let ``connection`` receive what others have read from its socket."""
    rest = memoryview(received)
    while rest:
        buffer = connection.get_buffer(-1)
        size = min(len(rest), len(buffer))
        buffer[:size] = rest[:size]
        connection.buffer_updated(size)
        rest = rest[size:]
