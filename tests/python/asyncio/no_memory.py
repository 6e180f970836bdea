"""Every allocation fails, alone and with some that follow: run by test_no_memory.py.

    python no_memory.py SCENARIO

What a scenario's peers send lies in the sockets already when memory ends, and it comes
back before they leave. Prints how many times it mattered. Wrong is what has a gap, what
is left, what raises anything but MemoryError, and what hangs.
"""

from __future__ import annotations

import _testcapi
import asyncio
import contextlib
import ctypes
import dis
import gc
import linecache
import logging
import os
import selectors
import socket
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any

from peers import REQUEST, frame

import pywscore

ROUNDS = 6  # of the loop without memory
ROW = 20  # all that follow would be more than CPython 3.11 can unwind from
QUIET = 12  # so many in a row that didn't matter are the end
MOST = 6000

# Other classes are what asyncio makes of it.
FINE = (MemoryError, pywscore.ConnectionClosed, OSError, asyncio.CancelledError)


class Forgiven(Exception):
    """What hangs is asyncio's: it had no memory where it holds things half done."""


def innermost(exception: BaseException) -> tuple[types.CodeType, int, str] | None:
    """The code in which it was raised, the line and the instruction."""
    tb = exception.__traceback__
    if tb is None:
        return None
    while tb.tb_next is not None:
        tb = tb.tb_next
    code = tb.tb_frame.f_code
    done = [it for it in dis.get_instructions(code) if it.offset <= tb.tb_lasti]
    return code, tb.tb_lineno, done[-1].opname


def is_of_the_library(exception: BaseException, message: str) -> bool:
    """Whether it was raised in Python's library, not in what that called of ours."""
    if message == "exception while resuming a task":
        return True  # such a task is never stepped again
    where = innermost(exception)
    if where is None:
        return is_of_half_made(exception)  # without memory for a traceback
    if "site-packages" in where[0].co_filename:
        return False
    code, number, instruction = where
    line = linecache.getline(code.co_filename, number)
    if ".set_result(" in line:
        return True  # it is done then, and nobody is told
    if os.path.dirname(os.__file__) not in code.co_filename:
        return False
    if "self._context.run" in line and instruction.startswith("CALL"):
        return "Task" in message or "_SelectorSocketTransport" in message
    return "_protocol." not in line


def is_of_half_made(exception: BaseException) -> bool:
    """Of what asyncio couldn't make, and leaves: a transport without its attributes, a
    task that is going to be stepped, whose coroutine has been closed."""
    text = str(exception)
    return (
        "'_SelectorSocketTransport' object has no attribute" in text
        or text == "cannot reuse already awaited coroutine"
    )


def is_of_the_interpreter(exception: BaseException) -> bool:
    """CPython 3.11 sets no exception when it has no memory for a frame."""
    where = innermost(exception)
    return (
        where is not None
        and "error return without" in str(exception)
        and where[2].startswith(("CALL", "PRECALL", "BINARY_SUBSCR"))
    )


