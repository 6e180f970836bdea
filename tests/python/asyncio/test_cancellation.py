"""Every wait can be cancelled, at every step (THREATS LIF-7)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pywscore import State

STEPS = range(8)


async def cancel_after(steps: int, coroutine: Any) -> Any:
    """Run a coroutine for some turns of the loop, then cancel it."""
    task = asyncio.ensure_future(coroutine)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None


async def still_works(ends: Any) -> None:
    for one, other in ((ends.client, ends.server), (ends.server, ends.client)):
        await one.send("still")
        while (message := await other.recv()) != "still":
            assert message == "x" * 100_000
        assert await (await one.ping()) < 5


@pytest.mark.threat("LIF-7")
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(
    "call",
    [
        lambda ws: ws.send("x" * 100_000),
        lambda ws: ws.ping(),
        lambda ws: ws.pong(),
        lambda ws: ws.recv(),
        lambda ws: anext(ws),
        lambda ws: anext(ws.recv_streaming()),
        lambda ws: ws.drain(),
        lambda ws: ws.wait_closed(),
    ],
)
async def test_calls(pair: Any, call: Any, steps: int) -> None:
    async with pair() as ends:
        for _ in range(3):
            await cancel_after(steps, call(ends.client))
        await still_works(ends)


@pytest.mark.threat("LIF-7")
@pytest.mark.parametrize("steps", STEPS)
async def test_waiting_for_a_pong(pair: Any, steps: int) -> None:
    async def ping(ws: Any) -> float:
        latency: float = await (await ws.ping())
        return latency

    async with pair() as ends:
        await cancel_after(steps, ping(ends.client))
        await still_works(ends)


@pytest.mark.threat("LIF-7")
@pytest.mark.parametrize("steps", STEPS)
async def test_close(pair: Any, steps: int) -> None:
    async with pair() as ends:
        await cancel_after(steps, ends.client.close(4000))
        await ends.client.close(4000)
        await ends.server.wait_closed()
        assert ends.client.close_code == ends.server.close_code == 4000


@pytest.mark.threat("LIF-7")
@pytest.mark.parametrize("steps", STEPS)
async def test_serve(
    serve: Any, connect: Any, uri_of: Any, echo: Any, steps: int
) -> None:
    async def start() -> Any:
        return await serve(echo, "127.0.0.1", 0)

    server = await cancel_after(steps, start())
    if server is None:
        server = await start()
    await cancel_after(steps, server.wait_closed())
    ws = await connect(uri_of(server))
    server.close()
    await cancel_after(steps, server.wait_closed())
    await server.wait_closed()
    await ws.wait_closed()
    assert ws.close_code == 1001


@pytest.mark.threat("LIF-7")
@pytest.mark.parametrize("steps", range(1, 5))
async def test_handler(serve: Any, connect: Any, uri_of: Any, steps: int) -> None:
    """A handler's task that is cancelled from elsewhere closes its connection."""
    tasks: list[Any] = []

    async def handler(ws: Any) -> None:
        tasks.append(asyncio.current_task())
        await ws.recv()

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(uri_of(server)) as ws:
            while not tasks:
                await asyncio.sleep(0)
            for _ in range(steps):
                tasks[0].cancel()
                await asyncio.sleep(0)
            await ws.wait_closed()
            assert ws.close_code == 1011 and ws.state is State.CLOSED
