"""Our ends against those of websockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import websockets
import websockets.asyncio.client
import websockets.asyncio.server

MESSAGES: list[Any] = ["", "é" * 1000, b"", bytes(range(256)) * 1000, "a" * 100_000]
COMPRESSIONS = [None, "deflate"]


async def exchange(ws: Any) -> None:
    for message in MESSAGES:
        await ws.send(message)
        assert await ws.recv() == message
    await ws.send(["a", "b", "c"])
    assert await ws.recv() == "abc"
    assert await (await ws.ping()) < 5


@pytest.mark.parametrize("ours", COMPRESSIONS)
@pytest.mark.parametrize("theirs", COMPRESSIONS)
async def test_their_client(
    serve: Any, uri_of: Any, echo: Any, ours: Any, theirs: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0, compression=ours) as server:
        async with websockets.asyncio.client.connect(
            uri_of(server), compression=theirs, proxy=None
        ) as ws:
            await exchange(ws)
            assert bool(ws.protocol.extensions) == (ours == theirs == "deflate")
        assert ws.close_code == 1000


@pytest.mark.parametrize("ours", COMPRESSIONS)
@pytest.mark.parametrize("theirs", COMPRESSIONS)
async def test_their_server(
    connect: Any, uri_of: Any, echo: Any, ours: Any, theirs: Any
) -> None:
    async with websockets.asyncio.server.serve(
        echo, "127.0.0.1", 0, compression=theirs
    ) as server:
        async with connect(uri_of(server), compression=ours) as ws:
            await exchange(ws)
            assert (ws.protocol.compression is not None) == (
                ours == theirs == "deflate"
            )
        assert ws.close_code == 1000


async def test_close_codes_both_ways(serve: Any, connect: Any, uri_of: Any) -> None:
    async def handler(ws: Any) -> None:
        await ws.close(4321, "é" * 20)

    async with serve(handler, "127.0.0.1", 0) as server:
        async with websockets.asyncio.client.connect(uri_of(server), proxy=None) as ws:
            with pytest.raises(websockets.ConnectionClosedError) as info:
                await ws.recv()
            assert info.value.rcvd is not None
            assert (info.value.rcvd.code, info.value.rcvd.reason) == (4321, "é" * 20)
    async with websockets.asyncio.server.serve(handler, "127.0.0.1", 0) as server:
        async with connect(uri_of(server)) as ws:
            await ws.wait_closed()
            assert (ws.close_code, ws.close_reason) == (4321, "é" * 20)


async def test_their_server_closing(connect: Any, uri_of: Any, echo: Any) -> None:
    server = await websockets.asyncio.server.serve(echo, "127.0.0.1", 0)
    ws = await connect(uri_of(server))
    server.close()
    await asyncio.wait_for(server.wait_closed(), 5)
    await ws.wait_closed()
    assert ws.close_code == 1001
