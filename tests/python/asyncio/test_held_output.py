"""What is complete leaves before the user's code goes on, unless that is known to be
quick. The peers here are sockets that the server's own thread reads from, in the middle
of a handler's step: what can be read there has left.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest
from environments import Environment
from peers import REQUEST, frame

import pywscore

pytestmark = [
    pytest.mark.every_environment,
    pytest.mark.threat("HLD-1"),
]

TIMEOUT = 2  # of what never comes


@contextlib.contextmanager
def sockets(server: Any, count: int) -> Iterator[list[socket.socket]]:
    address = server.sockets[0].getsockname()
    with contextlib.ExitStack() as stack:
        peers = [
            stack.enter_context(socket.create_connection(address, TIMEOUT))
            for _ in range(count)
        ]
        for peer in peers:
            peer.sendall(REQUEST.format(path="/", extra="").encode())
        yield peers


def read(peer: socket.socket, end: bytes) -> bytes:
    got = b""
    while end not in got:
        try:
            piece = peer.recv(4096)
        except TimeoutError:
            pytest.fail(f"only {got!r} has left")
        assert piece, got
        got += piece
    return got


async def opened(peers: list[socket.socket]) -> None:
    for peer in peers:
        await asyncio.to_thread(read, peer, b"\r\n\r\n")


async def make_quick(peers: list[socket.socket]) -> None:
    """Echoes, until their handlers are known."""
    gc.collect()
    for _ in range(50):
        for peer in peers:
            peer.sendall(frame(1, b"quick", mask=True))
        for peer in peers:
            await asyncio.to_thread(read, peer, b"quick")


async def ended(peers: list[socket.socket], server: Any) -> None:
    for peer in peers:
        peer.close()
    server.close()
    await server.wait_closed()


async def by_send(ws: Any) -> None:
    await ws.send("sent")


async def by_two(ws: Any) -> None:
    await ws.send("first")
    await ws.send("sent")


async def by_fragments(ws: Any) -> None:
    await ws.send(["not yet ", "sent"])


async def by_send_nowait(ws: Any) -> None:
    ws.send_nowait("sent")


async def by_broadcast(ws: Any) -> None:
    pywscore.broadcast([ws], "sent")


async def by_ping(ws: Any) -> None:
    await ws.ping("sent")


async def by_pong(ws: Any) -> None:
    await ws.pong(b"sent")


async def by_close(ws: Any) -> None:
    asyncio.get_running_loop().call_later(0.5, ws.transport.abort)
    closing = ws.close(4000, "sent")
    with contextlib.suppress(StopIteration):
        closing.send(None)
    closing.close()


WAYS = [
    by_send,
    by_two,
    by_fragments,
    by_send_nowait,
    by_broadcast,
    by_ping,
    by_pong,
    by_close,
]


@pytest.mark.parametrize("way", WAYS)
async def test_it_leaves_before_blocking_work(
    serve: Any, way: Callable[[Any], Awaitable[None]]
) -> None:
    """From the first message of a connection on."""
    left: list[bytes] = []

    async def handler(ws: Any) -> None:
        async for _ in ws:
            await way(ws)
            left.append(read(peers[0], b"sent"))  # works, and blocks

    server = await serve(handler, "127.0.0.1", 0, close_timeout=0.2)
    with sockets(server, 1) as peers:
        await opened(peers)
        for count in (1, 2):
            peers[0].sendall(frame(1, b"go", mask=True))
            while len(left) < count and server.connections:
                await asyncio.sleep(0.01)
        await ended(peers, server)
    assert left


class Listener:
    """Sends and blocks in a callback."""

    def __init__(self, left: list[bytes], peers: list[socket.socket]) -> None:
        self.left = left
        self.peers = peers

    def act(self, ws: Any) -> None:
        ws.send_nowait("sent")
        self.left.append(read(self.peers[0], b"sent"))

    def on_message(self, ws: Any, message: Any) -> None:
        self.act(ws)

    def on_ping(self, ws: Any, data: bytes) -> None:
        self.act(ws)

    def on_pong(self, ws: Any, data: bytes) -> None:
        self.act(ws)


@pytest.mark.parametrize("opcode", [1, 9, 10])
async def test_it_leaves_before_a_listener_blocks(serve: Any, opcode: int) -> None:
    left: list[bytes] = []
    peers: list[socket.socket] = []
    server = await serve(
        None, "127.0.0.1", 0, listener=lambda: Listener(left, peers), close_timeout=0.2
    )
    with sockets(server, 1) as connected:
        await opened(connected)
        peers += connected
        # Both in one segment: the second one's answer doesn't wait either.
        peers[0].sendall(frame(opcode, b"go", mask=True) * 2)
        while len(left) < 2:
            await asyncio.sleep(0.01)
        await ended(peers, server)
    if opcode == 9:
        assert b"\x8a\x02go" in left[0]  # the pong came first


async def test_one_that_is_alone_sends_at_once(serve: Any) -> None:
    """However quick it has been."""
    left: list[bytes] = []

    async def handler(ws: Any) -> None:
        async for message in ws:
            await ws.send(message)
            if message == "slow":
                left.append(read(peers[0], b"slow"))

    server = await serve(handler, "127.0.0.1", 0, close_timeout=0.2)
    with sockets(server, 1) as peers:
        await opened(peers)
        await make_quick(peers)
        peers[0].sendall(frame(1, b"slow", mask=True))
        while not left:
            await asyncio.sleep(0.01)
        await ended(peers, server)


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known to be slow"])
async def test_answers_leave_before_the_step_of_another(
    serve: Any, known: bool
) -> None:
    """Of many that have messages at the same time."""
    answered: list[socket.socket] = []
    seen: list[bytes] = []

    async def handler(ws: Any) -> None:
        async for message in ws:
            if message != "slow":
                await ws.send(message)
                if message != "quick":
                    answered.append(peers[int(message)])
                continue
            seen.extend(read_one(peer) for peer in answered)
            answered.clear()
            time.sleep(0.005)
            await ws.send("slow")

    def read_one(peer: socket.socket) -> bytes:
        got = peer.recv(4096)
        assert got
        return got

    server = await serve(handler, "127.0.0.1", 0, close_timeout=0.2)
    with sockets(server, 10) as peers:
        await opened(peers)
        await make_quick(peers[:-1])
        if known:  # one that has been quick may surprise once
            await make_quick(peers[-1:])
            peers[-1].sendall(frame(1, b"slow", mask=True))
            await asyncio.to_thread(read_one, peers[-1])
        for _ in range(4):
            # Before the loop looks at any of them.
            for number, peer in enumerate(peers[:-1]):
                peer.sendall(frame(1, str(number).encode(), mask=True))
            peers[-1].sendall(frame(1, b"slow", mask=True))
            await asyncio.to_thread(read_one, peers[-1])
        await ended(peers, server)
    assert seen


async def test_what_a_long_step_sends_to_others_leaves(serve: Any) -> None:
    """Also to those whose own steps were short, in the same turn."""
    everybody: list[Any] = []
    left: list[bytes] = []

    async def handler(ws: Any) -> None:
        everybody.append(ws)
        async for message in ws:
            if message != "slow":
                await ws.send(message)
                continue
            for other in everybody[:-1]:
                await other.send("sent")
            left.extend(read(peer, b"sent") for peer in peers[:-1])

    server = await serve(handler, "127.0.0.1", 0, close_timeout=0.2)
    with sockets(server, 5) as peers:
        await opened(peers)
        await make_quick(peers[:-1])
        for peer in peers[:-1]:
            peer.sendall(frame(1, b"quick", mask=True))
        peers[-1].sendall(frame(1, b"slow", mask=True))
        while not left:
            await asyncio.sleep(0.01)
        await ended(peers, server)
    assert all(got.endswith(b"\x81\x05quick\x81\x04sent") for got in left)


async def test_a_burst_of_a_quick_one_leaves_together(serve: Any) -> None:
    """Holding back is still what it was for."""
    waiting: list[int] = []

    async def handler(ws: Any) -> None:
        async for message in ws:
            await ws.send(message)
            if message == "burst":
                waiting.append(ws._traffic[-1])

    server = await serve(handler, "127.0.0.1", 0, close_timeout=0.2)
    with sockets(server, 1) as peers:
        await opened(peers)
        await make_quick(peers)
        peers[0].sendall(frame(1, b"burst", mask=True) * 100)
        while len(waiting) < 100:
            await asyncio.sleep(0.01)
        await ended(peers, server)
    assert max(waiting) > 10 * len(b"\x81\x05burst")


# A loop inside of a step


def run_inside(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What nest_asyncio's ``run_until_complete()`` does."""
    loop: Any = asyncio.get_running_loop()
    outer = asyncio.current_task()
    if outer is not None:
        asyncio.tasks._leave_task(loop, outer)
    try:
        task = loop.create_task(coroutine)
        while not task.done():
            loop._run_once()
    finally:
        if outer is not None:
            asyncio.tasks._enter_task(loop, outer)
    return task.result()


