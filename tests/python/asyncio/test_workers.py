"""run(): in this process and in several, as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest

import pywscore
from pywscore.asyncio import _fleet as fleet_module
from pywscore.asyncio import _plan as plan_module
from pywscore.asyncio._binding import reserve

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="no SO_REUSEPORT"
)

PATIENCE = 20

SCRIPT = """
import asyncio, contextlib, logging, multiprocessing, os, sys
import pywscore

closed = []

async def handler(ws):
    await ws.send(str(os.getpid()))
    try:
        await serve(ws)
    finally:
        closed.append(ws)

async def serve(ws):
    async for message in ws:
        if message == "sleep":
            await asyncio.sleep(60)
        elif message == "deaf":
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    pass

def say(line):
    os.write(1, f"{line}\\n".encode())

@contextlib.asynccontextmanager
async def lifespan():
    loop = asyncio.get_running_loop()
    say(f"entered {os.getpid()}")
    yield
    assert asyncio.get_running_loop() is loop
    say(f"left {os.getpid()} {'after' if closed else 'before'}")

@contextlib.asynccontextmanager
async def broken_lifespan():
    raise RuntimeError("no life today")
    yield

def broken_loop():
    raise RuntimeError("no loop today")

if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    print("parent", os.getpid(), flush=True)
    sys.exit(pywscore.run(
        handler, "127.0.0.1", 0, on_ready=lambda found: print(found[0][1], flush=True),
        **(dict(close_timeout=1) | dict(ARGUMENTS)),
    ))
"""


class Fleet:
    """A running script."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pids: set[int] = set()
        assert process.stdout is not None
        assert process.stdout.readline() == f"parent {process.pid}\n"
        self.said: list[str] = []
        while (line := process.stdout.readline()) and not line.strip().isdigit():
            self.said.append(line)
        self.port = int(line or 0)

    def connect(self) -> pywscore.connect:
        return pywscore.connect(f"ws://127.0.0.1:{self.port}/", proxy=None)

    async def open(self, count: int) -> dict[pywscore.Connection, int]:
        """Connections, and the process that serves each."""
        found: dict[pywscore.Connection, int] = {}
        for _ in range(count):
            ws = await self.connect()
            found[ws] = int(await ws.recv())
        self.pids.update(found.values())
        return found

    async def open_until(self, workers: int) -> dict[pywscore.Connection, int]:
        """Connections to that many processes: the kernel spreads them at random."""
        found: dict[pywscore.Connection, int] = {}
        async with asyncio.timeout(PATIENCE):
            while len(set(found.values())) < workers:
                found |= await self.open(5)
        return found

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    async def ended(self) -> tuple[int, float]:
        """Exit code, and the seconds it took."""
        start = time.monotonic()
        code = await asyncio.to_thread(self.process.wait, PATIENCE)
        return code, time.monotonic() - start

    def output(self) -> list[str]:
        """What the script said besides the port."""
        assert self.process.stdout is not None
        return [*self.said, *self.process.stdout]

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):
        # Nobody may be there to reap an orphan.
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return True


async def gone(pids: set[int]) -> None:
    async with asyncio.timeout(PATIENCE):
        while any(map(is_alive, pids)):
            await asyncio.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    fleets: list[Fleet] = []

    def start(arguments: str = "") -> Fleet:
        script = tmp_path / "script.py"
        script.write_text(SCRIPT.replace("ARGUMENTS", arguments))
        package = Path(pywscore.__file__).parents[1]
        process = subprocess.Popen(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(package)},
            start_new_session=True,
        )
        fleets.append(Fleet(process))
        return fleets[-1]

    yield start
    for fleet in fleets:
        with contextlib.suppress(ProcessLookupError):
            # The group is the script's own; its workers may be left.
            os.killpg(fleet.process.pid, signal.SIGKILL)
        fleet.process.communicate(timeout=PATIENCE)


