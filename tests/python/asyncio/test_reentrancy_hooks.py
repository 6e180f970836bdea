"""The table of LIF-1 where the application's code is called and can't wait.

The handshake's hooks, a logger, and methods that a subclass overrides.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import cells
import pytest
from cells import ACTIONS, CODES, Cell
from peers import head_of
from waiting import until

import pywscore
from pywscore.asyncio import ClientConnection, ServerConnection

pytestmark = [*cells.MARKS, pytest.mark.threat("LIF-1")]

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
)


# --- the opening handshake ---

# Status and close code; None: TCP ends without one.
OPENING: dict[str, tuple[int | None, int | None]] = {
    "raise": (500, None),
    "close": (None, None),
    "abort": (None, None),
    "send": (500, None),  # not yet: ConnectionClosed
    "drop": (101, 1000),
    "cancel": (None, None),
    "collect": (101, 1000),
    "stop": (101, 1000),
}


def opening_hooks(cell: Cell, place: str, action: str) -> dict[str, Any]:
    act = cells.act_at_once(action)

    def enter(ws: Any) -> None:
        if not cells.is_plain(ws) and not cell.acted.is_set():
            cell.task = asyncio.current_task()
            cell.take(ws)
            act(cell)

    async def coroutine_hook(ws: Any, *args: Any) -> None:
        await asyncio.sleep(0)
        enter(ws)
        await asyncio.sleep(0)

    def select_subprotocol(ws: Any, offered: Any) -> str | None:
        enter(ws)
        return "chat" if "chat" in offered else None

    return {
        "process_request": {"process_request": lambda ws, request: enter(ws)},
        "process_request, waiting": {"process_request": coroutine_hook},
        "process_response": {"process_response": lambda ws, *args: enter(ws)},
        "process_response, waiting": {"process_response": coroutine_hook},
        "select_subprotocol": {"select_subprotocol": select_subprotocol},
    }[place]


OPENING_PLACES = [
    "process_request",
    "process_request, waiting",
    "process_response",
    "process_response, waiting",
    "select_subprotocol",
]


async def ask(peer: Any) -> int | None:
    """The status of the response, None for none."""
    peer.writer.write(REQUEST)
    try:
        return int((await head_of(peer)).split()[1])
    except (asyncio.IncompleteReadError, OSError):
        return None


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("place", OPENING_PLACES)
def test_opening(
    loop_factory: Any,
    serve: Any,
    connect: Any,
    raw_client: Any,
    uri_of: Any,
    place: str,
    action: str,
) -> None:
    async def main() -> None:
        hooks = opening_hooks(cell, place, action)
        running = serve(
            cells.served_plain, "127.0.0.1", 0, **cells.settings(cell), **hooks
        )
        async with running as server, raw_client(server, path=None) as peer:
            async with asyncio.timeout(3):
                status = await ask(peer)
                code = None
                if status == 101:
                    code, _ = await cells.read_to_the_end(peer)
            expected = OPENING[action]
            if action in ("close", "cancel") and not place.endswith("waiting"):
                # They have their turn when the hook is done.
                expected = 101, 4000 if action == "close" else 1000
            assert (status, code) == expected
            await cells.serves(connect, uri_of(server))
            assert server.connections == set()

    cell = Cell()
    cells.run(loop_factory, cell, main)
    assert cell.problems == []
    logged = {"raise": [cells.Purpose], "send": [pywscore.ConnectionClosedError]}
    assert cell.records.errors == logged.get(action, [])


# --- a logger ---


@pytest.mark.parametrize("action", ACTIONS)
def test_logger(
    loop_factory: Any,
    serve: Any,
    connect: Any,
    raw_client: Any,
    uri_of: Any,
    action: str,
) -> None:
    class Acting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            act(cell)

    async def handler(ws: Any) -> None:
        if await cells.served_plain(ws):
            return
        cell.task = asyncio.current_task()
        cell.take(ws)
        cell.logger.addHandler(Acting(logging.ERROR))
        raise ValueError

    async def main() -> None:
        running = serve(handler, "127.0.0.1", 0, **cells.settings(cell))
        async with running as server, raw_client(server) as peer:
            code, size = await cells.read_to_the_end(peer)
            assert code == (None if action == "abort" else 1011)
            assert size == (len(cells.BIG) if action == "send" else 0)
            await cells.serves(connect, uri_of(server))

    act = cells.act_at_once(action)
    cell = Cell()
    cells.run(loop_factory, cell, main)
    assert cell.problems == []
    assert cell.records.errors == [ValueError]


# --- a subclass ---

METHODS = ["_on_ping", "_on_pong", "connection_lost", "connection_made"]


def overriding(base: Any, cell: Cell, place: str, action: str) -> Any:
    act = cells.act_at_once(action)

    def method(self: Any, *args: Any) -> None:
        above = getattr(base, place, None)
        if above is not None:
            above(self, *args)
        if place == "connection_made" and not cell.acted.is_set():
            cell.take(self)
        act(cell)

    return type("Overriding", (base,), {place: method})


def expected_code(place: str, action: str) -> int | None:
    return 1000 if place == "connection_lost" else CODES[action]


async def provoke(cell: Cell, place: str, action: str, peer: Any) -> None:
    if place == "connection_lost":
        peer.send_close(1000)
        return
    await cell.started.wait()
    peer.send_frame(9 if place == "_on_ping" else 10, b"data")
    await cell.acted.wait()
    if CODES[action] == 1000:
        await asyncio.sleep(0.01)
        peer.send_close(1000)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("place", METHODS[:3])
def test_server(
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
        cell.task = asyncio.current_task()
        cell.take(ws)
        del ws
        async for _ in cell.ws:
            pass

    async def main() -> None:
        factory = overriding(ServerConnection, cell, place, action)
        running = serve(
            handler, "127.0.0.1", 0, create_connection=factory, **cells.settings(cell)
        )
        async with running as server, raw_client(server) as peer:
            await provoke(cell, place, action, peer)
            code, size = await cells.read_to_the_end(peer)
            assert code == expected_code(place, action)
            if place != "connection_lost":
                assert size == (len(cells.BIG) if action == "send" else 0)
            await cells.serves(connect, uri_of(server))
            assert server.connections == set()

    cell = Cell()
    cells.run(loop_factory, cell, main)
    check(cell, place, action)


def check(cell: Cell, place: str, action: str) -> None:
    expected: list[type[BaseException]] = []
    if action == "raise":
        expected = [cells.Purpose]
    elif action == "send" and place == "connection_lost":
        expected = [pywscore.ConnectionClosedOK]
    assert cell.problems == expected
    assert cell.records.errors == []


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("place", METHODS[:3])
def test_client(
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
        await provoke(cell, place, action, peer)
        answers.append(await cells.read_to_the_end(peer))

    async def use(uri: str) -> None:
        cell.task = asyncio.current_task()
        factory = overriding(ClientConnection, cell, place, action)
        connection = connect(uri, create_connection=factory, **cells.settings(cell))
        if action == "drop":
            cell.take(await connection)
            return
        async with connection as ws:
            cell.take(ws)
            async for _ in ws:
                pass

    async def main() -> None:
        async with raw_server(script) as uri:
            with contextlib.suppress(
                pywscore.ConnectionClosedError, asyncio.CancelledError
            ):
                await asyncio.create_task(use(uri))
            await until(lambda: answers)
            assert answers[0][0] == expected_code(place, action)
            await asyncio.sleep(0.01)

    cell = Cell()
    cells.run(loop_factory, cell, main)
    check(cell, place, action)


@pytest.mark.parametrize("action", ACTIONS)
def test_connection_made(
    environment: Any,
    loop_factory: Any,
    serve: Any,
    connect: Any,
    raw_client: Any,
    uri_of: Any,
    action: str,
) -> None:
    """Before the opening handshake."""

    async def main() -> None:
        factory = overriding(ServerConnection, cell, "connection_made", action)
        running = serve(
            cells.served_plain,
            "127.0.0.1",
            0,
            create_connection=factory,
            open_timeout=0.1 if unread else 5,
            **cells.settings(cell),
        )
        async with running as server:
            status = None
            with contextlib.suppress(ConnectionResetError):  # by "abort"
                async with raw_client(server, path=None) as peer:
                    status = await ask(peer)
                    if status is not None:
                        await cells.read_to_the_end(peer)
            cut = action in ("close", "abort") or unread
            assert status == (None if cut else 101)
            await cells.serves(connect, uri_of(server))
            assert server.connections == set()

    # uvloop's transports don't read when that raised: it's for open_timeout then.
    uvloop = str(environment) == "uvloop-transport"
    unread = uvloop and action in ("raise", "send")
    cell = Cell()
    cells.run(loop_factory, cell, main)
    expected: dict[str, Any] = {
        "raise": [cells.Purpose],
        "send": [pywscore.ConnectionClosedError],
    }
    assert cell.problems == expected.get(action, [])
