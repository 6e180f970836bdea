"""`pywscore bench compare`: one load on an echo server of each library that is
installed, each in a process of its own, in turns."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any

from pywscore.cli._chart import bars, table
from pywscore.cli._common import EXIT_INTERRUPTED, CommandError, bounded_int, explain
from pywscore.cli._machine import machine, version

from .result import FORMAT_VERSION, Result, as_dict, result_of
from .running import Crew
from .settings import Settings, make_loads

HELP = """\
compare, in the place of the URL, starts an echo server of each library that is
installed and runs the load on them in turns."""

MODULE = "pywscore.cli._bench.servers"
FOLDER = Path(__file__).parent / "servers"
DEFAULT_ROUNDS = 3
MAX_ROUNDS = 1000
SERVER_CORE, LOAD_CORE = 0, 1
STOP_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A module of ``servers`` and what it needs."""

    module: str
    distribution: str
    title: str

    def name(self) -> str | None:
        """With the version; None if it isn't installed."""
        number = version(self.distribution)
        return None if number is None else f"{self.title} {number}"

    def command(self, *, compression: bool) -> list[str]:
        words = [sys.executable, "-P", "-m", MODULE, f"{MODULE}.{self.module}"]
        words += ["--loop", "uvloop" if version("uvloop") else "asyncio"]
        return [*words, "--compression"] if compression else words


class Node(Library):
    """ws of Node, from the ``node_modules`` of the working directory."""

    def name(self) -> str | None:
        package = Path("node_modules/ws/package.json")
        if shutil.which("node") is None or not package.exists():
            return None
        return f"{self.title} {json.loads(package.read_text())['version']}"

    def command(self, *, compression: bool) -> list[str]:
        return ["node", str(FOLDER / "node_ws.mjs")]


LIBRARIES: dict[str, Library] = {
    library.module: library
    for library in (
        Library(module="pywscore", distribution="pywscore", title="pywscore"),
        Library(module="picows_async", distribution="picows", title="picows async API"),
        Node(module="node_ws", distribution="", title="Node ws"),
        Library(module="aiohttp", distribution="aiohttp", title="aiohttp"),
        Library(
            module="pywscore_aiohttp",
            distribution="aiohttp",
            title="pywscore in aiohttp",
        ),
        Library(module="uvicorn", distribution="uvicorn", title="uvicorn"),
        Library(
            module="pywscore_uvicorn",
            distribution="uvicorn",
            title="pywscore in uvicorn",
        ),
        Library(module="websockets", distribution="websockets", title="websockets"),
    )
}


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with compare")
    group.add_argument(
        "--servers",
        type=_modules,
        default=list(LIBRARIES),
        metavar="NAMES",
        help=f"only these, with commas: {', '.join(LIBRARIES)}",
    )
    group.add_argument(
        "--rounds",
        type=lambda text: bounded_int(text, 1, MAX_ROUNDS),
        default=DEFAULT_ROUNDS,
        metavar="N",
        help="turns that share the duration (%(default)s)",
    )
    group.add_argument(
        "--output", metavar="NAME", help="write NAME.json and NAME.svg, the chart"
    )


