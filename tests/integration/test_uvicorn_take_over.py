"""The engine takes sockets of uvicorn's transports over."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import websockets
from carriers import needs_engine
from uvicorn_servers import (
    ENVIRONMENTS,
    Environment,
    frame,
    raw,
    request,
    server_frame,
    taken,
)
from waiting import until

from pywscore import _core
from pywscore.integrations.uvicorn import WebSocketProtocol

pytestmark = needs_engine

ACCEPT = {"type": "websocket.accept"}


class OnTransport(WebSocketProtocol):
    carrier = "transport"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(ACCEPT)
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


def is_taken(protocol: WebSocketProtocol) -> bool:
    return isinstance(protocol.transport, _core.EngineTransport)


def descriptors() -> int:
    gc.collect()  # what other tests left
    return len(list(Path("/proc/self/fd").iterdir()))


@taken
def test_taken_when_accepted(environment: Environment) -> None:
    taken = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        [protocol] = served_by.server.server_state.connections
        await receive()
        taken.append(is_taken(protocol))
        await send(ACCEPT)
        taken.append(is_taken(protocol))
        await receive()

    async def main() -> None:
        nonlocal served_by
        async with environment.serve(app) as served:
            served_by = served
            async with websockets.connect(served.uri):
                pass

    served_by: Any = None
    environment.run(main)
    assert taken == [False, True]


@taken
def test_carrier_transport(environment: Environment) -> None:
    async def main() -> None:
        async with environment.serve(echo) as served:
            async with websockets.connect(served.uri) as client:
                await client.send("hi")
                assert await client.recv() == "hi"
                assert not is_taken(served.protocol)

    environment = dataclasses.replace(environment, ws=OnTransport)
    environment.run(main)


@taken
@pytest.mark.threat("OVL-5")
def test_one_descriptor_a_connection(environment: Environment) -> None:
    count = 20

    async def main() -> None:
        async with environment.serve(echo) as served:
            async with websockets.connect(served.uri):
                pass
            await asyncio.sleep(0.05)
            before = descriptors()
            clients = [await websockets.connect(served.uri) for _ in range(count)]
            state = served.server.server_state
            await until(lambda: all(map(is_taken, state.connections)))
            # One at each end: the clients are in this process.
            assert descriptors() == before + 2 * count
            # What the old transports left behind doesn't close streams: descriptors()
            # has collected it.
            for client in clients:
                await client.send("hi")
                assert await client.recv() == "hi"
            for client in clients:
                await client.close()
            await until(lambda: not served.server.server_state.connections)
            await until(lambda: descriptors() == before)

    environment.run(main)


@pytest.mark.slow
@taken
@pytest.mark.threat("OVL-5")
def test_many_connections(environment: Environment) -> None:
    """Nothing of those that came and went is left open."""

    async def main() -> None:
        async def visit(port: int) -> None:
            async with raw(port) as client:
                await client.open()
                client.writer.write(frame(1, b"hi"))
                assert await client.read_frame() == (1, b"hi")

        async with environment.serve(echo) as served:
            await visit(served.port)
            await asyncio.sleep(0.05)
            before = descriptors()
            for _ in range(10 if environment.tls else 50):
                await asyncio.gather(*(visit(served.port) for _ in range(50)))
            await until(lambda: not served.server.server_state.connections)
            await until(lambda: descriptors() == before)

    environment.run(main, within=80)


@taken
@pytest.mark.threat("HSK-7")
@pytest.mark.threat("OVL-5")
def test_frames_before_the_answer(environment: Environment) -> None:
    """More than the queue holds waits on both sides of the take-over, in order."""
    may_accept = asyncio.Event()
    total = 300

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await may_accept.wait()
        await send(ACCEPT)
        await asyncio.sleep(0.05)
        for number in range(total):
            assert (await receive())["text"] == f"{number:0>100}"
        await send({"type": "websocket.send", "text": "all"})
        await receive()

    def message(number: int) -> bytes:
        return frame(1, f"{number:0>100}".encode())

    async def main() -> None:
        async with environment.serve(app, ws_max_queue=4) as served:
            async with raw(served.port) as client:
                client.writer.write(request() + message(0) + message(1))
                for number in range(2, total // 2):
                    client.writer.write(message(number))
                await asyncio.sleep(0.02)
                may_accept.set()
                assert (await client.read_head())[0] == 101
                while not served.protocol.read_paused:
                    await asyncio.sleep(0)
                for number in range(total // 2, total):
                    client.writer.write(message(number))
                await until(lambda: is_taken(served.protocol))
                assert served.protocol.messages_queued == 4
                assert await client.reader.readexactly(5) == server_frame(1, b"all")

    environment.run(main)


@taken
def test_reading_stays_paused(environment: Environment) -> None:
    """What floods before and after the take-over stays in the kernel."""
    may_receive = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await asyncio.sleep(0.05)
        await send(ACCEPT)
        await may_receive.wait()

    async def main() -> None:
        async with environment.serve(app, ws_max_queue=4) as served:
            async with raw(served.port) as client:
                client.writer.write(request() + frame(1, b"a") * 50)
                assert (await client.read_head())[0] == 101
                protocol = served.protocol
                assert is_taken(protocol) and protocol.read_paused
                with pytest.raises(TimeoutError):
                    for _ in range(200):
                        client.writer.write(frame(2, b"x" * 125) * 1000)
                        async with asyncio.timeout(0.2):
                            await client.writer.drain()
                assert protocol.messages_queued == 4
                may_receive.set()

    environment.run(main)


@taken
@pytest.mark.threat("OVL-5")
def test_without_a_descriptor(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(fd: int) -> int:
        raise OSError(24, "Too many open files")

    async def main() -> None:
        async with environment.serve(echo) as served:
            async with websockets.connect(served.uri):
                pass
            with monkeypatch.context() as patch:
                patch.setattr(os, "dup", no_more)
                client = await websockets.connect(served.uri)
            await client.send("hi")
            assert await client.recv() == "hi"
            assert not is_taken(served.protocol)
            await client.close()

    environment.run(main)


@taken
def test_engine_refuses(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the system has no more watches: the new descriptor is closed."""

    def no_transport(*args: Any) -> Any:
        raise OSError(28, "No space left on device")

    async def main() -> None:
        async with environment.serve(echo) as served:
            async with websockets.connect(served.uri):
                pass
            await asyncio.sleep(0.05)
            before = descriptors()
            with monkeypatch.context() as patch:
                patch.setattr("pywscore.asyncio._engine.EngineTransport", no_transport)
                client = await websockets.connect(served.uri)
            await client.send("hi")
            assert await client.recv() == "hi"
            assert descriptors() == before + 2
            await client.close()

    environment.run(main)


