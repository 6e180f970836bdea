"""The benchmarks run: each client against a server, for a moment."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="on Linux only"),
]


def python(*arguments: str) -> str:
    # They are of the source tree, the package need not be.
    path = [*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("scenario", "peers", "rows"),
    [
        ("echo", "pywscore,epoll_echo", ["pywscore", "bare epoll loop in C"]),
        ("echo-deflate", "pywscore", ["pywscore"]),
        ("echo-tls", "pywscore,pywscore_listener", ["pywscore", "listener"]),
        (
            "broadcast",
            "pywscore_broadcast,epoll_broadcast",
            ["broadcast()", "bare send() loop in C"],
        ),
        (
            "handshakes",
            "pywscore,pywscore_bare,epoll_echo",
            ["pywscore", "without all that Python does", "bare epoll loop in C"],
        ),
        (
            "client-128",
            "pywscore,pywscore_listener,picows_callback",
            ["pywscore", "listener", "picows"],
        ),
        ("client-deflate", "pywscore,websockets", ["pywscore", "websockets"]),
        (
            "client-turns-tls",
            "pywscore,pywscore_listener,pywscore_tls_context",
            ["pywscore", "listener", "TLSContext"],
        ),
    ],
)
def test_scenario(scenario: str, peers: str, rows: list[str]) -> None:
    if "picows" in peers and not importlib.util.find_spec("picows"):
        pytest.skip("there is no picows")
    options = ["--peers", peers, "--rounds", "1", "--seconds", "0.2"]
    if scenario == "broadcast":
        options += ["--connections", "20"]
    table = python("-m", "benchmarks.rounds", scenario, *options)
    lines = [line for line in table.splitlines() if line.startswith("| ")][2:]
    for row in rows:
        assert any(row in line for line in lines), table


def test_memory() -> None:
    program = """
from benchmarks import memory
from benchmarks.peers import PEERS
for kind in memory.KINDS:
    print(memory.measure(PEERS["pywscore"], 100, kind) / 1024)
"""
    plain, tls, *_ = map(float, python("-c", program).split())
    # Of the size that a connection has, not of nothing or of a whole process.
    assert 0 < plain < tls < 200


def test_reconnect() -> None:
    program = """
from benchmarks import reconnect
for of in reconnect.measure(1).values():
    print(*of["full"], *of["resumed"])
"""
    # Sessions were resumed where they are said to be: it looks itself.
    for line in python("-c", program).splitlines():
        full, resumed = map(float, line.split())
        assert resumed > 0 and full > 0


def test_every_scenario_names_known_peers() -> None:
    program = """
from benchmarks.peers import PEERS
from benchmarks.scenarios import SCENARIOS
for scenario in SCENARIOS:
    for name in (*scenario.peers, scenario.ours):
        assert name in PEERS, name
    for goal in scenario.goals:
        assert {goal.ours, goal.peer} <= set(scenario.peers), goal
        assert goal.loop in scenario.loops, goal
"""
    python("-c", program)
