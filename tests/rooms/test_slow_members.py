"""Members that read too slowly, and those of other libraries: nobody waits for them."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from nodes import Client, hubs_of, serving
from waiting import until

from pywscore.rooms import Gap, HubError, _fanout, _memory

BIG = "x" * 16_000


class Slow:
    """A client that doesn't read until it is told to."""

    def __init__(self, client: Client) -> None:
        self.client = client
        transport = client.ws.transport
        transport.pause_reading()

    async def read(self, count: int) -> list[Any]:
        self.client.ws.transport.resume_reading()
        return await self.client.recv_many(count)


def lag_of(member: Any) -> Any:
    """What waits for a member; None if it has left, or doesn't lag behind."""
    fanout = member.room._fanout
    return fanout and fanout.lag_of(member)


async def fill(room: Any, member: Any, start: int = 0) -> int:
    """Publish until the member lags behind; how many it took."""
    number = start
    while member.room._fanout.get(member._key) is member and not lag_of(member):
        await room.publish(json.dumps([number, BIG]))
        number += 1
        assert number < 10_000
        await asyncio.sleep(0)
    return number


def numbers(messages: list[Any]) -> list[Any]:
    return [it if it.startswith("gap") else json.loads(it)[0] for it in messages]


def told(event: Any) -> str | None:
    return f"gap {event.count}" if isinstance(event, Gap) else None


SMALL = {"max_queue": 1, "compression": None}


@pytest.mark.threat("SLW-3")
async def test_skip() -> None:
    async with hubs_of("memory://", 1) as [hub], serving(**SMALL) as server:
        slow, quick = await server.clients(2, **SMALL)
        room = hub.room("lobby", notice=told)
        reader = Slow(slow)
        member = await room.join(slow.server)
        taken = await fill(room, member)
        first = taken - 1  # the one that it was too slow for
        await room.join(quick.server)
        for number in range(taken, taken + 10):
            await room.publish(json.dumps([number, BIG]))
            # The other one isn't kept waiting.
            assert numbers([await quick.recv()]) == [number]
        assert member.skipped == 11 == hub.stats().skipped
        size = slow.server.transport.get_write_buffer_size()
        assert size < 64 * 1024 + len(BIG) + 100
        got = numbers(await reader.read(first + 1))
        assert got == [*range(first), "gap 11"]
        await until(lambda: not lag_of(member))
        await room.publish(json.dumps([-1, ""]))
        assert numbers([await slow.recv()]) == [-1]


@pytest.mark.threat("SLW-3")
async def test_latest() -> None:
    async with hubs_of("memory://", 1) as [hub], serving(**SMALL) as server:
        slow = await server.client(**SMALL)
        room = hub.room("prices", policy="latest", notice=told)
        reader = Slow(slow)
        member = await room.join(slow.server)
        taken = await fill(room, member)
        for number in range(30):
            for key in "abc":
                await room.publish(json.dumps([f"{key}{number}"]), key=key)
        assert len(lag_of(member).newest) == 4
        got = numbers(await reader.read(taken + 3))
        # The one that it was too slow for has no key, which is a key as well.
        assert got == [*range(taken), "a29", "b29", "c29"]
        await until(lambda: not lag_of(member))


async def test_latest_has_bounded_keys() -> None:
    async with hubs_of("memory://", 1) as [hub], serving(**SMALL) as server:
        slow = await server.client(**SMALL)
        room = hub.room("prices", policy="latest")
        Slow(slow)
        member = await room.join(slow.server)
        await fill(room, member)
        for number in range(3000):
            await room.publish("x", key=str(number))
        lag = lag_of(member)
        assert len(lag.newest) == 1000 and next(reversed(lag.newest)) == "2999"


