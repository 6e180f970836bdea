"""Every allocation of Python's fails, in each part of a connection's life."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

PARTS = ["open", "messages", "close", "lost"]
FOLDER = Path(__file__).parent

pytestmark = [
    pytest.mark.threat("BOR-1", "BOR-2"),
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("_testcapi") is None, reason="needs _testcapi"
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="the engine, and no Proactor"),
]


@pytest.mark.parametrize("carrier", ["transport", "engine"])
@pytest.mark.parametrize(
    ("kind", "part"),
    [
        *((kind, part) for kind in ("handler", "listener") for part in PARTS),
        ("listener", "compressed"),
        ("broadcast", "messages"),
    ],
)
def test_failing_allocations(kind: str, carrier: str, part: str) -> None:
    """Nothing has a gap, is left, hangs, or raises anything but MemoryError."""
    path = [str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    # Without coverage.py, which needs memory where Python code can't fail.
    env = {name: it for name, it in os.environ.items() if "COVERAGE_" not in name}
    answer = subprocess.run(
        [sys.executable, "-P", FOLDER / "no_memory.py", f"{kind}-{carrier}-{part}"],
        capture_output=True,
        text=True,
        timeout=100,
        env=env | {"PYTHONPATH": os.pathsep.join(path)},
    )
    assert answer.returncode == 0, f"{answer.stdout[-500:]}{answer.stderr[-4000:]}"
    assert int(answer.stdout.split()[-1]) > 80
