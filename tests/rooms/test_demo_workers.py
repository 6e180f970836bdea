"""The chat of the demo on two workers over Redis, in real browsers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from browser import MARKS, Page, chromium
from demos import Demo, demo
from nodes import needs_redis
from servers import Redis

import pywscore

pytestmark = [*MARKS, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
SHOTS = Path(os.environ.get("PYWSCORE_SCREENSHOTS", ROOT / "build/screenshots"))


async def events_of(demo: Demo, name: str) -> AsyncIterator[dict[str, Any]]:
    """What a program in the same room gets."""
    uri = f"ws://127.0.0.1:{demo.port}/ws/{name}?room=tea"
    async for ws in pywscore.connect(
        uri, subprotocols=["chat.pywscore"], proxy=None, close_timeout=1
    ):
        with contextlib.suppress(pywscore.ConnectionClosed):
            async for message in ws:
                yield json.loads(message)


async def people(demo: Demo) -> dict[str, list[str]]:
    """What is told of each person: the node of their worker, a dot, and more."""
    events = events_of(demo, "Looker")
    async for event in events:
        if event["type"] == "welcome":
            await events.aclose()  # type: ignore[attr-defined]
            found: dict[str, list[str]] = {}
            for user in event["users"]:
                found.setdefault(user["name"], []).append(user["id"])
            return found
    raise AssertionError


def nodes(found: dict[str, list[str]]) -> set[str]:
    ids = [*found.get("Ann", []), *found.get("Bob", [])]
    return {it.partition(".")[0] for it in ids}


async def apart(demo: Demo, ann: Page, bob: Page) -> set[str]:
    """The nodes of their workers, once each has one of them."""
    was: list[str] = []
    async with asyncio.timeout(60):
        while True:
            await ann.wait_online()
            await bob.wait_online()
            found = await people(demo)
            hers, his = found.get("Ann", []), found.get("Bob", [])
            if len(hers) != 1 or len(his) != 1 or his == was:
                await asyncio.sleep(0.1)  # who comes and goes is told by and by
            elif len(both := nodes(found)) == 2:
                return both
            else:
                was = his
                await bob.call("Page.reload")  # the kernel chooses


async def talk(page: Page, texts: list[str]) -> None:
    """As somebody who tries again while there is no connection."""
    for text in texts:
        await page.click("#text")
        await page.write(text)
        async with asyncio.timeout(30):
            while await page.evaluate("document.getElementById('text').value"):
                await page.wait_online()
                await page.enter()


async def bubbles(page: Page, count: int) -> list[str]:
    found = "[...document.querySelectorAll('.bubble')].map((n) => n.textContent)"
    await page.wait_for(f"{found}.length >= {count}", 30)
    return list(await page.evaluate(found))


def test_a_worker_is_killed_while_two_people_talk(tmp_path: Path) -> None:
    """Both go on, each sees all that was said once, in one order; nobody left."""
    needs_redis()

    async def scenario(demo: Demo) -> None:
        async with chromium(tmp_path) as browser:
            ann = await browser.open(f"{demo.url}/?room=tea&name=Ann")
            bob = await browser.open(f"{demo.url}/?room=tea&name=Bob")
            before = await apart(demo, ann, bob)
            await ann.wait_for("document.querySelectorAll('.user').length === 2")
            await bob.click("#text")
            await bob.write("x")
            await ann.sees("Bob is typing…", "#typing")
            await bob.evaluate("document.getElementById('text').value = ''")

            said = {name: [f"{name} {n}" for n in range(20)] for name in ("Ann", "Bob")}
            began = asyncio.Event()

            async def kill() -> None:
                await began.wait()
                os.kill(demo.workers()[0], signal.SIGKILL)

            killing = asyncio.create_task(kill())
            for page, name in ((ann, "Ann"), (bob, "Bob")):
                await talk(page, said[name][:2])
            began.set()
            await asyncio.gather(
                killing,
                *(talk(p, said[n][2:]) for p, n in ((ann, "Ann"), (bob, "Bob"))),
            )
            seen = await bubbles(ann, 40)
            assert await bubbles(bob, 40) == seen
            for texts in said.values():
                assert [it for it in seen if it in texts] == texts
            assert len(seen) == 40

            # The one who came back is there twice until the dead worker is forgotten.
            async with asyncio.timeout(20):
                while before <= nodes(await people(demo)):
                    await asyncio.sleep(0.2)
            await ann.say("Still there?")
            await bob.sees("Still there?")
            assert await ann.users() == ["Ann", "Bob"]
            assert await bob.users() == ["Bob", "Ann"]
            came_back = 0
            for page, other in ((ann, "Bob"), (bob, "Ann")):
                *_, meanwhile = (await page.text("#log")).split(f"{other} 0")
                assert f"{other} left" not in meanwhile
                came_back += "You are back" in meanwhile
            assert came_back == 1
            SHOTS.mkdir(parents=True, exist_ok=True)
            for page, name in ((ann, "ann"), (bob, "bob")):
                await page.evaluate(
                    "[...document.querySelectorAll('.notice')]"
                    ".find((n) => n.textContent === 'You are back')"
                    "?.scrollIntoView({ block: 'center' })"
                )
                await page.screenshot(SHOTS / f"two-workers-{name}.png")

    with Redis() as redis, demo(redis) as running:
        asyncio.run(asyncio.wait_for(scenario(running), 110))


def test_a_redis_that_forgets_is_a_gap(tmp_path: Path) -> None:
    needs_redis()

    async def scenario(demo: Demo, redis: Redis) -> None:
        async with chromium(tmp_path) as browser:
            ann = await browser.open(f"{demo.url}/?room=tea&name=Ann")
            await ann.say("Before")
            await asyncio.to_thread(redis.kill)
            # What is said meanwhile isn't lost.
            await ann.click("#text")
            await ann.write("Meanwhile")
            await ann.enter()
            await ann.sees("The room can't be reached", "#problem")
            await asyncio.to_thread(redis.start)
            await ann.sees("Some messages are missing here")
            assert (await bubbles(ann, 2)) == ["Before", "Meanwhile"]
            await ann.say("After")
            SHOTS.mkdir(parents=True, exist_ok=True)
            await ann.screenshot(SHOTS / "gap.png")

    with Redis() as redis, demo(redis) as running:
        asyncio.run(asyncio.wait_for(scenario(running, redis), 110))
