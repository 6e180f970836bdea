"""The chart of README.md, drawn from results/:  python -m benchmarks.readme"""

from __future__ import annotations

import json
import re
from statistics import median
from typing import Any

from . import report

# With their versions.
SERVERS = (
    "pywscore {}, uvloop",
    "uWebSockets (libuwebsockets-sys {})",
    "pywscore {} in aiohttp, uvloop",
    "picows {} async API, uvloop",
    "Node ws {}",
    "aiohttp {}, uvloop",
    "uvicorn {}, uvloop",
    "websockets {}, uvloop",
)


def result(name: str) -> dict[str, Any]:
    path = report.RESULTS / f"{name}.json"
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def server(record: dict[str, Any], name: str) -> str:
    """The name with its version, as the result has it."""
    pattern = re.escape(name).replace(r"\{\}", r"[\d.]+")
    [found] = [full for full in record["figures"] if re.fullmatch(pattern, full)]
    return str(found)


def ratio(name: str, ours: str, theirs: str) -> float:
    """Our processor time to theirs: the median of the rounds' ratios."""
    record = result(name)
    pair = [record["figures"][server(record, who)]["cpu_us"] for who in (ours, theirs)]
    return median(our / their for our, their in zip(*pair, strict=True))


def chart() -> str:
    record = result("echo")
    names = [server(record, name) for name in SERVERS]
    values = [
        (
            name.removesuffix(", uvloop"),
            median(record["figures"][name]["cpu_us"]),
        )
        for name in names
    ]
    title = "Processor time of a server for a message: echo of 256 bytes, uvloop"
    return report.bars(title, values, "µs")


def draw() -> None:
    (report.RESULTS / "readme.svg").write_text(chart(), encoding="utf-8")


if __name__ == "__main__":
    draw()
