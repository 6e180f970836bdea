"""What can be said of a command line without running it: that its program, its options
and what it names are there."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator

from blocks import ROOT, Block, blocks

from pywscore.cli.main import build_parser

# Of other projects: that they are spelled right is the author's to know.
OTHERS = frozenset(
    {
        "./configure",
        "cc",
        "cmake",
        "curl",
        "docker",
        "echo",
        "gunicorn",
        "redis-cli",
        "systemctl",
    }
)
REDIRECTION = re.compile(r" > [\w./-]+$")
REQUIREMENT = re.compile(r"pywscore\[(.*)\]")


def commands(block: Block) -> str:
    """Of what is seen on a terminal, what was typed."""
    if block.language != "console":
        return block.text
    lines = block.text.splitlines()
    return "\n".join(line[2:] if line[:2] == "$ " else "" for line in lines)


def problems(block: Block) -> Iterator[str]:
    script = commands(block)
    syntax = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True)
    if syntax.returncode:
        yield f"{block.where}: {syntax.stderr}"
        return
    text = re.sub(r"\$\([^)]*\)", "…", script.replace("\\\n", " "))
    for number, line in enumerate(text.splitlines(), block.line):
        for command in re.split(r"&&|\|\||[|;&]", line):
            words = shlex.split(REDIRECTION.sub("", command), comments=True)
            while words and re.match(r"\w+=", words[0]):
                del words[0]
            if words and (problem := _problem(words, block)):
                where = f"{block.where.rpartition(':')[0]}:{number}"
                yield f"{where}: {shlex.join(words)}: {problem}"


def _problem(words: list[str], block: Block) -> str:
    program, *rest = words
    match words:
        case ["sudo", *rest]:
            return _problem(rest, block)
        case [str(), "-m", module, *rest] if "python" in program:
            program = module
        case [str(), file, *_] if "python" in program:
            written = {each.title for each in blocks(block.page)}
            found = file in written or (ROOT / file).is_file()
            return "" if found else "no such program"
    check = CHECKS.get(program)
    if check is not None:
        return check(rest)
    return "" if program in OTHERS else "nothing checks this command"


def _dev(words: list[str]) -> str:
    usage = (ROOT / "dev").read_text(encoding="utf-8")
    known = re.findall(r"^    ([\w-]+)(?:\|.*)?\)", usage, re.MULTILINE)
    return "" if words and words[0] in known else "no such command"


def _make(words: list[str]) -> str:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([\w-]+(?: [\w-]+)*):", makefile, re.MULTILINE)
    known = {name for line in targets for name in line.split()}
    named = [word for word in words if word[0] != "-" and "=" not in word]
    return "" if set(named) <= known else "no such target"


def _pip(words: list[str]) -> str:
    if words[:1] != ["install"]:
        return "only pip install is known"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    known = set(project["project"]["optional-dependencies"])
    for word in words[1:]:
        match = REQUIREMENT.fullmatch(word)
        if match and (unknown := set(match[1].split(",")) - known):
            return f"no such extra: {', '.join(unknown)}"
    return ""


def _pywscore(words: list[str]) -> str:
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        build_parser().parse_args(words)
    return said.getvalue()


def _uvicorn(words: list[str]) -> str:
    """The page's runner starts it."""
    return "" if any(":" in word for word in words) else "no application"


CHECKS: dict[str, Callable[[list[str]], str]] = {
    "./dev": _dev,
    "make": _make,
    "pip": _pip,
    "pywscore": _pywscore,
    "uvicorn": _uvicorn,
}
