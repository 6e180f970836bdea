"""What others publish on channels of rooms, by mistake or worse."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import tracemalloc
from typing import Any

import pytest
from nodes import hubs_of
from servers import Redis
from waiting import until

from pywscore.rooms import Hub, Joined, PublishError
from pywscore.rooms._body import Body, pack
from pywscore.rooms._broker import Report

feeds = pytest.importorskip("pywscore.rooms._redis.feed")

REPORT = Report("lobby", "node", 1, {"node.1": b'{"a": [1]}'}, ["node.2"], whole=True)


def good() -> list[bytes]:
    """Of each kind."""
    tag, epoch = secrets.token_hex(8).encode(), secrets.token_hex(8).encode()
    bodies = [pack(Body("text", "key", "node.1")), pack(Body(b"\xff\x00", None, ""))]
    return [
        *(b"m%s 1 %s %s" % (epoch, tag, body) for body in bodies),
        *(b"m- 0 %s %s" % (tag, body) for body in bodies),
        b"r" + feeds.pack_report(REPORT).encode(),
    ]


def changed(data: bytes, choose: random.Random) -> bytes:
    """With bytes that are others, too many, gone or of another place."""
    it = bytearray(data)
    for _ in range(choose.randint(1, 4)):
        at = choose.randint(0, len(it))
        match choose.randrange(5):
            case 0:
                it[at : at + 1] = bytes([choose.randrange(256)])
            case 1:
                it[at:at] = choose.choice([b" ", b"-1", b"9" * 5000, b"[" * 2000, b'"'])
            case 2:
                del it[at : at + choose.randint(1, 8)]
            case 3:
                del it[at:]
            case 4:
                it[at:at] = it[: choose.randint(0, len(it))]
    return bytes(it)


@pytest.mark.threat("BRK-3")
@pytest.mark.parametrize("history", [0, 10])
@pytest.mark.parametrize("seed", range(4))
async def test_any_bytes(
    history: int, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """They cost themselves: nothing fails, and what is ours comes."""
    caplog.set_level(logging.ERROR)
    choose = random.Random(seed)
    got: list[Any] = []

    async def send(message: Any) -> None:
        got.append(message)

    def told(event: Any) -> str | None:
        return "joined" if isinstance(event, Joined) else None

    async with hubs_of("memory://", 1) as [hub]:
        room = hub.room("lobby", history=history, notice=told)
        await room.join(send, send=send)
        rooms = {"channel": "lobby"}
        feed = feeds.Feed(None, hub._node, rooms, "probe", lambda: None)
        for _ in range(1500):
            data = changed(choose.choice(good()), choose)
            feed._on_push([b"message", b"channel", data])
            if choose.random() < 0.05:
                await asyncio.sleep(0)  # for what is read again
        await room.publish("ours")
        await until(lambda: "ours" in got)
        # Those of the fuzz have been taken for messages, where they are.
        assert hub.healthy() and set(map(type, got)) <= {str, bytes}
    assert not caplog.records


@pytest.mark.external
@pytest.mark.threat("BRK-3")
async def test_ids_that_are_none(redis: Redis) -> None:
    """Clients have made them up: they are of no message, and nothing is kept of them,
    of which there may be any number, and each may be as long as a message."""
    from pywscore.rooms._redis.commands import _pack_word

    async with hubs_of(redis.url, 1) as [hub]:
        room = hub.room("lobby", history=10)
        message = await room.publish("x")
        _pack_word.cache_clear()
        tracemalloc.start()
        try:
            for number in range(20):
                since = f"{number}{'a' * 1_000_000}-5"
                got: list[Any] = []

                async def send(message: Any, got: list[Any] = got) -> None:
                    got.append(message)

                async with room.join(send, send=send, since=since):
                    await until(lambda got=got: got == ["x"])
            assert tracemalloc.get_traced_memory()[0] < 4_000_000
        finally:
            tracemalloc.stop()
        assert await room.history(since=message.id) == []


def key(hub: Hub, kind: str) -> str:
    from pywscore.rooms._redis.keys import key_of

    return key_of(hub._node.broker._prefix, "lobby", kind)


@pytest.mark.external
@pytest.mark.threat("BRK-3")
async def test_what_isnt_ours_in_a_stream(redis: Redis) -> None:
    async with hubs_of(redis.url, 1) as [hub]:
        room = hub.room("lobby", history=10)
        await room.publish("ours")
        redis.say("XADD", key(hub, "s"), "1-1", "t", "x")
        redis.say("XADD", key(hub, "s"), "1-2", "some", "thing", "b", "else")
        got: list[Any] = []

        async def send(message: Any) -> None:
            got.append(message)

        await room.join(send, send=send, since="")
        await room.publish("new")
        await until(lambda: got == ["ours", "new"])
        assert [it.data for it in await room.history()] == ["ours", "new"]


@pytest.mark.external
@pytest.mark.threat("BRK-3")
@pytest.mark.parametrize("epoch", ["a b", "", "\ufffd\x00 "])
async def test_what_isnt_ours_beside_a_stream(redis: Redis, epoch: str) -> None:
    """Who publishes there is told; others, in the same call, don't notice."""
    async with hubs_of(redis.url, 1) as [hub]:
        room, other = hub.room("lobby", history=10), hub.room("other", history=10)
        redis.say("HSET", key(hub, "m"), "e", epoch)
        async with asyncio.timeout(3):
            failed, message = await asyncio.gather(
                *(it.publish("x") for it in (room, other)), return_exceptions=True
            )
        assert isinstance(failed, PublishError) and "isn't ours" in str(failed)
        assert await other.history() == [message]
        await room.history()


@pytest.mark.external
@pytest.mark.threat("BRK-3")
@pytest.mark.parametrize(
    "packed", ["", "[]", "{", '{"n":1e999,"s":{}}', '{"n":1,"s":5}', "[" * 100_000]
)
async def test_what_isnt_ours_among_members(
    redis: Redis, packed: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with hubs_of(redis.url, 2) as [hub, other]:
        redis.say("HSET", key(hub, "p"), other.node, packed)
        seen: list[Any] = []
        room = hub.room("lobby", notice=seen.append)
        member = await room.join(print, user="ada", send=print)
        await until(lambda: seen == [Joined("lobby", "ada", 1)])
        await until(lambda: redis.say("HGET", key(hub, "p"), hub.node) != b"$-1\r\n")
        assert await room.members() == ["ada"] and await room.count() == 1
        await member.leave()
    assert "isn't ours is among the members of room 'lobby'" in caplog.text
    assert not [it for it in caplog.records if it.levelno > logging.WARNING]
