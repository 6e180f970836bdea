"""Where WebSocketResponse does more than aiohttp's, and how to switch that off."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import re
import weakref
from pathlib import Path
from typing import Any

import aiohttp
import carriers
import pytest
import websockets
from aiohttp import WSMsgType, web
from aiohttp_rig import (
    CLOSE,
    OURS,
    PING,
    PONG,
    TEXT,
    Kind,
    Rig,
    client_session,
    close_frame,
    collect,
    echo,
    frame,
    scenario,
    served,
)

import pywscore
from pywscore.integrations.aiohttp import (
    CHECKED_VERSIONS,
    WebSocketResponse,
    ws_connect,
)
from pywscore.integrations.aiohttp._arguments import OF_CLIENTS, OF_SERVERS


def code_of(body: bytes) -> int:
    return int.from_bytes(body[:2], "big")


@scenario(*OURS)
async def test_unmasked_frames_are_refused(kind: Kind) -> None:
    async with served(kind, collect) as rig, rig.open_peer() as peer:
        peer.send(frame(TEXT, b"x", mask=False))
        opcode, body = await peer.frame()
        assert (opcode, code_of(body)) == (CLOSE, 1002)
        peer.writer.close()
        await rig.done.wait()
        assert [name for name, _ in rig.log] == ["ERROR"]


@scenario(*OURS)
async def test_pongs_without_receive(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        await asyncio.sleep(60)

    options = {"runner_options": {"shutdown_timeout": 0.01}}
    async with served(kind, handler, **options) as rig, rig.open_peer() as peer:
        peer.send(frame(PING, b"ping"))
        assert await peer.frame() == (PONG, b"ping")
        # The close frame is answered as well.
        peer.send(close_frame(1000))
        assert await peer.frames_to_end() == [(CLOSE, b"\x03\xe8")]


@scenario(*OURS)
async def test_shutdown_closes_with_1001(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        message = await ws.receive()
        log.append((message.type, message.data, ws.close_code))

    async with served(kind, handler) as rig:
        async with rig.open_peer() as peer:
            cleanup = asyncio.create_task(rig.runner.cleanup())
            opcode, body = await peer.frame()
            assert (opcode, code_of(body)) == (CLOSE, 1001)
            peer.send(close_frame(1001))
            assert await peer.frames_to_end() == []
            async with asyncio.timeout(2):  # shutdown_timeout is 60 seconds
                await cleanup
            assert rig.log == [(WSMsgType.CLOSE, 1001, 1001)]


@scenario(*OURS)
async def test_shutdown_switched_off(kind: Kind) -> None:
    options: dict[str, Any] = {
        "runner_options": {"shutdown_timeout": 0.1},
        "close_on_shutdown": False,
    }
    async with served(kind, collect, **options) as rig, rig.open_peer() as peer:
        cleanup = asyncio.create_task(rig.runner.cleanup())
        assert await peer.frames_to_end() == []
        await cleanup


async def fail_after(rig: Rig) -> tuple[list[tuple[int, bytes]], bool]:
    """The frames that a peer gets whose handler fails; and is all over afterwards?"""
    async with rig.open_peer() as peer:
        opcode, body = await peer.frame()
        peer.send(close_frame(1011))
        rest = await peer.frames_to_end()
        for _ in range(100):
            if not rig.runner.server.connections:
                break
            await asyncio.sleep(0.01)
        return [(opcode, body), *rest], not rig.runner.server.connections


@scenario(*OURS)
async def test_raising_handler_closes_with_1011(kind: Kind) -> None:
    async def error(ws: Any, log: list[Any]) -> None:
        raise KeyError("secret")

    async def http_error(ws: Any, log: list[Any]) -> None:
        raise web.HTTPForbidden(text="secret")

    async def timeout(ws: Any, log: list[Any]) -> None:
        raise TimeoutError

    for handler in (error, http_error, timeout):
        async with served(kind, handler) as rig:
            [(opcode, body)], gone = await fail_after(rig)
            assert (opcode, code_of(body)) == (CLOSE, 1011) and gone
            assert b"secret" not in body


@scenario(*OURS)
async def test_raising_handler_switched_off(kind: Kind) -> None:
    async def error(ws: Any, log: list[Any]) -> None:
        raise KeyError("secret")

    async with served(kind, error, close_on_error=False) as rig:
        async with rig.open_peer() as peer:
            assert await peer.frames_to_end() == []


@scenario(*OURS)
async def test_failed_handler_does_not_hold_up_the_shutdown(kind: Kind) -> None:
    async def error(ws: Any, log: list[Any]) -> None:
        raise KeyError("secret")

    async with served(kind, error) as rig, rig.open_peer() as peer:
        await peer.frame()  # which is never answered
        async with asyncio.timeout(2):
            await rig.runner.cleanup()
            assert await peer.frames_to_end() == []


@scenario(*OURS)
async def test_forgotten_return(kind: Kind) -> None:
    """Nothing of a second response reaches the peer."""

    async def handle(request: web.Request) -> Any:
        ws = kind.make()
        await ws.prepare(request)
        return None

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    tls = carriers.server_tls()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    rig = Rig(kind)
    rig.runner, rig.port = runner, runner.addresses[0][1]
    [(opcode, body)], gone = await fail_after(rig)
    assert (opcode, code_of(body)) == (CLOSE, 1011) and gone
    await runner.cleanup()


@scenario(*OURS)
async def test_compress_per_message(kind: Kind) -> None:
    text = "compressible " * 20

    async def handler(ws: Any, log: list[Any]) -> None:
        for compress in (None, False, True, 15, 0):
            await ws.send_str(text, compress=compress)
            await ws.send_bytes(text.encode(), compress=compress)
            await ws.send_json(text, compress=compress)

    async with served(kind, handler) as rig:
        offer = "Sec-WebSocket-Extensions: permessage-deflate"
        async with rig.open_peer(offer) as peer:
            assert b"permessage-deflate" in peer.head.lower()
            for compressed in (True, False, True, True, True):
                for _ in range(3):
                    opcode, body = await peer.frame()
                    assert bool(opcode & 0x40) is compressed
                    assert (len(body) < len(text)) is compressed
        # Not agreed on: never compressed.
        async with rig.open_peer() as peer:
            for _ in range(15):
                assert (await peer.frame())[0] in (1, 2)


@scenario(*OURS)
async def test_close_codes_that_cannot_be_sent(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        await ws.close(code=int(ws._req.query["code"]), message="é" * 100)

    for code in (0, 1005, 1006, 1015, 70000):
        async with served(kind, handler) as rig, rig.peer() as peer:
            await peer.open(path=f"/?code={code}")
            assert await peer.frame() == (CLOSE, b"")
            peer.send(frame(CLOSE))
    async with served(kind, handler) as rig, rig.peer() as peer:
        await peer.open(path="/?code=4000")
        _, body = await peer.frame()
        assert len(body) <= 125 and body[2:].decode() == "é" * 61
        peer.send(frame(CLOSE))


@scenario(*OURS)
async def test_override_of_receive(kind: Kind) -> None:
    """A subclass's receive() is used by iteration too."""

    class Loud(WebSocketResponse):
        async def receive(self, timeout: float | None = None) -> Any:
            message = await super().receive(timeout)
            if message.type is WSMsgType.TEXT:
                return message._replace(data=message.data.upper())
            return message

    loud = Kind(Loud)
    async with served(loud, collect) as rig, rig.open_peer() as peer:
        peer.send(frame(TEXT, b"quiet"), close_frame(1000))
        await rig.done.wait()
        assert rig.log == [("TEXT", "QUIET")]


