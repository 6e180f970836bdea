"""Connections in memory, and faults between their ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import pywscore
from pywscore.testing import (
    Clock,
    Faults,
    FaultyLink,
    assert_closes,
    connected,
    record,
    serve_in_memory,
)
from pywscore.testing._link import joined


def run(main: Callable[[], Awaitable[Any]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await main()

    asyncio.run(limited())


async def echo(ws: pywscore.ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


@pytest.mark.parametrize("split", ["whole", "bytes", "random"])
def test_messages_both_ways(split: Any) -> None:
    async def main() -> None:
        link = FaultyLink(Faults(split=split), Faults(split=split), seed=7)
        async with connected(link=link) as (client, server):
            for message in ("", "text" * 100, b"", bytes(range(256)) * 20):
                await client.send(message)
                assert await server.recv() == message
                await server.send(message)
                assert await client.recv() == message
            assert await (await client.ping()) >= 0
        assert client.close_code == server.close_code == 1000
        assert "seed=7" in repr(link)

    run(main)


def test_pieces_are_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        link = FaultyLink(to_server=Faults(split="bytes"))
        async with connected(link=link, client={"compression": None}) as pair:
            pieces: list[int] = []
            kind: Any = type(pair.server.transport)
            receive = kind._receive

            def note(self: Any, data: bytes) -> None:
                pieces.append(len(data))
                receive(self, data)

            monkeypatch.setattr(kind, "_receive", note)
            await pair.client.send("hello")
            assert await pair.server.recv() == "hello"
            # 2 bytes of the head, 4 of the mask, 5 of the payload.
            assert pieces == [1] * 11

    run(main)


def test_writing_stops_above_the_high_water_mark() -> None:
    async def main() -> None:
        full = {"max_queue": 1, "compression": None}
        async with connected(server=full) as (
            client,
            server,
        ):
            sent = 0

            async def send() -> None:
                nonlocal sent
                while True:
                    await client.send(b"x" * 10_000)
                    sent += 1

            sending = asyncio.create_task(send())
            for _ in range(200):
                await asyncio.sleep(0)
            assert 3 < sent < 30
            before = sent
            for _ in range(before):
                await server.recv()
            for _ in range(200):
                await asyncio.sleep(0)
            assert sent > before
            sending.cancel()
            client.transport.abort()

    run(main)


def test_a_server_for_clients() -> None:
    async def main() -> None:
        async with serve_in_memory(echo, subprotocols=["chat"]) as server:
            async with server.connect("/a?b=c", subprotocols=["chat"]) as ws:
                assert ws.subprotocol == "chat"
                [accepted] = server.server.connections
                assert accepted.request is not None
                assert accepted.request.path == "/a?b=c"
                await ws.send("x")
                assert await ws.recv() == "x"
            chat = {"subprotocols": ["chat"]}
            async with server.connect(**chat) as one, server.connect(**chat) as two:
                await one.send("1")
                await two.send("2")
                assert (await one.recv(), await two.recv()) == ("1", "2")
        with pytest.raises(ConnectionRefusedError):
            async with server.connect():
                pass

    run(main)


def test_a_pair_over_tcp() -> None:
    async def main() -> None:
        limits = {"max_size": 10}
        async with connected(tcp=True, server=limits) as (client, server):
            assert client.remote_address == server.local_address
            assert server.local_address[0] == "127.0.0.1"
            await client.send("x" * 11)
            with assert_closes(1009):
                await client.recv()
        with pytest.raises(TypeError, match="not over TCP"):
            async with connected(tcp=True, link=FaultyLink()):
                pass

    run(main)


def test_a_refusal() -> None:
    async def main() -> None:
        def refuse(ws: Any, request: Any) -> Any:
            return ws.respond(403, "no\n")

        async with serve_in_memory(echo, process_request=refuse) as server:
            with pytest.raises(pywscore.InvalidStatus) as info:
                async with server.connect():
                    pass
            assert info.value.response.status_code == 403

    run(main)


def test_a_peer_that_stops_reading_while_we_close() -> None:
    """It has the close frame: TCP takes that before anybody reads it."""

    async def main() -> None:
        async with connected(client={"close_timeout": 0.2}) as (client, server):
            server.transport.pause_reading()
            async with Clock() as clock:
                closing = asyncio.create_task(client.close())
                await clock.advance(0.1)
                closing.cancel()
                await clock.advance(0.05)
                assert client.state is pywscore.State.CLOSING
                await clock.advance(0.1)
                assert client.state is pywscore.State.CLOSED
                assert client.close_code == 1006
            server.transport.resume_reading()

    run(main)


@pytest.mark.parametrize("where", ["reset_at", "end_at"])
def test_a_reset_and_an_end(where: str) -> None:
    async def main() -> None:
        off = {"compression": None, "close_timeout": 0.1}
        link = FaultyLink(to_client=Faults(**{where: 400}))
        async with connected(link=link, server=off, client=off) as (client, server):
            await server.send("x" * 50)
            assert await client.recv() == "x" * 50
            assert len(link.sent_to_client) < 400
            await server.send("y" * 500)
            with pytest.raises(pywscore.ConnectionClosedError) as info:
                await client.recv()
            assert info.value.rcvd is None
            reset = isinstance(info.value.__cause__, ConnectionResetError)
            assert reset == (where == "reset_at")

    run(main)


def test_lost_and_doubled_bytes() -> None:
    async def main() -> None:
        for faults in ({"drop": [(700, 705)]}, {"duplicate": [(700, 705)]}):
            link = FaultyLink(to_server=Faults(**faults))
            off = {"compression": None, "close_timeout": 0.1}
            async with connected(link=link, client=off, server=off) as (client, server):
                start = len(link.sent_to_server)
                assert start < 690
                # One frame that covers the place, and others that come out wrong.
                await client.send("x" * (720 - start))
                for _ in range(40):
                    await client.send("short")
                with pytest.raises(pywscore.ConnectionClosedError):
                    while True:
                        await server.recv()
                assert server.protocol.error is not None

    run(main)


def test_a_link_that_stalls_and_is_reset() -> None:
    async def main() -> None:
        link = FaultyLink()
        async with connected(link=link) as (client, server):
            link.stall()
            await client.send("x")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await server.recv()
            link.resume()
            assert await server.recv() == "x"
            link.reset()
            with assert_closes(1006):
                await server.recv()
            with pytest.raises(RuntimeError, match="once"):
                async with connected(link=link):
                    pass

    run(main)


def test_transports_are_as_those_of_asyncio() -> None:
    class Notes(asyncio.Protocol):
        def __init__(self) -> None:
            self.data = b""
            self.ended = asyncio.get_running_loop().create_future()

        def data_received(self, data: bytes) -> None:
            self.data += data

        def eof_received(self) -> bool:
            return True

        def connection_lost(self, exc: Exception | None) -> None:
            self.ended.set_result(exc)

    async def main() -> None:
        link = FaultyLink()
        near, far = joined(link)
        one, two = Notes(), Notes()
        near.connect(one)
        far.connect(two)
        assert near.get_protocol() is one and not near.is_closing()
        assert near.get_extra_info("peername") == far.get_extra_info("sockname")
        assert near.get_extra_info("no such", 3) == 3
        far.pause_reading()
        assert not far.is_reading()
        near.writelines([b"a", b"", b"bc"])
        near.write(b"")
        await asyncio.sleep(0.01)
        assert two.data == b""
        far.resume_reading()
        await asyncio.sleep(0.01)
        assert two.data == b"abc" and near.get_write_buffer_size() == 0
        near.set_write_buffer_limits(high=100)
        assert near.get_write_buffer_limits() == (25, 100)
        near.set_write_buffer_limits()
        assert near.get_write_buffer_limits()[1] == 64 * 1024
        other = Notes()
        far.set_protocol(other)
        near.write_eof()
        near.write_eof()
        near.write(b"after the end")
        await asyncio.sleep(0.01)
        assert other.data == b"" and not far.is_closing()
        far.write(b"back")
        await asyncio.sleep(0.01)
        assert one.data == b"back"
        far.close()
        far.close()
        assert await other.ended is None
        near.abort()
        near.abort()
        assert await one.ended is None

    run(main)


class Ended(asyncio.Protocol):
    def __init__(self) -> None:
        self.ended = asyncio.get_running_loop().create_future()

    def eof_received(self) -> bool:
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(exc)


def test_what_a_transport_has_not_delivered() -> None:
    """It is the other end's from where TCP would have acknowledged it, whether that is
    read or not; ``close()`` waits for it."""

    async def main() -> None:
        link = FaultyLink()
        near, far = joined(link)
        one = Ended()
        near.connect(one)
        far.connect(Ended())
        far.pause_reading()
        near.write(b"x" * 4096)
        assert near.get_write_buffer_size() == 0
        near.write(b"y" * 3)
        assert near.get_write_buffer_size() == 3
        link.stall()
        assert near.get_write_buffer_size() == 4099
        near.close()
        await asyncio.sleep(0.01)
        assert not one.ended.done()
        link.resume()
        await asyncio.sleep(0.01)
        assert not one.ended.done()
        far.resume_reading()
        assert await one.ended is None

    run(main)


def test_what_is_sent_to_nobody_is_answered_by_a_reset() -> None:
    async def main() -> None:
        near, far = joined(FaultyLink())
        one, two = Ended(), Ended()
        near.connect(one)
        near.pause_reading()
        far.connect(two)
        far.close()
        assert await two.ended is None
        assert not one.ended.done()
        near.write(b"is anybody there?")
        near.resume_reading()
        assert isinstance(await one.ended, ConnectionResetError)

    run(main)


def test_a_delay() -> None:
    async def main() -> None:
        link = FaultyLink(to_server=Faults(delay=0.1, split="whole"))
        async with connected(link=link) as (client, server):
            loop = asyncio.get_running_loop()
            began = loop.time()
            await client.send("x")
            await server.recv()
            assert 0.09 <= loop.time() - began < 2

    run(main)


@pytest.mark.parametrize(
    "wrong", [{"split": "half"}, {"delay": -1}, {"delay": float("nan")}]
)
def test_wrong_faults(wrong: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Faults(**wrong)


def test_time_that_is_moved() -> None:
    """A minute of keepalive, and a peer that doesn't answer, in no time."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        real = loop.time()
        async with Clock() as clock:
            link = FaultyLink()
            async with connected(
                link=link, server={"ping_interval": 20, "ping_timeout": 10}
            ) as (client, server):
                await clock.advance(65)
                assert client.state is pywscore.State.OPEN
                assert link.sent_to_client.count(b"\x89\x04") == 3
                link.stall()
                await clock.advance(20)
                assert server.state is pywscore.State.OPEN
                await clock.advance(11)
                assert server.state is not pywscore.State.OPEN
                link.resume()
                with assert_closes(1011, "keepalive ping timeout"):
                    await client.recv()
            with pytest.raises(ValueError, match="negative"):
                await clock.advance(-1)
            with pytest.raises(RuntimeError, match="has a Clock"):
                async with Clock():
                    pass
        assert 95 < loop.time() - real < 115

    asyncio.run(main())  # a timeout around it would go by, too


