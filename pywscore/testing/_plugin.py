"""What pytest gets of pywscore.testing: fixtures, ``--ws-split``, and a look for what a
test leaves behind. It works with pytest-asyncio, anyio and any other runner: the
fixtures are functions that give asynchronous context managers."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from ..asyncio.client import ClientConnection, connect
from ..asyncio.connection import Connection
from ._faults import DEFAULTS, Faults
from ._link import FaultyLink
from ._memory import MemoryServer, Pair, connected, serve_in_memory

__all__ = ["ws_connect", "ws_faults", "ws_pair", "ws_server"]

# Seconds that tasks have to end after what they belong to.
GRACE = 1.0


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pywscore")
    group.addoption(
        "--ws-split",
        choices=["whole", "bytes", "random"],
        default="whole",
        help="in which pieces connections in memory get what was sent",
    )
    group.addoption(
        "--ws-seed", type=int, help="of what is random: the one that a test has shown"
    )


def pytest_configure(config: pytest.Config) -> None:
    DEFAULTS.split = config.getoption("--ws-split")


class Watch:
    """What a test has opened."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.tasks: set[str] = set()

    @contextlib.asynccontextmanager
    async def tasks_end(self) -> AsyncIterator[None]:
        """Tasks that begin in the block have to end with it."""
        before = asyncio.all_tasks()
        yield
        left = asyncio.all_tasks() - before
        if left:
            _, left = await asyncio.wait(left, timeout=GRACE)
        self.tasks.update(map(repr, left))

    def problems(self) -> list[str]:
        open_ones = [repr(ws) for ws in self.connections if not ws._lost]
        return [
            *(f"a connection is left open: {ws}" for ws in open_ones),
            *(f"a task is left running: {task}" for task in sorted(self.tasks)),
        ]


@pytest.fixture
def _ws_watch(request: pytest.FixtureRequest) -> Iterator[Watch]:
    seed = request.config.getoption("--ws-seed")
    DEFAULTS.seed = random.getrandbits(32) if seed is None else seed
    request.node.add_report_section("setup", "pywscore", f"--ws-seed={DEFAULTS.seed}")
    watch = Watch()
    yield watch
    if problems := watch.problems():
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def ws_pair(_ws_watch: Watch) -> Callable[..., AbstractAsyncContextManager[Pair]]:
    """``connected()``: ``async with ws_pair() as (client, server)``."""

    @contextlib.asynccontextmanager
    async def pair(**arguments: Any) -> AsyncIterator[Pair]:
        async with _ws_watch.tasks_end(), connected(**arguments) as ends:
            _ws_watch.connections += ends
            yield ends

    return pair


@pytest.fixture
def ws_server(
    _ws_watch: Watch,
) -> Callable[..., AbstractAsyncContextManager[MemoryServer]]:
    """``serve_in_memory()``: ``async with ws_server(handler) as server``."""

    @contextlib.asynccontextmanager
    async def server(
        handler: Any = None, **arguments: Any
    ) -> AsyncIterator[MemoryServer]:
        async with (
            _ws_watch.tasks_end(),
            serve_in_memory(handler, **arguments) as listening,
        ):
            yield listening

    return server


@pytest.fixture
def ws_connect(
    _ws_watch: Watch,
) -> Callable[..., AbstractAsyncContextManager[ClientConnection]]:
    """``connect()`` to a real server, without a proxy: ``async with
    ws_connect(uri)``."""

    @contextlib.asynccontextmanager
    async def client(uri: str, **arguments: Any) -> AsyncIterator[ClientConnection]:
        arguments.setdefault("proxy", None)
        async with _ws_watch.tasks_end(), connect(uri, **arguments) as ws:
            _ws_watch.connections.append(ws)
            yield ws

    return client


@pytest.fixture
def ws_faults(_ws_watch: Watch) -> Callable[..., FaultyLink]:
    """``FaultyLink()`` of one direction's faults, or of both: ``ws_faults(to_client=
    Faults(reset_at=300))``; with keyword arguments of ``Faults``, the same in both."""

    def link(
        to_server: Faults | None = None,
        to_client: Faults | None = None,
        **both: Any,
    ) -> FaultyLink:
        if both:
            to_server = to_server or Faults(**both)
            to_client = to_client or Faults(**both)
        return FaultyLink(to_server, to_client)

    return link
