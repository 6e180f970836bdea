"""What the tests of re-entrancy share: one cell of the table in THREATS LIF-1.

A cell is a place, where the application's code runs, and an action that it does there.
The other end is bytes, in the same loop. What every cell has to leave behind is looked
at here: no task, no descriptor, no connection, nothing in the loop's exception handler
that isn't expected, and a server that serves.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import gc
import logging
import os
import sys
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import pywscore

# Of each file of cells.
MARKS = [
    pytest.mark.skipif(sys.platform != "linux", reason="/proc"),
    pytest.mark.usefixtures("cheap_collections"),
]
BIG = bytes(1 << 20)
TIMEOUT = 5


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.errors: list[type[BaseException] | None] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Not the record: its traceback keeps all that was there.
        if record.levelno >= logging.ERROR:
            self.errors.append(record.exc_info[0] if record.exc_info else None)


class Purpose(Exception):
    """Raised on purpose."""


@dataclasses.dataclass
class Cell:
    """The state of one cell while it runs.

    ``ws`` is the application's only reference to its connection.
    """

    ws: Any = None
    task: asyncio.Task[Any] | None = None
    ended: Any = None  # what ended the application
    acted: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    blocked: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    started: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    problems: list[Any] = dataclasses.field(default_factory=list)
    records: Records = dataclasses.field(default_factory=Records)
    seen: list[weakref.ref[Any]] = dataclasses.field(default_factory=list)
    background: set[asyncio.Future[Any]] = dataclasses.field(default_factory=set)

    def __post_init__(self) -> None:
        self.logger = logging.Logger("cell")
        self.logger.addHandler(self.records)

    def take(self, ws: Any) -> None:
        self.ws = ws
        self.started.set()
        self.seen.append(weakref.ref(ws))

    def start(self, awaitable: Any) -> None:
        """For what can't be awaited where it is called."""
        future = asyncio.ensure_future(awaitable)
        self.background.add(future)
        future.add_done_callback(lambda done: done.exception())


# The actions: what one does at a place. Each may return something to be awaited.


def do_raise(cell: Cell) -> None:
    raise Purpose


def do_close(cell: Cell) -> Any:
    return cell.ws.close(4000)


def do_abort(cell: Cell) -> None:
    cell.ws.transport.abort()


def do_send(cell: Cell) -> Any:
    return cell.ws.send(BIG)


def do_drop(cell: Cell) -> None:
    cell.ws = None
    gc.collect()


def do_cancel(cell: Cell) -> Any:
    if cell.task is None:
        return None
    cell.task.cancel()
    return None if cell.task is not asyncio.current_task() else asyncio.sleep(0)


def do_collect(cell: Cell) -> None:
    gc.collect()


def do_stop(cell: Cell) -> None:
    asyncio.get_running_loop().stop()


ACTIONS: dict[str, Callable[[Cell], Any]] = {
    "raise": do_raise,
    "close": do_close,
    "abort": do_abort,
    "send": do_send,
    "drop": do_drop,
    "cancel": do_cancel,
    "collect": do_collect,
    "stop": do_stop,
}
# The close code that the peer gets when the connection was open: 1011 when the
# application failed, 1000 when it ended well, None: TCP ends without a close frame.
CODES = {
    "raise": 1011,
    "close": 4000,
    "abort": None,
    "send": 1000,
    "drop": 1000,
    "cancel": 1011,
    "collect": 1000,
    "stop": 1000,
}
# The same at places where the connection has ended already.
ENDED = {"close": 4001, "error": 1002, "timeout": 1011, "shutdown": 1001}


def act_at_once(action: str) -> Callable[[Cell], None]:
    """An action for places that don't wait."""

    def act(cell: Cell) -> None:
        if cell.acted.is_set():
            return
        cell.acted.set()
        if action == "send":
            cell.ws.send_nowait(BIG)
            return
        awaitable = ACTIONS[action](cell)
        if awaitable is not None:
            cell.start(awaitable)

    return act


# The peer


async def read_to_the_end(peer: Any) -> tuple[int | None, int]:
    """Answer a close frame; its code, None without one, and the bytes of messages."""
    code, size = None, 0
    while (frame := await peer.receive()) is not None:
        if frame.opcode in (0, 1, 2):
            size += len(frame.payload)
        if frame.opcode == 8:
            code = int.from_bytes(frame.payload[:2])
            peer.send_frame(8, frame.payload[:2].ljust(2, b"\0"))
            if frame.masked:
                break  # RFC 6455 §7.1.1: the server closes TCP
    return code, size


# Running a cell


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def run(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    cell: Cell,
    main: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Run a cell in a loop of its own, going on when the loop was stopped."""
    loop_factory().close()  # what the first loop of a process opens for good
    gc.collect()
    before = descriptors()
    loop = loop_factory()
    asyncio.set_event_loop(loop)
    try:
        loop.set_exception_handler(functools.partial(_note, cell))
        task = loop.create_task(_bounded(main))
        while not task.done():
            try:
                loop.run_until_complete(task)
            except RuntimeError:
                if task.done():
                    raise
        task.result()
        left = loop.run_until_complete(_left())
        assert not left, left
        del task
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        del loop
    cell.task = cell.ws = None
    cell.background.clear()
    gc.collect()
    assert [ws() for ws in cell.seen if ws() is not None] == []
    assert descriptors() <= before


def _note(cell: Cell, _: Any, context: dict[str, Any]) -> None:
    # Not the exception: its traceback keeps all that was there.
    exception = context.get("exception")
    cell.problems.append(context["message"] if exception is None else type(exception))


async def _bounded(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.timeout(TIMEOUT):
        await main()


async def _left() -> set[asyncio.Task[Any]]:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        _, tasks = await asyncio.wait(tasks, timeout=1)
    await asyncio.sleep(0)
    return {task for task in tasks if task is not None}


def settings(cell: Cell, place: str = "") -> dict[str, Any]:
    """Options of its connection; at the place "timeout" no pong comes in time."""
    timeout = 0.02 if place == "timeout" else None
    return {
        "logger": cell.logger,
        "compression": None,
        "close_timeout": 1,
        "ping_interval": timeout,
        "ping_timeout": timeout,
    }


async def serves(connect: Any, uri: str) -> None:
    """The server still serves a new connection: one that is told to be ``plain``."""
    async with connect(uri + "plain", close_timeout=1) as ws:
        await ws.send("still")
        assert await ws.recv() == "still"


async def served_plain(ws: Any) -> bool:
    """Serve the connection if it is the one of ``serves``: whether it was."""
    if not is_plain(ws):
        return False
    await ws.send(await ws.recv())
    return True


def is_plain(ws: Any) -> bool:
    assert isinstance(ws.request, pywscore.Request)
    return ws.request.path.endswith("plain")
