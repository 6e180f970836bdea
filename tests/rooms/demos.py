"""`pywscore demo` with two workers."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import Redis, free_port


class Demo:
    """The parent of the workers."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def workers(self) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                stat = (folder / "stat").read_text()
                if int(stat.rpartition(")")[2].split()[1]) == self.process.pid:
                    found.append(int(folder.name))
        return found


@contextmanager
def demo(redis: Redis, *options: str) -> Iterator[Demo]:
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "pywscore", "demo", "--port", str(port)),
            *("--redis", redis.url, "--workers", "2", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "Chat on" in process.stdout.readline()
        yield Demo(process, port)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
