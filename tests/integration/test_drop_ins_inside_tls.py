"""Subclasses of SSLObject whose methods do something, with both drop-ins."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp_rig import close_frame
from carriers import needs_engine
from drop_ins import HEAD, DropIn, Side, answer, echo, text
from nesting import comes_back
from tls_peer import Files
from waiting import until

import pywscore

pytestmark = [needs_engine, pytest.mark.threat("BOR-2")]

NESTING = [
    DropIn("aiohttp", "nesting"),
    DropIn("uvicorn", "nesting", "httptools"),
    DropIn("uvicorn", "nesting", "h11"),
]

each_nesting = pytest.mark.parametrize("drop_in", NESTING, ids=str)


def acting(method: str, act: Callable[[], object]) -> Callable[[ssl.SSLContext], None]:
    """SSLObjects of a context call ``act`` in ``method``, when it is done."""

    class Acting(ssl.SSLObject):
        pass

    def call(self: Any, *args: Any) -> Any:
        try:
            return getattr(ssl.SSLObject, method)(self, *args)
        finally:
            act()

    setattr(Acting, method, call)
    return lambda context: setattr(context, "sslobject_class", Acting)


@each_nesting
@pytest.mark.parametrize("records", [1, 3])
def test_upgraded_in_a_read(drop_in: DropIn, files: Files, records: int) -> None:
    """By a loop that read() runs: what it has read comes, and what is behind it."""
    got: list[Any] = []
    asked, may_go = asyncio.Event(), asyncio.Event()
    armed = False

    async def wait(transport: Any) -> None:
        asked.set()
        await may_go.wait()

    async def handler(side: Side) -> None:
        while (message := await side.receive()) is not None:
            got.append(message)

    def upgrade() -> None:
        nonlocal armed
        if armed:
            armed = False
            loop: Any = asyncio.get_running_loop()
            may_go.set()
            loop.nest(8)

    async def main() -> None:
        nonlocal armed
        async with drop_in.serve(
            handler, files, before=wait, tune=acting("read", upgrade)
        ) as served:
            peer = await served.connect(files)
            peer.write(HEAD)
            peer.flush()
            await asked.wait()
            armed = True
            first = [f"{number}" for number in range(records)]
            for message in first:
                peer.write(text(message))
            peer.flush()
            await until(lambda: served.sides)
            await until(lambda: got == first)
            peer.write(text("then"))
            peer.flush()
            await until(lambda: got == [*first, "then"])
            peer.writer.close()

    drop_in.run(main)


class Purpose(Exception):
    """Raised on purpose."""


class Odd(BaseException):
    """The same, and no Exception."""


@each_nesting
@pytest.mark.parametrize("method", ["do_handshake", "read", "write"])
def test_a_loop_inside(drop_in: DropIn, files: Files, method: str) -> None:
    """Of each call: all that several clients send comes back to them, in order."""
    nested = depth = 0

    def act() -> None:
        nonlocal depth, nested
        if depth < 3:
            depth += 1
            nested += 1
            loop: Any = asyncio.get_running_loop()
            loop.nest(2)
            depth -= 1

    async def main() -> None:
        async with drop_in.serve(echo, files, tune=acting(method, act)) as served:

            async def client(number: int) -> None:
                uri = f"wss://localhost:{served.port}/"
                async with pywscore.connect(
                    uri, ssl=files.client(), compression=None
                ) as ws:
                    await comes_back(ws, number)

            await asyncio.gather(*(client(number) for number in range(4)))

    drop_in.run(main)
    assert nested >= 4


@each_nesting
@pytest.mark.parametrize("method", ["read", "write", "unwrap"])
@pytest.mark.parametrize("action", ["raise", "odd", "abort", "close", "send", "nest"])
def test_what_is_done_inside(
    drop_in: DropIn, files: Files, method: str, action: str
) -> None:
    """Once, in the middle of a conversation that was taken over: what was received
    before is given out, or the connection has ended; others go on."""
    got: list[Any] = []
    armed: list[Side] = []

    def act() -> None:
        if not armed:
            return
        transport = armed.pop().connection.transport
        if action == "raise":
            raise Purpose
        if action == "odd":
            raise Odd
        if action == "abort":
            transport.abort()
        elif action == "close":
            transport.close()
        elif action == "send":
            transport.write(answer("more"))
        else:
            loop: Any = asyncio.get_running_loop()
            loop.nest(3)

    async def handler(side: Side) -> None:
        with contextlib.suppress(Exception):  # what aiohttp raises of a lost one
            while (message := await side.receive()) is not None:
                got.append(message)
                if message == "now":
                    armed.append(side)
                await side.send(message)
        got.append(None)

    async def main() -> None:
        async with drop_in.serve(handler, files, tune=acting(method, act)) as served:
            peer = await served.open(files)
            said = ["now", "then", "last"]
            for count, message in enumerate(said, 1):
                peer.write(text(message))
                peer.flush()
                await until(lambda: len(got) == count or None in got)  # noqa: B023
            [side] = served.sides
            assert side.is_taken
            peer.write(close_frame(1000))
            peer.flush()
            await peer.drain()
            await until(lambda: None in got)
            assert got == [*said[: len(got) - 1], None]
            goes_on = action in ("send", "nest") or method == "unwrap"
            assert got == [*said, None] or not goes_on
            peer.writer.close()
            await served.gone()
            assert not armed
            other = await served.open(files)
            other.write(text("still"))
            other.flush()
            assert await other.read_exactly(7) == answer("still")
            other.writer.close()

    drop_in.run(main)
