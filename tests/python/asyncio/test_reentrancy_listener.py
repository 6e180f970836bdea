"""The table of LIF-1 in a listener's callbacks."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import cells
import pytest
from cells import ACTIONS, CODES, ENDED, Cell
from waiting import until

pytestmark = [*cells.MARKS, pytest.mark.threat("LIF-1")]


# Where the application is called while the connection is open.
PLACES = ["open", "text", "binary", "ping", "pong"]


class Acting:
    """A listener that acts at the place, once."""

    def __init__(self, cell: Cell, place: str, action: str) -> None:
        self.cell = cell
        self.place = place
        self.action = action
        self.act = cells.act_at_once(action)
        self.after: list[str] = []

    def at(self, place: str, ws: Any) -> None:
        if cells.is_plain(ws):
            return
        if self.cell.acted.is_set():
            self.after.append(place)
        elif place == self.place:
            self.cell.take(ws)
            if self.action == "close":
                self.cell.acted.set()
                ws.close_nowait(4000)
            else:
                del ws
                self.act(self.cell)

    def on_open(self, ws: Any) -> None:
        self.at("open", ws)

    def on_message(self, ws: Any, message: Any) -> None:
        if cells.is_plain(ws):
            ws.send_nowait(message)
        else:
            self.at("text" if isinstance(message, str) else "binary", ws)

    def on_ping(self, ws: Any, data: bytes) -> None:
        self.at("ping", ws)

    def on_pong(self, ws: Any, data: bytes) -> None:
        self.at("pong", ws)

    def on_close(self, ws: Any, code: int, reason: str) -> None:
        self.at(self.place if self.place in ENDED else "on_close", ws)


async def provoke(cell: Cell, place: str, peer: Any) -> None:
    opcode = {"text": 1, "binary": 2, "ping": 9, "pong": 10, "error": 3}.get(place)
    if place == "close":
        peer.send_close(4001)
    elif opcode is not None:
        peer.send_frame(opcode, b"data")


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("place", [*PLACES, *ENDED])
def test_listener(
    loop_factory: Any,
    serve: Any,
    connect: Any,
    raw_client: Any,
    uri_of: Any,
    place: str,
    action: str,
) -> None:
    async def main() -> None:
        running = serve(
            None,
            "127.0.0.1",
            0,
            listener=lambda: Acting(cell, place, action),
            **cells.settings(cell, place),
        )
        if (place, action) == ("open", "abort"):
            await abort_at_once(running)
            return
        async with running as server, raw_client(server) as peer:
            await provoke(cell, place, peer)
            if place == "shutdown":
                server.close()
            if place in PLACES:
                await cell.acted.wait()
                # What follows is dropped by a connection that failed.
                peer.send_frame(1, b"after")
                if CODES[action] == 1000 or action == "cancel":
                    peer.send_close(1000)
            code, size = await cells.read_to_the_end(peer)
            peer.writer.close()
            expected = 1000 if action == "cancel" else CODES[action]
            assert code == ENDED.get(place, expected)
            if action == "send" and place in PLACES:
                assert size == len(cells.BIG)
            else:
                assert size == 0
            if place != "shutdown":
                await cells.serves(connect, uri_of(server))
            await until(cell.acted.is_set)
            assert server.connections == set()

    async def abort_at_once(running: Any) -> None:
        # The response is thrown away as well, or not.
        async with running as server:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                async with raw_client(server) as peer:
                    assert await cells.read_to_the_end(peer) == (None, 0)
            await cells.serves(connect, uri_of(server))

    cell = Cell()
    cells.run(loop_factory, cell, main)
    assert cell.problems == []
    # ConnectionClosed, as "send" raises it in on_close(), is no failure.
    assert cell.records.errors == ([cells.Purpose] if action == "raise" else [])
