"""Exceptions of every class, wherever a connection reads (BOR-1)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import pytest
from bare import Nowhere, arguments
from waiting import until

import pywscore
from pywscore import _core
from pywscore.testing import Frame

pytestmark = pytest.mark.threat("BOR-1")


class Own(BaseException):
    """Of a class that nobody knows."""


LEAVING = [KeyboardInterrupt, SystemExit]
CLASSES = [
    *(ValueError, MemoryError, asyncio.CancelledError, GeneratorExit),
    *(StopIteration, StopAsyncIteration, pytest.fail.Exception, Own, *LEAVING),
]
OPCODES = {"on_message": 1, "on_ping": 9, "on_pong": 10}


class Raising:
    """Raises at its place, once; tells what it got."""

    def __init__(self, place: str, exception: type[BaseException], got: list[Any]):
        self.place = place
        self.exception = exception
        self.got = got

    def at(self, place: str, data: object) -> None:
        self.got.append(data)
        if place == self.place:
            self.place = "done"
            raise self.exception("here")

    def on_open(self, ws: Any) -> None:
        self.at("on_open", "open")

    def on_message(self, ws: Any, message: Any) -> None:
        self.at("on_message", message)

    def on_ping(self, ws: Any, data: bytes) -> None:
        self.at("on_ping", data)

    def on_pong(self, ws: Any, data: bytes) -> None:
        self.at("on_pong", data)

    def on_close(self, ws: Any, code: int, reason: str) -> None:
        self.at("on_close", code)


def run(loop_factory: Callable[[], Any], main: Any) -> list[BaseException]:
    """Run it, and go on when something leaves the loop; gives what did."""
    left: list[BaseException] = []
    loop = loop_factory()
    loop.set_exception_handler(lambda _, context: None)
    task = loop.create_task(main())
    try:
        while True:
            try:
                loop.run_until_complete(asyncio.wait_for(task, 10))
                return left
            except (KeyboardInterrupt, SystemExit) as exc:
                assert not task.done()
                left.append(exc)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("exception", CLASSES)
@pytest.mark.parametrize("place", OPCODES)
def test_listeners(
    loop_factory: Any,
    serve: Any,
    raw_client: Any,
    place: str,
    exception: type[BaseException],
) -> None:
    got: dict[str, list[Any]] = {"/a": [], "/b": []}

    def factory() -> Raising:
        path = "/b" if made else "/a"
        made.append(path)
        return Raising(place if path == "/a" else "", exception, got[path])

    async def main() -> None:
        server = await serve(None, "127.0.0.1", 0, listener=factory, close_timeout=1)
        async with raw_client(server, "/a") as a, raw_client(server, "/b") as b:
            a.send_frame(OPCODES[place], b"trigger")
            a.send_frame(1, b"a" * 60)
            await until(lambda: len(got["/a"]) > 1)
            # These lie where the rest of the other's was.
            b.send_frame(2, b"b" * 90)
            b.send_frame(9, b"?")
            assert await b.receive() == Frame(10, b"?")
            if exception in LEAVING:
                await until(lambda: len(got["/a"]) > 2)
                a.send_frame(9, b"?")
                assert await a.receive() == Frame(
                    10,
                    b"?" if place != "on_ping" else b"trigger",
                )
            else:
                assert await a.close_code() == 1011
        server.close()
        await server.wait_closed()
        assert server.connections == set()

    made: list[str] = []
    left = run(loop_factory, main)
    trigger = "trigger" if place == "on_message" else b"trigger"
    after = ["a" * 60] if exception in LEAVING else []
    assert got["/a"][:2] == ["open", trigger]
    assert [item for item in got["/a"][2:] if isinstance(item, str)] == after
    assert got["/b"][:3] == ["open", b"b" * 90, b"?"]
    assert [type(exc) for exc in left] == ([exception] if after else [])


@pytest.mark.parametrize("exception", CLASSES)
@pytest.mark.parametrize("end", ["close", "eof", "reset"])
@pytest.mark.parametrize("place", ["on_open", "on_message", "on_close"])
def test_the_end_is_complete(
    loop_factory: Any,
    serve: Any,
    raw_client: Any,
    place: str,
    end: str,
    exception: type[BaseException],
) -> None:
    """Whatever is raised on the way: the connection is gone and nobody waits for it."""
    got: list[Any] = []

    async def main() -> None:
        server = await serve(
            None,
            "127.0.0.1",
            0,
            listener=lambda: Raising(place, exception, got),
            close_timeout=0.5,
        )
        async with raw_client(server) as peer:
            peer.send_frame(1, b"message")
            if end == "close":
                peer.send_close()
            elif end == "eof":
                peer.writer.write_eof()
            else:
                await until(lambda: len(got) > 1)
                peer.writer.transport.abort()
            await until(lambda: isinstance(got[-1], int))
        await until(lambda: not server.connections)
        server.close()
        await server.wait_closed()

    left = run(loop_factory, main)
    assert got[0] == "open"
    assert [item for item in got if isinstance(item, int)] == got[-1:]
    assert [type(exc) for exc in left] == ([exception] if exception in LEAVING else [])


@pytest.mark.parametrize("exception", CLASSES)
@pytest.mark.parametrize("hook", ["_on_request", "_on_pong", "_on_closing", "_on_lost"])
def test_hooks(
    loop_factory: Any,
    serve: Any,
    raw_client: Any,
    hook: str,
    exception: type[BaseException],
) -> None:
    """The hooks of the C type, which are methods of its subclasses."""
    raised: list[bool] = []

    def raise_once(self: Any, *args: Any) -> Any:
        if raised:
            return getattr(super(Hooked, self), hook)(*args)
        raised.append(True)
        if hook == "_on_lost":
            getattr(super(Hooked, self), hook)(*args)
        raise exception("here")

    class Hooked(pywscore.ServerConnection):
        pass

    setattr(Hooked, hook, raise_once)

    async def handler(ws: Any) -> None:
        async for message in ws:
            received.append(message)

    received: list[Any] = []

    async def main() -> None:
        server = await serve(
            handler, "127.0.0.1", 0, create_connection=Hooked, close_timeout=0.5
        )
        async with raw_client(server, None) as peer:
            peer.writer.write(HEAD)
            peer.send_frame(10, b"pong")
            peer.send_frame(1, b"message")
            peer.send_close()
            await until(lambda: bool(raised))
            with contextlib.suppress(OSError):
                await peer.reader.read()
        await until(lambda: not server.connections)
        server.close()
        await server.wait_closed()

    left = run(loop_factory, main)
    assert set(received) <= {"message"}
    assert [type(exc) for exc in left] == ([exception] if exception in LEAVING else [])


HEAD = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


# ---- without a network: what comes when is up to the test ----------------------------


@pytest.mark.threat("BOR-2")
def test_a_loop_inside_of_a_callback() -> None:
    """Bytes that come while others are looked at lie elsewhere."""
    with Rig() as rig:
        first, second = rig.open(), rig.open()
        first.on("go", lambda: second.feed("y" * 40))
        first.feed("go", "x" * 40)
        assert first.got == ["go", "x" * 40]
        assert second.got == ["y" * 40]
        second.feed("z")
        assert second.got == ["y" * 40, "z"]


@pytest.mark.parametrize("exception", CLASSES)
def test_the_next_connection_comes_before_the_loop(
    exception: type[BaseException],
) -> None:
    with Rig() as rig:
        first, second = rig.open(), rig.open()
        first.on("go", raiser(exception))
        first.feed("go", "x" * 40)
        second.feed("y" * 60)
        assert rig.turn() == ([exception] if exception in LEAVING else [])
        assert first.got == ["go", "x" * 40] if exception in LEAVING else ["go"]
        assert second.got == ["y" * 60]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("exception", CLASSES)
def test_the_rest_at_the_end(exception: type[BaseException]) -> None:
    """connection_lost() gives out what is left, and every step of it is done."""
    with Rig() as rig:
        connection = rig.open()
        for message in ("one", "two"):
            connection.on(message, raiser(exception))
        connection.on("closed", raiser(exception))
        connection.feed("one", "two", "three")
        connection.core.connection_lost(None)
        left = rig.turn()
        assert connection.core.protocol.state is pywscore.State.CLOSED
        assert connection.core.lost_calls == 1
        if exception in LEAVING:
            assert connection.got == ["one", "two", "three", "closed"]
            assert left == [exception, exception]
        else:
            assert connection.got == ["one", "closed"]
            assert left == []


def raiser(exception: type[BaseException]) -> Callable[[], None]:
    def act() -> None:
        raise exception("here")

    return act


class Core(_core.Connection):
    lost_calls = 0

    def _on_lost(self, exc: Exception | None) -> None:
        self.lost_calls += 1


class Fed:
    """An open connection with a listener that acts once at a message."""

    def __init__(self, rig: Rig) -> None:
        self.got: list[Any] = []
        self.acts: dict[str, Callable[[], object]] = {}
        self.core = Core(
            pywscore.ServerProtocol(),
            **arguments(rig.loop)
            | {"receive_buffer": rig.buffer, "timers": rig.timers},
        )
        self.core.connection_made(Nowhere())
        self.feed_bytes(HEAD)
        self.core.protocol.next_event()
        self.core.protocol.accept()
        self.core._listen(self)

    def on(self, message: str, act: Callable[[], object]) -> None:
        self.acts[message] = act

    def on_message(self, ws: Any, message: str) -> None:
        self.got.append(message)
        self.acts.pop(message, lambda: None)()

    def on_close(self, ws: Any, code: int, reason: str) -> None:
        self.on_message(ws, "closed")

    def feed(self, *messages: str) -> None:
        """All of them in one segment."""
        self.feed_bytes(
            b"".join(
                bytes([0x81, 0x80 | len(message)]) + bytes(4) + message.encode()
                for message in messages
            )
        )

    def feed_bytes(self, data: bytes) -> None:
        view = self.core.get_buffer(-1)
        view[: len(data)] = data
        self.core.buffer_updated(len(data))


class Rig:
    """What the connections of a loop share. The loop runs in turn() only."""

    def __enter__(self) -> Rig:
        self.loop = asyncio.new_event_loop()
        self.buffer = _core.ReceiveBuffer()
        self.timers = _core.Timers(self.loop)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.loop.close()

    def open(self) -> Fed:
        return Fed(self)

    def turn(self) -> list[type[BaseException]]:
        """Run what is to be run; gives what left the loop."""
        left: list[type[BaseException]] = []
        while True:
            try:
                self.loop.run_until_complete(asyncio.sleep(0.001))
                return left
            except (KeyboardInterrupt, SystemExit) as exc:
                left.append(type(exc))
