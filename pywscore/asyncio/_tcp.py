"""Sockets of clients: what ``loop.create_connection()`` does before it has a transport.

The engine takes the socket alone, and a transport that is made, to be given up at once,
takes a tenth of the processor time of connecting again.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from collections.abc import Mapping
from typing import Any

__all__ = ["connect_tcp", "is_plain"]


def is_plain(loop: asyncio.AbstractEventLoop, kwargs: Mapping[str, Any]) -> bool:
    """Whether ``connect_tcp()`` does as ``loop.create_connection()`` with ``kwargs``.

    Not with anything that is said of the way there, nor if that method is somebody's
    own.
    """
    method = type(loop).create_connection
    usual = method is asyncio.BaseEventLoop.create_connection or (
        type(loop).__module__ == "uvloop"
    )
    return (
        usual
        and "create_connection" not in vars(loop)
        and kwargs.keys() == {"host", "port"}
        and isinstance(kwargs["host"], str)
        and isinstance(kwargs["port"], int)
    )


async def connect_tcp(
    loop: asyncio.AbstractEventLoop, host: str, port: int
) -> socket.socket:
    """A socket of the first of ``host``'s addresses that can be connected to.

    It doesn't block.

    Raises:
        OSError: what was wrong with the address, or with all of them.
    """
    failures: list[OSError] = []
    for family, kind, proto, _, address in await _resolve(loop, host, port):
        try:
            return await _connect(loop, family, kind, proto, address)
        except OSError as exc:
            failures.append(exc)
    try:
        if len({str(failure) for failure in failures}) == 1:
            raise failures[0]
        raise OSError(f"Multiple exceptions: {', '.join(map(str, failures))}")
    finally:
        failures.clear()  # their tracebacks refer to here


async def _resolve(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[Any]:
    """As ``getaddrinfo()``, which needn't be asked for what is an address already."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        rest = () if family == socket.AF_INET else (0, 0)
        kind, proto = socket.SOCK_STREAM, socket.IPPROTO_TCP
        return [(family, kind, proto, "", (host, port, *rest))]
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not infos:
        raise OSError("getaddrinfo() returned empty list")
    return list(infos)


async def _connect(
    loop: asyncio.AbstractEventLoop, family: int, kind: int, proto: int, address: Any
) -> socket.socket:
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        error = sock.connect_ex(address)
        if error in (errno.EINPROGRESS, errno.EINTR):
            if not _is_writable(sock):  # as it is at once on the same machine
                await _is_known(loop, sock)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            text = f"Connect call failed {address}"
        else:
            text = os.strerror(error)
        if error:
            raise OSError(error, text)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_writable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return bool(poll.poll(0))


async def _is_known(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Wait until it is, whether ``sock`` can be connected."""
    known = asyncio.Event()
    loop.add_writer(sock.fileno(), known.set)
    try:
        await known.wait()
    finally:
        loop.remove_writer(sock.fileno())
