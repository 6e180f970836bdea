"""Each public name says what it is, takes and raises, in editors as in help()."""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from test_public_names import listed

from pywscore import _core

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "checks"))

import docstrings  # noqa: E402

STUB = docstrings.STUB.read_text(encoding="utf-8")


# --- the compiled module ---


def test_the_header_is_what_the_stub_says() -> None:
    written = docstrings.HEADER.read_text(encoding="utf-8")
    assert written == docstrings.header(STUB)


@pytest.mark.parametrize(
    ("name", "signature", "doc"),
    [each for each in docstrings.docstrings(STUB) if each[2]],
    ids=lambda value: value if re.fullmatch(r"[\w.]+", value) else "",
)
def test_help_is_what_editors_show(name: str, signature: str, doc: str) -> None:
    if "Engine" in name and not hasattr(_core, "Engine"):
        pytest.skip("elsewhere: the engine only")
    value: Any = _core
    for part in name.split("."):
        value = inspect.getattr_static(value, part)
    assert inspect.getdoc(value) == doc
    if signature:
        assert signature.endswith(value.__text_signature__)


# --- all that is public ---

# Sentences that begin like this say what is returned.
SAYS_WHAT = re.compile(
    r"(The|A|An|All|This|What|Whether|Where|Which|How many|Seconds|Would) "
)
# Classes that something else calls: a function, or uvicorn.
MADE_FOR_YOU = {
    *("ClientWebSocketResponse", "Member", "Room", "TLSContext"),
    "WebSocketProtocol",
}


def parsed(file: Path) -> dict[str, Any]:
    """Classes and functions of a file by their qualified names; of what is assigned,
    the string below it."""
    found: dict[str, Any] = {}

    def look(body: list[ast.stmt], owner: str) -> None:
        for node, after in zip(body, [*body[1:], None], strict=True):
            match node:
                case ast.ClassDef(name=name):
                    found[owner + name] = node
                    look(node.body, f"{owner}{name}.")
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found[owner + name] = node
                case (
                    ast.Assign(targets=[*_, ast.Name(id=name)])
                    | ast.AnnAssign(target=ast.Name(id=name))
                ):
                    found[owner + name] = None
                    match after:
                        case ast.Expr(value=ast.Constant(value=str(text))):
                            found[owner + name] = text

    look(ast.parse(file.read_text(encoding="utf-8")).body, "")
    return found


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


PACKAGE = {
    module_of(file): parsed(file)
    for suffix in ("py", "pyi")
    for file in (ROOT / "pywscore").rglob(f"*.{suffix}")
}
COMPILED = PACKAGE[_core.__name__]


def nodes_of(value: Any) -> dict[str, Any]:
    """Of the file that has this class or function. Events say that they are the
    package's."""
    return COMPILED | PACKAGE.get(value.__module__ or "", {})


TITLE = re.compile(r"^(Args|Attributes|Returns|Raises):$", re.MULTILINE)
ENTRY = re.compile(r"^    (\*{0,2}\w+(?:, \*{0,2}\w+)*):", re.MULTILINE)


def named(doc: str | None, *titles: str) -> set[str]:
    """What has an entry in a section of these titles."""
    _, *parts = TITLE.split(inspect.cleandoc(doc or ""))
    sections = zip(parts[::2], parts[1::2], strict=True)
    entries = (ENTRY.findall(text) for title, text in sections if title in titles)
    return {name for found in entries for line in found for name in line.split(", ")}


def arguments(node: Any) -> set[str]:
    given = node.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    every += [each for each in (given.vararg, given.kwarg) if each]
    return {each.arg for each in every} - {"self", "cls"}


def raised(node: Any) -> set[str]:
    names = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Raise) and each.exc is not None:
            exc = each.exc.func if isinstance(each.exc, ast.Call) else each.exc
            if isinstance(exc, ast.Name) and exc.id[0].isupper():
                names.add(exc.id)
    return names - {"NotImplementedError", "StopAsyncIteration", "AssertionError"}


def in_function(value: Any, node: Any) -> Iterator[str]:
    doc = inspect.getdoc(value)
    if not doc:
        yield "has no docstring"
        return
    if missing := arguments(node) ^ named(doc, "Args"):
        yield f"Args: {sorted(missing)}"
    returns = ast.unparse(node.returns) if node.returns else "None"
    says = "Returns:" in doc or SAYS_WHAT.match(doc)
    if returns not in ("None", "NoReturn", "Self") and not says:
        yield f"doesn't say what it returns: {doc[:40]}"
    if missing := {name for name in raised(node) if name not in doc}:
        yield f"Raises: {sorted(missing)}"


def in_class(value: type) -> Iterator[str]:
    doc = inspect.cleandoc(value.__doc__ or "")
    if not doc or doc.startswith(f"{value.__name__}("):
        yield "has no docstring"
    for owner in value.__mro__:
        nodes = nodes_of(owner) if owner.__module__.startswith("pywscore") else {}
        name = owner.__qualname__
        constructor = nodes.get(f"{name}.__init__") or nodes.get(f"{name}.__new__")
        if constructor and value.__name__ not in MADE_FOR_YOU:
            text = inspect.cleandoc(owner.__doc__ or "")
            wanted = arguments(constructor) - named(text, "Args", "Attributes")
            wanted -= set(re.findall(r"``(\w+)``", text))
            if wanted := {name for name in wanted if name[0] != "_"}:
                yield f"Args: {sorted(wanted)}"
            break


def in_members(value: type) -> Iterator[str]:
    for owner in value.__mro__:
        if not owner.__module__.startswith("pywscore"):
            continue
        nodes = nodes_of(owner)
        attributes = named(owner.__doc__, "Attributes")
        for name, member in vars(owner).items():
            if name[0] == "_":
                continue
            where = f"{owner.__qualname__}.{name}"
            node = nodes.get(where)
            if isinstance(member, (staticmethod, classmethod)):
                member = member.__func__
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not (
                isinstance(member, property) or inspect.isdatadescriptor(member)
            ):
                problems = in_function(getattr(value, name), node)
            elif (
                (inspect.isdatadescriptor(member) and inspect.getdoc(member))
                or isinstance(node, str)
                or name in attributes
            ):
                continue
            else:
                problems = iter(["has no docstring"])
            yield from (f"{where} {problem}" for problem in problems)


def in_name(module: ModuleType, name: str) -> Iterator[str]:
    value = getattr(module, name)
    if any(isinstance(nodes.get(name), str) for nodes in PACKAGE.values()):
        return
    if isinstance(value, type):
        yield from (f"{name} {problem}" for problem in in_class(value))
        yield from in_members(value)
    elif inspect.isroutine(value):
        node = nodes_of(value)[value.__qualname__]
        yield from (f"{name} {problem}" for problem in in_function(value, node))
    elif not (
        isinstance(value, enum.Enum)
        and name in named(type(value).__doc__, "Attributes")
    ):
        yield f"{name} has no docstring"


@pytest.mark.parametrize("name", sorted(listed()))
def test_public_names(name: str) -> None:
    if name.endswith((".aiohttp", ".uvicorn")):
        pytest.importorskip(name.rpartition(".")[2])
    module = importlib.import_module(name)
    assert module.__doc__
    assert [p for each in listed()[name] for p in in_name(module, each)] == []
