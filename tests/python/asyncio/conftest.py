"""Coroutine functions are tests here: each runs in every environment below.

The tests get ``serve`` and ``connect``
from fixtures, so that they run over that carrier.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import coroutines
import pytest
import trustme
from environments import LOOPS, Environment, environments_of
from peers import ACCEPT, REQUEST, accept_response, head_of
from tls_peer import KINDS, Certificates, Files

import pywscore
from pywscore.asyncio import Server, ServerConnection
from pywscore.testing import Pair, ScriptedPeer, connected


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = metafunc.fixturenames
    if inspect.iscoroutinefunction(metafunc.function) and "environment" not in names:
        names.append("environment")
    if "environment" in names:
        every = environments_of(metafunc)
        metafunc.parametrize("environment", every, indirect=True, ids=str)
    marks = metafunc.definition.iter_markers("parametrize")
    if "files" in names and not any(mark.args[0] == "files" for mark in marks):
        kinds = getattr(metafunc.module, "KINDS", KINDS)
        metafunc.parametrize("files", kinds, indirect=True)


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
    environment = pyfuncitem.callspec.params["environment"]
    return coroutines.run(pyfuncitem, LOOPS[environment.loop])


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


@pytest.fixture
def pair(
    environment: Environment, _ws_watch: Any
) -> Callable[..., contextlib.AbstractAsyncContextManager[Pair]]:
    """Both ends of one connection; arguments for serve() and connect() as dicts."""

    def pair(
        server: dict[str, Any] | None = None,
        client: dict[str, Any] | None = None,
        **both: Any,
    ) -> contextlib.AbstractAsyncContextManager[Pair]:
        both.setdefault("close_timeout", 1)
        in_memory = environment.carrier == "memory"
        if not in_memory:
            both["carrier"] = environment.carrier
        return connected(
            server=both | (server or {}),
            client=both | (client or {}),
            tcp=not in_memory,
        )

    return pair


@pytest.fixture
def over_tcp() -> None:
    """Keeps ``pair`` out of memory: the test is of sockets."""


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


@pytest.fixture(name="echo")
def _echo() -> Callable[..., Any]:
    return echo


@pytest.fixture(scope="module")
def files(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Files:
    """Of each of KINDS, or of a module's own."""
    return Files(tmp_path_factory.mktemp("tls"), request.param)


@pytest.fixture
def on_engine(environment: Any) -> None:
    if environment.carrier == "transport":
        pytest.skip("elsewhere: the loop's own TLS")


@pytest.fixture
def only_auto(request: pytest.FixtureRequest) -> None:
    """For modules in which not each test has an environment."""
    if "environment" in request.fixturenames:
        request.getfixturevalue("on_engine")


@pytest.fixture
def of_the_carrier(environment: Any, files: Files) -> None:
    if environment.carrier == "transport" and files.kind == "TLSContext":
        pytest.skip("elsewhere: TLSContext is the engine's")


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


@pytest.fixture
def raw_client() -> Callable[..., contextlib.AbstractAsyncContextManager[ScriptedPeer]]:
    """A client that asks for a connection (unless path is None) as bytes."""

    @contextlib.asynccontextmanager
    async def raw_client(
        server: Server, path: str | None = "/", extra: str = "", **kwargs: Any
    ) -> AsyncIterator[ScriptedPeer]:
        host, port = server.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port, **kwargs)
        peer = ScriptedPeer(reader, writer, client=True)
        try:
            if path is not None:
                writer.write(REQUEST.format(path=path, extra=extra).encode())
                head = await head_of(peer)
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

    The script gets a ScriptedPeer and the request's head.
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
            peer = ScriptedPeer(reader, writer, client=False)
            try:
                await script(peer, await head_of(peer))
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


@pytest.fixture(name="accept_response")
def _accept_response() -> Callable[..., bytes]:
    return accept_response