class Impatient(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> Any:
        return super().select(0)


class Run:
    """One run of a scenario."""

    def __init__(self, once: bool) -> None:
        self.broadcasts = False
        self.once = once  # else asyncio loses more than can be told
        self.raised: list[BaseException] = []
        self.messages: list[str] = []
        self.received: list[str | bytes] = []
        self.output = bytearray()
        self.loop = asyncio.SelectorEventLoop(Impatient())
        self.loop.set_exception_handler(self.note)
        sys.unraisablehook = lambda it: self.keep(it.exc_value)
        self.logger = logging.Logger("run")
        self.logger.addHandler(Kept(self))

    def note(self, _: object, context: dict[str, Any]) -> None:
        self.keep(context.get("exception"), context["message"])

    def keep(self, exception: BaseException | None, message: str = "") -> None:
        with contextlib.suppress(MemoryError):
            if exception is not None:
                self.raised.append(exception)
                self.messages.append(message)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Rounds of the loop are run by hand: to start it needs memory."""
        asyncio._set_running_loop(self.loop)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def go(self, rounds: int) -> None:
        left = rounds  # small integers need no memory, ranges do
        while left > 0:
            left -= 1
            try:
                self.loop._run_once()  # type: ignore[attr-defined]
            except BaseException as exception:
                self.keep(exception)

    def until(
        self, condition: Callable[[], bool], what: str, forgive: bool = False
    ) -> None:
        forgive |= not self.once
        end = time.monotonic() + (0.1 if forgive else 0.4)
        while not condition():
            if time.monotonic() > end:
                if forgive or any(map(is_of_the_library, self.raised, self.messages)):
                    raise Forgiven
                raise AssertionError(f"{what}: {self.raised!r} {self.messages}")
            self.go(1)


class Kept(logging.Handler):
    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def handle(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            self.run.keep(record.exc_info[1])
        return True


# ---- what CPython does wrong ---------------------------------------------------------

HAS_FAULTS = sys.version_info[:2] in ((3, 12), (3, 13))


def keep_codes() -> None:
    """Without memory for a function, CPython 3.12 and 3.13 give its code back twice: it
    gets references to lose."""
    functions = [it for it in gc.get_objects() if isinstance(it, types.FunctionType)]
    left: list[object] = [it.__code__ for it in functions]
    seen = set()
    while left:
        code = left.pop()
        if isinstance(code, types.CodeType) and id(code) not in seen:
            seen.add(id(code))
            ctypes.c_ssize_t.from_address(id(code)).value += 1 << 20
            left += code.co_consts


def make_room() -> None:
    """`dict.setdefault()` of CPython 3.13 counts what it had no memory to insert, and
    asyncio enters tasks so: there is room for them."""
    current = asyncio.tasks._current_tasks  # type: ignore[attr-defined]
    others = [object() for _ in range(700)]
    current.update(dict.fromkeys(others))
    for other in others:
        del current[other]


# ---- what is done --------------------------------------------------------------------

MESSAGES: list[str | bytes] = ["é" * 50, b"binary" * 30, "abc" * 300, b"x" * 70_000]
MESSAGES += [f"short {number}" for number in range(4)]


def wire(messages: list[str | bytes]) -> bytes:
    """All kinds of frames that carry them."""
    data = b""
    for number, message in enumerate(messages):
        opcode = 1 if isinstance(message, str) else 2
        payload = message.encode() if isinstance(message, str) else message
        if number % 3 == 2:
            data += frame(opcode, payload[:10], fin=False, mask=True)
            data += frame(9, b"between", mask=True)
            data += frame(0, payload[10:], mask=True)
        else:
            data += frame(opcode, payload, mask=True)
    return data


def payloads(output: bytes) -> list[bytes]:
    """Of the messages in what a server sent; it masks nothing and fragments nothing."""
    found = []
    while output:
        opcode, length, start = output[0] & 15, output[1], 2
        if length > 125:
            start = {126: 4, 127: 10}[length]
            length = int.from_bytes(output[2:start])
        if len(output) < start + length:
            break
        if opcode in (1, 2):
            found.append(output[start : start + length])
        output = output[start + length :]
    return found


class Listener:
    def __init__(self, run: Run) -> None:
        self.run = run

    def on_open(self, ws: Any) -> None:
        pass

    def on_message(self, ws: Any, message: Any) -> None:
        self.run.received.append(message)
        if self.run.broadcasts:
            pywscore.broadcast([ws], message)
        else:
            ws.send_nowait(message)

    def on_ping(self, ws: Any, data: bytes) -> None:
        pass

    def on_pong(self, ws: Any, data: bytes) -> None:
        pass

    def on_close(self, ws: Any, code: int, reason: str) -> None:
        pass


def serving(run: Run, kind: str, carrier: str, compression: str | None) -> Any:
    async def handler(ws: Any) -> None:
        async for message in ws:
            run.received.append(message)
            await ws.send(message)

    options: dict[str, Any] = {
        "carrier": carrier,
        "compression": compression,
        "logger": run.logger,
        "close_timeout": 0.1,
        "ping_interval": None,
        "open_timeout": 1,
    }
    if kind == "broadcast":
        options["write_limit"] = 1 << 30  # it leaves out who is slow
    if kind != "handler":
        options["listener"] = lambda: Listener(run)
    return pywscore.serve(
        handler if kind == "handler" else None, "127.0.0.1", 0, **options
    )


class Peer:
    def __init__(self, run: Run, server: pywscore.Server) -> None:
        self.run = run
        self.sock = socket.create_connection(server.sockets[0].getsockname()[:2])
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.setblocking(False)
        self.ended = False

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendall(data)

    def read(self) -> bool:
        """Whether the other end has ended."""
        with contextlib.suppress(BlockingIOError):
            try:
                while data := self.sock.recv(1 << 20):
                    self.run.output += data
                self.ended = True
            except ConnectionError:
                self.ended = True
        return self.ended

    def open(self, extra: str = "") -> None:
        self.send(REQUEST.format(path="/", extra=extra).encode())
        self.run.until(lambda: self.read() or b"\r\n\r\n" in self.run.output, "open")
        del self.run.output[: self.run.output.index(b"\r\n\r\n") + 4]


def close_server(run: Run, server: pywscore.Server) -> None:
    async def close() -> None:
        server.close()
        await server.wait_closed()

    task = run.loop.create_task(close())
    run.until(task.done, "wait_closed()")
    task.result()
    run.until(lambda: not asyncio.all_tasks(run.loop), "tasks")
    assert server.connections == set()


def scenario_of(
    kind: str, carrier: str, part: str
) -> Callable[[Run, Callable[[], None]], None]:
    """The part of a connection's life in which memory fails."""

    compression = "deflate" if part == "compressed" else None

    def scenario(run: Run, fail: Callable[[], None]) -> None:
        run.broadcasts = kind == "broadcast"
        serve = serving(run, kind, carrier, compression)
        task = run.loop.create_task(start(serve))
        run.until(task.done, "start")
        server = task.result()
        extra = (
            "Sec-WebSocket-Extensions: permessage-deflate\r\n" if compression else ""
        )
        peer = Peer(run, server)
        data = wire(MESSAGES)
        if part == "open":
            peer.send(REQUEST.format(path="/", extra=extra).encode())
        else:
            peer.open(extra)
            peer.send(
                data
                if part in ("messages", "compressed")
                else data + frame(8, b"\3\350", mask=True)
            )
        if part == "lost":
            peer.sock.close()
        try:
            fail()
            run.go(ROUNDS)
        except MemoryError:
            pass
        finally:
            _testcapi.remove_mem_hooks()
        if part == "open":
            # asyncio forgets sockets that it can't make a protocol for.
            run.until(
                lambda: peer.read() or b"\r\n\r\n" in run.output,
                "open",
                forgive=carrier == "transport",
            )
            _, _, run.output[:] = run.output.partition(b"\r\n\r\n")
            peer.send(data)
        if part != "lost":
            run.until(
                lambda: peer.read() or len(run.received) == len(MESSAGES),
                "messages",
            )
        if part != "lost":
            run.go(ROUNDS)
            peer.read()
        peer.sock.close()
        close_server(run, server)
        if not compression and kind != "broadcast":  # which leaves out what fails
            sent = [it.encode() if isinstance(it, str) else it for it in MESSAGES]
            got = payloads(bytes(run.output))
            assert got == sent[: len(got)], "gap in the answers"
        assert run.received == MESSAGES[: len(run.received)], "gap"

    return scenario


async def start(serve: Any) -> Any:
    return await serve


PARTS = [
    *(
        (kind, part)
        for kind in ("handler", "listener")
        for part in ("open", "messages")
    ),
    *((kind, part) for kind in ("handler", "listener") for part in ("close", "lost")),
    ("listener", "compressed"),
    ("broadcast", "messages"),
]
SCENARIOS: dict[str, Callable[[Run, Callable[[], None]], None]] = {
    f"{kind}-{carrier}-{part}": scenario_of(kind, carrier, part)
    for kind, part in PARTS
    for carrier in ("transport", "engine")
}


def run_once(name: str, number: int, once: bool) -> tuple[bool, object]:
    """Whether somebody saw a failure, and what came of it."""
    run = Run(once)
    if HAS_FAULTS:
        make_room()

    def fail() -> None:
        _testcapi.set_nomemory(number, number + (1 if once else ROW))

    try:
        with run.running():
            SCENARIOS[name](run, fail)
            outcome = len(run.received), len(payloads(bytes(run.output)))
    except Forgiven:
        return True, None
    except BaseException:
        for exception in run.raised:
            traceback.print_exception(exception)
        raise
    finally:
        _testcapi.remove_mem_hooks()
        run.loop.close()
    wrong = [
        it
        for it in run.raised
        if not isinstance(it, FINE)
        and not is_of_half_made(it)
        and not is_of_the_interpreter(it)
    ]
    if wrong:
        traceback.print_exception(wrong[0])
        raise AssertionError(repr(wrong))
    return any(isinstance(it, MemoryError) for it in run.raised), outcome


def main(name: str, first: int = 1) -> None:
    failures = 0
    for _ in range(3):  # what is made once and kept
        _, undisturbed = run_once(name, 1 << 30, True)
    if HAS_FAULTS:
        keep_codes()
    for once in (True, False):
        number = first
        quiet = 0
        while quiet < QUIET:
            try:
                failed, outcome = run_once(name, number, once)
            except BaseException:
                print(f"{name}, {number} {'alone' if once else 'in a row'}")
                raise
            mattered = failed or outcome != undisturbed
            failures += mattered
            quiet = 0 if mattered else quiet + 1
            number += 1 if once else 3
            assert number < MOST
        gc.collect()
    print(failures)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
