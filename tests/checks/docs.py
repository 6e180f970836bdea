"""Every link in Markdown to a file of the repository leads somewhere, relative or, for
those who see the page elsewhere, absolute; prints the pages of docs/."""

import re
import sys
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)")
# As the README has them, which package indexes show.
OURS = re.compile(
    r"https://(?:github\.com/pywscore/pywscore/(?:blob|tree)"
    r"|raw\.githubusercontent\.com/pywscore/pywscore)/main/"
)
SKIPPED = {".git", ".venv", "build", "node_modules", "dist"}


def broken_links(root: Path) -> list[str]:
    problems = []
    for page in sorted(root.rglob("*.md")):
        if SKIPPED & set(page.relative_to(root).parts):
            continue
        for number, line in enumerate(page.read_text().splitlines(), 1):
            for target in LINK.findall(line):
                ours = OURS.match(target)
                if ("://" in target and not ours) or target.startswith("mailto:"):
                    continue
                place = root / target[ours.end() :] if ours else page.parent / target
                if not place.exists():
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
