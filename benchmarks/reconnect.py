"""What a client's reconnecting costs over TLS: with a session resumed, and without.

One process connects again and again, by ``async for ws in connect("wss://…")``,
exchanges a message and closes. The server is another's, on another core; what is
counted is the client's processor time. Beside it, blocking sockets that do as little
as that takes, of Python's ``ssl`` and in C (c/reconnect.c): the floors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pywscore

from . import common, native, report
from .certificates import certificate
from .peers import PEERS, command
from .report import Verdict

ROUNDS = 15
CONNECTIONS = 40

BARE = "bare sockets, ssl.SSLContext"
OPENSSL = "bare sockets, OpenSSL in C"
FLOORS = {"ssl.SSLContext": BARE, "TLSContext": OPENSSL}
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# Masked with a key of zeros: a text message, and a close frame.
HELLO, CLOSE = b"\x81\x85\0\0\0\0hello", b"\x88\x80\0\0\0\0"


def _context(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca))


KINDS: dict[str, Callable[[Path], Any]] = {
    "ssl.SSLContext": _context,
    "TLSContext": lambda ca: pywscore.TLSContext.client(ca=ca),
    BARE: _context,
}


async def connections(uri: str, contexts: list[Any]) -> tuple[float, int]:
    """Microseconds of processor time for each, and how many resumed a session: with as
    many contexts as connections none can."""
    resumed = 0
    start = time.process_time()
    for context in contexts:
        left = CONNECTIONS // len(contexts)
        async for ws in pywscore.connect(uri, ssl=context, proxy=None):
            await ws.send("hello")  # tickets have come with the answer
            await ws.recv()
            resumed += ws.transport.get_extra_info("ssl_object").session_reused
            await ws.close()
            left -= 1
            if left == 0:
                break
    return (time.process_time() - start) / CONNECTIONS * 1e6, resumed


def bare_connections(port: int, contexts: list[Any]) -> tuple[float, int]:
    """The same with next to nothing but OpenSSL and the kernel."""
    resumed = 0
    start = time.process_time()
    for context in contexts:
        session = None
        for _ in range(CONNECTIONS // len(contexts)):
            plain = socket.create_connection(("127.0.0.1", port))
            with context.wrap_socket(
                plain, server_hostname="127.0.0.1", session=session
            ) as tls:
                tls.sendall(REQUEST)
                tls.recv(4096)
                tls.sendall(HELLO)
                tls.recv(4096)
                tls.sendall(CLOSE)
                tls.recv(4096)
                resumed += tls.session_reused
                session = tls.session
    return (time.process_time() - start) / CONNECTIONS * 1e6, resumed


def connect(kind: str, port: int, contexts: list[Any]) -> tuple[float, int]:
    if kind == BARE:
        return bare_connections(port, contexts)
    return asyncio.run(connections(f"wss://127.0.0.1:{port}/", contexts))


def openssl_connections(port: int, ca: Path) -> tuple[float, float]:
    """The same, both, in C."""
    program = native.client("reconnect")
    command = [program, str(port), "--ca", ca, "--connections", str(CONNECTIONS)]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120)
    result = json.loads(said.stdout)
    return result["full"], result["resumed"]


def both(kind: str, port: int, ca: Path) -> tuple[float, float]:
    """Without sessions, and with them."""
    if kind == OPENSSL:
        return openssl_connections(port, ca)
    make = KINDS[kind]
    full, none = connect(kind, port, [make(ca) for _ in range(CONNECTIONS)])
    again, most = connect(kind, port, [make(ca)])
    if none or most < CONNECTIONS - 1:
        raise SystemExit(f"{kind}: {none} and {most} resumed a session")
    return full, again


def measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Of each kind of context the rounds' figures, ``full`` and ``resumed``."""
    figures: dict[str, dict[str, list[float]]] = {
        kind: {"full": [], "resumed": []} for kind in (*KINDS, OPENSSL)
    }
    with contextlib.ExitStack() as stack:
        tls: Path = stack.enter_context(certificate())
        words = command(PEERS["pywscore"], "asyncio", tls=tls)
        server = stack.enter_context(common.server(words))
        if (os.cpu_count() or 1) > 1 and hasattr(os, "sched_setaffinity"):
            before = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {common.LOAD_CORE})
            stack.callback(os.sched_setaffinity, 0, before)
        for number in range(rounds + 1):
            for kind, of in figures.items():
                full, again = both(kind, server.port, tls / "authority.pem")
                if number > 0:
                    of["full"].append(full)
                    of["resumed"].append(again)
    return figures


def ratio(of: dict[str, list[float]]) -> float:
    return median(a / b for a, b in zip(of["resumed"], of["full"], strict=True))


def run(*, quick: bool = False, rounds: int | None = None) -> None:
    rounds = rounds or (3 if quick else ROUNDS)
    figures = measure(rounds)
    rows, verdicts = [], []
    for kind, of in figures.items():
        value = ratio(of)
        full, resumed = median(of["full"]), median(of["resumed"])
        rows.append([kind, f"{full:.0f}", f"{resumed:.0f}", f"{value:.2f}"])
        if kind in FLOORS:
            verdicts.append(
                Verdict(
                    what=f"Reconnecting over TLS: resumed / full, CPU, {kind}",
                    value=value,
                    limit="≤ 0.6",
                    reached=value <= 0.6,
                    floor=ratio(figures[FLOORS[kind]]),
                )
            )
    text = (
        f"µs of a client's processor time to connect, exchange a message and close, on "
        f"asyncio's loop; medians of {rounds} rounds of {CONNECTIONS} connections, one "
        "after the other. TLS 1.3, certificates for P-256.\n\n"
        + report.table(["context", "full", "resumed", "resumed / full"], rows)
    )
    report.report("reconnect", "Reconnecting over TLS", text, figures, verdicts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    run(quick=parser.parse_args().quick)
