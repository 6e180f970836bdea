"""Sockets bound to a port, before there is a server."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Any

__all__ = ["Address", "addresses_of", "bind", "reserve"]

Address = tuple[Any, ...]


def addresses_of(host: str | None, port: int | None) -> list[tuple[int, Address]]:
    """Families and addresses to listen on, for ``host`` and ``port``.

    Raises:
        OSError, UnicodeError: if there is no such host.
    """
    infos = socket.getaddrinfo(
        host or None, port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return list(dict.fromkeys((info[0], info[4]) for info in infos))


def bind(family: int, address: Address, *options: tuple[int, int]) -> socket.socket:
    """A TCP socket with that address.

    Args:
        family: of the address.
        address: as ``socket.bind`` takes it.
        options: level and name of options to switch on.

    Raises:
        OSError: if it isn't to be had.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let others in
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for level, name in options:
            sock.setsockopt(level, name, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def reserve(host: str | Sequence[str] | None, port: int | None) -> list[socket.socket]:
    """Bind without listening, so that a port is ours and several may listen on it.

    Raises:
        OSError: if that can't be, or others listen there already.
    """
    hosts = [host] if host is None or isinstance(host, str) else list(host)
    found: dict[tuple[int, Address], None] = {}
    for name in hosts:
        found.update(dict.fromkeys(addresses_of(name, port)))
    sockets: list[socket.socket] = []
    try:
        for family, address in found:
            if sockets and not port:
                # The same number for all addresses.
                number = sockets[0].getsockname()[1]
                address = (address[0], number, *address[2:])
            options = []
            if family == socket.AF_INET6:
                options.append((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
            # SO_REUSEPORT would let us in beside another server of the same user.
            bind(family, address, *options).close()
            options.append((socket.SOL_SOCKET, socket.SO_REUSEPORT))
            sockets.append(bind(family, address, *options))
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise OSError(errno.EADDRNOTAVAIL, "no address to listen on")
    return sockets
