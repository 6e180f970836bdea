"""The checker of histories finds what it is there for."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import checker
import pytest
from checker import Missing, problems

PROGRAM = Path(checker.__file__)
SENT = list(range(1, 9))


def test_what_is_right() -> None:
    assert problems(SENT, SENT) == []
    assert problems(SENT, [1, 2, Missing(3), 6, 7, 8]) == []
    assert problems(SENT, [1, 2, Missing(1), Missing(2), 6, 7, 8]) == []
    assert problems(SENT, [1, 2, 3, 4, 5, Missing(3)]) == []
    assert problems(SENT, [Missing(None), 7, 8]) == []
    # Not acknowledged, but Redis had it.
    assert problems(SENT, [1, 2, 3, 99, 4, 5, 6, 7, 8]) == []


@pytest.mark.parametrize(
    ("got", "problem"),
    [
        ([1, 2, 4, 5, 6, 7, 8], "[3] are lost"),
        ([1, 2, 3, 4, 5, 6, 7], "[8] are lost"),
        ([2, 3, 4, 5, 6, 7, 8], "[1] are lost"),
        ([1, 2, Missing(1), 5, 6, 7, 8], "[3, 4] are lost, and only 1"),
        ([1, 2, Missing(2), 4, 5, 6, 7, 8], "2 are said to be missing, and 1 are"),
        ([1, 2, 2, 3, 4, 5, 6, 7, 8], "2 came twice"),
        ([1, 3, 2, 4, 5, 6, 7, 8], "2 came after 3"),
        ([1, 2, 3, 99, 99, 4, 5, 6, 7, 8], "99 came twice"),
    ],
)
def test_what_is_wrong(got: list[checker.Got], problem: str) -> None:
    assert any(problem in it for it in problems(SENT, got)), problems(SENT, got)


def test_any_change_is_found() -> None:
    choose = random.Random(1)
    for _ in range(300):
        got = list(SENT)
        match choose.randrange(3):
            case 0:
                del got[choose.randrange(len(got))]
            case 1:
                got.insert(choose.randrange(len(got) + 1), choose.choice(got))
            case 2:
                one, other = choose.sample(range(len(got)), 2)
                got[one], got[other] = got[other], got[one]
        assert problems(SENT, got), got


def test_as_a_program(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    lines = [
        {"acknowledged": SENT},
        {"member": "good", "got": [1, {"gap": 5}, 7, 8]},
        {"member": "bad", "got": SENT[:-1]},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = subprocess.run(
        [sys.executable, PROGRAM, path], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == "bad: [8] are lost, and only 0 are told of\n"
