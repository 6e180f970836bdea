"""Other interpreters to test with: each gets a virtual environment of its own, and an
extension of its own outside of the source tree."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass
from pathlib import Path

from runner import ROOT, run, say

PROBE = """
import ensurepip, json, os, sys, sysconfig, venv
assert sys.implementation.name == "cpython" and sys.version_info >= (3, 11)
assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
print(json.dumps([sys.version_info[:3], threads, sys.executable]))
"""


@dataclass(frozen=True, order=True)
class Python:
    version: tuple[int, int, int]
    threads: str  # "t" if free-threaded
    executable: str

    @property
    def name(self) -> str:
        major, minor, _ = self.version
        return f"{major}.{minor}{self.threads}"


def probe(executable: "str | Path") -> Python | None:
    """None if it doesn't run, is too old, or has no headers."""
    try:
        answer = subprocess.run(
            [executable, "-c", PROBE], capture_output=True, text=True, timeout=60
        )
        version, threads, path = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return Python(tuple(version), threads, path)


def found() -> list[Python]:
    """One of each version besides the one that runs this, newest first: those that
    PYTHONS names, pyenv's, those on PATH."""
    named = [
        shutil.which(word) or word for word in os.environ.get("PYTHONS", "").split()
    ]
    if missing := [name for name in named if not probe(name)]:
        raise RuntimeError(f"PYTHONS: {missing}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    names = [f"python3.{minor}{t}" for minor in range(11, 20) for t in ("", "t")]
    others = [
        *(pyenv / "versions").glob("*/bin/python3"),
        *filter(None, map(shutil.which, names)),
    ]
    threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    by_name: dict[str, Python] = {}
    for python in [
        *map(probe, named),
        *sorted(filter(None, map(probe, others)), reverse=True),
    ]:
        assert python is not None
        by_name.setdefault(python.name, python)
    by_name.pop(f"{sys.version_info.major}.{sys.version_info.minor}{threads}", None)
    return sorted(by_name.values(), reverse=True)


def environment(python: Python) -> Path:
    """The interpreter of its virtual environment, with what the tests need. Where a
    package isn't to be had for it, the tests that need it are skipped."""
    folder = ROOT / ".venv/pythons" / python.name
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    settings = tomllib.loads(project)
    groups = settings["dependency-groups"]
    # Benchmarks are tested, too.
    needed = dict.fromkeys(
        [
            *settings["build-system"]["requires"],
            *(*groups["test"], *groups["bench"], *groups["docs"]),
        ]
    )
    ready = folder / "ready"
    text = "\n".join([str(python), *needed])
    inside = folder / "bin/python"
    if ready.exists() and ready.read_text() == text:
        return inside
    shutil.rmtree(folder, ignore_errors=True)
    if not run(python.executable, "-m", "venv", folder):
        raise RuntimeError(f"no virtual environment for {python.executable}")
    pip = (inside, "-m", "pip", "install", "-q", "--disable-pip-version-check")
    binary = ("--only-binary", ":all:")
    if not run(*pip, *binary, *needed):
        for requirement in needed:
            any_version = requirement.partition("==")[0]
            if not (run(*pip, *binary, requirement) or run(*pip, *binary, any_version)):
                say(f"without {requirement}")
    ready.write_text(text)
    return inside
