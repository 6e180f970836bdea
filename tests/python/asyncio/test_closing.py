"""The closing handshake (RFC 6455 §7), and how connections end without one."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import Any

import pytest
from peers import frame

import pywscore
from pywscore import ConnectionClosedError, ConnectionClosedOK, State
from pywscore.asyncio import connection as connection_module
from pywscore.testing import Frame

pytestmark = pytest.mark.every_environment


async def nothing(ws: Any) -> None:
    await ws.wait_closed()


def ends_within(start: float, seconds: float) -> bool:
    return time.monotonic() - start < seconds


@pytest.mark.parametrize("end", ["client", "server"])
async def test_both_ends_know(pair: Any, end: str) -> None:
    async with pair() as ends:
        one = getattr(ends, end)
        other = ends.server if end == "client" else ends.client
        await one.close(1000, "done")
        await other.wait_closed()
        for ws, first in ((one, False), (other, True)):
            assert ws.state is State.CLOSED
            assert (ws.close_code, ws.close_reason) == (1000, "done")
            with pytest.raises(ConnectionClosedOK) as info:
                await ws.recv()
            assert info.value.rcvd_then_sent is first
            assert info.value.rcvd == info.value.sent or (
                info.value.rcvd.code == info.value.sent.code == 1000
            )
            for call in (
                lambda ws=ws: ws.send("x"),
                lambda ws=ws: ws.send(["x"]),
                lambda ws=ws: ws.ping(),
                lambda ws=ws: ws.pong(),
            ):
                with pytest.raises(ConnectionClosedOK):
                    await call()
            await ws.close()
            await ws.close(1011)


async def test_without_a_code(serve: Any, raw_client: Any) -> None:
    found: list[Any] = []

    async def handler(ws: Any) -> None:
        with pytest.raises(ConnectionClosedOK) as info:
            await ws.recv()
        found.append((ws.close_code, ws.close_reason, info.value.code))

    async with serve(handler, "127.0.0.1", 0) as server, raw_client(server) as peer:
        peer.send_frame(8)
        assert await peer.receive() == Frame(8, b"")
        assert await peer.reader.read() == b""
    assert found == [(1005, "", 1005)]


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 2999, 5000])
async def test_codes_that_may_not_be_sent(pair: Any, code: int) -> None:
    async with pair() as ends:
        with pytest.raises(pywscore.ProtocolError):
            await ends.client.close(code)
        with pytest.raises(pywscore.ProtocolError):
            await ends.client.close(1000, "x" * 124)
        assert ends.client.state is State.OPEN


@pytest.mark.threat("DED-4")
async def test_server_ends_tcp_at_once_after_both_close_frames(
    serve: Any, raw_client: Any
) -> None:
    async with serve(nothing, "127.0.0.1", 0) as server, raw_client(server) as peer:
        start = time.monotonic()
        peer.send_close(4000)
        assert await peer.close_code() == 4000
        assert await peer.reader.read() == b""
        assert ends_within(start, 1)


@pytest.mark.threat("DED-4")
@pytest.mark.parametrize("answer", [False, True])
async def test_client_does_not_wait_longer_than_close_timeout(
    raw_server: Any, accept_response: Any, connect: Any, answer: bool
) -> None:
    async def script(peer: Any, head: str) -> None:
        peer.writer.write(accept_response(head))
        code = await peer.close_code()
        if answer:
            peer.send_close(code)
        await peer.reader.read()
        await asyncio.sleep(2)

    async with raw_server(script) as uri:
        ws = await connect(uri, close_timeout=0.2)
        start = time.monotonic()
        await ws.close()
        assert 0.15 < time.monotonic() - start < 1
        assert ws.close_code == (1000 if answer else 1006)


@pytest.mark.threat("DED-4")
async def test_close_never_answered(serve: Any, raw_client: Any) -> None:
    codes: list[Any] = []

    async def handler(ws: Any) -> None:
        start = time.monotonic()
        await ws.close(1001, "away")
        codes.append((ws.close_code, 0.15 < time.monotonic() - start < 1))
        with pytest.raises(ConnectionClosedError) as info:
            await ws.recv()
        codes.append(str(info.value))
        assert isinstance(info.value.__cause__, TimeoutError)

    async with serve(handler, "127.0.0.1", 0, close_timeout=0.2) as server:
        async with raw_client(server) as peer:
            assert await peer.close_code() == 1001
            with pytest.raises((asyncio.IncompleteReadError, OSError)):
                await peer.reader.readexactly(1)
    assert codes == [
        (1006, True),
        "sent 1001 (going away) away; no close frame received",
    ]


@pytest.mark.threat("LIF-7")
async def test_cancelled_close_still_ends(pair: Any) -> None:
    async with pair(close_timeout=0.2) as ends:
        ends.server.transport.pause_reading()
        closing = asyncio.create_task(ends.client.close())
        await asyncio.sleep(0.01)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await asyncio.wait_for(ends.client.wait_closed(), 1)
        assert ends.client.close_code == 1006
        ends.server.transport.abort()


async def test_waiting_calls_end_with_the_connection(pair: Any) -> None:
    async with pair() as ends:
        receiving = asyncio.create_task(ends.client.recv())
        pong = await ends.server.ping()
        await pong
        await asyncio.sleep(0)
        ends.client.transport.abort()
        with pytest.raises(ConnectionClosedError) as info:
            await receiving
        assert str(info.value) == "no close frame received or sent"
        await ends.server.wait_closed()
        assert ends.server.close_code == 1006


BAD_FRAMES = {
    1002: bytes([0x83, 0x80, 0, 0, 0, 0]),  # RFC 6455 §5.2: opcode 3 is reserved
    1007: bytes([0x81, 0x81, 0, 0, 0, 0, 0xFF]),  # §8.1: not UTF-8
    1009: bytes([0x82, 0xFE, 0xFF, 0xFF, 0, 0, 0, 0]),
}


@pytest.mark.threat("DED-5")
@pytest.mark.parametrize("code", BAD_FRAMES)
async def test_after_an_error_the_peer_sees_the_code_and_what_comes_is_dropped(
    serve: Any, raw_client: Any, code: int
) -> None:
    found: list[Any] = []

    async def handler(ws: Any) -> None:
        with pytest.raises(ConnectionClosedError) as info:
            await ws.recv()
        found.append(info.value.sent.code)

    async with serve(handler, "127.0.0.1", 0, max_size=1000, close_timeout=2) as server:
        async with raw_client(server) as peer:
            peer.writer.write(BAD_FRAMES[code])
            for _ in range(64):
                peer.writer.write(bytes(65536))
                await peer.writer.drain()
            assert await peer.close_code() == code
            assert await peer.reader.read() == b""  # shutdown(SHUT_WR), not a reset
            start = time.monotonic()
            peer.writer.write_eof()
    assert found == [code] and ends_within(start, 1.5)


# A message and what fails the connection, in one piece. RFC 6455 §7.1.7 sets no time
# for failing: what came before is answered, and what comes after it ignored.


async def test_messages_before_an_error_are_answered(
    serve: Any, raw_client: Any, echo: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0) as server, raw_client(server) as peer:
        peer.send_frame(1, b"opened")
        assert await peer.receive() == Frame(1, b"opened")
        peer.writer.write(
            frame(1, b"a", mask=True)
            + frame(2, b"b", mask=True)
            + BAD_FRAMES[1002]
            + frame(1, b"c", mask=True)
        )
        assert await peer.receive() == Frame(1, b"a")
        assert await peer.receive() == Frame(2, b"b")
        assert await peer.close_code() == 1002
        assert await peer.reader.read() == b""


async def test_messages_before_an_error_with_the_response(
    raw_server: Any, accept_response: Any, connect: Any
) -> None:
    found: list[Any] = []

    async def script(peer: Any, head: str) -> None:
        bad = bytes([0x83, 0])
        peer.writer.write(accept_response(head) + frame(1, b"a", mask=False) + bad)
        found.extend([await peer.receive(), await peer.close_code()])

    async with raw_server(script) as uri, connect(uri) as ws:
        await ws.send(await ws.recv())
        with pytest.raises(ConnectionClosedError) as info:
            await ws.recv()
        assert isinstance(info.value.__cause__, pywscore.ProtocolError)
    assert found == [Frame(1, b"a", masked=True), 1002]


async def test_error_does_not_wait_for_who_does_not_receive(
    serve: Any, raw_client: Any
) -> None:
    async with serve(nothing, "127.0.0.1", 0) as server, raw_client(server) as peer:
        peer.writer.write(frame(1, b"a", mask=True) + BAD_FRAMES[1002])
        async with asyncio.timeout(1):
            assert await peer.close_code() == 1002


async def test_closing_before_an_error_is_known(serve: Any, raw_client: Any) -> None:
    async def handler(ws: Any) -> None:
        await ws.recv()
        await ws.close(4000)

    async with serve(handler, "127.0.0.1", 0) as server, raw_client(server) as peer:
        peer.writer.write(frame(1, b"a", mask=True) + BAD_FRAMES[1002])
        assert await peer.close_code() == 4000
        assert await peer.reader.read() == b""


async def test_tcp_ends_right_after_an_error(serve: Any, raw_client: Any) -> None:
    found: list[Any] = []

    async def handler(ws: Any) -> None:
        await ws.wait_closed()
        with pytest.raises(ConnectionClosedError) as info:
            while True:
                found.append(await ws.recv())
        found.append(info.value.sent.code)

    async with serve(handler, "127.0.0.1", 0) as server, raw_client(server) as peer:
        peer.writer.write(frame(1, b"a", mask=True) + BAD_FRAMES[1002])
        peer.writer.write_eof()
        await peer.reader.read()
    assert found == ["a", 1002]


@pytest.mark.threat("DED-5")
async def test_error_and_tcp_kept_ends_by_close_timeout(
    serve: Any, raw_client: Any
) -> None:
    async with serve(nothing, "127.0.0.1", 0, close_timeout=0.2) as server:
        async with raw_client(server) as peer:
            peer.writer.write(BAD_FRAMES[1002])
            assert await peer.close_code() == 1002
            start = time.monotonic()
            server.close()
            await server.wait_closed()
            assert ends_within(start, 1)


@pytest.mark.threat("DED-5")
async def test_error_of_a_server(
    raw_server: Any, accept_response: Any, connect: Any
) -> None:
    codes = []

    async def script(peer: Any, head: str) -> None:
        # RFC 6455 §5.1: a server must not mask
        peer.writer.write(accept_response(head) + bytes([0x82, 0x80, 0, 0, 0, 0]))
        for _ in range(16):
            peer.writer.write(bytes(65536))
            await peer.writer.drain()
        codes.append(await peer.close_code())
        assert await peer.reader.read() == b""

    async with raw_server(script) as uri:
        async with connect(uri) as ws:
            with pytest.raises(ConnectionClosedError) as info:
                await ws.recv()
            assert isinstance(info.value.__cause__, pywscore.ProtocolError)
    assert codes == [1002]


async def test_end_of_tcp_without_close_frame(serve: Any, raw_client: Any) -> None:
    found: list[Any] = []

    async def handler(ws: Any) -> None:
        with pytest.raises(ConnectionClosedError) as info:
            await ws.recv()
        found.append((ws.close_code, str(info.value)))

    async with serve(handler, "127.0.0.1", 0) as server, raw_client(server) as peer:
        peer.writer.write_eof()
        assert await peer.reader.read() == b""
    assert found == [(1006, "no close frame received or sent")]


async def test_what_ended_tcp_is_the_cause(pair: Any, over_tcp: None) -> None:
    """Of all that is raised, however often; and it keeps no transport alive."""
    async with pair() as ends:
        ws = ends.server
        sock = ends.client.transport.get_extra_info("socket")
        # A reset in the place of the end (RFC 9293 §3.6)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ends.client.transport.pause_reading()  # no pong
        pong = await ws.ping()
        receiving = asyncio.create_task(ws.recv())
        await asyncio.sleep(0)
        ends.client.transport.abort()
        waited = await asyncio.gather(receiving, pong, return_exceptions=True)
        later = await asyncio.gather(
            *(ws.recv(), anext(aiter(ws)), anext(ws.recv_streaming())),
            *(ws.send("x"), ws.send(["x"]), ws.ping(), ws.pong()),
            return_exceptions=True,
        )
        with pytest.raises(ConnectionClosedError) as info:
            ws.send_nowait("x")
        for exc in (*waited, *later, info.value):
            assert type(exc) is ConnectionClosedError
            assert isinstance(exc.__cause__, ConnectionResetError)
            assert exc.__cause__.__traceback__ is None


async def test_a_closing_handshake_has_no_cause(pair: Any) -> None:
    async with pair() as ends:
        await ends.client.close()
        for ws in (ends.client, ends.server):
            with pytest.raises(ConnectionClosedOK) as info:
                await ws.recv()
            assert info.value.__cause__ is None


async def test_closing_with_a_full_queue(pair: Any) -> None:
    """The peer's close frame is behind messages that nobody takes."""
    async with pair(close_timeout=3) as ends:
        for number in range(100):
            await ends.client.send(f"{number}" * 1000)
        while not ends.server.read_paused:
            await asyncio.sleep(0)
        start = time.monotonic()
        await ends.server.close()
        assert ends_within(start, 2)
        assert ends.server.close_code == 1000
        # What was received before can be taken, in order and without a gap.
        for number in range(ends.server.messages_queued):
            assert await ends.server.recv() == f"{number}" * 1000


