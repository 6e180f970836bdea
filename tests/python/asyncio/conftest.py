"""Coroutine functions are tests here: each runs in every environment below.

An environment is an event loop and a carrier. The tests get ``serve`` and ``connect``
from fixtures, so that they run over that carrier.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import gc
import inspect
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import trustme
from tls_peer import KINDS, Files

import pywscore
from pywscore.asyncio import ClientConnection, Server, ServerConnection

# "auto" is the engine, but for ssl.SSLContext.
CARRIERS = ["transport", "auto"]
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop
}
with contextlib.suppress(ImportError):  # Windows, and Pythons that have no wheel of it
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop

TEST_TIMEOUT = float(os.environ.get("PYWSCORE_TEST_TIMEOUT", "30"))  # seconds


@dataclasses.dataclass(frozen=True)
class Environment:
    loop: str
    carrier: str

    def __str__(self) -> str:
        return f"{self.loop}-{self.carrier}"


ENVIRONMENTS = [Environment(loop, carrier) for loop in LOOPS for carrier in CARRIERS]
# Each loop once and each carrier once: the others run no other code of ours.
HALF_OF_THEM = ENVIRONMENTS
if "uvloop" in LOOPS:
    HALF_OF_THEM = [Environment("asyncio", "auto"), Environment("uvloop", "transport")]


def environments_of(metafunc: pytest.Metafunc) -> list[Environment]:
    """All of them in `./dev test-long`, and always for tests of what a loop and a
    carrier make together, which are marked."""
    marked = metafunc.definition.get_closest_marker("every_environment")
    sanitized = "PYWSCORE_SANITIZED" in os.environ
    every = (marked and not sanitized) or "PYWSCORE_ENVIRONMENTS" in os.environ
    return ENVIRONMENTS if every else HALF_OF_THEM


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = metafunc.fixturenames
    if inspect.iscoroutinefunction(metafunc.function) and "environment" not in names:
        names.append("environment")
    if "environment" in names:
        every = environments_of(metafunc)
        metafunc.parametrize("environment", every, indirect=True, ids=str)


@pytest.fixture
def environment(request: pytest.FixtureRequest) -> Environment:
    found: Environment = request.param
    return found


@pytest.fixture
def loop_factory(environment: Environment) -> Callable[[], asyncio.AbstractEventLoop]:
    """For tests that aren't coroutine functions, but run loops of their own."""
    return LOOPS[environment.loop]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {
        name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames
    }
    loop_factory = LOOPS[pyfuncitem.callspec.params["environment"].loop]
    problems: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(context))
        async with asyncio.timeout(TEST_TIMEOUT):
            await pyfuncitem.obj(**arguments)
        # What ended has to be gone: no task stays behind (that closes an async
        # generator takes a moment).
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            _, left = await asyncio.wait(left, timeout=1)
        assert not left, left

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert not problems, problems
    return True


@pytest.fixture
def serve(environment: Environment) -> Callable[..., Server]:
    return functools.partial(pywscore.serve, carrier=environment.carrier)


@pytest.fixture
def connect(environment: Environment) -> Callable[..., pywscore.connect]:
    return functools.partial(pywscore.connect, carrier=environment.carrier, proxy=None)


def uri_of(server: Server, path: str = "/", scheme: str = "ws") -> str:
    port = server.sockets[0].getsockname()[1]
    return f"{scheme}://127.0.0.1:{port}{path}"


@pytest.fixture(name="uri_of")
def _uri_of() -> Callable[..., str]:
    return uri_of


@dataclasses.dataclass
class Pair:
    client: ClientConnection
    server: ServerConnection


@pytest.fixture
def pair(
    serve: Callable[..., Server], connect: Callable[..., pywscore.connect]
) -> Callable[..., contextlib.AbstractAsyncContextManager[Pair]]:
    """Both ends of one connection; arguments for serve() and connect() as dicts."""

    @contextlib.asynccontextmanager
    async def pair(
        server: dict[str, Any] | None = None,
        client: dict[str, Any] | None = None,
        **both: Any,
    ) -> AsyncIterator[Pair]:
        both.setdefault("close_timeout", 1)
        accepted = asyncio.get_running_loop().create_future()

        async def handler(ws: ServerConnection) -> None:
            accepted.set_result(ws)
            await ws.wait_closed()

        async with serve(handler, "127.0.0.1", 0, **(both | (server or {}))) as running:
            async with connect(uri_of(running), **(both | (client or {}))) as ws:
                yield Pair(ws, await accepted)

    return pair


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


