"""ws_connect() and session.ws_connect(): the same tests with both."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import carriers
import pytest
import trustme
import websockets
from aiohttp import WSMsgType, web
from aiohttp_rig import (
    CLOSE,
    IS_MODEL,
    PING,
    PONG,
    TEXT,
    client_session,
    frame,
    raw_server,
    run,
)
from waiting import until

from pywscore.integrations.aiohttp import ClientWebSocketResponse, ws_connect
from pywscore.integrations.aiohttp._private import ClientWSTimeout

pytestmark = carriers.by_both


def theirs(session: aiohttp.ClientSession, url: Any, **options: Any) -> Any:
    return session.ws_connect(url, **options)


OURS = [
    pytest.param(ws_connect, loop, id=f"ours-{loop}") for loop in ("asyncio", "uvloop")
]
THEIRS = [pytest.param(theirs, "asyncio", id="aiohttp")] if IS_MODEL else []
both = pytest.mark.parametrize(("connect", "loop"), [*THEIRS, *OURS])
ours = pytest.mark.parametrize(("connect", "loop"), OURS)


async def echo(ws: Any) -> None:
    async for message in ws:
        await ws.send(message)


@asynccontextmanager
async def server(handler: Any = echo, **options: Any) -> AsyncIterator[str]:
    options = {"ssl": carriers.server_tls()} | options
    async with websockets.serve(handler, "127.0.0.1", 0, **options) as running:
        yield carriers.uri("ws", running.sockets[0].getsockname()[1])


@both
def test_echo(connect: Any, loop: str) -> None:
    async def main() -> None:
        async with server(subprotocols=["chat"]) as url:
            async with client_session() as session:
                for compress in (0, 15, 10):
                    protocols = ["chat", "other"]
                    async with connect(
                        session, url, compress=compress, protocols=protocols
                    ) as ws:
                        assert ws.protocol == "chat" and not ws.closed
                        assert bool(ws.compress) is bool(compress)
                        assert ws.client_notakeover is False
                        assert ws.get_extra_info("peername")[0] == "127.0.0.1"
                        for data in ("", "é😀", "x" * 70_000):
                            await ws.send_str(data)
                            assert await ws.receive_str() == data
                        for data_ in (b"", b"\xff" * 126, bytes(200_000)):
                            await ws.send_bytes(data_)
                            assert await ws.receive_bytes() == data_
                        await ws.send_json({"k": None})
                        assert await ws.receive_json() == {"k": None}
                        await ws.ping(b"p")
                        await ws.send_frame(b"f", WSMsgType.TEXT)
                        message = await ws.receive()
                        assert message == (WSMsgType.TEXT, "f", "")
                        assert await ws.close(code=4000)
                        assert not await ws.close()
                        assert ws.closed and ws.close_code == 4000
                        assert ws.exception() is None
                        with pytest.raises(ConnectionResetError):
                            await ws.send_str("x")
                        assert (await ws.receive()).type is WSMsgType.CLOSED
                assert not session.closed

    run(main(), loop)


@both
def test_awaiting_and_iterating(connect: Any, loop: str) -> None:
    async def talk(ws: Any) -> None:
        await ws.send("one")
        await ws.send(b"two")
        await ws.close(4001, "why")

    async def main() -> None:
        async with server(talk) as url, client_session() as session:
            ws = await connect(session, url)
            got = [(message.type, message.data) async for message in ws]
            assert got == [(WSMsgType.TEXT, "one"), (WSMsgType.BINARY, b"two")]
            assert ws.closed and ws.close_code == 4001
            ws = await connect(session, url)
            await ws.receive()
            await ws.receive()
            assert await ws.receive() == (WSMsgType.CLOSE, 4001, "why")

    run(main(), loop)


@both
@pytest.mark.threat("HSK-7")
def test_frames_with_the_response(connect: Any, loop: str) -> None:
    data = frame(TEXT, b"first", mask=False) + frame(TEXT, b"x" * 70_000, mask=False)
    data += frame(TEXT, b"third", mask=False)

    async def main(split: int) -> None:
        async def script(reader: Any, writer: Any) -> None:
            await asyncio.sleep(0.01)
            writer.write(data[split:])
            await reader.readexactly(8)

        async with raw_server(script, more=data[:split]) as url:
            async with client_session() as session:
                ws = await connect(session, url)
                assert await ws.receive_str() == "first"
                assert await ws.receive_str() == "x" * 70_000
                assert await ws.receive_str() == "third"
                await ws.close()

    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    for split in (0, 1, 2, 8, len(data), *(chance.randrange(200) for _ in range(4))):
        run(main(split), loop)


@both
def test_refusals(connect: Any, loop: str) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if "status" in request.query:
            return web.Response(status=403, text="no")
        headers = {"Upgrade": "websocket", "Connection": "upgrade"}
        if "key" in request.query:
            headers["Sec-WebSocket-Accept"] = "wrong"
        response = web.StreamResponse(status=101, headers=headers)
        await response.prepare(request)
        return response

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        tls = carriers.server_tls()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        url = carriers.uri("http", runner.addresses[0][1])
        async with client_session() as session:
            for query, status in (("status", 403), ("key", 101), ("none", 101)):
                with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                    async with connect(session, f"{url}?{query}=1"):
                        pass
                assert caught.value.status == status
        await runner.cleanup()

    run(main(), loop)


@both
def test_limits_and_errors(connect: Any, loop: str) -> None:
    async def big(ws: Any) -> None:
        await ws.send(b"x" * 99)
        await ws.send(b"x" * 100)
        await ws.wait_closed()

    async def main() -> None:
        async with server(big) as url, client_session() as session:
            async with connect(session, url, max_msg_size=100) as ws:
                assert len(await ws.receive_bytes()) == 99
                message = await ws.receive()
                assert message.type is WSMsgType.ERROR
                assert message.data.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
                assert ws.closed and ws.exception() is None
                assert ws.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG

    run(main(), loop)


@both
def test_lost(connect: Any, loop: str) -> None:
    async def script(reader: Any, writer: Any) -> None:
        await reader.readexactly(2)

    async def main() -> None:
        async with raw_server(script) as url, client_session() as session:
            ws = await connect(session, url)
            await ws.send_str("go")
            assert (await ws.receive()).type is WSMsgType.CLOSED
            assert ws.closed and ws.close_code == 1006
            assert (await ws.receive()).type is WSMsgType.CLOSED

    run(main(), loop)


@both
def test_timeouts_and_close_while_receiving(connect: Any, loop: str) -> None:
    async def main() -> None:
        async with server() as url, client_session() as session:
            timeout = ClientWSTimeout(ws_receive=0.02, ws_close=1.0)
            ws = await connect(session, url, timeout=timeout)
            with pytest.raises(asyncio.TimeoutError):
                await ws.receive()
            assert not ws.closed and ws.close_code == 1006
            await ws.send_str("x")
            assert await ws.receive_str() == "x"
            receiving = asyncio.create_task(ws.receive(timeout=5))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="Concurrent"):
                await ws.receive()
            await ws.close()
            assert (await receiving).type is WSMsgType.CLOSING
            assert ws.closed

        async def silent(reader: Any, writer: Any) -> None:
            await reader.read()

        async with raw_server(silent) as url, client_session() as session:
            timeout = ClientWSTimeout(ws_close=0.1)
            ws = await connect(session, url, timeout=timeout)
            assert await ws.close()
            assert ws.close_code == 1006
            assert isinstance(ws.exception(), TimeoutError)

    run(main(), loop)


@both
def test_pings(connect: Any, loop: str) -> None:
    async def script(reader: Any, writer: Any) -> None:
        writer.write(frame(PING, b"p", mask=False) + frame(PONG, b"q", mask=False))
        writer.write(frame(TEXT, b"t", mask=False))
        await reader.readexactly(8)
        writer.write(frame(CLOSE, b"\x03\xe8", mask=False))
        await reader.read()

    async def main() -> None:
        async with raw_server(script) as url, client_session() as session:
            async with connect(session, url, autoping=False) as ws:
                got = [await ws.receive() for _ in range(3)]
                assert [(m.type.name, m.data) for m in got] == [
                    ("PING", b"p"),
                    ("PONG", b"q"),
                    ("TEXT", "t"),
                ]
                await ws.pong(b"mi")
                assert (await ws.receive()).type is WSMsgType.CLOSE

    run(main(), loop)


@both
def test_close_frames_that_cross(connect: Any, loop: str) -> None:
    """The server's close frame came with its last message."""
    sent: list[bytes] = []

    async def script(reader: Any, writer: Any) -> None:
        await reader.readexactly(8)
        writer.write(frame(TEXT, b"t", mask=False))
        writer.write(frame(CLOSE, b"\x03\xe8", mask=False))
        sent.append(await reader.read())

    async def main() -> None:
        async with raw_server(script) as url, client_session() as session:
            async with connect(session, url) as ws:
                await ws.send_str("go")
                assert await ws.receive_str() == "t"
                assert await ws.close(code=4000)
            async with connect(session, url) as ws:
                await ws.send_str("go")
                assert await ws.receive_str() == "t"
                await ws.send_str("answer")
                assert (await ws.receive()).type is WSMsgType.CLOSE
            while len(sent) < 2:
                await asyncio.sleep(0.01)
        # The heads of masked frames.
        assert sent[0][:2] == b"\x88\x82"
        assert sent[1][:2] == b"\x81\x86" and sent[1][12] == 0x88

    run(main(), loop)