def test_a_loop_that_is_held_up() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        called: list[float] = []
        async with Clock() as clock:
            begin = loop.time()
            for seconds in (1, 2, 9):
                loop.call_later(seconds, lambda: called.append(loop.time() - begin))
            clock.stall(5)
            assert called == []
            await clock.advance(0)
            assert called == [5, 5]
            with pytest.raises(ValueError, match="negative"):
                clock.stall(-1)

    run(main)


def test_a_record() -> None:
    async def main() -> None:
        link = FaultyLink(Faults(split="random"), Faults(split="random"))
        async with connected(link=link, client={"compression": None}) as (
            client,
            server,
        ):
            await client.send("hi")
            await server.recv()
            await server.send(b"\0\xff")
            await client.recv()
            await client.send(["two ", "parts"])
            await server.recv()
            await client.close(1001, "done")
        assert record(link) == (
            'send text "hi"\n'
            "expect binary 00 ff\n"
            'send text "two " fin=0\n'
            'send continuation "parts" fin=0\n'
            'send continuation ""\n'
            'send close 1001 "done"\n'
            'expect close 1001 "done"\n'
        )
        assert record(link, "server").startswith('expect text "hi"\nsend binary')

    run(main)


def test_assert_closes() -> None:
    async def main() -> None:
        async with connected() as (client, server):
            await server.close(1008, "policy")
            with assert_closes(1008, "policy"):
                await client.recv()
            with pytest.raises(
                AssertionError, match="closed with 1008 'policy', not 1000"
            ):
                with assert_closes(1000):
                    await client.recv()
            with pytest.raises(AssertionError, match="not 1008 'other'"):
                with assert_closes(1008, "other"):
                    await client.recv()
            with pytest.raises(AssertionError, match="isn't closed"):
                with assert_closes(1008):
                    pass

    run(main)
