"""examples/chat_fastapi.py in a real browser."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
from browser import MARKS, chromium, free_port, join, say, shots_folder

import pywscore

pytestmark = MARKS


@contextmanager
def chat(root: Path, port: int) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, str(root / "examples/chat_fastapi.py"), "--port", str(port)],
        env={"PYTHONPATH": str(root), "PATH": ""},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        while "running on" not in (line := process.stderr.readline()):
            assert line, "the server did not start"
        yield f"http://127.0.0.1:{port}/"
        process.terminate()
        process.communicate(timeout=15)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_two_people_and_a_program_chat(root: Path, tmp_path: Path) -> None:
    async def main() -> None:
        async with chromium(tmp_path) as browser:
            with chat(root, free_port()) as url:
                ann, bob = await browser.open(url), await browser.open(url)
                await join(ann, "Ann")
                await ann.sees("Ann joined")
                shown = "document.getElementById('join').offsetHeight > 0"
                assert not await ann.evaluate(shown)
                await join(bob, "Bob & Co")
                await ann.sees("Bob & Co joined; 2 here")
                await say(ann, "Hello <b>there</b>, grün €")
                await bob.sees("Ann: Hello <b>there</b>, grün €")
                await ann.sees("Ann: Hello <b>there</b>, grün €")
                uri = url.replace("http", "ws") + "ws/Program"
                async with pywscore.connect(uri) as ws:
                    assert "Program joined" in str(await ws.recv())
                    await ws.send("beep")
                    await ann.sees("Program: beep")
                    await bob.sees("Program: beep")
                await ann.sees("Program left")
                twin = await browser.open(url)
                await join(twin, "Ann")
                await twin.sees("this name can't be used, or is taken")
                await ann.screenshot(shots_folder(tmp_path) / "chat-fastapi.png")
            await bob.sees("Not connected")
            assert browser.console == []

    asyncio.run(asyncio.wait_for(main(), 60))
