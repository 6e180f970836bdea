"""Listening that fails, is tried again, and never without the TLS it was to have."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from tls_peer import Files
from waiting import until

import pywscore
from pywscore.asyncio._workers import run

pytestmark = pytest.mark.every_environment


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def busy() -> Any:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as sock:
        yield sock


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.threat("SEC-1")
@pytest.mark.parametrize("kind", ["TLSContext", "SSLContext"])
async def test_tls_is_there_at_the_second_try(
    environment: Any, files: Files, echo: Any, busy: Any, kind: str
) -> None:
    carrier = environment.carrier if kind == "SSLContext" else "auto"
    port = busy.getsockname()[1]
    ours = files.server() if kind == "TLSContext" else files.python_server()
    theirs = files.python_client()
    server = pywscore.serve(
        echo, "127.0.0.1", port, ssl=ours, carrier=carrier, open_timeout=1
    )
    for _ in range(3):
        with pytest.raises(OSError):
            await server
    busy.close()
    async with server:
        with pytest.raises((OSError, pywscore.InvalidHandshake)):
            await pywscore.connect(f"ws://127.0.0.1:{port}/", proxy=None)
        uri = f"wss://127.0.0.1:{port}/"
        async with pywscore.connect(uri, ssl=theirs, proxy=None) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"


@pytest.mark.threat("SEC-1")
async def test_all_arguments_are_there_at_the_second_try(
    serve: Any, echo: Any, busy: Any, uri_of: Any, tmp_path: Path, environment: Any
) -> None:
    port = busy.getsockname()[1]
    server = serve(echo, "127.0.0.1", port, start_serving=False)
    path = tmp_path / "missing" / "socket"
    local = pywscore.unix_serve(echo, path, carrier=environment.carrier)
    if environment.loop == "asyncio":  # uvloop's binds when it listens
        with pytest.raises(OSError):
            await server
    with pytest.raises(OSError):
        await local
    busy.close()
    path.parent.mkdir()
    async with server, local:
        assert not server.is_serving()
        await server.start_serving()
        async with pywscore.connect(uri_of(server), proxy=None) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
        async with pywscore.unix_connect(path) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"


async def test_hosts_of_an_iterator(
    serve: Any, echo: Any, busy: Any, uri_of: Any
) -> None:
    server = serve(echo, iter(["127.0.0.1"]), busy.getsockname()[1])
    with pytest.raises(OSError):
        await server
    busy.close()
    async with server, pywscore.connect(uri_of(server), proxy=None) as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"


@pytest.mark.threat("SEC-1")
async def test_connect_again(
    environment: Any, files: Files, echo: Any, busy: Any
) -> None:
    """With TLS, that of TLSContext too, whatever the tries before came to."""
    port = busy.getsockname()[1]
    client = pywscore.connect(
        f"wss://127.0.0.1:{port}/", ssl=files.client(), proxy=None, open_timeout=0.2
    )
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await client
    busy.close()
    for _ in range(2):
        with pytest.raises(OSError):
            await client
    client.open_timeout = 5
    serve = pywscore.serve(
        echo,
        "127.0.0.1",
        port,
        ssl=files.python_server(),
        carrier=environment.carrier,
    )
    async with serve:
        for _ in range(2):
            async with client as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"


async def test_two_that_start_it_get_one(serve: Any, echo: Any) -> None:
    server = serve(echo, "127.0.0.1", 0)
    made = []
    create = server._create_server

    async def counting() -> Any:
        made.append(await create())
        return made[-1]

    server._create_server = counting
    first, second = await asyncio.gather(server.__aenter__(), server.__aenter__())
    assert first is second is server
    assert len(made) == 1
    server.close()
    await server.wait_closed()


@pytest.mark.threat("HLF-1")
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("shared", [False, True])
async def test_what_cannot_be_listened_on_is_let_go(
    serve: Any, echo: Any, connect: Any, uri_of: Any, environment: Any, shared: bool
) -> None:
    """It is bound, and another listens there: that is seen by listen()."""
    if shared and environment.loop == "uvloop":
        pytest.skip(
            "elsewhere: what uvloop has made of the caller's socket goes by and by"
        )
    first, second = socket.socket(), socket.socket()
    for sock in first, second:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with first, second:
        first.bind(("127.0.0.1", 0))
        address = first.getsockname()
        if shared:
            second.bind(address)
            server = serve(echo, sock=second)
        else:
            server = serve(echo, *address)
        first.listen()
        before = descriptors()
        for _ in range(3):
            with pytest.raises(OSError):
                await server
        # An engine is there for good, with its bell and a spare one.
        await until(lambda: descriptors() <= before + 3)
        again = descriptors()
        with pytest.raises(OSError):
            await server
        await until(lambda: descriptors() <= again)
        first.close()
        async with server, connect(uri_of(server)) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"


def test_workers_get_all_that_the_check_looked_at(monkeypatch: Any) -> None:
    """Arguments may be iterators: what is checked first doesn't take them away."""
    seen: list[Any] = []
    monkeypatch.setattr(
        "pywscore.asyncio._fleet.Fleet.run",
        lambda fleet, *args: seen.append(fleet.plan) or 0,
    )
    run(
        None,
        iter(["127.0.0.1"]),  # type: ignore[arg-type]
        0,
        workers=2,
        listener=object,
        subprotocols=iter(["chat"]),
        origins=(name for name in ["https://a.example"]),
    )
    plan = seen[0]
    for _ in range(2):
        assert list(plan.host) == ["127.0.0.1"]
        assert list(plan.arguments["subprotocols"]) == ["chat"]
        assert list(plan.arguments["origins"]) == ["https://a.example"]