@pytest.fixture(name="echo")
def _echo() -> Callable[..., Any]:
    return echo


@pytest.fixture(scope="module", params=KINDS)
def files(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Files:
    return Files(tmp_path_factory.mktemp("tls"), request.param)


@pytest.fixture
def on_engine(environment: Any) -> None:
    if environment.carrier == "transport":
        pytest.skip("elsewhere: the loop's own TLS")


@pytest.fixture
def of_the_carrier(environment: Any, files: Files) -> None:
    if environment.carrier == "transport" and files.kind == "TLSContext":
        pytest.skip("elsewhere: TLSContext is the engine's")


@dataclasses.dataclass(frozen=True)
class Certificates:
    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def cheap_collections() -> Iterator[None]:
    """Make ``gc.collect()`` look at new objects only."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Certificates(server, client)


# A peer that does what the test says, byte by byte

REQUEST = (
    "GET {path} HTTP/1.1\r\n"
    "Host: 127.0.0.1\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "{extra}\r\n"
)
# RFC 6455 §1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool) -> bytes:
    """A frame as RFC 6455 §5.2 has it; the masking key is zero."""
    length = len(payload)
    if length < 126:
        size = bytes([length | mask << 7])
    elif length < 1 << 16:
        size = bytes([126 | mask << 7]) + length.to_bytes(2)
    else:
        size = bytes([127 | mask << 7]) + length.to_bytes(8)
    return bytes([opcode | fin << 7]) + size + bytes(4 * mask) + payload


class RawPeer:
    """The other end as bytes."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mask: bool
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.mask = mask

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode("iso-8859-1")

    def send(self, opcode: int, payload: bytes = b"", fin: bool = True) -> None:
        self.writer.write(frame(opcode, payload, fin=fin, mask=self.mask))

    def send_close(self, code: int = 1000) -> None:
        self.send(8, code.to_bytes(2))

    async def receive(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame."""
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(
                await self.reader.readexactly(2 << (length - 126) * 2)
            )
        key = await self.reader.readexactly(4) if second >> 7 else bytes(4)
        payload = await self.reader.readexactly(length)
        mask = (key * (length // 4 + 1))[:length]
        return first & 0xF, bytes(a ^ b for a, b in zip(payload, mask, strict=True))

    async def close_code(self) -> int:
        """The code of the close frame, whatever comes before."""
        while True:
            opcode, payload = await self.receive()
            if opcode == 8:
                return int.from_bytes(payload[:2]) if payload else 1005


@pytest.fixture
def raw_client() -> Callable[..., contextlib.AbstractAsyncContextManager[RawPeer]]:
    """A client that asks for a connection (unless path is None) as bytes."""

    @contextlib.asynccontextmanager
    async def raw_client(
        server: Server, path: str | None = "/", extra: str = "", **kwargs: Any
    ) -> AsyncIterator[RawPeer]:
        host, port = server.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port, **kwargs)
        peer = RawPeer(reader, writer, mask=True)
        try:
            if path is not None:
                writer.write(REQUEST.format(path=path, extra=extra).encode())
                head = await peer.head()
                assert head.startswith("HTTP/1.1 101 ") and ACCEPT in head
            yield peer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    return raw_client


@pytest.fixture
def raw_server() -> Callable[..., contextlib.AbstractAsyncContextManager[str]]:
    """A server that runs a script for each connection; gives its URI.

    The script gets a RawPeer and the request's head.
    """

    @contextlib.asynccontextmanager
    async def raw_server(script: Callable[..., Any]) -> AsyncIterator[str]:
        tasks: set[asyncio.Task[Any]] = set()

        async def serve(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            peer = RawPeer(reader, writer, mask=False)
            try:
                await script(peer, await peer.head())
            except (asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
                pass
            finally:
                writer.close()
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await writer.wait_closed()
                tasks.discard(task)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        try:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=5)

    return raw_server


def accept_response(head: str, extra: str = "") -> bytes:
    """The right answer to a request (RFC 6455 §4.2.2)."""
    key = head.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
    accept = pywscore.accept_key(key)
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{extra}\r\n"
    ).encode()


@pytest.fixture(name="accept_response")
def _accept_response() -> Callable[..., bytes]:
    return accept_response
