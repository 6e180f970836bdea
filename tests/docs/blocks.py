"""The blocks of code in the documentation's pages; CONTRIBUTING.md says how they are
written."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(
    r"""
    ^(?P<indent>\ *)(?P<fence>```+)\ *(?P<language>[\w+-]*)
    (?:\ +title="(?P<title>[^"\n]+)")?\ *\n
    (?P<text>.*?)
    ^\ *(?P=fence)\ *$
    |
    ^<!--\ (?P<hidden>python)(?:\ title="(?P<name>[^"\n]+)")?\n(?P<code>.*?)^-->$
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
PROGRAM = re.compile(
    r"^(asyncio\.run|web\.run_app|uvicorn\.run|sys\.exit)\(|^if __name__ ==",
    re.MULTILINE,
)
SERVER = re.compile(r"\b(serve_forever|pywscore\.run|web\.run_app|uvicorn\.run)\(")


@dataclass(frozen=True, slots=True)
class Block:
    page: Path
    line: int  # of its first line of text
    language: str
    title: str
    text: str
    hidden: bool = False

    @property
    def where(self) -> str:
        return f"{os.path.relpath(self.page, ROOT)}:{self.line}"

    @property
    def is_program(self) -> bool:
        """Not a piece of one, which shares the page's names."""
        return bool(PROGRAM.search(self.text))

    @property
    def is_server(self) -> bool:
        return self.is_program and bool(SERVER.search(self.text))


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        hidden = match["hidden"] is not None
        group = "code" if hidden else "text"
        code = match[group]
        if match["indent"]:
            code = re.sub(rf"^{match['indent']}", "", code, flags=re.MULTILINE)
        yield Block(
            page=page,
            line=text.count("\n", 0, match.start(group)) + 1,
            language=match["language"] or "python" if hidden else match["language"],
            title=match["title"] or match["name"] or "",
            text=code,
            hidden=hidden,
        )


def block(page: str, title: str) -> str:
    """The text of the block with this title: for tests of their own, which have to name
    page and title literally, so that the page leaves the block to them."""
    [found] = [each for each in blocks(ROOT / page) if each.title == title]
    return found.text


CALL = re.compile(r'\bblock\(\s*"([^"]+)",\s*"([^"]+)",?\s*\)')


@functools.cache
def _asked_for() -> frozenset[tuple[str, str]]:
    files = (ROOT / "tests").rglob("*.py")
    texts = (file.read_text(encoding="utf-8") for file in files)
    return frozenset(found for text in texts for found in CALL.findall(text))


def is_tested_elsewhere(block: Block) -> bool:
    """Whether a test asks for it by `block()`."""
    return (os.path.relpath(block.page, ROOT), block.title) in _asked_for()
