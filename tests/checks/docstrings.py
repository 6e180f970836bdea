"""What `help()` says of the compiled module is what editors show, who read
pywscore/_core.pyi: its docstrings are the one source, csrc/python/common/docs.h is made
of them. With --write the header is written anew, without it compared.

Each public class, function, method and attribute of the stub that has a docstring gets
a macro; in front of the text of what is called stands the signature that
`inspect.signature()` reads. Methods by `async def` have their signature from Python.
"""

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STUB = ROOT / "pywscore/_core.pyi"
HEADER = ROOT / "csrc/python/common/docs.h"

LINE = re.compile(r"[^\n]+\n*")  # with the empty ones after it
WORD = re.compile(r"(?<=\w)(?=[A-Z][a-z])")

TOP = """\
#ifndef PYWSC_COMMON_DOCS_H
#define PYWSC_COMMON_DOCS_H

/* The docstrings of pywscore/_core.pyi, written by tests/checks/docstrings.py --write:
 * change them there. */

/* clang-format off */
"""
BOTTOM = """\
/* clang-format on */

#endif
"""


def docstrings(stub: str) -> Iterator[tuple[str, str, str]]:
    """Dotted name, signature ("" for none) and docstring of what is public in a stub;
    with an empty docstring, too."""
    yield from _documented(ast.parse(stub).body, "")


def _documented(body: list[ast.stmt], owner: str) -> Iterator[tuple[str, str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        match node:
            case ast.ClassDef(name=name) if name[0] != "_":
                doc = ast.get_docstring(node) or ""
                yield name, _signature(name, _constructor(node), ""), doc
                yield from _documented(node.body, f"{name}.")
            case ast.AsyncFunctionDef(name=name) if name[0] != "_":
                _add(found, name, "", ast.get_docstring(node))
            case ast.FunctionDef(name=name) if name[0] != "_":
                plain = any(
                    getattr(each, "id", "") == "property"
                    for each in node.decorator_list
                )
                first = "$self" if owner else "$module"
                signature = "" if plain else _signature(name, node, first)
                _add(found, name, signature, ast.get_docstring(node))
            case ast.AnnAssign(target=ast.Name(id=name)) if owner and name[0] != "_":
                text = ""
                if isinstance(after, ast.Expr) and isinstance(
                    after.value, ast.Constant
                ):
                    text = inspect.cleandoc(str(after.value.value))
                _add(found, name, "", text)
    for name, (signature, doc) in found.items():
        yield owner + name, signature, doc


def _add(
    found: dict[str, tuple[str, str]], name: str, signature: str, doc: "str | None"
) -> None:
    """One of the overloads has the docstring."""
    if name not in found or doc:
        found[name] = signature, doc or ""


def _constructor(node: ast.ClassDef) -> "ast.FunctionDef | None":
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and each.name in ("__new__", "__init__"):
            return each
    return None


def _signature(name: str, function: "ast.FunctionDef | None", first: str) -> str:
    if function is None:
        return ""
    arguments = function.args
    for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        each.annotation = None
    if first == "$module":
        return f"{name}({first}, {ast.unparse(arguments)})"
    # Before a "/" or in its place: "self".
    text = ast.unparse(arguments)
    _, _, rest = text.partition(", ")
    return f"{name}({', '.join(part for part in (first, rest) if part)})"


def header(stub: str) -> str:
    parts = [TOP]
    for name, signature, doc in docstrings(stub):
        if not doc:
            continue
        text = f"{signature}\n--\n\n{doc}" if signature else doc
        lines = [_literal(line) for line in LINE.findall(text)]
        name = WORD.sub("_", name).replace(".", "_").upper()
        parts.append(" \\\n    ".join([f"#define PYWSC_DOC_{name}", *lines]) + "\n")
    return "\n".join([*parts, BOTTOM])


def _literal(text: str) -> str:
    for character, escape in {"\\": "\\\\", '"': '\\"', "\n": "\\n"}.items():
        text = text.replace(character, escape)
    return f'"{text}"'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the header anew")
    wanted = header(STUB.read_text(encoding="utf-8"))
    if parser.parse_args().write:
        HEADER.write_text(wanted, encoding="utf-8")
    if HEADER.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"{HEADER.relative_to(ROOT)} isn't what the stub says: --write writes it")
    return 1


if __name__ == "__main__":
    sys.exit(main())
