"""Memory of idle connections: how much a server grows for each."""

from __future__ import annotations

import argparse
import contextlib
import functools
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from . import common, deflate, report
from .certificates import certificate
from .common import Running
from .peers import Peer, command, installed, leave_out
from .report import Verdict

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
# "Hello", masked: every connection echoes one message before it is idle.
FRAME = bytes.fromhex("818537fa213d7f9f4d5158")
# With permessage-deflate in use: as many messages of 1 KiB each way.
COMPRESSED_MESSAGES = 4
# The first connections also load what a server loads once.
FIRST = 50


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("the server is gone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Of connections."""

    title: str
    compression: bool = False
    tls: bool = False
    silent: bool = False  # not a message, not even one
    used: bool = False  # compressed messages both ways


PLAIN = Kind(title="plain")
DEFLATE = Kind(title="permessage-deflate", compression=True)
TLS = Kind(title="TLS", tls=True)
USED = Kind(title="permessage-deflate, used", compression=True, used=True)
SILENT = Kind(title="plain, silent", silent=True)
SILENT_DEFLATE = Kind(title="permessage-deflate, silent", compression=True, silent=True)
KINDS = [PLAIN, TLS, DEFLATE, USED, SILENT, SILENT_DEFLATE]
SSL_CONTEXT = "pywscore_ssl_context"
PEERS = (
    *("pywscore", "pywscore_listener", "pywscore_transport", SSL_CONTEXT, "uws_echo"),
    *("picows_callback", "picows_async", "node_ws", "websockets"),
    *("aiohttp", "pywscore_aiohttp", "uvicorn", "pywscore_uvicorn"),
)
NO_COMPRESSION = ("uws_echo", "picows_callback", "node_ws")
KIB = 1024


def client_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def echo(connection: socket.socket, frame: bytes) -> None:
    """Send a frame, and receive one (RFC 6455 §5.2)."""
    connection.sendall(frame)
    with connection.makefile("rb") as answer:
        length = answer.read(2)[1]
        if length == 126:
            length = int.from_bytes(answer.read(2))
        answer.read(length)


@functools.cache
def frames(kind: Kind) -> list[bytes]:
    """What a connection sends before it is idle."""
    if kind.silent:
        return []
    if not kind.used:
        return [FRAME]
    texts = deflate.messages()[:COMPRESSED_MESSAGES]
    return [deflate.frame(wire) for wire in deflate.compressed(texts)]


def connect(port: int, kind: Kind) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    if kind.tls:
        connection = client_tls().wrap_socket(connection)
    connection.sendall(REQUEST + (OFFER if kind.compression else b"") + b"\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(4096)
        if not received:
            raise SystemExit("the server closed a connection")
        head += received
    if not head.startswith(b"HTTP/1.1 101"):
        raise SystemExit("the server refused a connection")
    if (b"permessage-deflate" in head) != kind.compression:
        raise SystemExit("the server did not do as it was asked about compression")
    for frame in frames(kind):
        echo(connection, frame)
    return connection


def grown(running: Running, count: int, kind: Kind) -> float:
    """Bytes for each of ``count`` connections."""
    with contextlib.ExitStack() as stack:
        for _ in range(FIRST):
            stack.enter_context(connect(running.port, kind))
        time.sleep(0.2)
        before = resident_bytes(running.pid)
        for _ in range(count):
            stack.enter_context(connect(running.port, kind))
        time.sleep(0.2)
        return (resident_bytes(running.pid) - before) / count


def measure(peer: Peer, count: int, kind: Kind) -> float | None:
    """In a new process; None where the peer can't."""
    if kind.compression and peer.module in NO_COMPRESSION:
        return None
    if not kind.tls and peer.module == SSL_CONTEXT:
        return None
    [loop] = peer.loops(["asyncio"])
    with contextlib.ExitStack() as stack:
        tls = stack.enter_context(certificate()) if kind.tls else None
        words = command(peer, loop, compression=kind.compression, tls=tls)
        try:
            running = stack.enter_context(common.server(words))
        except common.NotStarted as error:
            leave_out(peer, str(error))
            return None
        return grown(running, count, kind)


def verdicts(figures: dict[tuple[str, Kind], float | None]) -> list[Verdict]:
    def of(module: str, kind: Kind, less: Kind | None = None) -> float | None:
        """In KiB."""
        value = figures.get((module, kind))
        minus = figures.get((module, less)) if less is not None else 0.0
        return None if value is None or minus is None else (value - minus) / KIB

    wanted = [
        ("pywscore, plain, KiB", of("pywscore", PLAIN), 8.0),
        ("listener, plain, KiB", of("pywscore_listener", PLAIN), 2.0),
        ("pywscore, TLS, KiB", of("pywscore", TLS), 40.0),
        ("pywscore, ssl.SSLContext, KiB", of(SSL_CONTEXT, TLS), 32.0),
        ("pywscore in aiohttp, TLS, KiB", of("pywscore_aiohttp", TLS), 32.0),
        ("pywscore in uvicorn, TLS, KiB", of("pywscore_uvicorn", TLS), 32.0),
        (
            "pywscore, what permessage-deflate adds to a silent connection, KiB",
            of("pywscore", SILENT_DEFLATE, SILENT),
            0.5,
        ),
    ]
    for peer in ("aiohttp", "uvicorn"):
        for kind, most in ((PLAIN, 1.0), (USED, 0.5)):
            ours, theirs = of(f"pywscore_{peer}", kind), of(peer, kind)
            ratio = None if ours is None or theirs is None else ours / theirs
            wanted.append((f"pywscore in {peer} / {peer}, {kind.title}", ratio, most))
    return [
        Verdict(
            what=f"Memory of an idle connection: {what}",
            value=value,
            limit=f"≤ {most:g}",
            reached=None if value is None else value <= most,
        )
        for what, value, most in wanted
    ]


def run(*, quick: bool = False, count: int | None = None) -> None:
    count = count or (200 if quick else 1000)
    common.allow_files(count + FIRST + 100)
    peers = installed(PEERS)
    figures = {
        (peer.module, kind): measure(peer, count, kind)
        for kind in KINDS
        for peer in peers
    }

    def cell(value: float | None) -> str:
        return "–" if value is None else f"{value / KIB:.1f}"

    rows = [
        [peer.name, *(cell(figures[peer.module, kind]) for kind in KINDS)]
        for peer in peers
    ]
    text = (
        f"KiB by which a server's resident memory grows for each of {count:,} "
        "connections that are idle: silent ones from the beginning, others after an "
        "echo of 5 bytes, or where permessage-deflate is used, of "
        f"{COMPRESSED_MESSAGES} compressed messages of 1 KiB; on asyncio's loop. A new "
        "process for each figure; what the kernel needs is not counted.\n\n"
        + report.table(["server", *(kind.title for kind in KINDS)], rows)
    )
    report.report(
        "memory",
        "Memory of an idle connection",
        text,
        {
            peer.name: {kind.title: figures[peer.module, kind] for kind in KINDS}
            for peer in peers
        },
        verdicts(figures),
    )
    report.plot(
        "memory",
        "Memory of an idle connection",
        [
            (f"{peer.name}, {kind.title}", value / KIB)
            for kind in (PLAIN, TLS)
            for peer in peers
            if (value := figures[peer.module, kind]) is not None
        ],
        "KiB",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--connections", type=int)
    arguments = parser.parse_args()
    run(quick=arguments.quick, count=arguments.connections)
