"""The steps of `./dev test`; with --long those of `./dev test-long`; with --all both;
or those that are named.

Every step runs even when an earlier one failed. The last line is pytest's summary, with
the steps that failed, if any, above it. docs/quality.md says how long they take.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pythons
from runner import (
    PY,
    ROOT,
    STEPS,
    Skipped,
    here,
    last_line,
    note,
    run,
    run_steps,
    say,
    step,
)

BIN = Path(sys.executable).parent
# Tests wait more than they compute.
WORKERS = ["-n", str(2 * (os.cpu_count() or 1))]


def run_pytest(
    name: str,
    *arguments: "str | Path",
    python: "str | Path" = PY,
    under: tuple[str, ...] = (),
    **env: str,
) -> bool:
    """Several processes; what fails beside others has to pass by itself."""
    # -P: from the installed place, not from the working directory.
    command = (python, "-P", *under, "-m", "pytest")
    command = (*command, "-o", f"cache_dir=build/pytest-{name}", *map(str, arguments))
    passed = run(*command, *WORKERS, timeout=3600, **env)
    note(summary := last_line())
    if not passed:
        say("---- again, by itself, what failed beside others")
        passed = run(*command, "--lf", "--lfnf=none", timeout=1200, **env)
        note(f"{summary}; by itself {last_line()}")
    return passed


def extension(name: str, python: "str | Path" = PY, **env: str) -> "dict[str, str]":
    """Compile into build/NAME what `python` is to import: give it the answer as its
    environment. The extension in the source tree stays what it is."""
    folder = ROOT / "build" / name
    shutil.rmtree(folder / "lib", ignore_errors=True)
    (folder / "lib").mkdir(parents=True)
    built = run(
        *(python, "setup.py", "-q", "egg_info", "--egg-base", folder / "lib"),
        *("build", "--build-base", folder, "--build-lib", folder / "lib"),
        **env,
    )
    if not built:
        raise RuntimeError("the extension can't be built")
    return {
        "PYTHONPATH": str(folder / "lib"),
        "PYTHONSAFEPATH": "1",
        "PYWSCORE_EXTENSION": str(folder / "lib"),
    }


@step("ruff-format", "Python format (ruff format)")
def ruff_format() -> bool:
    return run(BIN / "ruff", "format", "--check", "--diff", "-q", ".")


@step("clang-format", "C format (clang-format)", lane="c")
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


@step("pyright", "Types of the typed examples, as editors see them (pyright)")
def pyright() -> bool:
    program = ROOT / "node_modules/.bin/pyright"
    if not program.exists():
        raise Skipped("npm has not installed pyright")
    return run(program, "--pythonpath", PY)


@step("layers", "Layers (C includes, Python imports)")
def layers() -> bool:
    includes = run(PY, "tests/checks/layers.py")
    return run(BIN / "lint-imports", "--no-cache") and includes


@step("clang-tidy", "C lint (clang-tidy)", lane="c")
def clang_tidy() -> bool:
    return run("make", "-s", "tidy")


@step("asserting", "Every test asserts something")
def asserting() -> bool:
    return run(PY, "tests/checks/asserting.py")


@step("docs", "Documentation (links, the site)")
def docs() -> bool:
    links = run(PY, "tests/checks/docs.py")
    # What the theme's authors have to say to others.
    silent = {"NO_MKDOCS_2_WARNING": "1"}
    return run(BIN / "mkdocs", "build", "--strict", **silent) and links


@step("release", "What is published (sdist, metadata, versions, links, workflows)")
def release() -> bool:
    return run(PY, "tests/checks/release.py", "--quick")


@step("sdist", "The sdist builds and tests itself", lane="c")
def sdist() -> bool:
    tested = run(PY, "tests/checks/sdist.py")
    note(last_line())
    return tested


@step("c", "C tests (gcc, those of SIMD with each version)", lane="c")
def c_tests() -> bool:
    return run("make", "-s", "test", ONCE="yes")


@step("c-asan", "C tests under ASan and UBSan (gcc)", lane="c")
def c_asan() -> bool:
    return run("make", "-s", "asan")


@step("replay", "Fuzz corpora replayed (gcc, ASan)", lane="c")
def replay() -> bool:
    return run("make", "-s", "replay")


@step(
    "c-intsan",
    "C tests under UBSan with unsigned overflow in the core (clang)",
    lane="c",
)
def c_intsan() -> bool:
    return run("make", "-s", "intsan")


@step("build", "Extension (all warnings as errors)")
def build() -> bool:
    folder = ROOT / "build/werror"
    return run(
        PY,
        *("setup.py", "-q", "build_ext", "--force"),
        *("--build-temp", folder, "--build-lib", folder),
        PYWSCORE_WERROR="1",
    )


@step("stubtest", "Stubs against the compiled module (stubtest)")
def stubtest() -> bool:
    allowed = ROOT / "tests/typing/stubtest.txt"
    return run(BIN / "stubtest", "--allowlist", allowed, "pywscore._core")


@step("instructions", "Instructions of a message (callgrind)", lane="c")
def instructions() -> bool:
    counted = run(PY, "tests/checks/instructions.py")
    if (said := last_line()).startswith("skipped: "):
        raise Skipped(said.removeprefix("skipped: "))
    return counted


@step("pytest", "pytest")
def pytest() -> bool:
    return run_pytest("all", "--durations=5")


# ---- of ./dev test-long --------------------------------------------------------------


@step("c-simd", "C tests (gcc, each SIMD version)", lane="c", instead_of="c")
def c_simd() -> bool:
    return run("make", "-s", "test")


@step("environments", "pytest in all environments", instead_of="pytest")
def environments() -> bool:
    return run_pytest("environments", "-q", PYWSCORE_ENVIRONMENTS="all")


@step("coverage", "pytest with coverage", long=True)
def coverage() -> bool:
    """Of the package, and of csrc/python."""
    folder = ROOT / "build/coverage-python"
    for old in [*folder.rglob("*.gcda"), *folder.glob("data*")]:
        old.unlink()
    env = extension("coverage-python", PYWSCORE_COVERAGE="1")
    passed = run_pytest(
        "coverage",
        # What measures time and memory, slowly, is for a build without instruments.
        *("-q", "-m", "not slow", "-o", "timeout=300"),
        under=("-m", "coverage", "run"),
        **env,
    )
    python = run(PY, "-m", "coverage", "combine", "-q")
    python = python and run(PY, "-m", "coverage", "report", "-m", "--skip-covered")
    run(PY, "-m", "coverage", "report", "--format=total")
    here.step.note += f"; {last_line()} % of Python"
    c = run(
        *(PY, "tests/checks/gcov_summary.py", folder, "csrc/python"),
        *("--fail-under", "90"),
    )
    here.step.note += f"; of C {last_line()}"
    return passed and python and c


@step("c-coverage", "Coverage of the C tests", lane="c", long=True)
def c_coverage() -> bool:
    return run("make", "-s", "coverage", f"PYTHON={PY}")


@step(
    "aiohttp-oldest", "The aiohttp drop-in over the oldest that it supports", long=True
)
def aiohttp_oldest() -> bool:
    return over_oldest("aiohttp", "test_aiohttp_*.py")


@step(
    "uvicorn-oldest", "The uvicorn drop-in over the oldest that it supports", long=True
)
def uvicorn_oldest() -> bool:
    return over_oldest("uvicorn", "test_uvicorn_[act]*.py")


@step("drop-ins-tls", "The drop-ins over TLS of each loop and carrier", long=True)
def drop_ins_tls() -> bool:
    """In ./dev test only those whose TLS the engine takes over."""
    folder = ROOT / "tests/integration"
    tests = [*folder.glob("test_aiohttp_*.py"), *folder.glob("test_uvicorn_*.py")]
    return run_pytest(
        "drop-ins-tls",
        *("-q", "-k", "tls", "-m", "not external"),
        *sorted(tests),
        folder / "test_held_output_of_drop_ins.py",
        PYWSCORE_DROP_INS_TLS="all",
    )


@step("rooms-faults", "Rooms: 300 faults of Redis in mid-broadcast", long=True)
def rooms_faults() -> bool:
    tests = "tests/rooms/test_faults.py"
    return run_pytest("rooms-faults", "-q", tests, PYWSCORE_FAULTS="300")


@step("pieces", "Connections in memory that get what was sent byte by byte", long=True)
def pieces() -> bool:
    tests = "tests/python/asyncio", "tests/python/testing"
    return run_pytest(
        "pieces", "-q", *tests, "-k=-memory or testing", "--ws-split=bytes"
    )


@step("foreign", "Other projects' own tests over pywscore", long=True)
def foreign() -> bool:
    return run(PY, "-P", "tests/foreign/run.py", timeout=1800)


def over_oldest(package: str, pattern: str) -> bool:
    """The tests of a drop-in with the oldest version of what it stands for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [requirement] = project["project"]["optional-dependencies"][package]
    oldest = requirement.replace(">=", "==")
    # Alone, in front of the environment: what it needs is there for the newest one.
    folder = ROOT / "build" / oldest
    if not (folder / package).exists() and not run(
        *(PY, "-m", "pip", "install", "-q", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary", ":all:", "--target", folder, oldest),
    ):
        if sys.version_info < (3, 14):
            return False
        raise Skipped(f"{oldest} has no wheel for this Python")
    return run_pytest(
        f"{package}-oldest",
        "-q",
        *sorted((ROOT / "tests/integration").glob(pattern)),
        PYTHONPATH=os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
        **{f"PYWSCORE_{package.upper()}": oldest.partition("==")[2]},
    )


@step("pytest-asan", "pytest under ASan and UBSan", long=True)
def pytest_asan() -> bool:
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC")).split()
    answer = subprocess.run(
        [*compiler, "-print-file-name=libasan.so"], capture_output=True, text=True
    )
    return run_pytest(
        "asan",
        *("tests/python", "-m", "not slow and not external", "-o", "timeout=300"),
        **extension("asan-python", PYWSCORE_SANITIZE="address,undefined"),
        LD_PRELOAD=answer.stdout.strip(),
        # CPython keeps memory until the end of the process on purpose.
        ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:allocator_may_return_null=1",
        UBSAN_OPTIONS="print_stacktrace=1",
        PYTHONMALLOC="malloc",
        PYWSCORE_SANITIZED="1",
    )


@step("pythons", "pytest with other Pythons", long=True)
def other_pythons() -> bool:
    """In continuous integration with the newest that is found, without slow tests."""
    found = pythons.found()
    if not found:
        raise Skipped("no other Python with its headers; PYTHONS=... names some")
    passed = []
    in_ci = "CI" in os.environ
    chosen = "not external and not slow" if in_ci else "not external"
    for python in found[:1] if in_ci else found:
        say(f"---- Python {python.name}: {python.executable}")
        inside = pythons.environment(python)
        env = extension(f"python-{python.name}", inside)
        # A module that would switch the GIL on does not.
        env |= {"PYTHON_GIL": "0"} if python.threads else {}
        passed.append(
            run_pytest(
                f"python-{python.name}",
                *("-q", "-m", chosen),
                python=inside,
                **env,
            )
        )
    return all(passed)


@step("threads-tsan", "Threads without a GIL under ThreadSanitizer", long=True)
def threads_tsan() -> bool:
    """Needs a free-threaded Python that was configured --with-thread-sanitizer, and has
    setuptools: see docs/threads.md."""
    python = os.environ.get("PYWSCORE_TSAN_PYTHON")
    if not python:
        raise Skipped("PYWSCORE_TSAN_PYTHON names no interpreter")
    pem = ROOT / "build/tsan-python/pem"
    use = extension("tsan-python", python, PYWSCORE_SANITIZE="thread")
    return run(PY, "-c", MAKE_PEM, pem) and run(
        *(python, "-P", "tests/python/asyncio/thread_load.py", "6", "3", pem),
        timeout=300,
        **use,
        # The first report is enough to fail, all of them are shown.
        TSAN_OPTIONS="exitcode=66:history_size=4",
        PYTHON_GIL="0",
    )


MAKE_PEM = """
import sys, trustme
certificate = trustme.CA().issue_cert("localhost")
certificate.private_key_and_cert_chain_pem.write_to_path(sys.argv[1])
"""


@step("valgrind", "C tests under valgrind (leaks)", lane="c", long=True)
def valgrind() -> bool:
    if not shutil.which("valgrind"):
        raise Skipped("valgrind is not installed")
    return run("make", "-s", "valgrind")


@step("musl", "C tests with musl", lane="c", long=True)
def musl() -> bool:
    for program in ("musl-gcc", "cargo"):
        if not shutil.which(program):
            raise Skipped(f"there is no {program}")
    tested = run("make", "-s", "musl", timeout=3600)
    note(last_line())
    return tested


@step("windows", "What Windows compiles (mingw)", lane="c", long=True)
def windows() -> bool:
    if not shutil.which("x86_64-w64-mingw32-gcc"):
        raise Skipped("there is no x86_64-w64-mingw32-gcc")
    compiled = run(PY, "tests/checks/windows.py")
    note(last_line())
    return compiled


def main(words: list[str]) -> int:
    names = [word for word in words if word not in ("--long", "--all")]
    if unknown := [name for name in names if name not in STEPS]:
        print("steps:", *STEPS)
        print("no such step:", *unknown)
        return 2
    os.chdir(ROOT)
    # Of one test; several processes share the machine.
    os.environ.setdefault("PYWSCORE_TEST_TIMEOUT", "90")
    chosen = [it for it in STEPS.values() if it.long == ("--long" in words)]
    if "--all" in words:
        contained = {step.instead_of for step in STEPS.values()}
        chosen = [it for it in STEPS.values() if it.name not in contained]
    return run_steps([STEPS[name] for name in names] or chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
