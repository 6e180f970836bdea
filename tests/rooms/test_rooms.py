"""Rooms over each broker: joining, publishing, histories, members."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from nodes import hubs_of
from waiting import until

from pywscore.rooms import (
    Gap,
    Hub,
    HubError,
    HubState,
    Joined,
    Left,
    LimitError,
    Message,
)


async def test_messages_reach_all_nodes(hubs: Any, serving: Any) -> None:
    async with hubs(3) as nodes, serving() as server:
        clients = await server.clients(3)
        for hub, client in zip(nodes, clients, strict=True):
            await hub.room("lobby").join(client.server)
        await nodes[0].room("lobby").publish("text")
        await nodes[1].room("lobby").publish(b"\0\xff")
        await nodes[2].room("lobby").publish(memoryview(b"view"))
        for client in clients:
            got = await client.recv_many(3)
            # Those of different nodes have no order without a history.
            assert sorted(got, key=str) == sorted(["text", b"\0\xff", b"view"], key=str)


async def test_one_order_for_everybody(hubs: Any, serving: Any) -> None:
    async with hubs(2) as nodes, serving() as server:
        clients = await server.clients(2)
        rooms = [hub.room("lobby", history=100) for hub in nodes]
        for room, client in zip(rooms, clients, strict=True):
            await room.join(client.server)
        sent = await asyncio.gather(
            *(rooms[i % 2].publish(f"message {i}") for i in range(60))
        )
        first, second = [await client.recv_many(60) for client in clients]
        assert first == second
        offsets = {message.data: int(message.id.rpartition("-")[2]) for message in sent}
        assert first == sorted(offsets, key=offsets.__getitem__)


async def test_rooms_are_apart(hubs: Any, serving: Any) -> None:
    async with hubs(2) as nodes, serving() as server:
        here, there = await server.clients(2)
        await nodes[0].room("here", history=5).join(here.server)
        await nodes[0].room("there", history=5).join(there.server)
        await nodes[1].room("there", history=5).publish("there")
        await nodes[1].room("here", history=5).publish("here")
        assert await here.recv() == "here"
        assert await there.recv() == "there"


@pytest.mark.parametrize("history", [0, 10])
async def test_exclude(hubs: Any, serving: Any, history: int) -> None:
    async with hubs(2) as nodes, serving() as server:
        clients = await server.clients(3)
        rooms = [hub.room("lobby", history=history) for hub in nodes]
        member = await rooms[0].join(clients[0].server)
        await rooms[0].join(clients[1].server)
        await rooms[1].join(clients[2].server)
        await rooms[0].publish("1", exclude=clients[0].server)
        await rooms[0].publish("2", exclude=member)
        await member.publish("3", echo=False)
        await member.publish("4")
        assert await clients[0].recv() == "4"
        assert await clients[1].recv_many(4) == ["1", "2", "3", "4"]
        assert await clients[2].recv_many(4) == ["1", "2", "3", "4"]


async def test_join_and_leave(hubs: Any, serving: Any) -> None:
    async with hubs(1) as [hub], serving() as server:
        client = await server.client()
        room = hub.room("lobby")
        async with room.join(client.server) as member:
            assert member.room is room and member.user is None
            with pytest.raises(HubError, match="member of room 'lobby' already"):
                await room.join(client.server)
            await room.publish("in")
            # Over Redis it comes in a moment.
            assert await client.recv() == "in"
        await room.publish("out")
        await until(lambda: hub.stats().received == 2)
        await room.join(client.server)
        await room.publish("in again")
        assert await client.recv() == "in again"
        await room.leave(client.server)
        await room.leave(client.server)
        await member.leave()
        await until(lambda: hub.stats().members == 0)


async def test_a_connection_that_ends_leaves_all_its_rooms(
    hubs: Any, serving: Any
) -> None:
    async with hubs(1) as [hub], serving() as server:
        first, second = await server.clients(2)
        for name in ("a", "b", "c"):
            await hub.room(name).join(first.server, user=name)
            await hub.room(name).join(second.server)
        await hub.room("b").leave(first.server)
        first.server.transport.abort()
        await until(lambda: hub.stats().members == 3)
        assert await hub.room("a").members() in ([], ["a"])
        await second.ws.close()
        await until(lambda: hub.stats().members == 0)
        with pytest.raises(Exception, match=r"1006|no close frame"):
            await hub.room("a").join(first.server)


async def test_members(hubs: Any, serving: Any) -> None:
    async with hubs(2) as nodes, serving() as server:
        clients = await server.clients(4)
        rooms = [hub.room("lobby") for hub in nodes]
        users = [{"name": "ada"}, "Bob", None, ["x", 1]]
        for index, (client, user) in enumerate(zip(clients, users, strict=True)):
            await rooms[index % 2].join(client.server, user=user)

        async def seen() -> tuple[int, list[Any]]:
            members = await rooms[0].members()
            return await rooms[1].count(), sorted(members, key=str)

        expected = (4, sorted([{"name": "ada"}, "Bob", ["x", 1]], key=str))
        async with asyncio.timeout(5):
            while await seen() != expected:
                await asyncio.sleep(0.02)
        await rooms[1].leave(clients[1].server)
        await clients[0].ws.close()
        async with asyncio.timeout(5):
            while await seen() != (2, [["x", 1]]):
                await asyncio.sleep(0.02)


async def test_events(hubs: Any, serving: Any) -> None:
    async with hubs(2) as nodes, serving() as server:
        one, two = await server.clients(2)
        rooms = [hub.room("lobby", history=10) for hub in nodes]
        events: list[Any] = []

        async def watch() -> None:
            async with contextlib.aclosing(aiter(rooms[1])) as stream:
                async for event in stream:
                    events.append(event)

        watching = asyncio.create_task(watch())
        await until(lambda: nodes[1].stats().rooms == 1)
        await asyncio.sleep(0.1)
        await rooms[0].join(one.server, user="ada")
        await until(lambda: len(events) == 1)
        await rooms[1].join(two.server)
        await until(lambda: len(events) == 2)
        sent = await rooms[0].publish("hello", key="k")
        await until(lambda: len(events) == 3)
        await rooms[0].leave(one.server)
        await until(lambda: len(events) == 4)
        assert events == [
            Joined("lobby", "ada", 1),
            Joined("lobby", None, 2),
            Message("lobby", sent.id, "hello", "k"),
            Left("lobby", "ada", 1),
        ]
        watching.cancel()
        await asyncio.wait([watching])


async def test_who_joins_while_a_room_is_read_first(serving: Any) -> None:
    """What was read is older than what was told meanwhile."""
    async with hubs_of("memory://read", 2) as [one, two], serving() as server:
        here, there = await server.clients(2)
        read, late = one._node.broker.present, []

        async def present(name: str) -> Any:
            found = await read(name)
            if not late:
                late.append(await two.room("lobby").join(there.server, user="late"))
                async with asyncio.timeout(5):
                    while not await read(name):
                        await asyncio.sleep(0.01)
            return found

        one._node.broker.present = present
        names = {Joined: "joined", Left: "left"}
        room = one.room(
            "lobby", notice=lambda event: f"{event.user} {names[type(event)]}"
        )
        await room.join(here.server, user="here")
        assert await here.recv() == "here joined"
        await late[0].leave()
        assert await here.recv() == "late left"


async def test_who_joins_and_leaves_at_once_is_no_event(
    hubs: Any, serving: Any
) -> None:
    async with hubs(2) as nodes, serving() as server:
        one, two = await server.clients(2)
        rooms = [hub.room("lobby", notice=lambda event: repr(event)) for hub in nodes]
        await rooms[1].join(two.server)
        assert await two.recv() == repr(Joined("lobby", None, 1))
        async with rooms[0].join(one.server, user="blink"):
            pass
        async with rooms[0].join(one.server, user="stays"):
            assert await two.recv() == repr(Joined("lobby", "stays", 2))


@pytest.mark.threat("BRK-4")
async def test_history(hubs: Any) -> None:
    async with hubs(2) as nodes:
        rooms = [hub.room("lobby", history=5) for hub in nodes]
        assert await rooms[0].history() == []
        sent = [await rooms[i % 2].publish(f"{i}") for i in range(8)]
        assert await rooms[1].history() == sent[3:]
        assert await rooms[0].history(limit=2) == sent[6:]
        assert await rooms[0].history(limit=0) == []
        assert await rooms[0].history(since=sent[5].id) == sent[6:]
        assert await rooms[0].history(since=sent[0].id) == sent[3:]
        assert await rooms[0].history(since="nonsense") == sent[3:]
        assert len({message.id for message in sent}) == 8
        with pytest.raises(ValueError, match="negative"):
            await rooms[0].history(limit=-1)


def told(event: Any) -> str:
    return f"gap {event.count}" if isinstance(event, Gap) else "joined or left"


@pytest.mark.threat("RMS-4")
async def test_coming_back(hubs: Any, serving: Any) -> None:
    async with hubs(2) as nodes, serving() as server:
        rooms = [hub.room("lobby", history=5, notice=told) for hub in nodes]
        sent = [await rooms[0].publish(f"{i}") for i in range(10)]
        for since, expected in (
            (sent[9].id, []),
            (sent[7].id, ["8", "9"]),
            (sent[4].id, ["5", "6", "7", "8", "9"]),
            (sent[1].id, ["gap 3", "5", "6", "7", "8", "9"]),
            ("", ["5", "6", "7", "8", "9"]),
            ("0123456789abcdef-3", ["gap None", "5", "6", "7", "8", "9"]),
            ("what isn't one", ["gap None", "5", "6", "7", "8", "9"]),
        ):
            for room in rooms:
                client = await server.client()
                await room.join(client.server, since=since)
                got = []
                while len(got) < len(expected):
                    message = await client.recv()
                    got += [message] if message != "joined or left" else []
                assert got == expected
                await client.ws.close()


@pytest.mark.threat("RMS-4")
async def test_coming_back_while_others_publish(hubs: Any, serving: Any) -> None:
    """Each message once, in order, whatever is published while one joins."""
    async with hubs(2) as nodes, serving() as server:
        rooms = [hub.room("lobby", history=10_000) for hub in nodes]
        start = await rooms[0].publish("start")
        stop = False

        async def publish() -> None:
            number = 0
            while not stop:
                await rooms[number % 2].publish(f"{number}")
                number += 1
                await asyncio.sleep(0)
            await rooms[0].publish("end")

        publishing = asyncio.create_task(publish())
        clients = []
        for index in range(12):
            client = await server.client(max_queue=None)
            await rooms[index % 2].join(client.server, since=start.id)
            clients.append(client)
            await asyncio.sleep(0.005)
        stop = True
        await publishing
        kept = [message.data for message in await rooms[0].history(since=start.id)]
        assert len(kept) < 10_000
        for client in clients:
            assert await client.recv_many(len(kept)) == kept


async def test_envelopes(hubs: Any, serving: Any) -> None:
    calls = []

    def envelope(message: Message) -> str:
        calls.append(message)
        return f"<{message.id} {message.data!r}>"

    async with hubs(1) as [hub], serving() as server:
        room = hub.room("lobby", history=10, envelope=envelope)
        clients = await server.clients(3)
        for client in clients:
            await room.join(client.server)
        sent = await room.publish(b"x")
        for client in clients:
            assert await client.recv() == f"<{sent.id} b'x'>"
        assert calls == [sent]
        late = await server.client()
        await room.join(late.server, since="")
        assert await late.recv() == f"<{sent.id} b'x'>"


async def test_idempotency_keys(hubs: Any, serving: Any) -> None:
    async with hubs(2) as nodes, serving() as server:
        client = await server.client()
        for name, history in (("kept", 10), ("live", 0)):
            rooms = [hub.room(name, history=history) for hub in nodes]
            async with rooms[0].join(client.server):
                first = await rooms[0].publish("once", idempotency_key="a")
                again = await rooms[1].publish("once", idempotency_key="a")
                assert again.id == first.id
                await rooms[1].publish("once", idempotency_key="b")
                await rooms[0].publish("end")
                got = await client.recv_many(3)
                assert sorted(got) == ["end", "once", "once"]


async def test_a_room_is_forgotten(hubs: Any) -> None:
    async with hubs(1) as [hub]:
        room = hub.room("lobby", history=10, ttl=1)
        first = await room.publish("old")
        assert len(await room.history()) == 1
        async with asyncio.timeout(5):
            while await room.history():
                await asyncio.sleep(0.05)
        second = await room.publish("new")
        assert await room.history() == [second]
        assert second.id != first.id


async def test_a_member_sees_a_room_begin_anew(hubs: Any, serving: Any) -> None:
    async with hubs(1) as [hub], serving() as server:
        client = await server.client()
        room = hub.room("lobby", history=10, ttl=1, notice=told)
        await room.join(client.server)
        assert await client.recv() == "joined or left"
        await room.publish("old")
        async with asyncio.timeout(5):
            while await room.history():
                await asyncio.sleep(0.05)
        await room.publish("new")
        assert await client.recv_many(2) == ["old", "new"]


@pytest.mark.threat("BRK-8")
async def test_limits(hubs: Any, serving: Any) -> None:
    limits = {
        "max_members": 2,
        "max_rooms": 2,
        "max_rooms_per_connection": 2,
        "max_message_size": 10,
        "max_history": 5,
        "publishes_per_second": 2,
    }
    async with hubs(1, **limits) as [hub], serving() as server:
        one, two, three = await server.clients(3)
        room, other = hub.room("room"), hub.room("other")
        member = await room.join(one.server)
        await room.join(two.server)
        with pytest.raises(LimitError, match="max_members, 2"):
            await room.join(three.server)
        await other.join(one.server)
        with pytest.raises(LimitError, match="max_rooms_per_connection, 2"):
            await hub.room("third").join(one.server)
        with pytest.raises(LimitError, match="max_rooms, 2"):
            await hub.room("third").join(three.server)
        with pytest.raises(LimitError, match="max_message_size, 10"):
            await room.publish("é" * 6)
        await room.publish("é" * 5)
        with pytest.raises(LimitError, match="max_history, 5"):
            hub.room("long", history=6)
        await member.publish("1")
        await member.publish("2")
        with pytest.raises(LimitError, match="publishes_per_second, 2"):
            await member.publish("3")
        async with asyncio.timeout(5):
            while True:
                try:
                    await member.publish("4")
                    break
                except LimitError:
                    await asyncio.sleep(0.05)
        await member.leave()
        with pytest.raises(HubError, match="has left"):
            await member.publish("5")


async def test_mistakes(hubs: Any, serving: Any) -> None:
    async with hubs(1) as [hub], serving() as server:
        client = await server.client()
        room = hub.room("lobby", history=3)
        assert hub.room("lobby") is room and hub.room("lobby", history=3) is room
        with pytest.raises(ValueError, match="another history"):
            hub.room("lobby", history=4)
        for name in ("", "x" * 201):
            with pytest.raises(ValueError, match="1 to 200"):
                hub.room(name)
        with pytest.raises(TypeError, match="str, not int"):
            hub.room(3)  # type: ignore[arg-type]
        for arguments in (
            {"history": -1},
            {"ttl": 0},
            {"ttl": float("nan")},
            {"policy": "drop"},
        ):
            with pytest.raises(ValueError, match=next(iter(arguments))):
                hub.room("new", **arguments)
        for arguments in ({"history": "3"}, {"envelope": "x"}, {"notice": 1}):
            with pytest.raises(TypeError, match=next(iter(arguments))):
                hub.room("new", **arguments)
        with pytest.raises(TypeError, match="not int"):
            await room.publish(3)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="key must be str"):
            await room.publish("x", key=3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="idempotency_key"):
            await room.publish("x", idempotency_key="k" * 201)
        with pytest.raises(ValueError, match="surrogates"):
            hub.room("\ud800")
        with pytest.raises(TypeError, match="since must be str"):
            await room.join(client.server, since=3)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="JSON"):
            await room.join(client.server, user=object())
        with pytest.raises(TypeError, match="no send_text"):
            await room.join(object())
        assert hub.stats().members == 0


async def test_states(hubs: Any, serving: Any) -> None:
    async with hubs(1) as [hub], serving() as server:
        client = await server.client()
        room = hub.room("lobby")
        await room.join(client.server)
        assert hub.state is HubState.UP and hub.healthy()
        with pytest.raises(RuntimeError, match="open"):
            await hub.open()
        await hub.close()
        await hub.close()
        assert hub.state is HubState.CLOSED and not hub.healthy()
        with pytest.raises(HubError, match="isn't open"):
            await room.join(client.server)
        with pytest.raises(HubError, match="isn't open"):
            await room.publish("x")
        # The connection is the application's.
        await client.server.send("still here")
        assert await client.recv() == "still here"
        assert repr(hub).startswith(f"<Hub {hub.node} closed")


@pytest.mark.parametrize("called", [None, "mine"])
async def test_a_node_has_a_new_name_each_time(called: str | None) -> None:
    """So hubs made before processes are forked are different nodes."""
    hub = Hub(node=called)
    names = set()
    for _ in range(3):
        async with hub:
            names.add(hub.node)
            assert hub._node.name == hub.node
            with pytest.raises(RuntimeError):
                await hub.open()
            assert hub._node.name == hub.node
    assert len(names) == 3
    assert called is None or all(it.startswith("mine-") for it in names)


async def test_counts(hubs: Any, serving: Any) -> None:
    async with hubs(2) as nodes, serving() as server:
        clients = await server.clients(3)
        rooms = [hub.room("lobby", history=5) for hub in nodes]
        for client in clients[:2]:
            await rooms[0].join(client.server)
        await rooms[1].join(clients[2].server)
        for _ in range(4):
            await rooms[1].publish("x")
        for client in clients:
            await client.recv_many(4)
        first, second = (hub.stats() for hub in nodes)
        assert (first.rooms, first.members, first.published) == (1, 2, 0)
        assert (first.received, first.delivered, first.skipped) == (4, 8, 0)
        assert (second.members, second.published, second.delivered) == (1, 4, 4)
        assert first.up and first.gaps == 0 and first.reconnects == 0
        text = first.prometheus()
        assert "\npywscore_rooms_delivered_total 8\n" in text
        assert "# TYPE pywscore_rooms_members gauge\npywscore_rooms_members 2\n" in text


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://localhost", ValueError),
        ("redis+sentinel://localhost", ValueError),
        ("redis+cluster://", ValueError),
        ("redis://user:secret@[::1", ValueError),
        ([], TypeError),
        (3, TypeError),
    ],
)
def test_urls(url: Any, error: type[Exception]) -> None:
    pytest.importorskip("redis")
    with pytest.raises(error) as info:
        Hub(url)
    assert "secret" not in str(info.value)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"node": "a b"}, ValueError),
        ({"node": ""}, ValueError),
        ({"prefix": ""}, ValueError),
        ({"prefix": "a{b"}, ValueError),
        ({"max_members": 0}, ValueError),
        ({"max_rooms": True}, TypeError),
        ({"max_message_size": "1"}, TypeError),
        ({"connect_timeout": 0}, ValueError),
        ({"join_timeout": None}, TypeError),
        ({"publishes_per_second": -1}, ValueError),
    ],
)
def test_arguments(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(arguments))):
        Hub(**arguments)
