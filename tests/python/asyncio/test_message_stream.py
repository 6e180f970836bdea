"""MessageStream: another library's messages over a connection, without that library."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from pywscore import _core
from pywscore.exceptions import ConnectionClosed

pytestmark = pytest.mark.every_environment


class Text(NamedTuple):
    kind: str
    data: str
    extra: None


class Binary(NamedTuple):
    kind: str
    data: bytes
    extra: None


FORMAT = (Text, "t", Binary, "b", None, True, "ping", "pong")


class Lost(Exception):
    pass


class Stream(_core.MessageStream):
    """Notes what it is asked for the slow way."""

    def __init__(self, connection: Any = None, **options: Any) -> None:
        self.calls: list[Any] = []
        if connection is not None:
            settings = {
                "format": FORMAT,
                "direct_receive": True,
                "direct_next": True,
                "control_messages": False,
                "close_by_hand": False,
                "max_queue_bytes": 0,
                "max_plain_size": None,
            }
            self._open_stream(connection, **(settings | options))

    async def _receive_slow(self, *args: Any, **kwargs: Any) -> str:
        self.calls.append(("receive", args, kwargs))
        return "slow"

    async def _next_slow(self) -> str:
        return "slow"

    async def _receive_end(self) -> str:
        return "end"

    async def _next_end(self) -> str:
        raise StopAsyncIteration

    async def _send_str_slow(self, *args: Any, **kwargs: Any) -> None:
        self.calls.append(("text", args, kwargs))

    async def _send_bytes_slow(self, *args: Any, **kwargs: Any) -> None:
        self.calls.append(("binary", args, kwargs))

    async def _send_lost(self) -> None:
        raise Lost


async def test_messages(pair: Any) -> None:
    async with pair() as ends:
        stream = Stream(ends.server)
        for message in ("text", "é", b"binary", ""):
            await ends.client.send(message)
        assert await stream.receive() == Text("t", "text", None)
        assert await anext(stream) == Text("t", "é", None)
        message = await stream.receive(None)
        assert message == Binary("b", b"binary", None) and type(message) is Binary
        assert (await stream.receive()).data == ""
        await stream.send_str("a")
        await stream.send_bytes(bytearray(b"b"))
        await stream.send_bytes(memoryview(b"c"))
        assert [await ends.client.recv() for _ in range(3)] == ["a", b"b", b"c"]
        await ends.client.close()
        assert [message async for message in stream] == []
        assert await stream.receive() == "end"


async def test_text_as_bytes(pair: Any) -> None:
    async with pair() as ends:
        stream = Stream(ends.server, format=(*FORMAT[:5], False, *FORMAT[6:]))
        await ends.client.send("é")
        assert await stream.receive() == Text("t", "é".encode(), None)  # type: ignore[arg-type]


async def test_what_is_unusual_goes_the_slow_way(pair: Any) -> None:
    async with pair() as ends:
        for stream in (Stream(), Stream(ends.server, direct_receive=False)):
            assert await stream.receive() == "slow"
        stream = Stream(ends.server, direct_next=False)
        assert await stream.receive(1.5) == "slow"
        assert await stream.receive(timeout=2) == "slow"
        assert await anext(stream) == "slow"
        await stream.send_str(b"x")  # type: ignore[arg-type]
        await stream.send_str("x", 0)
        await stream.send_bytes("x", compress=1)  # type: ignore[arg-type]
        for name in ("_closed", "_closing", "_waiting"):
            setattr(stream, name, True)
            assert await stream.receive() == "slow"
            setattr(stream, name, False)
        assert stream.calls == [
            ("receive", (1.5,), {}),
            ("receive", (), {"timeout": 2}),
            ("text", (b"x",), {}),
            ("text", ("x", 0), {}),
            ("binary", ("x",), {"compress": 1}),
            *[("receive", (), {})] * 3,
        ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_one_receives_at_a_time(pair: Any) -> None:
    async with pair() as ends:
        stream = Stream(ends.server)
        released: list[int] = []
        task = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        assert stream._waiting and await stream.receive() == "slow"
        stream._released = lambda: released.append(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not stream._waiting and released == [1]
        # What was cancelled took nothing; the next one is told of its end anew.
        task = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)

        def fails() -> None:
            released.append(2)
            raise ZeroDivisionError

        stream._released = fails
        await ends.client.send("x")
        assert (await task).data == "x" and released == [1, 2]


async def test_release_in_a_dropped_coroutine(pair: Any) -> None:
    async with pair() as ends:
        stream = Stream(ends.server)
        coroutine = stream.receive()
        coroutine.send(None)
        released: list[int] = []
        stream._released = lambda: released.append(1)
        del coroutine
        gc.collect()
        assert released == [1] and not stream._waiting


async def test_control_messages(pair: Any) -> None:
    async with pair() as ends:
        stream = Stream(ends.server, control_messages=True)
        await ends.client.send("a")
        pong = await ends.client.ping(b"p")
        await ends.client.pong(b"q")
        await ends.client.send("b")
        got = [await stream.receive() for _ in range(4)]
        assert [(m.kind, m.data) for m in got] == [
            ("t", "a"),
            ("ping", b"p"),
            ("pong", b"q"),
            ("t", "b"),
        ]
        assert not pong.done()
        await ends.server.pong(b"p")
        await pong


async def test_close_by_hand(pair: Any) -> None:
    async with pair() as ends:
        stream = Stream(ends.server, close_by_hand=True)
        task = asyncio.create_task(stream.receive())
        closing = asyncio.create_task(ends.client.close(4000))
        assert await task == "end"
        await stream.send_str("last")
        assert await ends.client.recv() == "last"
        ends.server.protocol.send_close(4001)
        ends.server.flush()
        await closing
        assert ends.server.protocol.close_sent.code == 4001


async def test_lost_while_sending(pair: Any) -> None:
    async with pair(server={"write_limit": 1000}, compression=None) as ends:
        stream = Stream(ends.server)
        ends.client.transport.pause_reading()

        async def send() -> None:
            while True:
                await stream.send_bytes(bytes(100_000))

        task = asyncio.create_task(send())
        while not ends.server.write_paused:
            await asyncio.sleep(0.01)
        ends.server.transport.abort()
        with pytest.raises((Lost, ConnectionClosed)) as caught:
            await task
        assert caught.type is Lost


async def test_max_plain_size(pair: Any) -> None:
    async with pair() as ends:
        Stream(ends.server, max_plain_size=10)
        await ends.client.send("x" * 10)
        assert await ends.server.recv() == "x" * 10
        await ends.client.send("x" * 11)
        await ends.client.wait_closed()
        assert ends.client.close_code == 1009


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"format": FORMAT[:-1]}, TypeError),
        ({"format": list(FORMAT)}, TypeError),
        ({"format": (str, *FORMAT[1:])}, TypeError),
        ({"format": (*FORMAT[:2], "b", *FORMAT[3:])}, TypeError),
        ({"max_queue_bytes": -1}, ValueError),
        ({"max_plain_size": -1}, ValueError),
        ({"direct": True}, TypeError),
    ],
)
async def test_arguments(
    pair: Callable[..., Any], change: dict[str, Any], error: type[Exception]
) -> None:
    async with pair() as ends:
        with pytest.raises(error):
            Stream(ends.server, **change)
        stream = Stream(ends.server)
        with pytest.raises(RuntimeError, match="open already"):
            stream._open_stream(
                ends.server,
                FORMAT,
                direct_receive=True,
                direct_next=True,
                control_messages=False,
                close_by_hand=False,
                max_queue_bytes=0,
                max_plain_size=None,
            )
    with pytest.raises(TypeError):
        Stream(object())


async def test_coroutines(pair: Any) -> None:
    """What the methods return is a coroutine for asyncio and inspect."""
    async with pair() as ends:
        stream = Stream(ends.server)
        coroutine = stream.send_str("x")
        assert asyncio.iscoroutine(coroutine) and inspect.isawaitable(coroutine)
        assert coroutine.__qualname__ == "Stream.send"
        await asyncio.gather(coroutine, asyncio.wait_for(stream.send_str("y"), 5))
        with pytest.warns(RuntimeWarning, match=r"'Stream\.recv' was never awaited"):
            stream.receive()


async def test_it_is_freed(pair: Any) -> None:
    async with pair() as ends:
        stream = Stream(ends.server)
        stream._released = stream.receive  # a cycle
        reference = weakref.ref(stream)
        del stream
        gc.collect()
        assert reference() is None
        with pytest.raises(RuntimeError, match="not open"):
            Stream()._make_message("x")
