"""What all Python tests share: the threat marker, and which build is under test."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import os
import re
import sys
import tomllib
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


class Missing(types.ModuleType):
    """A package that isn't to be had for this Python: who uses it is skipped."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        pytest.skip(f"there is no {self.__name__}", allow_module_level=True)


if importlib.util.find_spec("trustme") is None:
    sys.modules["trustme"] = Missing("trustme")

THREAT_ID = re.compile(r"[A-Z]{3}-[0-9]+")


def pytest_report_header(config: pytest.Config) -> str:
    import pywscore._core

    place = str(pywscore._core.__file__)
    expected = os.environ.get("PYWSCORE_EXTENSION", "")
    if not place.startswith(expected):
        raise pytest.UsageError(f"not the extension of {expected}: {place}")
    kind = ", sanitized" if "PYWSCORE_SANITIZED" in os.environ else ""
    return f"pywscore: {place} (SIMD: {pywscore._core.simd}{kind})"


def unexpected_skips(config: pytest.Config) -> list[str]:
    """In continuous integration, what skipped tests say that isn't in the list."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or "CI" not in os.environ:
        return []
    listed = tomllib.loads((ROOT / "tests/may_be_skipped.toml").read_text())["tests"]
    said = {report.longrepr[2] for report in reporter.stats.get("skipped", [])}
    reasons = {text.removeprefix("Skipped: ") for text in said}
    return sorted(it for it in reasons if not any(re.fullmatch(p, it) for p in listed))


def write_coverage_of_c() -> None:
    """Where it is measured. At exit, when gcov does it by itself, is too late for those
    processes of pytest-xdist that are killed because they take long to exit."""
    import pywscore._core

    extension = ctypes.CDLL(str(pywscore._core.__file__))
    if hasattr(extension, "__gcov_dump"):
        extension["__gcov_dump"]()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    write_coverage_of_c()
    if session.exitstatus == pytest.ExitCode.OK and unexpected_skips(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for reason in unexpected_skips(config):
        line = f"tests/may_be_skipped.toml has no place for: {reason}"
        terminalreporter.write_line(line, red=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("threat"):
            wrong = [name for name in mark.args if not THREAT_ID.fullmatch(str(name))]
            if wrong or not mark.args:
                raise pytest.UsageError(f"{item.nodeid}: threat({wrong or ''})")


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the source tree."""
    return ROOT


# Code that runs where nobody called it: finalizers in a collection, and what looks at
# each call of Python, as debuggers, profilers and signal handlers do.


@contextlib.contextmanager
def at_each_collection(action: Callable[[], object]) -> Iterator[None]:
    def called(phase: str, _: object) -> None:
        if phase == "start":
            action()

    thresholds = gc.get_threshold()
    gc.collect()
    gc.callbacks.append(called)
    gc.set_threshold(1, 1_000_000, 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(called)


@contextlib.contextmanager
def at_each_call(action: Callable[[], object]) -> Iterator[None]:
    def called(frame: object, event: str, _: object) -> None:
        if event == "call":
            action()

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        yield
    finally:
        sys.setprofile(before)


@pytest.fixture(params=[at_each_collection, at_each_call], ids=lambda it: it.__name__)
def intruding(request: pytest.FixtureRequest) -> Any:
    """A context in which the function that it is given runs every now and then."""
    return request.param
