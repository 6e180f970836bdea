"""Networks that delay, lose, reorder and repeat, by netem; `./dev vm` boots a kernel
that has it. Each case is in a network namespace of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = str(Path(__file__).with_name("network_faults.py"))
COUNT = int(os.environ.get("PYWSCORE_NETWORK_MESSAGES", "2000"))
# What share of so many messages, and netem's words.
FAULTS = {
    "delay": (1.0, "delay 50ms 20ms"),
    "loss": (1.0, "loss 5% delay 5ms"),
    "reorder": (1.0, "delay 20ms reorder 25% 50%"),
    "duplicate": (1.0, "duplicate 10% delay 5ms"),
    "everything": (0.5, "delay 20ms 10ms loss 3% duplicate 3% reorder 10% 50%"),
    "slow": (0.01, "rate 64kbit"),
}


def in_namespace(*words: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "--net", *words], capture_output=True, text=True, timeout=seconds
    )


@pytest.fixture(scope="module", autouse=True)
def netem() -> None:
    try:
        done = in_namespace("tc", "qdisc", "add", "dev", "lo", "root", "netem")
    except FileNotFoundError:
        pytest.skip("needs unshare and tc")
    if done.returncode != 0:
        pytest.skip("needs root and a kernel with netem")


def run(environment: Any, count: int, *netem: str) -> dict[str, Any]:
    done = in_namespace(
        *(sys.executable, SCRIPT, environment.carrier, environment.loop),
        *(str(count), *netem),
        seconds=280,
    )
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    print(outcome)
    return outcome


@pytest.mark.parametrize("fault", FAULTS)
def test_all_messages_once_and_in_order(environment: Any, fault: str) -> None:
    share, netem = FAULTS[fault]
    count = int(share * COUNT)
    outcome = run(environment, count, *netem.split())
    assert outcome["count"] == count
    assert outcome["right"]
    assert outcome["codes"] == [1000, 1000]


def test_nothing_comes_through_any_more(environment: Any) -> None:
    """Both ends hear of it, what had come was right, and the server goes on."""
    outcome = run(environment, 0)
    assert outcome["raised"] == ["ConnectionClosedError"] * 3
    assert outcome["seconds"] < 30
    first, second = outcome["codes"]
    assert first != 1000 and second == 1000
    *received, last = outcome["received"]
    assert last == outcome["echo"] == "again"
    assert received == [str(number) for number in range(len(received))]
    assert 10 <= len(received) <= outcome["sent"]
