"""SSLObjects of subclasses, and callbacks of a context, that do anything (BOR-2)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import ssl
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from nesting import NestingLoop, comes_back
from peers import REQUEST, frame
from tls_peer import Files, TLSPeer, exchange
from waiting import until

import pywscore
from pywscore import ConnectionClosedError

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs the engine"),
    pytest.mark.usefixtures("only_auto"),
]
KINDS = ["SSLContext"]

HEAD = REQUEST.format(path="/", extra="").encode()
MIB = 1 << 20


class Purpose(Exception):
    """Raised on purpose."""


class Odd(BaseException):
    """The same, and no Exception."""


def hooked(context: ssl.SSLContext, method: str, act: Callable[[], Any]) -> Any:
    """``context`` with SSLObjects that call ``act`` in ``method``, once it was called:
    a list that says how often."""
    calls: list[Any] = []

    class Hooked(ssl.SSLObject):
        pass

    def call(self: Any, *args: Any) -> Any:
        result = getattr(ssl.SSLObject, method)(self, *args)
        calls.append(result)
        act()
        return result

    setattr(Hooked, method, call)
    context.sslobject_class = Hooked
    return calls


async def test_methods_of_a_subclass_are_called(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    context, client = files.server(), files.client()
    read = hooked(context, "read", lambda: None)
    written = hooked(client, "write", lambda: None)
    async with serve(
        echo, "127.0.0.1", 0, ssl=context, max_size=2 * MIB, compression=None
    ) as server:
        uri = uri_of(server, scheme="wss")
        async with connect(uri, ssl=client, max_size=2 * MIB, compression=None) as ws:
            await exchange(ws)
    assert sum(read) == sum(written) > MIB
    assert max(written) == 16384


async def test_nothing_is_read_in_vain(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    """Of a stream, however the records come."""
    calls = failures = 0

    class Counted(ssl.SSLObject):
        def read(self, *args: Any) -> Any:
            nonlocal calls, failures
            calls += 1
            try:
                return super().read(*args)
            except ssl.SSLWantReadError:
                failures += 1
                raise

    context = files.client()
    context.sslobject_class = Counted
    data = bytes(range(256)) * (8 * MIB // 256)
    options: Any = {"max_size": 8 * MIB, "compression": None}
    async with serve(echo, "127.0.0.1", 0, ssl=files.server(), **options) as server:
        uri = uri_of(server, scheme="wss")
        async with connect(uri, ssl=context, **options) as ws:
            await ws.send("before")
            assert await ws.recv() == "before"
            calls = failures = 0
            await ws.send(data)
            assert await ws.recv() == data
            assert calls >= len(data) // 16384
            assert failures == 0


@pytest.mark.parametrize("place", ["class", "object"])
@pytest.mark.parametrize("method", ["read", "write"])
async def test_method_that_is_replaced(
    serve: Any,
    connect: Any,
    uri_of: Any,
    echo: Any,
    files: Files,
    place: str,
    method: str,
) -> None:
    """What is set in the middle of a conversation counts."""
    calls = 0

    class Changing(ssl.SSLObject):
        pass

    context = files.client()
    context.sslobject_class = Changing
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        async with connect(uri_of(server, scheme="wss"), ssl=context) as ws:
            await ws.send("before")
            assert await ws.recv() == "before"
            tls = ws.transport.get_extra_info("ssl_object")
            usual = getattr(tls, method)

            def counted(*args: Any) -> Any:
                nonlocal calls
                calls += 1
                return usual(*args[-2 if method == "read" else -1 :])

            setattr(Changing if place == "class" else tls, method, counted)
            await ws.send("after")
            assert await ws.recv() == "after"
            assert calls > 0


def act_on(ws: Any, action: str) -> Any:
    if action == "raise":
        raise Purpose
    if action == "odd":
        raise Odd
    if action == "abort":
        ws.transport.abort()
    elif action == "close":
        ws.transport.close()
    elif action == "send":
        ws.send_nowait(b"z" * 100_000)
    elif action == "collect":
        gc.collect()
    return None


ACTIONS = ["raise", "odd", "abort", "close", "send", "collect"]


@pytest.mark.threat("LIF-1")
@pytest.mark.parametrize("method", ["read", "write"])
@pytest.mark.parametrize("action", ACTIONS)
async def test_what_happens_in_read_and_write(
    serve: Any, connect: Any, uri_of: Any, files: Files, method: str, action: str
) -> None:
    """In the middle of a conversation; the server serves others afterwards."""
    chosen: list[Any] = []
    ended: list[Any] = []

    async def handler(ws: Any) -> None:
        tls = ws.transport.get_extra_info("ssl_object")
        try:
            async for message in ws:
                if message == "now":
                    chosen.append((ws, tls))
                await ws.send(message)
            ended.append(None)
        except ConnectionClosedError as exc:
            ended.append(exc.__cause__)

    def act() -> None:
        if chosen:
            ws, _ = chosen.pop()
            act_on(ws, action)

    context = files.server()
    hooked(context, method, act)
    async with serve(handler, "127.0.0.1", 0, ssl=context, close_timeout=1) as server:
        uri = uri_of(server, scheme="wss")
        async with connect(uri, ssl=files.client(), close_timeout=1) as ws:
            await ws.send("before")
            assert await ws.recv() == "before"
            got = []
            with contextlib.suppress(ConnectionClosedError):
                for message in ("now", "after"):
                    await ws.send(message)
                    while message not in got:
                        got.append(await ws.recv())
        if action in ("send", "collect"):
            sent = [b"z" * 100_000] if action == "send" else []
            assert sorted(got, key=len) == ["now", "after", *sent]
        else:
            assert "after" not in got
        async with connect(uri, ssl=files.client()) as other:
            await other.send("still")
            assert await other.recv() == "still"
    assert not chosen
    if action == "raise":
        assert isinstance(ended[0], Purpose)
    if action == "odd":
        assert isinstance(ended[0], RuntimeError)
        assert isinstance(ended[0].__cause__, Odd)


@pytest.mark.threat("LIF-1")
@pytest.mark.parametrize("action", ["raise", "odd", "abort", "close", "shutdown"])
@pytest.mark.parametrize("place", ["sni", "do_handshake", "wrap_bio"])
async def test_what_happens_in_a_handshake(
    serve: Any,
    connect: Any,
    uri_of: Any,
    echo: Any,
    files: Files,
    action: str,
    place: str,
) -> None:
    """Of a server; it accepts others afterwards, and leaves nothing behind."""
    armed = [True]
    servers: list[Any] = []
    seen: list[Any] = []
    loop = asyncio.get_running_loop()
    problems: list[Any] = []
    handler = loop._exception_handler  # type: ignore[attr-defined]
    loop.set_exception_handler(lambda _, context: problems.append(context))

    def act() -> None:
        if not armed:
            return
        armed.clear()
        (server,) = servers
        if action == "shutdown":
            server.close()
            return
        seen.extend(map(weakref.ref, server._all))
        if not seen or action in ("raise", "odd"):
            act_on(None, action if seen else "raise")
        else:
            act_on(seen[0](), action)

    context = files.server()
    if place == "sni":
        context.sni_callback = lambda *_: act()
    elif place == "do_handshake":
        hooked(context, "do_handshake", act)
    else:

        class Wrapping(ssl.SSLContext):
            def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
                act()
                return super().wrap_bio(*args, **kwargs)

        context = Wrapping(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.chain)
    unraisable: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        # Records of a log have the connection that they are of.
        async with serve(
            echo, "127.0.0.1", 0, ssl=context, logger=logging.Logger("nobody's")
        ) as server:
            servers.append(server)
            uri = uri_of(server, scheme="wss")
            with contextlib.suppress(OSError, pywscore.InvalidHandshake):
                await connect(uri, ssl=files.client(), open_timeout=2)
            assert not armed
            if action != "shutdown":
                async with connect(uri, ssl=files.client()) as ws:
                    await ws.send("still")
                    assert await ws.recv() == "still"
                await until(lambda: not server._all)
    finally:
        sys.unraisablehook = hook
        loop.set_exception_handler(handler)
    unraisable.clear()
    # What can't get a connection is the loop's to report, as in asyncio.
    assert [type(it["exception"]) for it in problems] == (
        [Purpose] if place == "wrap_bio" and action != "shutdown" else []
    )
    problems.clear()
    gc.collect()
    assert [ref() for ref in seen if ref() is not None] == []


@pytest.mark.parametrize("action", ["raise", "odd", "abort"])
async def test_what_happens_in_a_clients_handshake(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files, action: str
) -> None:
    client = files.client()
    count = 0

    def act() -> None:
        nonlocal count
        count += 1
        if action == "abort":
            raise ConnectionAbortedError
        act_on(None, action)

    hooked(client, "do_handshake", act)
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        expected = {
            "raise": Purpose,
            "odd": RuntimeError,
            "abort": (ConnectionAbortedError, pywscore.InvalidMessage),
        }
        with pytest.raises(expected[action]):
            await connect(uri_of(server, scheme="wss"), ssl=client)
    assert count == 1


@pytest.mark.parametrize("answer", ["too much", "nothing"])
@pytest.mark.parametrize("method", ["read", "write"])
async def test_sizes_that_are_not_true(
    serve: Any,
    connect: Any,
    uri_of: Any,
    echo: Any,
    files: Files,
    answer: Any,
    method: str,
) -> None:
    """Of a subclass: more than there was, or less than could be."""

    class Lying(ssl.SSLObject):
        def read(self, *args: Any) -> Any:
            got = super().read(*args)
            return got if method != "read" else 1 << 40 if answer[0] == "t" else -3

        def write(self, *args: Any) -> Any:
            done = super().write(*args)
            return done if method != "write" else 1 << 40 if answer[0] == "t" else 0

    context = files.server()
    context.sslobject_class = Lying
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        with pytest.raises((pywscore.InvalidMessage, ConnectionClosedError)):
            async with connect(uri_of(server, scheme="wss"), ssl=files.client()) as ws:
                await ws.recv()


async def test_a_write_that_takes_a_part(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    class Slow(ssl.SSLObject):
        def write(self, data: Any) -> int:
            return super().write(data[:1000])

    client = files.client()
    client.sslobject_class = Slow
    async with serve(
        echo, "127.0.0.1", 0, ssl=files.server(), max_size=2 * MIB
    ) as server:
        async with connect(
            uri_of(server, scheme="wss"), ssl=client, max_size=2 * MIB
        ) as ws:
            await exchange(ws)


@pytest.mark.threat("BOR-2")
def test_a_loop_inside_of_callbacks(files: Files) -> None:
    """It serves the other connections, in memory that nobody else reads from:
    handshakes and messages of several clients, in each other's calls."""
    nested = 0

    async def echo(ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    async def client(uri: str, number: int) -> None:
        tls = files.client()
        for _ in range(3):
            async with pywscore.connect(
                uri, ssl=tls, proxy=None, compression=None
            ) as ws:
                await comes_back(ws, number)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        depth = 0

        def nest() -> None:
            nonlocal depth, nested
            if depth < 3:
                depth += 1
                nested += 1
                loop.nest(2)
                depth -= 1

        context = files.server()
        context.sni_callback = lambda *_: nest()
        hooked(context, "read", nest)
        async with pywscore.serve(echo, "127.0.0.1", 0, ssl=context) as server:
            uri = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            async with asyncio.timeout(20):
                await asyncio.gather(*(client(uri, number) for number in range(4)))

    with asyncio.Runner(loop_factory=NestingLoop) as runner:
        runner.run(main())
    assert nested > 50


# What comes meanwhile


def nesting(main: Callable[[], Any]) -> None:
    with asyncio.Runner(loop_factory=NestingLoop) as runner:
        runner.run(main())


@pytest.mark.threat("BOR-2")
@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
@pytest.mark.parametrize("method", ["write", "unwrap"])
def test_what_comes_while_this_end_ends(
    files: Files, method: str, before: bool
) -> None:
    """In a loop that write() or unwrap() of the end runs, ``before`` OpenSSL's part or
    after it: it is received then."""
    context = files.server()
    got: list[Any] = []
    come: list[Callable[[], None]] = []

    async def handler(ws: Any) -> None:
        got.append(await ws.recv())
        await ws.send("last")
        ws.transport.write_eof()
        got.append(await ws.recv())
        got.append(await ws.recv())

    def act() -> None:
        if got and come:
            come.pop()()
            loop: Any = asyncio.get_running_loop()
            loop.nest(5)

    class Acting(ssl.SSLObject):
        pass

    def call(self: Any, *args: Any) -> Any:
        if before:
            act()
        try:
            return getattr(ssl.SSLObject, method)(self, *args)
        finally:
            act()

    setattr(Acting, method, call)
    context.sslobject_class = Acting

    async def main() -> None:
        async with pywscore.serve(
            handler, "127.0.0.1", 0, ssl=context, compression=None
        ) as server:
            peer = await TLSPeer.open(server, files.python_client())
            await peer.handshake()
            peer.write(HEAD)
            peer.flush()
            await peer.read_until(b"\r\n\r\n")

            def send() -> None:
                peer.write(frame(1, b"two", mask=True))
                peer.write(frame(1, b"three", mask=True))
                peer.flush()

            come.append(send)
            peer.write(frame(1, b"one", mask=True))
            peer.flush()
            await until(lambda: got == ["one", "two", "three"])
            peer.writer.close()

    nesting(main)


@pytest.mark.threat("BOR-2")
def test_what_was_read_before_the_loop_was_left(files: Files) -> None:
    """read() raises what leaves the loop: messages before that are received."""
    got: list[Any] = []
    reads = 0

    async def handler(ws: Any) -> None:
        with contextlib.suppress(ConnectionClosedError):
            async for message in ws:
                got.append(message)
        got.append(ws.close_code)

    class Leaving(ssl.SSLObject):
        def read(self, *args: Any) -> Any:
            nonlocal reads
            result = super().read(*args)
            reads += got == ["one"]
            if reads == 2:
                raise KeyboardInterrupt
            return result

    async def main() -> None:
        context = files.server()
        context.sslobject_class = Leaving
        server = await pywscore.serve(
            handler, "127.0.0.1", 0, ssl=context, compression=None
        )
        peer = await TLSPeer.open(server, files.python_client())
        await peer.handshake()
        peer.write(HEAD)
        peer.write(frame(1, b"one", mask=True))
        peer.flush()
        await until(lambda: got == ["one"])
        for message in (b"two", b"three"):
            peer.write(frame(1, message, mask=True))
        peer.flush()
        await until(lambda: len(got) == 3)
        peer.writer.close()
        server.close()
        await server.wait_closed()

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        task = loop.create_task(main())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(task)
        loop.run_until_complete(task)
    assert got == ["one", "two", 1006]


@pytest.mark.threat("BOR-2")
@pytest.mark.parametrize("carrier", ["auto", "transport"])
def test_what_others_receive_in_a_read(files: Files, carrier: Any) -> None:
    """It isn't what that read has received."""
    got: list[Any] = []
    first: list[bytes] = []
    others: list[TLSPeer] = []

    async def handler(ws: Any) -> None:
        with contextlib.suppress(ConnectionClosedError):
            while True:
                got.append(await ws.recv())

    class Acting(ssl.SSLObject):
        def read(self, *args: Any) -> Any:
            result = super().read(*args)
            if first and first[0] in (bytes(args[1]) if len(args) > 1 else result):
                first.clear()
                for other in others:
                    other.write(frame(2, b"B" * 1000, mask=True))
                    other.flush()
                loop: Any = asyncio.get_running_loop()
                loop.nest(8)
            return result

    async def main() -> None:
        context = files.server()
        context.sslobject_class = Acting
        async with pywscore.serve(
            handler, "127.0.0.1", 0, ssl=context, carrier=carrier, compression=None
        ) as server:
            peers = [
                await TLSPeer.open(server, files.python_client()) for _ in range(4)
            ]
            for peer in peers:
                await peer.handshake()
                peer.write(HEAD)
                peer.flush()
                await peer.read_until(b"\r\n\r\n")
            others.extend(peers[1:])
            first.append(b"A" * 1000)
            peers[0].write(frame(2, b"A" * 1000, mask=True))
            peers[0].flush()
            await until(lambda: len(got) == 4)
            assert sorted(got) == [b"A" * 1000, *[b"B" * 1000] * 3]
            for peer in peers:
                peer.writer.close()

    nesting(main)
    assert not first
