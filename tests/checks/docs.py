"""Every relative link in Markdown leads somewhere; prints the pages of docs/."""

import re
import sys
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)")
SKIPPED = {".git", ".venv", "build", "node_modules", "dist"}


def broken_links(root: Path) -> list[str]:
    problems = []
    for page in sorted(root.rglob("*.md")):
        if SKIPPED & set(page.relative_to(root).parts):
            continue
        for number, line in enumerate(page.read_text().splitlines(), 1):
            for target in LINK.findall(line):
                if "://" in target or target.startswith("mailto:"):
                    continue
                if not (page.parent / target).exists():
                    where = page.relative_to(root)
                    problems.append(f"{where}:{number}: no such file: {target}")
    return problems


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    for page in sorted((root / "docs").rglob("*.md")):
        text = page.read_text().splitlines()
        title = next((line[2:] for line in text if line.startswith("# ")), "")
        print(f"{page.relative_to(root)}: {title}")
    problems = broken_links(root)
    print(*problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
