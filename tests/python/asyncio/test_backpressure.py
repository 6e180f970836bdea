"""What a peer that doesn't read, or an application that doesn't, can cost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from peers import frame, head_of
from waiting import until

from pywscore import ConnectionClosedError, State
from pywscore.testing import Frame

pytestmark = pytest.mark.every_environment


@pytest.mark.threat("SLW-1")
async def test_send_waits_and_reading_stops(
    serve: Any, raw_client: Any, echo: Any
) -> None:
    seen: list[Any] = []

    async def handler(ws: Any) -> None:
        seen.append(ws)
        await echo(ws)

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        async with raw_client(server) as peer:
            payload = bytes(65536)
            sent = frame(2, payload, mask=True)

            async def flood() -> None:
                for _ in range(256):
                    peer.writer.write(sent)
                    await peer.writer.drain()

            flooding = asyncio.create_task(flood())
            await asyncio.sleep(0.5)
            assert not flooding.done()  # TCP pushes back
            (ws,) = seen
            assert ws.write_paused
            assert ws.transport.get_write_buffer_size() < 65536 * 3
            assert ws.messages_queued <= 17
            # Once the peer reads, all goes on.
            for _ in range(256):
                assert await peer.receive() == Frame(2, payload)
            await flooding
            peer.send_close()
            assert await peer.close_code() == 1000


@pytest.mark.threat("SLW-2")
async def test_many_small_messages(serve: Any, raw_client: Any, echo: Any) -> None:
    async with serve(echo, "127.0.0.1", 0) as server, raw_client(server) as peer:
        for _ in range(20_000):
            peer.send_frame(1, b"x")
        for _ in range(20_000):
            assert await peer.receive() == Frame(1, b"x")
        peer.send_close()


@pytest.mark.threat("SLW-5")
async def test_a_handler_that_never_receives(serve: Any, raw_client: Any) -> None:
    found: list[Any] = []

    async def handler(ws: Any) -> None:
        found.append(ws)
        await until(lambda: ws.read_paused)
        assert ws.messages_queued <= 17
        for _ in range(100_000):
            assert await ws.recv() == "x"

    async with serve(handler, "127.0.0.1", 0) as server, raw_client(server) as peer:

        async def flood() -> None:
            for _ in range(100):
                peer.writer.write((bytes([0x81, 0x81]) + bytes(4) + b"x") * 1000)
                await peer.writer.drain()

        flooding = asyncio.create_task(flood())
        assert await peer.close_code() == 1000
        await flooding
        peer.send_close()
    assert found[0].messages_received >= 100_000


@pytest.mark.threat("SLW-6")
@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_both_send_before_they_read(
    pair: Any, over_tcp: None, compression: str | None
) -> None:
    async with pair(compression=compression) as ends:
        count, message = 400, b"x" * 50_000

        async def send_all(ws: Any) -> None:
            for _ in range(count):
                await ws.send(message)

        async def receive_all(ws: Any) -> None:
            for _ in range(count):
                assert await ws.recv() == message

        await asyncio.gather(
            send_all(ends.client),
            send_all(ends.server),
            receive_all(ends.client),
            receive_all(ends.server),
        )


@pytest.mark.threat("SLW-6")
async def test_what_was_read_already_is_given_out_without_new_packets(
    serve: Any, raw_client: Any
) -> None:
    got: list[str] = []

    async def handler(ws: Any) -> None:
        await asyncio.sleep(0.1)
        for _ in range(100):
            got.append(await ws.recv())

    async with serve(handler, "127.0.0.1", 0, max_queue=(2, 0)) as server:
        async with raw_client(server) as peer:
            frame = bytes([0x81, 0x81]) + bytes(4)
            peer.writer.write(b"".join(frame + b"%d" % (n % 10) for n in range(100)))
            assert await peer.close_code() == 1000
            peer.send_close()
    assert got == [str(n % 10) for n in range(100)]


async def test_no_limit_of_the_queue(pair: Any) -> None:
    async with pair(server={"max_queue": None}) as ends:
        for number in range(1000):
            await ends.client.send(str(number))
        await (await ends.client.ping())
        assert ends.server.messages_queued == 1000 and not ends.server.read_paused
        for number in range(1000):
            assert await ends.server.recv() == str(number)


async def test_send_nowait_tells_when_to_stop(serve: Any, raw_client: Any) -> None:
    result: list[int] = []

    async def handler(ws: Any) -> None:
        sent = 0
        while ws.send_nowait(b"x" * 10_000):
            sent += 1
            await asyncio.sleep(0)
        result.append(sent)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ws.drain(), 0.05)
        ws.transport.abort()
        with pytest.raises(ConnectionClosedError):
            await ws.recv()

    async with serve(handler, "127.0.0.1", 0) as server, raw_client(server) as peer:
        await peer.reader.read(1)
        await asyncio.sleep(0.3)
    assert result and result[0] > 0


@pytest.mark.threat("LIF-7")
async def test_cancelled_send_leaves_whole_frames(serve: Any, raw_client: Any) -> None:
    sent = asyncio.Event()

    async def handler(ws: Any) -> None:
        count = 0
        for _ in range(10_000):
            try:
                async with asyncio.timeout(0.05):
                    await ws.send(b"x" * 20_000)
            except TimeoutError:
                count += 1
                if count == 3:
                    break
        sent.set()
        await ws.close()

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        async with raw_client(server) as peer:
            await sent.wait()
            while (got := await peer.receive()).opcode == 2:
                assert got.payload == b"x" * 20_000
            assert got.opcode == 8
            peer.send_close()


@pytest.mark.threat("DED-5")
@pytest.mark.parametrize("end", ["error", "close", "peer's close"])
async def test_the_close_frame_is_sent_after_what_was_blocked(
    serve: Any, raw_client: Any, end: str
) -> None:
    blocked = asyncio.Event()

    async def handler(ws: Any) -> None:
        while ws.send_nowait(bytes(10_000)):
            await asyncio.sleep(0)
        blocked.set()
        if end == "close":
            await ws.close(1002)
        await ws.wait_closed()

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        async with raw_client(server) as peer:
            await blocked.wait()
            if end == "error":
                peer.send_frame(3)
            elif end == "peer's close":
                peer.send_close(1002)
            await asyncio.sleep(0.1)
            assert await peer.close_code() == 1002
            if end == "close":
                peer.send_close(1002)
            async with asyncio.timeout(3):
                assert await peer.reader.read() == b""


@pytest.mark.threat("LIF-1")
@pytest.mark.parametrize("end", ["abort", "close", "return"])
async def test_ending_the_connection_where_send_had_waited(
    serve: Any, raw_client: Any, end: str
) -> None:
    waiting = asyncio.Event()
    seen: list[Any] = []

    async def handler(ws: Any) -> None:
        seen.append(ws)
        while ws.send_nowait(bytes(10_000)):
            await asyncio.sleep(0)
        waiting.set()
        await ws.send(b"last")
        if end == "abort":
            ws.transport.abort()
        elif end == "close":
            ws.transport.close()

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        async with raw_client(server) as peer:
            await waiting.wait()
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                await peer.close_code()
                peer.send_close()
                async with asyncio.timeout(3):
                    await peer.reader.read()
    assert seen[0].state is State.CLOSED


REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.threat("HSK-7", "HSK-8", "SLW-5")
async def test_what_follows_an_unanswered_request_waits(
    serve: Any, raw_client: Any
) -> None:
    answered = asyncio.Event()
    received: list[Any] = []

    async def process_request(ws: Any, request: Any) -> None:
        await answered.wait()

    async def handler(ws: Any) -> None:
        received.extend([await ws.recv() for _ in range(2)])
        await ws.wait_closed()

    async with serve(
        handler,
        "127.0.0.1",
        0,
        process_request=process_request,
        compression=None,
        close_timeout=0.2,
    ) as server:
        async with raw_client(server, path=None) as peer:
            block = bytes(1 << 16)
            peer.writer.write(REQUEST)
            peer.send_frame(2, b"first")

            async def flood() -> None:
                for _ in range(512):
                    peer.send_frame(2, block)
                    await peer.writer.drain()

            flooding = asyncio.create_task(flood())
            await asyncio.sleep(0.3)
            assert not flooding.done()  # TCP pushes back
            answered.set()
            await asyncio.sleep(0.3)
            assert received == [b"first", block]
            flooding.cancel()
            peer.writer.transport.abort()


@pytest.mark.threat("HSK-7")
async def test_control_frames_behind_the_request_need_no_recv(
    serve: Any, raw_client: Any
) -> None:
    async def process_request(ws: Any, request: Any) -> None:
        await asyncio.sleep(0.05)

    async def handler(ws: Any) -> None:
        await ws.wait_closed()

    async with serve(
        handler, "127.0.0.1", 0, process_request=process_request, compression=None
    ) as server:
        async with raw_client(server, path=None) as peer:
            peer.writer.write(REQUEST)
            peer.send_frame(9, b"behind")
            await head_of(peer)
            assert await peer.receive() == Frame(10, b"behind")
            peer.send_frame(9, b"later")
            assert await peer.receive() == Frame(10, b"later")


async def test_a_task_that_only_sends_notices_the_end(
    serve: Any, raw_client: Any
) -> None:
    ended = asyncio.Event()
    seen: list[Any] = []

    async def handler(ws: Any) -> None:
        seen.append(ws)
        try:
            while True:  # to a peer that reads as fast as we send
                await ws.send(b"x")
        finally:
            ended.set()

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        async with raw_client(server) as peer:

            async def read_all() -> None:
                while await peer.reader.read(1 << 16):
                    pass

            reading = asyncio.create_task(read_all())
            await asyncio.sleep(0.05)  # the loop has its turn meanwhile
            seen[0].transport.abort()
            await asyncio.wait_for(ended.wait(), 5)
            assert seen[0].state is State.CLOSED
            reading.cancel()


@pytest.mark.threat("SLW-1")
@pytest.mark.parametrize("call", ["ping", "pong", "send"])
async def test_all_that_is_sent_waits_for_room(
    serve: Any, raw_client: Any, call: str
) -> None:
    full = asyncio.Event()
    sent = asyncio.Event()

    async def fragments() -> Any:
        for piece in (b"first", b"last"):
            yield piece

    async def handler(ws: Any) -> None:
        while ws.send_nowait(bytes(65536)):
            pass
        argument = fragments() if call == "send" else b"data"
        sending = asyncio.create_task(getattr(ws, call)(argument))
        await asyncio.wait([sending], timeout=0.1)
        assert not sending.done() and ws.write_paused
        full.set()
        await sending
        sent.set()
        await ws.wait_closed()

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        async with raw_client(server) as peer:
            await full.wait()
            while (await peer.receive()).payload not in (b"data", b"first"):
                pass
            if call == "send":
                assert await peer.receive() == Frame(0, b"last", fin=False)
            await sent.wait()
            peer.send_close()
