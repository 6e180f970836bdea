"""What several processes have counted together, by a folder that they share.

Each has two files there: one with its counts, replaced every second, and an empty one
that it keeps locked. The kernel gives the lock up however the process ends, so the
others see that it is gone: what it has counted is added to a sum of those that are, and
what it had is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .._numbers import positive_number
from ..typing import PathLike
from ._stats import ServerStats, read_only

if sys.platform != "win32":
    import fcntl

__all__ = ["SharedStats"]

# They are of what is there, and end with a process.
_GAUGES = (
    "connections",
    "connections_opening",
    "connections_closing",
    "messages_queued",
    "bytes_queued",
    "latency",
    "latency_max",
)
_GONE = "gone.json"
# With many connections counting takes a while: at most one part in so many of the time.
_SPARING = 100

Counts = dict[str, Any]


class SharedStats:
    """Statistics of all processes that share a folder: workers of one port, of which a
    scrape reaches any. Each of them enters it in its loop::

        async with SharedStats("/run/chat/stats") as shared:
            shared.watch(server.stats)
            ...
            shared.stats()  # of all of them

    Counters never go down, also when a process is killed: of that one the last
    ``interval`` seconds are lost, or more where counting takes more than 1 % of them:
    with 10,000 connections some 2 seconds.

    Args:
        folder: of these processes only; made if it isn't there. Its files are read and
            written on a disk or, better, in memory: ``/run``, ``/dev/shm``.
        interval: seconds between two times that a process says what it has counted.

    Raises:
        NotImplementedError: on Windows, which has no such locks.
        ValueError: if interval isn't above 0.
    """

    def __init__(self, folder: PathLike, *, interval: float = 1.0) -> None:
        if sys.platform == "win32":
            raise NotImplementedError("statistics aren't shared on Windows")
        self._folder = Path(os.fsdecode(folder))
        self._interval = positive_number("interval", interval, "a number of seconds")
        self._watched: list[Callable[[], ServerStats]] = []
        self._name = ""
        self._lock = -1
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        if self._name:
            raise RuntimeError("it has been entered already")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        with self._alone():
            self._lock = os.open(self._folder / f"{name}.lock", os.O_CREAT | os.O_RDWR)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._name = name
        try:
            self._tell()
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._write(f"{self._name}.json", self._own())
        finally:
            self._leave()

    def _leave(self) -> None:
        """Whoever looks next adds it to those that are gone."""
        assert self._timer is not None
        self._timer.cancel()
        os.close(self._lock)
        self._name = ""

    def watch(self, stats: Callable[[], ServerStats]) -> None:
        """Count what this gives, in this process.

        Args:
            stats: ``server.stats``, or ``stats`` of ``pywscore.integrations.metrics``.
                One that is watched already isn't counted twice.
        """
        if stats not in self._watched:
            self._watched.append(stats)

    def stats(self) -> ServerStats:
        """The sums over all processes; the latency is the mean over their connections.

        Returns:
            The same as ``Server.stats()``.

        Raises:
            RuntimeError: outside of the ``async with``.
            OSError: if the folder can't be read.
        """
        if not self._name:
            raise RuntimeError("it hasn't been entered")
        own = f"{self._name}.json"
        # What has been told once must be there for the next one who is asked.
        self._write(own, self._own())
        with self._alone():
            gone = self._read(_GONE)
            last = gone.pop("last", "")
            living = []
            for lock in sorted(self._folder.glob("*.lock")):
                file = lock.with_suffix(".json").name
                if file == own or not self._ended(lock):
                    living.append(self._read(file))
                    continue
                if file != last:  # whoever added it hasn't been killed before this
                    ended = self._read(file) | dict.fromkeys(_GAUGES, 0)
                    gone = _sum([gone, ended])
                    self._write(_GONE, gone | {"last": file})
                for name in (f"{file}.new", file, lock.name):
                    (self._folder / name).unlink(missing_ok=True)
        return _stats(_sum([gone, *living]))

    def _own(self) -> Counts:
        return _sum([_counts(stats()) for stats in self._watched])

    def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            self._write(f"{self._name}.json", self._own())
        finally:
            wait = max(self._interval, (loop.time() - began) * _SPARING)
            self._timer = loop.call_later(wait, self._tell)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else changes which files are there."""
        descriptor = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @staticmethod
    def _ended(lock: Path) -> bool:
        descriptor = os.open(lock, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _write(self, name: str, counts: Counts) -> None:
        """As a whole: who reads it meanwhile gets the one before."""
        new = self._folder / f"{name}.new"
        new.write_text(json.dumps(counts), encoding="utf-8")
        new.replace(self._folder / name)

    def _read(self, name: str) -> Counts:
        try:
            text = (self._folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return _sum([])
        return dict(json.loads(text))


def _counts(stats: ServerStats) -> Counts:
    counts = {field.name: getattr(stats, field.name) for field in fields(stats)}
    # JSON's keys are strings.
    counts["close_codes"] = {str(code): n for code, n in stats.close_codes.items()}
    return counts


def _stats(counts: Counts) -> ServerStats:
    codes = {int(code): count for code, count in counts["close_codes"].items()}
    return read_only({**counts, "close_codes": codes})


def _sum(all_counts: list[Counts]) -> Counts:
    special = ("close_codes", "latency", "latency_max")
    names = [it.name for it in fields(ServerStats) if it.name not in special]
    result: Counts = {name: sum(it[name] for it in all_counts) for name in names}
    codes: Counter[str] = Counter()
    for counts in all_counts:
        codes.update(counts["close_codes"])
    latencies = sum(it["latency"] * it["connections"] for it in all_counts)
    result["close_codes"] = codes
    result["latency"] = latencies / result["connections"] if latencies else 0.0
    result["latency_max"] = max((it["latency_max"] for it in all_counts), default=0.0)
    return result
