"""A connect() that fails leaves nothing that only the garbage collector could free."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import ssl as ssl_module
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

import pywscore
from pywscore.asyncio._tcp import connect_tcp

pytestmark = [
    pytest.mark.threat("HLF-1"),
    pytest.mark.usefixtures("cheap_collections"),
]

TIMES = 3


def is_ours(found: object) -> bool:
    if isinstance(found, types.FrameType):
        return "/pywscore/" in found.f_code.co_filename
    return type(found).__module__.partition(".")[0] == "pywscore"


@contextlib.contextmanager
def no_garbage() -> Iterator[None]:
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        left = [repr(found)[:200] for found in gc.garbage if is_ours(found)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not left, left


@contextlib.asynccontextmanager
async def answering(
    answer: str | None, ssl: ssl_module.SSLContext | None = None
) -> AsyncIterator[int]:
    """Gives the answer, or none."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if answer is not None:
                await reader.read(1)
                writer.write(answer.encode())
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=ssl)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def check(
    make: Callable[[], Awaitable[Any]], expected: type[BaseException], wait: float = 5
) -> None:
    """Fails as expected, again and again, in a task of its own each time."""

    async def once() -> None:
        async def attempt() -> None:
            await make()

        task = asyncio.create_task(attempt())
        await asyncio.wait([task], timeout=wait)
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        error = asyncio.CancelledError if task.cancelled() else type(task.exception())
        assert issubclass(error, expected)

    await once()
    await asyncio.sleep(0.02)
    with no_garbage():
        for _ in range(TIMES):
            await once()
        await asyncio.sleep(0.02)  # TCP is being closed


def moved(location: str) -> str:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"


REFUSAL = "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (REFUSAL, pywscore.InvalidStatus),
        ("nonsense\r\n\r\n", pywscore.InvalidMessage),
        ("HTTP/1.1 101 x\r\n\r\n", pywscore.InvalidUpgrade),
        (moved("ftp://h/"), pywscore.InvalidURI),
        (moved("/"), pywscore.SecurityError),
        (moved("ws://127.0.0.1:1/"), OSError),
    ],
)
async def test_answers(
    connect: Any, answer: str, expected: type[BaseException]
) -> None:
    async with answering(answer) as port:
        uri = f"ws://127.0.0.1:{port}/"
        await check(lambda: connect(uri), expected)
        if answer == REFUSAL:

            async def entered() -> None:
                async with connect(uri):
                    pass

            async def reconnecting() -> None:
                async for _ in connect(uri):
                    pass

            await check(entered, expected)
            await check(reconnecting, expected)


async def test_hooks(connect: Any) -> None:
    class Refuses(pywscore.connect):
        def process_redirect(self, exc: Exception) -> Exception | str:
            return KeyError()

    class Raises(pywscore.connect):
        def process_redirect(self, exc: Exception) -> Exception | str:
            raise KeyError

    async with answering(REFUSAL) as port:
        for cls in (Refuses, Raises):
            make = functools.partial(cls, **connect.keywords)
            await check(functools.partial(make, f"ws://127.0.0.1:{port}/"), KeyError)

        def raises(exc: Exception) -> Exception:
            raise KeyError

        for process in (raises, lambda exc: KeyError()):

            async def reconnecting(process: Any = process) -> None:
                async for _ in connect(
                    f"ws://127.0.0.1:{port}/", process_exception=process
                ):
                    pass

            await check(reconnecting, KeyError)


async def test_nobody_there(connect: Any) -> None:
    await check(lambda: connect("ws://127.0.0.1:1/"), OSError)
    await check(lambda: connect("ws://localhost:1/"), OSError)
    await check(lambda: connect("wss://127.0.0.1:1/"), OSError)
    await check(lambda: connect("ws://h.invalid/", unix=True, path="/no"), OSError)

    async def reconnecting() -> None:
        async for _ in connect(
            "ws://127.0.0.1:1/", reconnect_delays=lambda: iter([0, 0])
        ):
            pass

    await check(reconnecting, OSError)  # the last one, when there are no more delays


async def test_socket_alone() -> None:
    loop = asyncio.get_running_loop()
    await check(lambda: connect_tcp(loop, "127.0.0.1", 1), OSError)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_silence(connect: Any, scheme: str) -> None:
    async with answering(None) as port:
        uri = f"{scheme}://127.0.0.1:{port}/"
        await check(lambda: connect(uri, open_timeout=0.05), TimeoutError)
        await check(lambda: connect(uri), asyncio.CancelledError, wait=0.05)
        await check(
            lambda: connect(uri, open_timeout=None), asyncio.CancelledError, wait=0.05
        )


async def test_tls_failures(environment: Any, connect: Any, certificates: Any) -> None:
    contexts: list[Any] = [True]
    if environment.carrier != "transport":
        contexts.append(pywscore.TLSContext.client())
    async with (
        answering("nonsense") as plain,
        answering(None, certificates.server) as not_trusted,
    ):
        for context in contexts:
            for port in (plain, not_trusted):
                uri = f"wss://127.0.0.1:{port}/"
                failing = functools.partial(connect, uri, ssl=context, open_timeout=0.3)
                await check(failing, OSError)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_proxies(connect: Any, scheme: str) -> None:
    uri = "ws://127.0.0.1:1/"
    async with answering(REFUSAL) as port, answering(None) as silent:
        here = f"{scheme}://127.0.0.1"
        await check(lambda: connect(uri, proxy=f"{here}:1"), OSError)
        refused = functools.partial(connect, uri, open_timeout=0.1)
        await check(lambda: refused(proxy=f"{here}:{port}"), Exception)
        await check(lambda: refused(proxy=f"{here}:{silent}"), TimeoutError)
        await check(
            lambda: connect(uri, proxy=f"{here}:{silent}"),
            asyncio.CancelledError,
            wait=0.05,
        )
        await check(
            lambda: connect(uri, proxy="http://h.invalid/x"), pywscore.InvalidProxy
        )


async def test_own_connections_that_fail(connect: Any) -> None:
    def fails(*args: Any, **kwargs: Any) -> Any:
        raise KeyError

    class Late(pywscore.ClientConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            raise KeyError

    async with (
        answering(REFUSAL) as port,
        answering("HTTP/1.1 200 OK\r\n\r\n") as proxy,
    ):
        uri = f"ws://127.0.0.1:{port}/"
        await check(lambda: connect(uri, create_connection=fails), KeyError)
        await check(lambda: connect(uri, create_connection=Late), KeyError)
        through = f"http://127.0.0.1:{proxy}"
        await check(
            lambda: connect(uri, create_connection=fails, proxy=through), KeyError
        )