def run(test: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            await test

    asyncio.run(main())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_worker_is_this_process(
    start: Callable[..., Fleet], number: signal.Signals
) -> None:
    async def test() -> None:
        fleet = start()
        found = await fleet.open(2)
        assert set(found.values()) == {fleet.process.pid}
        fleet.stop(number)
        for ws in found:
            await ws.wait_closed()
            assert ws.close_code == 1001
        code, seconds = await fleet.ended()
        assert (code, fleet.errors()) == (0, "")
        assert seconds < 1

    run(test())


@pytest.mark.parametrize(
    "arguments",
    ["workers=2", "workers=2, start_method='spawn'", "workers=2, loop='uvloop'"],
)
def test_workers_share_the_port(start: Callable[..., Fleet], arguments: str) -> None:
    async def test() -> None:
        if "uvloop" in arguments:
            pytest.importorskip("uvloop")
        fleet = start(arguments)
        found = await fleet.open_until(2)
        assert fleet.process.pid not in fleet.pids
        assert len(fleet.pids) == 2
        fleet.stop()
        for ws in found:
            await ws.wait_closed()
            assert ws.close_code == 1001
        code, seconds = await fleet.ended()
        assert (code, fleet.errors()) == (0, "")
        assert seconds < 2
        await gone(fleet.pids)

    run(test())


@pytest.mark.parametrize("workers", [1, 2])
def test_lifespan(start: Callable[..., Fleet], workers: int) -> None:
    """Entered in each worker before it listens, left after its connections."""

    async def test() -> None:
        fleet = start(f"workers={workers}, lifespan=lifespan")
        pids = set((await fleet.open_until(workers)).values())
        assert set(fleet.said) == {f"entered {pid}\n" for pid in pids}
        fleet.stop()
        code, _ = await fleet.ended()
        assert (code, fleet.errors()) == (0, "")
        assert set(fleet.output()) - set(fleet.said) == {
            f"left {pid} after\n" for pid in pids
        }

    run(test())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_lifespan_that_fails(start: Callable[..., Fleet], workers: int) -> None:
    fleet = start(f"workers={workers}, lifespan=broken_lifespan")
    assert fleet.port == 0
    assert fleet.process.wait(PATIENCE) == 1
    assert "no life today" in fleet.errors()


def test_ctrl_c_reaches_the_whole_group(start: Callable[..., Fleet]) -> None:
    async def test() -> None:
        fleet = start("workers=2")
        found = await fleet.open_until(2)
        # What a terminal does; the group is the script's own.
        os.killpg(fleet.process.pid, signal.SIGINT)
        for ws in found:
            await ws.wait_closed()
            assert ws.close_code == 1001
        code, _ = await fleet.ended()
        assert (code, fleet.errors()) == (0, "")

    run(test())


def test_dead_worker_is_replaced(start: Callable[..., Fleet]) -> None:
    async def test() -> None:
        fleet = start("workers=2")
        found = await fleet.open_until(2)
        victim, other = set(found.values())
        os.kill(victim, signal.SIGKILL)
        for ws, pid in found.items():
            if pid == victim:
                await ws.wait_closed()
        await gone({victim})
        while len(fleet.pids) < 3:
            await fleet.open_until(2)
        # The other one goes on with its connections.
        for ws, pid in found.items():
            if pid == other:
                await (await ws.ping())
        fleet.stop()
        code, _ = await fleet.ended()
        assert code == 0
        (line,) = fleet.errors().splitlines()
        assert f"(process {victim}) ended with exit code -9" in line
        assert line.endswith("starting another in 0.1 s")

    run(test())


def test_back_off_doubles(start: Callable[..., Fleet]) -> None:
    async def test() -> None:
        fleet = start("workers=2")
        (steady, *_) = set((await fleet.open_until(2)).values())
        for _ in range(3):
            while not (victims := {p for p in fleet.pids - {steady} if is_alive(p)}):
                await fleet.open(5)
            victim = victims.pop()
            os.kill(victim, signal.SIGKILL)
            await gone({victim})
        fleet.stop()
        await fleet.ended()
        delays = [line.split()[-2] for line in fleet.errors().splitlines()]
        assert delays == ["0.1", "0.2", "0.4"]

    run(test())


def test_workers_that_cannot_start(start: Callable[..., Fleet]) -> None:
    fleet = start("workers=2, loop=broken_loop")
    assert fleet.port == 0
    assert fleet.process.wait(PATIENCE) == 1
    errors = fleet.errors()
    assert "no loop today" in errors
    assert "no worker could be started" in errors


@pytest.mark.parametrize("workers", [1, 2])
def test_slow_handlers_are_cancelled(start: Callable[..., Fleet], workers: int) -> None:
    async def test() -> None:
        fleet = start(f"workers={workers}")
        for ws in await fleet.open_until(workers):
            await ws.send("sleep")
        fleet.stop()
        code, seconds = await fleet.ended()
        assert code == 1
        assert 1 <= seconds < 2.5  # close_timeout is 1

    run(test())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_hurries(start: Callable[..., Fleet], workers: int) -> None:
    async def test() -> None:
        fleet = start(f"workers={workers}, close_timeout=60")
        for ws in await fleet.open_until(workers):
            await ws.send("sleep")
        fleet.stop()
        await asyncio.sleep(0.2)
        fleet.stop()
        code, seconds = await fleet.ended()
        assert code == 1
        assert seconds < 2
        await gone(fleet.pids)

    run(test())


def test_worker_that_does_not_end_is_killed(start: Callable[..., Fleet]) -> None:
    async def test() -> None:
        fleet = start("workers=2, close_timeout=0.2")
        (ws,) = await fleet.open(1)
        await ws.send("deaf")
        fleet.stop()
        code, seconds = await fleet.ended()
        assert code == 1
        assert seconds < 4
        await gone(fleet.pids)

    run(test())


def test_workers_do_not_outlive_their_parent(start: Callable[..., Fleet]) -> None:
    async def test() -> None:
        fleet = start("workers=2")
        found = await fleet.open_until(2)
        fleet.process.kill()
        for ws in found:
            await ws.wait_closed()
            assert ws.close_code == 1001
        await gone(fleet.pids)

    run(test())


# What is refused


async def _handler(ws: pywscore.ServerConnection) -> None:
    pass


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (ValueError, {"workers": 0}),
        (ValueError, {"loop": "trio"}),
        (TypeError, {"workers": 2, "sock": None}),
        (TypeError, {"workers": 2, "subprotocols": "chat"}),
        (ValueError, {"workers": 2, "max_size": -1}),
    ],
)
def test_wrong_arguments(error: type[Exception], arguments: dict[str, Any]) -> None:
    with pytest.raises(error):
        pywscore.run(_handler, "127.0.0.1", 0, **arguments)


