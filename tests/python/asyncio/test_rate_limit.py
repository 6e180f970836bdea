"""rate_limit=: how much a peer may send, by a clock that tests move."""

from __future__ import annotations

import asyncio
import contextlib
import math
import pickle
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from peers import REQUEST, frame
from waiting import until

import pywscore
from pywscore import RateLimit, _core
from pywscore.testing import Clock

pytestmark = pytest.mark.threat("RAT-1")


@pytest.fixture(params=["engine", "transport"])
def carrier(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["handler", "listener"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


class Session:
    """A server, its connection, what that has received, and a client."""

    clock: Clock

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.ws: Any = None
        self.client: Any = None

    async def until(self, condition: Callable[[], object]) -> None:
        """For what the network brings: the loop's clock stands still."""
        end = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < end, self.received
            await asyncio.sleep(0)

    async def settle(self) -> None:
        """Let come what is on its way: nothing else takes 20 ms."""
        end = time.monotonic() + 0.02
        await self.until(lambda: time.monotonic() >= end)

    async def count_after(self, seconds: float) -> int:
        await self.clock.advance(seconds)
        await self.settle()
        return len(self.received)


@contextlib.asynccontextmanager
async def session(
    kind: str, carrier: Any, limit: RateLimit | None, **kwargs: Any
) -> AsyncIterator[Session]:
    kwargs = {"ping_interval": None, "compression": None} | kwargs
    made = Session()

    async def handler(ws: pywscore.ServerConnection) -> None:
        made.ws = ws
        async for message in ws:
            made.received.append(message)

    class Listener:
        def on_open(self, ws: Any) -> None:
            made.ws = ws

        def on_message(self, ws: Any, message: Any) -> None:
            made.received.append(message)

    async with (
        pywscore.serve(
            handler if kind == "handler" else None,  # type: ignore[call-overload]
            "127.0.0.1",
            0,
            listener=None if kind == "handler" else Listener,
            carrier=carrier,
            rate_limit=limit,
            close_timeout=0.1,
            **kwargs,
        ) as server,
        pywscore.connect(
            f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            proxy=None,
            ping_interval=None,
            compression=None,
            carrier="transport",
            close_timeout=0.1,
        ) as made.client,
        Clock() as made.clock,
    ):
        await made.until(lambda: made.ws is not None)
        yield made


def test_messages_wait_for_their_time(kind: str, carrier: Any) -> None:
    async def main() -> None:
        limit = RateLimit(messages=10, burst=0.5)
        async with session(kind, carrier, limit) as it:
            for number in range(20):
                await it.client.send(str(number))
            await it.until(lambda: len(it.received) == 5)
            assert await it.count_after(0.05) == 5
            assert it.ws.read_paused
            assert await it.count_after(0.10) == 6
            assert await it.count_after(0.50) == 11
            assert await it.count_after(2.00) == 20
            assert it.received == [str(number) for number in range(20)]
            # What has not been used for a while is there again, and no more.
            await it.clock.advance(100)
            for number in range(20):
                await it.client.send(str(number))
            await it.until(lambda: len(it.received) == 25)
            assert await it.count_after(0.05) == 25

    asyncio.run(main())


def test_bytes_wait_for_their_time(kind: str, carrier: Any) -> None:
    async def main() -> None:
        async with session(kind, carrier, RateLimit(bytes=1000)) as it:
            await it.client.send(bytes(3000))
            await it.until(lambda: len(it.received) == 1)
            await it.client.send("next")
            await it.settle()
            assert it.ws.read_paused
            # 3,000 and the request, less the 1,000 that may come at once.
            assert await it.count_after(1.9) == 1
            assert await it.count_after(0.7) == 2
            await it.until(lambda: not it.ws.read_paused)

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(6))
def test_it_is_a_bucket(kind: str, carrier: Any, seed: int) -> None:
    """What was given out, against a model in Python, after each of many steps."""
    chance = random.Random(seed)
    rate, burst = chance.choice([(1, 1), (7, 2), (40, 0.5), (0.5, 10)])

    async def main() -> None:
        async with session(kind, carrier, RateLimit(messages=rate, burst=burst)) as it:
            size = left = max(rate * burst, 1)
            waiting = received = 0
            for _ in range(12):
                for _ in range(chance.randrange(12)):
                    await it.client.send("x" * chance.randrange(3000))
                    waiting += 1
                seconds = chance.choice([0, 0.3, 1.1, 2.7]) / rate
                await it.settle()
                for passed in (0.0, seconds):
                    left += rate * passed
                    due = min(waiting, math.floor(left + 1e-9))
                    # Each goes when its time comes, a tick of the timers late at most.
                    found = await it.count_after(passed) - received
                    assert due - 1 <= found <= due, (seed, passed)
                    waiting, received = waiting - found, received + found
                    left = min(size, left - found)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("limit", "reason", "count"),
    [
        (RateLimit(messages=3, action="close"), "too many messages", 3),
        (RateLimit(bytes=5000, action="close"), "too many bytes", None),
    ],
)
def test_who_sends_more_is_closed(
    kind: str, carrier: Any, limit: RateLimit, reason: str, count: int | None
) -> None:
    async def main() -> None:
        async with session(kind, carrier, limit) as it:
            with contextlib.suppress(pywscore.ConnectionClosed):
                for _ in range(100):
                    await it.client.send("x" * 1000)
                    await asyncio.sleep(0)
            await it.until(lambda: it.client.state is pywscore.State.CLOSED)
            assert (it.client.close_code, it.client.close_reason) == (1008, reason)
            assert it.ws.close_code == 1006 or it.ws.protocol.close_sent.code == 1008
            if count is not None:
                assert len(it.received) == count
            assert not it.ws.read_paused or it.ws.state is pywscore.State.CLOSED

    asyncio.run(main())


