"""Receiving, sending, pings: both ends are ours."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import struct
import uuid
import weakref
from typing import Any

import pytest
from waiting import until

import pywscore
from pywscore import (
    ConcurrencyError,
    ConnectionClosedError,
    ConnectionClosedOK,
    State,
)
from pywscore.testing import Frame

pytestmark = pytest.mark.every_environment

MESSAGES: list[str | bytes] = [
    "",
    "text",
    "é€😀",
    b"",
    b"\0\xff",
    "x" * 70000,
    b"y" * 70000,
]


async def test_messages_both_ways(pair: Any) -> None:
    async with pair() as ends:
        for one, other in (
            (ends.client, ends.server),
            (ends.server, ends.client),
        ):
            for message in MESSAGES:
                await one.send(message)
                received = await other.recv()
                assert received == message and type(received) is type(message)


async def test_bytes_like_and_forced_types(pair: Any) -> None:
    async with pair() as ends:
        await ends.client.send(bytearray(b"a"))
        await ends.client.send(memoryview(b"bcd")[1:])
        await ends.client.send("é", text=False)
        await ends.client.send("é".encode(), text=True)
        await ends.client.send("x" * 1000, compress=True)
        await ends.client.send("y" * 1000, compress=False)
        assert await ends.server.recv() == b"a"
        assert await ends.server.recv() == b"cd"
        assert await ends.server.recv() == "é".encode()
        assert await ends.server.recv() == "é"
        assert await ends.server.recv() == "x" * 1000
        assert await ends.server.recv() == "y" * 1000


async def test_recv_decode(pair: Any) -> None:
    async with pair() as ends:
        await ends.client.send("é")
        await ends.client.send("é".encode())
        assert await ends.server.recv(decode=False) == "é".encode()
        assert await ends.server.recv(decode=True) == "é"


async def test_iteration_ends_when_closed_normally(pair: Any) -> None:
    async with pair() as ends:
        for message in MESSAGES:
            await ends.client.send(message)
        closing = asyncio.create_task(ends.client.close())
        assert [message async for message in ends.server] == MESSAGES
        await closing


async def test_iteration_raises_when_closed_otherwise(pair: Any) -> None:
    async with pair() as ends:
        await ends.client.send("last")
        await ends.client.close(1011, "oops")
        got = []
        with pytest.raises(ConnectionClosedError) as info:
            async for message in ends.server:
                got.append(message)
        assert got == ["last"]
        assert info.value.rcvd is not None
        assert (info.value.rcvd.code, info.value.rcvd.reason) == (1011, "oops")
        assert info.value.rcvd_then_sent is True


async def test_queue_is_drained_before_closed(pair: Any) -> None:
    async with pair() as ends:
        for number in range(5):
            await ends.client.send(str(number))
        await ends.client.close(4000, "bye")
        await ends.server.wait_closed()
        for number in range(5):
            assert await ends.server.recv() == str(number)
        for _ in range(2):
            with pytest.raises(ConnectionClosedError) as info:
                await ends.server.recv()
            assert str(info.value) == (
                "received 4000 (private use) bye; then sent 4000 (private use) bye"
            )


async def test_wrong_types(pair: Any) -> None:
    async with pair() as ends:
        for wrong in (None, 1, {"a": 1}, object()):
            with pytest.raises(TypeError):
                await ends.client.send(wrong)
        with pytest.raises(TypeError):
            await ends.client.ping(1)
        with pytest.raises(TypeError):
            await ends.client.pong(None)
        await ends.client.send("fine")
        assert await ends.server.recv() == "fine"


@pytest.mark.threat("LIF-7")
async def test_second_recv_is_refused(pair: Any) -> None:
    async with pair() as ends:
        first = asyncio.create_task(ends.server.recv())
        await asyncio.sleep(0)
        with pytest.raises(ConcurrencyError):
            await ends.server.recv()
        with pytest.raises(ConcurrencyError):
            await anext(ends.server.recv_streaming())
        await ends.client.send("one")
        assert await first == "one"


@pytest.mark.threat("LIF-7")
async def test_cancelled_recv_loses_nothing(pair: Any) -> None:
    async with pair() as ends:
        for number in range(20):
            task = asyncio.create_task(ends.server.recv())
            for _ in range(number % 4):
                await asyncio.sleep(0)
            await ends.client.send(str(number))
            for _ in range(number % 5):
                await asyncio.sleep(0)
            task.cancel()
            try:
                message = await task
            except asyncio.CancelledError:
                message = await ends.server.recv()
            assert message == str(number)


@pytest.mark.threat("LIF-7")
async def test_recv_with_timeout(pair: Any) -> None:
    async with pair() as ends:
        for timeout in (0, 0.01):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ends.server.recv(), timeout)
        await ends.client.send("late")
        assert await asyncio.wait_for(ends.server.recv(), 5) == "late"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ends.server.recv()


async def test_ping_gives_latency(pair: Any) -> None:
    async with pair() as ends:
        assert ends.client.latency == 0.0
        pong = await ends.client.ping()
        latency = await pong
        assert 0 < latency < 5 and ends.client.latency == latency
        for data in ("text", b"bytes", bytearray(b"x"), memoryview(b"y"), b"z" * 125):
            await (await ends.client.ping(data))
        with pytest.raises(pywscore.ProtocolError):
            await ends.client.ping(b"x" * 126)
        await (await ends.server.ping())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_addresses_stay_known(
    serve: Any, connect: Any, host: str, how: str
) -> None:
    """As people write them to a log at the end, not having asked before."""
    ended: asyncio.Queue[Any] = asyncio.Queue()

    async def handler(ws: Any) -> None:
        await ws.wait_closed()
        ended.put_nowait((ws.remote_address, ws.local_address))

    async with serve(handler, host, 0) as server:
        port = server.sockets[0].getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        ws = await connect(f"ws://{name}:{port}")
        sock = ws.transport.get_extra_info("socket")
        expected = sock.getsockname(), sock.getpeername()
        if how == "reset":
            zero = struct.pack("ii", 1, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, zero)
            ws.transport.abort()
        await ws.close()
        assert (ws.local_address, ws.remote_address) == expected
        assert await ended.get() == expected


async def test_records_carry_the_connection(
    serve: Any, connect: Any, uri_of: Any
) -> None:
    """For loggers of the application's own, whose adapters add what they know of it."""
    seen: list[Any] = []

    class Adapter(logging.LoggerAdapter[logging.Logger]):
        def process(self, msg: Any, kwargs: Any) -> Any:
            seen.append((msg, (kwargs.get("extra") or {}).get("websocket")))
            return msg, kwargs

    connections: list[Any] = []

    async def handler(ws: Any) -> None:
        connections.append(ws)
        raise RuntimeError("boom")

    logger = Adapter(logging.getLogger("test"), {})
    async with serve(handler, "127.0.0.1", 0, logger=logger) as server:
        async with connect(uri_of(server)) as ws:
            await ws.wait_closed()
    assert ("connection handler failed", connections[0]) in seen


