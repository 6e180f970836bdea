"""The life of many connections, loops, threads and processes, on both carriers."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import inspect
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from environments import LOOPS
from peers import REQUEST
from waiting import until

import pywscore
from pywscore.asyncio._engine import EngineTransport

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="epoll, /proc")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def some_connections(
    serve: Any, connect: Any, uri_of: Any, echo: Any, count: int
) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:

        async def one() -> None:
            async with connect(uri_of(server)) as ws:
                await ws.send("x")
                assert await ws.recv() == "x"

        for _ in range(count // 50):
            await asyncio.gather(*(one() for _ in range(50)))


@pytest.mark.slow  # resident memory says nothing under the sanitizers
@pytest.mark.threat("OVL-4")
async def test_nothing_is_left(
    serve: Any, connect: Any, uri_of: Any, echo: Any
) -> None:
    await some_connections(serve, connect, uri_of, echo, 200)
    gc.collect()
    before, memory = descriptors(), resident()
    await some_connections(serve, connect, uri_of, echo, 2000)
    gc.collect()
    await until(lambda: descriptors() <= before)
    assert resident() < memory + (4 << 20)


@pytest.mark.threat("SLW-7")
async def test_one_floods(
    serve: Any, connect: Any, uri_of: Any, raw_client: Any, echo: Any
) -> None:
    """Others, and the loop's other work, get their turn."""
    times: list[float] = []
    ticks = 0
    async with serve(echo, "127.0.0.1", 0) as server, raw_client(server) as flood:

        async def flooding() -> None:
            while True:
                for _ in range(1000):
                    flood.send(2, b"x")
                await flood.reader.read(1 << 16)

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        async def other() -> None:
            async with connect(uri_of(server)) as ws:
                for _ in range(300):
                    start = time.perf_counter()
                    await ws.send("x")
                    assert await ws.recv() == "x"
                    times.append(time.perf_counter() - start)

        tasks = [asyncio.create_task(flooding()), asyncio.create_task(tick())]
        await asyncio.gather(*(other() for _ in range(50)))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    times.sort()
    assert times[len(times) * 99 // 100] < 1
    assert ticks > 5


@pytest.mark.threat("LIF-5")
async def test_a_child_exits(pair: Any) -> None:
    async with pair() as ends:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            await ends.client.send("x")
            assert await ends.server.recv() == "x"
            await ends.server.send("y")
            assert await ends.client.recv() == "y"


async def test_recv_is_awaited_like_a_future(pair: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    async with pair() as ends:

        async def receive() -> Any:
            variable.set("mine")
            task = asyncio.current_task()
            message = await ends.server.recv()
            assert asyncio.current_task() is task
            assert variable.get() == "mine"
            return message

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ends.server.recv()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ends.server.recv(), 0.01)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(receive())
            await asyncio.sleep(0)
            await ends.client.send("a")
        assert task.result() == "a"
        other, _ = await asyncio.gather(receive(), ends.client.send("b"))
        assert other == "b"
        waiting = asyncio.create_task(receive())
        await asyncio.sleep(0.01)
        waiting.cancel("why")
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await ends.client.send("c")
        assert await ends.server.recv() == "c"


async def echoes(carrier: str, count: int, stay: bool = False) -> None:
    async def echo(ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    server = await pywscore.serve(echo, "127.0.0.1", 0, carrier=carrier)
    port = server.sockets[0].getsockname()[1]
    ws = await pywscore.connect(f"ws://127.0.0.1:{port}/", carrier=carrier, proxy=None)
    for _ in range(count):
        await ws.send("x")
        assert await ws.recv() == "x"
    if not stay:
        await ws.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("carrier", ["transport", "auto"])
def test_several_loops(carrier: str) -> None:
    """In several threads at once, and in each one after the other."""
    failures: list[BaseException] = []

    def thread() -> None:
        try:
            for _ in range(2):
                asyncio.run(echoes(carrier, 50))
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=thread) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
        assert not one.is_alive()
    assert not failures, failures


@pytest.mark.threat("LIF-1")
def test_the_loop_is_closed_with_live_connections() -> None:
    for _ in range(3):
        asyncio.run(echoes("auto", 2, stay=True))
    gc.collect()
    before = descriptors()
    for _ in range(10):
        asyncio.run(echoes("auto", 2, stay=True))
    gc.collect()
    assert descriptors() <= before


async def test_names_of_unix_sockets_outlive_them(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    names = asyncio.get_running_loop().create_future()

    async def handler(ws: Any) -> None:
        await ws.wait_closed()
        names.set_result((ws.local_address, ws.remote_address))

    async with pywscore.unix_serve(handler, path, carrier="engine"):
        async with pywscore.unix_connect(path, carrier="engine"):
            pass
        assert await names == (path, "")


@pytest.mark.threat("LIF-1")
@pytest.mark.parametrize("loop_name", LOOPS)
def test_an_interrupt_loses_nothing(loop_name: str) -> None:
    """An exception leaves the loop: what was received with its message comes later."""
    seen: list[bytes] = []

    class Interrupted:
        def on_message(self, ws: Any, message: bytes) -> None:
            seen.append(message)
            if len(seen) == 1:
                raise KeyboardInterrupt
            ws.send_nowait(message)

    def client(port: int) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(REQUEST.format(path="/", extra="").encode())
        sock.settimeout(5)
        return sock

    async def main() -> None:
        while len(seen) < 5:
            await asyncio.sleep(0.001)

    with (
        contextlib.closing(LOOPS[loop_name]()) as loop,
        contextlib.ExitStack() as stack,
    ):
        serving = pywscore.serve(
            None, "127.0.0.1", 0, listener=Interrupted, carrier="engine"
        )
        server = loop.run_until_complete(serving.__aenter__())
        port = server.sockets[0].getsockname()[1]
        socks = [stack.enter_context(client(port)) for _ in range(5)]
        loop.run_until_complete(asyncio.sleep(0.1))
        for sock in socks:
            assert sock.recv(4096).endswith(b"\r\n\r\n")
        for number, sock in enumerate(socks):
            sock.sendall(b"\x82\x81\0\0\0\0" + bytes([number]))
        waiting = loop.create_task(asyncio.wait_for(main(), 5))
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(waiting)
        assert seen  # uvloop goes on for what is ready, then stops
        loop.run_until_complete(waiting)
        for number, sock in enumerate(socks):
            if bytes([number]) != seen[0]:
                assert sock.recv(4096) == b"\x82\x01" + bytes([number])
        stack.close()
        loop.run_until_complete(serving.__aexit__(None, None, None))
    assert sorted(seen) == [bytes([number]) for number in range(5)]


def _raise(ws: Any) -> None:
    raise ValueError("on purpose")


@pytest.mark.threat("LIF-1")
@pytest.mark.parametrize("when", ["open", "message"])
@pytest.mark.parametrize(
    ("action", "code"),
    [
        (_raise, 1011),
        (lambda ws: ws.close(4000), 4000),
        (lambda ws: ws.transport.abort(), 1006),
        (lambda ws: asyncio.current_task().cancel(), 1011),  # type: ignore[union-attr]
        (lambda ws: gc.collect() and None, 1000),
        (lambda ws: ws.send(bytes(1 << 20)), 1000),
    ],
    ids=["raise", "close", "abort", "cancel", "collect", "send"],
)
async def test_handler(
    serve: Any, connect: Any, uri_of: Any, when: str, action: Any, code: int
) -> None:
    async def handler(ws: Any) -> None:
        if when == "message":
            await ws.recv()
        result = action(ws)
        if asyncio.iscoroutine(result) or hasattr(result, "__await__"):
            await result
        await asyncio.sleep(0)

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(uri_of(server)) as ws:
            with contextlib.suppress(pywscore.ConnectionClosed):
                await ws.send("x")
                while True:
                    await ws.recv()
            await ws.wait_closed()
            assert ws.close_code == code
        # and the server goes on
        async with connect(uri_of(server)) as ws:
            pass


# ---- the interface of asyncio.Transport


@pytest.mark.parametrize(
    "name", [name for name in dir(asyncio.Transport) if not name.startswith("_")]
)
def test_every_method_of_transports(name: str) -> None:
    theirs, ours = getattr(asyncio.Transport, name), getattr(EngineTransport, name)
    try:
        here = list(inspect.signature(ours).parameters)
    except ValueError:
        return  # in C
    assert here == list(inspect.signature(theirs).parameters)


async def test_what_transports_can_be_asked(
    serve: Any, connect: Any, uri_of: Any
) -> None:
    async def handler(ws: Any) -> None:
        await ws.wait_closed()

    async with serve(handler, "127.0.0.1", 0, carrier="engine") as server:
        async with connect(uri_of(server), carrier="engine", compression=None) as ws:
            transport = ws.transport
            assert transport.get_protocol() is ws
            transport.set_protocol(ws)
            with pytest.raises(NotImplementedError):
                transport.set_protocol(asyncio.Protocol())
            assert transport.is_reading()
            transport.pause_reading()
            assert not transport.is_reading()
            transport.resume_reading()
            assert transport.is_reading()
            # A masked ping, in pieces.
            transport.writelines([b"\x89\x81", bytearray(4), memoryview(b"x")])
            await (await ws.ping())
        assert not transport.is_reading()
        assert transport.get_protocol() is None


WITHOUT_ENGINE = """
from pywscore import _core

for name in ("Engine", "EngineAcceptor", "EngineTransport", "TLSContext"):
    delattr(_core, name)

import asyncio
import pywscore

async def echo(ws):
    async for message in ws:
        await ws.send(message)

async def main():
    async with pywscore.serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with pywscore.connect(f"ws://127.0.0.1:{port}/", proxy=None) as ws:
            await ws.send("x")
            print(await ws.recv(), type(ws.transport).__module__)

asyncio.run(main())
"""


def test_a_system_without_the_engine() -> None:
    """Where C has none of it, connections are on asyncio's transports."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ENGINE], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("x asyncio.selector_events\n", "")
