"""The server and the page of the tutorial's chapter 9, in a browser."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blocks import block
from browser import MARKS, Page, chromium, free_port

import pywscore

SERVER = block("docs/tutorial/09-client-and-page.md", "chat.py")
PAGE = block("docs/tutorial/09-client-and-page.md", "chat.html")


@contextmanager
def running(folder: Path, port: int) -> Iterator[None]:
    (folder / "chat.py").write_text(SERVER.replace("8765", str(port)))
    (folder / "chat.html").write_text(PAGE)
    process = subprocess.Popen(
        [sys.executable, "chat.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def got(url: str) -> bytes:
    end = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.read()  # type: ignore[no-any-return]
        except OSError:
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.1)


def test_server(tmp_path: Path) -> None:
    async def talk() -> None:
        uri, origin = f"ws://127.0.0.1:{port}/chat", f"http://127.0.0.1:{port}"
        async with (
            pywscore.connect(uri, origin=origin) as ann,
            pywscore.connect(uri, origin=origin) as bob,
        ):
            await ann.send("hello")
            assert [await ann.recv(), await bob.recv()] == ["hello", "hello"]
        with pytest.raises(pywscore.InvalidStatus, match="403"):
            await pywscore.connect(uri, origin="http://evil.example")

    port = free_port()
    with running(tmp_path, port):
        assert got(f"http://127.0.0.1:{port}/") == PAGE.encode()
        asyncio.run(asyncio.wait_for(talk(), 30))


async def says(page: Page, text: str) -> None:
    await page.wait_for("ws && ws.readyState === WebSocket.OPEN")
    await page.click("input")
    await page.write(text)
    await page.enter()


class TestPage:
    pytestmark = MARKS

    def test_comes_back(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with chromium(tmp_path) as browser:
                with running(tmp_path, port):
                    await asyncio.to_thread(got, url)
                    ann, bob = await browser.open(url), await browser.open(url)
                    await bob.wait_for("ws && ws.readyState === WebSocket.OPEN")
                    await says(ann, "hello <b>bob</b>")
                    await bob.sees("hello <b>bob</b>", "ol")
                with running(tmp_path, port):
                    await bob.wait_for("ws.readyState === WebSocket.OPEN")
                    await says(ann, "again")
                    await bob.sees("again", "ol")

        port = free_port()
        url = f"http://127.0.0.1:{port}/"
        asyncio.run(asyncio.wait_for(scenario(), 90))