async def test_pong_answers_earlier_pings_too(serve: Any, raw_client: Any) -> None:
    results: list[Any] = []

    async def handler(ws: pywscore.ServerConnection) -> None:
        pongs = [await ws.ping(name) for name in ("a", "b", "c")]
        with pytest.raises(ConcurrencyError):
            await ws.ping("a")
        await pongs[1]
        results.extend(pong.done() for pong in pongs)
        with pytest.raises(ConnectionClosedOK):
            await pongs[2]
        results.append(True)

    async with serve(handler, "127.0.0.1", 0) as server, raw_client(server) as peer:
        for payload in (b"a", b"b", b"c"):
            assert await peer.receive() == Frame(9, payload)
        peer.send_frame(10, b"unasked")
        peer.send_frame(10, b"b")
        await asyncio.sleep(0.05)
        peer.send_close()
        assert await peer.close_code() == 1000
    assert results == [True, True, False, True]


async def test_forgotten_ping_is_silent(pair: Any) -> None:
    async with pair() as ends:
        ends.client.transport.pause_reading()
        await ends.client.ping()
        ends.client.transport.abort()
        await ends.client.wait_closed()
        with pytest.raises(ConnectionClosedError):
            await ends.client.ping()
    gc.collect()


async def test_unsolicited_pong(pair: Any) -> None:
    async with pair() as ends:
        await ends.client.pong()
        await ends.client.pong("heartbeat")
        await ends.client.send("after")
        assert await ends.server.recv() == "after"


async def test_attributes(pair: Any) -> None:
    async with pair(
        server={"subprotocols": ["b", "a"]}, client={"subprotocols": ["a", "b"]}
    ) as ends:
        for ws in (ends.client, ends.server):
            assert isinstance(ws.id, uuid.UUID) and ws.id is ws.id
            assert ws.subprotocol == "b"
            assert ws.state is State.OPEN
            assert ws.close_code is None and ws.close_reason is None
            assert ws.request.path == "/"
            assert ws.response.status_code == 101
            assert ws.logger.extra["websocket"] is ws
            ws.user = "anything"
            assert "OPEN" in repr(ws)
        assert ends.client.id != ends.server.id
        assert ends.client.local_address == ends.server.remote_address
        assert ends.client.remote_address == ends.server.local_address
        assert ends.server.request.headers["Sec-WebSocket-Version"] == "13"
        await ends.client.close(4001, "why")
        for ws in (ends.client, ends.server):
            await ws.wait_closed()
            assert ws.state is State.CLOSED
            assert (ws.close_code, ws.close_reason) == (4001, "why")


async def test_max_size(pair: Any) -> None:
    async with pair(server={"max_size": 100}) as ends:
        await ends.client.send(b"x" * 100)
        assert len(await ends.server.recv()) == 100
        await ends.client.send(b"x" * 101, compress=True)
        with pytest.raises(ConnectionClosedError) as info:
            await ends.server.recv()
        assert info.value.sent is not None and info.value.sent.code == 1009
        assert isinstance(info.value.__cause__, pywscore.PayloadTooBig)
        await ends.client.wait_closed()
        assert ends.client.close_code == 1009


@pytest.mark.threat("LIF-8")
async def test_closed_connections_are_freed_by_reference_count(
    serve: Any, connect: Any, uri_of: Any, echo: Any
) -> None:
    references: list[Any] = []

    async def handler(ws: Any) -> None:
        references.append(weakref.ref(ws))
        await echo(ws)

    async def visit(uri: str) -> None:
        async with connect(uri) as ws:
            references.append(weakref.ref(ws))
            await ws.send("x")
            assert await ws.recv() == "x"
            await (await ws.ping())

    gc.collect()
    gc.disable()
    try:
        async with serve(handler, "127.0.0.1", 0) as server:
            for _ in range(3):
                await visit(uri_of(server))
        await until(lambda: [reference() for reference in references] == [None] * 6)
    finally:
        gc.enable()
