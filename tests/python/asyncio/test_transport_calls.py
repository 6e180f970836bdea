"""What a transport does in the middle of our calls, of code of the application's: ends
the connection, raises, or is another one by then (BOR-2)."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from bare import Nowhere, arguments

import pywscore
from pywscore import _core

pytestmark = pytest.mark.threat("BOR-2")
engine_only = pytest.mark.skipif(
    not hasattr(_core, "Engine"), reason="no engine on this system"
)

HEAD = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
EXCEPTIONS = [
    ValueError,
    MemoryError,
    asyncio.CancelledError,
    GeneratorExit,
    KeyboardInterrupt,
    SystemExit,
]


def frame(opcode: int, payload: bytes) -> bytes:
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


PING = frame(9, b"?")


class Acting(Nowhere):
    """Acts, once, when it is written to."""

    act: Callable[[], object] | None = None

    def write(self, data: Any) -> None:
        act, self.act = self.act, None
        if act is not None:
            act()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def opened(
    loop: asyncio.AbstractEventLoop, cls: type[_core.Connection] = _core.Connection
) -> Any:
    protocol = pywscore.ServerProtocol()
    protocol.receive_data(HEAD)
    protocol.next_event()
    protocol.accept()
    protocol.data_to_send()
    return cls(
        protocol,
        **arguments(loop) | {"write_limit": (1 << 15, 1 << 13)},
    )


def feed(ws: Any, data: bytes) -> None:
    view = ws.get_buffer(-1)
    view[: len(data)] = data
    ws.buffer_updated(len(data))


def turn(loop: asyncio.AbstractEventLoop) -> list[type[BaseException]]:
    """Run what is to be run; gives what left the loop."""
    left: list[type[BaseException]] = []
    while True:
        try:
            loop.run_until_complete(asyncio.sleep(0.001))
            return left
        except (KeyboardInterrupt, SystemExit) as exc:
            left.append(type(exc))


class Noting:
    """A listener."""

    def __init__(self, act: Callable[[Any], object] = lambda ws: None) -> None:
        self.got: list[Any] = []
        self.act = act

    def on_message(self, ws: Any, message: Any) -> None:
        self.got.append(message)
        self.act(ws)


def test_lost_before_a_listener_is_called(loop: asyncio.AbstractEventLoop) -> None:
    ws, transport, listener = opened(loop), Acting(), Noting()
    ws.connection_made(transport)
    ws._listen(listener)
    transport.act = lambda: ws.connection_lost(None)
    feed(ws, PING + frame(1, b"too late"))
    assert listener.got == []
    assert ws.protocol.state is pywscore.State.CLOSED


def raiser(exception: type[BaseException]) -> Callable[[], None]:
    def act() -> None:
        raise exception("here")

    return act


@pytest.mark.threat("BOR-1")
@pytest.mark.parametrize("exception", EXCEPTIONS)
@pytest.mark.parametrize("listens", [True, False])
def test_writing_raises_before_a_message_is_given(
    loop: asyncio.AbstractEventLoop, listens: bool, exception: type[BaseException]
) -> None:
    loop.set_exception_handler(lambda loop, context: None)
    ws, transport, listener = opened(loop), Acting(), Noting()
    ws.connection_made(transport)

    async def receive() -> None:
        async for message in ws:
            listener.got.append(message)

    if listens:
        ws._listen(listener)
    else:
        task = loop.create_task(receive())
        turn(loop)
    transport.act = raiser(exception)
    asyncio._set_running_loop(loop)  # no other one's tasks run, from Python 3.14 on
    try:
        feed(ws, PING + frame(1, b"one"))
    except BaseException as exc:
        assert type(exc) is exception
    finally:
        asyncio._set_running_loop(None)
    left = turn(loop)
    ends = exception in (KeyboardInterrupt, SystemExit)
    assert left == ([exception] if ends else [])
    assert listener.got == ["one"]
    if not listens:
        task.cancel()
        turn(loop)


@engine_only
def test_the_transport_before_is_freed(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its finalizer meets the next one."""

    class Freed(_core.EngineTransport):
        def _detach(self) -> None:
            pass

        def __del__(self) -> None:
            ws.send_nowait("last words")

    ws, next_one, written = opened(loop), Acting(), list[None]()
    ours, theirs = socket.socketpair()
    with theirs:
        ws.connection_made(Freed(_core.Engine(loop), ours.detach(), ws))
        with monkeypatch.context() as patch:
            patch.setattr(loop, "call_soon", lambda *args, **kwargs: None)
            ws.transport.abort()
        next_one.act = lambda: written.append(None)
        ws.connection_made(next_one)
    assert written == [None]


class Carried(_core.EngineTransport if hasattr(_core, "Engine") else object):  # type: ignore[misc]
    def _detach(self) -> None:
        pass


