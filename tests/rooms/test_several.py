"""Rooms spread over several Redis: what is wrong with one is nothing to the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from faults import Proxy
from nodes import hubs_of, needs_redis
from servers import Redis
from waiting import until

from pywscore.rooms import Gap, Hub, HubState, Joined, Room

pytestmark = pytest.mark.external


class Sink:
    """A connection of another library that takes everything."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    async def send(self, message: Any) -> None:
        self.got.append(message)


@contextlib.asynccontextmanager
async def one_to_harm(redis: Redis, count: int) -> AsyncIterator[tuple[Proxy, Any]]:
    """Hubs over two Redis, and the way to the second one."""
    needs_redis()
    with Redis() as second:
        proxy = Proxy(second.port)
        async with (
            proxy.running(),
            hubs_of([redis.url, proxy.url], count, join_timeout=2) as hubs,
        ):
            yield proxy, hubs


def room_at(hub: Hub, part: int, name: str = "room", **arguments: Any) -> Room:
    """A room of which the first or the second one knows."""
    broker: Any = hub._node.broker
    names = (f"{name} {number}" for number in range(1000))
    found = (it for it in names if broker._of(it) is broker._brokers[part])
    return hub.room(next(found), **arguments)


def told(event: Any) -> str | None:
    match event:
        case Gap():
            return "gap"
        case Joined():
            return f"joined {event.user}"
    return None


@pytest.mark.threat("RMS-7", "BRK-2")
async def test_only_rooms_of_the_one_that_was_lost_are_read_again(redis: Redis) -> None:
    """The loss of one Redis is none for rooms of another one."""
    async with one_to_harm(redis, 1) as (proxy, [hub]):
        there, lost = (room_at(hub, part, notice=told) for part in (0, 1))
        stays, loses = Sink(), Sink()
        await there.join(stays)
        await lost.join(loses)
        await until(lambda: "joined None" in stays.got and "joined None" in loses.got)
        with proxy.refusing():
            await until(lambda: hub.state is HubState.DOWN, 5)
            await there.publish("meanwhile")
        await until(hub.healthy, 5)
        await until(lambda: "gap" in loses.got, 5)
        await there.publish("after")
        await until(lambda: "after" in stays.got)
        assert stays.got == ["joined None", "meanwhile", "after"]


@pytest.mark.threat("RMS-7")
async def test_rooms_are_joined_and_told_of_while_another_redis_is_away(
    redis: Redis,
) -> None:
    """Neither what is asked for at the same time as what can't be had,
    nor what is told with it, waits."""
    async with one_to_harm(redis, 2) as (proxy, hubs):
        watching, joining = hubs
        watcher = Sink()
        await room_at(watching, 0, notice=told).join(watcher)
        lost = room_at(joining, 1)
        await lost.join(Sink())
        with proxy.refusing():
            await until(lambda: joining.state is HubState.DOWN, 5)
            leaving = [Sink() for _ in range(3)]
            for number, sink in enumerate(leaving):
                # Of this nobody can be told just now, again and again.
                await lost.join(sink, user=number)
            waits = asyncio.ensure_future(room_at(joining, 1, "other").join(Sink()))
            for number in range(10):
                began = asyncio.get_running_loop().time()
                await room_at(joining, 0).join(Sink(), user=number)
                await until(lambda n=number: f"joined {n}" in watcher.got, 5)
                assert asyncio.get_running_loop().time() - began < 1.5
            with contextlib.suppress(Exception):
                await waits
        await until(lambda: joining.healthy(), 5)
        async with asyncio.timeout(5):
            while sorted(await lost.members()) != [0, 1, 2]:
                await asyncio.sleep(0.05)


@pytest.mark.threat("RMS-6")
async def test_who_dies_while_another_redis_is_away_is_gone(redis: Redis) -> None:
    """Of the list, and told, though that one can't say who lives."""
    async with one_to_harm(redis, 2) as (proxy, hubs):
        watching, dying = hubs
        events: list[Any] = []
        room = room_at(watching, 0)

        async def watch() -> None:
            async for event in room:
                events.append(event)

        task = asyncio.create_task(watch())
        await until(lambda: watching.stats().rooms == 1)
        await room_at(dying, 0).join(Sink(), user="ghost")
        await until(lambda: any(isinstance(it, Joined) for it in events))
        known = watching._node._alive
        await until(lambda: all(len(it) == 2 for it in known.values()), 5)
        with proxy.refusing():
            await until(lambda: watching.state is HubState.DOWN, 5)
            for broker in dying._node.broker._brokers:
                for beat in broker._tasks:
                    beat.cancel()  # it has died, as far as others see
            async with asyncio.timeout(12):
                while await room.members():
                    await asyncio.sleep(0.1)
            await until(lambda: len(events) == 2, 5)
            assert type(events[1]).__name__ == "Left" and events[1].user == "ghost"
        task.cancel()
        await asyncio.wait([task])


def test_a_new_password_moves_no_room() -> None:
    """Nodes get it one by one, and are nodes of the same rooms meanwhile."""
    pytest.importorskip("redis")
    logins = [
        ("", ""),
        ("user:old@", ""),
        (":new@", ""),
        ("", "?password=old"),
        ("", "?username=user&password=new"),
    ]

    def parts(login: str, query: str, last: str = "/2") -> list[int]:
        where = [f"redis://{login}redis-1/1{query}", f"redis://{login}redis-1{last}"]
        broker = Hub([*where, f"rediss://{login}redis-2{query}"])._node.broker
        return [broker.part_of(f"room {number}") for number in range(200)]

    usual = parts(*logins[0])
    assert set(usual) == {0, 1, 2}
    assert all(parts(*login) == usual for login in logins)
    assert parts("", "", "/3") != usual
