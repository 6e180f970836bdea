"""Tables, charts, and the files in results/."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .common import HERE, commit, machine

RESULTS = HERE / "results"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown; all but the first column are numbers."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *rest = cells
        padded = [first.ljust(widths[0])]
        padded += [
            cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)
        ]
        return "| " + " | ".join(padded) + " |"

    rule = [
        ":" + "-" * (widths[0] - 1),
        *("-" * (width - 1) + ":" for width in widths[1:]),
    ]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def bars(title: str, values: Sequence[tuple[str, float]], unit: str) -> str:
    """A bar chart as SVG; our own bars stand out."""
    height, label, width = 22, 330, 420
    most = max(value for _, value in values)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{label + width + 90}" '
        f'height="{height * (len(values) + 2)}" font-family="sans-serif" '
        'font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="{height}" font-weight="bold">{title}</text>',
    ]
    for number, (name, value) in enumerate(values):
        top = height * (number + 1.5)
        length = width * value / most
        colour = "#2a6fbb" if name.startswith("pywscore") else "#b8c4d0"
        lines += [
            f'<text x="{label - 8}" y="{top + 15}" text-anchor="end">{name}</text>',
            f'<rect x="{label}" y="{top + 3}" width="{length:.1f}" '
            f'height="{height - 6}" fill="{colour}"/>',
            f'<text x="{label + length + 6:.1f}" y="{top + 15}">{value:.1f} {unit}'
            "</text>",
        ]
    return "\n".join([*lines, "</svg>", ""])


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a goal; None where it wasn't measured."""

    what: str
    value: float | None
    limit: str
    reached: bool | None

    @property
    def row(self) -> list[str]:
        value = "–" if self.value is None else f"{self.value:.2f}"
        word = {True: "reached", False: "missed", None: "not measured"}[self.reached]
        return [self.what, value, self.limit, word]


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    head = ["goal", "measured", "wanted", ""]
    return table(head, [verdict.row for verdict in verdicts])


def report(
    name: str,
    title: str,
    text: str,
    figures: dict[str, Any],
    verdicts: Sequence[Verdict] = (),
) -> None:
    """Print, and write results/NAME.md and results/NAME.json."""
    date = datetime.date.today().isoformat()
    page = f"# {title}\n\n{date} · {machine()} · {commit()}\n\n{text.strip()}\n"
    if verdicts:
        page += f"\n{verdict_table(verdicts)}\n"
    print(page, flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(page, encoding="utf-8")
    record = {
        "date": date,
        "machine": machine(),
        "commit": commit(),
        "goals": [dataclasses.asdict(verdict) for verdict in verdicts],
        "figures": figures,
    }
    (RESULTS / f"{name}.json").write_text(as_json(record), encoding="utf-8")


def as_json(record: dict[str, Any]) -> str:
    """A line for each name of the figures."""
    *rest, last = record
    lines = [f"{json.dumps(name)}: {json.dumps(record[name])}" for name in rest]
    inner = [
        f" {json.dumps(name)}: {json.dumps(value)}"
        for name, value in record[last].items()
    ]
    lines.append(f"{json.dumps(last)}: {{\n" + ",\n".join(inner) + "\n}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def plot(name: str, title: str, values: Sequence[tuple[str, float]], unit: str) -> None:
    """Write results/NAME.svg."""
    if values:
        chart = bars(title, values, unit)
        (RESULTS / f"{name}.svg").write_text(chart, encoding="utf-8")


def goals(names: Sequence[str]) -> None:
    """All verdicts in the results: print, and write results/goals.md."""
    verdicts = []
    dates = set()
    for name in names:
        path = RESULTS / f"{name}.json"
        record = json.loads(path.read_text()) if path.exists() else {}
        verdicts += [Verdict(**goal) for goal in record.get("goals", [])]
        if record.get("goals"):
            dates.add(f"{record['date']} · {record['machine']} · {record['commit']}")
    page = "# Goals\n\n" + "\n\n".join(sorted(dates))
    page += f"\n\n{verdict_table(verdicts)}\n"
    print(page, flush=True)
    (RESULTS / "goals.md").write_text(page, encoding="utf-8")
