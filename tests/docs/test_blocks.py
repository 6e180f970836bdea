"""Every block of code in the documentation runs, or is checked as far as its kind can
be."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import shell
from blocks import PAGES, ROOT, Block, blocks, is_tested_elsewhere

CC = [
    "gcc",
    "-std=c11",
    "-pedantic",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fsyntax-only",
    "-xc",
]
# Run, or compared with what was printed, by run_page.py; drawings.
LEFT = {"python", "mermaid"}


def run_page(
    page: Path, folder: Path, patience: int = 40
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", ROOT / "tests/docs/run_page.py", page, str(patience)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=100,
    )


def pages_with(language: str) -> list[Path]:
    return [
        page
        for page in PAGES
        if any(
            each.language == language and not is_tested_elsewhere(each)
            for each in blocks(page)
        )
    ]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", pages_with("python"), ids=name)
def test_python(page: Path, tmp_path: Path) -> None:
    done = run_page(page, tmp_path)
    missing = re.search(
        r"^ModuleNotFoundError: No module named '(\w+)", done.stderr, re.M
    )
    if missing and missing[1] != "pywscore":
        pytest.skip(f"there is no {missing[1]}")
    assert done.returncode == 0, done.stderr


def problems(block: Block) -> list[str]:
    """What is wrong with a block that isn't Python."""
    match block.language:
        case "sh" | "console":
            return list(shell.problems(block))
        case "toml":
            tomllib.loads(block.text)
        case "json":
            json.loads(block.text)
        case "c":
            if shutil.which("gcc") is None:
                pytest.skip("no gcc")
            command = [*CC, f"-I{ROOT / 'csrc/include'}", "-"]
            done = subprocess.run(
                command, input=block.text, capture_output=True, text=True
            )
            return [f"{block.where}: {done.stderr}"] if done.returncode else []
        case "js":
            if shutil.which("node") is None:
                pytest.skip("no Node.js")
            command = ["node", "--input-type=module", "--check", "-"]
            done = subprocess.run(
                command, input=block.text, capture_output=True, text=True
            )
            return [f"{block.where}: {done.stderr}"] if done.returncode else []
        case "text" if block.title == "Output":
            pass
        case language if language not in LEFT:
            said = "no test asks for this block, see CONTRIBUTING.md"
            return [
                f"{block.where}: {language or 'a block without a language'}: {said}"
            ]
    return []


OTHERS = [
    each
    for page in PAGES
    for each in blocks(page)
    if each.language not in LEFT and not is_tested_elsewhere(each)
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda block: block.where)
def test_others(other: Block) -> None:
    assert problems(other) == []


def test_fences_are_all_seen() -> None:
    """A fence that isn't understood would leave what follows untested."""
    for page in PAGES:
        lines = page.read_text(encoding="utf-8").splitlines()
        fences = sum(line.lstrip().startswith("```") for line in lines)
        seen = [each for each in blocks(page) if not each.hidden]
        assert fences == 2 * len(seen), page


# ---- what is wrong is found ----------------------------------------------------------

SERVER = """
```python
import asyncio
import pywscore


async def handler(ws):
    await ws.send(str(1 / int(await ws.recv())))


async def main():
    async with pywscore.serve(handler, "127.0.0.1", 8765) as server:
        await server.serve_forever()


asyncio.run(main())
```
"""
CLIENT = """
<!-- python
async with pywscore.connect("ws://127.0.0.1:8765") as ws:
    await ws.send("2")
    assert await ws.recv() == "0.5"
-->
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SERVER + CLIENT, ""),
        ("```python\nx = 1\n```\n\n<!-- python\nassert x == 1\n-->\n", ""),
        (
            '```python\nprint("8765")\n```\n\n```text title="Output"\n8765\n```\n',
            "",
        ),
        ("one\n\n```python\nassert False\n```\n", 'page.md", line 4'),
        (SERVER, "no block talks to this server"),
        (SERVER + CLIENT.replace('"2"', '"0"'), "1011"),
        (SERVER.replace("8765", "0"), "on none of the ports"),
        ('```python\nprint(1)\n```\n\n```text title="Output"\n2\n```\n', "page.md:6"),
        (
            "```python\nimport asyncio\nawait asyncio.sleep(60)\n```\n",
            "page.md:2: not done",
        ),
        ("```python\nimport sys\nsys.exit(3)\n```\n", "page.md:2"),
    ],
)
def test_of_pages(text: str, said: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    done = run_page(page, tmp_path, patience=5 if "sleep" in text else 40)
    assert (done.returncode == 0) == (not said)
    assert said in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "./dev nonsense",
        "make nonsense",
        "nonsense",
        "pip install 'pywscore[nonsense]'",
        "pywscore echo --nonsense",
        "X=1 python -m pywscore nonsense",
        "python nonsense.py",
        "make test && make nonsense",
        "if",
    ],
)
def test_of_commands(command: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```sh\n{command}\n```\n")
    [found] = blocks(page)
    assert len(list(shell.problems(found))) == 1
