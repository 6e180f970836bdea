"""A client's socket that the engine gets without a transport of the loop's: the outcome
is that of ``loop.create_connection()``."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from waiting import until

from pywscore.asyncio import _tcp

pytestmark = [
    pytest.mark.every_environment,
    pytest.mark.usefixtures("on_engine"),
]

NO_HOST = "nowhere.invalid"  # RFC 6761 §6.4


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def info_of(address: str, port: int) -> Any:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    rest = (0, 0) if ":" in address else ()
    return family, socket.SOCK_STREAM, 6, "", (address, port, *rest)


def resolve_to(monkeypatch: Any, *infos: Any) -> None:
    """Whatever is asked for; by this loop, and by those of ``usual()``."""

    async def resolved(*_: Any, **__: Any) -> Any:
        return [*infos]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", resolved, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [*infos])


def sockets_by(monkeypatch: Any, make: Any) -> None:
    names = types.SimpleNamespace(**vars(socket))
    names.socket = make
    monkeypatch.setattr(_tcp, "socket", names)


async def outcome(making: Any) -> tuple[type[BaseException], Any, str]:
    with pytest.raises(OSError) as caught:
        await making
    return type(caught.value), caught.value.errno, str(caught.value)


async def usual(host: str, port: int) -> Any:
    """Of asyncio's own loop, whatever this one is: uvloop words it another way."""

    def attempt() -> Any:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(
                outcome(loop.create_connection(asyncio.Protocol, host, port))
            )
        finally:
            loop.close()

    return await asyncio.to_thread(attempt)


# --- as the loop does it ---


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_refused(connect: Any, host: str) -> None:
    port = free_port()
    part = f"[{host}]" if ":" in host else host
    found = await outcome(connect(f"ws://{part}:{port}", proxy=None))
    assert found == await usual(host, port)
    assert found[0] is ConnectionRefusedError


async def test_unreachable(connect: Any) -> None:
    """Known at once."""
    broadcast = "255.255.255.255"
    found = await outcome(connect(f"ws://{broadcast}:9", proxy=None))
    assert found == await usual(broadcast, 9)


async def test_no_reason_but_the_outcome() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(ConnectionRefusedError) as caught:
        await _tcp.connect_tcp(loop, "127.0.0.1", free_port())
    assert caught.value.__context__ is None


async def test_unknown_name(connect: Any) -> None:
    found = await outcome(connect(f"ws://{NO_HOST}", proxy=None))
    assert found[0] is socket.gaierror
    assert found == await usual(NO_HOST, 80)


@pytest.mark.parametrize(
    "addresses", [("127.0.0.1", "127.0.0.2"), ("127.0.0.1", "127.0.0.1"), ()]
)
async def test_no_address_answers(
    connect: Any, monkeypatch: Any, addresses: tuple[str, ...]
) -> None:
    port = free_port()
    resolve_to(monkeypatch, *(info_of(address, port) for address in addresses))
    found = await outcome(connect(f"ws://name:{port}", proxy=None))
    assert found == await usual("name", port)


async def test_second_address(
    serve: Any, connect: Any, echo: Any, monkeypatch: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        resolve_to(monkeypatch, info_of("127.0.0.2", port), info_of("127.0.0.1", port))
        async with connect(f"ws://name:{port}", proxy=None) as ws:
            assert ws.remote_address == ("127.0.0.1", port)
            await ws.send("hello")
            assert await ws.recv() == "hello"


async def test_an_address_is_not_asked_for(
    serve: Any, connect: Any, echo: Any, monkeypatch: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        resolve_to(monkeypatch, "nothing that could be used")
        async with connect(f"ws://127.0.0.1:{port}", proxy=None) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"


# --- by the loop itself ---


@pytest.mark.parametrize(
    "kwargs",
    [
        {"local_addr": ("127.0.0.1", 0)},
        {"family": socket.AF_INET},
        {"flags": socket.AI_NUMERICHOST},
    ],
    ids=lambda kwargs: next(iter(kwargs)),
)
async def test_what_is_said_of_the_way(
    serve: Any, connect: Any, echo: Any, kwargs: Any
) -> None:
    loop = asyncio.get_running_loop()
    assert _tcp.is_plain(loop, {"host": "h", "port": 1})
    assert not _tcp.is_plain(loop, {"host": "h", "port": 1, **kwargs})
    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", proxy=None, **kwargs) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"


async def test_method_of_somebodys_own(
    serve: Any, connect: Any, echo: Any, monkeypatch: Any
) -> None:
    loop = asyncio.get_running_loop()
    create, calls = loop.create_connection, 0

    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return await create(*args, **kwargs)

    monkeypatch.setattr(loop, "create_connection", counted, raising=False)
    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", proxy=None) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
    assert calls == 1


def test_loop_of_somebodys_own() -> None:
    class Loop(asyncio.SelectorEventLoop):
        async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError

    loop = Loop()
    try:
        assert not _tcp.is_plain(loop, {"host": "h", "port": 1})
    finally:
        loop.close()


# --- nothing is left ---


@contextlib.contextmanager
def unanswered() -> Iterator[int]:
    """The port of a listening socket that takes no more connections."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        for _ in range(3):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(("127.0.0.1", port))
        yield port


@pytest.mark.threat("HLF-1")
@pytest.mark.parametrize("how", ["timeout", "cancel"])
async def test_given_up(connect: Any, monkeypatch: Any, how: str) -> None:
    loop = asyncio.get_running_loop()
    made: list[socket.socket] = []
    real = socket.socket

    def record(*args: Any, **kwargs: Any) -> socket.socket:
        made.append(real(*args, **kwargs))
        return made[-1]

    with unanswered() as port, warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        sockets_by(monkeypatch, record)
        timeout = 0.1 if how == "timeout" else 60
        task = asyncio.create_task(
            connect(
                f"ws://127.0.0.1:{port}", proxy=None, open_timeout=timeout
            ).__aenter__()
        )
        await until(lambda: len(made) == 1)
        fd = made[0].fileno()
        await until(lambda: task.done() or how == "cancel")
        task.cancel()
        with pytest.raises((TimeoutError, asyncio.CancelledError)):
            await task
        assert made[0].fileno() == -1
        assert not loop.remove_writer(fd)
        monkeypatch.undo()
        gc.collect()


async def test_no_descriptor(connect: Any, monkeypatch: Any) -> None:
    def none(*_: Any) -> Any:
        raise OSError(24, os.strerror(24))

    sockets_by(monkeypatch, none)
    found = await outcome(connect("ws://127.0.0.1:9", proxy=None))
    assert found[1] == 24
