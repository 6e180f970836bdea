"""How connections end, with aiohttp's class and ours."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import tempfile
from typing import Any

import aiohttp
import carriers
import pytest
import trustme
from aiohttp import WSMsgType, web
from aiohttp_rig import (
    CLOSE,
    OURS,
    PING,
    PONG,
    TEXT,
    Kind,
    client_session,
    close_frame,
    collect,
    echo,
    frame,
    scenario,
    served,
)
from waiting import until


@scenario()
async def test_peer_closes(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        message = await ws.receive()
        log.append((message.type, message.data, message.extra))
        log.append((ws.closed, ws.close_code, ws.exception()))

    for sent, expected in (
        (close_frame(1000), (WSMsgType.CLOSE, 1000, "")),
        (close_frame(4001, b"why"), (WSMsgType.CLOSE, 4001, "why")),
        (frame(CLOSE), (WSMsgType.CLOSE, 0, "")),
    ):
        async with served(kind, handler) as rig, rig.open_peer() as peer:
            peer.send(sent)
            [(opcode, _)] = await peer.frames_to_end()
            assert opcode == CLOSE
            await rig.done.wait()
            assert rig.log == [expected, (True, expected[1], None)]


@scenario()
async def test_receive_after_the_end(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        log.append((await ws.receive()).type)
        for _ in range(4):
            log.append((await ws.receive()).type)
        with pytest.raises(RuntimeError, match="closed"):
            await ws.receive()
        log.append(await ws.close())
        with pytest.raises(aiohttp.ClientConnectionResetError):
            await ws.send_str("x")
        with pytest.raises(ConnectionResetError, match="closing transport"):
            await ws.ping()

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        peer.send(close_frame(1000))
        await rig.done.wait()
        assert rig.failure is None
        assert rig.log == [WSMsgType.CLOSE, *[WSMsgType.CLOSED] * 4, False]


@scenario()
async def test_connection_lost(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        log.append(await ws.receive())
        log.append(await ws.receive())
        log.append((ws.closed, ws.close_code, type(ws.exception())))
        with pytest.raises(aiohttp.ClientConnectionResetError):
            await ws.send_str("x")
        log.append(await ws.close())

    for reset in (False, True):
        async with served(kind, handler) as rig, rig.open_peer() as peer:
            peer.send(frame(TEXT, b"last"))
            await peer.writer.drain()
            await asyncio.sleep(0.02)
            if reset:
                linger = b"\x01\0\0\0\0\0\0\0"
                peer.writer.get_extra_info("socket").setsockopt(1, 13, linger)
            peer.writer.close()
            await rig.done.wait()
            assert rig.failure is None
            assert rig.log == [
                (WSMsgType.TEXT, "last", ""),
                (WSMsgType.CLOSED, None, None),
                (True, 1006, aiohttp.ClientConnectionResetError),
                False,
            ]


@scenario()
async def test_close_from_the_handler(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        log.append(await ws.close(code=4002, message=b"bye"))
        log.append((ws.closed, ws.close_code, ws.exception()))
        log.append(await ws.close())

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        assert await peer.frame() == (CLOSE, b"\x0f\xa2bye")
        # Messages that were on their way are dropped.
        peer.send(frame(TEXT, b"late"), close_frame(4003))
        assert await peer.frames_to_end() == []
        await rig.done.wait()
        assert rig.log == [True, (True, 4003, None), False]


@scenario()
async def test_close_without_an_answer(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        before = asyncio.get_running_loop().time()
        log.append(await ws.close())
        took = asyncio.get_running_loop().time() - before
        log.append(
            (ws.close_code, type(ws.exception()), ws._timeout - 0.01 <= took < 2)
        )

    for timeout in (0.2, 0):
        options = {"timeout": timeout}
        async with served(kind, handler, **options) as rig, rig.open_peer() as peer:
            assert await peer.frames_to_end() == [(CLOSE, b"\x03\xe8")]
            await rig.done.wait()
            assert rig.log == [True, (1006, TimeoutError, True)]
    async with served(kind, handler) as rig, rig.open_peer() as peer:
        await peer.frame()
        peer.writer.close()  # without a close frame
        await rig.done.wait()
        assert rig.log == [True, (1006, aiohttp.EofStream, False)]


@scenario()
async def test_close_while_receiving(kind: Kind) -> None:
    """A receive() that waits in another task gets CLOSING."""

    async def handler(ws: Any, log: list[Any]) -> None:
        async def later() -> None:
            while not ws._waiting:
                await asyncio.sleep(0)
            log.append(await ws.close(code=4004))
            log.append((ws.closed, ws.close_code, ws._waiting))

        task = asyncio.create_task(later())
        message = await ws.receive()
        log.append(message.type)
        await task
        log.append((await ws.receive()).type)

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        async with asyncio.timeout(2):  # the peer's close frame isn't waited for
            assert await peer.frames_to_end() == [(CLOSE, b"\x0f\xa4")]
        await rig.done.wait()
        assert rig.failure is None
        assert rig.log == [
            WSMsgType.CLOSING,
            True,
            (True, 1000, False),
            WSMsgType.CLOSED,
        ]


@scenario()
async def test_concurrent_receive(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        first = asyncio.create_task(ws.receive())
        await asyncio.sleep(0)
        assert ws._waiting
        with pytest.raises(RuntimeError, match="Concurrent"):
            await ws.receive()
        with pytest.raises(RuntimeError, match="Concurrent"):
            await anext(ws)
        await ws.send_str("go")
        log.append((await first).data)

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        await peer.frame()
        peer.send(frame(TEXT, b"one"))
        await rig.done.wait()
        assert rig.failure is None and rig.log == ["one"]


@scenario()
async def test_receive_timeout(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        for options in ({"timeout": 0.02}, {}):
            with pytest.raises(asyncio.TimeoutError):
                await ws.receive(**options)
            assert not ws.closed and not ws._waiting and ws.close_code is None
        with pytest.raises(asyncio.TimeoutError):
            await ws.receive_str(timeout=0.01)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ws.receive(), 0.01)
        with pytest.raises(asyncio.TimeoutError):
            await anext(ws)
        await ws.send_str("go")
        log.append(await ws.receive_str())

    options = {"receive_timeout": 0.03}
    async with served(kind, handler, **options) as rig, rig.open_peer() as peer:
        await peer.frame()
        peer.send(frame(TEXT, b"still open"))
        await rig.done.wait()
        assert rig.failure is None and rig.log == ["still open"]


@scenario()
async def test_cancelled_receive_loses_nothing(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        for _ in range(3):
            task = asyncio.create_task(ws.receive())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await ws.send_str("go")
        log.append(await ws.receive_str())

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        await peer.frame()
        peer.send(frame(TEXT, b"message"))
        await rig.done.wait()
        assert rig.log == ["message"]


@scenario()
async def test_autoping_off(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        async for message in ws:
            log.append(
                (
                    message.type,
                    bytes(message.data or b"", "ascii")
                    if isinstance(message.data, str)
                    else bytes(message.data),
                )
            )
            if message.type is WSMsgType.PING:
                await ws.pong(b"mine")

    async with served(kind, handler, autoping=False) as rig, rig.open_peer() as peer:
        peer.send(frame(TEXT, b"a"), frame(PING, b"p"), frame(TEXT, b"b"))
        assert await peer.frame() == (PONG, b"mine")
        await asyncio.sleep(0.02)
        peer.send(frame(PONG, b"q"))  # while receive() waits
        await asyncio.sleep(0.02)
        peer.send(frame(PING, b"r"))
        assert await peer.frame() == (PONG, b"mine")
        peer.send(close_frame(1000))
        await rig.done.wait()
        assert rig.log == [
            (WSMsgType.TEXT, b"a"),
            (WSMsgType.PING, b"p"),
            (WSMsgType.TEXT, b"b"),
            (WSMsgType.PONG, b"q"),
            (WSMsgType.PING, b"r"),
        ]


async def check_heartbeat(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        async for message in ws:
            log.append((message.type, type(message.data)))
        log.append((ws.closed, ws.close_code, type(ws.exception())))

    # Each time is taken before what begins it: a busy machine can only be later.
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        rig = await stack.enter_async_context(served(kind, handler, heartbeat=0.2))
        begin = loop.time()
        peer = await stack.enter_async_context(rig.open_peer())
        assert await peer.frame() == (PING, b"")
        assert 0.15 < loop.time() - begin < 2
        peer.send(frame(PONG))
        # Any byte resets it: a frame that comes in pieces, say.
        for byte in frame(TEXT, b"x" * 10):
            begin = loop.time()
            peer.send(bytes([byte]))
            await asyncio.sleep(0.04)
        assert await peer.frame() == (PING, b"")
        assert 0.15 < loop.time() - begin < 2
        await peer.frames_to_end()  # no pong
        assert 0.25 < loop.time() - begin < 2
        await rig.done.wait()
        assert rig.log == [
            (WSMsgType.TEXT, str),
            (WSMsgType.ERROR, TimeoutError),
            (True, 1006, TimeoutError),
        ]


@scenario()
@pytest.mark.threat("DED-3")
async def test_heartbeat(kind: Kind) -> None:
    await check_heartbeat(kind)


@scenario(*OURS)
@pytest.mark.threat("DED-3")
async def test_heartbeat_without_the_kernels_help(kind: Kind) -> None:
    """Elsewhere no socket says when it received something."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(socket, "TCP_INFO")
        await check_heartbeat(kind)


