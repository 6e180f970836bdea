"""A server and its client in one process, so that all of a message is there when the
server looks. Arguments: loop, bytes of a message, how many; it ends when all are taken.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
from collections.abc import Callable

import pywscore

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def main(size: int, count: int) -> None:
    taken = 0

    async def take(ws: pywscore.ServerConnection) -> None:
        nonlocal taken
        async for _ in ws:
            taken += 1

    # Masked with a key of zeros.
    frame = b"\x82\xfe" + size.to_bytes(2, "big") + bytes(4 + size)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        async with pywscore.unix_serve(take, path=path) as server:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.sendall(REQUEST)
                while not server.connections:
                    await asyncio.sleep(0)
                for number in range(count):
                    client.sendall(frame)
                    while taken == number:
                        await asyncio.sleep(0)


if __name__ == "__main__":
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if sys.argv[1] == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main(int(sys.argv[2]), int(sys.argv[3])))