@scenario(*OURS)
async def test_receive_of_one_object(kind: Kind) -> None:
    """Replaced after prepare(), as by a mock: iteration uses it, as in aiohttp."""

    async def handler(ws: Any, log: list[Any]) -> None:
        receive = ws.receive

        async def watching(*args: Any) -> Any:
            log.append("receive")
            return await receive(*args)

        ws.receive = watching
        async for message in ws:
            log.append(message.data)

    async with served(kind, handler) as rig, rig.open_peer() as peer:
        peer.send(frame(TEXT, b"a"), close_frame(1000))
        await rig.done.wait()
        assert rig.log == ["receive", "a", "receive"]


@scenario(*OURS)
async def test_other_clients(kind: Kind) -> None:
    async with served(kind, echo, protocols=["chat"]) as rig:
        async with websockets.connect(rig.url, subprotocols=["chat"]) as theirs:
            for message in ("text", b"bytes", "x" * 100_000):
                await theirs.send(message)
                assert await theirs.recv() == message
            assert theirs.subprotocol == "chat"
            await (await theirs.ping())
        async with pywscore.connect(rig.url, subprotocols=["chat"]) as ours:
            await ours.send("text")
            assert await ours.recv() == "text"


@scenario(*OURS)
async def test_many_and_nothing_stays(kind: Kind) -> None:
    """Connections are freed without the garbage collector's help."""
    async with served(kind, echo) as rig:
        gc.collect()
        gc.disable()
        try:
            async with client_session() as session:
                for _ in range(20):
                    async with session.ws_connect(rig.url) as ws:
                        await ws.send_str("x")
                        await ws.receive()
            await asyncio.sleep(0.05)
            references = [weakref.ref(ws._connection) for ws in rig.sockets]
            rig.sockets.clear()
            rig.requests.clear()
            await asyncio.sleep(0.05)
            left = sum(reference() is not None for reference in references)
        finally:
            gc.enable()
        assert left <= 1, left


@scenario(*OURS)
async def test_shutdown_with_many(kind: Kind) -> None:
    async with served(kind, collect) as rig, client_session() as session:
        clients = [await session.ws_connect(rig.url) for _ in range(50)]
        cleanup = asyncio.create_task(rig.runner.cleanup())
        for client in clients:
            message = await client.receive()
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        async with asyncio.timeout(5):
            await cleanup


