"""Loops that end with connections, other threads, children after a fork."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import pywscore

pytestmark = [
    pytest.mark.every_environment,
    pytest.mark.skipif(sys.platform != "linux", reason="fork, /proc"),
]

THREAD_ERROR = "in the thread of its event loop only"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def in_another_thread(call: Callable[[], Any]) -> BaseException | None:
    """What ``call``, awaited if it can be, raises in a thread with its own loop."""
    outcome: list[BaseException | None] = []

    async def run() -> None:
        result = call()
        if hasattr(result, "__await__"):
            await asyncio.wait_for(result, 5)

    def target() -> None:
        try:
            asyncio.run(run())
            outcome.append(None)
        except BaseException as exc:
            outcome.append(exc)

    thread = threading.Thread(target=target)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.001)
    return outcome[0]


CALLS: dict[str, Callable[[Any], Any]] = {
    "recv": lambda ws: ws.recv(),
    "async for": lambda ws: anext(ws),
    "recv_streaming": lambda ws: anext(ws.recv_streaming()),
    "send": lambda ws: ws.send("wrong"),
    "send, fragments": lambda ws: ws.send(["wr", "ong"]),
    "send_nowait": lambda ws: ws.send_nowait("wrong"),
    "drain": lambda ws: ws.drain(),
    "flush": lambda ws: ws.flush(),
    "ping": lambda ws: ws.ping(),
    "pong": lambda ws: ws.pong(),
    "close": lambda ws: ws.close(4000),
    "close_nowait": lambda ws: ws.close_nowait(4000),
    "wait_closed": lambda ws: ws.wait_closed(),
    "async with": lambda ws: ws.__aexit__(None, None, None),
    "stats": lambda ws: ws.stats(),
}
# Of the engine's transports; asyncio's have their own ways.
TRANSPORT_CALLS: dict[str, Callable[[Any], Any]] = {
    "transport.abort": lambda ws: ws.transport.abort(),
    "transport.close": lambda ws: ws.transport.close(),
    "transport.write": lambda ws: ws.transport.write(b"wrong"),
    "transport.write_eof": lambda ws: ws.transport.write_eof(),
    "transport.pause_reading": lambda ws: ws.transport.pause_reading(),
    "transport.resume_reading": lambda ws: ws.transport.resume_reading(),
}


@pytest.mark.threat("LIF-4")
async def test_wrong_thread(pair: Any, environment: Any) -> None:
    """RuntimeError, and nothing has happened to the connection."""
    calls = CALLS | (TRANSPORT_CALLS if environment.carrier == "auto" else {})
    async with pair() as ends:
        for name, call in calls.items():
            for one, other in ((ends.client, ends.server), (ends.server, ends.client)):
                before = one._traffic
                error = await in_another_thread(lambda: call(one))  # noqa: B023
                assert isinstance(error, RuntimeError), name
                assert THREAD_ERROR in str(error), name
                assert one.state is pywscore.State.OPEN, name
                assert one._traffic == before, name
                await one.send(name)
                assert await other.recv() == name


@pytest.mark.threat("LIF-1")
async def test_a_connection_that_only_the_loop_holds(
    serve: Any, connect: Any, uri_of: Any
) -> None:
    """It goes on: as with asyncio's transports, the loop keeps what it watches."""
    alive: list[Any] = []

    async def handler(ws: Any) -> None:
        await asyncio.sleep(0.02)
        gc.collect()
        await ws.send("late")
        await ws.wait_closed()

    async def use(uri: str) -> Any:
        ws = await connect(uri)
        alive.append(weakref.ref(ws))
        return await ws.recv()

    async with serve(handler, "127.0.0.1", 0) as server:
        # The task is referred to by nothing but what it waits for.
        waiting = asyncio.wait_for(use(uri_of(server)), 5)
        results = asyncio.gather(waiting)
        del waiting
        for _ in range(5):
            gc.collect()
            await asyncio.sleep(0.01)
        assert await results == ["late"]
        del results
        ws = await connect(uri_of(server))
        alive.append(weakref.ref(ws))
        del ws
        gc.collect()
        assert alive[1]() is not None
        server.close()
        await server.wait_closed()
        for _ in range(50):
            gc.collect()
            if alive[1]() is None:
                break
            await asyncio.sleep(0.01)
        assert alive[0]() is None and alive[1]() is None


