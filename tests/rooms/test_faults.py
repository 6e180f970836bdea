"""Faults in the middle of messages: what Redis acknowledged is neither lost, doubled
nor out of order at a member that stays, or the member is told how many are missing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from typing import Any

import pytest
from checker import Missing, problems
from faults import Proxy, all_faults
from nodes import Client, hubs_of, needs_redis, serving
from servers import Redis, with_sentinel

from pywscore.rooms import Gap, Hub, HubState, PublishError, Room

pytestmark = pytest.mark.external

# What is acknowledged is with the kernel, which isn't killed.
KEEPS = ("--appendonly", "yes", "--appendfsync", "no")
FAULTS = int(os.environ.get("PYWSCORE_FAULTS", "30"))


def told(event: Any) -> str | None:
    if isinstance(event, Gap):
        return "gap" if event.count is None else f"gap {event.count}"
    return None


async def receive(client: Client, got: list[Any]) -> None:
    with contextlib.suppress(Exception):
        async for text in client.ws:
            if text.startswith("gap"):
                _, _, count = text.partition(" ")
                got.append(Missing(int(count) if count else None))
            else:
                got.append(int(text))


class Publishing:
    """Numbers, until it is told to stop; which of them Redis has acknowledged, in the
    order of their places."""

    def __init__(self) -> None:
        self.stop = False
        self.number = 0
        self.refused = 0
        self._acknowledged: list[tuple[int, int]] = []

    async def run(self, room: Room, pause: float = 0.001) -> None:
        while not self.stop:
            self.number += 1
            number = self.number
            try:
                message = await room.publish(str(number))
            except PublishError:
                self.refused += 1
            else:
                assert message.id is not None
                offset = int(message.id.rpartition("-")[2])
                self._acknowledged.append((offset, number))
            await asyncio.sleep(pause)

    def acknowledged(self) -> list[int]:
        return [number for _, number in sorted(self._acknowledged)]


async def settled(hubs: list[Hub], histories: list[list[Any]], last: int) -> None:
    """All are up, and all members have the last message."""
    async with asyncio.timeout(30):
        while not all(hub.state is HubState.UP for hub in hubs):
            await asyncio.sleep(0.02)
        while not all(last in got for got in histories):
            await asyncio.sleep(0.02)


@pytest.mark.threat("RMS-3", "BRK-2")
@pytest.mark.parametrize("seed", range(max(1, FAULTS // 10)))
async def test_faults(seed: int) -> None:
    needs_redis()
    choose = random.Random(seed)
    publishing = Publishing()
    histories: list[list[Any]] = [[], [], [], []]
    with Redis(*KEEPS, "--enable-debug-command", "yes") as redis:
        proxy = Proxy(redis.port)
        async with (
            proxy.running(),
            hubs_of(proxy.url) as hubs,
            serving(max_queue=None) as server,
        ):
            rooms = [hub.room("lobby", history=10_000, notice=told) for hub in hubs]
            clients = await server.clients(4, max_queue=None)
            for index, client in enumerate(clients):
                await rooms[index % 2].join(client.server)
            async with asyncio.TaskGroup() as tasks:
                for client, got in zip(clients, histories, strict=True):
                    tasks.create_task(receive(client, got))
                publishers = [
                    tasks.create_task(publishing.run(room)) for room in rooms * 2
                ]
                faults = all_faults(redis, proxy, choose)
                for _ in range(10):
                    await asyncio.sleep(choose.uniform(0.02, 0.15))
                    fault = choose.choice(faults)
                    await fault()
                await asyncio.sleep(0.2)
                publishing.stop = True
                await asyncio.wait(publishers)
                async with asyncio.timeout(20):
                    while True:
                        with contextlib.suppress(PublishError):
                            await rooms[0].publish("0")
                            break
                await settled(hubs, histories, 0)
                for client in clients:
                    await client.ws.close()
    acknowledged = [*publishing.acknowledged(), 0]
    assert len(acknowledged) > 100
    for got in histories:
        assert problems(acknowledged, got) == []
        assert Missing(None) not in got


@pytest.mark.threat("RMS-3", "BRK-7")
async def test_failover_to_a_replica_that_is_behind() -> None:
    """What the promoted replica never had is a gap; nothing comes twice."""
    needs_redis()
    publishing = Publishing()
    histories: list[list[Any]] = [[], []]
    with with_sentinel() as (master, replica, sentinel):
        async with hubs_of(sentinel.url) as hubs, serving(max_queue=None) as server:
            rooms = [hub.room("lobby", history=1000, notice=told) for hub in hubs]
            clients = await server.clients(2, max_queue=None)
            for room, client in zip(rooms, clients, strict=True):
                await room.join(client.server)
            async with asyncio.TaskGroup() as tasks:
                for client, got in zip(clients, histories, strict=True):
                    tasks.create_task(receive(client, got))
                for number in range(1, 21):
                    await rooms[0].publish(str(number))
                # From now on the replica is behind.
                replica.say("REPLICAOF", "127.0.0.1", "1")
                for number in range(21, 41):
                    await rooms[number % 2].publish(str(number))
                await settled(hubs, histories, 40)
                master.kill()
                # Should the Sentinel have let it catch up, nothing is missing.
                stream = hubs[0]._node.broker._key("lobby", "s")
                behind = b":40" not in replica.say("XLEN", stream)
                replica.say("REPLICAOF", "NO", "ONE")
                publishing.number = 100
                tasks.create_task(publishing.run(rooms[1], 0.02))
                async with asyncio.timeout(25):
                    while not all(
                        any(isinstance(it, int) and it > 100 for it in got)
                        for got in histories
                    ):
                        await asyncio.sleep(0.05)
                publishing.stop = True
                async with asyncio.timeout(20):
                    while True:
                        with contextlib.suppress(PublishError):
                            await rooms[0].publish("0")
                            break
                await settled(hubs, histories, 0)
                for client in clients:
                    await client.ws.close()
    for got in histories:
        numbers = [it for it in got if isinstance(it, int)]
        assert numbers[:40] == list(range(1, 41))
        assert len(set(numbers)) == len(numbers)
        assert (Missing(None) in got) is behind
        after = [number for number in publishing.acknowledged() if number in numbers]
        assert after == publishing.acknowledged()
