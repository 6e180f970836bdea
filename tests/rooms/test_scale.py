"""Many members, many rooms, many at once: memory that stays flat, and what is asked of
Redis."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from nodes import Hubs, hubs_of, needs_redis, serving
from servers import Redis
from test_races import Sink
from test_redis import count_commands
from waiting import until

from pywscore.rooms import Gap

MEMBERSHIP = 160
# With a user; where the hub itself keeps who is there, that comes on top.
WITH_USER = {"redis": 200, "memory": 245}
IDLE_ROOM = 1024


@pytest.fixture
def traced() -> Iterator[Any]:
    """The bytes that are in use."""

    def size() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    yield size
    tracemalloc.stop()


def blocks() -> int:
    """Pieces of memory in use."""
    gc.collect()
    return sys.getallocatedblocks()


async def test_memory_of_a_membership(traced: Any) -> None:
    # Connections whose pings would begin meanwhile need memory, too.
    async with hubs_of("memory://", 1) as [hub], serving(ping_interval=None) as server:
        clients = await server.clients(301, compression=None, ping_interval=None)
        room = hub.room("lobby")
        await room.join(clients.pop().server)
        await asyncio.sleep(0.3)
        before = traced()
        for client in clients:
            await room.join(client.server)
        await asyncio.sleep(0.3)
        assert (traced() - before) / len(clients) <= MEMBERSHIP


@pytest.mark.parametrize("broker", ["memory", "redis"], indirect=True)
async def test_memory_of_a_membership_with_a_user(
    hubs: Hubs, broker: str, traced: Any
) -> None:
    async with hubs(1) as [hub], serving(ping_interval=None) as server:
        clients = await server.clients(301, compression=None, ping_interval=None)
        users = [{"name": f"user {number}"} for number in range(len(clients))]
        room = hub.room("lobby")
        await room.join(clients.pop().server, user=users.pop())
        await asyncio.sleep(0.3)
        before = traced()
        for client, user in zip(clients, users, strict=True):
            await room.join(client.server, user=user)
        await asyncio.sleep(0.3)
        most = WITH_USER[broker.partition(":")[0]]
        assert (traced() - before) / len(clients) <= most


@pytest.mark.parametrize("broker", ["memory", "redis"], indirect=True)
@pytest.mark.parametrize("history", [0, 10])
async def test_memory_of_an_idle_room(hubs: Hubs, history: int, traced: Any) -> None:
    """One that is served, and has nobody and no message."""
    async with hubs(1) as [hub]:
        first = hub.room("first", history=history)
        await first._hold()
        await asyncio.sleep(0.1)
        before = traced()
        rooms = [hub.room(f"{number}", history=history) for number in range(1000)]
        for start in range(0, len(rooms), 100):
            await asyncio.gather(*(room._hold() for room in rooms[start : start + 100]))
        assert hub.stats().rooms == 1001
        await asyncio.sleep(0.1)
        assert (traced() - before) / len(rooms) <= IDLE_ROOM


@pytest.mark.slow
@pytest.mark.parametrize("broker", ["memory", "redis"], indirect=True)
@pytest.mark.threat("BRK-4")
async def test_joins_and_leaves(hubs: Hubs) -> None:
    """10,000 of them leave nothing: no memory, no task."""
    async with hubs(1) as [hub], serving(ping_interval=None) as server:
        clients = await server.clients(10, compression=None, ping_interval=None)
        room = hub.room("lobby", history=10)
        sink = Sink()

        async def joins(count: int) -> None:
            for number in range(count):
                ws = clients[number % 10].server if number % 2 else Sink()
                await room.join(ws, user=number, since="")
                await room.leave(ws)

        await room.join(sink)
        await room.publish("x")
        await joins(500)
        await asyncio.sleep(0.3)
        before, tasks = blocks(), len(asyncio.all_tasks())
        await joins(10_000)
        await until(lambda: not hub._node._telling)
        await asyncio.sleep(0.1)
        assert blocks() - before < 1000
        assert len(asyncio.all_tasks()) <= tasks
        assert hub.stats().members == 1
        assert not any(client.server._attached for client in clients)


@pytest.mark.slow
@pytest.mark.parametrize("broker", ["memory", "redis"], indirect=True)
@pytest.mark.threat("BRK-4")
async def test_rooms_that_come_and_go(
    hubs: Hubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10,000 of them, each with a member and a message for a moment."""
    monkeypatch.setattr("pywscore.rooms._serving.UNSERVE_AFTER", 0.05)
    async with hubs(1) as [hub]:

        async def visit(name: str) -> None:
            room, came = hub.room(name, history=2, ttl=1), asyncio.Event()

            async def send(message: Any) -> None:
                came.set()

            await room.join(send, send=send, user="ada")
            await room.publish("x")
            await came.wait()
            await room.leave(send)

        async def visits(start: int, count: int) -> None:
            for first in range(start, start + count, 250):
                await asyncio.gather(
                    *(visit(f"{number}") for number in range(first, first + 250))
                )
            await until(lambda: hub.stats().rooms == 0)
            await until(lambda: not hub._node._telling)
            await until(lambda: not hub._node._tasks)
            await asyncio.sleep(1.1)
            await hub.room("other").publish("x")  # and what is kept is forgotten

        await visits(0, 1000)
        before, tasks = blocks(), len(asyncio.all_tasks())
        await visits(1000, 9000)
        assert blocks() - before < 2000
        assert len(asyncio.all_tasks()) <= tasks
        assert len(hub._rooms) == 0


