"""Peers that are no Python: a bare loop in C, uWebSockets in C++, ws of Node.

uWebSockets comes from the sources in a crate, by cargo; ws from the ``node_modules``
that ``./dev`` fills. What can't be had is left out.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .common import BUILD, HERE, TOP

CRATE = "libuwebsockets-sys"
CRATE_VERSION = "0.0.10"
# What uWebSockets' own makefiles compile with.
UWS_FLAGS = [
    "-O3",
    "-march=native",
    "-flto=auto",
    "-DLIBUS_USE_OPENSSL",
    "-DUWS_NO_ZLIB",
]


class Missing(Exception):
    """A program can't be had; says why in a few words."""


def _run(*command: str | Path, folder: Path = TOP) -> None:
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
    except FileNotFoundError:
        raise Missing(f"{words[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Missing(f"{words[0]} took too long") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["failed"]
        # Of a compiler the first error says most, of cargo the last line.
        first = next((line for line in lines if "error" in line), lines[-1])
        raise Missing(f"{words[0]}: {first.strip()[:200]}")


def _stale(program: Path, *sources: Path) -> bool:
    if not program.exists():
        return True
    built = program.stat().st_mtime
    return any(source.stat().st_mtime > built for source in sources)


def client(name: str) -> Path:
    """One of our load clients, the server for clients, or what stands beside those
    that are measured, compiled unless that was done."""
    tls = name.endswith("-tls")
    main = HERE / "c" / f"{name.removesuffix('-tls')}.c"
    stream = HERE / "c" / ("stream_tls.c" if tls else "stream_plain.c")
    sources = [main, HERE / "c" / "client.c", stream]
    program = BUILD / name
    if _stale(program, *sources, *(HERE / "c").glob("*.h")):
        BUILD.mkdir(parents=True, exist_ok=True)
        openssl = tls or name in {"feed", "tls_calls", "reconnect"}
        libraries = ["-lssl", "-lcrypto"] if openssl else []
        libraries += ["-lz"] if name.startswith("take") else []
        compiler = os.environ.get("CC", "cc")
        try:
            _run(compiler, "-std=c11", "-O2", *sources, "-o", program, *libraries)
        except Missing as error:
            raise SystemExit(f"the client {name}: {error}") from None
    return program


@functools.cache
def _epoll() -> list[str]:
    source = HERE / "c" / "epoll_echo.c"
    program = BUILD / "epoll_echo"
    if _stale(program, source):
        BUILD.mkdir(parents=True, exist_ok=True)
        compiler = os.environ.get("CC", "cc")
        options = "-std=c11", "-O2", "-march=native"
        _run(compiler, *options, source, "-o", program, "-lcrypto")
    return [str(program)]


def _uws_sources() -> Path:
    """Of uWebSockets; in the place where cargo unpacks a dummy crate's dependency."""
    folder = BUILD / "uws"
    sources = folder / "vendor" / CRATE / "uWebSockets"
    if not sources.exists():
        (folder / "src").mkdir(parents=True, exist_ok=True)
        (folder / "src" / "lib.rs").write_text("")
        (folder / "Cargo.toml").write_text(
            '[package]\nname = "peers"\nversion = "0.0.0"\nedition = "2021"\n'
            f'[dependencies]\n{CRATE} = "={CRATE_VERSION}"\n[workspace]\n'
        )
        _run("cargo", "vendor", "--quiet", "vendor", folder=folder)
    if not sources.exists():
        raise Missing(f"no sources in {CRATE} {CRATE_VERSION}")
    return sources


@functools.cache
def _uws() -> list[str]:
    source = HERE / "c" / "uws_echo.cpp"
    program = BUILD / "uws_echo"
    if _stale(program, source):
        sources = _uws_sources()
        sockets = sources / "uSockets" / "src"
        objects = BUILD / "uws" / "objects"
        objects.mkdir(exist_ok=True)
        include = [f"-I{sources / 'src'}", f"-I{sockets}"]
        _run(
            os.environ.get("CC", "cc"),
            *("-std=gnu11", *UWS_FLAGS, *include, "-w", "-c"),
            *sorted(sockets.glob("*.c")),
            *sorted(sockets.glob("eventing/*.c")),
            *sorted(sockets.glob("crypto/*.c")),
            folder=objects,
        )
        _run(
            os.environ.get("CXX", "c++"),
            *("-std=c++20", *UWS_FLAGS, *include, "-w"),
            *(source, *sorted(sockets.glob("crypto/*.cpp"))),
            *sorted(objects.glob("*.o")),
            *("-lssl", "-lcrypto", "-lpthread", "-o", "uws_echo"),
            folder=objects,
        )
        # Only when it is complete.
        (objects / "uws_echo").replace(program)
    return [str(program)]


def _node_version() -> str | None:
    path = TOP / "node_modules" / "ws" / "package.json"
    if not path.exists():
        return None
    number: str = json.loads(path.read_text())["version"]
    return number


def _node() -> list[str]:
    if shutil.which("node") is None:
        raise Missing("node is not installed")
    if _node_version() is None:
        raise Missing("not installed; npm install --no-save ws@8.23.0")
    servers = TOP / "pywscore" / "cli" / "_bench" / "servers"
    return ["node", str(servers / "node_ws.mjs")]


PROGRAMS: dict[str, Callable[[], list[str]]] = {
    "epoll_client": lambda: [str(client("take"))],
    "epoll_client_tls": lambda: [str(client("take-tls"))],
    "epoll_client_own": lambda: [str(client("take")), "--own"],
    "ssl_calls": lambda: [sys.executable, "-m", "benchmarks.ssl_calls"],
    "tls_calls": lambda: [str(client("tls_calls"))],
    "epoll_echo": _epoll,
    "epoll_broadcast": lambda: [*_epoll(), "--broadcast"],
    "uws_echo": _uws,
    "uws_broadcast": lambda: [*_uws(), "--broadcast"],
    "node_ws": _node,
}


def missing(program: str) -> str | None:
    """Why a program can't be run here; None if it can."""
    try:
        PROGRAMS[program]()
    except Missing as error:
        return str(error)
    return None


def name(program: str, title: str) -> str:
    if program.startswith("uws"):
        return f"{title} ({CRATE} {CRATE_VERSION})"
    if program.startswith("node"):
        return f"{title} {_node_version()}"
    return title
