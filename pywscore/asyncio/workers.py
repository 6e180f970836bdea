"""run(): a server in this process, or in several that share a port."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import logging
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection as pipes
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from ..typing import LoggerLike
from .server import Server, serve
from .server_connection import ServerConnection

__all__ = ["reserve", "run"]

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
Handler = Callable[[ServerConnection], Awaitable[Any]] | None
Address = tuple[Any, ...]
StartMethod = Literal["fork", "spawn", "forkserver"]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Connections are cut at close_timeout; then their handlers get a moment to notice.
NOTICE = 0.25
# What a worker may take beyond that before it is killed.
KILL_AFTER = 2.0

# Between the end of a worker and the start of the next, doubled each time; it starts
# anew once a worker has lived as long as STEADY.
RESTART_FIRST = 0.1
RESTART_MAX = 10.0
STEADY = 30.0


def run(
    handler: Handler,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    workers: int = 1,
    loop: Literal["asyncio", "uvloop"] | LoopFactory = "asyncio",
    start_method: StartMethod | None = None,
    on_ready: Callable[[list[Address]], object] | None = None,
    **serve_arguments: Any,
) -> int:
    """Serve until SIGINT or SIGTERM, then close all connections with 1001::

        if __name__ == "__main__":
            sys.exit(pywscore.run(handler, "127.0.0.1", 8765, workers=4))

    With more than one worker, each is a process with an event loop of its own that
    listens on the same port (SO_REUSEPORT); this process starts them, and again when
    one ends, and passes signals on. Connections of different workers share nothing.

    Stopping takes ``close_timeout`` at most: what isn't closed by then is cut, and
    handlers still running are cancelled. A second signal does that at once.

    Args:
        handler: coroutine function that gets a ServerConnection.
        host: as for ``serve()``.
        port: as for ``serve()``; 0 for a free one.
        workers: how many processes; 1 is this one.
        loop: the event loop: ``"asyncio"``, ``"uvloop"``, or a function that makes one.
        start_method: how ``multiprocessing`` starts workers: by default ``"fork"`` on
            Linux, ``"spawn"`` elsewhere. With ``"spawn"`` and ``"forkserver"``, handler
            and arguments are pickled: functions have to be importable.
        on_ready: called in this process with the addresses once all listen.
        serve_arguments: as for ``serve()``.

    Returns:
        What to end the process with: 0, or 1 if workers couldn't be started, or if not
        everything came to its end in time.

    Raises:
        OSError: if the address can't be listened on.
        ImportError: if there is no uvloop.
        TypeError, ValueError: if an argument can't be used.
        RuntimeError: if a loop is running, or workers are asked for outside of the main
            thread.
    """
    if workers < 1:
        raise ValueError("workers must be positive")
    plan = _Plan(handler, host, port, loop, serve_arguments)
    plan.factory()
    if workers == 1:
        return plan.run(on_ready or (lambda addresses: None))
    for name in ("sock", "unix", "path", "start_serving", "reuse_port"):
        if name in serve_arguments:
            raise TypeError(f"{name} can't be used with several workers")
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ValueError("several workers need SO_REUSEPORT, which this system lacks")
    serve(handler, host, port, **serve_arguments)  # for its exceptions
    sockets = reserve(host, port)
    try:
        plan.port = sockets[0].getsockname()[1]
        plan.arguments["reuse_port"] = True
        if start_method is None:
            start_method = "fork" if sys.platform == "linux" else "spawn"
        fleet = _Fleet(plan, workers, start_method)
        return fleet.run(on_ready, [sock.getsockname() for sock in sockets])
    finally:
        for sock in sockets:
            sock.close()


def reserve(host: str | Sequence[str] | None, port: int | None) -> list[socket.socket]:
    """Bind without listening, so that a port is ours and several may listen on it.

    Raises:
        OSError: if that can't be, or others listen there already.
    """
    hosts = [host] if host is None or isinstance(host, str) else list(host)
    found: dict[tuple[int, Address], None] = {}
    for name in hosts:
        infos = socket.getaddrinfo(
            name or None, port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        found.update({(info[0], info[4]): None for info in infos})
    sockets: list[socket.socket] = []
    try:
        for family, address in found:
            if sockets and not port:
                # The same number for all addresses.
                number = sockets[0].getsockname()[1]
                address = (address[0], number, *address[2:])
            # SO_REUSEPORT would let us in beside another server of the same user.
            _bind(family, address, shared=False).close()
            sockets.append(_bind(family, address, shared=True))
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise OSError(errno.EADDRNOTAVAIL, "no address to listen on")
    return sockets


def _bind(family: int, address: Address, *, shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


# One process


@dataclass
class _Plan:
    """What a worker does; it travels to where that runs."""

    handler: Handler
    host: str | Sequence[str] | None
    port: int | None
    loop: str | LoopFactory
    arguments: dict[str, Any]

    def factory(self) -> LoopFactory:
        """The function that makes the event loop."""
        if callable(self.loop):
            return self.loop
        if self.loop == "asyncio":
            return asyncio.new_event_loop
        if self.loop != "uvloop":
            raise ValueError(f"loop must be asyncio or uvloop, not {self.loop!r}")
        try:
            uvloop = importlib.import_module("uvloop")
        except ImportError:
            raise ImportError("loop='uvloop' needs: pip install uvloop") from None
        made: LoopFactory = uvloop.new_event_loop
        return made

    @property
    def close_timeout(self) -> float | None:
        timeout: float | None = self.arguments.get("close_timeout", 10)
        return timeout

    @property
    def logger(self) -> LoggerLike:
        logger: LoggerLike | None = self.arguments.get("logger")
        return logger or logging.getLogger("pywscore.server")

    def run(
        self,
        on_ready: Callable[[list[Address]], object],
        lifeline: pipes.Connection | None = None,
    ) -> int:
        """Serve until a signal, or until the other end of ``lifeline`` is gone."""
        try:
            with asyncio.Runner(loop_factory=self.factory()) as runner:
                return runner.run(self._serve(on_ready, lifeline))
        except KeyboardInterrupt:  # no signal handlers on this system or thread
            return 0

    async def _serve(
        self,
        on_ready: Callable[[list[Address]], object],
        lifeline: pipes.Connection | None,
    ) -> int:
        stop, hurry = asyncio.Event(), asyncio.Event()

        def ask() -> None:
            (hurry if stop.is_set() else stop).set()

        with _signal_handlers(ask, () if lifeline is None else (signal.SIGINT,)):
            server = await serve(self.handler, self.host, self.port, **self.arguments)
            try:
                if lifeline is not None:
                    asyncio.get_running_loop().add_reader(lifeline.fileno(), stop.set)
                on_ready([sock.getsockname() for sock in server.sockets])
                await stop.wait()
            finally:
                if lifeline is not None:
                    asyncio.get_running_loop().remove_reader(lifeline.fileno())
                clean = await _drain(server, self.close_timeout, hurry)
        return 0 if clean else 1


@contextlib.contextmanager
def _signal_handlers(
    callback: Callable[[], None], ignored: Sequence[signal.Signals]
) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    handled = []
    try:
        for number in STOP_SIGNALS:
            if number not in ignored:
                loop.add_signal_handler(number, callback)
                handled.append(number)
    except (NotImplementedError, RuntimeError, ValueError):
        pass  # Windows; not the main thread
    if hasattr(signal, "pthread_sigmask") and handled:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


async def _drain(server: Server, timeout: float | None, hurry: asyncio.Event) -> bool:
    """Close the server; whether all came to its end by itself."""
    server.close()
    closed = asyncio.ensure_future(server.wait_closed())
    hurried = asyncio.ensure_future(hurry.wait())
    try:
        limit = None if timeout is None else timeout + NOTICE
        await asyncio.wait(
            {closed, hurried}, timeout=limit, return_when=asyncio.FIRST_COMPLETED
        )
        if closed.done():
            return True
        for ws in list(server._all):
            ws._cut("the server is stopping")
        for task in list(server._tasks):
            task.cancel()
        await asyncio.wait({closed}, timeout=NOTICE)
        return False
    finally:
        closed.cancel()
        hurried.cancel()


# Several processes


def _work(plan: _Plan, ready: pipes.Connection, *lifeline: pipes.Connection) -> None:
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
class _Fleet:
    """The parent of the workers."""

    plan: _Plan
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
                    self._start(worker)
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
        worker.ready, ready = self.context.Pipe(duplex=False)
        # A forked worker closes its copy of our end, which would keep the others alive.
        ends = [self.lifeline]
        if self.start_method == "fork":
            ends += [self.life]
        worker.process = self.context.Process(
            target=_work,
            args=(self.plan, ready, *ends),
            name=f"pywscore-worker-{worker.number}",
        )
        old = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            worker.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
            ready.close()
        worker.started = time.monotonic()

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
        now = time.monotonic()
        if now - worker.started >= STEADY:
            worker.delay = RESTART_FIRST
        self._log_end(worker, f"starting another in {worker.delay:.1f} s")
        worker.restart_at = now + worker.delay
        worker.delay = min(worker.delay * 2, RESTART_MAX)
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

        self._wakeup, ours = socket.socketpair()
        self._wakeup.setblocking(False)
        ours.setblocking(False)
        old = {}
        try:
            try:
                old_fd = signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
            except ValueError:
                raise RuntimeError(
                    "several workers are started from the main thread only"
                ) from None
            for number in STOP_SIGNALS:
                old[number] = signal.signal(number, heard)
            try:
                yield
            finally:
                for number, handler in old.items():
                    signal.signal(number, handler)
                signal.set_wakeup_fd(old_fd)
        finally:
            self._wakeup.close()
            ours.close()
