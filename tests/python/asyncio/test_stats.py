"""What connections and servers count, and the text that Prometheus reads."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from typing import Any

import pytest
from peers import head_of
from waiting import until

import pywscore
from pywscore.asyncio._stats import prometheus
from pywscore.testing import Frame

# RFC 7692 §7.2.3.1: "Hello", compressed
HELLO = bytes.fromhex("f248cdc9c90700")


async def test_counts_bytes_and_messages(
    serve: Any, raw_client: Any, echo: Any, uri_of: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0, server_header=None) as server:
        async with raw_client(server) as peer:
            before = server.stats()
            for size in (0, 5, 200, 70_000):
                peer.send_frame(2, bytes(size))
                assert await peer.receive() == Frame(2, bytes(size))
            # In two fragments, a ping between them: one message.
            peer.send_frame(1, b"one", fin=False)
            peer.send_frame(9, b"?")
            peer.send_frame(0, b"two")
            assert await peer.receive() == Frame(10, b"?")
            assert await peer.receive() == Frame(1, b"onetwo")
            (ws,) = server.connections
            stats = ws.stats()
            assert stats.messages_received == stats.messages_sent == 5
            assert (ws.messages_received, ws.messages_sent) == (5, 5)
            assert (stats.messages_queued, stats.bytes_queued) == (0, 0)
            # RFC 6455 §5.2: header, extended length, a client's masking key
            data = 2 + (2 + 5) + (4 + 200) + (10 + 70_000)
            seen = stats.bytes_received - before.bytes_received
            assert seen == data + 4 * 4 + 3 * 2 + 3 * 4 + 3 + 1 + 3
            seen = stats.bytes_sent - before.bytes_sent
            assert seen == data + (2 + 1) + (2 + 6)
            whole = server.stats()
            for field in dataclasses.fields(stats):
                assert getattr(whole, field.name) == getattr(stats, field.name)
            assert (whole.connections, whole.connections_total) == (1, 1)
        await until(lambda: not server._all)
        after = server.stats()
        assert after.bytes_sent >= whole.bytes_sent
        assert after.messages_received == 5
        assert after.connections == 0


async def test_handshake_is_counted(serve: Any, echo: Any) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        request = (
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade"
            b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        stats = server.stats()
        assert stats.bytes_received == len(request)
        assert stats.bytes_sent == len(answer)
        writer.close()
        await writer.wait_closed()


async def test_counts_compression(serve: Any, raw_client: Any, echo: Any) -> None:
    compression = pywscore.PerMessageDeflate(threshold=0)
    offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    async with serve(echo, "127.0.0.1", 0, compression=compression) as server:
        async with raw_client(server, extra=offer) as peer:
            peer.writer.write(bytes([0xC1, 0x80 | len(HELLO), 0, 0, 0, 0]) + HELLO)
            payload = (await peer.receive()).payload
            stats = server.stats()
            assert stats.compressed_bytes_received == len(HELLO)
            assert stats.decompressed_bytes_received == len("Hello")
            assert stats.compressed_bytes_sent == len(payload)
            assert stats.decompressed_bytes_sent == len("Hello")
            # Not compressed: not counted there.
            peer.send_frame(1, b"Hello")
            await peer.receive()
            assert server.stats().compressed_bytes_received == len(HELLO)


async def test_queues(pair: Any) -> None:
    async with pair(max_queue=None, compression=None) as ends:
        for _ in range(3):
            await ends.client.send("x")
        await until(lambda: ends.server.messages_queued == 3)
        assert ends.server.stats().messages_queued == 3
        assert ends.server.server.stats().messages_queued == 3
        # More than socket buffers hold; the client stops reading.
        ends.client.transport.pause_reading()
        for _ in range(10):
            ends.server.send_nowait(bytes(1 << 20))
        waiting = ends.server.stats().bytes_queued
        assert 0 < waiting <= 10 * ((1 << 20) + 10)
        ends.client.transport.abort()


async def test_close_codes_and_failed_handshakes(
    serve: Any, raw_client: Any, echo: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        for code in (1000, 1000, 3000):
            async with raw_client(server) as peer:
                peer.send_close(code)
                assert await peer.close_code() == code
        async with raw_client(server) as peer:
            peer.send_frame(8)
            assert await peer.close_code() == 1005
        async with raw_client(server) as peer:
            pass  # TCP ends without a close frame
        async with raw_client(server, path=None) as peer:
            peer.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert " 426 " in await head_of(peer)
        await until(lambda: not server._all)
        stats = server.stats()
        assert stats.close_codes == {1000: 2, 1005: 1, 1006: 1, 3000: 1}
        assert stats.connections_total == 6
        assert stats.handshakes_failed == 1
        with pytest.raises(TypeError):
            stats.close_codes[1000] = 0
        with pytest.raises(dataclasses.FrozenInstanceError):
            stats.connections = 0


async def test_states_and_latency(pair: Any, raw_client: Any) -> None:
    async with pair() as ends:
        server = ends.server.server
        async with raw_client(server, path=None):
            await until(lambda: server.stats().connections_opening == 1)
            assert server.stats().connections == 1
            assert server.stats().latency == ends.server.stats().latency == 0.0
            measured = await (await ends.server.ping())
            stats = server.stats()
            assert ends.server.stats().latency == measured
            assert stats.latency == stats.latency_max == measured > 0


async def test_client_counts_too(pair: Any) -> None:
    async with pair(compression=None) as ends:
        await ends.server.send("hello")
        assert await ends.client.recv() == "hello"
        mine, theirs = ends.client.stats(), ends.server.stats()
        assert (mine.messages_received, mine.messages_sent) == (1, 0)
        assert (mine.bytes_received, mine.bytes_sent) == (
            theirs.bytes_sent,
            theirs.bytes_received,
        )


# The text


LINE = re.compile(
    r"[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-z_]+=\"[^\"\\\n]*\"\})? [0-9.e+-]+", re.ASCII
)


def stats(**changed: Any) -> pywscore.ServerStats:
    values: dict[str, Any] = {
        field.name: index
        for index, field in enumerate(dataclasses.fields(pywscore.ServerStats))
    }
    values["close_codes"] = {1000: 7, 1006: 2}
    return pywscore.ServerStats(**(values | changed))


def test_text_is_in_the_format() -> None:
    text = prometheus(stats(latency=1e-07))
    assert text.endswith("\n")
    declared: dict[str, str] = {}
    seen: set[str] = set()
    helped: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split(" ", 3)[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name in helped and name not in declared
            declared[name] = kind
        else:
            assert LINE.fullmatch(line), line
            sample = line.rpartition(" ")[0]
            name = sample.partition("{")[0]
            # All samples of a metric follow its TYPE; none comes twice.
            assert list(declared)[-1] == name
            assert sample not in seen
            seen.add(sample)
            assert (declared[name] == "counter") == name.endswith("_total")
    assert 'pywscore_connections_closed_total{code="1006"} 2' in text


def test_every_number_is_in_the_text() -> None:
    base = prometheus(stats())
    for field in dataclasses.fields(pywscore.ServerStats):
        value: Any = {1001: 1} if field.name == "close_codes" else 123456
        assert prometheus(stats(**{field.name: value})) != base, field.name


def test_response() -> None:
    response = pywscore.metrics_response(stats())
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert response.headers["Content-Length"] == str(len(response.body))
    more = pywscore.metrics_response(stats(), "more 1\n")
    assert more.body == response.body + b"more 1\n"
    assert more.headers["Content-Length"] == str(len(more.body))


async def test_totals_of_other_things(pair: Any) -> None:
    """What is added to them must run no code: they are lists of int."""

    class Odd(int):
        def __add__(self, other: int) -> int:
            totals.clear()
            return 0

    totals: list[Any] = []
    async with pair() as (client, server):
        await client.send("x")
        await server.recv()
        for wrong in ([], [Odd()] * 11, [None] * 11):
            totals[:] = wrong
            with pytest.raises(TypeError, match="counted"):
                server._add_traffic(totals)
            assert totals == wrong
