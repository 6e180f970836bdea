"""One of our clients, sending messages back: python clients.py FACE URL AGENT

Runs all cases of a fuzzing server, then has it write its report.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Literal

import pywscore

MAX_SIZE = 1 << 25

# What runs at URL until the peer ends it, and gives the last message.
Run = Callable[[str], Awaitable[Any]]


async def run_carrier(
    url: str, carrier: Literal["engine", "transport"], **options: Any
) -> Any:
    last = None
    async with pywscore.connect(
        url, carrier=carrier, max_size=MAX_SIZE, ping_interval=None, **options
    ) as ws:
        with suppress(pywscore.ConnectionClosed):
            async for last in ws:
                await ws.send(last)
    return last


async def run_engine(url: str) -> Any:
    return await run_carrier(url, "engine")


async def run_transport(url: str) -> Any:
    return await run_carrier(url, "transport")


async def run_tls(url: str) -> Any:
    return await run_carrier(url, "engine", ssl=pywscore.TLSContext.client())


async def run_aiohttp(url: str) -> Any:
    from aiohttp import ClientConnectionError, ClientSession, WSMsgType

    from pywscore.integrations.aiohttp import ws_connect

    last = None
    async with (
        ClientSession() as session,
        ws_connect(session, url, max_msg_size=MAX_SIZE, compress=15) as ws,
    ):
        async for message in ws:
            last = message.data
            with suppress(ClientConnectionError):
                if message.type is WSMsgType.TEXT:
                    await ws.send_str(message.data)
                elif message.type is WSMsgType.BINARY:
                    await ws.send_bytes(message.data)
    return last


FACES: dict[str, Run] = {
    "engine": run_engine,
    "transport": run_transport,
    "tls": run_tls,
    # Python's default context, as nothing else is given.
    "ssl": run_engine,
    "aiohttp": run_aiohttp,
}


async def main(face: str, url: str, agent: str) -> None:
    run = FACES[face]
    count = int(await run(f"{url}/getCaseCount"))
    for case in range(1, count + 1):
        try:
            await run(f"{url}/runCase?case={case}&agent={agent}")
        except Exception as exc:  # the report tells what the suite made of it
            print(f"case number {case}: {exc!r}", flush=True)
    await run(f"{url}/updateReports?agent={agent}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
