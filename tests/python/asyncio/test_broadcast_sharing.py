"""broadcast(): one frame for all, whoever they are and whatever they do meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import websockets.asyncio.client
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from pywscore import ConnectionClosed, ServerConnection, State, broadcast
from pywscore.testing import Frame


async def nothing(ws: Any) -> None:
    await ws.wait_closed()


async def opened(server: Any, count: int) -> list[Any]:
    """The server's connections, once there are so many."""
    async with asyncio.timeout(5):
        while len(server.connections) < count:
            await asyncio.sleep(0.001)
    return list(server.connections)


def text_of(number: int) -> str:
    return f'{{"kind": "price", "number": {number}, "name": "é"}}' * (1 + number % 40)


# Order


async def test_in_order_with_individual_messages(pair: Any) -> None:
    async with pair() as ends:
        for one, other in ((ends.server, ends.client), (ends.client, ends.server)):
            sizes = [1, 300, 5000, 20_000, 2]
            for size in sizes:
                one.send_nowait("a" * size)
                broadcast([one], "b" * size)
                await one.send(b"c" * size)
                broadcast([one, one], b"d" * size)
            for size in sizes:
                assert await other.recv() == "a" * size
                assert await other.recv() == "b" * size
                assert await other.recv() == b"c" * size
                assert await other.recv() == b"d" * size
                assert await other.recv() == b"d" * size
            assert one.stats().messages_sent == 5 * len(sizes)


async def test_in_a_batch(serve: Any, connect: Any, uri_of: Any) -> None:
    """While a handler runs in the tick of what it received, output is held back."""

    async def handler(ws: Any) -> None:
        async for message in ws:
            ws.send_nowait("before")
            broadcast(ws.server.connections, message)
            ws.send_nowait("after")

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(uri_of(server)) as ws, connect(uri_of(server)) as other:
            for size in (5, 6000, 100_000):
                await ws.send("x" * size)
                assert await ws.recv() == "before"
                assert await ws.recv() == "x" * size
                assert await ws.recv() == "after"
                assert await other.recv() == "x" * size


# Sharing


class Recorder:
    """A transport that keeps what is written."""

    def __init__(self, transport: Any, written: list[Any]) -> None:
        self.transport = transport
        self.written = written

    def write(self, data: Any) -> None:
        self.written.append(data)
        self.transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)


class Recorded(ServerConnection):
    def connection_made(self, transport: Any) -> None:
        self.written: list[Any] = []
        recorder: Any = Recorder(transport, self.written)
        super().connection_made(recorder)


async def test_one_object_for_all(serve: Any, connect: Any, uri_of: Any) -> None:
    async with serve(
        nothing, "127.0.0.1", 0, compression=None, create_connection=Recorded
    ) as server:
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(connect(uri_of(server)))
                for _ in range(4)
            ]
            members = await opened(server, 4)
            for message in ("a", "b" * 5000, b"c" * 70_000, ""):
                broadcast(members, message)
                frames = [member.written[-1] for member in members]
                assert all(frame is frames[0] for frame in frames)
                for ws in clients:
                    assert await ws.recv() == message


@pytest.mark.slow
@pytest.mark.threat("SLW-3")
async def test_slow_members_hold_one_frame(
    serve: Any, raw_client: Any, environment: Any
) -> None:
    if environment.carrier == "transport":
        pytest.skip("elsewhere: what asyncio's transports copy isn't ours")
    async with serve(nothing, "127.0.0.1", 0, compression=None) as server:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(5):
                await stack.enter_async_context(raw_client(server, limit=1024))
            members = await opened(server, 5)
            size = 16 << 20  # more than the kernel takes
            message = "x" * size
            gc.collect()
            tracemalloc.start()
            try:
                broadcast(members, message)
                for _ in range(1000):
                    broadcast(members, message)
                held, _ = tracemalloc.get_traced_memory()
                assert size < held < size + (1 << 20)
                for member in members:
                    # What they hold counts as theirs.
                    assert size // 2 < member.stats().bytes_queued <= size + 10
                    assert member.broadcasts_skipped == 1000
                for member in members:
                    member.transport.abort()
                await asyncio.wait(
                    [asyncio.ensure_future(m.wait_closed()) for m in members]
                )
                del members, member
                await asyncio.sleep(0.01)
                gc.collect()
                held, _ = tracemalloc.get_traced_memory()
                assert held < 1 << 20
            finally:
                tracemalloc.stop()


