"""Which C files need each other in a circle, so that none of them can be read without
the others.

NAME.c and its NAME.h are one part. It needs those whose private headers it includes and
those that define what its code names; a public header is a promise, and its own part.
"""

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from c_source import code_of

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
NAME = re.compile(r"\b(?:py)?wsc_\w+")
# Functions and objects that other files can see.
DEFINITION = re.compile(
    r"^(?!static\b|extern\b|typedef\b)[a-zA-Z_][\w\s*]*\b((?:py)?wsc_\w+)"
    r"(?:\([^;{}]*\)\s*\{|(?:\[\w*\])?\s*=)",
    re.MULTILINE,
)


class Arrow(NamedTuple):
    file: Path
    line: int
    word: str


def arrows(folder: Path, *rooms: str) -> dict[Path, dict[Path, Arrow]]:
    """Each part with those that it needs, and the first line that says so."""
    files = [file for room in rooms for file in (folder / room).rglob("*.[ch]")]
    text = {file: file.read_text() for file in sorted(files)}
    code = {file: code_of(text[file]) for file in text}
    homes = {
        match[1]: file.with_suffix("")
        for file in text
        if file.suffix == ".c"
        for match in DEFINITION.finditer(code[file])
    }

    def needed(file: Path) -> Iterator[tuple[Path, int, str]]:
        for match in INCLUDE.finditer(text[file]):
            # The binding's headers are named with the room that they are in.
            for home in (file.parent, folder / "python"):
                header = (home / match[1]).resolve()
                if header in text:
                    yield header.with_suffix(""), match.start(1), match[1]
        # A header names what its part calls, or declares what others define.
        for match in NAME.finditer(code[file]) if file.suffix == ".c" else ():
            if match[0] in homes:
                yield homes[match[0]], match.start(), match[0]

    graph: dict[Path, dict[Path, Arrow]] = {}
    for file in text:
        needs = graph.setdefault(file.with_suffix(""), {})
        for part, at, word in needed(file):
            if part != file.with_suffix(""):
                line = text[file].count("\n", 0, at) + 1
                needs.setdefault(part, Arrow(file, line, word))
    return graph


def circle(root: Path, *rooms: str) -> Iterator[str]:
    """The line with which a circle begins, and its way; nothing if there is none."""
    graph = arrows(root.resolve() / "csrc", *rooms)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        way = error.args[1][::-1]  # it came with each behind those that it needs
        steps = [graph[part][needed] for part, needed in pairwise(way)]
        place = f"{steps[0].file.relative_to(root.resolve())}:{steps[0].line}"
        names = [f"{step.file.name} ({step.word})" for step in steps]
        yield f"{place}: a circle: {' -> '.join([*names, way[0].name])}"
