"""What the benchmarks share: servers as processes, the load client, tables."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TOP = HERE.parent
RESULTS = HERE / "results"
BUILD = TOP / "build" / "bench"

SERVER_CORE = 0
LOAD_CORE = 1


def version(distribution: str) -> str | None:
    """Of an installed package; None when it isn't there."""
    if distribution == "pywscore":
        import pywscore

        return pywscore.__version__
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def machine() -> str:
    return (
        f"{os.cpu_count()} shared cores, {platform.system()} {platform.machine()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


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
class Peer:
    """An echo server: a module of ``benchmarks.servers``."""

    module: str
    distribution: str
    title: str

    @property
    def name(self) -> str:
        """With the version."""
        number = version(self.distribution)
        return self.title.replace(self.distribution, f"{self.distribution} {number}", 1)


PEERS = [
    Peer(module="pywscore", distribution="pywscore", title="pywscore"),
    Peer(
        module="pywscore_transport",
        distribution="pywscore",
        title="pywscore on transports",
    ),
    Peer(module="picows_async", distribution="picows", title="picows async API"),
    Peer(module="picows_callback", distribution="picows", title="picows callbacks"),
    Peer(module="websockets", distribution="websockets", title="websockets"),
    Peer(module="aiohttp", distribution="aiohttp", title="aiohttp"),
    Peer(module="uvicorn", distribution="uvicorn", title="uvicorn"),
]


def installed(peers: Sequence[Peer] = PEERS) -> list[Peer]:
    for peer in peers:
        if version(peer.distribution) is None:
            print(f"without {peer.title}: not installed", file=sys.stderr)
    return [peer for peer in peers if version(peer.distribution) is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    port: int
    pid: int


@contextlib.contextmanager
def server(
    module: str, *, loop: str, compression: bool = False, core: int = SERVER_CORE
) -> Iterator[Running]:
    """A server in a process of its own, which ends with the block."""
    command = [sys.executable, "-m", "benchmarks.servers", module, "--loop", loop]
    if compression:
        command.append("--compression")
    if (os.cpu_count() or 1) > 1:
        command += ["--core", str(core)]
    process = subprocess.Popen(
        command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line.strip():
            raise SystemExit(f"the server {module} did not start")
        yield Running(port=int(line), pid=process.pid)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def build_load() -> Path:
    """Compile the load client, unless that was done."""
    source = HERE / "c" / "load.c"
    program = BUILD / "load"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        compiler = os.environ.get("CC", "cc")
        subprocess.run(
            [compiler, "-std=c11", "-O2", str(source), "-o", str(program)], check=True
        )
    return program


def load(
    running: Running,
    *,
    connections: int,
    size: int,
    seconds: float,
    warmup: float = 0.5,
    more: Sequence[str] = (),
) -> dict[str, Any]:
    """One run of the load client; see the top of c/load.c for what it gives."""
    command = [
        *(str(build_load()), str(running.port), "--pid", str(running.pid)),
        *("--connections", str(connections), "--size", str(size)),
        *("--seconds", str(seconds), "--warmup", str(warmup)),
        *more,
    ]
    if (os.cpu_count() or 1) > 1:
        command.append("--spin")

    def pin() -> None:
        if (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(0, {LOAD_CORE})

    done = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        timeout=seconds + warmup + 60,
        preexec_fn=pin,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    figures["cpu_us"] = figures["server_cpu_seconds"] / figures["messages"] * 1e6
    figures["messages_per_second"] = figures["messages"] / figures["seconds"]
    return figures


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown; all but the first column are numbers."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *rest = cells
        padded = [first.ljust(widths[0])]
        padded += [
            cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)
        ]
        return "| " + " | ".join(padded) + " |"

    rule = [
        ":" + "-" * (widths[0] - 1),
        *("-" * (width - 1) + ":" for width in widths[1:]),
    ]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def bars(title: str, values: Sequence[tuple[str, float]], unit: str) -> str:
    """A bar chart as SVG; our own bars stand out."""
    height, label, width = 22, 250, 420
    most = max(value for _, value in values)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{label + width + 90}" '
        f'height="{height * (len(values) + 2)}" font-family="sans-serif" '
        'font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="{height}" font-weight="bold">{title}</text>',
    ]
    for number, (name, value) in enumerate(values):
        top = height * (number + 1.5)
        length = width * value / most
        colour = "#2a6fbb" if name.startswith("pywscore") else "#b8c4d0"
        lines += [
            f'<text x="{label - 8}" y="{top + 15}" text-anchor="end">{name}</text>',
            f'<rect x="{label}" y="{top + 3}" width="{length:.1f}" '
            f'height="{height - 6}" fill="{colour}"/>',
            f'<text x="{label + length + 6:.1f}" y="{top + 15}">{value:.1f} {unit}'
            "</text>",
        ]
    return "\n".join([*lines, "</svg>", ""])


def report(name: str, title: str, text: str, data: Any) -> None:
    """Print, and write results/NAME.md and results/NAME.json."""
    date = datetime.date.today().isoformat()
    page = f"# {title}\n\n{date} · {machine()} · {commit()}\n\n{text.strip()}\n"
    print(page, flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(page, encoding="utf-8")
    record = {
        "date": date,
        "machine": machine(),
        "commit": commit(),
        "figures": data,
    }
    (RESULTS / f"{name}.json").write_text(
        json.dumps(record, indent=1) + "\n", encoding="utf-8"
    )
