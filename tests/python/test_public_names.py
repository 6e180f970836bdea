"""What is public is what docs/reference.md lists."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import pywscore

PAGE = Path(__file__).resolve().parents[2] / "docs/reference.md"
# Packages that have modules, but no names.
EMPTY = {"pywscore.cli", "pywscore.integrations", "pywscore.legacy"}


def listed() -> dict[str, list[str]]:
    """The names in the first column of each module's table."""
    found: dict[str, list[str]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"##+ (pywscore[\w.]*)", line):
            names = found.setdefault(heading[1], [])
        elif line.startswith("| `"):
            names += re.findall(r"`(\w+)`", line.split(" | ")[0])
    return found


def public_modules() -> list[str]:
    """Those without an underscore in front of a part of their name."""
    modules = [pywscore.__name__]
    for module in pkgutil.walk_packages(pywscore.__path__, "pywscore."):
        if "._" not in module.name:
            modules.append(module.name)
    return modules


def test_modules() -> None:
    assert set(listed()) == set(public_modules()) - EMPTY


@pytest.mark.parametrize("name", sorted(listed()))
def test_names(name: str) -> None:
    if name.endswith((".aiohttp", ".uvicorn")):
        pytest.importorskip(name.rpartition(".")[2])
    module = importlib.import_module(name)
    names = listed()[name]
    assert len(names) == len(set(names))
    assert set(names) == set(module.__all__)
    assert all(hasattr(module, public) for public in names)


@pytest.mark.parametrize("name", sorted(EMPTY))
def test_packages_without_names(name: str) -> None:
    module = importlib.import_module(name)
    public = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    ]
    assert public == []