@pytest.fixture
def sockets() -> Iterator[Callable[[], tuple[int, socket.socket]]]:
    peers: list[socket.socket] = []

    def make() -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        theirs.setblocking(False)
        peers.append(theirs)
        return ours.detach(), theirs

    yield make
    for peer in peers:
        peer.close()


@engine_only
@pytest.mark.parametrize("large", [True, False])
def test_another_one_ends_before_an_event(
    loop: asyncio.AbstractEventLoop, sockets: Any, large: bool
) -> None:
    """What is held leaves before the event of a connection that isn't quick, and code
    that is called for that ends it: nothing is received any more."""
    engine = _core.Engine(loop)

    class Ending(_core.Connection):
        def pause_writing(self) -> None:
            super().pause_writing()
            ended.append(slow.transport.abort())

    quick, slow, ended = opened(loop, Ending), opened(loop), list[Any]()
    (fd, of_quick), (other, of_slow) = sockets(), sockets()
    quick.connection_made(Carried(engine, fd, quick))
    slow.connection_made(Carried(engine, other, slow))
    quick._listen(Noting(lambda ws: ws.send_nowait("answer")))
    listener = Noting()
    slow._listen(listener)
    if large:  # then it is received to where the message is
        of_slow.send(b"\x82\xff" + (1 << 18).to_bytes(8, "big") + bytes(4 + (1 << 16)))
        engine.ready()
    for _ in range(300):  # it is known to be quick
        of_quick.send(frame(1, b"question"))
        engine.ready()
        of_quick.recv(1 << 16)
    for _ in range(250):
        quick.protocol.send_text("x" * 100)
    quick.transport.set_write_buffer_limits(high=0)
    of_quick.send(frame(1, b"question"))
    of_slow.send(bytes(20000) if large else frame(1, b"too late"))
    engine.ready()
    assert ended == [None]
    assert listener.got == []


@engine_only
@pytest.mark.threat("BOR-1")
@pytest.mark.parametrize("exception", EXCEPTIONS)
def test_the_end_raises(
    loop: asyncio.AbstractEventLoop, sockets: Any, exception: type[BaseException]
) -> None:
    """Nobody tells of the peer's end again: the connection ends all the same."""

    class Raising(_core.Connection):
        lost: ClassVar[list[Exception | None]] = []

        def eof_received(self) -> None:
            raise exception("here")

        def _on_lost(self, exc: Exception | None) -> None:
            self.lost.append(exc)

    ws = opened(loop, Raising)
    engine = _core.Engine(loop)
    fd, peer = sockets()
    ws.connection_made(Carried(engine, fd, ws))
    peer.shutdown(socket.SHUT_WR)
    with pytest.raises(exception, match="here"):
        engine.ready()
    turn(loop)
    assert ws.lost == [None]
    assert peer.recv(1) == b""


@engine_only
def test_a_transport_of_a_connection_without_init(
    loop: asyncio.AbstractEventLoop, sockets: Any
) -> None:
    fd, _ = sockets()
    half = _core.Connection.__new__(_core.Connection)
    with pytest.raises(RuntimeError, match="not called"):
        _core.EngineTransport(_core.Engine(loop), fd, half)
    socket.close(fd)


@engine_only
def test_outside_of_a_context(loop: asyncio.AbstractEventLoop, sockets: Any) -> None:
    """The context of a thread itself can't be left: nothing is wrong with that."""

    class Asked(_core.Connection):
        answer: Any = None

        def eof_received(self) -> None:
            self.answer = contextvars.copy_context().run(int, "1")

    def run() -> None:
        loop = asyncio.new_event_loop()
        ws = opened(loop, Asked)
        engine = _core.Engine(loop)
        fd, peer = sockets()
        ws.connection_made(Carried(engine, fd, ws))
        peer.shutdown(socket.SHUT_WR)
        engine.ready()
        answers.append(ws.answer)
        turn(loop)
        loop.close()

    answers: list[Any] = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert answers == [1]


def test_garbage_without_its_members(loop: asyncio.AbstractEventLoop) -> None:
    ws = opened(loop)
    ws.connection_made(transport := Acting())
    transport.act = ws.flush  # a cycle
    del ws._fragmented_send
    gone = weakref.ref(transport)
    del ws, transport
    gc.collect()
    assert gone() is None


@pytest.mark.threat("LIF-4")
def test_events_elsewhere(loop: asyncio.AbstractEventLoop) -> None:
    """Also of an iterator that has been there before the connection."""
    protocol = pywscore.ServerProtocol()
    events = iter(protocol.events())
    ws = _core.Connection(
        protocol,
        **arguments(loop) | {"write_limit": (1 << 15, 1 << 13)},
    )
    raised: list[BaseException] = []

    def run() -> None:
        try:
            next(events, None)
        except RuntimeError as exc:
            raised.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(raised) == 1 and "thread" in str(raised[0])
    assert next(events, None) is None
    assert ws.protocol is protocol
