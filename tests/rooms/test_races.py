"""Joins, leaves, losses of the broker and the end of the hub, in the middle of each
other; what applications' functions do in there."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
from typing import Any

import pytest
from gates import gated
from nodes import hubs_of, serving
from test_slow_members import SMALL, Slow, Starlette, fill
from waiting import until

from pywscore.rooms import (
    Gap,
    Hub,
    HubError,
    Joined,
    Left,
    LimitError,
    Member,
    Message,
    Room,
)
from pywscore.rooms._broker import Publication
from pywscore.rooms._events import Events
from pywscore.rooms._outbox import Outbox
from pywscore.rooms._service import Service


class Sink:
    """A connection of another library that takes everything."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    async def send(self, message: Any) -> None:
        self.got.append(message)


# The end of the hub


@pytest.mark.threat("LIF-7")
@pytest.mark.parametrize("history", [0, 10])
async def test_the_hub_is_closed_while_iterating_begins(history: int) -> None:
    """At each step of it: nothing goes on that waits for a hub that isn't there."""
    before = asyncio.all_tasks()

    async def watch(room: Room) -> None:
        async for _ in room:
            pass

    for steps in range(20):
        hub = Hub("memory://")
        await hub.open()
        room = hub.room("lobby", history=history)
        watching = [asyncio.create_task(watch(room)) for _ in range(3)]
        for _ in range(steps):
            await asyncio.sleep(0)
        await hub.close()
        done, pending = await asyncio.wait(watching, timeout=2)
        assert not pending, steps
        assert all(isinstance(it.exception(), HubError | None) for it in done)
        await until(lambda: asyncio.all_tasks() <= before, 1)


@pytest.mark.parametrize("gate", ["subscribing", "reading"])
async def test_the_hub_is_closed_while_one_joins(gate: str) -> None:
    hub, broker = gated()
    await hub.open()
    room = hub.room("lobby", history=10)
    if gate == "reading":
        await room.join(Sink())
        await room.publish("x")
    getattr(broker, gate).shut()
    joins = [asyncio.ensure_future(room.join(Sink(), since="")) for _ in range(3)]
    await until(lambda: getattr(broker, gate).waiting)
    await hub.close()
    for join in joins:
        with pytest.raises(HubError, match=r"closed|isn't open"):
            await join
    broker.subscribing.open()
    # It can be opened again.
    broker.reading.open()
    async with hub:
        sink = Sink()
        await room.join(sink)
        await room.publish("again")
        await until(lambda: sink.got == ["again"])


async def test_one_joins_while_the_hub_is_closed() -> None:
    """Who would be a member of a room that isn't there is none, and its end ends."""
    hub, broker = gated()
    async with serving() as server:
        client, other = await server.clients(2)
        await hub.open()
        room = hub.room("lobby", history=5)
        await room.join(other.server)
        await room.publish("x")
        await until(lambda: broker.announcing.passed)
        broker.announcing.shut()
        broker.reading.shut()
        join = asyncio.ensure_future(room.join(client.server, since=""))
        await until(lambda: broker.reading.waiting)
        close = asyncio.create_task(hub.close())
        await until(lambda: broker.announcing.waiting)
        broker.reading.open()
        await asyncio.sleep(0.01)
        with pytest.raises(HubError):
            await join
        broker.announcing.open()
        await close
        await client.ws.close()
        await asyncio.sleep(0.01)
        assert hub.stats().members == 0


async def test_closing_that_is_cancelled_lets_go_of_all() -> None:
    hub, broker = gated()
    await hub.open()
    await hub.room("lobby").join(Sink())
    broker.announcing.shut()
    close = asyncio.create_task(hub.close())
    await until(lambda: broker.announcing.waiting)
    close.cancel()
    with pytest.raises(asyncio.CancelledError):
        await close
    assert not broker._opened and not hub._node._tasks


async def test_iterating_ends_with_the_hub() -> None:
    async with hubs_of("memory://", 1) as [hub]:
        events: list[Any] = []

        async def watch() -> None:
            async for event in hub.room("lobby"):
                events.append(event)

        watching = asyncio.create_task(watch())
        await until(lambda: hub.stats().rooms == 1)
        await asyncio.sleep(0.01)
        await hub.room("lobby").publish("x")
        await hub.close()
        async with asyncio.timeout(2):
            await watching
        assert [event.data for event in events] == ["x"]


