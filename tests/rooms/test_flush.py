"""Messages that leave together: hub.room(flush=)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest
from nodes import hubs_of, serving
from test_slow_members import BIG, SMALL, Slow, lag_of, numbers, told
from waiting import until

from pywscore.rooms import Hub
from pywscore.rooms._fanout import Fanout


class Counting:
    """A socket, and how often something was sent."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.sends = 0

    def send(self, data: Any) -> int:
        self.sends += 1
        return int(self._sock.send(data))

    def sendmsg(self, data: Any) -> int:
        self.sends += 1
        return int(self._sock.sendmsg(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


async def test_ten_messages_leave_together() -> None:
    async with hubs_of("memory://", 1) as [hub], serving(carrier="transport") as server:
        # One by the engine; a transport takes the first frame, and the rest.
        for name, flush, sends in (("at once", 0, 10), ("together", 20, 2)):
            room = hub.room(name, flush=flush)
            client = await server.client()
            transport = client.server.transport
            transport._sock = sock = Counting(transport._sock)
            await room.join(client.server)
            for number in range(10):
                await room.publish(f"{number}")
            assert await client.recv_many(10) == [f"{number}" for number in range(10)]
            assert sock.sends == sends


async def test_latency_is_bounded() -> None:
    async with hubs_of("memory://", 1) as [hub], serving() as server:
        client = await server.client()
        room = hub.room("lobby", flush=50)
        await room.join(client.server)
        took = []
        for _ in range(5):
            began = time.monotonic()
            await room.publish("x")
            await client.recv()
            took.append(time.monotonic() - began)
        assert 0.045 < min(took) < 0.2


async def test_joins_leaves_and_exclusions_stay_in_order() -> None:
    async with hubs_of("memory://", 1) as [hub], serving() as server:
        one, two, three = await server.clients(3)
        room = hub.room("lobby", flush=30, notice=lambda event: "notice")
        member = await room.join(one.server)
        await room.join(two.server)
        assert [await it.recv() for it in (one, two)] == ["notice"] * 2
        await room.publish("1")
        await room.join(three.server)  # after it
        await room.publish("2", exclude=member)
        await room.publish("3")
        await room.publish("4", exclude=member)
        got = [await it.recv_many(count) for it, count in ((one, 2), (two, 4))]
        assert got == [["1", "3"], ["1", "2", "3", "4"]]
        assert await three.recv_many(3) == ["2", "3", "4"]
        # What isn't a message comes after those before it.
        for it in (one, two, three):
            assert await it.recv() == "notice"
        await room.publish("5")
        await room.leave(two.server)
        await room.leave(three.server)
        assert await one.recv_many(2) in (["5", "notice"], ["notice", "5"])


async def test_what_waits_is_bounded() -> None:
    """In size, above which it leaves at once."""
    async with hubs_of("memory://", 1) as [hub], serving() as server:
        client = await server.client()
        room = hub.room("lobby", flush=1000)
        await room.join(client.server)
        began = time.monotonic()
        for _ in range(5):
            await room.publish(BIG)
        assert await client.recv_many(5) == [BIG] * 5
        assert time.monotonic() - began < 0.9


async def test_slow_members() -> None:
    async with hubs_of("memory://", 1) as [hub], serving(**SMALL) as server:
        slow, quick = await server.clients(2, **SMALL)
        room = hub.room("lobby", flush=5, notice=told)
        reader = Slow(slow)
        member = await room.join(slow.server)
        await room.join(quick.server)
        number = 0
        while not lag_of(member):
            await room.publish(f'[{number}, "{BIG}"]')
            assert numbers([await quick.recv()]) == [number]
            number += 1
            assert number < 10_000
        taken = number - member.skipped
        got = numbers(await reader.read(taken + 1))
        assert got == [*range(taken), f"gap {member.skipped}"]
        await until(lambda: not lag_of(member))
        await room.publish('[-1, ""]')
        assert numbers([await slow.recv()]) == [-1]


async def test_the_hub_ends_before_they_would() -> None:
    async with hubs_of("memory://", 1) as [hub], serving() as server:
        client = await server.client()
        room = hub.room("lobby", flush=1000)
        await room.join(client.server)
        await room.publish("last words")
        await hub.close()
        assert await client.recv() == "last words"


@pytest.mark.parametrize("flush", [-1, 1001, True, float("nan")])
def test_what_it_may_be(flush: Any) -> None:
    error = TypeError if flush is True else ValueError
    with pytest.raises(error, match="flush"):
        Hub().room("lobby", flush=flush)


async def test_a_room_that_fails_is_nothing_to_the_others(
    redis: Any, monkeypatch: Any, caplog: Any
) -> None:
    send, failed = Fanout.send_pending, []

    def fail_first(self: Fanout) -> None:
        if not failed:
            failed.append(self)
            raise ZeroDivisionError
        send(self)

    async with hubs_of(redis.url, 1) as [hub]:
        got: list[str] = []
        for name in ("one", "two", "three"):
            await hub.room(name).join(object(), send=sender_to(got))
        monkeypatch.setattr(Fanout, "send_pending", fail_first)
        await asyncio.gather(*(hub.room(it).publish(it) for it in ("one", "two")))
        await hub.room("three").publish("three")
        await until(lambda: got == ["two", "three"])
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


def test_a_loop_that_was_stopped_is_nothing_to_the_next(redis: Any) -> None:
    hub = Hub(redis.url)
    got: list[str] = []

    async def stopped() -> None:
        async with hub:
            await hub.room("lobby").join(object(), send=sender_to(got))
        asyncio.get_running_loop().stop()
        hub._node.call_at_end(print)  # in a turn that doesn't come

    async def goes_on() -> None:
        async with hub:
            await hub.room("lobby").join(object(), send=sender_to(got))
            await hub.room("lobby").publish("x")
            await until(lambda: got == ["x"])

    with contextlib.closing(asyncio.new_event_loop()) as loop:
        task = loop.create_task(stopped())
        loop.run_forever()
        assert task.done()
    asyncio.run(goes_on())


def sender_to(messages: list[str]) -> Any:
    async def send(message: str) -> None:
        messages.append(message)

    return send