def test_within_the_limit_nothing_happens(kind: str, carrier: Any) -> None:
    async def main() -> None:
        limit = RateLimit(messages=10, bytes=20_000, action="close")
        async with session(kind, carrier, limit) as it:
            for number in range(100):
                await it.client.send("x" * 1000)
                await it.until(lambda: len(it.received) == number + 1)  # noqa: B023
                await it.clock.advance(0.11)
            assert it.ws.state is pywscore.State.OPEN

    asyncio.run(main())


@pytest.mark.parametrize("unit", ["messages", "bytes"])
def test_what_comes_while_the_loop_is_held_up(
    kind: str, carrier: Any, unit: str
) -> None:
    """It is there at once, and may be: the peer has kept its rate. Nobody may send as
    much for having been silent."""

    async def main() -> None:
        limit = {"messages": RateLimit(messages=10, burst=0.5, action="close")}
        limit["bytes"] = RateLimit(bytes=10_000, burst=0.5, action="close")
        async with session(kind, carrier, limit[unit]) as it:

            def send(count: int) -> None:
                for _ in range(count):
                    it.client.send_nowait("x" * 980)

            for number in range(1, 21):
                send(1)
                await it.until(lambda: len(it.received) == number)  # noqa: B023
                await it.clock.advance(0.1)
            for seconds in (5, 20):
                before = len(it.received)
                send(seconds * 10)
                it.clock.stall(seconds)
                await it.until(lambda: len(it.received) == before + seconds * 10)  # noqa: B023
                await it.clock.advance(0.1)
            assert it.ws.state is pywscore.State.OPEN
            await it.clock.advance(100)
            send(20)
            await it.until(lambda: it.client.state is pywscore.State.CLOSED)
            assert it.client.close_code == 1008

    asyncio.run(main())


def test_what_comes_while_nobody_takes_messages(carrier: Any) -> None:
    async def main() -> None:
        async with Clock() as clock:
            went_on = asyncio.Event()
            received: list[Any] = []
            connections: list[Any] = []

            async def handler(ws: pywscore.ServerConnection) -> None:
                connections.append(ws)
                await went_on.wait()
                async for message in ws:
                    received.append(message)

            limit = RateLimit(messages=10, burst=1, action="close")
            async with (
                pywscore.serve(
                    *(handler, "127.0.0.1", 0),
                    rate_limit=limit,
                    carrier=carrier,
                    max_queue=2,
                ) as server,
                pywscore.connect(
                    f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", proxy=None
                ) as client,
            ):
                # Some stay in the kernel, and some in the input that was read.
                for _ in range(5):
                    for _ in range(10):
                        await client.send("x" * 5000)
                    await clock.advance(1)
                assert connections[0].read_paused
                went_on.set()
                end = time.monotonic() + 5
                while len(received) < 50 and not connections[0].close_code:
                    assert time.monotonic() < end, len(received)
                    await asyncio.sleep(0)
                assert client.state is pywscore.State.OPEN

    asyncio.run(main())


