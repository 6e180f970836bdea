"""Who was sent what, and what Redis has acknowledged: does each member have every
message once and in order, or the word that so many are missing?

A member's history is what it got: numbers of messages, and gaps. The truth is the order
in which Redis has given out places. As a program it reads both as JSON lines:

    python checker.py history.jsonl
    {"acknowledged": [1, 2, 3, 4]}
    {"member": "a", "got": [1, 2, {"gap": 1}, 4]}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Missing:
    """So many messages are missing here; None: nobody knows how many."""

    count: int | None


Got = int | Missing


def problems(acknowledged: Sequence[int], got: Iterable[Got]) -> list[str]:
    """What is wrong with a member's history.

    Args:
        acknowledged: all messages since the member joined, in Redis's order. Those that
            were published without an acknowledgement may be among what was got.
        got: what the member has received.
    """
    found = []
    place = {number: index for index, number in enumerate(acknowledged)}
    seen: set[int] = set()
    last, gap = -1, Missing(0)
    for it in got:
        if isinstance(it, Missing):
            known = gap.count is not None and it.count is not None
            gap = Missing(gap.count + it.count if known else None)  # type: ignore[operator]
            continue
        if it in seen:
            found.append(f"{it} came twice")
            continue
        seen.add(it)
        index = place.get(it)
        if index is None:
            continue  # Redis had it, but nobody was told
        if index < last:
            found.append(f"{it} came after {acknowledged[last]}")
            continue
        found += _between(acknowledged, last, index, gap)
        last, gap = index, Missing(0)
    found += _between(acknowledged, last, len(acknowledged), gap)
    return found


def _between(
    acknowledged: Sequence[int], last: int, index: int, gap: Missing
) -> list[str]:
    missing = index - last - 1
    if gap.count is None or missing == gap.count:
        return []
    lost = acknowledged[last + 1 : index]
    if missing > gap.count:
        return [f"{lost} are lost, and only {gap.count} are told of"]
    return [f"{gap.count} are said to be missing, and {missing} are"]


def main(path: str) -> int:
    acknowledged: list[int] = []
    bad = False
    with open(path, encoding="utf-8") as file:
        for line in file:
            it = json.loads(line)
            if "acknowledged" in it:
                acknowledged = it["acknowledged"]
                continue
            got = [Missing(x["gap"]) if isinstance(x, dict) else x for x in it["got"]]
            for problem in problems(acknowledged, got):
                print(f"{it['member']}: {problem}")
                bad = True
    return int(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
