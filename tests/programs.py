"""Programs of others that tests run: where they are, and ports for them."""

from __future__ import annotations

import os
import shutil
import socket

import pytest


def program(name: str) -> str:
    """Its path. In continuous integration none may be missing."""
    # A user's PATH may lack where Debian has servers.
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        if "CI" in os.environ:
            pytest.fail(f"{name} is missing")
        pytest.skip(f"needs {name}")
    return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
