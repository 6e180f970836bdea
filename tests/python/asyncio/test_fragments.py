"""Messages in fragments (RFC 6455 §5.4), both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pywscore import ConnectionClosedError, State
from pywscore.testing import assert_closes


async def asynchronous(fragments: Any) -> AsyncIterator[Any]:
    for fragment in fragments:
        await asyncio.sleep(0)
        yield fragment


async def received(peer: Any) -> tuple[int, bytes, bool]:
    first, second = await peer.reader.readexactly(2)
    return first & 0xF, await peer.reader.readexactly(second & 0x7F), bool(first & 0x80)


@pytest.mark.parametrize("wrap", [list, iter, asynchronous])
@pytest.mark.parametrize(
    ("fragments", "text", "opcode", "payloads"),
    [
        (["a", "é"], None, 1, [b"a", "é".encode()]),
        ([b"a", bytearray(b"b"), memoryview(b"c")], None, 2, [b"a", b"b", b"c"]),
        (["a", ""], False, 2, [b"a", b""]),
        ([b"a", b"b"], True, 1, [b"a", b"b"]),
    ],
)
async def test_each_item_is_a_fragment(
    serve: Any,
    raw_client: Any,
    wrap: Any,
    fragments: list[Any],
    text: bool | None,
    opcode: int,
    payloads: list[bytes],
) -> None:
    async def handler(ws: Any) -> None:
        await ws.send(wrap(fragments), text=text)
        await ws.send(wrap([]))

    async with serve(handler, "127.0.0.1", 0) as server, raw_client(server) as peer:
        assert await received(peer) == (opcode, payloads[0], False)
        for payload in payloads[1:]:
            assert await received(peer) == (0, payload, False)
        assert await received(peer) == (0, b"", True)
        assert (await received(peer))[0] == 8
        peer.send_close()


@pytest.mark.parametrize("decode", [None, True, False])
@pytest.mark.parametrize(
    "message", [["é", "", "b" * 300], [b"\xc3", b"\xa9", b"c" * 300]]
)
async def test_there_and_back(
    pair: Any, message: list[Any], decode: bool | None
) -> None:
    async with pair() as ends:
        await ends.client.send(message)
        await ends.client.send("next")
        got = [fragment async for fragment in ends.server.recv_streaming(decode)]
        binary = isinstance(message[0], bytes)
        wanted = type(message[0])().join(message)
        if decode is True and binary:
            wanted = wanted.decode()
        elif decode is False and not binary:
            wanted = wanted.encode()
        assert type(wanted)().join(got) == wanted
        assert await ends.server.recv() == "next"
        await ends.client.send(message)
        assert await ends.server.recv(decode) == wanted


async def test_fragments_come_before_the_message_is_complete(pair: Any) -> None:
    async with pair() as ends:
        go_on = asyncio.Event()

        async def slow() -> AsyncIterator[str]:
            yield "a"
            await go_on.wait()
            yield "b"

        sending = asyncio.create_task(ends.client.send(slow()))
        streaming = ends.server.recv_streaming()
        assert await anext(streaming) == "a"
        go_on.set()
        assert "".join([fragment async for fragment in streaming]) == "b"
        await sending


async def test_text_split_inside_of_a_character(serve: Any, raw_client: Any) -> None:
    got: list[str] = []

    async def handler(ws: Any) -> None:
        async for fragment in ws.recv_streaming():
            got.append(fragment)

    async with serve(handler, "127.0.0.1", 0) as server, raw_client(server) as peer:
        peer.send_frame(1, "é€".encode()[:1], fin=False)
        peer.send_frame(0, "é€".encode()[1:4], fin=False)
        peer.send_frame(0, "é€".encode()[4:])
        assert await peer.close_code() == 1000
        peer.send_close()
    assert "".join(got) == "é€"


async def test_decoding_what_is_not_utf8_fails_the_connection(pair: Any) -> None:
    async with pair() as ends:
        await ends.client.send([b"\xff", b"b"])
        with assert_closes(1007):
            async for _ in ends.server.recv_streaming(decode=True):
                pass
        await ends.client.wait_closed()
        assert ends.client.close_code == 1007


async def test_decoding_a_message_that_is_not_utf8_fails_the_connection(
    pair: Any,
) -> None:
    async with pair() as ends:
        await ends.client.send(b"\xc3\xa9")
        await ends.client.send(b"ok \xff")
        await ends.client.send("lost")
        assert await ends.server.recv(decode=True) == "é"
        with pytest.raises(ConnectionClosedError) as info:
            await ends.server.recv(decode=True)
        assert info.value.sent is not None and info.value.sent.code == 1007
        assert isinstance(info.value.__cause__, UnicodeDecodeError)
        await ends.client.wait_closed()
        assert ends.client.close_code == 1007


async def test_breaking_off_in_the_middle(pair: Any) -> None:
    """The rest of the message isn't taken for one."""
    async with pair() as ends:
        for rest in (True, False):
            sending = asyncio.create_task(ends.client.send(asynchronous("abc")))
            streaming = ends.server.recv_streaming()
            begin = await anext(streaming)
            await streaming.aclose()
            await sending
            await ends.client.send("next")
            if rest:
                text = "".join([part async for part in ends.server.recv_streaming()])
                assert begin + text == "abc"
            assert await ends.server.recv() == "next"


