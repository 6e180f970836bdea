"""Threads that do everything at once: python thread_load.py [threads [rounds [PEM]]].

Each thread has a loop of its own with servers and clients; besides, threads share
sans-IO objects, drop each other's connections and use them where they must not. For the
race detector of a free-threaded Python, and without one for what comes of it. PEM is
a certificate and its key: with one, TLS is used, by contexts that all threads share.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pywscore
from pywscore import _core
from pywscore.asyncio._options import receive_buffer, timers

HOST = "127.0.0.1"
LIMIT = 300  # seconds, for whatever may hang
SEVERAL = 3  # clients of a server
TEXT = "äöü and something that can be compressed " * 8
MESSAGES: list[str | bytes] = [
    *("", "short", TEXT, "x" * 70_000),
    *(b"", b"\x00\xff" * 50, bytes(200_000)),
]
NO_TAKEOVER = pywscore.PerMessageDeflate(
    server_no_context_takeover=True, client_no_context_takeover=True
)
# Of each thread a connection that the next one tries to use.
lent: list[Any] = []
# What another thread lets go of, at times of its own.
dropped: queue.SimpleQueue[Any] = queue.SimpleQueue()


async def echo(ws: Any) -> None:
    async for message in ws:
        await ws.send(message)


def uri_of(server: Any, scheme: str = "ws") -> str:
    return f"{scheme}://{HOST}:{server.sockets[0].getsockname()[1]}"


async def check_echo(uri: str, **options: Any) -> None:
    async with pywscore.connect(uri, **options) as ws:
        for message in MESSAGES:
            await ws.send(message)
            assert await ws.recv() == message
        await (await ws.ping())
    dropped.put(ws)


async def check_echoes(compression: Any, carrier: str = "auto") -> None:
    options: dict[str, Any] = {"compression": compression, "carrier": carrier}
    async with pywscore.serve(echo, HOST, 0, **options) as server:
        uri = uri_of(server)
        await asyncio.gather(*(check_echo(uri, **options) for _ in range(SEVERAL)))


class Echo:
    def on_open(self, ws: Any) -> None:
        ws.send_nowait("open")

    def on_message(self, ws: Any, message: str | bytes) -> None:
        ws.send_nowait(message)

    def on_pong(self, ws: Any, data: bytes) -> None:
        pass

    def on_close(self, ws: Any, code: int, reason: str) -> None:
        dropped.put(ws)


async def check_listener() -> None:
    async with pywscore.serve(None, HOST, 0, listener=Echo) as server:
        async with pywscore.connect(uri_of(server)) as ws:
            assert await ws.recv() == "open"
            for message in MESSAGES:
                await ws.send(message)
                assert await ws.recv() == message


async def check_broadcast(compression: Any) -> None:
    async def stay(ws: Any) -> None:
        dropped.put(ws)
        await ws.wait_closed()

    async def listen(uri: str) -> None:
        async with pywscore.connect(uri, compression=compression) as ws:
            assert [await ws.recv() for _ in MESSAGES] == MESSAGES

    async with pywscore.serve(stay, HOST, 0, compression=compression) as server:
        tasks = [asyncio.create_task(listen(uri_of(server))) for _ in range(SEVERAL)]
        while len(server.connections) < SEVERAL:
            await asyncio.sleep(0.001)
        for message in MESSAGES:
            pywscore.broadcast(server.connections, message)
            await asyncio.sleep(0.001)
        await asyncio.gather(*tasks)


class Text(NamedTuple):
    kind: str
    data: str
    extra: None


class Binary(NamedTuple):
    kind: str
    data: bytes
    extra: None


class Stream(_core.MessageStream):
    async def _next_end(self) -> None:
        raise StopAsyncIteration


async def check_stream() -> None:
    async def answer(ws: Any) -> None:
        stream = Stream()
        stream._open_stream(
            *(ws, (Text, "t", Binary, "b", None, True, "ping", "pong")),
            direct_receive=True,
            direct_next=True,
            control_messages=False,
            close_by_hand=False,
            max_queue_bytes=0,
            max_plain_size=None,
        )
        async for kind, data, _ in stream:
            await (stream.send_str if kind == "t" else stream.send_bytes)(data)
        dropped.put(stream)

    async with pywscore.serve(answer, HOST, 0) as server:
        await check_echo(uri_of(server))


async def check_ends() -> None:
    """Connections that end in every way, clocks that run meanwhile."""

    async def abort(ws: Any) -> None:
        ws.transport.abort()

    clocks = {"ping_interval": 0.01, "ping_timeout": 5, "idle_timeout": 0.05}
    for handler in (abort, echo):
        async with pywscore.serve(handler, HOST, 0, **clocks) as server:
            for _ in range(SEVERAL):
                async with pywscore.connect(uri_of(server), **clocks) as ws:
                    try:
                        await ws.recv()
                    except pywscore.ConnectionClosed:
                        dropped.put(ws)
                del ws


class Unopened(_core.Connection):
    """No TCP: nothing but a clock that another thread takes away."""

    def _on_open_timeout(self) -> None:
        self.timed_out = True


async def check_dropped_clocks() -> None:
    loop = asyncio.get_running_loop()
    for _ in range(300):
        connection = Unopened(
            pywscore.ServerProtocol(),
            loop=loop,
            receive_buffer=receive_buffer(loop),
            timers=timers(loop),
            max_queue=None,
            write_limit=(65536, 16384),
            ping_interval=None,
            ping_timeout=None,
            idle_timeout=None,
        )
        connection._opens_by(loop.time() + random.random() / 20)
        dropped.put(connection)
        del connection
        if random.random() < 0.1:
            await asyncio.sleep(0.001)


async def check_tls(contexts: Any) -> None:
    for number in range(2):  # the second time with the first one's session
        async with pywscore.serve(echo, HOST, 0, ssl=contexts[0]) as server:
            uri = uri_of(server, "wss")
            options = {"ssl": contexts[1], "server_hostname": "0-0.example"}
            await asyncio.gather(
                *(check_echo(uri, **options) for _ in range(1 + number))
            )


async def check_tls_changes(contexts: Any, number: int) -> None:
    """Certificates come and are read again, while others shake hands."""
    for turn in range(5):
        contexts[0].add_certificate(f"{number}-{turn}.example", contexts[2])
        contexts[turn % 3].reload()
        await check_tls(contexts)
        await asyncio.sleep(0.001)


async def check_wrong_thread(number: int) -> None:
    """Another thread's connection can't be used, whatever it does at the moment."""
    async with pywscore.serve(echo, HOST, 0) as server:
        async with pywscore.connect(uri_of(server)) as ws:
            lent[number] = ws
            for turn in range(30):
                other = lent[(number + 1) % len(lent)]
                if other is not None and other is not ws:
                    refused(other, ws)
                    assert [await ws.recv() for _ in range(2)] == ["right"] * 2
                await ws.send(str(turn))
                assert await ws.recv() == str(turn)
            lent[number] = None


def refused(other: Any, ws: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: pywscore.broadcast([other], "wrong"),
        lambda: pywscore.broadcast([ws, ws, other], "right"),
        lambda: other.send_nowait("wrong"),
        lambda: other.recv().send(None),
        lambda: other.close_nowait(),
        lambda: other.stats(),
        lambda: other.transport.get_write_buffer_size(),
    ]
    for call in calls:
        try:
            call()
        except RuntimeError as exc:
            assert "in the thread of its event loop only" in str(exc)
        else:
            raise AssertionError("not refused")
    # Once it has ended, nothing is left to be refused.
    for name in ("abort", "close", "pause_reading", "write_eof"):
        with contextlib.suppress(RuntimeError):
            getattr(other.transport, name)()


# ---- objects without I/O -------------------------------------------------------------


def opened() -> tuple[Any, Any]:
    server = pywscore.ServerProtocol(compression=NO_TAKEOVER)
    client = pywscore.ClientProtocol("ws://localhost/", compression=NO_TAKEOVER)
    server.receive_data(client.data_to_send())
    for _ in server.events():
        server.accept()
    client.receive_data(server.data_to_send())
    assert [event.status_code for event in client.events()] == [101]
    return server, client


def check_own_objects() -> None:
    server, client = opened()
    for message in MESSAGES:
        (server.send_text if isinstance(message, str) else server.send_binary)(message)
        client.receive_data(server.data_to_send())
        assert [event.data for event in client.events()] == [message]


ATTRIBUTES = [
    *("state", "close_code", "close_reason", "close_received", "close_sent"),
    *("close_received_then_sent", "close_exception", "close_expected", "error"),
    *("handshake_exception", "subprotocol", "compression", "max_size", "is_server"),
]


def check_shared_objects(shared: Any, closing: Any, number: int) -> None:
    server, client = shared
    for turn in range(20):
        for name in ATTRIBUTES:
            for one in (*shared, *closing):
                getattr(one, name)
        if number % 2 == 0:
            server.send_text(TEXT)
            client.send_ping(b"%d" % turn)
            client.data_to_send()
        else:
            client.receive_data(server.data_to_send())
            for event in client.events():
                assert event.data == TEXT
    server, client = closing
    if number == 0:
        with contextlib.suppress(pywscore.InvalidState):
            server.send_close(1000, "done")
    client.receive_data(server.data_to_send())
    for _ in client.events():
        assert client.close_code == 1000
    server.receive_data(client.data_to_send())
    server.next_event()
    server.receive_eof()


# ---- threads -------------------------------------------------------------------------


async def check_all(number: int, contexts: Any) -> None:
    checks: list[Callable[[], Any]] = [
        lambda: check_echoes(None),
        lambda: check_echoes("deflate"),
        lambda: check_echoes(NO_TAKEOVER),
        lambda: check_echoes("deflate", "transport"),
        check_listener,
        check_stream,
        lambda: check_broadcast(None),
        lambda: check_broadcast("deflate"),
        lambda: check_broadcast(NO_TAKEOVER),
        check_ends,
        check_dropped_clocks,
        lambda: check_wrong_thread(number),
    ]
    if contexts is not None:
        checks.append(lambda: check_tls_changes(contexts, number))
    random.shuffle(checks)
    for check in checks:
        await asyncio.wait_for(check(), LIMIT)


def drop() -> None:
    """Lets go of what comes, after others have come."""
    kept: list[Any] = []
    while (item := dropped.get()) is not None:
        kept.append(item)
        del item
        if len(kept) > 20:
            del kept[random.randrange(len(kept))]
        if random.random() < 0.002:
            gc.collect()


def run(threads: int, rounds: int, pem: str | None) -> None:
    failures: list[BaseException] = []
    contexts = None
    if pem is not None:
        contexts = (
            pywscore.TLSContext.server(pem),
            pywscore.TLSContext.client(verify=False),
            pywscore.TLSContext.server(pem),
        )
    shared = opened()
    closing = opened()
    start = threading.Barrier(threads)
    lent.extend([None] * threads)

    def work(number: int) -> None:
        try:
            start.wait(LIMIT)
            for _ in range(rounds):
                check_own_objects()
                check_shared_objects(shared, closing, number)
                asyncio.run(check_all(number, contexts))
        except BaseException as exc:
            failures.append(exc)

    dropper = threading.Thread(target=drop, daemon=True)
    dropper.start()
    workers = [
        threading.Thread(target=work, args=(number,), daemon=True)
        for number in range(threads)
    ]
    for worker in workers:
        worker.start()
    end = time.monotonic() + LIMIT
    for worker in workers:
        worker.join(max(end - time.monotonic(), 0))
        if worker.is_alive():
            raise TimeoutError("a thread hangs")
    dropped.put(None)
    dropper.join(LIMIT)
    if failures:
        raise BaseExceptionGroup("threads", failures)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    run(
        int(arguments[0]) if arguments else 4,
        int(arguments[1]) if len(arguments) > 1 else 1,
        arguments[2] if len(arguments) > 2 else None,
    )
    print(
        "done",
        "with" if getattr(sys, "_is_gil_enabled", lambda: True)() else "no",
        "GIL",
    )