@pytest.mark.threat("SLW-3")
async def test_latest_has_bounded_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest go on to be there, also one that is larger than all may be."""
    monkeypatch.setattr(_fanout, "MAX_NEWEST", 100_000)
    async with hubs_of("memory://", 1) as [hub], serving(**SMALL) as server:
        slow = await server.client(**SMALL)
        room = hub.room("prices", policy="latest")
        reader = Slow(slow)
        member = await room.join(slow.server)
        await fill(room, member)
        before = member.skipped
        lag = lag_of(member)
        lag.newest.clear()
        lag.newest_size = 0
        for size, keys, given_up in (
            (30_000, "abc", 0),
            (40_000, "c", 1),
            (30_000, "def", 3),
            (200_000, "g", 3),
            (10_000, "hi", 1),
        ):
            for key in keys:
                await room.publish(key * size, key=key)
            before += given_up
            assert member.skipped == before
            assert lag.newest_size == sum(map(len, lag.newest.values()))
        assert list(lag.newest) == ["h", "i"]
        got = [""]
        while got[-1][-1:] != "i":
            got += await reader.read(1)
        assert [it[0] for it in got[-2:]] == ["h", "i"]
        assert lag.newest_size == 0


@pytest.mark.threat("SLW-3")
async def test_close() -> None:
    async with hubs_of("memory://", 1) as [hub], serving(**SMALL) as server:
        slow, quick = await server.clients(2, **SMALL)
        room = hub.room("orders", policy="close")
        reader = Slow(slow)
        member = await room.join(slow.server)
        taken = await fill(room, member)
        assert hub.stats().members == 0
        assert numbers(await reader.read(taken - 1)) == list(range(taken - 1))
        async with asyncio.timeout(5):
            await slow.ws.wait_closed()
        assert (slow.ws.close_code, slow.ws.close_reason) == (1013, "reads too slowly")
        assert quick.ws.close_code is None


@pytest.mark.parametrize("policy", ["skip", "latest", "close"])
async def test_what_comes_while_a_member_catches_up(policy: Any) -> None:
    """It waits for its turn, notices too: also behind a gap alone."""

    async with hubs_of("memory://", 1) as [hub], serving() as server:
        one, two = await server.clients(2)
        room = hub.room("lobby", history=10, policy=policy, notice=told)
        await room.join(one.server, since="unknown-1")
        await room.publish("first")
        assert await one.recv_many(2) == ["gap None", "first"]
        member = await room.join(two.server, since="")
        assert lag_of(member)  # not yet with the others
        room._service.fanout.tell("told")
        await room.publish("second")
        assert await two.recv_many(3) == ["first", "told", "second"]
        assert member.skipped == 0


async def test_catching_up_slowly_loses_nothing() -> None:
    """A history that is larger than what may wait for a connection."""
    async with hubs_of("memory://", 1) as [hub], serving(**SMALL) as server:
        room = hub.room("lobby", history=400, notice=told)
        for number in range(400):
            await room.publish(json.dumps([number, BIG]))
        slow = await server.client(**SMALL)
        reader = Slow(slow)
        member = await room.join(slow.server, since="")
        await asyncio.sleep(0.1)
        assert lag_of(member)
        for number in range(400, 403):
            await room.publish(json.dumps([number, BIG]))
        assert numbers(await reader.read(403)) == list(range(403))
        await until(lambda: not lag_of(member))


class Starlette:
    """What Starlette's WebSocket looks like, from outside."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.fails = False
        self.closed: int | None = None

    async def send_text(self, data: str) -> None:
        await self._send(data, str)

    async def send_bytes(self, data: bytes) -> None:
        await self._send(data, bytes)

    async def _send(self, data: Any, kind: type) -> None:
        assert type(data) is kind
        await self.may_send.wait()
        if self.fails:
            raise RuntimeError("closed")
        self.sent.append(data)

    async def close(self, code: int = 1000) -> None:
        self.closed = code


class AioHTTP:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send_str(self, data: str) -> None:
        self.sent.append(data)

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)


