"""What all Python tests share: the threat marker, and which build is under test."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
THREAT_ID = re.compile(r"[A-Z]{3}-[0-9]+")


def pytest_report_header(config: pytest.Config) -> str:
    import pywscore._core

    place = str(pywscore._core.__file__)
    sanitized = "PYWSCORE_SANITIZED" in os.environ
    if sanitized and not place.startswith(str(ROOT / "build")):
        raise pytest.UsageError(f"not the sanitized extension: {place}")
    kind = ", sanitized" if sanitized else ""
    return f"pywscore: {place} (SIMD: {pywscore._core.simd}{kind})"


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
