"""What all Python tests share: the threat marker, and which build is under test."""

from __future__ import annotations

import os
import re
from pathlib import Path

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
