"""Run one of the clients, for each port that a line of standard input gives."""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import logging
import sys

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
parser.add_argument("--compression", action="store_true")
parser.add_argument("--tls", action="store_true")
parser.add_argument("--turns", action="store_true")


def main() -> None:
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    module = importlib.import_module(f"benchmarks.clients.{arguments.name}")
    factory = asyncio.new_event_loop
    if arguments.loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    gc.freeze()
    print(0, flush=True)  # it is ready, and has no port
    scheme = "wss" if arguments.tls else "ws"
    with asyncio.Runner(loop_factory=factory) as runner:
        for line in sys.stdin:
            uri = f"{scheme}://127.0.0.1:{int(line)}/"
            runner.run(
                module.run(
                    uri,
                    tls=arguments.tls,
                    compression=arguments.compression,
                    turns=arguments.turns,
                )
            )


if __name__ == "__main__":
    main()
