"""``--fail-if``: what a run must not come to, as ``p99>5ms``."""

from __future__ import annotations

import argparse
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from pywscore import _core

from .result import Result

HELP = """\
What --fail-if compares: rate and handshake_rate (a second), messages, sent, handshakes,
errors, lost, unsent, other; min, mean, max and percentiles as p50 or p99.9, with
handshake_ in front those of opening. Times have a unit: ns, us, ms or s."""

UNITS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
COUNTS = {
    "rate": "messages_per_second",
    "handshake_rate": "handshakes_per_second",
    **{
        name: name
        for name in (
            *("messages", "sent", "handshakes", "errors", "lost"),
            *("unsent", "other"),
        )
    },
}
_expression = re.compile(
    r"\s*(?P<name>[a-z_]+|(?:handshake_)?p[0-9.]+)\s*(?P<operator>[<>=!]=|[<>])"
    r"\s*(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>ns|us|µs|ms|s)?\s*"
).fullmatch
_latency = re.compile(
    r"(?P<opening>handshake_)?(?:(?P<word>min|mean|max)|p(?P<percent>[0-9.]+))"
).fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    text: str
    name: str
    compare: Callable[[float, float], bool]
    limit: float  # times in nanoseconds

    def value(
        self, result: Result, latencies: _core.Histogram, openings: _core.Histogram
    ) -> float:
        if self.name in COUNTS:
            count: float = getattr(result, COUNTS[self.name])
            return count
        match = _latency(self.name)
        assert match is not None
        histogram = openings if match["opening"] else latencies
        if match["word"]:
            moment: float = getattr(histogram, match["word"])
            return moment
        return histogram.percentile(float(match["percent"]))

    def is_met(
        self, result: Result, latencies: _core.Histogram, openings: _core.Histogram
    ) -> str | None:
        """What it came to, if it is what must not be."""
        value = self.value(result, latencies, openings)
        if not self.compare(value, self.limit):
            return None
        return f"{value:,g}" if self.name in COUNTS else f"{value / 1e6:,.3f} ms"


def threshold(text: str) -> Threshold:
    """Of an argument."""
    match = _expression(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 'p99>5ms'")
    name, unit = match["name"], match["unit"]
    latency = _latency(name)
    if name not in COUNTS and (latency is None or not _is_percent(latency["percent"])):
        raise argparse.ArgumentTypeError(f"there is no figure {name!r}")
    if (name in COUNTS) == (unit is not None):
        wrong = "has no unit" if unit else "needs a unit: ns, us, ms or s"
        raise argparse.ArgumentTypeError(f"{name} {wrong}")
    return Threshold(
        text=text.strip(),
        name=name,
        compare=OPERATORS[match["operator"]],
        limit=float(match["number"]) * (UNITS[unit] if unit else 1),
    )


def _is_percent(text: str | None) -> bool:
    if text is None:
        return True
    try:
        return 0 <= float(text) <= 100
    except ValueError:
        return False
