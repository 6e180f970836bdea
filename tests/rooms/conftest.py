"""Coroutine functions are tests here, and hubs are joined by each kind of broker."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import servers

import pywscore
from pywscore.rooms import Hub

TEST_TIMEOUT = float(os.environ.get("PYWSCORE_TEST_TIMEOUT", "30"))  # seconds
BROKERS = ["memory", "redis", "several", "sentinel", "cluster"]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {
        name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames
    }
    problems: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(context))
        async with asyncio.timeout(TEST_TIMEOUT):
            await pyfuncitem.obj(**arguments)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            _, left = await asyncio.wait(left, timeout=1)
        assert not left, left

    asyncio.run(main())
    assert not problems, problems
    return True


def needs_redis() -> None:
    if servers.PROGRAM is None:
        if "CI" in os.environ:
            pytest.fail("redis-server is missing")
        pytest.skip("needs redis-server")
    pytest.importorskip("redis")


@pytest.fixture(scope="session")
def redis() -> Iterator[servers.Redis]:
    """One that no test harms."""
    needs_redis()
    with servers.Redis() as server:
        yield server


@pytest.fixture(scope="session")
def second_redis() -> Iterator[servers.Redis]:
    needs_redis()
    with servers.Redis() as server:
        yield server


@pytest.fixture(scope="session")
def sentinel() -> Iterator[str]:
    needs_redis()
    with servers.with_sentinel() as (_, _, sentinel):
        yield sentinel.url


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    needs_redis()
    with servers.cluster() as url:
        yield url


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str | list[str]:
    """What a Hub takes."""
    match request.param:
        case "memory":
            return f"memory://{secrets.token_hex(4)}"
        case "redis":
            return str(request.getfixturevalue("redis").url)
        case "several":
            names = ("redis", "second_redis")
            return [request.getfixturevalue(name).url for name in names]
    return str(request.getfixturevalue(request.param))


Hubs = Callable[..., contextlib.AbstractAsyncContextManager[list[Hub]]]


@contextlib.asynccontextmanager
async def hubs_of(
    url: Any, count: int = 2, **arguments: Any
) -> AsyncIterator[list[Hub]]:
    """Nodes with rooms of their own."""
    prefix = f"test-{secrets.token_hex(4)}"
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Hub(url, prefix=prefix, **arguments))
            for _ in range(count)
        ]


@pytest.fixture
def hubs(broker: str | list[str]) -> Hubs:
    return lambda count=2, **arguments: hubs_of(broker, count, **arguments)


class Client:
    """A client whose connection at the server is at hand."""

    def __init__(
        self, ws: pywscore.ClientConnection, server: pywscore.ServerConnection
    ) -> None:
        self.ws = ws
        self.server = server

    async def recv(self, seconds: float = 5) -> Any:
        async with asyncio.timeout(seconds):
            return await self.ws.recv()

    async def recv_many(self, count: int) -> list[Any]:
        return [await self.recv() for _ in range(count)]


class Server:
    """Gives connections to members."""

    def __init__(self, port: int, accepted: asyncio.Queue[Any]) -> None:
        self.port = port
        self._accepted = accepted
        self.stack = contextlib.AsyncExitStack()

    async def client(self, **arguments: Any) -> Client:
        arguments = {"proxy": None, "close_timeout": 1, **arguments}
        ws = await self.stack.enter_async_context(
            pywscore.connect(f"ws://127.0.0.1:{self.port}", **arguments)
        )
        return Client(ws, await self._accepted.get())

    async def clients(self, count: int, **arguments: Any) -> list[Client]:
        return [await self.client(**arguments) for _ in range(count)]


@contextlib.asynccontextmanager
async def serving(**arguments: Any) -> AsyncIterator[Server]:
    accepted: asyncio.Queue[Any] = asyncio.Queue()

    async def handler(ws: pywscore.ServerConnection) -> None:
        accepted.put_nowait(ws)
        await ws.wait_closed()

    arguments = {"close_timeout": 1, **arguments}
    async with pywscore.serve(handler, "127.0.0.1", 0, **arguments) as running:
        server = Server(running.sockets[0].getsockname()[1], accepted)
        async with server.stack:
            yield server


@pytest.fixture(name="serving")
def _serving() -> Any:
    return serving


@pytest.fixture(name="hubs_of")
def _hubs_of() -> Any:
    return hubs_of
