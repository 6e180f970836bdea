"""Memory of idle connections: how much a server grows for each."""

from __future__ import annotations

import argparse
import contextlib
import socket
import time
from pathlib import Path

from . import common
from .common import Running

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
# "Hello", masked: every connection echoes one message before it is idle.
FRAME = bytes.fromhex("818537fa213d7f9f4d5158")
# The first connections also load what a server loads once.
FIRST = 50


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("the server is gone")


def connect(port: int, compression: bool) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(REQUEST + (OFFER if compression else b"") + b"\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(4096)
        if not received:
            raise SystemExit("the server closed a connection")
        head += received
    if not head.startswith(b"HTTP/1.1 101"):
        raise SystemExit("the server refused a connection")
    if (b"permessage-deflate" in head) != compression:
        raise SystemExit("the server did not do as it was asked about compression")
    connection.sendall(FRAME)
    connection.recv(64)
    return connection


def grown(running: Running, count: int, compression: bool) -> float:
    """Bytes for each of ``count`` connections."""
    with contextlib.ExitStack() as stack:
        for _ in range(FIRST):
            stack.enter_context(connect(running.port, compression))
        time.sleep(0.2)
        before = resident_bytes(running.pid)
        for _ in range(count):
            stack.enter_context(connect(running.port, compression))
        time.sleep(0.2)
        return (resident_bytes(running.pid) - before) / count


def allow_files(count: int) -> None:
    """In this process; servers inherit it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard != resource.RLIM_INFINITY:
            count = min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def run(*, quick: bool = False, count: int | None = None) -> None:
    count = count or (200 if quick else 1000)
    allow_files(count + FIRST + 100)
    peers = [
        peer
        for peer in common.installed()
        if peer.module not in ("picows_callback", "uvicorn")
    ]
    figures = {}
    for compression in (False, True):
        for peer in peers:
            with common.server(
                peer.module, loop="asyncio", compression=compression
            ) as running:
                figures[peer.name, compression] = grown(running, count, compression)
    rows = [
        [
            peer.name,
            *(f"{figures[peer.name, on] / 1024:.1f}" for on in (False, True)),
        ]
        for peer in peers
    ]
    text = (
        f"KiB by which a server's resident memory grows for each of {count:,} "
        "connections that echoed one message of 5 bytes and are idle, on asyncio's "
        "loop. A new process for each figure; what the kernel needs is not "
        "counted.\n\n"
        + common.table(["server", "without compression", "permessage-deflate"], rows)
    )
    common.report(
        "memory",
        "Memory of an idle connection",
        text,
        {
            f"{name}, {'permessage-deflate' if on else 'without compression'}": value
            for (name, on), value in figures.items()
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--connections", type=int)
    arguments = parser.parse_args()
    run(quick=arguments.quick, count=arguments.connections)
