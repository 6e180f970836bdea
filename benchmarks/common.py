"""What the benchmarks share: versions, servers and clients as processes."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pywscore.cli._machine import machine, version

__all__ = ["machine", "version"]

HERE = Path(__file__).parent
TOP = HERE.parent
BUILD = TOP / "build" / "bench"

SERVER_CORE = 0
LOAD_CORE = 1


@functools.cache  # before results are written
def commit() -> str:
    """Short name of the commit, with a plus sign if files differ from it."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=7", "--dirty=+", "--exclude=*"],
            cwd=TOP,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown commit"
    return f"commit {done.stdout.strip()}"


def loops() -> list[str]:
    return ["asyncio", "uvloop"] if version("uvloop") else ["asyncio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    port: int
    pid: int
    stdin: IO[bytes]


def pin(core: int) -> Callable[[], None]:
    """For a child process: stay on a core, if there are two."""

    def stay() -> None:
        if (os.cpu_count() or 1) > 1 and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {core})

    return stay


@contextlib.contextmanager
def server(command: Sequence[str]) -> Iterator[Running]:
    """A server in a process of its own, which ends with the block.

    It prints its port, and ends when its standard input does or by SIGTERM.
    """
    process = subprocess.Popen(
        command,
        cwd=TOP,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=pin(SERVER_CORE),
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line.strip():
            raise NotStarted(f"{' '.join(command)} did not start")
        yield Running(port=int(line), pid=process.pid, stdin=process.stdin)
    finally:
        process.stdin.close()
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class ClientFailed(Exception):
    """A client did not get along with a server; it said why."""


class NotStarted(Exception):
    """A server ended before it printed its port."""


def run_client(program: Path, running: Running, *options: str) -> dict[str, Any]:
    """One run of a client; see the top of its source for what it gives."""
    command = [str(program), str(running.port), "--pid", str(running.pid), *options]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        timeout=120,
        preexec_fn=pin(LOAD_CORE),
    )
    if done.returncode != 0:
        raise ClientFailed(f"{program.name} ended with {done.returncode}")
    return _figures(done.stdout)


def run_feed(program: Path, running: Running, *options: str) -> dict[str, Any]:
    """One run of the server for clients, with one of ``benchmarks.clients``."""
    command = [str(program), "--pid", str(running.pid), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, preexec_fn=pin(LOAD_CORE)
    ) as feed:
        assert feed.stdout is not None
        running.stdin.write(feed.stdout.readline())
        running.stdin.flush()
        said, _ = feed.communicate(timeout=120)
    if feed.returncode != 0:
        raise ClientFailed(f"{program.name} ended with {feed.returncode}")
    return _figures(said)


def run_alone(command: Sequence[str], tls: Path, seconds: float) -> dict[str, Any]:
    """One run of a program that has no other end."""
    done = subprocess.run(
        [*command, "--tls", str(tls), "--seconds", str(seconds)],
        cwd=TOP,
        stdout=subprocess.PIPE,
        timeout=120,
        env=os.environ | {"OPENSSL_CONF": str(tls / "openssl.cnf")},
        preexec_fn=pin(SERVER_CORE),
    )
    if done.returncode != 0:
        raise ClientFailed(f"{command[0]} ended with {done.returncode}")
    return _figures(done.stdout)


def _figures(said: bytes) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(said)
    if figures["messages"] == 0:
        raise ClientFailed("not a message went through")
    if figures["server_cpu_seconds"] == 0:
        raise ClientFailed("it has got no processor time")
    figures["cpu_us"] = figures["server_cpu_seconds"] / figures["messages"] * 1e6
    figures["messages_per_second"] = figures["messages"] / figures["seconds"]
    return figures


def allow_files(count: int) -> None:
    """In this process; servers inherit it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard != resource.RLIM_INFINITY:
            count = min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
