"""Steps: how they are declared, run side by side in lanes, and what is said of them."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PY = sys.executable

Function = Callable[[], bool]


class Skipped(Exception):
    """Raised by a step that can't run here; says why."""


@dataclass
class Step:
    name: str
    title: str
    function: Function
    lane: str
    long: bool
    instead_of: str = ""
    outcome: str = ""  # ok, FAILED, skipped
    note: str = ""  # why it was skipped, what came of it
    seconds: float = 0
    cpu: float = 0  # of its processes


STEPS: dict[str, Step] = {}


def step(
    name: str,
    title: str,
    *,
    lane: str = "python",
    long: bool = False,
    instead_of: str = "",
) -> Callable[[Function], Function]:
    """Steps of one lane run one after another, lanes side by side. The lane "python" is
    the first to get a processor: its tests have time limits. A long step may contain
    another, and run instead of it where all run."""

    def register(function: Function) -> Function:
        is_long = long or bool(instead_of)
        STEPS[name] = Step(name, title, function, lane, is_long, instead_of)
        return function

    return register


class Here(threading.local):
    """The lane of this thread: its step, and what that has said so far."""

    step = Step("", "", bool, "", False)  # of a script that is no step
    nice = False
    kept: list[str] | None = None  # None: it is shown as it comes
    last = ""


here = Here()
screen = threading.Lock()


def show(text: str) -> None:
    if here.kept is None:
        print(text, end="", flush=True)
    else:
        here.kept.append(text)


def say(text: str) -> None:
    show(text + "\n")


def note(text: str) -> None:
    """For the table at the end."""
    here.step.note = text


def last_line() -> str:
    """Of what the last command has said, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", here.last).strip().strip("= ")


def run(
    *command: "str | Path", timeout: float = 900, cwd: Path = ROOT, **env: str
) -> bool:
    """Run with no stdin; True if it exits with 0 in time."""
    words = [*(["nice"] if here.nice else []), *map(str, command)]
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    killer = threading.Timer(timeout, os.killpg, (process.pid, signal.SIGKILL))
    killer.start()
    assert process.stdout is not None
    for line in process.stdout:
        show(line)
        here.last = line if line.strip() else here.last
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    here.step.cpu += usage.ru_utime + usage.ru_stime
    if not killer.is_alive():
        say(f"killed after {timeout:.0f} s")
    killer.cancel()
    return process.returncode == 0


def may_be_skipped(name: str) -> bool:
    """Anywhere but in continuous integration, where nothing may be missing."""
    text = (ROOT / "tests/may_be_skipped.toml").read_text(encoding="utf-8")
    return "CI" not in os.environ or name in tomllib.loads(text)["steps"]


def run_step(step: Step) -> None:
    here.step = step
    say(f"\n==== {step.name}: {step.title}")
    start = time.monotonic()
    try:
        step.outcome = "ok" if step.function() else "FAILED"
    except Skipped as why:
        step.outcome = "skipped" if may_be_skipped(step.name) else "FAILED"
        note(f"skipped: {why}")
    except Exception as exc:
        step.outcome = "FAILED"
        note(repr(exc))
    step.seconds = time.monotonic() - start
    say(f"==== {step.name}: {step.outcome}, {step.seconds:.1f} s. {step.note}")


def run_lane(steps: list[Step], nice: bool, alone: bool) -> None:
    here.nice = nice
    for step in steps:
        here.kept = None if alone else []
        run_step(step)
        with screen:
            print(*(here.kept or []), sep="", end="", flush=True)


def run_steps(steps: list[Step]) -> int:
    lanes: dict[str, list[Step]] = {}
    for step in steps:
        lanes.setdefault(step.lane, []).append(step)
    alone = len(lanes) == 1
    threads = [
        threading.Thread(
            target=run_lane, args=(steps_of_it, not alone and name != "python", alone)
        )
        for name, steps_of_it in lanes.items()
    ]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table(steps, time.monotonic() - start)
    return 1 if any(step.outcome == "FAILED" for step in steps) else 0


def table(steps: list[Step], seconds: float) -> None:
    print(f"\n{'':24} seconds  of CPU")
    for step in steps:
        figures = f"{step.seconds:7.1f} {step.cpu:7.1f}"
        print(f"{step.outcome:8}{step.name:16} {figures}  {step.note}".rstrip())
    print(f"{'in all':24} {seconds:7.1f} {sum(step.cpu for step in steps):7.1f}")
    if failed := [step.name for step in steps if step.outcome == "FAILED"]:
        print("failed steps:", ", ".join(failed))
    for step in steps:
        if "pytest" in (step.name, step.instead_of):
            print(step.note)
