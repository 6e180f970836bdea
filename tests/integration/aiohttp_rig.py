"""Servers of aiohttp with its WebSocketResponse or ours, and clients made of bytes."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import carriers
import pytest
from aiohttp import web

from pywscore import _core
from pywscore.integrations.aiohttp import WebSocketResponse

# The step aiohttp-oldest means another version than the environment's.
assert os.environ.get("PYWSCORE_AIOHTTP", aiohttp.__version__) == aiohttp.__version__

TIMEOUT = 20
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@dataclass(frozen=True)
class Kind:
    """A class under test, with the loop it runs on."""

    cls: Any
    carrier: str = ""
    loop: str = "asyncio"
    tls: bool = False

    @property
    def ours(self) -> bool:
        return self.cls is WebSocketResponse

    @property
    def takes(self) -> bool:
        """Does the engine take connections over?"""
        return self.carrier == "auto" and not (self.tls and self.loop == "uvloop")

    def make(self, **options: Any) -> Any:
        if self.ours:
            options["carrier"] = self.carrier
        return self.cls(**options)

    def __str__(self) -> str:
        name = f"ours-{self.carrier}" if self.ours else "aiohttp"
        return f"{name}-{self.loop}" + ("-tls" if self.tls else "")


OURS = [
    Kind(WebSocketResponse, carrier, loop)
    for loop in ("asyncio", "uvloop")
    for carrier in ("auto", "transport")
]
THEIRS = Kind(web.WebSocketResponse)
# Ours behaves like this version's, whichever it runs with.
MODEL = (3, 14)
IS_MODEL = tuple(map(int, aiohttp.__version__.split(".")[:2])) == MODEL


def over_tls(kinds: Iterable[Kind]) -> list[Kind]:
    """The same over TLS: by default those whose TLS the engine takes over."""
    taken = ("auto", "asyncio")
    return [
        dataclasses.replace(kind, tls=True)
        for kind in kinds
        if carriers.EVERY or (kind.carrier, kind.loop) == taken
    ]


def run(
    coroutine: Coroutine[Any, Any, Any], loop: str = "asyncio", within: float = TIMEOUT
) -> Any:
    problems: list[Any] = []

    async def bounded() -> Any:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: problems.append(context)
        )
        async with asyncio.timeout(within):
            return await coroutine

    with asyncio.Runner(loop_factory=carriers.LOOPS[loop]) as runner:
        result = runner.run(bounded())
    assert not problems, problems
    return result


def scenario(
    *kinds: Kind, tls: bool = True
) -> Callable[[Callable[..., Awaitable[None]]], Any]:
    """The test runs with each kind: with aiohttp's class and ours by default.

    ``tls``: over TLS, too; else TLS is nothing to it.
    """
    plain = kinds or ((THEIRS, *OURS) if IS_MODEL else tuple(OURS))
    every = [*plain, *(over_tls(plain) if tls else [])]

    def decorate(function: Callable[..., Awaitable[None]]) -> Any:
        @pytest.mark.parametrize("kind", every, ids=str)
        def test(kind: Kind) -> None:
            with carriers.over(kind.tls):
                run(function(kind), kind.loop)  # type: ignore[arg-type]

        test.__name__, test.__doc__ = function.__name__, function.__doc__
        test.__module__ = function.__module__
        marks = getattr(function, "pytestmark", [])
        test.pytestmark = [*test.pytestmark, *marks]  # type: ignore[attr-defined]
        return test

    return decorate


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool = True
) -> bytes:
    first = bytes([(0x80 if fin else 0) | opcode])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head = first + bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head = first + bytes([bit | 126]) + len(payload).to_bytes(2, "big")
    else:
        head = first + bytes([bit | 127]) + len(payload).to_bytes(8, "big")
    if not mask:
        return head + payload
    key = os.urandom(4)
    body = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    return head + key + body


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def request(*lines: str, path: str = "/", key: str = KEY, version: str = "13") -> bytes:
    return "\r\n".join(
        [
            f"GET {path} HTTP/1.1",
            "Host: localhost",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            f"Sec-WebSocket-Version: {version}",
            *lines,
            "",
            "",
        ]
    ).encode()


class Peer:
    """A client that sends and reads bytes."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self.reader: asyncio.StreamReader = reader
        self.writer: asyncio.StreamWriter = writer
        self.head = b""

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def open(self, *lines: str, more: bytes = b"", **how: Any) -> bytes:
        self.send(request(*lines, **how), more)
        self.head = await self.reader.readuntil(b"\r\n\r\n")
        return self.head

    async def frame(self) -> tuple[int, bytes]:
        """The next frame, which has to be final and unmasked."""
        first, second = await self.reader.readexactly(2)
        assert first & 0x80, "fragmented"
        size = second
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        return first & 0x7F, await self.reader.readexactly(size)

    async def frames_to_end(self) -> list[tuple[int, bytes]]:
        """All that still comes until the end of TCP, however it ends."""
        frames = []
        try:
            while True:
                frames.append(await self.frame())
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            assert not getattr(exc, "partial", b""), exc
        return frames


