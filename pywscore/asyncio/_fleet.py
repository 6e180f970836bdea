"""Several processes that serve one port, and the one that looks after them."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import connection as pipes
from multiprocessing.process import BaseProcess
from typing import Any

from ._binding import Address
from ._plan import Plan, StartMethod
from ._signals import STOP_SIGNALS

__all__ = ["Fleet"]

# What a worker may take beyond close_timeout before it is killed.
KILL_AFTER = 2.0

# Between the end of a worker and the start of the next, doubled each time; it starts
# anew once a worker has lived as long as STEADY.
RESTART_FIRST = 0.1
RESTART_MAX = 10.0
STEADY = 30.0


def _work(plan: Plan, ready: pipes.Connection, *lifeline: pipes.Connection) -> None:
    """What a worker runs. SIGTERM is blocked until it can be handled."""
    # Ctrl-C reaches the whole process group; the parent makes one SIGTERM of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    watched, *others = lifeline
    for inherited in others:
        inherited.close()

    def on_ready(addresses: list[Address]) -> None:
        with contextlib.suppress(OSError):
            ready.send_bytes(b"ready")
        ready.close()

    sys.exit(plan.run(on_ready, watched))


@dataclass
class _Worker:
    number: int
    process: BaseProcess | None = None
    ready: pipes.Connection | None = None
    started: float = 0.0
    delay: float = RESTART_FIRST
    restart_at: float = 0.0


@dataclass
class Fleet:
    """The parent of the workers."""

    plan: Plan
    count: int
    start_method: StartMethod
    signals: list[int] = field(default_factory=list)

    def run(
        self,
        on_ready: Callable[[list[Address]], object] | None,
        addresses: list[Address],
    ) -> int:
        """Keep the workers running until a signal; the exit code."""
        self.logger = self.plan.logger
        self.context: Any = multiprocessing.get_context(self.start_method)
        self.workers = [_Worker(number) for number in range(self.count)]
        self.on_ready = on_ready
        self.not_ready = set(range(self.count))
        # Workers see by its end that this process is gone.
        self.lifeline, self.life = self.context.Pipe(duplex=False)
        try:
            with self._signal_handlers():
                try:
                    stopped = self._supervise(addresses)
                except BaseException:
                    self._stop()
                    raise
                return 0 if self._stop() and stopped else 1
        finally:
            self.lifeline.close()
            self.life.close()

    def _supervise(self, addresses: list[Address]) -> bool:
        """True after a signal, False if the workers can't be started."""
        while not self.signals:
            for worker in self.workers:
                if worker.process is None and worker.restart_at <= time.monotonic():
                    self._start_again(worker)
            self._wait(self._until_restart())
            for worker in self.workers:
                self._look_at_ready(worker, addresses)
                if worker.process is not None and worker.process.exitcode is not None:
                    if len(self.not_ready) == self.count and not self.signals:
                        self._log_end(worker, "no worker could be started")
                        return False
                    self._ended(worker)
        return True

    def _start(self, worker: _Worker) -> None:
        heard, ready = self.context.Pipe(duplex=False)
        # A forked worker closes its copy of our end, which would keep the others alive.
        ends = [self.lifeline]
        if self.start_method == "fork":
            ends += [self.life]
        old = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            process = self.context.Process(
                target=_work,
                args=(self.plan, ready, *ends),
                name=f"pywscore-worker-{worker.number}",
            )
            process.start()
        except BaseException:
            heard.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
            ready.close()
        worker.process, worker.ready = process, heard
        worker.started = time.monotonic()

    def _start_again(self, worker: _Worker) -> None:
        """Not now, if the system can't: others serve meanwhile."""
        try:
            self._start(worker)
        except OSError as exc:
            if worker.number in self.not_ready:
                raise
            self.logger.log(
                logging.ERROR,
                "worker %d can't be started: %s; trying again in %.1f s",
                *(worker.number, exc, worker.delay),
            )
            self._start_later(worker)

    def _start_later(self, worker: _Worker) -> None:
        worker.restart_at = time.monotonic() + worker.delay
        worker.delay = min(worker.delay * 2, RESTART_MAX)

    def _look_at_ready(self, worker: _Worker, addresses: list[Address]) -> None:
        if worker.ready is None or not worker.ready.poll():
            return
        try:
            worker.ready.recv_bytes()
            self.not_ready.discard(worker.number)
            if not self.not_ready and self.on_ready is not None:
                on_ready, self.on_ready = self.on_ready, None
                on_ready(addresses)
        except EOFError:
            pass
        worker.ready.close()
        worker.ready = None

    def _ended(self, worker: _Worker) -> None:
        if time.monotonic() - worker.started >= STEADY:
            worker.delay = RESTART_FIRST
        self._log_end(worker, f"starting another in {worker.delay:.1f} s")
        self._start_later(worker)
        self._forget(worker)

    def _forget(self, worker: _Worker) -> None:
        if worker.process is not None:
            worker.process.join()
            worker.process.close()
            worker.process = None
        if worker.ready is not None:
            worker.ready.close()
            worker.ready = None

    def _log_end(self, worker: _Worker, then: str) -> None:
        assert worker.process is not None
        code = worker.process.exitcode
        pid = worker.process.pid
        self.logger.log(
            logging.ERROR,
            "worker %d (process %s) ended with exit code %s; %s",
            *(worker.number, pid, code, then),
        )

    def _until_restart(self) -> float | None:
        waiting = [w.restart_at for w in self.workers if w.process is None]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    # Stopping

    def _stop(self) -> bool:
        """End all workers; whether they ended as they should."""
        timeout = self.plan.close_timeout
        limit = None if timeout is None else timeout + KILL_AFTER
        deadline = None if limit is None else time.monotonic() + limit
        clean = True
        self._terminate()
        heard = len(self.signals)
        while running := [w for w in self.workers if w.process is not None]:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                clean = False
                self._kill(running)
            self._wait(left)
            if len(self.signals) > heard:
                heard = len(self.signals)
                deadline = time.monotonic() + KILL_AFTER
                self._terminate()
            for worker in running:
                assert worker.process is not None
                if worker.process.exitcode is not None:
                    # By SIGTERM itself: before it served anybody.
                    ended = worker.process.exitcode in (0, -signal.SIGTERM)
                    clean = clean and ended
                    self._forget(worker)
        return clean

    def _terminate(self) -> None:
        for worker in self.workers:
            if worker.process is not None:
                worker.process.terminate()

    def _kill(self, workers: list[_Worker]) -> None:
        for worker in workers:
            assert worker.process is not None
            worker.process.kill()
            worker.process.join()

    # Waiting

    def _wait(self, timeout: float | None) -> None:
        """Until a worker ends or is ready, a signal comes, or time is up."""
        what: list[Any] = [self._wakeup]
        for worker in self.workers:
            if worker.process is not None:
                what.append(worker.process.sentinel)
            if worker.ready is not None:
                what.append(worker.ready)
        pipes.wait(what, None if timeout is None else max(0.0, timeout))
        with contextlib.suppress(BlockingIOError):
            self._wakeup.recv(4096)

    @contextlib.contextmanager
    def _signal_handlers(self) -> Iterator[None]:
        def heard(number: int, frame: object) -> None:
            self.signals.append(number)

        with contextlib.ExitStack() as undo:
            self._wakeup, ours = socket.socketpair()
            undo.callback(ours.close)
            undo.callback(self._wakeup.close)
            self._wakeup.setblocking(False)
            ours.setblocking(False)
            try:
                old_fd = signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
            except ValueError:
                raise RuntimeError(
                    "several workers are started from the main thread only"
                ) from None
            undo.callback(signal.set_wakeup_fd, old_fd)
            for number in STOP_SIGNALS:
                undo.callback(signal.signal, number, signal.signal(number, heard))
            yield
