"""Run one of the servers: a module with ``serve()``, by its dotted name. Prints its
port; for each line on standard input, the processor time in seconds that it has used.
It ends when its standard input ends."""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


async def main(name: str, compression: bool, tls: Path | None) -> None:
    module = importlib.import_module(name)
    # Not every server does TLS.
    more: dict[str, Any] = {} if tls is None else {"tls": tls}
    port = await module.serve(compression, **more)
    print(port, flush=True)
    ended = asyncio.Event()

    def answer() -> None:
        asked = os.read(sys.stdin.fileno(), 4096)
        for _ in range(asked.count(b"\n")):
            print(time.process_time(), flush=True)
        if not asked:
            ended.set()

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), answer)
    await ended.wait()
    # Nothing that happens from here on is measured.
    os._exit(0)


parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
parser.add_argument("--compression", action="store_true")
parser.add_argument("--tls", type=Path, metavar="FOLDER")
arguments = parser.parse_args()
logging.disable(logging.CRITICAL)
gc.freeze()
factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
if arguments.loop == "uvloop":
    import uvloop

    factory = uvloop.new_event_loop
with asyncio.Runner(loop_factory=factory) as runner:
    runner.run(main(arguments.name, arguments.compression, arguments.tls))
