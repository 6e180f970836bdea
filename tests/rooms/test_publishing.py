"""What is published at the same time: one call of the script, and each message for
itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from nodes import hubs_of, needs_redis, serving
from servers import Redis
from test_flush import Counting
from test_races import Sink
from test_redis import count_commands
from waiting import until

from pywscore.rooms import Hub, Message, PublishError, Room

pytestmark = pytest.mark.external


@pytest.fixture
def own() -> Iterator[Redis]:
    needs_redis()
    with Redis() as server:
        yield server


async def publish(rooms: list[Room], count: int) -> list[Any]:
    """So many in each, all at once: what came of them, in their order."""
    return await asyncio.gather(
        *(room.publish(f"{number}") for number in range(count) for room in rooms),
        return_exceptions=True,
    )


async def test_of_many_rooms_they_are_one_call(own: Redis) -> None:
    async with hubs_of(own.url, 2) as nodes:
        rooms = [nodes[0].room(f"{name}", history=20) for name in range(6)]
        sinks = [Sink() for _ in rooms]
        for room, sink in zip(rooms, sinks, strict=True):
            await nodes[1].room(room.name, history=20).join(sink)
        before = count_commands(own).get("evalsha", 0)
        messages = await publish(rooms, 10)
        # A heart-beat of each node may be in between.
        assert count_commands(own)["evalsha"] - before <= 3
        await until(lambda: all(len(it.got) == 10 for it in sinks))
        for room, sink in zip(rooms, sinks, strict=True):
            assert sink.got == [f"{number}" for number in range(10)]
            kept = await room.history()
            mine = [it for it in messages if it.room == room.name]
            assert kept == mine and len({it.id for it in mine}) == 10


async def test_above_a_limit_they_are_several_calls(own: Redis) -> None:
    async with hubs_of(own.url, 1) as [hub]:
        room = hub.room("lobby", history=300)
        before = count_commands(own).get("evalsha", 0)
        messages = await publish([room], 200)
        assert 4 <= count_commands(own)["evalsha"] - before <= 5
        assert await room.history() == messages


async def test_one_that_is_refused_is_the_only_one(own: Redis) -> None:
    """Others of the same call are published, once."""
    async with hubs_of(own.url, 1) as [hub]:
        rooms = [hub.room(name, history=20) for name in ("a", "b", "c")]
        sinks = [Sink() for _ in rooms]
        for room, sink in zip(rooms, sinks, strict=True):
            await room.join(sink)
        meta = hub._node.broker._key("b", "m")
        own.say("SET", meta, "not a hash")
        results = await publish(rooms, 3)
        assert [type(it) is PublishError for it in results] == [False, True, False] * 3
        assert "WRONGTYPE" in str(results[1])
        own.say("DEL", meta)
        await rooms[1].publish("last")
        for room, sink in zip(rooms, sinks, strict=True):
            last = ["last"] if room.name == "b" else ["0", "1", "2"]
            await until(lambda sink=sink, last=last: sink.got[-len(last) :] == last)
            assert [it.data for it in await room.history()] == last
            assert sink.got == last


async def test_a_redis_that_forgot_the_script(own: Redis) -> None:
    async with hubs_of(own.url, 1) as [hub]:
        rooms = [hub.room(name, history=20) for name in ("a", "b")]
        await publish(rooms, 1)
        own.say("SCRIPT", "FLUSH")
        messages = await publish(rooms, 5)
        for room in rooms:
            kept = await room.history()
            assert kept[1:] == [it for it in messages if it.room == room.name]


async def test_a_publisher_that_gives_up_holds_up_nobody(own: Redis) -> None:
    async with hubs_of(own.url, 1) as [hub]:
        room = hub.room("lobby", history=20)
        await room.publish("first")
        publishing = asyncio.ensure_future(room.publish("given up"))
        await asyncio.sleep(0)
        publishing.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        async with asyncio.timeout(2):
            await room.publish("last")
        assert [it.data for it in await room.history()] == ["first", "last"]


async def test_an_idempotency_key_twice_in_one_call(own: Redis) -> None:
    """They are one message."""
    async with hubs_of(own.url, 1) as [hub]:
        room = hub.room("lobby", history=20)
        one, other, two = await asyncio.gather(
            room.publish("a", idempotency_key="k"),
            room.publish("b"),
            room.publish("a", idempotency_key="k"),
        )
        assert one == two and one.id != other.id
        assert [it.data for it in await room.history()] == ["a", "b"]


@pytest.mark.parametrize("history", [0, 20])
async def test_a_key_that_cannot_be_said(own: Redis, history: int) -> None:
    """It comes from clients: others who publish at the same time have theirs."""
    async with hubs_of(own.url, 1) as [hub], asyncio.timeout(5):
        room = hub.room("lobby", history=history)
        wrong, right = await asyncio.gather(
            room.publish("a", idempotency_key="\ud800"),
            room.publish("b"),
            return_exceptions=True,
        )
        assert isinstance(wrong, ValueError) and "idempotency_key" in str(wrong)
        assert isinstance(right, Message) and right.data == "b"


async def test_a_command_that_cannot_be_made(own: Redis) -> None:
    async with hubs_of(own.url, 1) as [hub], asyncio.timeout(5):
        commands = hub._node.broker._commands
        wrong, right = await asyncio.gather(
            commands.call("ECHO", "\ud800"),
            commands.call("ECHO", "b"),
            return_exceptions=True,
        )
        assert isinstance(wrong, UnicodeEncodeError) and right == b"b"


async def test_a_key_of_when_the_room_had_no_history(own: Redis) -> None:
    async with hubs_of(own.url, 2) as nodes, asyncio.timeout(5):
        await nodes[0].room("lobby").publish("a", idempotency_key="k")
        room = nodes[1].room("lobby", history=20)
        again, other = await asyncio.gather(
            room.publish("a", idempotency_key="k"), room.publish("b")
        )
        assert [it.data for it in await room.history()] == ["b"]
        assert again.id != other.id


async def test_a_hub_that_closes_while_it_is_tried_again(own: Redis) -> None:
    async with hubs_of(own.url, 1) as [hub]:
        room = hub.room("lobby", history=20)
        await room.publish("first")
        commands = hub._node.broker._commands
        own.kill()
        publishing = asyncio.create_task(room.publish("second"))
        await until(lambda: commands._task.done())
        await hub.close()
        with pytest.raises(PublishError, match="closed"):
            await publishing
        assert commands._task.done()


@pytest.mark.parametrize("history", [0, 20])
async def test_what_comes_together_leaves_together(own: Redis, history: int) -> None:
    """And what comes alone doesn't wait."""
    async with (
        hubs_of(own.url, 2) as nodes,
        serving(carrier="transport") as server,
    ):
        client = await server.client()
        transport = client.server.transport
        transport._sock = sock = Counting(transport._sock)
        room, there = (hub.room("lobby", history=history) for hub in nodes)
        await there.join(client.server)
        await publish([room], 20)
        assert await client.recv_many(20) == [f"{number}" for number in range(20)]
        assert sock.sends <= 8  # a transport takes the first frame, and the rest
        sock.sends = 0
        for number in range(5):
            await room.publish(f"{number}")
            assert await client.recv() == f"{number}"
        assert sock.sends == 5


