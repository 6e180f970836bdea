"""The site: it builds without a warning, and has every public name."""

from __future__ import annotations

import enum
import os
import pkgutil
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blocks import ROOT

sys.path.insert(0, str(ROOT / "tests/python"))

from test_docstrings import named
from test_public_names import listed

from pywscore.cli.main import build_parser

for package in ("mkdocs", "aiohttp", "uvicorn"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def documented(site: Path) -> set[str]:
    """The names that have an anchor: of the inventory that sites link each other by."""
    packed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(packed).decode().splitlines()
    return {line.partition(" ")[0] for line in lines}


def valued(name: str) -> Any:
    """What a dotted name stands for; None if nothing has it at run time."""
    try:
        return pkgutil.resolve_name(name)
    except (AttributeError, ImportError):
        return None


@pytest.fixture(scope="module")
def values(documented: set[str]) -> dict[int, str]:
    """What these names stand for: some have others besides."""
    return {id(valued(name)): name for name in sorted(documented, reverse=True)}


@pytest.mark.parametrize("module", sorted(listed()))
def test_every_name(module: str, values: dict[int, str]) -> None:
    missing = []
    for name in listed()[module]:
        value = valued(f"{module}.{name}")
        # Members of enumerations are in the docstring.
        value = type(value) if isinstance(value, enum.Enum) else value
        if id(value) not in values:
            missing.append(name)
    assert not missing, " ".join(missing)


def members(value: type) -> Iterator[tuple[type, str]]:
    """Those with a docstring of their own, and the classes that have them."""
    for owner in value.__mro__:
        elsewhere = named(owner.__doc__, "Attributes") | {
            *vars(owner).get("_fields", ())
        }
        for name, member in vars(owner).items():
            function = isinstance(member, (staticmethod, classmethod))
            doc = (member.__func__ if function else member).__doc__
            ours = owner.__module__.startswith("pywscore") and name[0] != "_"
            if ours and doc and name not in elsewhere:
                yield owner, name


def test_every_member(documented: set[str], values: dict[int, str]) -> None:
    missing = []
    for module, names in listed().items():
        for value in map(valued, (f"{module}.{name}" for name in names)):
            if isinstance(value, type) and not issubclass(value, enum.Enum):
                for owner, name in members(value):
                    places = (values.get(id(each)) for each in (value, owner))
                    if not {f"{place}.{name}" for place in places} & documented:
                        missing.append(f"{value.__name__}.{name}")
    assert not missing, " ".join(missing)


def test_every_header(site: Path) -> None:
    page = (site / "reference/c-headers/index.html").read_text(encoding="utf-8")
    table = (ROOT / "docs/c-api.md").read_text(encoding="utf-8")
    headers = {file.name for file in (ROOT / "csrc/include/wsc").glob("*.h")}
    assert headers - set(re.findall(r'<h2 id="[^"]*">(\w+\.h)', page)) == set()
    assert headers - set(re.findall(r"`(\w+\.h)`", table)) == set()


def test_every_command(site: Path) -> None:
    page = (site / "reference/command-line/index.html").read_text(encoding="utf-8")
    commands = re.findall(r"^    (\w+) ", build_parser().format_help(), re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        assert f"usage: pywscore {command} " in page
