"""`pywscore demo --metrics --workers 2`: one route that tells of all workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import urllib.request
from collections.abc import Callable

import pytest
from demos import Demo, demo
from nodes import needs_redis
from servers import Redis
from waiting import until

import pywscore

CLIENTS = 16
OPEN = 'pywscore_connections{state="open"}'
RECEIVED = "pywscore_messages_received_total"

pytestmark = pytest.mark.external


def scrape(demo: Demo) -> dict[str, str]:
    with urllib.request.urlopen(f"{demo.url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line[0] != "#")


async def scraped(demo: Demo, wanted: Callable[[], dict[str, int]]) -> None:
    """Ask until it is so, and then often enough for each worker to have answered."""
    async with asyncio.timeout(20):
        answers = 0
        while answers < 12:
            samples = await asyncio.to_thread(scrape, demo)
            assert RECEIVED in samples
            found = {name: int(samples[name]) for name in wanted()}
            if found != wanted():
                assert answers == 0, found
                await asyncio.sleep(0.05)
            answers += found == wanted()


def test_a_worker_that_is_killed() -> None:
    """Its connections are gone, what it has counted isn't."""
    needs_redis()

    async def scenario(demo: Demo) -> None:
        async with contextlib.AsyncExitStack() as stack:
            clients = []
            for number in range(CLIENTS):
                uri = f"ws://127.0.0.1:{demo.port}/ws/Guest{number}?room=tea"
                opening = pywscore.connect(uri, proxy=None, max_queue=None)
                clients.append(await stack.enter_async_context(opening))
                await clients[-1].send("hello")
            await scraped(demo, lambda: {OPEN: CLIENTS, RECEIVED: CLIENTS})
            os.kill(demo.workers()[0], signal.SIGKILL)

            def living() -> int:
                return sum(ws.state is pywscore.State.OPEN for ws in clients)

            await until(lambda: living() < CLIENTS)
            await scraped(demo, lambda: {OPEN: living(), RECEIVED: CLIENTS})
            assert 0 < living() < CLIENTS

    with Redis() as redis, demo(redis, "--metrics") as running:
        asyncio.run(asyncio.wait_for(scenario(running), 60))
