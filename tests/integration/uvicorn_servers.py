"""uvicorn servers in the process of the test, and raw clients for them."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import carriers
import pytest
import uvicorn

from pywscore.integrations.uvicorn import WebSocketProtocol

# The step uvicorn-oldest means another version than the environment's.
assert os.environ.get("PYWSCORE_UVICORN", uvicorn.__version__) == uvicorn.__version__
# Ours behaves like this version's, whichever it runs with.
IS_MODEL = uvicorn.__version__.startswith("0.54.")

OURS = "pywscore.integrations.uvicorn:WebSocketProtocol"
THEIRS = "websockets-sansio"
TIMEOUT = 20

Event = dict[str, Any]


def _environments() -> list[tuple[str, str]]:
    loops = ["asyncio"]
    if importlib.util.find_spec("uvloop"):
        loops.append("uvloop")
    names = [name for name in ("httptools", "h11") if importlib.util.find_spec(name)]
    return [(loop, name) for loop in loops for name in names]


ENVIRONMENTS = _environments()
HAS_ZTTP = IS_MODEL and importlib.util.find_spec("zttp") is not None


@dataclass(frozen=True, repr=False)
class Environment:
    """An event loop, an HTTP class of uvicorn, a WebSocket class, and TLS or none."""

    loop: str
    http: str
    ws: Any = OURS
    tls: bool = False

    def __repr__(self) -> str:
        words = [self.loop, self.http, "ours" if self.ws == OURS else "theirs"]
        return "-".join([*words, *(["tls"] if self.tls else [])])

    @property
    def takes(self) -> bool:
        """Does the engine take connections over?"""
        return not (self.tls and self.loop == "uvloop")

    def run(
        self, main: Callable[[], Coroutine[Any, Any, None]], within: float = TIMEOUT
    ) -> None:
        problems: list[Event] = []

        async def bounded() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: problems.append(context))
            async with asyncio.timeout(within):
                await main()

        with (
            carriers.over(self.tls),
            asyncio.Runner(loop_factory=carriers.LOOPS[self.loop]) as runner,
        ):
            runner.run(bounded())
        assert problems == []

    @asynccontextmanager
    async def serve(
        self,
        app: Any,
        tune: Callable[[ssl.SSLContext], None] | None = None,
        **options: Any,
    ) -> AsyncIterator[Served]:
        """``tune(context)`` is called before there are connections over TLS."""
        options = {"lifespan": "off", "log_config": None, "port": 0} | options
        if carriers.by_tls():
            options = {"ssl_certfile": str(carriers.files().chain)} | options
        config = uvicorn.Config(app, http=self.http, ws=self.ws, **options)
        config.load()
        if tune is not None and config.ssl is not None:
            tune(config.ssl)
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        await server.on_tick(0)
        served = Served(server)
        try:
            yield served
        finally:
            if not served.stopped:
                await served.stop()


class Served:
    def __init__(self, server: uvicorn.Server) -> None:
        self.server = server
        self.port: int = server.servers[0].sockets[0].getsockname()[1]
        self.uri = carriers.uri("ws", self.port)
        self.stopped = False

    async def stop(self) -> None:
        self.stopped = True
        await self.server.shutdown()

    @property
    def protocol(self) -> WebSocketProtocol:
        [protocol] = [
            connection
            for connection in self.server.server_state.connections
            if isinstance(connection, WebSocketProtocol)
        ]
        return protocol


OURS_PLAIN = [Environment(*pair) for pair in ENVIRONMENTS]
# Of those the engine takes TLS over from the first ones.
OVER_TLS = [
    Environment(*pair, tls=True)
    for pair in ENVIRONMENTS
    if carriers.EVERY or pair == ENVIRONMENTS[0]
]
OF_ZTTP = [Environment("asyncio", "zttp")] if HAS_ZTTP else []
OF_THEIRS = [Environment(*ENVIRONMENTS[0], THEIRS)] if IS_MODEL else []


def each(environments: list[Environment]) -> Any:
    return pytest.mark.parametrize("environment", environments, ids=repr)


model = pytest.mark.skipif(not IS_MODEL, reason="compared with the model only")
plain = each(OURS_PLAIN)
ours = each([*OURS_PLAIN, *OVER_TLS])
taken = each([it for it in (*OURS_PLAIN, *OVER_TLS) if it.takes])
with_zttp = each([*OURS_PLAIN, *OVER_TLS, *OF_ZTTP])
both = each([*OURS_PLAIN, *OVER_TLS, *OF_THEIRS])


# Raw clients ----------------------------------------------------------------------


def request(
    *extra: str, path: str = "/", method: str = "GET", version: str = "HTTP/1.1"
) -> bytes:
    """A WebSocket request; lines in ``extra`` that begin with - take one away."""
    lines = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
    }
    more = []
    for line in extra:
        if line.startswith("-"):
            del lines[line[1:]]
        else:
            more.append(line)
    head = [f"{name}: {value}" for name, value in lines.items()]
    return "\r\n".join([f"{method} {path} {version}", *head, *more, "", ""]).encode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A short client's frame, masked with zeros (RFC 6455 §5.2)."""
    assert len(payload) < 126
    first = opcode | (0x80 if fin else 0)
    return bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def server_frame(opcode: int, payload: bytes = b"") -> bytes:
    assert len(payload) < 126
    return bytes([0x80 | opcode, len(payload)]) + payload


class RawClient:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader = reader
        self.writer = writer

    async def read_head(self) -> tuple[int, list[tuple[str, str]]]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        return int(first.split()[1]), [(name.lower(), value) for name, value in pairs]

    async def read_frame(self) -> tuple[int, bytes]:
        first, length = await self.reader.readexactly(2)
        assert length < 126
        return first & 0x0F, await self.reader.readexactly(length)

    def end(self) -> None:
        """Of what it sends; TLS isn't told."""
        fd = os.dup(self.writer.get_extra_info("socket").fileno())
        with socket.socket(fileno=fd) as sock:
            sock.shutdown(socket.SHUT_WR)

    async def open(self, *extra: str, path: str = "/") -> None:
        self.writer.write(request(*extra, path=path))
        status, _ = await self.read_head()
        assert status == 101


@asynccontextmanager
async def raw(port: int) -> AsyncIterator[RawClient]:
    tls = carriers.client_tls()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **tls)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()
