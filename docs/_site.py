"""What the site does to its pages, as a hook of mkdocs: folders in the navigation,
links to files outside of docs/, what the commands say with --help, headers of C."""

import argparse
import os
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(\[[^\]]*\]\()([^)\s#]+)")
HEADERS = re.compile(r"^\{\{ (csrc/.*)/\*\.h \}\}$", re.MULTILINE)
HELP = re.compile(r"^\{\{ pywscore ?(.*) --help \}\}$", re.MULTILINE)


def on_config(config: Any) -> Any:
    config.nav = _expanded(config.nav, Path(config.docs_dir))
    return config


def _expanded(nav: list[Any], docs: Path) -> list[Any]:
    entries: list[Any] = []
    for entry in nav:
        match entry:
            case dict():
                [(title, inner)] = entry.items()
                inner = _expanded(inner, docs) if isinstance(inner, list) else inner
                entries.append({title: inner})
            case str() if entry.endswith("/"):
                pages = sorted((docs / entry).glob("*.md"))
                entries += [page.relative_to(docs).as_posix() for page in pages]
            case _:
                entries.append(entry)
    return entries


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    folder = posixpath.dirname(f"docs/{page.file.src_uri}")

    def outside(match: re.Match[str]) -> str:
        begin, target = match.groups()
        path = posixpath.normpath(posixpath.join(folder, target))
        if "://" in target or path.startswith("docs/"):
            return match[0]
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{begin}{config.repo_url}/{kind}/main/{path}"

    markdown = LINK.sub(outside, markdown)
    markdown = HEADERS.sub(lambda match: _headers(ROOT / match[1]), markdown)
    return HELP.sub(lambda match: f"```text\n{_help(match[1])}```", markdown)


def _headers(folder: Path) -> str:
    """Their comments are the reference."""
    return "\n".join(
        f"## {header.name}\n\n```c\n{header.read_text(encoding='utf-8')}```\n"
        for header in sorted(folder.glob("*.h"))
    )


def _help(command: str) -> str:
    from pywscore.cli.main import build_parser

    os.environ |= {"COLUMNS": "80", "NO_COLOR": "1"}
    parser = build_parser()
    for word in command.split():
        [commands] = [
            action
            for action in parser._actions
            if isinstance(action, argparse._SubParsersAction)
        ]
        parser = commands.choices[word]
    return parser.format_help()
