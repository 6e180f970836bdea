"""Ending, sending and raising wherever the application's code runs (THREATS LIF-1).

The table is places times actions, for both roles, loops and carriers.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import cells
import pytest
from cells import ACTIONS, CODES, ENDED, Cell

import pywscore

pytestmark = [*cells.MARKS, pytest.mark.threat("LIF-1")]


# The places: how the application gets there, and what the peer does for it.


async def closed(cell: Cell) -> None:
    with pytest.raises(pywscore.ConnectionClosed):
        await cell.ws.recv()


async def reach_open(cell: Cell) -> None:
    pass


async def reach_text(cell: Cell) -> None:
    assert await cell.ws.recv() == "text"


async def reach_binary(cell: Cell) -> None:
    async for message in cell.ws:
        assert message == b"binary"
        break


async def reach_pong(cell: Cell) -> None:
    await (await cell.ws.ping(b"pong"))


async def reach_drain(cell: Cell) -> None:
    sock = cell.ws.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    while cell.ws.send_nowait(bytes(50_000)):
        await asyncio.sleep(0)
    cell.blocked.set()
    await cell.ws.send(b"last")


REACH: dict[str, Callable[[Cell], Any]] = {
    "open": reach_open,
    "text": reach_text,
    "binary": reach_binary,
    "ping": reach_text,  # the one after it
    "pong": reach_pong,
    "drain": reach_drain,
    "close": closed,
    "error": closed,
    "timeout": closed,
    "shutdown": closed,
}


async def provoke(cell: Cell, place: str, peer: Any) -> None:
    if place == "drain":
        await cell.blocked.wait()
    elif place == "text":
        peer.send_frame(1, b"text")
    elif place == "binary":
        peer.send_frame(2, b"binary")
    elif place == "ping":
        peer.send_frame(9, b"ping")
        peer.send_frame(1, b"text")
    elif place == "pong":
        ping = await peer.receive()
        assert ping.opcode == 9
        peer.send_frame(10, ping.payload)
    elif place == "close":
        peer.send_close(4001)
    elif place == "error":
        peer.send_frame(3)


async def application(cell: Cell, place: str, action: str) -> None:
    cell.task = asyncio.current_task()
    await REACH[place](cell)
    cell.acted.set()
    awaitable = ACTIONS[action](cell)
    if awaitable is not None:
        await awaitable


def check(cell: Cell, place: str, action: str, answer: tuple[int | None, int]) -> None:
    code, size = answer
    assert code == ENDED.get(place, CODES[action])
    if action == "send":
        assert (size >= len(cells.BIG)) is (place not in ENDED)
    assert cell.problems == []


def failures(action: str, place: str) -> type[BaseException] | None:
    if action == "raise":
        return cells.Purpose
    if action == "cancel":
        return asyncio.CancelledError
    if place in ENDED and action == "send":
        return pywscore.ConnectionClosed
    return None


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("place", REACH)
def test_server(
    environment: Any,
    loop_factory: Any,
    serve: Any,
    connect: Any,
    raw_client: Any,
    uri_of: Any,
    place: str,
    action: str,
) -> None:
    async def handler(ws: Any) -> None:
        if await cells.served_plain(ws):
            return
        cell.take(ws)
        await application(cell, place, action)

    async def main() -> None:
        running = serve(handler, "127.0.0.1", 0, **cells.settings(cell, place))
        async with running as server, raw_client(server) as peer:
            await provoke(cell, place, peer)
            if place == "shutdown":
                server.close()
            answer = await cells.read_to_the_end(peer)
            check(cell, place, action, answer)
            if place != "shutdown":
                await cells.serves(connect, uri_of(server))
            assert server.connections == set()

    cell = Cell()
    cells.run(loop_factory, cell, main)
    assert cell.records.errors == ([cells.Purpose] if action == "raise" else [])


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("place", REACH)
def test_client(
    environment: Any,
    loop_factory: Any,
    connect: Any,
    raw_server: Any,
    accept_response: Any,
    place: str,
    action: str,
) -> None:
    answers: list[Any] = []

    async def script(peer: Any, head: str) -> None:
        peer.writer.write(accept_response(head))
        await provoke(cell, place, peer)
        if place == "shutdown":
            peer.send_close(1001)
        elif action == "drop" and place not in ENDED:
            # The loop keeps a connection that nobody else does.
            await cell.acted.wait()
            await asyncio.sleep(0.01)
            peer.send_close(1000)
        answers.append(await cells.read_to_the_end(peer))

    async def use(uri: str) -> None:
        connection = connect(uri, **cells.settings(cell, place))
        if action == "drop":
            cell.take(await connection)
            await application(cell, place, action)
        else:
            async with connection as ws:
                cell.take(ws)
                del ws
                await application(cell, place, action)

    async def main() -> None:
        async with raw_server(script) as uri:
            task = asyncio.create_task(use(uri))
            await asyncio.wait([task])
            ended = asyncio.CancelledError()
            if not task.cancelled():
                ended = task.exception()  # type: ignore[assignment]
            expected = failures(action, place)
            if expected is None:
                assert ended is None
            else:
                assert isinstance(ended, expected)
            while not answers:
                await asyncio.sleep(0.001)
            check(cell, place, action, answers[0])
            del task, ended

    cell = Cell()
    cells.run(loop_factory, cell, main)
    assert cell.records.errors == []
