"""Chromium, driven over the DevTools protocol by our client, for tests of pages."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import pywscore

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-port=0",
)
PATIENCE = 15  # seconds for anything to show on a page
DESKTOP = (1180, 760)
PHONE = (390, 800)

# Of the tests that need it.
MARKS = [
    pytest.mark.external,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]


class Browser:
    """Chromium's DevTools: numbered commands out, answers and events in."""

    def __init__(self, ws: pywscore.Connection) -> None:
        self._ws = ws
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.console: list[str] = []

    async def listen(self) -> None:
        async for message in self._ws:
            event = json.loads(message)
            answer = self._answers.pop(event.get("id", 0), None)
            if answer is not None:
                answer.set_result(event)
            elif event.get("method") == "Log.entryAdded":
                entry = event["params"]["entry"]
                self.console.append(f"{entry['source']}: {entry['text']}")
            elif event.get("method") == "Runtime.exceptionThrown":
                self.console.append(json.dumps(event["params"]["exceptionDetails"]))

    async def call(
        self, method: str, *, session: str | None = None, **parameters: Any
    ) -> dict[str, Any]:
        command = {"id": next(self._numbers), "method": method, "params": parameters}
        if session is not None:
            command["sessionId"] = session
        answer = asyncio.get_running_loop().create_future()
        self._answers[command["id"]] = answer
        await self._ws.send(json.dumps(command))
        event = await asyncio.wait_for(answer, PATIENCE)
        assert "error" not in event, (method, event)
        return dict(event["result"])

    async def open(self, url: str, *, size: tuple[int, int] = DESKTOP) -> Page:
        """A page in a context of its own: another person, another storage."""
        context = await self.call("Target.createBrowserContext")
        return await self.open_in(context["browserContextId"], url, size=size)

    async def open_in(
        self, context: str, url: str, *, size: tuple[int, int] = DESKTOP
    ) -> Page:
        target = await self.call(
            "Target.createTarget", url="about:blank", browserContextId=context
        )
        attached = await self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = Page(self, attached["sessionId"], context)
        await page.call("Log.enable")
        await page.call("Runtime.enable")
        # Every page believes it has the focus, as windows side by side would.
        await page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        await page.resize(size)
        await page.call("Page.navigate", url=url)
        await page.wait_for("document.readyState === 'complete'")
        return page


class Page:
    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser = browser
        self._session = session
        self.context = context

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self._browser.call(method, session=self._session, **parameters)

    async def evaluate(self, expression: str) -> Any:
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def wait_for(self, expression: str, patience: float = PATIENCE) -> None:
        try:
            async with asyncio.timeout(patience):
                while not await self.evaluate(expression):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = await self.evaluate("document.body?.innerText")
            pytest.fail(f"never true: {expression}\npage shows:\n{text}")

    async def resize(self, size: tuple[int, int], *, dark: bool = False) -> None:
        width, height = size
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, path: Path) -> None:
        shot = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    # What a person does.

    async def write(self, text: str) -> None:
        await self.call("Input.insertText", text=text)

    async def press(self, key: str, code: int) -> None:
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **text,
            )

    async def enter(self) -> None:
        await self.press("Enter", 13)

    async def click(self, selector: str) -> None:
        box = await self.evaluate(
            f"(() => {{ const b = document.querySelector({selector!r})"
            ".getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box[0],
                y=box[1],
                button="left",
                clickCount=1,
            )

    async def say(self, text: str) -> None:
        await self.wait_online()
        await self.click("#text")
        await self.write(text)
        await self.enter()
        await self.sees(text)

    # What a person sees.

    async def wait_online(self) -> None:
        await self.wait_for(
            "document.getElementById('state')?.dataset.state === 'online'"
            " && document.querySelectorAll('.user').length > 0"
        )

    async def sees(self, text: str, where: str = "#log") -> None:
        await self.wait_for(
            f"document.querySelector({where!r})?.innerText.includes({json.dumps(text)})"
        )

    async def text(self, selector: str) -> str:
        return str(
            await self.evaluate(f"document.querySelector({selector!r}).innerText")
        )

    async def users(self) -> list[str]:
        names = await self.evaluate(
            "[...document.querySelectorAll('.user-name')].map((n) => n.textContent)"
        )
        return list(names)


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Browser]:
    profile = folder / "profile"
    assert CHROMIUM is not None
    process = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port_file = profile / "DevToolsActivePort"
        async with asyncio.timeout(60):
            while not port_file.exists() or "\n" not in port_file.read_text():
                await asyncio.sleep(0.05)
        port, path = port_file.read_text().splitlines()[:2]
        uri = f"ws://127.0.0.1:{port}{path}"
        # DevTools neither compresses nor stays within 1 MiB (screenshots).
        async with pywscore.connect(uri, compression=None, max_size=1 << 26) as ws:
            browser = Browser(ws)
            listening = asyncio.create_task(browser.listen())
            try:
                yield browser
            finally:
                listening.cancel()
                await asyncio.wait([listening])
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def shots_folder(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("PYWSCORE_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# The page of examples/chat_*.py ----------------------------------------------------


async def join(page: Page, name: str) -> None:
    await page.click("#name")
    await page.write(name)
    await page.enter()


async def say(page: Page, text: str) -> None:
    await page.click("#text")
    await page.write(text)
    await page.enter()