def test_the_opening_handshake_does_not_count(carrier: Any) -> None:
    async def main() -> None:
        limit = RateLimit(bytes=50, action="close")
        got: list[Any] = []

        async def handler(ws: pywscore.ServerConnection) -> None:
            async for message in ws:
                got.append(message)

        async with pywscore.serve(
            handler, "127.0.0.1", 0, carrier=carrier, rate_limit=limit
        ) as server:
            port = server.sockets[0].getsockname()[1]
            for size in (10, 60):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                # What follows it in the same piece does.
                head = REQUEST.format(path="/", extra=f"X-Long: {'x' * 500}\r\n")
                writer.write(head.encode() + frame(1, bytes(size), mask=True))
                await reader.readuntil(b"\r\n\r\n")
                if size == 10:
                    await until(lambda: got)
                    writer.write(frame(1, b"is still open", mask=True))
                    await until(lambda: len(got) == 2)
                else:
                    assert b"too many bytes" in await reader.read()
                writer.close()
                await writer.wait_closed()

    asyncio.run(main())


def test_keepalive_and_idle_clocks_stand_still(kind: str, carrier: Any) -> None:
    """Pongs wait with the rest: that is no fault of the peer's."""

    async def main() -> None:
        limit = RateLimit(messages=0.1)
        async with session(
            kind, carrier, limit, ping_interval=5, ping_timeout=5, idle_timeout=5
        ) as it:
            for _ in range(20):
                await it.client.send("x" * 70_000)  # more than is read at once
            await it.until(lambda: len(it.received) == 1)
            for count in range(2, 12):
                await it.clock.advance(10.1)
                await it.until(lambda: len(it.received) == count)  # noqa: B023
            assert it.ws.state is pywscore.State.OPEN

    asyncio.run(main())


def test_closing_waits_for_nothing(kind: str, carrier: Any) -> None:
    async def main() -> None:
        async with session(kind, carrier, RateLimit(messages=0.001)) as it:
            for _ in range(50):
                await it.client.send("x" * 10_000)
            await it.until(lambda: it.ws.read_paused)
            closing = asyncio.ensure_future(it.ws.close(4000, "bye"))
            await it.until(closing.done)
            assert (it.ws.close_code, it.client.close_code) == (4000, 4000)

    asyncio.run(main())


def test_a_client_has_it_too(carrier: Any) -> None:
    async def flood(ws: pywscore.ServerConnection) -> None:
        for number in range(10):
            await ws.send(str(number))
        await ws.wait_closed()

    async def main() -> None:
        async with Clock() as clock, pywscore.serve(flood, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            limit = RateLimit(messages=2)
            uri = f"ws://127.0.0.1:{port}"
            async with pywscore.connect(
                uri, proxy=None, carrier=carrier, rate_limit=limit
            ) as ws:
                assert [await ws.recv() for _ in range(2)] == ["0", "1"]
                third = asyncio.ensure_future(ws.recv())
                await clock.advance(0.4)
                assert not third.done()
                await clock.advance(0.2)
                assert await third == "2"

    asyncio.run(main())


def test_no_limit_has_no_buckets(carrier: Any) -> None:
    async def main() -> None:
        async with session("handler", carrier, None) as it:
            for _ in range(200):
                await it.client.send("x")
            await it.until(lambda: len(it.received) == 200)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({}, ValueError, "of messages, of bytes, or of both"),
        ({"messages": 0}, ValueError, "messages must be positive"),
        ({"bytes": -1}, ValueError, "bytes must not be negative"),
        ({"bytes": math.nan}, ValueError, "bytes must not be negative"),
        ({"messages": math.inf}, ValueError, "messages must be finite"),
        ({"messages": "10"}, TypeError, "messages must be a number"),
        ({"messages": True}, TypeError, "messages must be a number"),
        ({"messages": 1, "burst": 0}, ValueError, "burst must be positive"),
        ({"messages": 1, "burst": None}, TypeError, "burst must be a number"),
        (
            {"messages": 1, "action": "drop"},
            ValueError,
            "action must be pause or close",
        ),
    ],
)
def test_mistakes(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        RateLimit(**arguments)


def test_it_is_a_value() -> None:
    limit = RateLimit(messages=10, bytes=1 << 20, burst=2, action="close")
    assert pickle.loads(pickle.dumps(limit)) == limit
    with pytest.raises(TypeError, match="rate_limit must be a RateLimit"):
        pywscore.serve(print, rate_limit=10)  # type: ignore[arg-type]


def bad_options() -> Iterator[Any]:
    yield 3
    yield (1, 2, 3)
    yield (0, None, 1.0, False)
    yield (None, -1, 1.0, False)
    yield (None, "x", 1.0, False)
    yield (1, 1, "x", False)


async def test_what_the_core_takes(loop_factory: Any) -> None:
    from bare import arguments

    loop = asyncio.get_running_loop()
    for option in bad_options():
        with pytest.raises((TypeError, ValueError)):
            _core.Connection(
                _core.ServerProtocol(), **arguments(loop), rate_limit=option
            )
