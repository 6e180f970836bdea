"""An echo server in a process of its own: python tls_server.py KIND PEM. Says its
port, and after each line of its input how many bytes of memory it has."""

from __future__ import annotations

import asyncio
import gc
import pathlib
import ssl
import sys
from typing import Any

import pywscore


def say_resident() -> None:
    if not sys.stdin.readline():
        sys.exit()
    gc.collect()
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    print(int(pages) * 4096, flush=True)


async def echo(ws: Any) -> None:
    async for message in ws:
        await ws.send(message)


async def main() -> None:
    kind, chain = sys.argv[1:]
    tls: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain)
    if kind == "TLSContext":
        tls = pywscore.TLSContext.server(chain)
    async with pywscore.serve(
        echo, "127.0.0.1", 0, ssl=tls, ping_interval=None
    ) as server:
        asyncio.get_running_loop().add_reader(0, say_resident)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
