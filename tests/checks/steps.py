"""The steps of `./dev test`, in order, each with its time; arguments pick some.

Every step runs even when an earlier one failed. The last line is pytest's summary, with
the steps that failed, if any.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PY = sys.executable
STEPS: "dict[str, tuple[str, Callable[[], bool]]]" = {}
pytest_summary = ""
# Tests wait more than they compute.
WORKERS = ["-n", str(2 * (os.cpu_count() or 1))]


def step(name: str, title: str) -> "Callable[[Callable[[], bool]], Callable[[], bool]]":
    def register(function: "Callable[[], bool]") -> "Callable[[], bool]":
        STEPS[name] = (title, function)
        return function

    return register


def run(*command: "str | Path", timeout: float = 900, **env: str) -> bool:
    """Run with no stdin; True if it exits with 0 in time."""
    global pytest_summary
    words = [str(word) for word in command]
    process = subprocess.Popen(
        words,
        cwd=ROOT,
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
    last = ""
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line if line.strip() else last
    code = process.wait()
    if not killer.is_alive():
        print(f"killed after {timeout:.0f} s")
    killer.cancel()
    if words[:4] == [PY, "-P", "-m", "pytest"] and not env:
        pytest_summary = last.strip().strip("= ")
    return code == 0


def run_pytest(name: str, *arguments: "str | Path", **env: str) -> bool:
    """Several processes; what fails beside others has to pass by itself."""
    command = (PY, "-P", "-m", "pytest", "-o", f"cache_dir=build/pytest-{name}")
    command = (*command, *map(str, arguments))
    if run(*command, *WORKERS, timeout=2400, **env):
        return True
    print("---- again, by itself, what failed beside others", flush=True)
    return run(*command, "--lf", "--lfnf=none", timeout=1200, **env)


@step("ruff-format", "Python format (ruff format)")
def ruff_format() -> bool:
    return run(BIN / "ruff", "format", "--check", "--diff", "-q", ".")


@step("clang-format", "C format (clang-format)")
def clang_format() -> bool:
    return run("make", "-s", "format-check")


@step("ruff", "Python lint (ruff)")
def ruff() -> bool:
    return run(BIN / "ruff", "check", "--output-format=concise", ".")


@step("mypy", "Types (mypy --strict, and the typed examples of tests/typing)")
def mypy() -> bool:
    examples = sorted((ROOT / "tests/typing").glob("*.py"))
    package = run(BIN / "mypy")
    typed = not examples or run(BIN / "mypy", "--strict", *examples)
    return package and typed


@step("layers", "Layers (C includes, Python imports)")
def layers() -> bool:
    includes = run(PY, "tests/checks/layers.py")
    return run(BIN / "lint-imports", "--no-cache") and includes


@step("clang-tidy", "C lint (clang-tidy)")
def clang_tidy() -> bool:
    return run("make", "-s", "tidy")


@step("docs", "Links of the documentation")
def docs() -> bool:
    return run(PY, "tests/checks/docs.py")


@step("c", "C tests (gcc, each SIMD version)")
def c_tests() -> bool:
    return run("make", "-s", "test")


@step("c-asan", "C tests under ASan and UBSan (gcc)")
def c_asan() -> bool:
    return run("make", "-s", "asan")


@step("c-intsan", "C tests under UBSan with unsigned overflow in the core (clang)")
def c_intsan() -> bool:
    return run("make", "-s", "intsan")


@step("replay", "Fuzz corpora replayed (gcc, ASan)")
def replay() -> bool:
    return run("make", "-s", "replay")


@step("build", "Extension (all warnings as errors)")
def build() -> bool:
    folder = ROOT / "build/werror"
    return run(
        PY,
        *("setup.py", "-q", "build_ext", "--force"),
        *("--build-temp", folder, "--build-lib", folder),
        PYWSCORE_WERROR="1",
    )


@step("pytest", "pytest")
def pytest() -> bool:
    # -P: from the installed place, not from the working directory.
    return run_pytest("all", "--durations=5")


@step("aiohttp-oldest", "The aiohttp drop-in over the oldest aiohttp that it supports")
def aiohttp_oldest() -> bool:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [requirement] = project["project"]["optional-dependencies"]["aiohttp"]
    oldest = requirement.replace(">=", "==")
    # Alone, in front of the environment: what it needs is there for the newest one.
    folder = ROOT / "build" / oldest
    if not (folder / "aiohttp").exists() and not run(
        *(PY, "-m", "pip", "install", "-q", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary", ":all:", "--target", folder, oldest),
    ):
        # Pythons that came out later have no wheel of it.
        return sys.version_info >= (3, 14)
    return run_pytest(
        "aiohttp-oldest",
        "-q",
        *sorted((ROOT / "tests/integration").glob("test_aiohttp_*.py")),
        PYTHONPATH=os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
        PYWSCORE_AIOHTTP=oldest.partition("==")[2],
    )


def asan_build() -> "dict[str, str] | None":
    """Build the sanitized extension into build/asan-python; what to run pytest with."""
    folder = ROOT / "build/asan-python"
    shutil.rmtree(folder / "lib", ignore_errors=True)
    built = run(
        PY,
        *("setup.py", "-q", "build", "--build-base", folder),
        *("--build-lib", folder / "lib"),
        PYWSCORE_SANITIZE="address,undefined",
    )
    if not built:
        return None
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC")).split()
    answer = subprocess.run(
        [*compiler, "-print-file-name=libasan.so"], capture_output=True, text=True
    )
    return {
        "LD_PRELOAD": answer.stdout.strip(),
        # CPython keeps memory until the end of the process on purpose.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(folder / "lib"),
        "PYTHONSAFEPATH": "1",
        "PYWSCORE_SANITIZED": "1",
    }


@step("pytest-asan", "pytest under ASan and UBSan")
def pytest_asan() -> bool:
    env = asan_build()
    return env is not None and run_pytest(
        "asan",
        *("tests/python", "-m", "not slow and not external", "-o", "timeout=300"),
        **env,
    )


@step("threads-tsan", "Threads without a GIL under ThreadSanitizer")
def threads_tsan() -> bool:
    """Needs a free-threaded Python that was configured --with-thread-sanitizer, and has
    setuptools: see docs/threads.md."""
    python = os.environ.get("PYWSCORE_TSAN_PYTHON")
    if not python:
        print("PYWSCORE_TSAN_PYTHON names no interpreter: skipped")
        return True
    folder = ROOT / "build/tsan-python"
    shutil.rmtree(folder / "lib", ignore_errors=True)
    built = run(
        python,
        *("setup.py", "-q", "build", "--build-base", folder),
        *("--build-lib", folder / "lib"),
        PYWSCORE_SANITIZE="thread",
    )
    pem = folder / "pem"
    return (
        built
        and run(PY, "-c", MAKE_PEM, pem)
        and run(
            *(python, "-P", "tests/python/asyncio/thread_load.py", "6", "3", pem),
            timeout=300,
            # The first report is enough to fail, all of them are shown.
            TSAN_OPTIONS="exitcode=66:history_size=4",
            PYTHON_GIL="0",
            PYTHONPATH=str(folder / "lib"),
        )
    )


MAKE_PEM = """
import sys, trustme
certificate = trustme.CA().issue_cert("localhost")
certificate.private_key_and_cert_chain_pem.write_to_path(sys.argv[1])
"""


@step("valgrind", "C tests under valgrind (leaks)")
def valgrind() -> bool:
    if not shutil.which("valgrind"):
        print("valgrind is not installed: skipped")
        return True
    return run("make", "-s", "valgrind")


@step("instructions", "Instructions of a message (callgrind)")
def instructions() -> bool:
    return run(PY, "tests/checks/instructions.py")


@step("stubtest", "Stubs against the compiled module (stubtest)")
def stubtest() -> bool:
    allowed = ROOT / "tests/typing/stubtest.txt"
    return run(BIN / "stubtest", "--allowlist", allowed, "pywscore._core")


def main(names: list[str]) -> int:
    if unknown := [name for name in names if name not in STEPS]:
        print("steps:", *STEPS)
        print("no such step:", *unknown)
        return 2
    os.chdir(ROOT)
    # Of one test; several processes share the machine.
    os.environ.setdefault("PYWSCORE_TEST_TIMEOUT", "90")
    times: list[tuple[str, float, bool]] = []
    for name in names or STEPS:
        title, function = STEPS[name]
        print(f"\n==== {name}: {title}", flush=True)
        start = time.monotonic()
        ok = function()
        took = time.monotonic() - start
        times.append((name, took, ok))
        print(f"==== {name}: {'ok' if ok else 'FAILED'}, {took:.1f} s", flush=True)
    print()
    for name, took, ok in times:
        print(f"{'ok' if ok else 'FAILED':6} {name:14} {took:6.1f} s")
    print(f"{sum(took for _, took, _ in times):6.1f} s in all")
    failed = [name for name, _, ok in times if not ok]
    if failed:
        print("failed steps:", ", ".join(failed))
    if pytest_summary:
        print(re.sub(r"\x1b\[[0-9;]*m", "", pytest_summary))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