@taken
def test_shutdown_and_abort(environment: Environment) -> None:
    """The server's set of connections, and ends of all kinds."""

    async def main() -> None:
        async with environment.serve(echo) as served:
            state = served.server.server_state
            async with raw(served.port) as client:
                await client.open()
                assert is_taken(served.protocol)
                client.writer.transport.abort()
            async with raw(served.port) as client:
                await client.open()
                client.end()
                assert await client.reader.read() == b""
            while state.connections or state.tasks:
                await asyncio.sleep(0.01)
            async with raw(served.port) as client:
                await client.open()
                assert len(state.connections) == len(state.tasks) == 1
                stop = asyncio.create_task(served.stop())
                assert await client.read_frame() == (8, b"\x03\xf4")
                client.writer.write(frame(8, b"\x03\xf4"))
                assert await client.reader.read() == b""
            await stop
            assert not state.connections and not state.tasks

    environment.run(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="since Python 3.12: eager tasks")
@pytest.mark.parametrize(
    "http", [http for loop, http in ENVIRONMENTS if loop != "uvloop"]
)
def test_eager_tasks(http: str) -> None:
    """The application accepts before uvicorn has handed the transport over."""
    environment = Environment("asyncio", http)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        async with environment.serve(echo) as served:
            async with raw(served.port) as client:
                client.writer.write(request() + frame(1, b"one"))
                assert (await client.read_head())[0] == 101
                client.writer.write(frame(1, b"two"))
                answer = server_frame(1, b"one") + server_frame(1, b"two")
                assert await client.reader.readexactly(len(answer)) == answer
                assert is_taken(served.protocol)

    environment.run(main)


@pytest.mark.threat("HLF-1")
@pytest.mark.parametrize("name", ["bytes_after_head", "WebSocketProtocol._opens_by"])
@taken
def test_calls_before_it_has_the_transport(
    environment: Environment, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of TCP is the HTTP protocol's to hear; uvicorn's list has it no more."""

    def fails(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        async with environment.serve(echo) as served:
            state = served.server.server_state
            with monkeypatch.context() as patch:
                module = "pywscore.integrations.uvicorn._connection"
                patch.setattr(f"{module}.{name}", fails)
                async with raw(served.port) as client:
                    client.writer.write(request())
                    try:
                        assert await client.reader.read() == b""
                    except ConnectionResetError:
                        pass
            await until(lambda: not state.connections and not state.tasks)
            async with raw(served.port) as client:
                await client.open()

    environment.run(main)
