"""TLS of an echo by Python's ssl, without sockets: what a server with an
``ssl.SSLContext`` can't do without.

A record of 264 bytes comes, one of 260 goes, for 64 connections in turns: the four
calls that the engine makes. What the interpreter adds to them here is taken off.
c/tls_calls.c is the same by OpenSSL alone. Prints one line of JSON, as load does.
"""

from __future__ import annotations

import argparse
import gc
import json
import operator
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONNECTIONS = 64
MESSAGE, ANSWER = bytes(264), bytes(260)  # frames of 256 bytes, the first one masked
RECORD = 16384

Calls = tuple[Callable[..., Any], ...]
# As many calls that do nothing, with as many arguments.
NOTHING: Calls = (callable, operator.is_, callable, gc.isenabled)


def connect(folder: Path) -> tuple[Callable[[], bytes], Calls]:
    """What a client sends next, and the server's four calls."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = server_context.wrap_bio(incoming, outgoing, server_side=True)
    open_ends = 0
    while open_ends < 2:
        open_ends = 0
        for end in (client, server):
            try:
                end.do_handshake()
                open_ends += 1
            except ssl.SSLWantReadError:
                pass
            incoming.write(to_server.read())
            to_client.write(outgoing.read())
    assert client.cipher() == ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128)

    def record() -> bytes:
        client.write(MESSAGE)
        return to_server.read()

    # Without the functions in Python that stand before it.
    inner: Any = vars(server)["_sslobj"]
    return record, (incoming.write, inner.read, inner.write, outgoing.read)


def spent(calls: list[Calls], records: list[bytes], view: memoryview) -> int:
    """Nanoseconds of processor time for an echo of each connection."""
    start = time.process_time_ns()
    for (feed, read, write, take), record in zip(calls, records, strict=True):
        feed(record)
        read(RECORD, view)
        write(ANSWER)
        take()
    return time.process_time_ns() - start


def measure(folder: Path, seconds: float) -> dict[str, float]:
    nexts, calls = zip(*(connect(folder) for _ in range(CONNECTIONS)), strict=True)
    view = memoryview(bytearray(RECORD))
    nothing = [NOTHING] * CONNECTIONS
    messages = nanoseconds = 0
    gc.disable()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        records = [record() for record in nexts]
        nanoseconds += spent([*calls], records, view) - spent(nothing, records, view)
        messages += CONNECTIONS
    return {
        "messages": messages,
        "seconds": nanoseconds / 1e9,
        "server_cpu_seconds": nanoseconds / 1e9,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tls", type=Path, metavar="FOLDER", required=True)
    parser.add_argument("--seconds", type=float, default=1)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.tls, arguments.seconds)))