# Those who are slow


@pytest.mark.threat("SLW-3")
async def test_slow_ones_are_closed(
    serve: Any, raw_client: Any, connect: Any, uri_of: Any
) -> None:
    message = b"x" * 65536
    async with serve(
        nothing, "127.0.0.1", 0, compression=None, close_timeout=5
    ) as server:
        async with raw_client(server) as peer, connect(uri_of(server)) as ws:
            members = await opened(server, 2)
            (slow,) = (c for c in members if c.remote_address != ws.local_address)
            sent = 0
            while slow.state is State.OPEN:
                broadcast(members, message, slow="close")
                assert await ws.recv() == message
                sent += 1
                assert sent < 1000
            assert slow.broadcasts_skipped == 1
            broadcast(members, message, raise_exceptions=True, slow="close")
            assert await ws.recv() == message
            assert slow.broadcasts_skipped == 1
            # It gets what was queued before, then the reason.
            for _ in range(sent - 1):
                assert await peer.receive() == Frame(2, message)
            reason = (1008).to_bytes(2) + b"reads too slowly"
            assert await peer.receive() == Frame(8, reason)
            peer.send_close(1008)
            await slow.wait_closed()
            assert slow.close_code == 1008


async def test_a_slow_one_that_never_reads_is_cut(serve: Any, raw_client: Any) -> None:
    async with serve(
        nothing, "127.0.0.1", 0, compression=None, close_timeout=0.1
    ) as server:
        async with raw_client(server):
            (slow,) = await opened(server, 1)
            with pytest.raises(ExceptionGroup) as info:
                while slow.state is State.OPEN:
                    broadcast([slow], b"x" * 65536, True, slow="close")
            assert [type(exc) for exc in info.value.exceptions] == [BlockingIOError]
            assert slow.state is State.CLOSING
            await slow.wait_closed()
            assert slow.close_code == 1006


async def test_unknown_policy(pair: Any) -> None:
    async with pair() as ends:
        with pytest.raises(ValueError, match="slow"):
            broadcast([ends.server], "x", slow="wait")  # type: ignore[arg-type]


# Compression


async def test_every_set_of_parameters(serve: Any, uri_of: Any, connect: Any) -> None:
    """websockets reads it, between messages of its own, with every window."""
    async with serve(nothing, "127.0.0.1", 0) as server:
        async with contextlib.AsyncExitStack() as stack:
            clients: list[Any] = [
                await stack.enter_async_context(
                    websockets.asyncio.client.connect(
                        uri_of(server),
                        proxy=None,
                        compression=None,
                        extensions=[
                            ClientPerMessageDeflateFactory(
                                server_no_context_takeover=alone,
                                server_max_window_bits=bits,
                            )
                        ],
                    )
                )
                for bits in range(9, 16)
                for alone in (False, True)
            ]
            clients += [
                await stack.enter_async_context(connect(uri_of(server), compression=c))
                for c in (None, "deflate")
            ]
            members = await opened(server, len(clients))
            for number in range(39):
                for index, member in enumerate(members):
                    if (number + index) % 3 == 0:
                        await member.send(f"{index}" * number)
                broadcast(members, text_of(number))
            for ws in clients:
                got = [await ws.recv() for _ in range(39 + 13)]
                shared = [text for text in got if text[:1] == "{"]
                assert shared == [text_of(number) for number in range(39)]
            for member in members:
                stats = member.stats()
                if member.protocol.compression is None:
                    assert stats.decompressed_bytes_sent == 0
                else:
                    assert stats.decompressed_bytes_sent > 0
                    assert stats.compressed_bytes_sent < stats.bytes_sent