async def test_others_wait_until_the_last_fragment(pair: Any) -> None:
    async with pair() as ends:
        go_on = asyncio.Event()

        async def slow() -> AsyncIterator[str]:
            yield "a"
            await go_on.wait()
            yield "b"

        tasks = [asyncio.create_task(ends.client.send(slow()))]
        await asyncio.sleep(0.01)
        for message in ("whole", ["x", "y"], "last"):
            tasks.append(asyncio.create_task(ends.client.send(message)))
            await asyncio.sleep(0)
        # Control frames may come in between (RFC 6455 §5.4)
        receiving = asyncio.create_task(ends.server.recv())
        await (await ends.client.ping())
        assert not receiving.done()
        go_on.set()
        await asyncio.gather(*tasks)
        assert await receiving == "ab"
        rest = {await ends.server.recv() for _ in range(3)}
        assert rest == {"whole", "xy", "last"}


async def broken() -> AsyncIterator[str]:
    yield "a"
    raise LookupError("broken")


@pytest.mark.parametrize(
    ("message", "exception"),
    [
        (broken, LookupError),
        (lambda: ["a", b"b"], TypeError),
        (lambda: ["a", 1], TypeError),
    ],
)
async def test_failing_in_the_middle_closes_with_1011(
    pair: Any, message: Any, exception: type[Exception]
) -> None:
    async with pair() as ends:
        with pytest.raises(exception):
            await ends.client.send(message())
        assert ends.client.state is not State.OPEN
        with assert_closes(1011, "error in fragmented message"):
            await ends.server.recv()
        with pytest.raises(ConnectionClosedError):
            await ends.client.send("more")


@pytest.mark.threat("LIF-7")
async def test_cancelling_in_the_middle_closes_with_1011(pair: Any) -> None:
    async with pair() as ends:

        async def endless() -> AsyncIterator[str]:
            yield "a"
            await asyncio.Event().wait()

        sending = asyncio.create_task(ends.client.send(endless()))
        waiting = asyncio.create_task(ends.client.send("other"))
        await asyncio.sleep(0.02)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        with pytest.raises(ConnectionClosedError):
            await waiting
        await ends.server.wait_closed()
        assert ends.server.close_code == 1011


async def test_first_item_of_a_wrong_type_changes_nothing(pair: Any) -> None:
    async with pair() as ends:
        for wrong in ([1], [None, "a"], [["a"]]):
            with pytest.raises(TypeError):
                await ends.client.send(wrong)
        await ends.client.send("fine")
        assert await ends.server.recv() == "fine"


async def test_closing_in_the_middle(pair: Any) -> None:
    async with pair() as ends:

        async def endless() -> AsyncIterator[str]:
            yield "a"
            await asyncio.Event().wait()

        sending = asyncio.create_task(ends.client.send(endless()))
        await asyncio.sleep(0.02)
        await ends.client.close()
        assert ends.client.protocol.close_sent is not None
        assert ends.client.protocol.close_sent.code == 1011
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_stopping_in_the_middle_of_recv_streaming(pair: Any) -> None:
    async with pair() as ends:
        await ends.client.send(["a", "b"])
        streaming = ends.server.recv_streaming()
        assert await anext(streaming) == "a"
        await streaming.aclose()
        await ends.client.close()
        await ends.server.wait_closed()