@pytest.fixture
def can_run_inside(environment: Environment) -> None:
    if environment.loop != "asyncio":
        pytest.skip("elsewhere: uvloop can't be entered again")


async def bounded(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.wait_for(coroutine, TIMEOUT)


@pytest.mark.usefixtures("can_run_inside")
@pytest.mark.parametrize("rounds", [1, 100])
async def test_a_resumed_task_runs_the_loop(
    serve: Any, connect: Any, uri_of: Any, echo: Any, rounds: int
) -> None:
    async def round_trips(ws: Any) -> str:
        await ws.send("first")
        await ws.send("second")
        assert await ws.recv() == "first"
        got: str = await ws.recv()
        return got

    async with (
        serve(echo, "127.0.0.1", 0) as server,
        connect(uri_of(server)) as ws,
        connect(uri_of(server)) as other,
    ):
        for _ in range(rounds):
            await ws.send("outer")
            assert await ws.recv() == "outer"
        await ws.send("held?")
        await ws.recv()
        for _ in range(3):
            assert run_inside(bounded(round_trips(other))) == "second"
            assert run_inside(bounded(round_trips(ws))) == "second"
        assert await round_trips(ws) == "second"
        await ws.send("close")
        await ws.recv()
        run_inside(bounded(ws.close(4000)))
        assert ws.close_code == 4000


@pytest.mark.usefixtures("can_run_inside")
@pytest.mark.parametrize("listening", [False, True], ids=["handler", "listener"])
async def test_a_quick_step_of_many_runs_the_loop(serve: Any, listening: bool) -> None:
    """What it and those before it have sent leaves, though nothing else comes."""
    nested: list[str] = []

    async def arrive() -> None:
        await asyncio.to_thread(lambda: [read(peer, b"last") for peer in peers])

    def act(ws: Any, message: str) -> None:
        ws.send_nowait(message)
        if message == "last":
            count.append(ws)
        if len(count) == len(peers):
            count.clear()
            run_inside(bounded(arrive()))
            nested.append(message)

    async def handler(ws: Any) -> None:
        async for message in ws:
            act(ws, message)

    class Acting:
        def on_message(self, ws: Any, message: str) -> None:
            act(ws, message)

    count: list[Any] = []
    server = await serve(
        None if listening else handler,
        "127.0.0.1",
        0,
        listener=Acting if listening else None,
        close_timeout=0.2,
    )
    with sockets(server, 8) as peers:
        await opened(peers)
        await make_quick(peers)
        for peer in peers:
            peer.sendall(frame(1, b"last", mask=True))
        while not nested:
            await asyncio.sleep(0.01)
        await make_quick(peers)
        await ended(peers, server)