def test_arguments() -> None:
    with pytest.raises(ValueError, match="carrier"):
        WebSocketResponse(carrier="pigeon")
    assert WebSocketResponse[bool]
    assert isinstance(WebSocketResponse(), web.StreamResponse)
    theirs, ours = web.WebSocketResponse(), WebSocketResponse()
    missing = {
        name
        for name in dir(type(theirs))
        if not hasattr(type(ours), name) and not name.startswith("_")
    }
    assert not missing
    for name in ("_handshake", "_req", "_waiting", "_start"):
        assert hasattr(theirs, name) and hasattr(ours, name)


@pytest.mark.parametrize("name", OF_SERVERS)
def test_nonsense_is_refused_by_the_server(name: str) -> None:
    for value in (object(), b"x", 1 + 2j, [object()]):
        with pytest.raises(TypeError, match=rf"\b{name} must be "):
            WebSocketResponse(**{name: value})


@pytest.mark.parametrize("name", OF_CLIENTS)
def test_nonsense_is_refused_by_the_client(name: str) -> None:
    session: Any = None
    for value in (object(), b"x", 1 + 2j, [object()]):
        with pytest.raises(TypeError, match=rf"\b{name} must be "):
            ws_connect(session, "ws://h/", **{name: value})


def test_negative_times_are_refused() -> None:
    for name in ("timeout", "receive_timeout", "heartbeat"):
        with pytest.raises(ValueError, match=f"{name} must not be negative"):
            WebSocketResponse(**{name: -1})


def test_rows_are_the_arguments() -> None:
    servers = inspect.signature(WebSocketResponse).parameters.keys()
    assert OF_SERVERS.keys() == servers - {"carrier"}
    clients = inspect.signature(ws_connect).parameters.keys()
    assert OF_CLIENTS.keys() == clients - {"session", "url", "request"}


@scenario(*OURS)
@pytest.mark.threat("CTL-5")
async def test_pings_for_the_handler_are_bounded(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        while not ws._connection.read_paused:
            await asyncio.sleep(0.01)
        log.append(ws._connection.messages_queued)
        async for message in ws:
            log.append(message.type)

    async with served(kind, handler, autoping=False) as rig, rig.open_peer() as peer:
        peer.send(frame(PING, b"x" * 125) * 20000, close_frame(1000))
        await rig.done.wait()
        assert rig.log == [1024, *[WSMsgType.PING] * 20000]


@scenario()
@pytest.mark.threat("SLW-5")
async def test_queue_is_bounded_in_bytes(kind: Kind) -> None:
    """Of messages that nobody receives, some 128 KiB are held, large or small."""
    for size in (0, 4000, 100000):
        go = asyncio.Event()

        async def handler(ws: Any, log: list[Any], go: asyncio.Event = go) -> None:
            await go.wait()
            async for message in ws:
                log.append(len(message.data))

        async with served(kind, handler) as rig, rig.open_peer() as peer:
            count = 2000 if size < 4000 else 12 << 20 >> 12 if size == 4000 else 120
            peer.send(frame(TEXT, b"x" * size) * count)
            if kind.ours:
                connection = rig.ws._connection
                while not connection.read_paused:
                    await asyncio.sleep(0.01)
                held = connection.messages_queued * (size + 128)
                assert 128 * 1024 <= held < 128 * 1024 + size + 128
            go.set()
            peer.send(close_frame(1000))
            await rig.done.wait()
            assert rig.log == [size] * count
            rig.log.clear()


def test_version_is_named() -> None:
    """The versions that are said to be checked are those that these tests run with."""
    assert aiohttp.__version__ in CHECKED_VERSIONS


def test_hint_without_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in list(sys.modules):
        if name.startswith("pywscore.integrations.aiohttp"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ImportError, match=r"pywscore\[aiohttp\]"):
        import pywscore.integrations.aiohttp  # noqa: F401


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """aiohttp logs the exceptions that handlers raise here."""
    logger = logging.getLogger("aiohttp.server")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


# Where each row of docs/aiohttp.md, "What differs", is held.
DIFFERENCES = {
    "the peer's close frame": (
        "closing",
        "test_busy_handler_holds_the_closing_handshake_up_for_a_second",
    ),
    "errors of the peer": ("conversations", "test_conversations"),
    "`handler_cancellation`": ("closing", "test_handler_cancellation"),
    "what would break the framing": ("calls", "test_calls"),
    "wrong types": ("calls", "test_calls"),
    "handshakes": ("handshakes", "test_requests"),
    "a client's cancelled `receive()`": ("conversations", "test_conversations"),
    "`ws.compress`": ("server", "test_compression"),
    "`request.transport`": ("closing", "test_transport_closed_by_the_handler"),
    "private attributes": ("mocked", "test_writer"),
    "texts": ("conversations", "test_conversations"),
}


def test_each_difference_is_held() -> None:
    folder = Path(__file__).parent
    page = folder.parents[1] / "docs/aiohttp.md"
    table = page.read_text(encoding="utf-8").partition("## What differs")[2]
    table = table.partition("\n## ")[0]
    topics = re.findall(r"^\| (.+?) \| ", table, re.MULTILINE)
    assert topics[2:] == list(DIFFERENCES)
    for file, name in DIFFERENCES.values():
        text = (folder / f"test_aiohttp_{file}.py").read_text(encoding="utf-8")
        assert f"def {name}(" in text