async def test_limits_are_no_faults_of_the_hub(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with hubs_of("memory://", 1, max_rooms=1) as [hub]:
        await hub.room("a").join(Sink())
        with pytest.raises(LimitError):
            await hub.room("b").join(Sink())
        await asyncio.sleep(0.01)
    assert not [it for it in caplog.records if it.levelno >= logging.WARNING]


# Losses


def down_and_up(hub: Hub) -> None:
    hub._node.on_state(False, "a loss")
    hub._node.on_state(True, "")


@pytest.mark.threat("RMS-2")
async def test_a_second_loss_while_what_the_first_one_hid_is_read() -> None:
    """What was read before the second loss doesn't count after it."""
    hub, broker = gated()
    async with hub:
        room = hub.room("lobby", history=10)
        sink = Sink()
        await room.join(sink)
        await room.publish("1")
        broker.hears = False
        hub._node.on_state(False, "the first loss")
        await room.publish("2")
        broker.reading.shut()
        hub._node.on_state(True, "")
        await until(lambda: broker.reading.waiting)
        hub._node.on_state(False, "the second loss")
        await room.publish("3")
        broker.hears = True
        broker.reading.open()
        await asyncio.sleep(0.01)
        hub._node.on_state(True, "")
        await until(lambda: sink.got == ["1", "2", "3"], 2)


@pytest.mark.threat("RMS-2")
async def test_a_loss_while_a_room_is_opened() -> None:
    """Its first reading is from before the loss."""
    hub, broker = gated()
    async with hub:
        room = hub.room("lobby", history=10)
        sink = Sink()
        broker.reading.shut()
        join = asyncio.ensure_future(room.join(sink, since=""))
        await until(lambda: broker.reading.waiting)
        hub._node.on_state(False, "a loss")
        broker.hears = False
        await room.publish("1")
        broker.hears = True
        hub._node.on_state(True, "")
        broker.reading.open()
        await join
        await until(lambda: sink.got == ["1"], 2)


@pytest.mark.threat("RMS-2")
async def test_one_room_less_stops_no_recovery() -> None:
    """A room that isn't needed any more ends while all are read again."""
    hub, broker = gated()
    async with hub:
        rooms = [hub.room(f"{number}", history=10) for number in range(600)]
        sinks = [Sink() for _ in rooms]
        for room, sink in zip(rooms, sinks, strict=True):
            await room.join(sink)
        broker.hears = False
        hub._node.on_state(False, "a loss")
        await asyncio.gather(*(room.publish("missed") for room in rooms))
        broker.hears = True
        broker.reading.shut()
        hub._node.on_state(True, "")
        await until(lambda: broker.reading.waiting > 100)
        await rooms[0].leave(sinks[0])
        rooms[0]._drop()
        await asyncio.sleep(0.01)
        broker.reading.open()
        await until(lambda: all(sink.got == ["missed"] for sink in sinks[1:]), 10)


@pytest.mark.threat("RMS-6")
async def test_who_leaves_during_a_loss_is_no_ghost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That the last member has left is told when it can be."""
    monkeypatch.setattr("pywscore.rooms._serving.UNSERVE_AFTER", 0.05)
    monkeypatch.setattr("pywscore.rooms._node.MAX_DELAY", 0.1)
    hub, broker = gated()
    async with hub:
        room = hub.room("lobby")
        sink = Sink()
        await room.join(sink, user="ada")
        await until(lambda: broker.announcing.passed)
        announce = broker.announce

        async def fails(reports: Any) -> None:
            raise HubError("away")

        broker.announce = fails  # type: ignore[method-assign]
        await room.leave(sink)
        await until(lambda: hub.stats().rooms == 0)
        await asyncio.sleep(0.15)
        broker.announce = announce  # type: ignore[method-assign]
        async with asyncio.timeout(3):
            while await room.members():
                await asyncio.sleep(0.02)
        # And who has come back meanwhile stays.
        await room.join(sink, user="ada")
        async with asyncio.timeout(3):
            while await room.members() != ["ada"]:
                await asyncio.sleep(0.02)


@pytest.mark.threat("RMS-6")
async def test_a_room_that_comes_back_before_its_end_was_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The new members aren't told away."""
    monkeypatch.setattr("pywscore.rooms._serving.UNSERVE_AFTER", 0.01)
    hub, _ = gated()
    async with hub:
        room, sink = hub.room("lobby"), Sink()
        for _ in range(5):
            await room.join(sink, user="ada")
            await room.leave(sink)
            await until(lambda: hub.stats().rooms == 0)
        await room.join(sink, user="ada")
        await asyncio.sleep(0.3)
        assert await room.members() == ["ada"]


@pytest.mark.threat("RMS-6")
async def test_presence_that_changes_while_it_is_read() -> None:
    """What is told during a reading is newer than that."""
    hub, broker = gated()
    other = Hub("memory://")
    other._node.broker = type(broker)(broker._shared_as)
    async with hub, other:
        seen: list[Any] = []

        async def watch() -> None:
            async for event in hub.room("lobby"):
                seen.append(event)

        broker.presenting.shut()
        watching = asyncio.create_task(watch())
        await until(lambda: broker.presenting.waiting)
        await other.room("lobby").join(Sink(), user="ada")
        await asyncio.sleep(0.2)
        broker.presenting.open()
        await asyncio.sleep(0.05)
        await other.room("lobby").join(Sink(), user="bob")
        await until(lambda: seen and seen[-1].user == "bob")
        assert seen[-1] == Joined("lobby", "bob", 2)
        assert not [event for event in seen if isinstance(event, Left)]
        watching.cancel()
        await asyncio.wait([watching])


async def test_all_of_a_room_that_was_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A member that comes for all there is gets nothing of it, at once."""
    hub, broker = gated()
    async with hub:
        room = hub.room("lobby", history=10)
        await room.join(Sink())
        message = await room.publish("old")
        broker._shared.histories.clear()
        passed = broker.reading.passed
        async with asyncio.timeout(1):
            for since in ("", message.id, "0123456789abcdef-7"):
                await room.join(Sink(), since=since)
        assert broker.reading.passed < passed + 5


# What others have put there


@pytest.mark.threat("BRK-3")
async def test_what_isnt_ours_in_a_history(caplog: pytest.LogCaptureFixture) -> None:
    hub, broker = gated()
    async with hub:
        room = hub.room("lobby", history=10)
        await room.publish("a")
        await broker.publish(Publication("lobby", b"not ours", "0" * 16, 10, 60, None))
        await room.publish("b")
        assert [it.data for it in await room.history()] == ["a", "b"]
        sink = Sink()
        await room.join(sink, since="")
        await until(lambda: sink.got == ["a", "b"])
    assert "what isn't ours is in room 'lobby'" in caplog.text


# Functions of the application


@pytest.mark.parametrize("made", [None, 3, {"a": 1}, "\ud800", bytearray(b"x")])
@pytest.mark.threat("RMS-1")
async def test_an_envelope_that_makes_no_message(
    made: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It costs that message, and not the room."""

    def envelope(message: Message) -> Any:
        return made if message.data == "bad" else message.data

    async with hubs_of("memory://", 1) as [hub], serving() as server:
        room = hub.room("lobby", envelope=envelope, history=5)
        client = await server.client()
        await room.join(client.server)
        for data in ("a", "bad", "b"):
            await room.publish(data)
        assert await client.recv_many(2) == ["a", "b"]
    assert "envelope() of room 'lobby' failed" in caplog.text


class Special(BaseException):
    """Neither an Exception nor the end of the program."""


@pytest.mark.external
@pytest.mark.threat("RMS-1", "BOR-1")
@pytest.mark.parametrize("kind", [asyncio.CancelledError, Special, ValueError])
@pytest.mark.parametrize("where", ["memory", "redis"])
async def test_whatever_a_function_raises(
    kind: type[BaseException], where: str, request: pytest.FixtureRequest
) -> None:
    """It costs what it was for: the node goes on to hear."""
    url = "memory://" if where == "memory" else request.getfixturevalue("redis").url

    def envelope(message: Message) -> str:
        if message.data == "bad":
            raise kind
        return str(message.data)

    def notice(event: Any) -> str:
        raise kind

    async with hubs_of(url, 1) as [hub]:
        room = hub.room("lobby", envelope=envelope, notice=notice)
        sink = Sink()
        await room.join(sink, user="ada")
        for text in ("a", "bad", "b"):
            await room.publish(text)
        await until(lambda: sink.got == ["a", "b"])
        await until(lambda: not hub._node._changed.get(0))
        await room.publish("c")
        await until(lambda: sink.got == ["a", "b", "c"])


@pytest.mark.threat("LOG-3")
async def test_clients_that_make_an_envelope_fail_flood_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def envelope(message: Message) -> str:
        return str(json.loads(message.data))

    async with hubs_of("memory://", 1) as [hub]:
        room = hub.room("lobby", envelope=envelope)
        await room.join(Sink())
        begin = time.monotonic()
        for _ in range(500):
            await room.publish("no JSON")
        seconds = int(time.monotonic() - begin) + 2
    assert 1 <= len(caplog.records) <= 11 * seconds


@pytest.mark.parametrize("made", [3, "\ud800"])
async def test_a_notice_that_makes_no_message(
    made: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with hubs_of("memory://", 1) as [hub], serving() as server:
        room = hub.room("lobby", notice=lambda event: made)
        client = await server.client()
        await room.join(client.server)
        await until(lambda: "notice() of room 'lobby' failed" in caplog.text)
        await room.publish("a")
        assert await client.recv() == "a"


async def test_a_member_leaves_in_its_own_send() -> None:
    async with hubs_of("memory://", 1) as [hub]:
        room, ended = hub.room("lobby"), asyncio.Event()

        async def send(message: Any) -> None:
            await room.leave(send)
            await asyncio.sleep(0)
            ended.set()

        await room.join(send, send=send)
        await room.publish("x")
        async with asyncio.timeout(2):
            await ended.wait()
        assert hub.stats().members == 0


async def test_the_hub_is_closed_in_a_members_send() -> None:
    async with hubs_of("memory://", 1) as [hub]:
        room, ended = hub.room("lobby"), asyncio.Event()

        async def send(message: Any) -> None:
            await hub.close()
            ended.set()

        await room.join(send, send=send)
        await room.publish("x")
        async with asyncio.timeout(2):
            await ended.wait()


async def test_a_send_that_is_cancelled() -> None:
    """Of another library's own doing: that member is gone."""
    async with hubs_of("memory://", 1) as [hub]:
        room = hub.room("lobby")

        async def send(message: Any) -> None:
            raise asyncio.CancelledError

        await room.join(send, send=send)
        await room.publish("x")
        await until(lambda: hub.stats().members == 0)


async def test_an_envelope_that_publishes_and_closes() -> None:
    async with hubs_of("memory://", 1) as [hub], serving() as server:
        clients = await server.clients(3)
        tasks = set()

        def envelope(message: Message) -> str:
            if message.data == "go":
                clients[0].server.close_nowait()
                tasks.add(asyncio.create_task(room.publish("more")))
                tasks.add(asyncio.create_task(room.leave(clients[1].server)))
            return str(message.data)

        room = hub.room("lobby", envelope=envelope, history=5)
        for client in clients:
            await room.join(client.server)
        await room.publish("go")
        assert await clients[2].recv_many(2) == ["go", "more"]
        await until(lambda: hub.stats().members == 1)
        await asyncio.gather(*tasks)


# What is kept


async def test_tasks_of_members_that_left_slowly() -> None:
    """A connection that isn't read, in and out again: no task stays for each."""
    async with hubs_of("memory://", 1) as [hub], serving(**SMALL) as server:
        slow = await server.client(**SMALL)
        room = hub.room("lobby")
        Slow(slow)
        for _ in range(5):
            member = await room.join(slow.server)
            await fill(room, member)
            await room.leave(slow.server)
        await asyncio.sleep(0.2)
        assert not hub._node._tasks


async def test_publishing_keeps_nothing_of_who_has_left() -> None:
    async with hubs_of("memory://", 1, publishes_per_second=5) as [hub]:
        room, sink = hub.room("lobby"), Sink()
        member = await room.join(sink)
        await member.publish("x")
        await member.leave()
        with pytest.raises(HubError, match="has left"):
            await member.publish("x")
        found = [it for it in gc.get_referrers(member) if isinstance(it, dict)]
        assert not found


async def test_events_that_nobody_takes() -> None:
    """They are bounded in number and size, and a gap stays one."""
    events = Events("lobby")
    for number in range(3000):
        events.put(Message("lobby", f"e-{number}", "x"))
    got = [await events.get() for _ in range(1001)]
    assert got[-1] == Gap("lobby", 2000)
    for number in range(100):
        events.put(Message("lobby", f"e-{number}", "x" * 100_000))
    events.put(Gap("lobby", 7))
    assert len(events._queue) < 50
    got = [await events.get() for _ in range(len(events._queue) + 1)]
    assert len(got) - 1 + got[-1].count == 107
    for number in range(2000):
        events.put(Message("lobby", f"e-{number}", "x"))
    events.put(Gap("lobby", None))
    assert [await events.get() for _ in range(1001)][-1] == Gap("lobby", None)


async def test_what_counts_as_skipped() -> None:
    """The newest of a key will be got; those before it won't."""
    async with hubs_of("memory://", 1) as [hub], serving(**SMALL) as server:
        slow = await server.client(**SMALL)
        room = hub.room("prices", policy="latest")
        reader = Slow(slow)
        member = await room.join(slow.server)
        taken = await fill(room, member)
        for number in range(10):
            await room.publish(json.dumps([f"a{number}"]), key="a")
        assert member.skipped == 9
        await reader.read(taken + 1)
        await until(lambda: hub.stats().delivered == taken + 1)
        assert hub.stats().skipped == 9


async def test_no_member_is_left_to_the_garbage_collector() -> None:
    """What has left is gone at once, with its room some seconds later."""
    async with hubs_of("memory://", 1) as [hub]:
        gc.collect()
        gc.disable()
        try:
            for number in range(50):
                room, ws = hub.room(f"{number}", history=5), Starlette()
                await room.join(ws, user="ada")
                await room.publish("x")
                await until(lambda ws=ws: ws.sent)
                await room.leave(ws)
                room._drop()
                await asyncio.sleep(0)
            del room, ws
            await asyncio.sleep(0.3)
            left = [
                it
                for it in gc.get_objects()
                if isinstance(it, Member | Outbox | Service | Room)
            ]
        finally:
            gc.enable()
        assert not left, left[:5]
