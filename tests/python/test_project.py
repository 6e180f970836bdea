"""The project's own promises: version, links, maps, threats."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import pywscore

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "checks"))

import instructions as instructions_check  # noqa: E402
import layers as layers_check  # noqa: E402

import docs as docs_check  # noqa: E402


def project_files() -> list[Path]:
    """Files under version control or about to be; all files outside a clone."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        skipped = re.compile(
            r"(^|/)(\.(?!ci/)[^/]*/|build/|dist/|node_modules/|[^/]*egg)"
        )
        paths = (path for path in ROOT.rglob("*") if path.is_file())
        return [
            path
            for path in paths
            if not skipped.search(path.relative_to(ROOT).as_posix())
        ]
    names = answer.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


# ---- version -------------------------------------------------------------------------


def test_version_is_the_same_everywhere() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+([abc]\d+|rc\d+)?", pywscore.__version__)
    assert importlib.metadata.version("pywscore") == pywscore.__version__


def test_version_is_written_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    attribute = project["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert attribute == "pywscore._version.__version__"


def test_the_library_has_the_version_of_the_package() -> None:
    header = (ROOT / "csrc/include/wsc/version.h").read_text()
    numbers = re.findall(r"#define WSC_VERSION_(?:MAJOR|MINOR|PATCH) +(\d+)", header)
    [text] = re.findall(r'#define WSC_VERSION +"(.*)"', header)
    assert text == pywscore.__version__
    assert ".".join(numbers) == re.match(r"[\d.]+", text)[0]  # type: ignore[index]


def test_changelog_begins_with_the_current_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == pywscore.__version__


# ---- documentation -------------------------------------------------------------------


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = sorted(path.name for path in (ROOT / "docs/adr").glob("*.md"))
    assert pages
    missing = [name for name in pages if f"(adr/{name})" not in index]
    assert not missing
    numbers = [name[:4] for name in pages]
    assert len(set(numbers)) == len(numbers), "two decisions with the same number"


def test_links_lead_somewhere() -> None:
    assert docs_check.broken_links(ROOT) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    ours = "https://github.com/pywscore/pywscore/blob/main"
    (tmp_path / "a.md").write_text(
        f"[x](b.md) [y](a.md#z) [w](https://example.org/)\n[a]({ours}/a.md#z)\n"
        f"[![b]({ours}/b.md)](a.md)\n"
    )
    assert docs_check.broken_links(tmp_path) == [
        "a.md:1: no such file: b.md",
        f"a.md:3: no such file: {ours}/b.md",
    ]


def test_the_readme_can_be_read_elsewhere() -> None:
    """A package index has its text only."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [it for it in re.findall(r"\]\(([^)]*)\)", text) if "://" not in it] == []


def named_tests(page: str) -> Iterator[tuple[str, str]]:
    """`path::name` in the cells of tables; `path::*` names the file as a whole."""
    for line in page.splitlines():
        if line.lstrip().startswith("|"):
            yield from re.findall(r"`([^`\s]+\.(?:c|py|md))::([^`\s]+)`", line)


def test_rfc_map_names_tests_that_exist() -> None:
    page = ROOT / "docs/rfc-map.md"
    named = list(named_tests(page.read_text()))
    assert named, "docs/rfc-map.md names no test"
    problems = []
    for path, name in named:
        file = ROOT / path
        if not file.is_file():
            problems.append(f"{path}: no such file")
            continue
        text = file.read_text()
        for part in [] if name == "*" else re.split(r"::|\[", name)[:2]:
            if not re.search(rf"\b{re.escape(part.rstrip(']'))}\b", text):
                problems.append(f"{path}: no {part}")
    assert not problems


def test_no_machine_paths() -> None:
    # Not after a host name, a variable or another folder: those are URLs and the like.
    pattern = re.compile(r"(?<![\w.}~)/])/" + r"(?:root|home|work|Users)/\w")
    problems = []
    for path in project_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                problems.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not problems


# ---- layers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "line", "error"),
    [
        ("csrc/core/frame.c", '#include "wsc/conn.h"', "conn is a higher layer"),
        ("csrc/core/frame.c", "#include <Python.h>", "may not include <Python.h>"),
        ("csrc/core/frame.c", "#include <zlib.h>", "may not include <zlib.h>"),
        ("csrc/core/frame.c", "#  include <time.h>", "may not include <time.h>"),
        ("csrc/core/conn.c", "#include <stdio.h>", "may not include <stdio.h>"),
        ("csrc/core/mask.c", "#include <openssl/sha.h>", "may not include <openssl"),
        ("csrc/core/news.c", "#include <stddef.h>", "not in the table of layers"),
        ("csrc/include/wsc/status.h", '#include "wsc/frame.h"', "higher layer"),
        ("csrc/python/module.c", '#include "../core/conn.h"', "its own headers"),
        ("csrc/python/module.c", "#include <sys/socket.h>", "may not include"),
        ("csrc/engine/loop.c", "#include <Python.h>", "engine may not include"),
        ("csrc/load/load.c", "#include <sys/epoll.h>", "load may not include"),
        ("csrc/load/load.c", '#include "../engine/source.h"', "its own headers"),
        ("csrc/core/conn.c", "conn->outgoing.size = 3;", "only csrc/core/outgoing.c"),
        ("csrc/python/x.c", "f(&c->outgoing.bytes, 1);", "only csrc/core/outgoing.c"),
        ("csrc/engine/link.c", "outgoing->size -= n;", "only csrc/core/outgoing.c"),
    ],
)
def test_a_wrong_line_is_found(
    tmp_path: Path, file: str, line: str, error: str
) -> None:
    target = tmp_path / file
    target.parent.mkdir(parents=True)
    target.write_text(f"/* one */\n{line}\n")
    (problem,) = layers_check.check(tmp_path)
    assert problem.startswith(f"{file}:2: ")
    assert error in problem


def test_right_includes_pass(tmp_path: Path) -> None:
    files = {
        "csrc/core/conn.c": '#include "wsc/conn.h"\n#include "wsc/alloc.h"\n',
        "csrc/core/deflate.c": "#include <zlib.h>\n#include <string.h>\n",
        "csrc/core/crypto.c": "#include <openssl/evp.h>\n",
        "csrc/core/outgoing.c": "outgoing->size += len;\n",
        "csrc/engine/link.c": "while (outgoing->size == 1) {}\n",
        "csrc/python/module.c": '#include <Python.h>\n#include "wsc/conn.h"\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert layers_check.check(tmp_path) == []


@pytest.mark.parametrize(
    ("files", "error"),
    [
        (
            {"tasks/waiter.h": '#include "connection/send.h"', "connection/send.h": ""},
            "tasks/waiter.h:1: tasks may not need connection/send.h: connection i",
        ),
        (
            {
                "common/state.c": "void pywsc_a(void)\n{\n    pywsc_b();\n}\n",
                "module.c": "void pywsc_b(void)\n{\n}\n",
            },
            "common/state.c:3: common may not need pywsc_b: module is higher",
        ),
        (
            {"attic/x.c": '#include "common/state.h"', "common/state.h": ""},
            "attic/x.c:1: attic is not in the table of rooms",
        ),
    ],
)
def test_an_arrow_to_a_higher_room_is_found(
    tmp_path: Path, files: dict[str, str], error: str
) -> None:
    for name, text in files.items():
        (tmp_path / "csrc/python" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "csrc/python" / name).write_text(text)
    (problem,) = layers_check.check(tmp_path)
    assert problem.startswith(f"csrc/python/{error}")


@pytest.mark.parametrize(
    ("files", "way"),
    [
        (
            {
                "core/conn.c": "void wsc_a(void)\n{\n    wsc_b();\n}\n",
                "core/conn_send.c": "int wsc_b(void)\n{\n    return wsc_c[0];\n}\n",
                "core/conn_close.c": "int wsc_c[] = {1};\nint (*f)(void) = wsc_a;\n",
            },
            "conn.c (wsc_b) -> conn_send.c (wsc_c) -> conn_close.c (wsc_a) -> conn",
        ),
        (
            {
                "engine/link.h": '#include "tls.h"\n',
                "engine/tls.c": "void wsc_link_x(void);\n\nvoid wsc_t(void)\n{\n}\n",
                "engine/tls.h": '/* "link.h" */\n\n#include "link.h"\n',
            },
            "link.h (tls.h) -> tls.h (link.h) -> link",
        ),
        (
            {
                "python/tasks/timers.c": "int pywsc_a(void)\n{\n    pywsc_b();\n}\n",
                "python/tasks/loop.h": '#include "tasks/timers.h"\n',
                "python/tasks/loop.c": "void pywsc_b(void)\n{\n}\n",
                "python/tasks/timers.h": "",
            },
            "timers.c (pywsc_b) -> loop.h (tasks/timers.h) -> timers",
        ),
    ],
)
def test_a_circle_is_found(tmp_path: Path, files: dict[str, str], way: str) -> None:
    for name, text in files.items():
        (tmp_path / "csrc" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "csrc" / name).write_text(text)
    (problem,) = layers_check.check(tmp_path)
    place, _, found = problem.partition(": a circle: ")
    assert re.fullmatch(r"csrc/(core|engine|python/tasks)/\w+\.[ch]:\d", place)
    # It may begin anywhere.
    assert sorted(found.split(" -> ")[:-1]) == sorted(way.split(" -> ")[:-1])


def test_what_is_no_circle(tmp_path: Path) -> None:
    files = {
        "conn.c": "/* wsc_b */\nvoid wsc_a(void)\n{\n}\nstatic int wsc_c;\n",
        "conn_send.c": 'void wsc_b(void)\n{\n    wsc_a("wsc_c");\n}\n',
        "conn_close.h": "void wsc_b(void);\nvoid wsc_a(void);\n",
    }
    for name, text in files.items():
        (tmp_path / "csrc/core").mkdir(parents=True, exist_ok=True)
        (tmp_path / "csrc/core" / name).write_text(text)
    assert layers_check.check(tmp_path) == []


def test_private_fields_are_left_alone(tmp_path: Path) -> None:
    files = {
        "csrc/include/wsc/conn.h": (
            "struct wsc_conn {\n    int state;\n\n    /* Private. */\n"
            "    size_t input_len; /* bytes; left */\n    uint8_t pong[125];\n\n"
            "    /* Public, and here for its size. */\n    bool streaming;\n};\n"
        ),
        "csrc/python/protocol/protocol.h": "struct p { struct wsc_conn core; };\n",
        "csrc/python/protocol/send.c": (
            "/* self->core.pong */\nint a = self->core.state;\n"
            "int b = self->core.streaming;\nint c = self->other.pong;\n"
        ),
        "csrc/core/conn.c": "int f(struct wsc_conn *core) { core->input_len; }\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert layers_check.check(tmp_path) == []
    with (tmp_path / "csrc/python/protocol/send.c").open("a") as file:
        file.write("int d = f(g, core->pong[0],\n          self->core.input_len);\n")
    assert layers_check.check(tmp_path) == [
        "csrc/python/protocol/send.c:5: pong of wsc_conn is private",
        "csrc/python/protocol/send.c:6: input_len of wsc_conn is private",
    ]


def test_layers_of_this_tree() -> None:
    assert layers_check.check(ROOT) == []


# ---- instructions --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "result", "said"),
    [
        ({"echo": 100.0}, 0, "+2.9%"),
        ({"echo": 99.0}, 1, "more than 3% above instructions.json: echo"),
        ({"echo": 200.0}, 0, "-48.5%"),
        ({"echo": 100.0, "gone": 1.0}, 1, "not measured: gone"),
        ({}, 0, "skipped: instructions.json has nothing for "),
    ],
)
def test_more_instructions_are_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    bounds: dict[str, float],
    result: int,
    said: str,
) -> None:
    stored = {instructions_check.machine(): bounds, "another": {"echo": 1.0}}
    (tmp_path / "instructions.json").write_text(json.dumps(stored))
    monkeypatch.setattr(instructions_check, "BOUNDS", tmp_path / "instructions.json")
    monkeypatch.setattr(instructions_check, "measure", lambda: {"echo": 102.9})
    monkeypatch.setattr(instructions_check.shutil, "which", lambda name: name)
    monkeypatch.setattr(sys, "argv", ["instructions.py"])
    assert instructions_check.main() == result
    assert said in capsys.readouterr().out


# ---- what to open --------------------------------------------------------------------


def test_files_to_open_exist() -> None:
    """Those that CONTRIBUTING.md names for likely changes."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("open Y")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| .* \| (.*) \|$", table, re.M)[1:]
    named = [re.findall(r"`([\w.]+/[\w./]+|\w+\.toml)`", row) for row in rows]
    assert len(rows) >= 20
    assert all(named)
    assert [
        path for paths in named for path in paths if not (ROOT / path).exists()
    ] == []


