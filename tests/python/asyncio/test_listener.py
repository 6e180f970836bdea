"""Listeners: callbacks in the place of handlers, with the same limits."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import random
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from peers import REQUEST, frame, head_of
from waiting import until

import pywscore
from pywscore import ConcurrencyError, ConnectionClosedError, State
from pywscore.testing import Frame


class Recorder:
    """Notes all that is called."""

    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    def on_open(self, ws: Any) -> None:
        self.calls.append(("open", ws.state))

    def on_message(self, ws: Any, message: Any) -> None:
        self.calls.append(("message", message))

    def on_ping(self, ws: Any, data: bytes) -> None:
        self.calls.append(("ping", data))

    def on_pong(self, ws: Any, data: bytes) -> None:
        self.calls.append(("pong", data))

    def on_close(self, ws: Any, code: int, reason: str) -> None:
        self.calls.append(("close", code, reason))


class Echo:
    def on_message(self, ws: Any, message: Any) -> None:
        ws.send_nowait(message)


async def test_all_callbacks_in_order(serve: Any, raw_client: Any) -> None:
    calls: list[Any] = []
    async with serve(None, "127.0.0.1", 0, listener=lambda: Recorder(calls)) as server:
        async with raw_client(server) as peer:
            peer.send_frame(1, "ö".encode())
            peer.send_frame(2, b"\xff")
            peer.send_frame(9, b"hello")
            peer.send_frame(10, b"unasked")
            peer.send_frame(8, (3001).to_bytes(2) + b"bye")
            assert await peer.receive() == Frame(10, b"hello")
            assert await peer.close_code() == 3001
    assert calls == [
        ("open", State.OPEN),
        ("message", "ö"),
        ("message", b"\xff"),
        ("ping", b"hello"),
        ("pong", b"unasked"),
        ("close", 3001, "bye"),
    ]


async def test_one_listener_for_each_connection(
    serve: Any, connect: Any, uri_of: Any
) -> None:
    made: list[Any] = []

    class Counter:
        def __init__(self) -> None:
            made.append(self)
            self.count = 0

        def on_message(self, ws: Any, message: Any) -> None:
            self.count += 1
            ws.send_nowait(str(self.count))

    async with serve(None, "127.0.0.1", 0, listener=Counter) as server:
        async with connect(uri_of(server)) as one, connect(uri_of(server)) as other:
            for expected in ("1", "2", "3"):
                await one.send("x")
                assert await one.recv() == expected
            await other.send("x")
            assert await other.recv() == "1"
    assert len(made) == 2


async def test_messages_of_the_requests_packet(serve: Any, raw_client: Any) -> None:
    # HSK-7, and fragments in any split.
    calls: list[Any] = []
    async with serve(None, "127.0.0.1", 0, listener=lambda: Recorder(calls)) as server:
        async with raw_client(server) as peer:
            peer.send_frame(1, b"a", fin=False)
            peer.send_frame(0, b"b", fin=True)
            peer.send_close()
            assert await peer.close_code() == 1000
    assert ("message", "ab") in calls


FIRST = b"".join(
    (
        frame(9, b"early", mask=True),
        frame(10, b"unasked", mask=True),
        frame(1, b"bird", mask=True),
        frame(8, (3001).to_bytes(2), mask=True),
    )
)


async def sometime(ws: Any, request: Any) -> None:
    await asyncio.sleep(0.05)


@pytest.mark.threat("HSK-7")
@pytest.mark.parametrize(
    "hook", [None, lambda ws, request: None, sometime], ids=["none", "plain", "async"]
)
async def test_all_that_comes_with_the_request(
    serve: Any, raw_client: Any, hook: Any
) -> None:
    calls: list[Any] = []
    async with serve(
        None, "127.0.0.1", 0, listener=lambda: Recorder(calls), process_request=hook
    ) as server:
        async with raw_client(server, path=None) as peer:
            peer.writer.write(REQUEST.format(path="/", extra="").encode() + FIRST)
            assert (await head_of(peer)).startswith("HTTP/1.1 101 ")
            assert await peer.receive() == Frame(10, b"early")
            assert await peer.close_code() == 3001
    assert calls == [
        ("open", State.OPEN),
        ("ping", b"early"),
        ("pong", b"unasked"),
        ("message", "bird"),
        ("close", 3001, ""),
    ]


@pytest.mark.threat("HSK-7")
async def test_all_that_comes_with_the_response(
    connect: Any, raw_server: Any, accept_response: Any
) -> None:
    calls: list[Any] = []

    async def script(peer: Any, head: str) -> None:
        frames = frame(9, b"early", mask=False) + frame(1, b"bird", mask=False)
        peer.writer.write(accept_response(head) + frames)
        assert await peer.receive() == Frame(10, b"early", masked=True)
        peer.send_close()

    async with raw_server(script) as uri:
        ws = await connect(uri, listener=lambda: Recorder(calls))
        await ws.wait_closed()
    assert calls == [
        ("open", State.OPEN),
        ("ping", b"early"),
        ("message", "bird"),
        ("close", 1000, ""),
    ]


async def test_a_clients_listener(serve: Any, connect: Any, uri_of: Any) -> None:
    calls: list[Any] = []

    async def handler(ws: Any) -> None:
        # Before the client's listener is there.
        await ws.send("first")
        await (await ws.ping(b"p"))
        await ws.send("second")
        await ws.close(3002, "done")

    async with serve(handler, "127.0.0.1", 0) as server:
        ws = await connect(uri_of(server), listener=lambda: Recorder(calls))
        await ws.wait_closed()
    assert calls[0] == ("open", State.OPEN)
    assert [call for call in calls if call[0] == "message"] == [
        ("message", "first"),
        ("message", "second"),
    ]
    assert calls[-1] == ("close", 3002, "done")


async def test_only_one_receives(serve: Any, connect: Any, uri_of: Any) -> None:
    async with serve(None, "127.0.0.1", 0, listener=Echo) as server:
        async with connect(uri_of(server), listener=Echo) as ws:
            with pytest.raises(ConcurrencyError):
                await ws.recv()
            with pytest.raises(RuntimeError):
                ws._listen(Echo())


@pytest.mark.parametrize("where", ["on_open", "on_message", "on_ping", "on_pong"])
async def test_an_exception_closes_with_1011(
    serve: Any,
    raw_client: Any,
    where: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[Any] = []

    class Failing(Recorder):
        pass

    def fail(self: Any, *args: Any) -> None:
        calls.append(where)
        raise ZeroDivisionError

    setattr(Failing, where, fail)
    async with serve(None, "127.0.0.1", 0, listener=lambda: Failing(calls)) as server:
        async with raw_client(server) as peer:
            # All in one packet: what follows the one that failed is dropped.
            peer.send_frame(9, b"")
            peer.send_frame(10, b"")
            peer.send_frame(1, b"1")
            peer.send_frame(1, b"2")
            assert await peer.close_code() == 1011
            peer.send_close(1011)
        async with raw_client(server) as peer:  # it serves the next one
            assert await peer.close_code() == 1011 if where == "on_open" else True
            peer.send_close(1000)
    mine = calls[: [call[0] for call in calls].index("close") + 1]
    assert mine.count(where) == 1
    assert ("message", "2") not in mine
    assert mine[-1] == ("close", 1011, "")
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert logged and all("listener failed" in r.getMessage() for r in logged)
    assert isinstance(logged[0].exc_info[1], ZeroDivisionError)  # type: ignore[index]


async def test_a_factory_that_fails(
    serve: Any, raw_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def factory() -> Any:
        raise ZeroDivisionError

    async with serve(None, "127.0.0.1", 0, listener=factory) as server:
        async with raw_client(server) as peer:
            assert await peer.close_code() == 1011
            peer.send_close(1011)
    assert "listener failed" in caplog.text


async def test_sending_after_the_end_is_no_error(
    serve: Any, raw_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Late:
        def on_message(self, ws: Any, message: Any) -> None:
            ws.close_nowait(3000)
            ws.send_nowait("too late")

    async with serve(None, "127.0.0.1", 0, listener=Late) as server:
        async with raw_client(server) as peer:
            peer.send_frame(1, b"x")
            assert await peer.close_code() == 3000
            peer.send_close(3000)
    assert "failed" not in caplog.text


@pytest.mark.parametrize(
    "action",
    [
        lambda ws: ws.close_nowait(),
        lambda ws: ws.transport.abort(),
        lambda ws: ws.transport.close(),
        lambda ws: ws.send_nowait(bytes(1 << 20)),
        lambda ws: gc.collect(),
        lambda ws: ws._fail(1008, "policy"),
        lambda ws: ws.loop.create_task(ws.close()),
    ],
    ids=["close", "abort", "transport", "large", "collect", "fail", "task"],
)
@pytest.mark.parametrize("where", ["open", "message", "ping", "pong", "close"])
@pytest.mark.threat("LIF-1")
async def test_anything_in_a_callback(
    serve: Any, raw_client: Any, where: str, action: Callable[[Any], Any]
) -> None:
    done: list[str] = []

    def idle(ws: Any) -> None: ...

    class Acting(Recorder):
        pass

    def act(self: Any, ws: Any, *args: Any) -> None:
        done.append(where)
        try:
            action(ws)
        except pywscore.ConnectionClosed:
            assert where == "close"

    setattr(Acting, f"on_{where}", act)
    calls: list[Any] = []
    async with serve(
        None, "127.0.0.1", 0, listener=lambda: Acting(calls), close_timeout=0.2
    ) as server:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            async with raw_client(server) as peer:
                peer.send_frame(9, b"")
                peer.send_frame(10, b"")
                peer.send_frame(1, b"1")
                peer.send_close()
                await peer.writer.drain()
                await peer.reader.read()
        assert where in done
        # The server lives.
        action = idle
        async with raw_client(server) as peer:
            peer.send_frame(1, b"1")
            peer.send_close()
            assert await peer.close_code() == 1000
    assert len([call for call in calls if call[0] == "close"]) == (
        0 if where == "close" else 2
    )


async def test_connections_are_freed_by_reference_count(
    serve: Any, connect: Any, uri_of: Any
) -> None:
    gone: list[Any] = []

    class Keeper:
        def on_open(self, ws: Any) -> None:
            self.ws = ws  # a cycle
            gone.append(weakref.ref(self))

        def on_message(self, ws: Any, message: Any) -> None: ...

    gc.disable()
    try:
        async with serve(None, "127.0.0.1", 0, listener=Keeper) as server:
            async with connect(uri_of(server)):
                pass
        await asyncio.sleep(0)
        assert [ref() for ref in gone] == [None]
    finally:
        gc.enable()


@pytest.mark.threat("SLW-1")
async def test_a_peer_that_reads_nothing_is_not_read_from(
    serve: Any, raw_client: Any
) -> None:
    seen: list[Any] = []

    class Noting(Echo):
        def on_open(self, ws: Any) -> None:
            seen.append(ws)

    async with serve(None, "127.0.0.1", 0, listener=Noting, compression=None) as server:
        async with raw_client(server) as peer:
            payload = bytes(65536)

            async def flood() -> None:
                for _ in range(256):
                    peer.send_frame(2, payload)
                    await peer.writer.drain()

            flooding = asyncio.create_task(flood())
            await asyncio.sleep(0.3)
            assert not flooding.done()
            (ws,) = seen
            assert ws.transport.get_write_buffer_size() < 65536 * 3
            for _ in range(256):
                assert await peer.receive() == Frame(2, payload)
            await flooding
            peer.send_close()
            assert await peer.close_code() == 1000


@pytest.mark.threat("SLW-7")
async def test_a_flood_leaves_turns_to_others(serve: Any, raw_client: Any) -> None:
    turns = 0
    counts: list[int] = []

    class Counting:
        def __init__(self) -> None:
            self.in_turn = 0
            self.turn = -1

        def on_message(self, ws: Any, message: Any) -> None:
            if self.turn != turns:
                self.turn, self.in_turn = turns, 0
            self.in_turn += 1
            counts.append(self.in_turn)

    def tick() -> None:
        nonlocal turns
        turns += 1
        if turns < 1 << 20:
            asyncio.get_running_loop().call_soon(tick)

    async with serve(None, "127.0.0.1", 0, listener=Counting) as server:
        async with raw_client(server) as peer:
            tick()
            for _ in range(20_000):
                peer.send_frame(1, b"")
            peer.send_close()
            assert await peer.close_code() == 1000
            turns = 1 << 20
            await asyncio.sleep(0)
    assert len(counts) == 20_000
    # A few polls may be in a turn of the loop, but not all that the buffer holds.
    assert max(counts) <= 1024


@pytest.mark.threat("SLW-7")
async def test_slow_callbacks_leave_turns_to_others(
    serve: Any, raw_client: Any, environment: Any
) -> None:
    """What was received together is looked at in several turns, and all of it."""
    turns = 0
    seen: list[int] = []

    class Slow:
        def on_message(self, ws: Any, message: Any) -> None:
            seen.append(turns)
            time.sleep(0.003)
            ws.send_nowait(message)

    def tick() -> None:
        nonlocal turns
        turns += 1
        if turns < 1 << 20:
            asyncio.get_running_loop().call_soon(tick)

    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            serve(None, "127.0.0.1", 0, listener=Slow)
        )
        peers = [await stack.enter_async_context(raw_client(server)) for _ in range(20)]
        tick()
        for number, peer in enumerate(peers):
            peer.send_frame(2, bytes([number]))
        for number, peer in enumerate(peers):
            assert await peer.receive() == Frame(2, bytes([number]))
        turns = 1 << 20
        await asyncio.sleep(0)
    assert len(seen) == 20
    if environment.carrier == "auto":
        assert len(set(seen)) >= 10


async def test_random_splits(serve: Any, raw_client: Any) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    calls: list[Any] = []
    messages = [chance.randbytes(chance.randrange(300)) for _ in range(200)]
    async with serve(None, "127.0.0.1", 0, listener=lambda: Recorder(calls)) as server:
        async with raw_client(server) as peer:
            stream = b""
            for message in messages:
                length = len(message)
                size = (
                    bytes([length | 0x80])
                    if length < 126
                    else b"\xfe" + length.to_bytes(2)
                )
                stream += b"\x82" + size + bytes(4) + message
            cuts = sorted(chance.sample(range(len(stream)), 50))
            for start, end in itertools.pairwise([0, *cuts, len(stream)]):
                peer.writer.write(stream[start:end])
                await asyncio.sleep(0)
            peer.send_close()
            assert await peer.close_code() == 1000
    assert [call[1] for call in calls if call[0] == "message"] == messages


async def test_large_messages_in_memory_that_was_used_before(
    serve: Any, raw_client: Any
) -> None:
    """They begin small, as TCP brings them."""
    generator = random.Random(1)
    async with (
        serve(None, "127.0.0.1", 0, listener=Echo, compression=None) as server,
        raw_client(server) as peer,
    ):
        for size in [1_000_000, 100_000, 300_000, 70_000, 1_000_000, 999_999] * 2:
            message = generator.randbytes(size)
            sent = frame(2, message, mask=True)
            first = generator.randrange(20, 60_000)
            peer.writer.write(sent[:first])
            await asyncio.sleep(0.01)
            peer.writer.write(sent[first:])
            assert await peer.receive() == Frame(2, message)


async def test_a_lost_connection_is_1006(serve: Any, raw_client: Any) -> None:
    calls: list[Any] = []
    async with serve(None, "127.0.0.1", 0, listener=lambda: Recorder(calls)) as server:
        async with raw_client(server) as peer:
            peer.send_frame(1, b"x")
            await peer.writer.drain()
            peer.writer.transport.abort()
        await until(lambda: calls and calls[-1][0] == "close")
    assert calls[-1] == ("close", 1006, "")


async def test_close_nowait(serve: Any, connect: Any, uri_of: Any) -> None:
    class Closing:
        def on_message(self, ws: Any, message: Any) -> None:
            ws.close_nowait(3003, "enough")
            assert ws.state is State.CLOSING

    async with serve(None, "127.0.0.1", 0, listener=Closing) as server:
        async with connect(uri_of(server)) as ws:
            await ws.send("x")
            with pytest.raises(ConnectionClosedError) as info:
                await ws.recv()
            assert info.value.rcvd is not None
            assert (info.value.rcvd.code, info.value.rcvd.reason) == (3003, "enough")


@pytest.mark.parametrize(
    "handler, listener", [(None, None), (Echo, Echo), (None, "not callable")]
)
def test_wrong_arguments(handler: Any, listener: Any) -> None:
    with pytest.raises(TypeError):
        pywscore.serve(handler, "127.0.0.1", 0, listener=listener)


@pytest.mark.threat("SLW-1")
@pytest.mark.parametrize("size", [3_000, 30_000, 300_000])
async def test_on_drained_says_when_there_is_room(
    serve: Any, connect: Any, uri_of: Any, size: int
) -> None:
    """Who stops when there is no room goes on by it: nothing is missing, and nothing
    piles up."""
    total = 60_000_000 // size
    fulls = drains = most = 0

    class Feed:
        def on_open(self, ws: Any) -> None:
            self.rest = iter(range(total))
            self.go_on(ws)

        def go_on(self, ws: Any) -> None:
            nonlocal fulls, most
            for number in self.rest:
                has_room = ws.send_nowait(number.to_bytes(4) + bytes(size))
                most = max(most, ws.stats().bytes_queued)
                if not has_room:
                    fulls += 1
                    return
            ws.close_nowait()

        def on_drained(self, ws: Any) -> None:
            nonlocal drains
            drains += 1
            assert not ws.write_paused
            self.go_on(ws)

        def on_message(self, ws: Any, message: Any) -> None:
            raise AssertionError

    options = {"compression": None, "write_limit": (65536, 16384)}
    async with serve(None, "127.0.0.1", 0, listener=Feed, **options) as server:
        async with connect(uri_of(server), compression=None, max_size=None) as ws:
            for number in range(total):
                message = await ws.recv()
                assert message[:4] == number.to_bytes(4)
            await ws.wait_closed()
            assert ws.close_code == 1000
    assert fulls == drains > 0
    assert most <= 65536 + size + 20


async def test_on_drained_comes_before_what_is_read(
    serve: Any, raw_client: Any
) -> None:
    calls: list[str] = []

    class Full:
        def on_message(self, ws: Any, message: Any) -> None:
            calls.append(message)
            while message == "fill" and ws.send_nowait(bytes(100_000)):
                pass

        def on_drained(self, ws: Any) -> None:
            calls.append("drained")

    options = {"compression": None, "write_limit": 65536}
    async with serve(None, "127.0.0.1", 0, listener=Full, **options) as server:
        async with raw_client(server) as peer:
            for text in (b"fill", b"next", b"last"):
                peer.send_frame(1, text)
            await until(lambda: calls == ["fill"])
            while calls == ["fill"]:
                assert await peer.receive() == Frame(2, bytes(100_000))
            await until(lambda: len(calls) == 4)
            assert calls == ["fill", "drained", "next", "last"]


async def test_no_on_drained_while_closing(serve: Any, raw_client: Any) -> None:
    calls: list[str] = []

    class Full:
        def on_message(self, ws: Any, message: Any) -> None:
            while ws.send_nowait(bytes(100_000)):
                pass
            ws.close_nowait()

        def on_drained(self, ws: Any) -> None:
            calls.append("drained")

        def on_close(self, ws: Any, code: int, reason: str) -> None:
            calls.append(f"closed {code}")

    options = {"compression": None, "write_limit": 65536}
    async with serve(None, "127.0.0.1", 0, listener=Full, **options) as server:
        async with raw_client(server) as peer:
            peer.send_frame(1, b"fill")
            assert await peer.close_code() == 1000
            peer.send_close()
            await until(lambda: calls)
    assert calls == ["closed 1000"]


async def test_a_failing_on_drained(
    serve: Any, raw_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        def on_message(self, ws: Any, message: Any) -> None:
            while ws.send_nowait(bytes(100_000)):
                pass

        def on_drained(self, ws: Any) -> None:
            raise RuntimeError("no more")

    options = {"compression": None, "write_limit": 65536}
    async with serve(None, "127.0.0.1", 0, listener=Failing, **options) as server:
        async with raw_client(server) as peer:
            peer.send_frame(1, b"fill")
            assert await peer.close_code() == 1011
    assert "connection listener failed" in caplog.text
