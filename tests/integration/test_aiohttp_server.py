"""WebSocketResponse behaves as aiohttp's: the same tests with both classes."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, test_utils, web
from aiohttp_rig import (
    BINARY,
    CLOSE,
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

# What a handler of either class sends: messages of all shapes.
MESSAGES: list[Any] = ["", "é€😀", b"", bytes(range(256)), "a" * 70_000, b"\xff" * 126]


def reset_error() -> type[Exception]:
    return aiohttp.ClientConnectionResetError


# Opening


@scenario()
async def test_handshake(kind: Kind) -> None:
    async def signal(request: Any, response: Any) -> None:
        response.headers["X-Signal"] = type(response).__name__
        response.headers.add("Set-Cookie", "name=value")

    async with served(kind, collect, signal=signal) as rig:
        async with rig.open_peer() as peer:
            head = peer.head.decode().lower()
            # RFC 6455 §1.3
            assert "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in head
            assert "upgrade: websocket" in head
            assert "connection: upgrade" in head
            assert "x-signal: websocketresponse" in head
            assert "set-cookie: name=value" in head
            assert head.count("\r\ndate:") == head.count("\r\nserver:") == 1
            assert "content-" not in head and "transfer-" not in head
            assert "extensions" not in head and "sec-websocket-protocol" not in head
            assert rig.ws.prepared and not rig.ws.closed
            assert rig.ws.status == 101 and not rig.ws.keep_alive
            assert rig.ws._req is rig.requests[0]
            assert rig.ws.close_code is None and rig.ws.ws_protocol is None
            assert rig.ws.compress == 0
            assert rig.requests[0].transport is not None
            host, port = rig.ws.get_extra_info("peername")
            assert (host, port) == peer.writer.get_extra_info("sockname")
            assert rig.ws.get_extra_info("nothing", 5) == 5
            assert len(rig.runner.server.connections) == 1


@scenario()
async def test_prepare_twice_and_before(kind: Kind) -> None:
    ws = kind.make()
    assert not ws.prepared and not ws.closed and ws.compress is True
    assert ws.get_extra_info("peername", 7) == 7
    assert ws.exception() is None
    for call in (
        lambda: ws.send_str("x"),
        lambda: ws.send_bytes(b"x"),
        lambda: ws.send_json({}),
        lambda: ws.ping(),
        lambda: ws.pong(),
        lambda: ws.send_frame(b"", WSMsgType.TEXT),
        lambda: ws.receive(),
        lambda: ws.close(),
        lambda: anext(ws),
    ):
        with pytest.raises(RuntimeError, match="prepare"):
            await call()
    with pytest.raises(RuntimeError, match="not been started"):
        await ws.write_eof()
    with pytest.raises(RuntimeError):
        await ws.write(b"x")

    async def handler(ws: Any, log: list[Any]) -> None:
        writer = await ws.prepare(ws._req)
        log.append(await ws.prepare(ws._req) is writer)
        with pytest.raises(RuntimeError, match="Already started"):
            ws.can_prepare(ws._req)

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        assert await peer.frame() == (CLOSE, b"\x03\xe8")
        peer.send(close_frame(1000))
        assert await peer.frames_to_end() == []
        assert rig.log == [True]


@scenario()
async def test_bad_handshakes(kind: Kind) -> None:
    async with served(kind, collect) as rig:
        bad: list[tuple[tuple[str, ...], dict[str, str]]] = [
            ((), {"version": "12"}),
            ((), {"key": "abc"}),
            ((), {"key": ""}),
            (("Upgrade: nothing",), {"key": "!"}),
        ]
        for lines, how in bad:
            async with rig.peer() as peer:
                head = await peer.open(*lines, **how)
                assert head.startswith(b"HTTP/1.1 400 "), head
        async with rig.peer() as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await peer.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 "), head
        # Drafts with RFC 6455's frames.
        async with rig.peer() as peer:
            head = await peer.open(version="8")
            assert head.startswith(b"HTTP/1.1 101 "), head


@scenario(tls=False)
async def test_can_prepare(kind: Kind) -> None:
    seen: list[Any] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        ws = kind.make(protocols=["chat"])
        ready = ws.can_prepare(request)
        seen.append((bool(ready), ready.ok, ready.protocol))
        if not ready:
            return web.Response(text="page")
        await ws.prepare(request)
        seen.append(ws.ws_protocol)
        return ws  # type: ignore[no-any-return]

    app = web.Application()
    app.router.add_get("/", handle)
    async with test_utils.TestServer(app) as server:
        async with test_utils.TestClient(server) as client:
            async with client.get("/") as response:
                assert await response.text() == "page"
            async with client.ws_connect("/", protocols=["other", "chat"]) as ws:
                assert ws.protocol == "chat"
    assert seen == [(False, False, None), (True, True, "chat"), "chat"]


@scenario()
@pytest.mark.threat("HSK-7")
async def test_frames_with_the_request(kind: Kind) -> None:
    """Bytes that aiohttp read with the request belong to the connection."""
    more = frame(TEXT, b"one") + frame(BINARY, b"x" * 300_000) + frame(TEXT, b"three")
    for split in (0, 1, 3, 7, 9, len(more) - 4, len(more)):
        async with served(kind, collect) as rig:
            async with rig.open_peer(more=more[:split]) as peer:
                await asyncio.sleep(0.01)
                peer.send(more[split:], close_frame(1000))
                await rig.done.wait()
        assert rig.log == [
            ("TEXT", "one"),
            ("BINARY", b"x" * 300_000),
            ("TEXT", "three"),
        ]


# Messages


@scenario()
async def test_echo(kind: Kind) -> None:
    async with served(kind, echo) as rig, client_session() as session:
        async with session.ws_connect(rig.url) as ws:
            for message in MESSAGES:
                if isinstance(message, str):
                    await ws.send_str(message)
                else:
                    await ws.send_bytes(message)
                assert (await ws.receive()).data == message
            await ws.send_json({"a": [1, None]})
            assert await ws.receive_json() == {"a": [1, None]}
            await ws.close(code=4321, message=b"why")
            assert ws.close_code in (1000, 4321)  # ours answers with the same code
        await rig.done.wait()
        assert rig.ws.close_code == 4321
        assert rig.ws.closed


@scenario()
async def test_echo_in_pieces(kind: Kind) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    data = frame(TEXT, b"ab", fin=False) + frame(PING, b"p") + frame(0, b"cd")
    data += frame(BINARY, b"\x00" * 200) + close_frame(1000)
    async with served(kind, collect) as rig:
        async with rig.open_peer() as peer:
            while data:
                size = chance.randint(1, 5)
                peer.send(data[:size])
                data = data[size:]
                await asyncio.sleep(0)
            frames = await peer.frames_to_end()
        assert frames == [(PONG, b"p"), (CLOSE, b"\x03\xe8")]
        assert rig.log == [("TEXT", "abcd"), ("BINARY", b"\x00" * 200)]


@scenario()
async def test_message_types(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        message = await ws.receive()
        assert isinstance(message, aiohttp.WSMessage)
        assert message.type is WSMsgType.TEXT and message.extra == ""
        assert message.json() == [1]
        kind, data, extra = await ws.receive()
        assert (kind, data, extra) == (WSMsgType.BINARY, b"b", "")
        assert await ws.receive_str() == "s"
        assert await ws.receive_bytes() == b"t"
        assert await ws.receive_json() == {"k": 1}
        assert await ws.receive_json(loads=lambda text: text.upper()) == "X"
        with pytest.raises(TypeError, match=r"is not WSMsgType\.TEXT"):
            await ws.receive_str()
        with pytest.raises(TypeError, match=r"is not WSMsgType\.BINARY"):
            await ws.receive_bytes()
        log.append("end")

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        for opcode, data in (
            (TEXT, b"[1]"),
            (BINARY, b"b"),
            (TEXT, b"s"),
            (BINARY, b"t"),
            (TEXT, b'{"k": 1}'),
            (TEXT, b"x"),
            (BINARY, b"wrong"),
            (TEXT, b"wrong"),
        ):
            peer.send(frame(opcode, data))
        await rig.done.wait()
        assert rig.log == ["end"]


@scenario()
async def test_sending(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        await ws.send_str("s")
        await ws.send_bytes(bytearray(b"b"))
        await ws.send_bytes(memoryview(b"m"))
        await ws.send_json([1], dumps=lambda data: json.dumps(data) + "!")
        await ws.send_json_bytes([2], dumps=lambda data: json.dumps(data).encode())
        await ws.send_frame(b"f", WSMsgType.TEXT)
        await ws.send_frame(b"g", WSMsgType.BINARY)
        await ws.ping(b"pi")
        await ws.pong(b"po")
        await ws.send_frame(b"p", WSMsgType.PING)
        with pytest.raises(TypeError):
            await ws.send_str(b"bytes")
        with pytest.raises(TypeError):
            await ws.send_bytes("str")
        await ws.close(code=4000, message="é".encode())

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        frames = [await peer.frame() for _ in range(11)]
        peer.send(close_frame(4000))
        assert await peer.frames_to_end() == []
        await rig.done.wait()
        assert rig.failure is None and rig.ws.close_code == 4000
    assert frames == [
        (TEXT, b"s"),
        (BINARY, b"b"),
        (BINARY, b"m"),
        (TEXT, b"[1]!"),
        (BINARY, b"[2]"),
        (TEXT, b"f"),
        (BINARY, b"g"),
        (PING, b"pi"),
        (PONG, b"po"),
        (PING, b"p"),
        (CLOSE, b"\x0f\xa0\xc3\xa9"),
    ]


@scenario()
async def test_decode_text(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        message = await ws.receive()
        log.append((message.type, message.data, message.json()))
        log.append(await ws.receive_str())

    async with served(kind, handler, decode_text=False) as rig, rig.open_peer() as peer:
        peer.send(frame(TEXT, b'"\xc3\xa9"'), frame(TEXT, b"x"))
        await rig.done.wait()
        assert rig.log == [(WSMsgType.TEXT, b'"\xc3\xa9"', "é"), b"x"]


@scenario()
async def test_compression(kind: Kind) -> None:
    text = "compressible " * 1000
    async with served(kind, echo) as rig, client_session() as session:
        async with session.ws_connect(rig.url, compress=15) as ws:
            assert 9 <= ws.compress <= 15
            for _ in range(3):
                await ws.send_str(text)
                assert await ws.receive_str() == text
            assert rig.ws.compress == ws.compress
    async with served(kind, echo, compress=False) as rig:
        async with client_session() as session:
            async with session.ws_connect(rig.url, compress=15) as ws:
                assert ws.compress == 0 and rig.ws.compress == 0


@scenario()
@pytest.mark.threat("LEN-4")
async def test_message_limit(kind: Kind) -> None:
    """A message as long as the limit is refused, before its bytes came."""

    async def handler(ws: Any, log: list[Any]) -> None:
        await collect(ws, log)
        log.append((ws.closed, ws.close_code, type(ws.exception())))

    async with served(kind, handler, max_msg_size=100) as rig, rig.open_peer() as peer:
        peer.send(frame(BINARY, b"x" * 99), frame(BINARY, b"y" * 100)[:6])
        opcode, body = await peer.frame()
        assert (opcode, body[:2]) == (CLOSE, (1009).to_bytes(2, "big"))
        peer.writer.close()
        await rig.done.wait()
        [first, (kind_, error), end] = rig.log
        assert first == ("BINARY", b"x" * 99)
        assert kind_ == "ERROR" and isinstance(error, aiohttp.WebSocketError)
        assert error.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        assert end == (True, 1006, aiohttp.WebSocketError)
    # Too long only when put together or inflated.
    async with served(kind, collect, max_msg_size=100) as rig, rig.open_peer() as peer:
        peer.send(frame(TEXT, b"x" * 60, fin=False), frame(0, b"x" * 60))
        assert (await peer.frame())[1][:2] == (1009).to_bytes(2, "big")
    async with served(kind, collect, max_msg_size=100) as rig:
        async with client_session() as session:
            async with session.ws_connect(rig.url, compress=15) as ws:
                await ws.send_str("x" * 100)
                await ws.send_str("x" * 101)
                assert (await ws.receive()).data == 1009
                await rig.done.wait()
        assert rig.log[0] == ("TEXT", "x" * 100) and rig.log[1][0] == "ERROR"
    offer = "Sec-WebSocket-Extensions: permessage-deflate"
    async with served(kind, collect, max_msg_size=100) as rig:
        async with rig.open_peer(offer) as peer:
            peer.send(frame(TEXT, b"x" * 99), frame(TEXT, b"x" * 100))
            assert (await peer.frame())[1][:2] == (1009).to_bytes(2, "big")
    async with served(kind, collect, max_msg_size=0) as rig, rig.open_peer() as peer:
        big = b"z" * (5 << 20)
        peer.send(b"\x82\xff" + len(big).to_bytes(8, "big") + bytes(4) + big)
        peer.send(close_frame(1000))
        await rig.done.wait()
        assert rig.log == [("BINARY", big)]


@scenario()
async def test_protocol_errors(kind: Kind) -> None:
    for data, code in (
        (frame(3), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(0, b"x"), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (close_frame(1005), 1002),
    ):
        async with served(kind, collect) as rig, rig.open_peer() as peer:
            peer.send(data)
            opcode, body = await peer.frame()
            assert (opcode, int.from_bytes(body[:2], "big")) == (CLOSE, code)
            peer.writer.close()
            await rig.done.wait()
            [(name, error)] = rig.log
            assert name == "ERROR" and error.code == code
            assert isinstance(error, aiohttp.WebSocketError) and str(error)
            assert rig.ws.closed and rig.ws.close_code == 1006


@scenario(tls=False)
async def test_mocked_request(kind: Kind) -> None:
    """Unit tests of handlers pass requests that were never on a connection."""
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "chat",
    }
    request = test_utils.make_mocked_request("GET", "/", headers=headers)
    request._message = request._message._replace(upgrade=True)
    for options in ({}, {"autoping": False}):
        ws = kind.make(protocols=["chat"], **options)
        lines, protocol, compress, forgets = ws._handshake(request)
        assert lines["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert lines["Sec-WebSocket-Protocol"] == protocol == "chat"
        assert (compress, forgets) == (0, False)
        await ws.prepare(request)
        assert ws.prepared and ws.ws_protocol == "chat"


@scenario()
async def test_many_tasks_send(kind: Kind) -> None:
    """Tasks that send at the same time: every message arrives whole."""

    async def handler(ws: Any, log: list[Any]) -> None:
        async def send(number: int) -> None:
            for size in (10, 20_000, 70_000):
                await ws.send_bytes(bytes([number]) * size)

        await asyncio.gather(*(send(number) for number in range(50)))

    async with served(kind, handler) as rig, client_session() as session:
        async with session.ws_connect(rig.url, compress=15) as ws:
            got = [await ws.receive_bytes() for _ in range(150)]
    assert all(len(set(data)) == 1 for data in got)
    sizes = sorted((data[0], len(data)) for data in got)
    assert sizes == [(n, size) for n in range(50) for size in (10, 20_000, 70_000)]