@scenario()
async def test_a_close_frame_without_a_code(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        await ws.send_frame(b"", WSMsgType.CLOSE)
        await collect(ws, log)

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        assert await peer.frame() == (CLOSE, b"")
        peer.send(frame(CLOSE))


@scenario(*OURS)
async def test_what_a_handler_writes_to_the_transport_comes_after_what_it_sent(
    kind: Kind,
) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        async for message in ws:
            await ws.send_str(message.data)
            transport = rig.requests[-1].transport
            log.append(transport.get_extra_info("peername")[0])
            if message.data == "end":
                halves = transport.can_write_eof()
                transport.write_eof() if halves else transport.close()
            elif message.data == "lines":
                transport.writelines([frame(TEXT, b"l", mask=False)] * 2)
            else:
                transport.write(frame(TEXT, b"w", mask=False))

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        # Many, so that what is sent waits for the end of a batch.
        said = [*[b"line", b"lines"] * 50, b"end"]
        peer.send(*(frame(TEXT, text) for text in said))
        frames = await peer.frames_to_end()
        expected = [*[b"line", b"w", b"lines", b"l", b"l"] * 50, b"end"]
        assert frames == [(TEXT, text) for text in expected]
        peer.writer.transport.abort()
        await rig.done.wait()
        assert rig.log == ["127.0.0.1"] * len(said)


@scenario()
async def test_back_pressure(kind: Kind) -> None:
    """send_*() waits when the peer doesn't read, and goes on when it does."""

    async def handler(ws: Any, log: list[Any]) -> None:
        for _ in range(400):
            await ws.send_bytes(bytes(65536))
            log.append(1)

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        peer.writer.transport.pause_reading()
        await asyncio.sleep(0.2)
        stuck = len(rig.log)
        assert 0 < stuck < 400
        await asyncio.sleep(0.05)
        assert len(rig.log) <= stuck + 2
        peer.writer.transport.resume_reading()
        for _ in range(400):
            assert len((await peer.frame())[1]) == 65536
        assert (await peer.frame())[0] == CLOSE
        peer.send(close_frame(1000))
        await rig.done.wait()


@scenario()
async def test_lost_while_sending(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        with contextlib.suppress(ConnectionError):
            for _ in range(10_000):
                await ws.send_bytes(bytes(65536))
        log.append((await ws.receive()).type)

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        peer.writer.transport.pause_reading()
        await asyncio.sleep(0.1)
        peer.writer.transport.abort()
        await rig.done.wait()
        assert rig.failure is None
        assert rig.log == [WSMsgType.CLOSED]


@scenario(tls=False)
async def test_tls(kind: Kind) -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    async with served(kind, echo, ssl=server) as rig:
        async with client_session() as session:
            url = f"wss://localhost:{rig.port}/"
            async with session.ws_connect(url, ssl=client) as ws:
                for size in (1, 1000, 100_000):
                    await ws.send_bytes(bytes(size))
                    assert await ws.receive_bytes() == bytes(size)
                assert rig.ws.get_extra_info("sslcontext") is server
                assert rig.requests[0].secure


@scenario()
async def test_bookkeeping(kind: Kind) -> None:
    """aiohttp knows of the connection, of its end, and logs the request."""
    async with served(kind, collect) as rig:
        async with rig.open_peer() as peer:
            assert len(rig.runner.server.connections) == 1
            handler = rig.requests[0].protocol
            assert rig.requests[0].protocol.connected
            peer.send(close_frame(1000))
            await peer.frames_to_end()
        await rig.done.wait()
        await until(lambda: rig.runner.server.connections == [])
        assert not handler.connected and rig.requests[0].transport is None


@scenario()
async def test_autoclose_off(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        log.append((await ws.receive()).type)
        log.append((ws.closed, ws.close_code))
        log.append((await ws.receive()).type)
        await ws.send_str("last")
        log.append(await ws.close(code=4005, message=b"mine"))
        log.append((ws.closed, ws.close_code))

    async with served(kind, handler, autoclose=False) as rig, rig.open_peer() as peer:
        peer.send(close_frame(4001), frame(TEXT, b"too late"))
        assert await peer.frames_to_end() == [
            (TEXT, b"last"),
            (CLOSE, (4005).to_bytes(2, "big") + b"mine"),
        ]
        await rig.done.wait()
        assert rig.log == [
            WSMsgType.CLOSE,
            (False, 4001),
            WSMsgType.CLOSING,
            True,
            (True, 4001),
        ]


@scenario()
async def test_handler_cancellation(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        try:
            await ws.send_str("go")
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    options = {"runner_options": {"handler_cancellation": True}}
    async with served(kind, handler, **options) as rig, rig.open_peer() as peer:
        await peer.frame()
        peer.writer.close()
        await rig.done.wait()
        assert rig.log == ["cancelled"]


CANCELLING = {"runner_options": {"handler_cancellation": True}}


@scenario()
async def test_cancellation_spares_the_closing_handshake(kind: Kind) -> None:
    """aiohttp.test_utils.TestServer has handler_cancellation, too."""

    async def closes(ws: Any, log: list[Any]) -> None:
        log.append((await ws.receive()).data)
        log.append((await ws.close(code=4000), ws.close_code))

    async def is_closed(ws: Any, log: list[Any]) -> None:
        log.append((await ws.receive()).data)
        message = await ws.receive()
        log.append((message.type is WSMsgType.CLOSE, message.data))

    for handler in (closes, is_closed):
        async with served(kind, handler, **CANCELLING) as rig, rig.open_peer() as peer:
            peer.send(frame(TEXT, b"hello"))
            if handler is closes:
                await peer.frame()
            peer.send(close_frame(4001))
            await peer.frames_to_end()
            await rig.done.wait()
            assert rig.log == ["hello", (True, 4001)]
            assert rig.failure is None


@scenario()
async def test_cancellation_spares_a_close_without_an_answer(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        log.append((await ws.close(), ws.close_code, type(ws.exception())))

    options = CANCELLING | {"timeout": 0.05}
    async with served(kind, handler, **options) as rig, rig.open_peer() as peer:
        await peer.frames_to_end()
        await rig.done.wait()
        assert rig.log == [(True, 1006, TimeoutError)]


@scenario()
async def test_cancellation_spares_messages_before_the_end(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        async for message in ws:
            await asyncio.sleep(0.02)
            log.append(message.data)
        log.append(ws.close_code)

    async with served(kind, handler, **CANCELLING) as rig, rig.open_peer() as peer:
        peer.send(frame(TEXT, b"1"), frame(TEXT, b"2"), close_frame(1000))
        await peer.frames_to_end()
        await rig.done.wait()
        assert rig.log == ["1", "2", 1000]


@scenario()
async def test_cancellation_of_a_handler_that_does_not_receive(kind: Kind) -> None:
    """The peer closed, and a handler that never learns of it is cancelled at last."""

    async def handler(ws: Any, log: list[Any]) -> None:
        await asyncio.sleep(60)

    options = CANCELLING | {"timeout": 0.1}
    async with served(kind, handler, **options) as rig, rig.open_peer() as peer:
        peer.send(close_frame(1000))
        await asyncio.sleep(0.05)
        assert not rig.done.is_set()
        peer.writer.close()
        await rig.done.wait()
        assert isinstance(rig.failure, asyncio.CancelledError)


@scenario()
async def test_cancelled_close(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        closing = asyncio.create_task(ws.close())
        await asyncio.sleep(0.02)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        log.append((ws.closed, ws.close_code))

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        assert await peer.frames_to_end() == [(CLOSE, b"\x03\xe8")]
        await rig.done.wait()
        assert rig.log == [(True, 1006)]


@scenario()
async def test_transport_closed_by_the_handler(kind: Kind) -> None:
    """What was sent before goes out first."""

    async def handler(ws: Any, log: list[Any]) -> None:
        await ws.receive()
        await ws.send_str("last")
        rig.requests[-1].transport.close()

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        peer.send(frame(TEXT, b"first"))
        assert (await peer.frames_to_end())[0] == (TEXT, b"last")


@scenario()
async def test_messages_before_the_end_are_answered(kind: Kind) -> None:
    """The peer's close frame may be in the same packet as its last messages."""
    async with served(kind, echo) as rig, rig.open_peer() as peer:
        peer.send(frame(TEXT, b"1"), frame(TEXT, b"2"), close_frame(1000, b"bye"))
        frames = await peer.frames_to_end()
        assert frames[:2] == [(TEXT, b"1"), (TEXT, b"2")]
        assert [opcode for opcode, _ in frames[2:]] == [CLOSE]
        await rig.done.wait()
        assert (rig.ws.close_code, rig.failure) == (1000, None)


@scenario(*OURS)
async def test_busy_handler_holds_the_closing_handshake_up_for_a_second(
    kind: Kind,
) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        await ws.receive()
        await resume.wait()
        with pytest.raises(aiohttp.ClientConnectionResetError):
            await ws.send_str("too late")
        log.append((await ws.receive()).type)

    resume = asyncio.Event()
    async with served(kind, handler) as rig, rig.open_peer() as peer:
        peer.send(frame(TEXT, b"1"), close_frame(4000, b"bye"))
        async with asyncio.timeout(5):
            assert await peer.frames_to_end() == [(CLOSE, b"\x03\xe8")]
        resume.set()
        await rig.done.wait()
        assert rig.log == [WSMsgType.CLOSE]


@scenario()
async def test_failed_handler_and_a_close_frame(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        await ws.receive()
        raise web.HTTPBadRequest

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        peer.send(frame(TEXT, b"1"), close_frame(4000))
        frames = await peer.frames_to_end() if kind.ours else []
        assert frames == ([(CLOSE, b"\x03\xe8")] if kind.ours else [])
        await rig.done.wait()


@scenario()
async def test_messages_before_the_end_are_received(kind: Kind) -> None:
    """A handler that is busy when the peer closes gets all of its messages."""

    async def handler(ws: Any, log: list[Any]) -> None:
        await asyncio.sleep(0.1)
        await collect(ws, log)
        log.append(ws.close_code)

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        for number in range(20):
            peer.send(frame(TEXT, str(number).encode()))
        peer.send(close_frame(1000))
        await rig.done.wait()
        assert rig.log == [*[("TEXT", str(number)) for number in range(20)], 1000]


@scenario()
async def test_slow_handler_holds_the_peer_back(kind: Kind) -> None:
    """What is received and not taken is bounded: reading stops."""
    sent = 0

    async def handler(ws: Any, log: list[Any]) -> None:
        await resume.wait()
        async for message in ws:
            log.append(len(message.data))

    resume = asyncio.Event()
    async with served(kind, handler) as rig, rig.open_peer() as peer:
        message = frame(2, bytes(65536))
        while sent < 2000:
            peer.send(message)
            sent += 1
            try:
                async with asyncio.timeout(0.1):
                    await peer.writer.drain()
            except TimeoutError:
                break
        assert sent < 2000
        resume.set()
        await peer.writer.drain()
        peer.send(close_frame(1000))
        await rig.done.wait()
        assert rig.log == [65536] * sent


@scenario()
async def test_own_shutdown_hook(kind: Kind) -> None:
    """The application's own goodbye comes first."""
    sockets: list[Any] = []

    async def hook(app: web.Application) -> None:
        for ws in sockets:
            await ws.close(code=1012, message=b"restart")

    async def handle(request: web.Request) -> Any:
        ws = kind.make()
        await ws.prepare(request)
        sockets.append(ws)
        async for _ in ws:
            pass
        return ws

    app = web.Application()
    app.router.add_get("/", handle)
    app.on_shutdown.append(hook)
    runner = web.AppRunner(app)
    await runner.setup()
    tls = carriers.server_tls()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    async with client_session() as session:
        url = carriers.uri("http", runner.addresses[0][1])
        async with session.ws_connect(url) as ws:
            cleanup = asyncio.create_task(runner.cleanup())
            assert await ws.receive() == (WSMsgType.CLOSE, 1012, "restart")
            await cleanup


@scenario(tls=False)
async def test_unix_socket(kind: Kind) -> None:
    async def handle(request: web.Request) -> Any:
        ws = kind.make(heartbeat=30)
        await ws.prepare(request)
        await echo(ws, [])
        return ws

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        await web.UnixSite(runner, path).start()
        connector = aiohttp.UnixConnector(path)
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.ws_connect("http://localhost/") as ws:
                await ws.send_str("text")
                assert await ws.receive_str() == "text"
        await runner.cleanup()
