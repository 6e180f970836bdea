"""What an idle connection costs a server that is a process of its own."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,  # resident memory says nothing under the sanitizers
    pytest.mark.skipif(sys.platform != "linux", reason="/proc"),
]

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# From 3.13 on instances hold room for more attributes than ours have.
BOUND = 2048 if sys.version_info < (3, 13) else 2304
FRAME = bytes.fromhex("818537fa213d7f9f4d5158")  # "Hello"

SERVER = """
import asyncio, sys, pywscore

class Echo:
    def on_message(self, ws, message):
        ws.send_nowait(message)

async def main():
    server = await pywscore.serve(None, "127.0.0.1", 0, listener=Echo)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()

asyncio.run(main())
"""


@contextlib.contextmanager
def server_process(loop: str) -> Iterator[tuple[int, int]]:
    """Port and process id."""
    code = SERVER if loop == "asyncio" else f"import uvloop; uvloop.install(){SERVER}"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    with process:
        yield int(process.stdout.readline()), process.pid
        process.stdin.close()


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def echoed(port: int) -> socket.socket:
    """A connection that is idle after one message."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(REQUEST)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(4096)
    connection.sendall(FRAME)
    assert connection.recv(64) == b"\x81\x05Hello"
    return connection


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_listener(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        port, pid = stack.enter_context(server_process(loop))
        for _ in range(50):
            stack.enter_context(echoed(port))
        before = resident(pid)
        for _ in range(1000):
            stack.enter_context(echoed(port))
        assert (resident(pid) - before) / 1000 <= BOUND