@pytest.mark.threat("INF-17")
async def test_compress_argument(pair: Any) -> None:
    async with pair() as ends:
        for compress, size in ((None, 0), (True, 20), (False, 0), (None, 0)):
            before = ends.server.stats().decompressed_bytes_sent
            broadcast([ends.server], b"secret" + bytes(14), compress=compress)
            assert ends.server.stats().decompressed_bytes_sent == before + size
            assert await ends.client.recv() == b"secret" + bytes(14)
        broadcast([ends.server], "x" * 10_000)
        assert ends.server.stats().decompressed_bytes_sent == 10_020
        assert await ends.client.recv() == "x" * 10_000


# What callers and user code may do


@pytest.mark.parametrize(
    ("message", "text", "error"),
    [
        (b"\xff", True, UnicodeDecodeError),
        ("\ud800", None, UnicodeEncodeError),
        (memoryview(b"abcd")[::2], None, TypeError),
    ],
)
async def test_messages_that_cannot_be_sent(
    pair: Any, message: Any, text: Any, error: type[Exception]
) -> None:
    async with pair() as ends:
        with pytest.raises(error):
            broadcast([ends.server], message, text=text)
        assert ends.server.stats().messages_sent == 0


async def test_not_connections(pair: Any) -> None:
    async with pair() as ends:
        with pytest.raises(TypeError, match="connections"):
            broadcast([ends.server, None], "x")  # type: ignore[list-item]
        assert await ends.client.recv() == "x"  # those before are served
        with pytest.raises(TypeError):
            broadcast(None, "x")  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="__init__"):
            broadcast([ServerConnection.__new__(ServerConnection)], "x")


async def test_in_another_thread(pair: Any) -> None:
    async with pair() as ends:
        problems: list[Exception] = []

        def run() -> None:
            try:
                broadcast([ends.server], "x")
            except RuntimeError as exc:
                problems.append(exc)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert "thread" in str(problems[0])
        assert ends.server.stats().messages_sent == 0


async def test_iteration_that_raises(pair: Any) -> None:
    async with pair() as ends:

        def members() -> Iterator[Any]:
            yield ends.server
            raise KeyError("gone")

        with pytest.raises(KeyError):
            broadcast(members(), "x")
        assert await ends.client.recv() == "x"


class Discards(ServerConnection):
    """Leaves the set that is broadcast to when it is to stop writing."""

    def pause_writing(self) -> None:
        super().pause_writing()
        getattr(self.server, "members").clear()  # noqa: B009
        gc.collect()


@pytest.mark.parametrize("kind", [set, list])
async def test_collections_that_change(serve: Any, raw_client: Any, kind: Any) -> None:
    async with serve(
        nothing, "127.0.0.1", 0, compression=None, create_connection=Discards
    ) as server:
        async with raw_client(server), raw_client(server), raw_client(server):
            server.members = kind(await opened(server, 3))
            members = list(server.members)
            message = bytes(16 << 20)
            broadcast(server.members, message)
            assert [m.stats().messages_sent for m in members] == [1, 1, 1]
            broadcast(tuple(members), message)
            assert [m.broadcasts_skipped for m in members] == [1, 1, 1]
            for member in members:
                member.transport.abort()


