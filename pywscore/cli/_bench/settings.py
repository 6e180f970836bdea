"""What is asked for, and the loads that do it: one for each thread."""

from __future__ import annotations

import argparse
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pywscore
from pywscore import _core
from pywscore.cli._common import CommandError, explain, parse_uri, without_credentials
from pywscore.protocol import request_lines

DEPTH_OF_OPEN_LOOP = 64
OPENING_AT_ONCE = 64
MIN_MAX_SIZE = 1 << 20
WRAPPING = 1 << 16  # what a room's server may add to a message
DESCRIPTORS = 64  # beside those of the connections
PROBE_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options, checked against each other."""

    url: str
    connections: int
    room_size: int
    threads: int
    payload: bytes
    text: bool
    depth: int
    rate: float | None
    messages: int | None
    duration: float | None
    ramp: float | None
    timeout: float
    compression: bool
    handshakes: bool
    spin: bool
    headers: tuple[tuple[str, str], ...]
    subprotocols: tuple[str, ...]
    origin: str | None
    insecure: bool
    ca: str | None


def payload_of(options: argparse.Namespace) -> bytes:
    """Random, so that compression has no easy time; as text of hex digits."""
    if options.payload is None:
        size: int = options.size
        if options.text:
            return secrets.token_hex((size + 1) // 2)[:size].encode()
        return secrets.token_bytes(size)
    try:
        content = Path(options.payload).read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read {options.payload}: {explain(error)}") from None
    if options.text and not pywscore.is_valid_utf8(content):
        raise CommandError(f"{options.payload} is not UTF-8, as text has to be")
    return content


def check(settings: Settings) -> None:
    if settings.connections % settings.room_size:
        raise CommandError("--connections must be a multiple of --rooms")
    if settings.threads > settings.connections // settings.room_size:
        raise CommandError("there are more threads than connections or rooms")
    if settings.handshakes and (settings.rate or settings.room_size > 1):
        raise CommandError("--handshakes sends no messages: no --rate and no --rooms")


def make_loads(settings: Settings) -> list[_core.Load]:
    """One for each thread, none of which has begun."""
    if not hasattr(_core, "Load"):
        raise CommandError("bench needs Linux, macOS or FreeBSD")
    check(settings)
    allow_descriptors(settings.connections + DESCRIPTORS)
    common = _common(settings)
    rooms = settings.connections // settings.room_size
    loads = []
    for number in range(settings.threads):
        first = rooms * number // settings.threads
        after = rooms * (number + 1) // settings.threads
        share = (after - first) / rooms
        messages = settings.messages
        if messages is not None:
            messages = messages * after // rooms - messages * first // rooms
            if messages == 0:
                continue
        loads.append(
            _core.Load(
                connections=(after - first) * settings.room_size,
                first_room=first,
                messages=messages or 0,
                rate=(settings.rate or 0) * share,
                ramp=(settings.ramp or 0) * share,
                **common,
            )
        )
    return loads


def _common(settings: Settings) -> dict[str, Any]:
    uri = parse_uri(settings.url)
    try:
        lines = request_lines(
            uri,
            settings.origin,
            settings.headers,
            f"pywscore/{pywscore.__version__} bench",
        )
        headers = tuple((name.encode(), value.encode()) for name, value in lines)
    except ValueError as error:
        raise CommandError(explain(error)) from None
    address = _address(settings.url, uri)
    opening_max = OPENING_AT_ONCE
    if settings.handshakes:
        opening_max = settings.connections
    return {
        "address": address.encode(),
        "port": uri.port,
        "target": _target(uri).encode(),
        "payload": settings.payload,
        "tls": _tls(settings) if uri.secure else None,
        "server_name": uri.host.encode(),
        "headers": headers,
        "subprotocols": tuple(name.encode() for name in settings.subprotocols),
        "compression": settings.compression,
        "text": settings.text,
        "room_size": settings.room_size,
        "depth": settings.depth,
        "duration": settings.duration or 0,
        "opening_max": opening_max,
        "timeout": settings.timeout,
        "handshakes": settings.handshakes,
        "spin": settings.spin,
        "max_size": max(2 * len(settings.payload) + WRAPPING, MIN_MAX_SIZE),
    }


def _target(uri: pywscore.WebSocketURI) -> str:
    """With the words that stand for numbers, which were percent-encoded."""
    target = uri.resource_name
    for word in ("room", "connection"):
        target = target.replace(f"%7B{word}%7D", f"{{{word}}}")
    return target


def _tls(settings: Settings) -> _core.TLSContext:
    try:
        context = pywscore.TLSContext.client(
            ca=settings.ca, verify=not settings.insecure
        )
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot load {settings.ca}: {explain(error)}") from None
    return context._current


def _address(url: str, uri: pywscore.WebSocketURI) -> str:
    """In digits. Of several the first one that can be connected to."""
    try:
        found = socket.getaddrinfo(uri.host, uri.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        shown = without_credentials(url)
        raise CommandError(f"cannot connect to {shown}: {explain(error)}") from None
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    for address in addresses[:-1]:
        try:
            socket.create_connection((address, uri.port), PROBE_SECONDS).close()
        except OSError:
            continue
        return address
    return addresses[-1]


def allow_descriptors(count: int) -> None:
    """As far as the system lets us."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        count = min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