def client_session(limit: int = 100, **options: Any) -> aiohttp.ClientSession:
    """One that trusts servers of this rig."""
    tls = carriers.client_tls().get("ssl", True)
    connector = aiohttp.TCPConnector(ssl=tls, limit=limit)
    return aiohttp.ClientSession(connector=connector, **options)


class Rig:
    """A server whose handler is under test."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.runner: web.AppRunner
        self.port = 0
        self.log: list[Any] = []
        self.sockets: list[Any] = []
        self.requests: list[web.Request] = []
        self.opened = asyncio.Event()
        self.done = asyncio.Event()
        self.failure: BaseException | None = None

    @property
    def url(self) -> str:
        return carriers.uri("ws", self.port) + "/"

    @property
    def ws(self) -> Any:
        return self.sockets[-1]

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, **carriers.client_tls()
        )
        try:
            yield Peer(reader, writer)
        finally:
            writer.transport.abort()

    @asynccontextmanager
    async def open_peer(self, *lines: str, more: bytes = b"") -> AsyncIterator[Peer]:
        async with self.peer() as peer:
            head = await peer.open(*lines, more=more)
            assert head.startswith(b"HTTP/1.1 101 "), head
            yield peer


@asynccontextmanager
async def served(
    kind: Kind,
    handler: Callable[[Any, list[Any]], Awaitable[None]],
    *,
    ssl: Any = None,  # by default what the test is over
    signal: Any = None,
    runner_options: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Rig]:
    """``handler(ws, log)`` runs for each connection, after prepare()."""
    rig = Rig(kind)

    async def handle(request: web.Request) -> Any:
        ws = kind.make(**options)
        await ws.prepare(request)
        rig.sockets.append(ws)
        rig.requests.append(request)
        rig.opened.set()
        try:
            await handler(ws, rig.log)
        except BaseException as exc:
            rig.failure = exc
            raise
        finally:
            rig.done.set()
        return ws

    app = web.Application()
    app.router.add_get("/", handle)
    if signal is not None:
        app.on_response_prepare.append(signal)
    rig.runner = web.AppRunner(app, **(runner_options or {}))
    await rig.runner.setup()
    tls = ssl or carriers.server_tls()
    site = web.TCPSite(rig.runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    rig.port = rig.runner.addresses[0][1]
    try:
        yield rig
    finally:
        await rig.runner.cleanup()


async def collect(ws: Any, log: list[Any]) -> None:
    """A handler that notes all it receives."""
    async for message in ws:
        log.append((message.type.name, message.data))


async def echo(ws: Any, log: list[Any]) -> None:
    async for message in ws:
        if message.type.name == "TEXT":
            await ws.send_str(message.data)
        elif message.type.name == "BINARY":
            await ws.send_bytes(message.data)


@asynccontextmanager
async def raw_server(
    script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    *,
    more: bytes = b"",
) -> AsyncIterator[str]:
    """Accepts, sends ``more`` in the same packet, and goes by ``script``."""

    async def serve(reader: Any, writer: Any) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            [key] = [
                line.split(": ", 1)[1]
                for line in head.split("\r\n")
                if line.lower().startswith("sec-websocket-key")
            ]
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
                + _core.accept_key(key).encode()
                + b"\r\n\r\n"
                + more
            )
            await script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the end of the test, at the latest
        finally:
            writer.close()

    running = await asyncio.start_server(
        serve, "127.0.0.1", 0, ssl=carriers.server_tls()
    )
    async with running:
        yield carriers.uri("ws", running.sockets[0].getsockname()[1]) + "/"