@both
def test_autoclose_off(connect: Any, loop: str) -> None:
    answers: list[tuple[bytes, bytes]] = []

    async def script(reader: Any, writer: Any) -> None:
        writer.write(frame(TEXT, b"t", mask=False))
        writer.write(frame(CLOSE, b"\x0f\xa1", mask=False))
        for size in (4, 6):
            head = await reader.readexactly(6)
            body = bytes(
                byte ^ head[2 + i % 4]
                for i, byte in enumerate(await reader.readexactly(size))
            )
            answers.append((head[:1], body))
        await reader.read()

    async def main() -> None:
        async with raw_server(script) as url, client_session() as session:
            async with connect(session, url, autoclose=False) as ws:
                assert await ws.receive_str() == "t"
                message = await ws.receive()
                assert (message.type, message.data) == (WSMsgType.CLOSE, 4001)
                assert not ws.closed
                await ws.send_str("last")
                assert await ws.close(code=4005, message=b"mine")
                assert ws.close_code == 4001
            await until(lambda: len(answers) >= 2)
        assert answers == [(b"\x81", b"last"), (b"\x88", b"\x0f\xa5mine")]

    run(main(), loop)


def check_heartbeat(connect: Any, loop: str) -> None:
    async def script(reader: Any, writer: Any) -> None:
        await reader.readexactly(6)  # a ping
        writer.write(frame(PONG, mask=False))
        await reader.readexactly(6)
        await reader.read()  # no pong

    async def main() -> None:
        async with raw_server(script) as url, client_session() as session:
            ws = await connect(session, url, heartbeat=0.1)
            message = await ws.receive()
            assert message.type is WSMsgType.ERROR
            assert isinstance(message.data, aiohttp.ServerTimeoutError)
            assert ws.closed and ws.close_code == 1006

    run(main(), loop)


