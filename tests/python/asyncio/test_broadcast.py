"""broadcast(): nobody waits for anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pywscore import ConcurrencyError, broadcast

pytestmark = pytest.mark.every_environment


async def nothing(ws: Any) -> None:
    await ws.wait_closed()


@pytest.mark.parametrize(
    ("message", "text", "expected"),
    [
        ("text", None, "text"),
        (b"bytes", None, b"bytes"),
        (bytearray(b"a"), None, b"a"),
        ("é", False, "é".encode()),
        ("é".encode(), True, "é"),
    ],
)
async def test_to_all(
    serve: Any, connect: Any, uri_of: Any, message: Any, text: Any, expected: Any
) -> None:
    async with serve(nothing, "127.0.0.1", 0) as server:
        clients = [await connect(uri_of(server)) for _ in range(5)]
        for ws in clients:
            await (await ws.ping())
        assert broadcast(server.connections, message, text=text) is None
        for ws in clients:
            assert await ws.recv() == expected
            await ws.close()


async def test_wrong_type(pair: Any) -> None:
    async with pair() as ends:
        with pytest.raises(TypeError):
            broadcast([ends.server], ["x"])  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            broadcast([], 1)  # type: ignore[arg-type]


async def test_closed_ones_are_passed_over(pair: Any) -> None:
    async with pair() as ends, pair() as others:
        await ends.client.close()
        every = [ends.client, ends.server, others.server]
        broadcast(every, "x", raise_exceptions=True)
        assert await others.client.recv() == "x"


async def test_in_the_middle_of_fragments(
    pair: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with pair() as ends:
        go_on = asyncio.Event()

        async def slow() -> AsyncIterator[str]:
            yield "a"
            await go_on.wait()

        sending = asyncio.create_task(ends.server.send(slow()))
        await asyncio.sleep(0.02)
        broadcast([ends.server], "x")
        assert "skipped broadcast" in caplog.text
        with pytest.raises(ExceptionGroup) as info:
            broadcast([ends.server], "x", raise_exceptions=True)
        assert [type(exc) for exc in info.value.exceptions] == [ConcurrencyError]
        go_on.set()
        await sending
        assert await ends.client.recv() == "a"


@pytest.mark.threat("SLW-3")
async def test_slow_ones_are_skipped_and_counted(
    serve: Any, raw_client: Any, connect: Any, uri_of: Any
) -> None:
    message = b"x" * 65536
    count = 300
    async with serve(nothing, "127.0.0.1", 0, compression=None) as server:
        async with raw_client(server), connect(uri_of(server), max_queue=None) as ws:
            await (await ws.ping())
            (slow,) = [
                c for c in server.connections if c.remote_address != ws.local_address
            ]
            for _ in range(count):
                broadcast(server.connections, message)
                await asyncio.sleep(0)
                await ws.recv()
            assert 0 < slow.broadcasts_skipped < count
            assert slow.transport.get_write_buffer_size() <= 65536 + 2 * len(message)
            with pytest.raises(ExceptionGroup) as info:
                broadcast([slow], message, raise_exceptions=True)
            assert isinstance(info.value.exceptions[0], BlockingIOError)
            slow.transport.abort()