@pytest.mark.external
@pytest.mark.threat("RMS-4", "RMS-5")
async def test_a_reconnect_storm(redis: Redis) -> None:
    """5,000 that come back at once all have what they missed, once
    and in order, and at most 5 % of them are asked of Redis."""
    async with hubs_of(redis.url, 2) as nodes:
        rooms = [hub.room("lobby", history=200) for hub in nodes]
        await rooms[0].join(Sink())
        sent = [await rooms[1].publish(f"{number}") for number in range(150)]
        await until(lambda: nodes[0].stats().received == 150)
        before = count_commands(redis).get("evalsha", 0)
        sinks = [Sink() for _ in range(5000)]

        async def come_back(number: int, sink: Sink) -> None:
            await rooms[0].join(sink, since=sent[number % 149].id)

        await asyncio.gather(*(come_back(*it) for it in enumerate(sinks)))
        asked = count_commands(redis)["evalsha"] - before
        assert asked <= 250
        last = await rooms[0].publish("last")
        await until(lambda: all(sink.got[-1:] == ["last"] for sink in sinks), 20)
        for number, sink in enumerate(sinks):
            missed = [f"{it}" for it in range(number % 149 + 1, 150)]
            assert sink.got == [*missed, "last"]
        # A second one begins where the first has ended, and gets nothing twice.
        again = Sink()
        await rooms[0].join(again, since=last.id)
        await rooms[0].publish("new")
        await until(lambda: again.got == ["new"])


@pytest.mark.external
@pytest.mark.threat("RMS-5")
async def test_a_storm_that_only_redis_can_answer(redis: Redis) -> None:
    """From a place that the node doesn't remember, one asks for all."""
    async with hubs_of(redis.url, 2) as nodes:
        told = {"notice": lambda it: f"gap {it.count}" if isinstance(it, Gap) else None}
        rooms = [hub.room("lobby", history=50, **told) for hub in nodes]
        sent = [await rooms[1].publish(f"{number}") for number in range(100)]
        before = count_commands(redis).get("evalsha", 0)
        sinks = [Sink() for _ in range(2000)]
        await asyncio.gather(*(rooms[0].join(it, since=sent[0].id) for it in sinks))
        await until(lambda: all(len(it.got) == 51 for it in sinks), 20)
        assert all(
            it.got == ["gap 49", *(str(x) for x in range(50, 100))] for it in sinks
        )
        assert count_commands(redis)["evalsha"] - before <= 100


@pytest.mark.external
@pytest.mark.threat("RMS-6")
async def test_members_of_a_large_room(redis: Redis) -> None:
    """10,000 users, in 50 ms."""
    async with hubs_of(redis.url, 2) as nodes:
        rooms = [hub.room("lobby") for hub in nodes]
        for number in range(10_000):
            await rooms[number % 2].join(Sink(), user={"name": f"user {number}"})
        async with asyncio.timeout(20):
            while await rooms[0].count() != 10_000:
                await asyncio.sleep(0.1)
        took = []
        for _ in range(7):
            gc.collect()
            began = time.perf_counter()
            members = await rooms[1].members()
            took.append(time.perf_counter() - began)
            assert len(members) == 10_000
        assert min(took) <= 0.05, took


@pytest.mark.external
@pytest.mark.threat("RMS-5")
async def test_each_node_reads_its_own_rooms() -> None:
    """What is published where a node has no members doesn't reach it."""
    needs_redis()
    with Redis() as server:
        async with hubs_of(server.url, 2) as [here, there]:
            sink = Sink()
            await here.room("here", history=5).join(Sink())
            await there.room("there", history=5).join(sink)
            for _ in range(100):
                await here.room("there", history=5).publish("x")
            await until(lambda: len(sink.got) == 100)
            assert there.stats().received == 100 and here.stats().received == 0


@pytest.mark.external
@pytest.mark.threat("RMS-7")
async def test_a_slow_member_delays_nobody(redis: Redis) -> None:
    """Not even its own node's Redis connection."""
    async with hubs_of(redis.url, 2) as nodes:
        slow_may = asyncio.Event()

        async def slow(message: Any) -> None:
            await slow_may.wait()

        room, sink = nodes[0].room("lobby", history=1000), Sink()
        member = await room.join(slow, send=slow)
        await room.join(sink)
        took = []
        for number in range(200):
            began = time.perf_counter()
            await nodes[1].room("lobby", history=1000).publish("x" * 2000)
            await until(lambda number=number: len(sink.got) == number + 1)
            took.append(time.perf_counter() - began)
        assert member.skipped > 100 and nodes[0].stats().received == 200
        assert sorted(took)[100] < 0.1
        slow_may.set()


@pytest.mark.external
@pytest.mark.threat("BRK-1")
async def test_redis_is_never_made_to_wait() -> None:
    """It cuts who lets 1 MiB wait: not a node whose members don't read 20 MB."""
    needs_redis()
    limit = ("--client-output-buffer-limit", "pubsub 1mb 1mb 0")
    never = asyncio.Event()

    async def stalls(message: Any) -> None:
        await never.wait()

    with Redis(*limit) as server:
        async with hubs_of(server.url, 2) as nodes:
            here, there = (hub.room("lobby", history=10) for hub in nodes)
            sink = Sink()
            stalled = await here.join(stalls, send=stalls)
            await here.join(sink)
            for _ in range(1000):
                await there.publish("x" * 20_000)
            await until(lambda: len(sink.got) == 1000)
            assert [hub.stats().reconnects for hub in nodes] == [0, 0]
            assert stalled.skipped > 900
            never.set()
