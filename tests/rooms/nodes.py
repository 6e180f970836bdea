"""Hubs, and clients whose connections at the server are at hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import servers

import pywscore
from pywscore.rooms import Hub


def needs_redis() -> None:
    if servers.PROGRAM is None:
        if "CI" in os.environ:
            pytest.fail("redis-server is missing")
        pytest.skip("needs redis-server")
    pytest.importorskip("redis")


Hubs = Callable[..., contextlib.AbstractAsyncContextManager[list[Hub]]]


@contextlib.asynccontextmanager
async def hubs_of(
    url: Any, count: int = 2, **arguments: Any
) -> AsyncIterator[list[Hub]]:
    """Nodes with rooms of their own."""
    prefix = f"test-{secrets.token_hex(4)}"
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Hub(url, prefix=prefix, **arguments))
            for _ in range(count)
        ]


class Client:
    """A client whose connection at the server is at hand."""

    def __init__(
        self, ws: pywscore.ClientConnection, server: pywscore.ServerConnection
    ) -> None:
        self.ws = ws
        self.server = server

    async def recv(self, seconds: float = 5) -> Any:
        async with asyncio.timeout(seconds):
            return await self.ws.recv()

    async def recv_many(self, count: int) -> list[Any]:
        return [await self.recv() for _ in range(count)]


class Server:
    """Gives connections to members."""

    def __init__(self, port: int, accepted: asyncio.Queue[Any]) -> None:
        self.port = port
        self._accepted = accepted
        self.stack = contextlib.AsyncExitStack()

    async def client(self, **arguments: Any) -> Client:
        arguments = {"proxy": None, "close_timeout": 1, **arguments}
        ws = await self.stack.enter_async_context(
            pywscore.connect(f"ws://127.0.0.1:{self.port}", **arguments)
        )
        return Client(ws, await self._accepted.get())

    async def clients(self, count: int, **arguments: Any) -> list[Client]:
        return [await self.client(**arguments) for _ in range(count)]


@contextlib.asynccontextmanager
async def serving(**arguments: Any) -> AsyncIterator[Server]:
    accepted: asyncio.Queue[Any] = asyncio.Queue()

    async def handler(ws: pywscore.ServerConnection) -> None:
        accepted.put_nowait(ws)
        await ws.wait_closed()

    arguments = {"close_timeout": 1, **arguments}
    async with pywscore.serve(handler, "127.0.0.1", 0, **arguments) as running:
        server = Server(running.sockets[0].getsockname()[1], accepted)
        async with server.stack:
            yield server