async def test_iteration_that_does_anything(
    serve: Any, connect: Any, uri_of: Any
) -> None:
    async with serve(nothing, "127.0.0.1", 0) as server:
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(connect(uri_of(server)))
                for _ in range(6)
            ]
            found = {c.remote_address: c for c in await opened(server, 6)}
            members = [found[ws.local_address] for ws in clients]
            message = bytearray(b"as it was")

            def hostile() -> Iterator[Any]:
                yield members[0]
                message[:2] = b"XX"
                yield members[1]
                members[1].transport.abort()
                members[2].transport.abort()
                yield members[2]
                members[3]._start_close(1001)
                yield members[3]
                broadcast([members[0], members[4]], "in between")
                yield members[4]
                gc.collect()
                yield members.pop()

            broadcast(hostile(), message, raise_exceptions=True)
            message.append(0)  # not kept
            assert await clients[0].recv() == b"as it was"
            assert await clients[0].recv() == "in between"
            assert await clients[4].recv() == "in between"
            assert await clients[4].recv() == b"as it was"
            assert await clients[5].recv() == b"as it was"
            for ws in clients[2:4]:
                with pytest.raises(ConnectionClosed):
                    while True:
                        await ws.recv()


class Leaves(ServerConnection):
    """Cuts itself and all others when it is to stop writing."""

    def pause_writing(self) -> None:
        super().pause_writing()
        for ws in list(self.server.connections):
            ws.transport.abort()


async def test_members_that_leave_in_a_callback(serve: Any, raw_client: Any) -> None:
    async with serve(
        nothing, "127.0.0.1", 0, compression=None, create_connection=Leaves
    ) as server:
        async with raw_client(server), raw_client(server), raw_client(server):
            members = await opened(server, 3)
            broadcast(members, bytes(16 << 20))
            assert all(member.transport.is_closing() for member in members)
            async with asyncio.timeout(5):
                for member in members:
                    await member.wait_closed()
                    assert member.close_code == 1006


class Broken(ServerConnection):
    def connection_made(self, transport: Any) -> None:
        broken: Any = BrokenTransport(transport, [])
        super().connection_made(broken)


class BrokenTransport(Recorder):
    error: BaseException | None = None

    def write(self, data: Any) -> None:
        if self.error is not None:
            raise self.error
        super().write(data)


async def test_a_transport_that_raises(
    serve: Any,
    connect: Any,
    uri_of: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serve(
        nothing, "127.0.0.1", 0, create_connection=Broken, close_timeout=0.1
    ) as server:
        async with connect(uri_of(server)), connect(uri_of(server)):
            members = await opened(server, 2)
            monkeypatch.setattr(BrokenTransport, "error", OSError("broken"))
            broadcast(members, "x")
            assert caplog.text.count("failed to write message: OSError: broken") == 2
            with pytest.raises(ExceptionGroup, match="skipped broadcast") as info:
                broadcast(members, "x", raise_exceptions=True)
            assert [type(exc) for exc in info.value.exceptions] == [RuntimeError] * 2
            for exc in info.value.exceptions:
                assert isinstance(exc.__cause__, OSError)
            # What isn't an Exception isn't for a log.
            monkeypatch.setattr(BrokenTransport, "error", KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                broadcast(members, "x")
            monkeypatch.undo()


async def test_fragments_of_the_protocol(pair: Any) -> None:
    """Also those that weren't sent by send()."""
    async with pair() as ends:
        ends.server.protocol.send_text("a", fin=False)
        with pytest.raises(ExceptionGroup) as info:
            broadcast([ends.server], "x", raise_exceptions=True)
        assert "fragmented" in str(info.value.exceptions[0])
        ends.server.protocol.send_continuation("b")
        broadcast([ends.server], "x", raise_exceptions=True)
        assert await ends.client.recv() == "ab"
        assert await ends.client.recv() == "x"


async def test_while_fragments_are_sent(pair: Any) -> None:
    async with pair() as ends:
        go_on = asyncio.Event()

        async def fragments() -> AsyncIterator[str]:
            yield "a"
            await go_on.wait()
            yield "b"

        sending = asyncio.create_task(ends.server.send(fragments()))
        await asyncio.sleep(0.02)
        broadcast([ends.server], "left out")
        go_on.set()
        await sending
        broadcast([ends.server], "x")
        assert await ends.client.recv() == "ab"
        assert await ends.client.recv() == "x"
