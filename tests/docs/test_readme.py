"""The README's figures are those of benchmarks/results, and its table of features is
what the packages have."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable

import pytest
from blocks import ROOT

sys.path.append(str(ROOT))  # behind what is installed

from benchmarks import readme, report

README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows(head: str) -> list[list[str]]:
    """Of the table whose first line begins like this; links are their texts."""
    table = README[README.index(head) :].partition("\n\n")[0]
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", table)
    return [line.strip("| ").split(" | ") for line in text.splitlines()[2:]]


# ---- figures -------------------------------------------------------------------------


def test_chart() -> None:
    file = report.RESULTS / "readme.svg"
    assert file.read_text(encoding="utf-8") == readme.chart()
    # The figures for those who don't see it.
    [alternative] = re.findall(r"!\[Processor time [^:]*: (.*?)\]", README)
    named = re.findall(r"(\w+) ([\d.]+)", alternative)
    assert len(named) == 6
    shown = re.findall(r">([^<>]+)</text>\n.*\n.*>([\d.]+) µs", readme.chart())
    for name, figure in named:
        [value] = [
            it for full, it in shown if full.startswith(name) and " in " not in full
        ]
        assert value == figure


GAINS = {
    "websockets": ("echo", "pywscore {}", "websockets {}"),
    "aiohttp": ("echo", "pywscore {} in aiohttp", "aiohttp {}"),
    "FastAPI, uvicorn": (
        "echo-asgi",
        "FastAPI, pywscore {} in uvicorn",
        "FastAPI in uvicorn",
    ),
}


def test_gains() -> None:
    table = rows("| you have |")
    assert [row[0] for row in table] == list(GAINS)
    for name, _, text in table:
        result, ours, theirs = GAINS[name]
        ratios = [
            readme.ratio(result, f"{ours}, {loop}", f"{theirs}, {loop}")
            for loop in ("uvloop", "asyncio")
        ]
        assert text == "{:.2f} on uvloop, {:.2f} on asyncio's loop".format(*ratios)


# ---- features ------------------------------------------------------------------------

HEAD = "| | pywscore | websockets | aiohttp | picows | uWebSockets |"


def table() -> dict[str, list[str]]:
    return {name: cells for name, *cells in rows(HEAD)}


def test_processor_time() -> None:
    others = ("websockets {}", "aiohttp {}", "picows {} async API")
    peers = [f"{name}, uvloop" for name in others]
    peers.append("uWebSockets (libuwebsockets-sys {})")
    ratios = [1 / readme.ratio("echo", "pywscore {}, uvloop", peer) for peer in peers]
    shown = table()["processor time of an echo, pywscore = 1"]
    assert shown == ["1", *(f"{it:.1f}" if it > 1 else f"{it:.2f}" for it in ratios)]


def test_memory() -> None:
    record = readme.result("memory")
    names = (
        *("pywscore {}", "websockets {}", "aiohttp {}", "picows {} async API"),
        "uWebSockets (libuwebsockets-sys {})",
    )
    shown = table()["KiB of an idle connection"]
    figures = [record["figures"][readme.server(record, name)] for name in names]
    assert shown == [f"{each['plain'] / 1024:.1f}" for each in figures]


def has(module: str, *names: str) -> bool:
    """Whether there is such a module, with one of these names."""
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        return False
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError:
        return False
    return not names or any(hasattr(found, name) for name in names)


# A package by its part that is used like pywscore.
FACES = {"pywscore": "pywscore", "websockets": "websockets.asyncio.server"}
FACES |= {"aiohttp": "aiohttp.web", "picows": "picows.websockets"}
CONNECTIONS = ("ServerConnection", "WebSocketResponse")
CLIENTS = {"websockets": "websockets", "aiohttp": "aiohttp"} | {
    name: FACES[name] for name in ("pywscore", "picows")
}


def arguments(package: str) -> set[str]:
    """Of what starts a server, or makes the connection of one."""
    face = importlib.import_module(FACES[package])
    made = getattr(face, "serve", None) or face.WebSocketResponse
    return set(inspect.signature(made).parameters)


def iterates(package: str) -> bool:
    face = importlib.import_module(FACES[package])
    [connection] = [getattr(face, it) for it in CONNECTIONS if hasattr(face, it)]
    return hasattr(connection, "__aiter__")


def reconnects(package: str) -> bool:
    connect = getattr(importlib.import_module(CLIENTS[package]), "connect", None)
    return connect is not None and hasattr(connect("ws://localhost"), "__aiter__")


FEATURES: dict[str, Callable[[str], bool]] = {
    "handlers with `async for`": iterates,
    "callbacks without a task": lambda package: (
        "listener" in arguments(package) or has(package, "WSListener")
    ),
    "protocol without I/O": lambda package: has(package, "ServerProtocol"),
    "client that reconnects by itself": reconnects,
    "permessage-deflate": lambda package: bool(
        {"compression", "compress"} & arguments(package)
    ),
    "one message to many": lambda package: has(FACES[package], "broadcast"),
    "rooms over several processes": lambda package: has(f"{package}.rooms"),
    "a class for aiohttp, one for uvicorn": lambda package: (
        has(f"{package}.integrations.aiohttp", "WebSocketResponse")
        and has(f"{package}.integrations.uvicorn", "WebSocketProtocol")
    ),
    "worker processes, Prometheus": lambda package: (
        has(package, "run") and has(package, "metrics_response")
    ),
    "connections in memory, faults, scripted peers for tests": lambda package: has(
        f"{package}.testing", "ScriptedPeer"
    ),
    "interface for threads, without asyncio": lambda package: has(f"{package}.sync"),
}
# A program of C++ has them: by its header WebSocket.h and its App::publish().
OF_UWEBSOCKETS = {
    *("callbacks without a task", "permessage-deflate", "one message to many"),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_features(feature: str) -> None:
    for package in FACES:
        pytest.importorskip(package)
    cells = [FEATURES[feature](package) for package in FACES]
    cells.append(feature in OF_UWEBSOCKETS)
    assert table()[feature] == ["✓" if cell else "–" for cell in cells]


def test_every_row_is_tested() -> None:
    others = {"language of the handlers", "KiB of an idle connection"}
    others |= {"processor time of an echo, pywscore = 1"}
    assert set(table()) == set(FEATURES) | others


# ---- docs/explanation/figures.md -----------------------------------------------------


def test_figures() -> None:
    page = (ROOT / "docs/explanation/figures.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\|.*\| ([\d.]+) \| \[([\w-]+)\]", page, re.MULTILINE)
    assert len(cells) > 20
    for ratio, name in cells:
        goals = readme.result(name)["goals"]
        assert ratio in {f"{goal['value']:.2f}" for goal in goals}, (name, ratio)
