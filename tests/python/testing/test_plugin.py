"""What pytest gets, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import asyncio
import pytest
from pywscore.testing import Faults

def test_pair(ws_pair):
    async def main():
        async with ws_pair() as (client, server):
            await client.send("x")
            assert await server.recv() == "x"
    asyncio.run(main())

def test_server_and_faults(ws_server, ws_faults):
    async def echo(ws):
        async for message in ws:
            await ws.send(message)
    async def main():
        link = ws_faults(split="random")
        print("seed", link.seed)
        async with ws_server(echo) as server, server.connect(link=link) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
    asyncio.run(main())

def test_connect(ws_connect):
    import pywscore
    async def main():
        handler = lambda ws: ws.wait_closed()
        async with pywscore.serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with ws_connect(f"ws://127.0.0.1:{port}/") as ws:
                assert ws.state.name == "OPEN"
    asyncio.run(main())

def test_pieces(ws_faults):
    from pywscore.testing._faults import Direction
    link = ws_faults()
    print("pieces", len(link._to_server.carry(b"x" * 50)[0]))
"""

LEAKS = """
import asyncio

def test_a_task(ws_pair):
    async def main():
        async with ws_pair() as (client, server):
            asyncio.create_task(asyncio.sleep(30), name="forgotten")
    asyncio.run(main())

def test_a_connection(ws_pair):
    async def main():
        pair = ws_pair()
        await pair.__aenter__()
        main.pair = pair
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    test_a_connection.kept = loop, main
"""


def pytest_of(folder: Path, text: str, *arguments: str) -> str:
    (folder / "test_it.py").write_text(text)
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider"),
            *("-p", "pywscore.testing._plugin", "-q", "-rA", *arguments, "test_it.py"),
        ],
        cwd=folder,
        # Whether this package is installed or not, its plugin is there once.
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(("split", "pieces"), [("whole", "1"), ("bytes", "50")])
def test_fixtures(tmp_path: Path, split: str, pieces: str) -> None:
    said = pytest_of(tmp_path, TESTS, f"--ws-split={split}", "--ws-seed=5")
    assert "4 passed" in said, said
    assert "seed 5" in said and "--ws-seed=5" in said
    assert f"pieces {pieces}\n" in said


def test_leaks(tmp_path: Path) -> None:
    said = pytest_of(tmp_path, LEAKS)
    assert "a task is left running" in said and "forgotten" in said, said
    assert "a connection is left open: <ClientConnection OPEN" in said, said
    assert "2 passed, 2 errors" in said