class Websockets:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send(self, message: str | bytes) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("kind", [Starlette, AioHTTP, Websockets])
async def test_connections_of_others(kind: Any) -> None:
    async with hubs_of("memory://", 1) as [hub]:
        room = hub.room("lobby")
        ws, other = kind(), kind()
        async with room.join(ws, user="a"), room.join(other):
            await room.publish("text")
            await room.publish(b"bytes", exclude=other)
            await until(lambda: len(ws.sent) == 2 and len(other.sent) == 1)
            assert ws.sent == ["text", b"bytes"] and other.sent == ["text"]
            with pytest.raises(HubError, match="already"):
                await room.join(ws)
        await room.publish("nobody")
        assert hub.stats().members == 0


async def test_a_function_that_sends() -> None:
    """As for Channels' consumers, whose send() takes something else."""
    sent: list[Any] = []

    class Consumer:
        async def send(self, text_data: Any = None, bytes_data: Any = None) -> None:
            sent.append((text_data, bytes_data))

    async def send(data: str | bytes) -> None:
        kind = "text_data" if isinstance(data, str) else "bytes_data"
        await consumer.send(**{kind: data})

    consumer = Consumer()
    async with hubs_of("memory://", 1) as [hub]:
        async with hub.room("lobby").join(consumer, send=send):
            await hub.room("lobby").publish("t")
            await hub.room("lobby").publish(b"b")
            await until(lambda: len(sent) == 2)
    assert sent == [("t", None), (None, b"b")]


async def test_a_function_that_sends_to_a_connection_of_ours() -> None:
    """It is found by what has joined, and leaves when the connection ends."""

    class Application:
        def __init__(self, connection: Any) -> None:
            own = {"connection": lambda: connection}
            self.scope = {"extensions": {"pywscore": own}}

    async with hubs_of("memory://", 1) as [hub], serving() as server:
        one, two = await server.clients(2)
        room = hub.room("lobby")
        for client in (one, two):
            ws = Application(client.server)

            async def send(data: Any, client: Client = client) -> None:
                await client.server.send(f"<{data}>")

            await room.join(ws, send=send)
            with pytest.raises(HubError, match="already"):
                await room.join(client.server)
        await room.publish("text", exclude=ws)
        await room.publish("end")
        assert await one.recv_many(2) == ["<text>", "<end>"]
        assert await two.recv() == "<end>"
        await room.leave(ws)
        assert hub.stats().members == 1
        await one.ws.close()
        await until(lambda: hub.stats().members == 0)


@pytest.mark.threat("SLW-3")
async def test_another_library_that_is_slow() -> None:
    async with hubs_of("memory://", 1) as [hub]:
        room = hub.room("lobby", notice=told)
        ws = Starlette()
        ws.may_send.clear()
        member = await room.join(ws)
        for number in range(20):
            await room.publish(json.dumps([number, BIG]))
        assert member.skipped == 15
        assert member._outbox._size < 64 * 1024 + len(BIG) + 10
        ws.may_send.set()
        await until(lambda: not lag_of(member))
        await until(lambda: len(ws.sent) == 6)
        assert numbers(ws.sent) == [0, 1, 2, 3, 4, "gap 15"]


@pytest.mark.threat("SLW-3")
async def test_another_library_that_is_slow_is_closed() -> None:
    async with hubs_of("memory://", 1) as [hub]:
        room = hub.room("lobby", policy="close")
        ws = Starlette()
        ws.may_send.clear()
        await room.join(ws)
        for number in range(7):
            await room.publish(json.dumps([number, BIG]))
        await until(lambda: ws.closed == 1013)
        assert hub.stats().members == 0


async def test_many_that_are_slow_at_the_same_moment() -> None:
    """Each is let go once, by one publish, and who published isn't troubled."""
    async with hubs_of("memory://", 1) as [hub]:
        room = hub.room("lobby", policy="close", notice=lambda event: repr(event))
        closes: list[int] = []

        class Slow(Starlette):
            async def close(self, code: int = 1000) -> None:
                closes.append(code)

        quick = Starlette()
        await room.join(quick)
        for _ in range(400):
            slow = Slow()
            slow.may_send.clear()
            await room.join(slow, user="slow")
        await room.publish("x" * 70_000)
        await until(lambda: "x" * 70_000 in quick.sent)
        assert hub.stats().members == 401
        await room.publish("the next")
        assert hub.stats().members == 1
        await until(lambda: len(closes) == 400)
        await until(lambda: "the next" in quick.sent)
        await asyncio.sleep(0.05)
        assert closes == [1013] * 400


