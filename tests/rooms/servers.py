"""Redis servers for the tests: one, one with a replica and a Sentinel, a cluster."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")


def free_port() -> int:
    # A cluster's nodes use the port 10,000 above, too.
    with socket.socket() as sock:
        while True:
            sock.bind(("127.0.0.1", 0))
            port = int(sock.getsockname()[1])
            if port < 50_000:
                return port
            sock.close()
            sock = socket.socket()


class Redis:
    """One server process on a port of its own, without persistence."""

    def __init__(self, *arguments: str, program: str = "") -> None:
        assert PROGRAM is not None
        self.port = free_port()
        self.arguments = arguments
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")
        self.folder = Path(self._folder.name)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        assert PROGRAM is not None
        command = [PROGRAM, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", str(self.folder), "--logfile", "log"]
        self._process = subprocess.Popen(
            [*command, *self.arguments], stdout=subprocess.DEVNULL
        )
        self.wait()

    def wait(self) -> None:
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                if self.say("PING").startswith((b"+PONG", b"-NOAUTH")):
                    return
            assert time.monotonic() < end, "redis-server doesn't start"
            time.sleep(0.01)

    def say(self, *words: str) -> bytes:
        """A command, by hand; the first piece of its answer."""
        parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock:
            sock.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
            return sock.recv(65536)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        self._folder.cleanup()


class Sentinel(Redis):
    """A Sentinel of a service called ``main``."""

    def __init__(self, master: Redis) -> None:
        super().__init__()
        path = self.folder / "sentinel.conf"
        path.write_text(
            f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds main 500\n"
            "sentinel failover-timeout main 3000\n"
        )
        self.path = path

    def start(self) -> None:
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [
                *(PROGRAM, self.path, "--sentinel", "--port", str(self.port)),
                *("--bind", "127.0.0.1", "--dir", self.folder, "--logfile", "log"),
            ],
            stdout=subprocess.DEVNULL,
        )
        self.wait()

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.port}/main"


@contextlib.contextmanager
def with_sentinel() -> Iterator[tuple[Redis, Redis, Sentinel]]:
    """A master, its replica, and a Sentinel that has seen both."""
    with Redis() as master:
        with Redis("--replicaof", f"127.0.0.1 {master.port}") as replica:
            with Sentinel(master) as sentinel:
                end = time.monotonic() + 20
                while b"num-slaves\r\n$1\r\n1" not in sentinel.say(
                    "SENTINEL", "MASTER", "main"
                ) or b"master_link_status:up" not in replica.say("INFO", "replication"):
                    assert time.monotonic() < end, "the Sentinel sees no replica"
                    time.sleep(0.05)
                yield master, replica, sentinel


@contextlib.contextmanager
def cluster_nodes() -> Iterator[list[Redis]]:
    """Three masters."""
    with contextlib.ExitStack() as stack:
        nodes = [
            stack.enter_context(Redis("--cluster-enabled", "yes")) for _ in range(3)
        ]
        first, *others = nodes
        for index, node in enumerate(nodes):
            start, end = index * 16384 // 3, (index + 1) * 16384 // 3 - 1
            node.say("CLUSTER", "ADDSLOTSRANGE", str(start), str(end))
        for node in others:
            first.say("CLUSTER", "MEET", "127.0.0.1", str(node.port))
        end = time.monotonic() + 20
        while not all(
            b"cluster_state:ok" in it and b"cluster_known_nodes:3" in it
            for it in (node.say("CLUSTER", "INFO") for node in nodes)
        ):
            assert time.monotonic() < end, "there is no cluster"
            time.sleep(0.05)
        yield nodes


def cluster_url(nodes: list[Redis]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """The URL of three masters."""
    with cluster_nodes() as nodes:
        yield cluster_url(nodes)
