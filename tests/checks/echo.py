"""One message over loopback and back, with the pywscore that is installed: what a wheel
has to do first of all."""

import asyncio

import pywscore
from pywscore.asyncio import Connection, connect, serve


async def echo(websocket: Connection) -> None:
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/", compression="deflate") as client:
            for message in ("hello", b"\0" * 100_000):
                await client.send(message)
                assert await client.recv() == message
    print(f"pywscore {pywscore.__version__} echoes, from {pywscore.__path__[0]}")


asyncio.run(main())
