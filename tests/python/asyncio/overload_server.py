"""An echo server for the tests of overload, in a process of its own.

Arguments: loop, carrier, limit of descriptors, arguments of serve() as JSON. Among them
may be "tick", the seconds between two calls by the loop whose lateness is measured, and
"tls", a file with a certificate and its key. It writes its port, and answers each line
on its standard input with its figures.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pywscore


async def echo(ws: Any) -> None:
    async for message in ws:
        await ws.send(message)


class Ticker:
    """Other work of the loop, and how late it was done."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.late: list[float] = []
        self.loop = asyncio.get_running_loop()
        self.due = self.loop.time()
        self.tick()

    def tick(self) -> None:
        now = self.loop.time()
        self.late.append(now - self.due)
        self.due = now + self.interval
        self.loop.call_at(self.due, self.tick)


def figures(server: Any, ticker: Ticker | None) -> dict[str, Any]:
    late = sorted(ticker.late) if ticker is not None else []
    if ticker is not None:
        ticker.late.clear()
    gc.collect()
    loop = asyncio.get_running_loop()
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[1])
    timers = [
        handle for handle in getattr(loop, "_scheduled", ()) if not handle._cancelled
    ]
    return {
        "rss": pages * os.sysconf("SC_PAGE_SIZE"),
        "blocks": sys.getallocatedblocks(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "tasks": len(asyncio.all_tasks()),
        "timers": len(timers),
        "connections": len(server._all),
        "cpu": time.process_time(),
        "received": server.stats().messages_received,
        "late": late,
    }


async def main(carrier: Any, limit: int, kwargs: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    tick = kwargs.pop("tick", None)
    ticker = None if tick is None else Ticker(tick)
    if (file := kwargs.pop("tls", None)) is not None:
        kwargs["ssl"] = pywscore.TLSContext.server(file)
    async with pywscore.serve(
        echo, "127.0.0.1", 0, carrier=carrier, **kwargs
    ) as server:
        if limit:
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        print(server.sockets[0].getsockname()[1], flush=True)
        lines: asyncio.Queue[str] = asyncio.Queue()

        def read() -> None:
            while line := sys.stdin.readline():
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, "")

        threading.Thread(target=read, daemon=True).start()
        while await lines.get():
            print(json.dumps(figures(server, ticker)), flush=True)


if __name__ == "__main__":
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if sys.argv[1] == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main(sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])))
