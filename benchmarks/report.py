"""The files in results/."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pywscore.cli._chart import bars, table

from .common import HERE, commit, machine

RESULTS = HERE / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a goal; None where it wasn't measured. ``floor`` is what the same
    run gave for a program that does what can't be left out, and nothing else."""

    what: str
    value: float | None
    limit: str
    reached: bool | None
    floor: float | None = None

    @property
    def row(self) -> list[str]:
        value, floor = (
            "–" if number is None else f"{number:.2f}"
            for number in (self.value, self.floor)
        )
        word = {True: "reached", False: "missed", None: "not measured"}[self.reached]
        return [self.what, value, self.limit, floor, word]


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    head = ["goal", "measured", "wanted", "floor", ""]
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