class Losing:
    """Commands of which answers get lost: the connection breaks before them."""

    def __init__(self, hub: Hub, meanwhile: Callable[[], Awaitable[Any]]) -> None:
        broker: Any = hub._node.broker
        self.publisher = broker._publisher
        self.calls = self.publisher.calls
        self.publisher.calls = self
        self.meanwhile = meanwhile
        self.task: asyncio.Task[None] | None = None

    def put(self, make: Any, receiver: Any) -> None:
        """The first answer is lost, after which others do something."""
        self.publisher.calls = self.calls

        class Lost:
            done = receiver.done

            def set_result(_, result: Any) -> None:
                self.task = asyncio.create_task(self.fail(receiver))

            set_exception = receiver.set_exception

        self.calls.put(make, Lost())

    async def fail(self, receiver: Any) -> None:
        await self.meanwhile()
        receiver.set_exception(OSError("lost"))


@pytest.mark.threat("RMS-3")
@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("others", [0, 1, 5])
@pytest.mark.parametrize("history", [1, 3, 20])
@pytest.mark.parametrize("key", [None, "once"])
async def test_an_answer_that_is_lost(
    own: Redis, before: int, others: int, history: int, key: str | None
) -> None:
    """Tried again it is no second message, and none that comes after newer ones; also
    if others have taken its place. Who can't be told that is told so."""
    async with hubs_of(own.url, 2) as [hub, other]:
        room, theirs = (it.room("lobby", history=history) for it in (hub, other))
        sink = Sink()
        await theirs.join(sink)
        await hub.room("another", history=1).publish("the script is known")
        for number in range(before):
            await room.publish(f"{number}")

        async def meanwhile() -> None:
            for number in range(others):
                await theirs.publish(f"theirs {number}")

        Losing(hub, meanwhile)
        keys = (None, None) if key is None else (f"{key} 1", f"{key} 2")
        first, second = await asyncio.gather(
            room.publish("first", idempotency_key=keys[0]),
            room.publish("second", idempotency_key=keys[1]),
            return_exceptions=True,
        )
        expected = [*map(str, range(before)), "first", "second"]
        expected += [f"theirs {number}" for number in range(others)]
        await until(lambda: len(sink.got) >= len(expected))
        assert sink.got == expected
        assert [it.data for it in await room.history()] == expected[-history:]
        for number, result in enumerate([first, second], 1):
            if key is None and others + 2 - number >= history:
                assert isinstance(result, PublishError)
                assert "idempotency_key" in str(result)
            else:
                assert isinstance(result, Message)
                assert result.id and result.id.endswith(f"-{before + number}")


@pytest.mark.parametrize("history", [1, 2, 20])
async def test_what_never_came_is_published(own: Redis, history: int) -> None:
    """In order, and however few of them are kept."""
    async with hubs_of(own.url, 1) as [hub]:
        room = hub.room("lobby", history=history)
        sink = Sink()
        await room.join(sink)
        for number in range(5):
            await room.publish(f"{number}")
        publisher: Any = hub._node.broker._publisher
        calls = publisher.calls

        class Broken:
            def put(_, make: Any, receiver: Any) -> None:
                publisher.calls = calls
                lost = OSError("lost before it was sent")
                asyncio.get_running_loop().call_soon(receiver.set_exception, lost)

        publisher.calls = Broken()
        await asyncio.gather(*(room.publish(f"{it}") for it in range(5, 10)))
        await until(lambda: len(sink.got) == 10)
        assert sink.got == [f"{number}" for number in range(10)]