@pytest.mark.threat("SEC-1")
async def test_origins_of_an_iterator(serve: Any, echo: Any, uri_of: Any) -> None:
    allowed = (name for name in ["https://a.example"])
    async with serve(echo, "127.0.0.1", 0, origins=allowed) as server:
        for _ in range(2):
            async with pywscore.connect(
                uri_of(server), origin="https://a.example", proxy=None
            ) as ws:
                assert ws.response.status_code == 101


async def test_accepting_over_tls_goes_on_when_there_are_descriptors_again(
    serve: Any,
    connect: Any,
    echo: Any,
    uri_of: Any,
    certificates: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    accept = socket.socket.accept
    failures = [errno.EMFILE, errno.ENOBUFS]

    def fail(sock: socket.socket) -> Any:
        if failures:
            raise OSError(failures.pop(0), "on purpose")
        return accept(sock)

    monkeypatch.setattr("pywscore.asyncio._acceptor.ACCEPT_PAUSE", 0.01)
    monkeypatch.setattr(socket.socket, "accept", fail)
    # The engine accepts in C.
    async with serve(
        echo, "127.0.0.1", 0, ssl=certificates.server, carrier="transport"
    ) as server:
        uri = uri_of(server, scheme="wss")
        async with connect(uri, ssl=certificates.client) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
    said = [text for text in caplog.messages if text.startswith("can't accept")]
    assert said == [f"can't accept connections: {it}" for it in ("EMFILE", "ENOBUFS")]


async def test_a_connection_that_no_task_can_be_made_for(
    serve: Any,
    connect: Any,
    echo: Any,
    uri_of: Any,
    certificates: Any,
) -> None:
    """It is closed, its place is free again, and others are served."""
    loop = asyncio.get_running_loop()
    problems: list[str] = []
    loop.set_exception_handler(
        lambda _, context: problems.append(repr(context["exception"]))
    )

    def fail(loop: Any, coroutine: Any, **kwargs: Any) -> Any:
        if coroutine.__name__ == "_open":
            loop.set_task_factory(None)
            raise RuntimeError("on purpose")
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    async with serve(
        *(echo, "127.0.0.1", 0),
        ssl=certificates.server,
        max_connections=1,
        carrier="transport",  # the engine makes no task before the request
    ) as server:
        loop.set_task_factory(fail)
        # A reset, or the end before it.
        with pytest.raises((OSError, pywscore.InvalidMessage)):
            await connect(uri_of(server, scheme="wss"), ssl=certificates.client)
        assert problems == ["RuntimeError('on purpose')"]
        uri = uri_of(server, scheme="wss")
        async with connect(uri, ssl=certificates.client) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
