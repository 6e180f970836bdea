"""Code of others that runs in the middle of a connection's calls (BOR-2)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable
from typing import Any

import bare
import pytest
from peers import REQUEST, frame

import pywscore
from pywscore import State, _core

pytestmark = [
    pytest.mark.threat("BOR-2"),
    pytest.mark.usefixtures("cheap_collections"),
]


class Nowhere(asyncio.Transport):
    """A transport that does nothing, unless it is told to at the end."""

    act: Callable[[], object] | None = None

    def write(self, data: object) -> None:
        pass

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def __del__(self) -> None:
        if self.act is not None:
            self.act()


def made(**options: Any) -> _core.Connection:
    loop = asyncio.get_running_loop()
    arguments = bare.arguments(loop)
    return _core.Connection(
        pywscore.ServerProtocol(any_request=True), **arguments | options
    )


def feed(connection: Any, data: bytes) -> None:
    buffer = connection.get_buffer(-1)
    buffer[: len(data)] = data
    connection.buffer_updated(len(data))


def opened() -> Any:
    connection: Any = made()
    connection.connection_made(Nowhere())
    feed(connection, REQUEST.format(path="/", extra="").encode())
    connection.protocol.accept()
    connection.flush()
    return connection


ACTIONS: dict[str, Callable[[Any], object]] = {
    "answer": lambda ws: ws.protocol.reject(403, "no"),
    "fail": lambda ws: ws.protocol.fail(1011),
    "events": lambda ws: list(ws.protocol.events()),
    "take": lambda ws: ws.protocol.data_to_send(),
    "lose": lambda ws: ws.connection_lost(None),
    "feed": lambda ws: feed(ws, frame(1, b"fed", mask=True)),
    "send": lambda ws: ws.send_nowait("sent" * 20_000),
    "flush": lambda ws: ws.flush(),
    "receive": lambda ws: ws.recv().send(None),
    "move": lambda ws: ws.connection_made(Nowhere()),
}

# AttributeError: what is written in Python is not there.
HARMLESS = (pywscore.WebSocketException, RuntimeError, StopIteration, ValueError)
HARMLESS += (AttributeError,)


class Intruder:
    """The action, not in the middle of itself."""

    def __init__(self, ws: Any, action: str) -> None:
        self.ws = ws
        self.action = ACTIONS[action]
        self.busy = False

    def __call__(self) -> None:
        if self.busy:
            return
        self.busy = True
        with contextlib.suppress(*HARMLESS):
            self.action(self.ws)
        self.busy = False


@pytest.mark.parametrize(
    "without", ["", "Upgrade: websocket\r\n", "Host: 127.0.0.1\r\n"]
)
@pytest.mark.parametrize("action", ACTIONS)
async def test_a_request(action: str, without: str, intruding: Any) -> None:
    connection: Any = made()
    connection.connection_made(Nowhere())
    head = REQUEST.format(path="/", extra="").replace(without, "", 1) if without else ""
    with intruding(Intruder(connection, action)):
        feed(connection, (head or REQUEST.format(path="/", extra="")).encode())
    connection.connection_lost(None)
    assert connection.protocol.state is State.CLOSED


@pytest.mark.parametrize("action", ACTIONS)
async def test_messages(action: str, intruding: Any) -> None:
    connection = opened()
    data = frame(1, b"one", fin=False, mask=True) + frame(9, b"ping", mask=True)
    data += frame(0, b"two", mask=True) + frame(10, b"pong", mask=True)
    data += frame(2, bytes(70_000), mask=True)
    operations = []
    with intruding(Intruder(connection, action)):
        for _ in range(3):
            with contextlib.suppress(*HARMLESS):
                feed(connection, data)
                connection.send_nowait(bytes(70_000))
                for make in (connection.recv, connection._recv_fragment):
                    operation = make()
                    operations.append(operation)
                    operation.send(None)
        connection.pause_writing()
        for operation in (connection.send("x"), connection.send("y")):
            operations.append(operation)
            with contextlib.suppress(*HARMLESS):
                operation.send(None)
        connection.resume_writing()
    for operation in operations:
        operation.close()
    connection.connection_lost(None)
    assert connection.protocol.state is State.CLOSED


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_listener(action: str, intruding: Any) -> None:
    connection = opened()
    intruder = Intruder(connection, action)

    class Listener:
        def __getattr__(self, name: str) -> Any:
            intruder()
            if name in ("on_ping", "on_message", "on_close"):
                return lambda *args: intruder()
            raise AttributeError(name)

    with intruding(intruder):
        with contextlib.suppress(RuntimeError, pywscore.WebSocketException):
            connection._listen(Listener())
        feed(connection, frame(1, b"one", mask=True) + frame(9, b"two", mask=True))
    connection.connection_lost(None)
    assert connection.protocol.state is State.CLOSED


async def test_a_listener_whose_methods_end_it() -> None:
    """Looking for a method, the connection ends: nobody is left to be called."""
    for name in ("on_open", "on_ping", "on_pong", "on_close"):
        connection = opened()

        class Listener:
            def on_message(self, ws: Any, message: Any) -> None:
                raise AssertionError

            def __getattr__(
                self, asked: str, name: str = name, connection: Any = connection
            ) -> Any:
                if asked == name:
                    connection.connection_lost(None)
                raise AttributeError(asked)

        connection._listen(Listener())
        gc.collect()
        assert connection.protocol.state is State.CLOSED


@pytest.mark.skipif(not hasattr(_core, "EngineTransport"), reason="no engine")
async def test_a_transport_that_goes() -> None:
    """What the last one runs when it goes meets the next one, whole."""

    class Going(_core.EngineTransport):
        def _detach(self) -> None:
            pass

        def __del__(self) -> None:
            connection.flush()
            gone.append(connection.transport)

    gone: list[object] = []
    connection = opened()
    engine: Any = _core.Engine(asyncio.get_running_loop())
    ours, other = socket.socketpair()
    before: Any = Going(engine, ours.detach(), connection)
    connection.connection_made(before)
    before.abort()
    await asyncio.sleep(0)  # it is lost
    del before
    new = Nowhere()
    connection.connection_made(new)
    assert gone == [new]
    other.close()


async def test_callbacks_that_are_compared() -> None:
    for count in (1, 2):
        operation = opened().recv()
        waiter = operation.send(None)

        class Callback:
            def __call__(self, *_: object) -> None:
                pass

            def __eq__(self, other: object, waiter: Any = waiter) -> Any:
                waiter.remove_done_callback(self)
                gc.collect()
                return NotImplemented

            __hash__ = object.__hash__

        class Other:
            def __eq__(self, other: object) -> bool:
                return repr(other) == ""

            __hash__ = object.__hash__

        for _ in range(count):
            waiter.add_done_callback(Callback())
        assert waiter.remove_done_callback(Other()) == 0
        operation.close()


# ---- an object that is made while it is made -----------------------------------------


class Option:
    def __init__(self, make: Callable[[], object], value: int) -> None:
        self.make, self.value = make, value

    def act(self) -> int:
        make, self.make = self.make, lambda: None
        make()
        return self.value

    __index__ = act

    def __float__(self) -> float:
        return float(self.act())


@pytest.mark.parametrize(
    "name",
    ["max_queue", "write_limit", "ping_interval", "ping_timeout", "idle_timeout"],
)
async def test_a_connection_made_twice(name: str) -> None:
    connection: Any = _core.Connection.__new__(_core.Connection)
    loop = asyncio.get_running_loop()
    arguments = bare.arguments(loop)
    inner, outer = pywscore.ServerProtocol(), pywscore.ServerProtocol()
    evil: Any = Option(lambda: connection.__init__(inner, **arguments), 20)
    evil = (evil, 4) if name in ("max_queue", "write_limit") else evil
    with pytest.raises(RuntimeError, match="twice"):
        connection.__init__(outer, **arguments | {name: evil})
    assert connection.protocol is inner
    connection.connection_made(Nowhere())
    connection.connection_lost(None)


async def test_timers_made_twice() -> None:
    timers: Any = _core.Timers.__new__(_core.Timers)

    class Loop:
        def time(self) -> float:
            if not made:
                made.append(True)
                timers.__init__(self)
            return 0.0

    made: list[bool] = []
    with pytest.raises(RuntimeError, match="twice"):
        timers.__init__(Loop())