async def echoes(carrier: str, count: int) -> None:
    async def echo(ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    async with pywscore.serve(echo, "127.0.0.1", 0, carrier=carrier) as server:  # type: ignore[arg-type]
        port = server.sockets[0].getsockname()[1]
        async with pywscore.connect(
            f"ws://127.0.0.1:{port}/",
            carrier=carrier,  # type: ignore[arg-type]
            proxy=None,
        ) as ws:
            for _ in range(count):
                await ws.send("x")
                assert await ws.recv() == "x"


def test_many_loops_in_a_row(environment: Any, loop_factory: Any) -> None:
    def once() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(echoes(environment.carrier, 2))

    once()
    gc.collect()
    before = descriptors()
    for _ in range(200):
        once()
    gc.collect()
    assert descriptors() <= before


# The loop is closed at once where a handler is, without an end for its tasks.
ABRUPT = """
import asyncio, gc, os, socket, sys, warnings
import pywscore

sys.unraisablehook = lambda unraisable: None  # of coroutines that lose their loop
carrier, name = sys.argv[1:]
if name == "uvloop":
    import uvloop
factory = asyncio.new_event_loop if name == "asyncio" else uvloop.new_event_loop
REQUEST = (
    b"GET / HTTP/1.1\\r\\nHost: a\\r\\nUpgrade: websocket\\r\\n"
    b"Connection: Upgrade\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n"
    b"Sec-WebSocket-Version: 13\\r\\n\\r\\n"
)
after = {"text": b"\\x81\\x80aaaa", "ping": b"\\x89\\x80aaaa",
         "close": b"\\x88\\x80aaaa", "error": b"\\xff\\x80aaaa"}

class Listener:
    def __init__(self, place): self.place = place
    def at(self, place):
        if place == self.place: end()
    def on_open(self, ws): self.at("on_open")
    def on_message(self, ws, message): self.at("on_text")
    def on_ping(self, ws, data): self.at("on_ping")
    def on_close(self, ws, code, reason):
        if self.place in ("on_close", "on_error"): end()

def end():
    asyncio.get_running_loop().stop()

async def handler(ws):
    ws.remote_address, ws.transport.get_extra_info("socket")
    if place == "open": end()
    if place == "drain":
        while ws.send_nowait(bytes(100000)): pass
        asyncio.get_running_loop().call_later(0.01, end)
        await ws.send(bytes(100000))
    try:
        async for message in ws: end()
    except pywscore.ConnectionClosed: pass
    end()

async def start(hooks):
    server = await pywscore.serve(
        None if place.startswith("on_") else handler, sock=sock, carrier=carrier,
        close_timeout=0.1, **hooks)
    if place == "shutdown":
        asyncio.get_running_loop().call_later(0.02, server.close)
        asyncio.get_running_loop().call_later(0.03, end)
    return server

factory().close()
gc.collect()
for place in sys.stdin.read().split():
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    loop = factory()
    loop.set_exception_handler(lambda *_: None)
    hooks = {}
    if place == "process_request": hooks["process_request"] = lambda *_: end()
    if place.startswith("on_"):
        hooks["listener"] = lambda: Listener(place)
    sock = socket.create_server(("127.0.0.1", 0))
    server = loop.run_until_complete(start(hooks))
    peer = socket.create_connection(sock.getsockname())
    peer.sendall(REQUEST)
    loop.call_later(0.01, peer.sendall, after.get(place.removeprefix("on_"), b""))
    if place == "idle": loop.call_later(0.02, loop.stop)
    loop.call_later(5, os._exit, 3)
    loop.run_forever()
    loop.close()
    sock.close()
    peer.close()
    del loop, server, peer, hooks, sock
    gc.collect()
    left = len(os.listdir("/proc/self/fd")) - before
    print(place, left, flush=True)
"""
PLACES = (
    "open text close error drain process_request shutdown idle "
    "on_open on_text on_ping on_close on_error"
)


@pytest.mark.threat("LIF-1")
def test_the_loop_is_closed_where_a_handler_is(environment: Any) -> None:
    """No crash, no descriptor left, none closed twice."""
    answer = subprocess.run(
        [
            sys.executable,
            "-X",
            "dev",
            "-c",
            ABRUPT,
            environment.carrier,
            environment.loop,
        ],
        input=PLACES,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONASYNCIODEBUG": "0"},
    )
    lines = dict(line.split() for line in answer.stdout.splitlines())
    assert answer.returncode == 0, (lines, answer.stderr[-2000:])
    if environment.carrier == "auto":
        assert lines == dict.fromkeys(PLACES.split(), "0")
        # A socket object that closes what the engine closes, too, would say so.
        assert "unclosed <socket" not in answer.stderr
    assert list(lines) == PLACES.split()


def fork(child: Callable[[], None]) -> None:
    """Run ``child`` in a child process; it has to return."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            child()
            status = 0
        os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


async def still_live(ends: Any) -> None:
    async with asyncio.timeout(5):
        for one, other in ((ends.client, ends.server), (ends.server, ends.client)):
            await one.send("still")
            assert await other.recv() == "still"


@pytest.mark.threat("LIF-5")
async def test_forks_with_live_connections(pair: Any, environment: Any) -> None:
    """What a child does with its copies, and its end, is nothing to the parent."""

    def use_the_copies() -> None:
        for ws in (ends.client, ends.server):
            ws.transport.write_eof()
            ws.transport.abort()
            ws.transport.close()

    def collect() -> None:
        nonlocal ends
        ends = None
        gc.collect()

    def own_loop() -> None:
        asyncio.run(echoes("auto", 3))

    async with pair() as ends:
        children = [lambda: None, own_loop, collect]
        if environment.carrier == "auto":
            children.append(use_the_copies)
        for _ in range(3):
            for child in children:
                fork(child)
                await still_live(ends)


@pytest.mark.threat("LIF-5")
async def test_a_child_lives_on_with_its_copies(pair: Any) -> None:
    """It gets nothing of what comes to the parent."""
    async with pair() as ends:
        reading, writing = os.pipe()

        def child() -> None:
            os.close(writing)
            os.read(reading, 1)  # until the parent is done

        pid = os.fork()
        if pid == 0:
            child()
            os._exit(0)
        try:
            for _ in range(20):
                await still_live(ends)
        finally:
            os.close(writing)
            os.close(reading)
            assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.threat("LIF-1")
async def test_no_memory_at_the_end(pair: Any, over_tcp: None) -> None:
    """What was received may be lost; that TCP is gone is noticed all the same."""
    testcapi = pytest.importorskip("_testcapi")
    noticed: list[bool] = []
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    for failing in range(1, 30):
        async with pair(max_queue=1) as ends:
            for number in range(60):  # of which one is taken before the end
                ends.client.protocol.send_text(str(number) * 10)
            ends.client.flush()  # in one piece
            while not ends.server.read_paused:
                await asyncio.sleep(0)
            transport = ends.server.transport
            lost = ends.server.connection_lost
            testcapi.set_nomemory(failing, failing + 1)
            try:
                lost(None)
            except MemoryError:
                pass
            finally:
                testcapi.remove_mem_hooks()
            noticed.append(ends.server._lost)
            transport.abort()
            assert noticed[-1], failing
