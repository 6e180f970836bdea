"""Echoes and opening handshakes of the Python package, for instructions.py to count: as
in instructions.c, with os.getpgid() between the parts.

The clients are a process of their own, which isn't counted: server and clients take
turns, so that all of a round is there when the server looks.
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
from functools import partial
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


Rounds = Callable[[int], Awaitable[None]]


async def measure(name: str, done: Rounds, rounds: int, each: int) -> None:
    await done(2)
    os.getpgid(0)
    await done(rounds)
    os.getpgid(0)
    await done(3 * rounds)
    os.getpgid(0)
    print(f"{name}: {2 * rounds * each}")


def sans_io() -> Rounds:
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


def opening_clients(path: str) -> None:
    """The same of connections that are opened, and then dropped."""
    for line in sys.stdin:
        for _ in range(int(line)):
            sockets = [socket.socket(socket.AF_UNIX) for _ in range(LINKS)]
            for each in sockets:
                each.connect(path)
                each.sendall(REQUEST)
            print("sent", flush=True)
            for each in sockets:
                while not each.recv(1000).endswith(b"\r\n\r\n"):
                    pass
            for each in sockets:
                each.close()
            print("closed", flush=True)


@asynccontextmanager
async def engine(serve: Any, opening: bool = False) -> AsyncIterator[Rounds]:
    async with serve as server:
        path = server.sockets[0].getsockname()
        with subprocess.Popen(
            [sys.executable, __file__, path, *["opening"] * opening],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={k: v for k, v in os.environ.items() if k != "LD_PRELOAD"},
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            orders, turns = process.stdin, process.stdout
            while not opening and len(server.connections) < LINKS:
                await asyncio.sleep(0)

            async def done(rounds: int) -> None:
                orders.write(f"{rounds}\n".encode())
                orders.flush()
                for _ in range(2 * rounds if opening else rounds):
                    turns.readline()
                    for _ in range(4):
                        await asyncio.sleep(0)

            yield done
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
        serve = partial(pywscore.unix_serve, path=path, compression=None)
        async with engine(serve(handler)) as done:
            await measure("Python, handler, 256 B", done, 16, LINKS)
        async with engine(serve(None, listener=Listener)) as done:
            await measure("Python, listener, 256 B", done, 16, LINKS)
        async with engine(serve(handler), opening=True) as done:
            await measure("Python, handler, opened and lost", done, 4, LINKS)
        async with engine(serve(None, listener=Listener), opening=True) as done:
            await measure("Python, listener, opened and lost", done, 4, LINKS)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        (opening_clients if sys.argv[2:] else clients)(sys.argv[1])
    else:
        asyncio.run(main())
