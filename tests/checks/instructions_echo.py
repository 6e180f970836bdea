"""Echoes of the Python package, for instructions.py to count: as in instructions.c,
with os.getpgid() between the parts.

The clients are a process of their own, which isn't counted: server and clients take
turns, so that all messages of a round are there when the server looks.
"""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pywscore

LINKS = 64
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def frame(size: int) -> bytes:
    """A client's message of zeros; so is the masking key, which makes no difference."""
    extended = bytes([126]) + size.to_bytes(2, "big")
    return bytes([0x82, 0x80 | extended[0]]) + extended[1:] + bytes(4) + bytes(size)


Echo = Callable[[int], Awaitable[None]]


async def measure(name: str, echo: Echo, rounds: int, each: int) -> None:
    await echo(2)
    os.getpgid(0)
    await echo(rounds)
    os.getpgid(0)
    await echo(3 * rounds)
    os.getpgid(0)
    print(f"{name}: {2 * rounds * each}")


def sans_io() -> Echo:
    protocol = pywscore.ServerProtocol()
    protocol.receive_data(REQUEST)
    protocol.next_event()
    protocol.accept()
    protocol.data_to_send()
    data = frame(256)

    async def echo(rounds: int) -> None:
        for _ in range(rounds):
            protocol.receive_data(data)
            event: Any = protocol.next_event()
            protocol.send_binary(event.data)
            protocol.data_to_send()

    return echo


def clients(path: str) -> None:
    """In a process of their own: for each line of standard input so many rounds."""
    sockets = [socket.socket(socket.AF_UNIX) for _ in range(LINKS)]
    for each in sockets:
        each.connect(path)
        each.sendall(REQUEST)
        while not each.recv(1000).endswith(b"\r\n\r\n"):
            pass
    data = frame(256)
    for line in sys.stdin:
        for _ in range(int(line)):
            for each in sockets:
                each.sendall(data)
            print("sent", flush=True)
            for each in sockets:
                each.recv(4 + 256, socket.MSG_WAITALL)
    for each in sockets:
        each.close()


@asynccontextmanager
async def engine(serve: Any) -> AsyncIterator[Echo]:
    async with serve as server:
        path = server.sockets[0].getsockname()
        with subprocess.Popen(
            [sys.executable, __file__, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={k: v for k, v in os.environ.items() if k != "LD_PRELOAD"},
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            orders, turns = process.stdin, process.stdout
            while len(server.connections) < LINKS:
                await asyncio.sleep(0)

            async def echo(rounds: int) -> None:
                orders.write(f"{rounds}\n".encode())
                orders.flush()
                for _ in range(rounds):
                    turns.readline()
                    for _ in range(4):
                        await asyncio.sleep(0)

            yield echo
            orders.close()
            while server.connections:
                await asyncio.sleep(0)


async def handler(ws: pywscore.ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


class Listener:
    def on_message(self, ws: pywscore.ServerConnection, message: str | bytes) -> None:
        ws.send_nowait(message)


async def main() -> None:
    gc.disable()
    await measure("Python, in memory, 256 B", sans_io(), 512, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        async with engine(pywscore.unix_serve(handler, path, compression=None)) as echo:
            await measure("Python, handler, 256 B", echo, 16, LINKS)
        serve = pywscore.unix_serve(None, path, listener=Listener, compression=None)
        async with engine(serve) as echo:
            await measure("Python, listener, 256 B", echo, 16, LINKS)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        clients(sys.argv[1])
    else:
        asyncio.run(main())
