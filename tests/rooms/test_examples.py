"""examples/chat_aiohttp.py and examples/chat_fastapi.py are one room over Redis."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nodes import needs_redis
from servers import Redis, free_port

import pywscore

pytestmark = [pytest.mark.external, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def example(name: str, *arguments: str) -> Iterator[str]:
    port = free_port()
    program = str(ROOT / f"examples/{name}.py")
    process = subprocess.Popen(
        [sys.executable, program, "--port", str(port), *arguments],
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"ws://127.0.0.1:{port}/ws"
    finally:
        process.terminate()
        try:
            process.wait(15)
        finally:
            process.kill()


async def connect(uri: str) -> pywscore.ClientConnection:
    end = time.monotonic() + 30
    while True:
        try:
            return await pywscore.connect(uri, proxy=None, close_timeout=1)
        except OSError:
            assert time.monotonic() < end, "the server did not start"
            await asyncio.sleep(0.1)


async def hears(ws: pywscore.ClientConnection, wanted: str) -> None:
    async with asyncio.timeout(10):
        while await ws.recv() != wanted:
            pass


def test_one_room() -> None:
    async def scenario(one: str, two: str) -> None:
        ann = await connect(f"{one}/Ann")
        await hears(ann, "Ann joined; 1 here")
        bob = await connect(f"{two}/Bob")
        for ws in (ann, bob):
            await hears(ws, "Bob joined; 2 here")
        for ws, text in ((ann, "from aiohttp"), (bob, "from FastAPI")):
            await ws.send(text)
            name = "Ann" if ws is ann else "Bob"
            await hears(ann, f"{name}: {text}")
            await hears(bob, f"{name}: {text}")
        # A name that is taken there is taken here.
        twin = await connect(f"{one}/Bob")
        with contextlib.suppress(pywscore.ConnectionClosed):
            await twin.recv()
        assert twin.close_code == 1008
        await bob.close()
        await hears(ann, "Bob left")
        await ann.close()

    needs_redis()
    pytest.importorskip("fastapi")
    with (
        Redis() as redis,
        example("chat_aiohttp", "--redis", redis.url) as one,
        example("chat_fastapi", "--redis", redis.url) as two,
    ):
        asyncio.run(asyncio.wait_for(scenario(one, two), 90))
