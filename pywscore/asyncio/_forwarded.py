"""Whose connections those are that proxies have made, as these say."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .. import _core
from ..http import Headers

__all__ = ["Forwarded", "client_of", "read_proxy_header"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_WAYS = ("X-Forwarded-For", "Forwarded", "PROXY")
# All that a header of the PROXY protocol may have.
_HEADER_SIZE = 8192

# RFC 7239 §4: forwarded-pair and forwarded-element, with blanks after a semicolon.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = rf"""({_TOKEN})=({_TOKEN}|"(?:[^"\\]|\\.)*")"""
_pairs = re.compile(_PAIR).findall
_is_element = re.compile(rf"(?:{_PAIR})?(?:;[ \t]*(?:{_PAIR})?)*").fullmatch
# RFC 7239 §6: a node's name and port.
_node = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)|(_[A-Za-z0-9._-]+))"
    r"(?::(?:([0-9]{1,5})|_[A-Za-z0-9._-]+))?"
).fullmatch


@dataclass(frozen=True, slots=True)
class Forwarded:
    """How proxies in front of a server say whose a connection is: ``forwarded=`` of
    ``serve()``. Then ``remote_address`` and limits are about the client.

    A proxy has to be trusted: anybody can say anything. Hops are looked at from the
    right, where the nearest proxy has added its own; those that are trusted are passed
    over, and the first that isn't is the client. What stands left of it is the client's
    to invent. Where a hop isn't known, or what says so is malformed, the client is the
    nearest hop that is.

    Attributes:
        by: ``"X-Forwarded-For"`` or ``"Forwarded"`` (RFC 7239), a header that the
            proxies set or add to; the other one is not looked at, for clients can send
            it. Or ``"PROXY"``: the PROXY protocol, version 1 or 2, before TLS and HTTP,
            which a trusted peer has to speak.
        trusted: networks such as ``"10.0.0.0/8"``, addresses, and ``"unix"`` for peers
            on a Unix socket.

    Raises:
        TypeError: if ``trusted`` is a string.
        ValueError: for another ``by``, no network, or what isn't one.
    """

    by: Literal["X-Forwarded-For", "Forwarded", "PROXY"]
    trusted: Sequence[str] = field(kw_only=True)
    _networks: tuple[Network, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.by not in _WAYS:
            raise ValueError(f"by must be one of {', '.join(_WAYS)}, not {self.by!r}")
        if isinstance(self.trusted, (str, bytes)):
            raise TypeError(f"trusted must be a list, not {self.trusted!r}")
        trusted = tuple(str(it) for it in self.trusted)
        if not trusted:
            raise ValueError("trusted names nobody: nothing would be forwarded")
        networks = tuple(ipaddress.ip_network(it) for it in trusted if it != "unix")
        object.__setattr__(self, "trusted", trusted)
        object.__setattr__(self, "_networks", networks)

    def trusts(self, address: Any) -> bool:
        """Whether what is there is a proxy that is believed.

        Args:
            address: as ``socket.getpeername`` gives it.
        """
        if isinstance(address, (str, bytes)):
            return "unix" in self.trusted
        return bool(address) and self._is_known(_ip(str(address[0])))

    def _is_known(self, ip: IPAddress | None) -> bool:
        return ip is not None and any(ip in network for network in self._networks)

    def _needs_header(self, address: Any) -> bool:
        """Whether a peer has to say whose the connection is before anything else."""
        return self.by == "PROXY" and self.trusts(address)

    def _client_of(self, headers: Headers) -> tuple[Any, ...] | None:
        """The address of the client that a trusted peer's request is from; None if
        that peer is the only one known."""
        nodes = _x_nodes if self.by == "X-Forwarded-For" else _nodes
        nearest: tuple[Any, ...] | None = None
        for node in nodes(", ".join(headers.get_all(self.by))):
            address = None if node is None else _address(node)
            if address is None:
                return nearest
            nearest = address
            if not self._is_known(_ip(address[0])):
                return nearest
        return nearest


def _ip(text: str) -> IPAddress | None:
    """None for what isn't one. IPv4 in IPv6 is IPv4 (RFC 4291 §2.5.5.2)."""
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def _x_nodes(value: str) -> Iterator[str | None]:
    """From right to left; an IPv6 address may have no brackets."""
    for part in reversed(value.split(",")):
        node = part.strip(" \t")
        if node:
            yield f"[{node}]" if node.count(":") > 1 and node[0] != "[" else node


def _nodes(value: str) -> Iterator[str | None]:
    """From right to left; None for one that can't be read."""
    # Lists may have empty elements (RFC 9110 §5.6.1).
    while value := value.rstrip(", \t"):
        element, value = _split_last(value)
        yield None if element is None else _for(element)


def _split_last(value: str) -> tuple[str | None, str]:
    """The last element, and what stands left of its comma. It is found from the right:
    a quote that a client has left open hides nothing of what proxies have added."""
    comma = len(value)
    while comma >= 0:
        comma = value.rfind(",", 0, comma)
        element = value[comma + 1 :].strip(" \t")
        if _is_element(element):
            return element, value[: max(comma, 0)]
    return None, ""


def _for(element: str) -> str | None:
    found = [it for name, it in _pairs(element) if name.lower() == "for"]
    if len(found) != 1:
        return None  # RFC 7239 §4: once at most
    node: str = found[0]
    return re.sub(r"\\(.)", r"\1", node[1:-1]) if node[0] == '"' else node


def _address(node: str) -> tuple[Any, ...] | None:
    """As ``socket.getpeername`` has it; a name in the place of the address where that
    is obfuscated (RFC 7239 §6.3); None for what isn't known."""
    match = _node(node)
    if match is None:
        return None
    ipv6, ipv4, name, digits = match.groups()
    port = int(digits or 0)
    if port > 65535:
        return None
    if name is not None:
        return name, port
    try:
        if ipv6 is not None:
            return str(ipaddress.IPv6Address(ipv6)), port, 0, 0
        return str(ipaddress.IPv4Address(ipv4)), port
    except ValueError:
        return None


def client_of(source: tuple[int, bytes, int] | None) -> Any:
    """The address that a header of the PROXY protocol names, as ``socket.getpeername``
    has it; None if it names none."""
    if source is None:
        return None
    kind, address, port = source
    if kind == 1:
        return socket.inet_ntop(socket.AF_INET, address), port
    if kind == 2:
        return socket.inet_ntop(socket.AF_INET6, address), port, 0, 0
    return os.fsdecode(address.partition(b"\0")[0])


async def read_proxy_header(sock: socket.socket) -> tuple[int, bytes, int] | None:
    """The same of a socket, from which nothing more is read: what follows may be TLS.

    Raises:
        ValueError: if it sends something else.
        OSError: if it ends before.
    """
    loop = asyncio.get_running_loop()
    data = b""
    while True:
        await _readable(loop, sock)
        ahead = sock.recv(_HEADER_SIZE, socket.MSG_PEEK)
        if not ahead:
            raise ConnectionAbortedError("it ended before the header")
        read = _core.read_proxy_header(data + ahead)
        size = len(ahead) if read is None else read[1] - len(data)
        data += sock.recv(size)
        if read is not None and len(data) == read[1]:
            return read[0]


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    ready = asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock)
