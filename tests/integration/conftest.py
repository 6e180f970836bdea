"""What several integration tests start."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import carriers
import pytest
from tls_peer import Files

ROOT = Path(__file__).resolve().parents[2]
# As `dev` installs them.
PACKAGES = {"ws": "8.23.0", "socket.io-client": "4.8.4"}


@pytest.fixture(scope="session")
def node() -> dict[str, str]:
    """The environment for `node` in which `require()` finds these packages."""
    if shutil.which("node") is None:
        if "CI" in os.environ:
            pytest.fail("node is missing")
        pytest.skip("needs node")
    for folder in (ROOT / "node_modules", ROOT / "build/node/node_modules"):
        if all((folder / name / "package.json").exists() for name in PACKAGES):
            break
    else:
        target = ROOT / "build/node"
        target.mkdir(parents=True, exist_ok=True)
        wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
        subprocess.run(
            ["npm", "install", "--silent", "--no-save", "--no-package-lock", *wanted],
            cwd=target,
            check=True,
            stdin=subprocess.DEVNULL,
            timeout=100,
        )
        folder = target / "node_modules"
    return os.environ | {"NODE_PATH": str(folder)}


@pytest.fixture
def carried(request: pytest.FixtureRequest) -> Iterator[None]:
    """Plain, or over TLS: see ``carriers.by_both``."""
    with carriers.over(request.param):
        yield


@pytest.fixture(scope="session")
def files() -> Files:
    return carriers.files()