async def test_another_library_that_fails() -> None:
    async with hubs_of("memory://", 1) as [hub]:
        room = hub.room("lobby")
        ws, healthy = Starlette(), Starlette()
        ws.fails = True
        await room.join(ws)
        await room.join(healthy)
        await room.publish("x")
        await until(lambda: hub.stats().members == 1)
        await until(lambda: healthy.sent == ["x"])


async def test_an_envelope_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    """The message is lost for members, with one error; the room goes on."""

    def envelope(message: Any) -> str:
        if message.data == "bad":
            raise KeyError("no such template")
        return f"<{message.data}>"

    async with hubs_of("memory://", 1) as [hub]:
        room = hub.room("lobby", envelope=envelope, history=5)
        ws = Starlette()
        await room.join(ws)
        for data in ("a", "bad", "b"):
            await room.publish(data)
        await until(lambda: ws.sent == ["<a>", "<b>"])
        late = Starlette()
        await room.join(late, since="")
        await until(lambda: late.sent == ["<a>", "<b>"])
    assert "envelope() of room 'lobby' failed" in caplog.text


@pytest.mark.threat("BRK-4")
async def test_histories_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes and goes, in however many rooms: those silent longest go first."""
    monkeypatch.setattr(_memory, "MAX_BYTES", 1 << 20)
    async with hubs_of("memory://", 1) as [hub]:
        for number in range(500):
            room = hub.room(f"{number}", history=5)
            for _ in range(number % 10):
                await room.publish(BIG)
            await hub.room("busy", history=3).publish("x")
        kept = {
            name: [len(it.data) for it in await hub.room(name, history=5).history()]
            for name in map(str, range(500))
        }
        size = sum(map(sum, kept.values()))
        assert (1 << 20) - 10 * len(BIG) < size <= 1 << 20
        assert kept["499"] == [len(BIG)] * 5 and kept["1"] == []
        assert len(await hub.room("busy", history=3).history()) == 3
        # One that is larger than all may be is there as long as nothing else is said.
        great = hub.room("great", history=5)
        for _ in range(5):
            await great.publish("x" * 500_000)
        assert len(await great.history()) == 5
        assert await hub.room("499", history=5).history() == []
        shared = hub._node.broker._shared
        assert shared.size == sum(it.size for it in shared.histories.values())


@pytest.mark.threat("BRK-4")
@pytest.mark.parametrize("history", [0, 1])
async def test_keys_in_memory_are_bounded(
    history: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of one room too: the oldest go first."""
    monkeypatch.setattr(_memory, "MAX_BYTES", 1 << 20)
    async with hubs_of("memory://", 1) as [hub]:
        room = hub.room("lobby", history=history)
        for number in range(8000):
            await room.publish("x", idempotency_key=f"{number}")
        shared = hub._node.broker._shared
        kept = shared.histories["lobby"]
        assert 1000 < len(kept.known) < 4000
        entries = sum(len(it.body) + _memory.OF_ENTRY for it in kept.entries)
        assert shared.size == kept.size < (1 << 20) + entries + 3000
        known = await room.publish("y", idempotency_key="7999")
        assert known.id == (await room.publish("z", idempotency_key="7999")).id
        assert [it.data for it in await room.history()] == ["x"] * history


async def test_a_key_costs_the_same_among_many() -> None:
    async with hubs_of("memory://", 1) as [hub]:
        room = hub.room("lobby")
        times = []
        for half in range(2):
            start = time.process_time()
            for number in range(2500):
                await room.publish("x", idempotency_key=f"{half}-{number}")
            times.append(time.process_time() - start)
        assert times[1] < 3 * times[0], times
