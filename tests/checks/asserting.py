"""Every test asserts something: by `assert`, a context such as `pytest.raises`, an
`assert_*` of a mock, or a helper beside it, or imported by it, that does so."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

# Of pytest, of hypothesis, of tests/waiting.py.
KNOWN = {"raises", "warns", "deprecated_call", "run_state_machine_as_test", "until"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def called(node: ast.AST) -> str:
    """The last name of what is called: "raises" for `pytest.raises(...)`."""
    if isinstance(node, ast.Call):
        node = node.func
        return getattr(node, "attr", None) or getattr(node, "id", "")
    return ""


def asserts(node: ast.AST, helpers: set[str]) -> bool:
    return any(
        isinstance(inner, ast.Assert)
        or (name := called(inner)) in KNOWN
        or name in helpers
        or name.startswith("assert_")
        for inner in ast.walk(node)
    )


def functions(tree: ast.AST) -> list[Function]:
    found = (node for node in ast.walk(tree) if isinstance(node, Function))
    return [node for node in found if not is_fixture(node)]


def is_fixture(node: Function) -> bool:
    return any("fixture" in ast.unparse(it) for it in node.decorator_list)


def helpers_of(trees: dict[str, ast.AST]) -> dict[str, set[str]]:
    """Of each module, the names of functions that assert, by way of others as well."""
    found: dict[str, set[str]] = {module: set() for module in trees}
    grows = True
    while grows:
        grows = False
        for module, tree in trees.items():
            known = found[module]
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module in found:
                    there = found[node.module]
                    new = {
                        it.asname or it.name for it in node.names if it.name in there
                    }
                elif isinstance(node, Function) and asserts(node, known):
                    new = set() if is_fixture(node) else {node.name}
                else:
                    continue
                grows = grows or not new <= known
                known |= new
    return found


def without_assertion(root: Path) -> Iterator[str]:
    files = [
        path
        for folder in ("tests/python", "tests/integration")
        for path in sorted((root / folder).rglob("*.py"))
    ]
    files += sorted((root / "tests").glob("*.py"))
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}
    helpers = helpers_of({path.stem: tree for path, tree in trees.items()})
    for path, tree in trees.items():
        for function in functions(tree):
            is_test = function.name.startswith("test_")
            if is_test and not asserts(function, helpers[path.stem]):
                where = f"{path.relative_to(root)}:{function.lineno}"
                yield f"{where}: {function.name} asserts nothing"


def main() -> int:
    problems = list(without_assertion(Path(__file__).resolve().parents[2]))
    print(*problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
