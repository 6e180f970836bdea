"""How a server listens, and what it accepts until that has a ServerConnection."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl as ssl_module
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from .._tls import TLSContext
from ._attending import REFUSAL_TIMEOUT
from ._engine import (
    EngineTransport,
    end_slow_handshake,
    engine_of,
    start_tls,
    uses_engine,
)
from ._forwarded import Forwarded, client_of, read_proxy_header
from ._log import LimitedLogger, is_exit
from ._serving import Listening, ServerConnection

__all__ = ["Acceptor", "BoundServer"]

# After an accept that failed for want of descriptors or memory.
ACCEPT_PAUSE = 1.0
# asyncio has no timeout of 0 for TLS.
LEAST_TIMEOUT = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptor:
    """Listens, as often as it is asked to: no try uses an argument up.

    Attributes:
        where: host and port, nothing for a Unix socket.
        tls: what each connection has to begin with.
        arguments: of ``loop.create_server()``, and ``unix``.
        timeouts: those of TLS, where ``arguments`` say none.
        carrier: as for ``serve()``.
        forwarded: the same.
        new_connection: makes what a transport gets.
        admit: gives a connection a place, by the peer's address.
        proxied: hears what the proxy at that address says of the client's.
        left: hears of connections that had a place, but never a transport.
        log: where to log.
    """

    where: tuple[Any, ...]
    tls: ssl_module.SSLContext | TLSContext | None
    arguments: Mapping[str, Any]
    timeouts: Mapping[str, float | None]
    carrier: str
    forwarded: Forwarded | None
    new_connection: Callable[[], ServerConnection]
    admit: Callable[[ServerConnection, Any], None]
    proxied: Callable[[ServerConnection, Any, Any], bool]
    left: Callable[[ServerConnection], None]
    log: LimitedLogger

    @property
    def begin_with_header(self) -> bool:
        """Whether there may be one of the PROXY protocol."""
        return self.forwarded is not None and self.forwarded.by == "PROXY"

    def needs_header(self, address: Any) -> bool:
        """Whether what is from there has to begin with one."""
        return self.forwarded is not None and self.forwarded._needs_header(address)

    async def listen(self) -> Listening:
        """Bind, and accept unless ``start_serving`` is False.

        Raises:
            OSError: if the address can't be listened on; nothing is left open then.
        """
        loop = asyncio.get_running_loop()
        arguments = dict(self.arguments)
        timeouts = {
            name: arguments.pop(name)
            for name in self.timeouts
            if self.tls is not None and name in arguments
        }
        unix = arguments.pop("unix", False)
        start = arguments.pop("start_serving", True)
        backlog = arguments.get("backlog", 100)
        on_engine = uses_engine(self.carrier, loop, self.tls)
        create = loop.create_unix_server if unix else loop.create_server
        where = () if unix else self.where
        bound = await create(
            partial(Arrival, self), *where, start_serving=False, **arguments
        )
        server: Listening = bound
        try:
            if on_engine:
                server = EngineServer(self, bound, backlog, timeouts)
            elif self.tls is not None or self.begin_with_header:
                server = TransportServer(
                    self, bound, backlog, {**self.timeouts, **timeouts}
                )
            # The server of the loop knows nothing of either.
            assert self.tls is None or server is not bound
            if start:
                await server.start_serving()
        except BaseException as exc:
            # The caller's own socket may be tried again, once its port is free.
            if arguments.get("sock") is None or not isinstance(exc, OSError):
                server.close()
            raise
        return server


def begin(connection: ServerConnection, transport: asyncio.BaseTransport) -> None:
    """``connection_made()``; when it raises, nothing is left without a deadline."""
    try:
        connection.connection_made(transport)
    except BaseException as exc:
        if connection._has_begun:
            raise
        abort(transport, exc)


def abort(transport: asyncio.BaseTransport, exc: BaseException) -> None:
    """End what can't get a connection because of ``exc``."""
    cast(asyncio.WriteTransport, transport).abort()
    if is_exit(exc):
        raise exc
    report(exc)