@both
def test_heartbeat(connect: Any, loop: str) -> None:
    check_heartbeat(connect, loop)


@ours
def test_heartbeat_without_the_kernels_help(
    connect: Any, loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere no socket says when it received something."""
    monkeypatch.delattr(socket, "TCP_INFO")
    check_heartbeat(connect, loop)


@both
def test_timeout_as_a_number_is_deprecated(connect: Any, loop: str) -> None:
    async def main() -> None:
        async with server() as url, client_session() as session:
            with pytest.warns(DeprecationWarning, match="ClientWSTimeout"):
                ws = await connect(session, url, timeout=3.0)
            assert await ws.close()

    run(main(), loop)


@ours
def test_session_settings(connect: Any, loop: str) -> None:
    """Cookies, headers, parameters and the origin of the session are used."""
    seen: list[Any] = []

    async def handler(ws: Any) -> None:
        seen.append((ws.request.path, dict(ws.request.headers.raw_items())))

    async def main() -> None:
        async with server(handler) as url:
            jar = aiohttp.CookieJar(unsafe=True)
            async with client_session(
                cookies={"a": "b"}, headers={"X-Session": "1"}, cookie_jar=jar
            ) as session:
                ws = await connect(
                    session, url, params={"q": "1"}, headers={"X-One": "2"}, origin="o"
                )
                assert isinstance(ws, ClientWebSocketResponse)
                assert (await ws.receive()).type is WSMsgType.CLOSE
        [(path, headers)] = seen
        assert path == "/?q=1"
        assert headers["Cookie"] == "a=b" and headers["X-Session"] == "1"
        assert headers["X-One"] == "2" and headers["Origin"] == "o"
        with pytest.raises(ValueError, match="compress"):
            ws_connect(None, "", compress=8)  # type: ignore[arg-type]

    run(main(), loop)


@pytest.mark.threat("TLS-10")
@ours
def test_tls(connect: Any, loop: str) -> None:
    async def main() -> None:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2", "http/1.1"])
        authority.issue_cert("localhost").configure_cert(context)
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        async with server(ssl=context) as url, client_session() as session:
            url = url.replace("ws://127.0.0.1", "wss://localhost")
            async with connect(session, url, ssl=trusting, compress=15) as ws:
                tls = ws.get_extra_info("ssl_object")
                assert tls.selected_alpn_protocol() != "h2"
                for size in (1, 300_000):
                    await ws.send_bytes(bytes(size))
                    assert await ws.receive_bytes() == bytes(size)

    run(main(), loop)


def test_interface() -> None:
    theirs_ = set(dir(aiohttp.ClientWebSocketResponse))
    missing = {
        name
        for name in theirs_ - set(dir(ClientWebSocketResponse))
        if not name.startswith("_")
    }
    assert not missing
