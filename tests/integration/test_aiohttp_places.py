"""ws_connect(): however it ends, the session's connector gets its place back."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import carriers
import pytest
from aiohttp import WSMsgType
from aiohttp_rig import (
    client_session,
    raw_server,
    run,
)

from pywscore.integrations.aiohttp import ws_connect
from pywscore.integrations.aiohttp._private import ClientWSTimeout

pytestmark = [pytest.mark.threat("END-4"), *carriers.by_both]

BAD_FRAME = b"\x83\x00"
CLOSE_1000 = bytes([0x88, 2]) + (1000).to_bytes(2, "big")


@dataclass
class Rig:
    """A session with one place, and a server whose end the test holds."""

    session: aiohttp.ClientSession
    url: str
    writers: list[asyncio.StreamWriter]
    kept: list[Any] = field(default_factory=list)
    """Referred to until the test is over: nothing is given back by ``__del__``."""

    async def open(self, **options: Any) -> Any:
        options.setdefault("timeout", ClientWSTimeout(ws_close=0.1))
        before = len(self.writers)
        ws = await ws_connect(self.session, self.url, **options)
        while len(self.writers) == before:
            await asyncio.sleep(0.001)
        self.kept.append(ws)
        return ws

    def send(self, data: bytes) -> None:
        self.writers[-1].write(data)

    def cut(self) -> None:
        self.writers[-1].transport.abort()

    @property
    def taken(self) -> int:
        connector: Any = self.session.connector
        return len(connector._acquired)


async def cancelled(coroutine: Any) -> None:
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0.02)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


# Each leaves the connection closed, in a way of its own.


async def lost(rig: Rig) -> None:
    async with await rig.open() as ws:
        rig.cut()
        assert (await ws.receive()).type is WSMsgType.CLOSED


async def lost_without_close(rig: Rig) -> None:
    ws = await rig.open()
    rig.cut()
    assert (await ws.receive()).type is WSMsgType.CLOSED


async def lost_and_nobody_listens(rig: Rig) -> None:
    ws = await rig.open()
    rig.cut()
    while rig.taken:
        await asyncio.sleep(0.01)
    assert not ws.closed and (await ws.receive()).type is WSMsgType.CLOSED


async def lost_between_messages(rig: Rig) -> None:
    async with await rig.open() as ws:
        rig.send(b"\x81\x01a")
        await asyncio.sleep(0.02)
        rig.cut()
        await asyncio.sleep(0.02)
        assert [message.data async for message in ws] in (["a"], [])


async def lost_while_sending(rig: Rig) -> None:
    async with await rig.open() as ws:
        rig.cut()
        with pytest.raises(ConnectionResetError):
            while True:
                await ws.send_str("x")
                await asyncio.sleep(0.001)


async def ended_without_close_frame(rig: Rig) -> None:
    async with await rig.open() as ws:
        rig.writers[-1].close()
        assert (await ws.receive()).type is WSMsgType.CLOSED


async def heartbeat_expired(rig: Rig) -> None:
    async with await rig.open(heartbeat=0.1) as ws:
        assert (await ws.receive()).type is WSMsgType.ERROR


async def heartbeat_expired_and_nobody_listens(rig: Rig) -> None:
    ws = await rig.open(heartbeat=0.1)
    while not ws.closed:
        await asyncio.sleep(0.01)
    assert not await ws.close()


async def protocol_error(rig: Rig) -> None:
    async with await rig.open() as ws:
        rig.send(BAD_FRAME)
        assert (await ws.receive()).type is WSMsgType.ERROR


async def protocol_error_and_nobody_listens(rig: Rig) -> None:
    async with await rig.open():
        rig.send(BAD_FRAME)
        await asyncio.sleep(0.02)


async def too_big(rig: Rig) -> None:
    async with await rig.open(max_msg_size=10) as ws:
        rig.send(b"\x81\x0b" + b"x" * 11)
        assert (await ws.receive()).type is WSMsgType.ERROR


async def no_text(rig: Rig) -> None:
    async with await rig.open() as ws:
        rig.send(b"\x82\x01a")
        with pytest.raises(TypeError):
            await ws.receive_str()


async def peer_closes(rig: Rig) -> None:
    ws = await rig.open()
    rig.send(CLOSE_1000)
    assert (await ws.receive()).type is WSMsgType.CLOSE


async def peer_closes_and_close_is_cancelled(rig: Rig) -> None:
    ws = await rig.open()
    rig.send(CLOSE_1000)
    await asyncio.sleep(0.02)
    task = asyncio.ensure_future(ws.receive())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await ws.close()


async def peer_closes_by_hand(rig: Rig) -> None:
    async with await rig.open(autoclose=False) as ws:
        rig.send(CLOSE_1000)
        assert (await ws.receive()).type is WSMsgType.CLOSE


async def peer_closes_and_is_lost(rig: Rig) -> None:
    ws = await rig.open(autoclose=False)
    rig.send(CLOSE_1000)
    assert (await ws.receive()).type is WSMsgType.CLOSE
    rig.cut()
    while rig.taken:
        await asyncio.sleep(0.01)
    assert (await ws.receive()).type is WSMsgType.CLOSED


async def close(rig: Rig) -> None:
    ws = await rig.open()
    closing = asyncio.ensure_future(ws.close())
    await asyncio.sleep(0.02)
    rig.send(CLOSE_1000)
    assert await closing


async def close_times_out(rig: Rig) -> None:
    async with await rig.open():
        pass


async def close_is_cancelled(rig: Rig) -> None:
    ws = await rig.open()
    await cancelled(ws.close())
    assert not await ws.close()


async def close_is_cancelled_at_once(rig: Rig) -> None:
    ws = await rig.open()
    task = asyncio.ensure_future(ws.close())
    task.cancel()
    await asyncio.wait([task])
    await ws.close()


async def close_beside_receive(rig: Rig) -> None:
    ws = await rig.open()
    receiving = asyncio.ensure_future(ws.receive())
    await asyncio.sleep(0.02)
    await ws.close()
    await receiving


async def close_with_what_cannot_be_sent(rig: Rig) -> None:
    ws = await rig.open()
    assert await ws.close(message=1)


async def two_close(rig: Rig) -> None:
    ws = await rig.open()
    await asyncio.gather(ws.close(), ws.close())


async def body_raises(rig: Rig) -> None:
    with pytest.raises(KeyError):
        async with await rig.open():
            raise KeyError


async def body_is_cancelled(rig: Rig) -> None:
    async def body() -> None:
        async with await rig.open() as ws:
            await ws.receive()

    await cancelled(body())


async def receive_times_out(rig: Rig) -> None:
    async with await rig.open() as ws:
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.02)


async def transport_closed(rig: Rig) -> None:
    async with await rig.open() as ws:
        ws._response.connection.transport.abort()
        await ws.receive()


async def forgotten(rig: Rig) -> None:
    await rig.open()
    rig.kept.clear()
    gc.collect()
    await asyncio.sleep(0.02)


async def forgotten_with_heartbeat(rig: Rig) -> None:
    await rig.open(heartbeat=5)
    rig.kept.clear()
    gc.collect()
    await asyncio.sleep(0.02)


async def not_awaited_to_the_end(rig: Rig) -> None:
    opening = ws_connect(rig.session, rig.url)
    task = asyncio.ensure_future(opening._coroutine)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


WAYS: list[Callable[[Rig], Awaitable[None]]] = [
    lost,
    lost_without_close,
    lost_and_nobody_listens,
    lost_between_messages,
    lost_while_sending,
    ended_without_close_frame,
    heartbeat_expired,
    heartbeat_expired_and_nobody_listens,
    protocol_error,
    protocol_error_and_nobody_listens,
    too_big,
    no_text,
    peer_closes,
    peer_closes_and_close_is_cancelled,
    peer_closes_by_hand,
    peer_closes_and_is_lost,
    close,
    close_times_out,
    close_is_cancelled,
    close_is_cancelled_at_once,
    close_beside_receive,
    close_with_what_cannot_be_sent,
    two_close,
    body_raises,
    body_is_cancelled,
    receive_times_out,
    transport_closed,
    forgotten,
    forgotten_with_heartbeat,
    not_awaited_to_the_end,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_place_is_given_back(way: Callable[[Rig], Awaitable[None]], loop: str) -> None:
    async def main() -> None:
        ended = asyncio.Event()
        writers: list[asyncio.StreamWriter] = []

        async def script(reader: Any, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            await ended.wait()

        async with raw_server(script) as url:
            async with client_session(limit=1) as session:
                rig = Rig(session, url, writers)
                await way(rig)
                assert not rig.taken
                async with asyncio.timeout(2):
                    again = await rig.open()
                assert rig.taken == 1
                rig.cut()
                await again.close()
            ended.set()

    run(main(), loop)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_session_closes_first(loop: str) -> None:
    async def main() -> None:
        async def script(reader: Any, writer: Any) -> None:
            await reader.read()

        async with raw_server(script) as url:
            session = client_session()
            ws = await ws_connect(session, url)
            await session.close()
            assert (await ws.receive()).type is WSMsgType.CLOSED
            assert ws._response.connection is None

    run(main(), loop)
