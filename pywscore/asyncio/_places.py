"""How many connections a server takes: in all, and from one address."""

from __future__ import annotations

import ipaddress
from typing import Any

__all__ = ["Places", "network_of"]


class Places:
    """The places of a server's connections.

    Args:
        limit: how many there are; None for any number.
        per_address: how many of them one address can take; the same. Unless it is
            None, ``take()`` needs to know whose place it is.
    """

    def __init__(self, limit: int | None, per_address: int | None) -> None:
        self._limit = limit
        self.per_address = per_address
        self._taken = 0
        self._taken_from: dict[str, int] = {}

    def take(self, network: str = "") -> bool:
        """Take a place for a connection; False if there is none.

        Args:
            network: ``network_of()`` its address, or "" for one that isn't counted.
        """
        if self._limit is not None and self._taken >= self._limit:
            return False
        if network and not self.count(network):
            return False
        self._taken += 1
        return True

    def count(self, network: str) -> bool:
        """Note whose a place is, which is or is about to be taken; False if that one
        has none left."""
        if not network:
            return True
        taken = self._taken_from.get(network, 0)
        if self.per_address is not None and taken >= self.per_address:
            return False
        self._taken_from[network] = taken + 1
        return True

    def give_back(self, network: str = "") -> None:
        """The end of a connection that had a place, with what was given for it."""
        self._taken -= 1
        if network:
            left = self._taken_from.pop(network) - 1
            if left:
                self._taken_from[network] = left


def network_of(address: Any) -> str:
    """Where a peer is, as ``Places`` counts: its IPv4 address, or the 64 bits of IPv6
    that a network has (RFC 4291 §2.5.4), as the rest is the peer's to choose.

    Args:
        address: as ``socket.getpeername`` gives it.

    Returns:
        "" for what isn't an address of a network: a Unix socket's.
    """
    if not isinstance(address, tuple) or not address:
        return ""
    host = str(address[0]).partition("%")[0]
    if ":" not in host:
        return host
    number = ipaddress.IPv6Address(host)
    if number.ipv4_mapped is not None:  # RFC 4291 §2.5.5.2
        return str(number.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(number) >> 64 << 64, 64)))