@pytest.mark.parametrize("workers", [1, 2])
def test_port_in_use(workers: int) -> None:
    # Not beside another server, even one that would share.
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            pywscore.run(_handler, "127.0.0.1", port, workers=workers)


def test_no_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(ImportError, match="pip install uvloop"):
        pywscore.run(_handler, "127.0.0.1", 0, loop="uvloop")


def test_several_workers_from_another_thread() -> None:
    failed = []

    def start_workers() -> None:
        try:
            pywscore.run(_handler, "127.0.0.1", 0, workers=2)
        except RuntimeError as exc:
            failed.append(str(exc))

    thread = threading.Thread(target=start_workers)
    thread.start()
    thread.join(PATIENCE)
    assert failed == ["several workers are started from the main thread only"]


def test_workers_have_one_port_for_all_addresses() -> None:
    with contextlib.ExitStack() as stack:
        sockets = reserve(["127.0.0.1", "::1"], 0)
        for sock in sockets:
            stack.enter_context(sock)
        first, second = (sock.getsockname() for sock in sockets)
        assert (first[0], second[0]) == ("127.0.0.1", "::1")
        assert first[1] == second[1] != 0
        sockets[1].listen()
        with pytest.raises(OSError, match="in use"):
            reserve(["127.0.0.1", "::1"], first[1])
    with pytest.raises(OSError, match="no address"):
        reserve([], 0)


# --- what can't be started ---


def left_over() -> tuple[Any, ...]:
    resource_tracker.ensure_running()  # there for good
    gc.collect()  # what tests before this one left is not what this one leaves
    return (
        len(os.listdir("/proc/self/fd")),
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        multiprocessing.active_children(),
    )


@pytest.mark.threat("HLF-1")
def test_handler_that_cannot_be_pickled() -> None:
    before = left_over()
    with pytest.raises((AttributeError, pickle.PicklingError), match="pickle"):
        pywscore.run(
            lambda ws: asyncio.sleep(0),
            *("127.0.0.1", 0),
            workers=2,
            start_method="spawn",
        )
    assert left_over() == before


@pytest.mark.threat("HLF-1")
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("call", ["Pipe", "Process", "start", "socketpair", "signal"])
@pytest.mark.parametrize("index", [1, 2])
def test_each_call_that_starts_workers_fails(
    monkeypatch: pytest.MonkeyPatch, call: str, index: int
) -> None:
    before = left_over()
    calls = []

    def failing(function: Callable[..., Any]) -> Callable[..., Any]:
        def fails(*args: Any, **kwargs: Any) -> Any:
            calls.append(function)
            if len(calls) == index:
                raise OSError(errno.EMFILE, "on purpose")
            return function(*args, **kwargs)

        return fails

    context = multiprocessing.get_context("spawn")
    owner, name = {
        "Pipe": (type(context), "Pipe"),
        "Process": (type(context), "Process"),
        "start": (context.Process, "start"),
        "socketpair": (socket, "socketpair"),
        "signal": (signal, "signal"),
    }[call]
    fails = failing(getattr(owner, name))
    monkeypatch.setattr(
        owner, name, staticmethod(fails) if call == "Process" else fails
    )
    failed = None
    try:
        pywscore.run(
            asyncio.sleep,  # nobody connects
            *("127.0.0.1", 0),
            workers=2,
            close_timeout=1,
            start_method="spawn",
            on_ready=lambda _: os.kill(os.getpid(), signal.SIGTERM),
        )
    except OSError as exc:
        failed = exc.errno
    assert failed == (errno.EMFILE if len(calls) >= index else None)
    monkeypatch.undo()
    assert left_over() == before


@pytest.mark.threat("HLF-1")
def test_worker_that_cannot_be_started_again(monkeypatch: Any, caplog: Any) -> None:
    """The others serve meanwhile."""

    def fails(worker: Any) -> None:
        raise OSError(errno.EAGAIN, "no process to be had")

    fleet = fleet_module.Fleet(
        plan_module.Plan(None, None, 0, "asyncio", None, {}), 2, "fork"
    )
    fleet.workers = [fleet_module._Worker(number) for number in range(2)]
    fleet.logger = fleet.plan.logger
    monkeypatch.setattr(fleet, "_start", fails)
    fleet.not_ready = {1}
    fleet._start_again(fleet.workers[0])
    assert fleet.workers[0].restart_at > time.monotonic()
    assert "no process to be had" in caplog.text
    with pytest.raises(OSError):
        fleet._start_again(fleet.workers[1])