async def test_context_manager(pair: Any) -> None:
    async with pair() as ends:
        with pytest.raises(LookupError):
            async with ends.client:
                raise LookupError
        assert ends.client.close_code == 1011
    async with pair() as ends:
        async with ends.client:
            pass
        assert ends.client.close_code == 1000


@pytest.mark.threat("DED-1")
async def test_keepalive_timeout(serve: Any, raw_client: Any) -> None:
    codes: list[Any] = []

    async def handler(ws: Any) -> None:
        with pytest.raises(ConnectionClosedError) as info:
            await ws.recv()
        codes.append((info.value.sent.code, info.value.sent.reason))

    async with serve(
        handler, "127.0.0.1", 0, ping_interval=0.1, ping_timeout=0.2, close_timeout=0.1
    ) as server:
        async with raw_client(server) as peer:
            assert (await peer.receive()).opcode == 9
            assert await peer.close_code() == 1011
    assert codes == [(1011, "keepalive ping timeout")]


async def test_keepalive_with_pongs(pair: Any) -> None:
    async with pair(ping_interval=0.02, ping_timeout=1) as ends:
        await asyncio.sleep(0.3)
        assert ends.client.state is ends.server.state is State.OPEN
        assert ends.client.latency > 0 and ends.server.latency > 0


@pytest.mark.threat("DED-6")
async def test_idle_timeout(pair: Any) -> None:
    async with pair(
        server={"idle_timeout": 0.2}, client={"ping_interval": 0.05}
    ) as ends:
        with pytest.raises(ConnectionClosedOK) as info:
            await ends.client.recv()
        assert info.value.rcvd is not None
        assert (info.value.rcvd.code, info.value.rcvd.reason) == (1001, "idle timeout")


def test_modules_name_each_other_once() -> None:
    assert connection_module.Connection is pywscore.Connection
