"""Handlers are ordinary tasks: what asyncio promises of tasks holds in them."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import time
from typing import Any

import pytest

pytestmark = pytest.mark.every_environment

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


async def test_context_and_task_stay(serve: Any, connect: Any, uri_of: Any) -> None:
    """Over every wait of a handler, while others do the same."""
    inner: list[str] = []

    async def child() -> None:
        inner.append(variable.get())
        variable.set("child")

    async def handler(ws: Any) -> None:
        task = asyncio.current_task()
        mine = ws.request.path
        variable.set(mine)
        async for message in ws:
            assert (asyncio.current_task(), variable.get()) == (task, mine)
            await asyncio.create_task(child())
            await (await ws.ping())
            assert (asyncio.current_task(), variable.get()) == (task, mine)
            await ws.send(message)
            assert (asyncio.current_task(), variable.get()) == (task, mine)
        await ws.wait_closed()
        assert (asyncio.current_task(), variable.get()) == (task, mine)
        ended.append(mine)

    async def client(path: str) -> None:
        async with connect(uri_of(server, path)) as ws:
            variable.set("client" + path)
            for _ in range(5):
                await ws.send("x")
                assert await ws.recv() == "x"
                assert variable.get() == "client" + path

    ended: list[str] = []
    paths = [f"/{number}" for number in range(5)]
    async with serve(handler, "127.0.0.1", 0) as server:
        await asyncio.gather(*map(client, paths))
    assert sorted(ended) == paths
    assert sorted(set(inner)) == paths and len(inner) == 25
    assert variable.get() == ""


async def test_listeners_run_in_no_task(
    serve: Any, connect: Any, uri_of: Any, environment: Any
) -> None:
    seen: list[Any] = []

    class Listener:
        def on_message(self, ws: Any, message: Any) -> None:
            seen.append(asyncio.current_task())
            seen.append(asyncio.get_running_loop())
            ws.send_nowait(message)

    async with serve(None, "127.0.0.1", 0, listener=Listener) as server:
        async with connect(uri_of(server)) as ws:
            await ws.send("x")
            assert await ws.recv() == "x"
    assert seen == [None, asyncio.get_running_loop()]


async def test_timeouts_of_zero(pair: Any) -> None:
    async with pair() as ends:
        for number in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ends.server.recv(), 0)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await ends.server.recv()
            await ends.client.send(str(number))
            await asyncio.sleep(0.01)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await asyncio.sleep(0)
                    await ends.server.recv()
            assert await ends.server.recv() == str(number)


@pytest.mark.threat("LIF-7")
async def test_timeouts_and_messages_at_the_same_time(pair: Any) -> None:
    """Each message is received once, whoever wins."""
    async with pair() as ends:
        received: list[str] = []

        async def receive() -> None:
            while len(received) < 300:
                try:
                    async with asyncio.timeout(0.0005):
                        received.append(await ends.server.recv())
                except TimeoutError:
                    pass

        receiving = asyncio.create_task(receive())
        for number in range(300):
            await ends.client.send(str(number))
            await asyncio.sleep(0.0005 * (number % 3))
        await receiving
        assert received == [str(number) for number in range(300)]


async def test_task_groups_in_handlers(serve: Any, connect: Any, uri_of: Any) -> None:
    """One child fails: the other, which receives, is cancelled, and the group ends."""
    outcome: list[Any] = []

    async def receive(ws: Any) -> None:
        try:
            async for message in ws:
                await ws.send(message)
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    async def fail() -> None:
        await asyncio.sleep(0.02)
        raise ValueError

    async def handler(ws: Any) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(receive(ws))
                group.create_task(fail())
        except* ValueError:
            outcome.append("failed")
        await ws.send("on")

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(uri_of(server)) as ws:
            await ws.send("x")
            assert [await ws.recv(), await ws.recv()] == ["x", "on"]
            await ws.wait_closed()
            assert ws.close_code == 1000
    assert outcome == ["cancelled", "failed"]


async def test_two_wait_for_one_pong(pair: Any) -> None:
    """What ping() gives is a future as any other."""
    async with pair() as ends:
        pong = await ends.client.ping()
        first, second = await asyncio.gather(pong, asyncio.shield(pong))
        assert first == second == ends.client.latency
        done, _ = await asyncio.wait([await ends.client.ping()], timeout=5)
        assert len(done) == 1


async def test_debug_mode(
    serve: Any,
    connect: Any,
    uri_of: Any,
    environment: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A handler that blocks the loop is still reported."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.05

    async def handler(ws: Any) -> None:
        async for message in ws:
            time.sleep(0.1)
            await ws.send(message)

    with caplog.at_level(logging.WARNING, logger="asyncio"):
        async with serve(handler, "127.0.0.1", 0) as server:
            async with connect(uri_of(server)) as ws:
                await ws.send("x")
                assert await ws.recv() == "x"
    slow = [record for record in caplog.records if " took " in record.getMessage()]
    assert slow or environment.loop == "uvloop"  # which doesn't look at readers


async def test_the_debug_mode_finds_another_thread(pair: Any) -> None:
    asyncio.get_running_loop().set_debug(True)
    async with pair() as ends:
        with pytest.raises(RuntimeError):
            await asyncio.to_thread(ends.client.send_nowait, "x")
        await ends.client.send("y")
        assert await ends.server.recv() == "y"


async def use_eager_tasks() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    waiting = asyncio.sleep(0)
    try:
        await loop.create_task(waiting)
    except TypeError:
        # uvloop 0.22 gives it an argument that CPython before 3.13.4 doesn't know.
        loop.set_task_factory(None)
        await waiting
        pytest.skip("elsewhere: this loop and the eager factory don't go together")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="since Python 3.12: eager tasks")
@pytest.mark.threat("LIF-7")
async def test_eager_tasks(serve: Any, connect: Any, uri_of: Any) -> None:
    """Tasks that run at once, inside of the engine's turn or of another task."""
    await use_eager_tasks()
    at_once: list[Any] = []

    async def answer(ws: Any, message: Any) -> None:
        at_once.append(asyncio.current_task())
        await ws.send(message)

    async def handler(ws: Any) -> None:
        mine = asyncio.current_task()
        await ws.send("first")
        async for message in ws:
            task = asyncio.create_task(answer(ws, message))
            assert asyncio.current_task() is mine
            await task
            assert at_once[-1] is not mine

    async def client() -> None:
        async with connect(uri_of(server)) as ws:
            assert await ws.recv() == "first"
            for number in range(50):
                await asyncio.create_task(ws.send(str(number)))
                assert await asyncio.create_task(ws.recv()) == str(number)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ws.recv(), 0.01)

    async with serve(handler, "127.0.0.1", 0) as server:
        await asyncio.gather(*(client() for _ in range(10)))
        raises = asyncio.create_task(connect(uri_of(server)).connect())
        ws = await raises
        await ws.close()
        assert ws.close_code == 1000


@pytest.mark.skipif(sys.version_info < (3, 12), reason="since Python 3.12: eager tasks")
async def test_eager_handlers_that_end_at_once(
    serve: Any, connect: Any, uri_of: Any
) -> None:
    await use_eager_tasks()

    async def nothing(ws: Any) -> None:
        pass

    async def fail(ws: Any) -> None:
        raise ValueError

    for handler, code in ((nothing, 1000), (fail, 1011)):
        async with serve(handler, "127.0.0.1", 0) as server:
            for _ in range(3):
                ws = await connect(uri_of(server))
                await ws.wait_closed()
                assert ws.close_code == code
