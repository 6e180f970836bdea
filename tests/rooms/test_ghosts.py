"""Nobody stays in the list who isn't there, whatever Redis has forgotten."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest
from faults import Proxy
from nodes import hubs_of, needs_redis
from servers import Redis
from waiting import until

from pywscore.rooms import Hub, Joined, Left, Room

pytestmark = pytest.mark.external


class Sink:
    """A connection of another library."""

    async def send(self, message: Any) -> None:
        pass


async def until_members(room: Room, users: list[Any], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while sorted(await room.members()) != users:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("comes_back", [False, True])
@pytest.mark.threat("RMS-6")
async def test_a_room_left_just_before_a_failover(
    comes_back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promoted replica hasn't heard of it, and nobody here needs the
    room any more, or somebody else does."""
    needs_redis()
    monkeypatch.setattr("pywscore.rooms._serving.UNSERVE_AFTER", 0.01)
    with Redis() as master, Redis("--replicaof", f"127.0.0.1 {master.port}") as replica:
        proxy = Proxy(master.port)
        async with proxy.running(), hubs_of(proxy.url) as hubs:
            leaves, watches = (hub.room("lobby") for hub in hubs)
            ghost = Sink()
            await leaves.join(ghost, user="ghost")
            await watches.join(Sink(), user="watcher")
            await until_members(watches, ["ghost", "watcher"])
            key = hubs[0]._node.broker._key("lobby", "p")
            await until(lambda: b"ghost" in replica.say("HGETALL", key))
            # From now on the replica is behind, and then it is the master.
            replica.say("REPLICAOF", "NO", "ONE")
            await leaves.leave(ghost)
            await until_members(watches, ["watcher"])
            await until(lambda: hubs[0].stats().rooms == 0)
            proxy.target = replica.port
            proxy.cut()
            if comes_back:
                await leaves.join(Sink(), user="other")
            await until(lambda: all(hub.stats().reconnects for hub in hubs), 10)
            await until_members(watches, ["other"] * comes_back + ["watcher"], 10)


@pytest.mark.threat("RMS-6")
async def test_a_node_that_was_killed_and_has_the_same_name_again(redis: Redis) -> None:
    """That it lives again says nothing of who was there before."""
    prefix = f"ghosts-{secrets.token_hex(4)}"
    events: list[Any] = []
    async with Hub(redis.url, prefix=prefix) as other:
        room = other.room("lobby")

        async def watch() -> None:
            async for event in room:
                events.append(event)

        watching = asyncio.create_task(watch())
        await until(lambda: other.stats().rooms == 1)
        before = Hub(redis.url, prefix=prefix, node="web")
        await before.open()
        await before.room("lobby").join(Sink(), user="ghost")
        await until_members(room, ["ghost"])
        before._node.broker._tasks.pop().cancel()  # its heart: killed, for others
        async with Hub(redis.url, prefix=prefix, node="web") as again:
            await again.room("else").join(Sink(), user="alive")
            await until_members(room, [], 10)
            await until(lambda: Left("lobby", "ghost", 0) in events, 5)
            assert await again.room("else").members() == ["alive"]
        assert events == [Joined("lobby", "ghost", 1), Left("lobby", "ghost", 0)]
        watching.cancel()
        await asyncio.wait([watching])
        await before.close()
