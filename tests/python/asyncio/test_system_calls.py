"""What messages and handshakes cost in system calls: one to receive, one to send."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
HELLO = b"\x81\x85\0\0\0\0hello"  # masked with a key of zeros
ANSWER = b"\x81\x05hello"
CALL = re.compile(r"^(?:\d+ +)?(?:<\.\.\. )?(\w+)(?:\(| resumed>)")
TRACE = (
    "recvfrom,recvmsg,read,sendto,sendmsg,write,writev,epoll_wait,epoll_pwait,epoll_ctl,"
    "accept,accept4,getpeername,getsockname,setsockopt,fcntl,ioctl"
)
RECEIVED = re.compile(r"^recvfrom\(.*\) += (\d+)$")
NOTHING_READY = re.compile(r"^epoll_wait\((\d+), \[\],.*\) += 0$")
# Works with a server on a port, in two parts; the first one isn't counted.
Work = Callable[[int], Generator[None, None, None]]


def can_trace() -> bool:
    if sys.platform != "linux" or shutil.which("strace") is None:
        return False
    command = ["strace", "-o", "/dev/null", "true"]
    return subprocess.run(command, capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.skipif(not can_trace(), reason="no strace, or it may not trace"),
    pytest.mark.slow,  # the sanitizers don't go with being traced
]


def receive(sock: socket.socket, end: bytes) -> None:
    got = b""
    while not got.endswith(end):
        piece = sock.recv(4096)
        assert piece, got
        got += piece


def traced(loop: str, log: Path, work: Work) -> Counter[str]:
    """System calls of a server meanwhile."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    script = str(Path(__file__).with_name("overload_server.py"))
    command = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={TRACE}"]
    with contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            [
                *command,
                sys.executable,
                script,
                loop,
                "auto",
                "0",
                '{"compression": null}',
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.enter_context(process)
        stack.callback(process.terminate)
        assert process.stdin is not None and process.stdout is not None
        port = int(process.stdout.readline())
        working = work(port)
        stack.callback(working.close)
        next(working)
        process.stdin.write("?\n")  # a mark: from here on
        process.stdin.flush()
        process.stdout.readline()
        next(working)
        process.stdin.write("?\n")
        process.stdin.flush()
        process.stdout.readline()
    lines = log.read_text().splitlines()
    marks = [number for number, line in enumerate(lines) if '"?\\n"' in line]
    assert len(marks) == 2, marks
    calls = (CALL.match(line) for line in lines[marks[0] : marks[1]])
    return Counter(
        call[1] for call in calls if call is not None and "resumed" not in call[0]
    )


@contextlib.contextmanager
def opened(port: int, clients: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        socks = []
        for _ in range(clients):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            sock.settimeout(20)
            sock.sendall(REQUEST)
            receive(sock, b"\r\n\r\n")
            socks.append(sock)
        yield socks


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_calls_per_handshake(loop: str, tmp_path: Path) -> None:
    clients = 100

    def work(port: int) -> Generator[None, None, None]:
        yield
        with opened(port, clients):
            yield

    calls = traced(loop, tmp_path / "log", work)
    once = clients + 10  # of the mark, and of the loop's own
    for name in ("sendto", "epoll_ctl", "setsockopt"):
        assert clients <= calls[name] <= once, name
    # What accept4 has done, and said, isn't asked for again.
    assert calls["fcntl"] <= 10 and calls["getpeername"] == 0
    # The second one finds nobody.
    assert clients <= calls["accept4"] <= 2 * clients
    # This end's address can be asked for until it closes.
    assert calls["getsockname"] == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(("clients", "rounds"), [(1, 300), (50, 20)])
def test_calls_per_message(
    loop: str, clients: int, rounds: int, tmp_path: Path
) -> None:
    def work(port: int) -> Generator[None, None, None]:
        with opened(port, clients) as socks:
            yield
            for _ in range(rounds):
                for sock in socks:
                    sock.sendall(HELLO)
                for sock in socks:
                    receive(sock, ANSWER)
            yield

    calls = traced(loop, tmp_path / "log", work)
    messages = clients * rounds
    received = calls["recvfrom"] + calls["recvmsg"]
    sent = calls["sendto"] + calls["sendmsg"]
    waited = calls["epoll_wait"] + calls["epoll_pwait"]
    print(
        f"{messages} messages of {clients}: {received} receive, {sent} send, "
        f"{waited} wait, {calls['epoll_ctl']} change what is waited for"
    )
    few = 10  # of the mark, and of the loop's own
    assert messages <= received <= messages + few
    assert messages <= sent <= messages + few
    assert calls["epoll_ctl"] <= few
    if clients > 1:
        # A wake-up serves all that are ready.
        assert waited < messages / 2


def looks_in_vain(lines: list[str]) -> int:
    """How often it looks at the same sockets, for nothing, at the beginning."""
    found = [NOTHING_READY.match(line) for line in lines]
    sets = [match[1] if match is not None else None for match in found]
    ends = (number for number, fd in enumerate(sets) if fd is None or fd != sets[0])
    return next(ends, len(sets))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(("size", "waits"), [(1 << 10, True), (40 << 10, False)])
def test_no_short_polling_after_a_stream(
    loop: str, size: int, waits: bool, tmp_path: Path
) -> None:
    """After a message of more than 32 KiB the engine looks once whether there is more;
    after a small one it looks again, for what may be an answer."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    log, messages = tmp_path / "log", 200
    script = str(Path(__file__).with_name("taking_server.py"))
    subprocess.run(
        [
            *("strace", "-qq", "-o", str(log), "-e", f"trace={TRACE}"),
            *(sys.executable, script, loop, str(size), str(messages)),
        ],
        check=True,
        timeout=60,
    )
    lines = log.read_text().splitlines()
    looks = [
        looks_in_vain(lines[number + 1 :])
        for number, line in enumerate(lines)
        if (received := RECEIVED.match(line)) and int(received[1]) >= size
    ]
    assert len(looks) == messages
    assert (
        looks.count(0) < messages / 2
    )  # of turns that took too long, on a busy machine
    assert (max(looks) > 1) == waits
