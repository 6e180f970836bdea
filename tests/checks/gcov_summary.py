"""gcov_summary.py FOLDER SOURCES... [--fail-under PERCENT]: the lines and branches that
were executed, of each C file below SOURCES, by the .gcda files in FOLDER."""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--fail-under", type=float, default=0)
    options = parser.parse_args()
    below = tuple(f"{source.rstrip('/')}/" for source in options.sources)
    # line -> times executed, and (line, branch) -> times taken, over all objects.
    lines: dict[str, dict[int, int]] = defaultdict(dict)
    branches: dict[str, dict[tuple[int, int], int]] = defaultdict(dict)
    for data in sorted(options.folder.rglob("*.gcda")):
        command = ["gcov", "--json-format", "--stdout", "--branch-probabilities", data]
        answer = subprocess.run(command, capture_output=True, check=True)
        for report in map(json.loads, answer.stdout.splitlines()):
            for file in report["files"]:
                name = file["file"]
                if not name.startswith(below):
                    continue
                for line in file["lines"]:
                    number = line["line_number"]
                    seen = lines[name].get(number, 0)
                    lines[name][number] = seen + line["count"]
                    for index, branch in enumerate(line["branches"]):
                        key = (number, index)
                        taken = branches[name].get(key, 0)
                        branches[name][key] = taken + branch["count"]
    print(f"{'file':40} {'lines':>7} {'branches':>9}  not executed")
    total = [0, 0, 0, 0]
    for name in sorted(lines):
        hit = sum(1 for count in lines[name].values() if count)
        taken = sum(1 for count in branches[name].values() if count)
        figures = hit, len(lines[name]), taken, len(branches[name])
        total = [a + b for a, b in zip(total, figures, strict=True)]
        missing = [str(n) for n, count in sorted(lines[name].items()) if not count]
        print(row(name, figures), " ".join(missing[:12]), "..." * (len(missing) > 12))
    print(row("all", total))
    by_line = 100 * total[0] / max(total[1], 1)
    if by_line < options.fail_under:
        print(f"{by_line:.1f} % of the lines are fewer than {options.fail_under:g} %")
        return 1
    return 0


def row(name: str, figures: "list[int] | tuple[int, ...]") -> str:
    hit, lines, taken, branches = figures
    by_branch = 100 * taken / branches if branches else 100
    return f"{name:40} {100 * hit / max(lines, 1):6.1f}% {by_branch:8.1f}% "


if __name__ == "__main__":
    sys.exit(main())