def report(exc: BaseException) -> None:
    """Tell the loop's exception handler; who calls is none of its frames then."""
    context = {"message": "exception while accepting a connection", "exception": exc}
    asyncio.get_running_loop().call_exception_handler(context)


def end(sock: socket.socket) -> None:
    """End what is on ``sock``. Who has it closes it: its number is still watched."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


class Arrival(asyncio.Protocol):
    """What a transport of the loop has until it has a ServerConnection.

    Args:
        acceptor: whose it is.
        connection: the ServerConnection, if it is made already.
    """

    def __init__(
        self, acceptor: Acceptor, connection: ServerConnection | None = None
    ) -> None:
        self._acceptor = acceptor
        self._connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        try:
            connection = self._connection or self._acceptor.new_connection()
            transport.set_protocol(connection)
        except BaseException as exc:
            abort(transport, exc)
        else:
            begin(connection, transport)


class BoundServer:
    """Accepts from sockets that an ``asyncio.Server`` has bound, in its place."""

    def __init__(self, acceptor: Acceptor, bound: asyncio.Server, backlog: int) -> None:
        self._acceptor = acceptor
        self._bound = bound
        self._backlog = backlog
        self._stops: list[Callable[[], object]] = []

    @property
    def sockets(self) -> tuple[Any, ...]:
        return tuple(self._bound.sockets)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._bound.get_loop()

    def is_serving(self) -> bool:
        return bool(self._stops)

    async def start_serving(self) -> None:
        if self._stops:
            return
        try:
            for bound in self._bound.sockets:
                sock = socket.socket(fileno=bound.fileno())
                try:
                    sock.listen(self._backlog)
                    self._stops.append(self._accept_from(sock))
                finally:
                    sock.detach()
        except BaseException:
            self._stop()
            raise

    def _accept_from(self, sock: socket.socket) -> Callable[[], object]:
        """Begin to accept from what it borrows; what ends it."""
        raise NotImplementedError

    def _accept_failed(self, error: int | None) -> None:
        name = errno.errorcode.get(error or 0, str(error))
        self._acceptor.log.log(logging.ERROR, "can't accept connections: %s", name)

    def _stop(self) -> None:
        for stop in self._stops:
            stop()
        self._stops.clear()

    def close(self) -> None:
        self._stop()
        self._bound.close()

    async def wait_closed(self) -> None:
        await self._bound.wait_closed()


class EngineServer(BoundServer):
    """Accepts into the engine. A connection is known from the start, and its deadline
    covers TLS."""

    def __init__(
        self,
        acceptor: Acceptor,
        bound: asyncio.Server,
        backlog: int,
        timeouts: Mapping[str, float | None],
    ) -> None:
        super().__init__(acceptor, bound, backlog)
        self._tls = acceptor.tls
        self._with_header = acceptor.begin_with_header
        self._handshake_timeout = timeouts.get("ssl_handshake_timeout")
        self._engine = engine_of(bound.get_loop())

    def _accept_from(self, sock: socket.socket) -> Callable[[], object]:
        def accepted(fd: int, error: int) -> None:
            if fd >= 0:
                self._accepted(fd)
                return
            listener.accept(False)
            self.get_loop().call_later(ACCEPT_PAUSE, listener.accept, True)
            self._accept_failed(error)

        listener = self._engine.listen(sock.fileno(), accepted)
        return listener.close

    def _accepted(self, fd: int) -> None:
        try:
            tls = None if self._tls is None else start_tls(self._tls, server_side=True)
            connection = self._acceptor.new_connection()
            transport = EngineTransport(self._engine, fd, connection, tls)
            if self._with_header and self._acceptor.needs_header(
                transport.get_extra_info("peername")
            ):
                transport._expect_proxy_header()
        except BaseException:
            os.close(fd)
            raise
        begin(connection, cast(asyncio.Transport, transport))
        if self._handshake_timeout is not None:
            end_slow_handshake(connection, self._handshake_timeout)


class TransportServer(BoundServer):
    """Accepts onto transports of the loop, with an ``ssl.SSLContext`` or what proxies
    say before it.

    A server of asyncio's doesn't tell of connections before TLS is agreed on. Here they
    have their place from the start, and end with the server.
    """

    def __init__(
        self,
        acceptor: Acceptor,
        bound: asyncio.Server,
        backlog: int,
        timeouts: Mapping[str, float | None],
    ) -> None:
        super().__init__(acceptor, bound, backlog)
        assert not isinstance(acceptor.tls, TLSContext)
        self._tls = acceptor.tls
        self._timeouts = timeouts
        self._half_open: dict[
            asyncio.Task[None], tuple[ServerConnection, socket.socket]
        ] = {}

    def _accept_from(self, sock: socket.socket) -> Callable[[], object]:
        loop = self.get_loop()
        # Its own, whose number isn't another's while it is watched.
        own = sock.dup()

        def accept() -> None:
            for _ in range(self._backlog):
                try:
                    self._accepted(*own.accept())
                except (BlockingIOError, ConnectionAbortedError):
                    return
                except OSError as exc:
                    loop.remove_reader(own)
                    loop.call_later(ACCEPT_PAUSE, watch)
                    self._accept_failed(exc.errno)
                    return

        def watch() -> None:
            if own.fileno() >= 0:
                loop.add_reader(own, accept)

        def stop() -> None:
            loop.remove_reader(own)
            own.close()

        try:
            own.setblocking(False)
            watch()
        except BaseException:
            own.close()
            raise
        return stop

    def _accepted(self, sock: socket.socket, address: Any) -> None:
        connection: ServerConnection | None = None
        try:
            connection = self._acceptor.new_connection()
            self._acceptor.admit(connection, address)
            running = self._open(connection, sock, address)
            try:
                task = self.get_loop().create_task(running)
            except BaseException:
                running.close()
                raise
        except BaseException as exc:
            sock.close()
            if connection is not None:
                self._acceptor.left(connection)
            if is_exit(exc):
                raise
            report(exc)
            return
        self._half_open[task] = connection, sock
        task.add_done_callback(self._opened)

    async def _open(
        self, connection: ServerConnection, sock: socket.socket, address: Any
    ) -> None:
        arrival = partial(Arrival, self._acceptor, connection)
        timeouts = dict(self._timeouts)
        try:
            if self._acceptor.needs_header(address):
                # One deadline for both.
                async with asyncio.timeout(timeouts["ssl_handshake_timeout"]) as limit:
                    await self._read_header(connection, sock, address)
                if (end_at := limit.when()) is not None:
                    left = end_at - self.get_loop().time()
                    timeouts["ssl_handshake_timeout"] = max(left, LEAST_TIMEOUT)
            if not connection._has_place:
                timeouts["ssl_handshake_timeout"] = REFUSAL_TIMEOUT
            await self.get_loop().connect_accepted_socket(
                arrival, sock, ssl=self._tls, **timeouts if self._tls else {}
            )
        except Exception as exc:
            if not isinstance(exc, OSError):
                report(exc)
            # Peers' faults aren't logged, as by asyncio. Frames of it have what has it.
            exc.__traceback__ = None

    async def _read_header(
        self, connection: ServerConnection, sock: socket.socket, address: Any
    ) -> None:
        sock.setblocking(False)
        try:
            source = await read_proxy_header(sock)
        except ValueError:
            connection._log_no_header(address)
            raise ConnectionAbortedError from None
        self._acceptor.proxied(connection, address, client_of(source))

    def _opened(self, task: asyncio.Task[None]) -> None:
        connection, sock = self._half_open.pop(task)
        if not connection._has_begun:
            end(sock)
            self._acceptor.left(connection)

    def _stop(self) -> None:
        super()._stop()
        for connection, sock in self._half_open.values():
            if not connection._has_begun:
                end(sock)

    async def wait_closed(self) -> None:
        await super().wait_closed()
        while self._half_open:
            await asyncio.wait(set(self._half_open))
