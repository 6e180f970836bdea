"""Threads with loops of their own and objects of each other; see thread_load.py."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
import trustme

LOAD = pathlib.Path(__file__).with_name("thread_load.py")


@pytest.mark.threat("LIF-4")
@pytest.mark.skipif(sys.platform == "win32", reason="carried by the engine")
def test_everything_in_threads(tmp_path: pathlib.Path) -> None:
    pem = tmp_path / "pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        pem
    )
    done = subprocess.run(
        [sys.executable, LOAD, "4", "1", pem],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and "done" in done.stdout, done.stderr
    assert done.stderr == ""
