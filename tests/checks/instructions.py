"""How many instructions a message takes, or a connection, by callgrind: no more than 3
% above what instructions.json has for this compiler and Python. With --write that is
stored.

Counts of two lengths of a run are compared, so that what isn't messages cancels out.
Nothing is left to chance: what is ready when the server looks (instructions.c,
instructions_echo.py), the clock (steady_clock.c), hashes, the version of SIMD.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build/instructions"
BOUNDS = HERE / "instructions.json"
TOLERANCE = 0.03
# What every machine of the kind has.
SIMD = {"x86_64": "sse2", "aarch64": "neon", "arm64": "neon"}


def machine() -> str:
    """What figures depend on."""
    answer = subprocess.run(["gcc", "-dumpversion"], capture_output=True, text=True)
    compiler = answer.stdout.strip().partition(".")[0]
    python = f"{platform.python_version()} by {platform.python_compiler()}"
    return f"gcc {compiler}, CPython {python}, {platform.machine()}"


def count(name: str, *command: "str | Path", **env: str) -> dict[str, float]:
    """Instructions per message of what `command` says that it measures."""
    out = BUILD / f"{name}.callgrind"
    out.unlink(missing_ok=True)
    callgrind = (
        *("valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}"),
        *("--combine-dumps=yes", "--dump-before=getpgid"),
    )
    said = subprocess.run(
        [*callgrind, *command],
        env=os.environ | {"WSC_SIMD": SIMD.get(platform.machine(), "scalar")} | env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    totals = [int(n) for n in re.findall(r"^totals: (\d+)", out.read_text(), re.M)]
    measured = re.findall(r"^(.+): (\d+)$", said, re.M)
    # Before each: a part that isn't looked at.
    return {
        what: round((totals[3 * i + 2] - totals[3 * i + 1]) / int(messages), 1)
        for i, (what, messages) in enumerate(measured)
    }


def measure() -> dict[str, float]:
    BUILD.mkdir(parents=True, exist_ok=True)
    program = ROOT / "build/bench/tests/checks/instructions"
    clock = BUILD / "steady_clock.so"
    make = ("make", "-s", f"-j{os.cpu_count()}", "FLAVOUR=bench")
    subprocess.run((*make, program.relative_to(ROOT)), cwd=ROOT, check=True)
    compile_shared = ("gcc", "-O2", "-shared", "-fPIC", "-o")
    subprocess.run((*compile_shared, clock, HERE / "steady_clock.c"), check=True)
    echo = (sys.executable, "-P", HERE / "instructions_echo.py")
    return count("c", program) | count(
        "python", *echo, LD_PRELOAD=str(clock), PYTHONHASHSEED="0"
    )


def main() -> int:
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not installed")
        return 0
    counts = measure()
    stored = json.loads(BOUNDS.read_text())
    bounds = stored.get(machine(), {})
    worse = []
    for what, found in counts.items():
        bound = bounds.get(what)
        change = f"{found / bound - 1:+8.1%} from {bound:10.1f}" if bound else ""
        print(f"{what:30} {found:10.1f} {change}".rstrip())
        if bound and found > bound * (1 + TOLERANCE):
            worse.append(what)
    if "--write" in sys.argv[1:]:
        stored[machine()] = counts
        BOUNDS.write_text(json.dumps(stored, indent=2) + "\n")
    elif not bounds:
        print(f"skipped: {BOUNDS.name} has nothing for {machine()}")
    elif missing := bounds.keys() ^ counts.keys():
        print(f"not in {BOUNDS.name}, or not measured: {', '.join(sorted(missing))}")
        return 1
    elif worse:
        print(f"more than {TOLERANCE:.0%} above {BOUNDS.name}: {', '.join(worse)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