def _modules(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in LIBRARIES:
            raise argparse.ArgumentTypeError(f"there is no server {name!r}")
    return names


# A server


class Server:
    """A process; it says how much processor time it has used."""

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._stdin: IO[bytes] = process.stdin
        self._stdout: IO[bytes] = process.stdout
        self.name = name
        line = self._stdout.readline().strip()
        if not line.isdigit():
            raise CommandError(f"the server of {name} did not start")
        self.port = int(line)

    def processor_seconds(self) -> float:
        self._stdin.write(b"\n")
        self._stdin.flush()
        return float(self._stdout.readline())


@contextlib.contextmanager
def started(library: Library, name: str, *, compression: bool) -> Iterator[Server]:
    try:
        process = subprocess.Popen(
            library.command(compression=compression),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    except OSError as error:
        raise CommandError(f"cannot start {name}: {explain(error)}") from None
    try:
        stay_on(SERVER_CORE, process.pid)
        yield Server(process, name)
    finally:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()  # which ends it
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def stay_on(core: int, pid: int = 0) -> set[int] | None:
    """Let a process be on one core, if there are two; those that it had."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    before = os.sched_getaffinity(pid)
    if {SERVER_CORE, LOAD_CORE} <= before:
        os.sched_setaffinity(pid, {core})
    return before


# The turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    result: Result
    server_us: float  # processor time of a message


def measure(settings: Settings, server: Server) -> Turn:
    settings = dataclasses.replace(settings, url=f"ws://127.0.0.1:{server.port}/")
    crew = Crew(make_loads(settings), wants_latencies=False)
    before = server.processor_seconds()
    crew.run(lambda _: None)
    used = server.processor_seconds() - before
    result = result_of(settings, crew, interrupted=False)
    count = result.handshakes if settings.handshakes else result.messages
    return Turn(result=result, server_us=used / count * 1e6)


def run(options: argparse.Namespace, settings: Settings) -> int:
    rounds = options.rounds
    settings = dataclasses.replace(
        settings,
        duration=None if settings.duration is None else settings.duration / rounds,
        # A client that sleeps has to be woken, which is charged to the server.
        spin=(os.cpu_count() or 1) > 1,
    )
    turns: dict[str, list[Turn]] = {}
    affinity = None
    try:
        with contextlib.ExitStack() as stack:
            servers = []
            for library in (LIBRARIES[name] for name in options.servers):
                if (name := library.name()) is None:
                    print(f"without {library.title}: not installed", file=sys.stderr)
                    continue
                compression = settings.compression
                starting = started(library, name, compression=compression)
                try:
                    servers.append(stack.enter_context(starting))
                except CommandError as error:
                    print(f"without {name}: {error}", file=sys.stderr)
            affinity = stay_on(LOAD_CORE)
            # One round more: the first one warms everything up.
            for number in range(rounds + 1):
                for server in list(servers):
                    try:
                        turn = measure(settings, server)
                    except CommandError as error:
                        print(f"without {server.name}: {error}", file=sys.stderr)
                        servers.remove(server)
                        turns.pop(server.name, None)
                        continue
                    if number > 0:
                        turns.setdefault(server.name, []).append(turn)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    finally:
        if affinity is not None:
            os.sched_setaffinity(0, affinity)
    if not turns:
        raise CommandError("none of these servers can be measured here")
    _show(options, settings, turns)
    return 0


# What came of it


def _middle(turns: Sequence[Turn]) -> Turn:
    """The one whose server used neither most nor least."""
    return sorted(turns, key=lambda turn: turn.server_us)[len(turns) // 2]


def _show(
    options: argparse.Namespace, settings: Settings, turns: dict[str, list[Turn]]
) -> None:
    unit = "handshake" if settings.handshakes else "message"
    record = {
        "version": FORMAT_VERSION,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "unit": unit,
        "rounds": options.rounds,
        "servers": [
            {
                "name": name,
                "server_us": round(median(turn.server_us for turn in each), 3),
                "rounds": [
                    {"server_us": round(turn.server_us, 3), **as_dict(turn.result)}
                    for turn in each
                ],
            }
            for name, each in turns.items()
        ],
    }
    text = json.dumps(record, indent=2)
    print(text if options.json else _report(settings, turns, unit))
    if options.output:
        chart = bars(
            f"Processor time of the server per {unit}",
            [
                (name, median(turn.server_us for turn in each))
                for name, each in turns.items()
            ],
            "µs",
        )
        try:
            Path(f"{options.output}.json").write_text(f"{text}\n", encoding="utf-8")
            Path(f"{options.output}.svg").write_text(chart, encoding="utf-8")
        except OSError as error:
            raise CommandError(
                f"cannot write {options.output}: {explain(error)}"
            ) from None


def _report(settings: Settings, turns: dict[str, list[Turn]], unit: str) -> str:
    rows = []
    for name, each in turns.items():
        middle = _middle(each)
        result: Any = middle.result
        latency = result.handshake_us if settings.handshakes else result.latency_us
        rate = (
            result.handshakes_per_second
            if settings.handshakes
            else result.messages_per_second
        )
        rows.append(
            [
                name,
                f"{middle.server_us:.2f}",
                f"{rate:,.0f}",
                f"{latency.p50:,.0f}",
                f"{latency.p99:,.0f}",
            ]
        )
    head = ["server", f"its CPU µs/{unit}", f"{unit}s/s", "p50 µs", "p99 µs"]
    what = (
        f"{settings.connections:,} connections, {len(settings.payload):,} bytes, "
        f"{settings.depth:,} at a time"
    )
    return f"{machine()}\n{what}\n\n{table(head, rows)}"