# ---- threats -------------------------------------------------------------------------

THREAT_ID = re.compile(r"\b[A-Z]{3}-[0-9]+\b")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def ids_in_python(text: str) -> set[str]:
    """The arguments of `pytest.mark.threat(...)`."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "threat"
        ):
            for argument in node.args:
                if isinstance(argument, ast.Constant):
                    found.add(str(argument.value))
    return found


def ids_in_c(text: str) -> set[str]:
    """The ids that stand in comments."""
    return {name for part in COMMENT.findall(text) for name in THREAT_ID.findall(part)}


def covered_threats() -> dict[str, list[str]]:
    covered: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("*")):
        if path.suffix == ".c":
            found = ids_in_c(path.read_text())
        elif path.suffix == ".py" and path != Path(__file__):
            found = ids_in_python(path.read_text())
        else:
            continue
        for name in found:
            covered.setdefault(name, []).append(str(path.relative_to(ROOT)))
    return covered


def test_every_listed_threat_has_a_test() -> None:
    page = ROOT / "docs/threats.md"
    listed = set(THREAT_ID.findall(page.read_text()))
    assert listed, "docs/threats.md lists no ids"
    missing = sorted(listed - covered_threats().keys())
    assert not missing, f"no test carries: {', '.join(missing)}"


def test_how_ids_are_read() -> None:
    text = "@pytest.mark.threat('LEN-1', 'INF-2')\ndef test_x(): 'LEN-9'\n"
    assert ids_in_python(text) == {"LEN-1", "INF-2"}
    assert ids_in_c('/* LEN-1,\n LEN-2 */ x = "LEN-3"; // LEN-4') == {"LEN-1", "LEN-2"}


# ---- tests ---------------------------------------------------------------------------


def test_modules_of_tests_are_told_apart() -> None:
    """pytest imports them by their names alone, and ``conftest`` is of several."""
    paths = [
        path
        for folder in ("python", "integration", "rooms")
        for path in (ROOT / "tests" / folder).rglob("*.py")
    ]
    names = [path.stem for path in paths if path.stem != "conftest"]
    assert sorted(names) == sorted(set(names))
    wanted = re.compile(r"^\s*(from|import) conftest\b", re.M)
    assert not [path for path in paths if wanted.search(path.read_text())]


# ---- the package ---------------------------------------------------------------------


def test_files_that_a_wheel_needs() -> None:
    package = Path(pywscore.__file__).parent
    for name in ("py.typed", "_core.pyi", "_version.py"):
        assert (package / name).is_file(), name
    pages = [path for path in (package / "cli").rglob("*") if path.suffix == ".html"]
    assert pages, "the demo's page is missing"


def test_nothing_is_required_at_run_time() -> None:
    requires = importlib.metadata.requires("pywscore") or []
    assert [line for line in requires if "extra ==" not in line] == []


def test_import_brings_no_optional_package() -> None:
    code = (
        "import sys, pywscore, pywscore.asyncio\n"
        "names = 'aiohttp uvicorn redis uvloop websockets python_socks'.split()\n"
        "print([name for name in names if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert answer.stdout.strip() == "[]", answer.stderr


HEAVY = {
    *("difflib", "email.utils", "hmac", "http.client", "multiprocessing", "random"),
    *("tempfile", "unicodedata", "urllib.request", "uuid"),
    *("pywscore._coroutine_methods", "pywscore._install"),
    *("pywscore.asyncio._fleet", "pywscore.asyncio._frame_text"),
    *("pywscore.asyncio._proxy", "pywscore.asyncio._stats"),
    *("pywscore.asyncio._workers", "pywscore.asyncio.router"),
}


@pytest.mark.parametrize(
    ("line", "comes", "stays"),
    [
        ("import pywscore", "protocol", {"asyncio.client", "asyncio.server"}),
        ("from pywscore import serve", "asyncio.server", {"asyncio.client"}),
        ("from pywscore import connect", "asyncio.client", {"asyncio.server"}),
    ],
)
def test_import_brings_nothing_heavy(line: str, comes: str, stays: set[str]) -> None:
    """Who imports pywscore has asyncio; the rest comes when it is used."""
    code = (
        "import asyncio, sys\n"
        "before = set(sys.modules)\n"
        f"{line}\n"
        "print(*sys.modules.keys() - before)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    brought = set(answer.stdout.split())
    assert f"pywscore.{comes}" in brought, answer.stderr
    assert brought & (HEAVY | {f"pywscore.{name}" for name in stays}) == set()


# ---- calls into Python ---------------------------------------------------------------

CALL = re.compile(
    r"\b(?:Py(?:Object_(?:Call|Vectorcall|IsTrue|IsInstance|RichCompare|GetIter|GetAttr"
    r"|GetOptionalAttr"
    r"|HasAttr|GetBuffer|Repr|Str)|Buffer_Release|Iter_(?:Next|Send)|Number_|Import_"
    r"|Arg_Parse|Dict_(?:Get|Set|Del)Item|Sequence_(?:List|Tuple|InPlaceConcat)"
    r"|Err_(?:WarnFormat|WriteUnraisable)|Long_As|Float_AsDouble|Bytes_FromObject"
    r"|Unicode_Join))\w*\("
)
FUNCTION = re.compile(
    r"^[a-zA-Z][^;={}#]*?\b(\w+)\([^;{}]*\)\n\{\n(.*?)^\}\n", re.M | re.S
)


@pytest.mark.threat("BOR-2")
def test_calls_into_python_are_listed() -> None:
    """Who calls into Python has a row that says what is held meanwhile."""
    calling = {
        (path.relative_to(ROOT / "csrc/python").as_posix(), name)
        for path in (ROOT / "csrc/python").rglob("*.c")
        for name, body in FUNCTION.findall(path.read_text(encoding="utf-8"))
        if CALL.search(body)
    }
    page = (ROOT / "docs/calls-into-python.md").read_text(encoding="utf-8")
    listed = set()
    for cell in re.findall(r"^\| (`[^|]*) \|", page, re.M):
        for word in re.findall(r"`([\w/]+(?:\.c)?)`", cell):
            if word.endswith(".c"):
                file = word
            else:
                listed.add((file, word))
    assert len(calling) > 100
    assert calling - listed == set(), "docs/calls-into-python.md lacks these"
    assert listed - calling == set(), "docs/calls-into-python.md: these call nothing"
