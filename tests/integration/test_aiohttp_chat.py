"""examples/chat_aiohttp.py in a real browser."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from browser import MARKS, chromium, free_port, join, say, shots_folder

import pywscore

pytestmark = MARKS


@contextmanager
def chat(root: Path, port: int) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, str(root / "examples/chat_aiohttp.py"), "--port", str(port)],
        env={"PYTHONPATH": str(root), "PATH": "", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        while "Running on" not in (line := process.stdout.readline()):
            assert line, "the server did not start"
        yield f"http://127.0.0.1:{port}/"
    finally:
        # At its end the server says goodbye: nobody is waited for.
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


def test_browsers_and_a_program_chat(root: Path, tmp_path: Path) -> None:
    async def main() -> None:
        async with chromium(tmp_path) as browser:
            with chat(root, free_port()) as url:
                ann, bob = await browser.open(url), await browser.open(url)
                await join(ann, "Ann")
                await ann.sees("Ann joined; 1 here")
                await join(bob, "Bob & Co/é")
                await ann.sees("Bob & Co/é joined; 2 here")
                await say(ann, "<b>Good</b> morning, 早安")
                await bob.sees("Ann: <b>Good</b> morning, 早安")
                await ann.sees("Ann: <b>Good</b> morning, 早安")
                uri = url.replace("http", "ws") + "ws/Program"
                async with pywscore.connect(uri) as ws:
                    assert "Program joined" in str(await ws.recv())
                    await ws.send("beep")
                    await ann.sees("Program: beep")
                    await bob.sees("Program: beep")
                await bob.sees("Program left")
                twin = await browser.open(url)
                await join(twin, "Ann")
                await twin.sees("this name can't be used, or is taken")
                await ann.screenshot(shots_folder(tmp_path) / "chat-aiohttp.png")
                await twin.call("Page.close")
                await ann.sees("Program left")
            # The server has ended by now, and said why.
            await ann.sees("Not connected: server shutdown")
            await bob.sees("Not connected: server shutdown")
            assert not browser.console, browser.console

    asyncio.run(main())
