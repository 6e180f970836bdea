"""Commands over one connection: each leaves at once, and answers come in order."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from redis import exceptions as errors

from .._pipeline import Calls, Receiver, fail, give

__all__ = ["Commands"]

LOOK_EVERY = 0.5


class Commands(Calls):
    """The connection is made when there is something to say, and made anew for what is
    said after it was lost.

    Args:
        connect: a client, and a connection of it that isn't made yet, whose replies
            have no time limit.
        timeout: seconds, for a connection and for an answer.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[tuple[Any, Any]]], timeout: float
    ) -> None:
        self._connect = connect
        self._timeout = timeout
        self._output: list[tuple[Callable[[], Sequence[Any]], Receiver]] = []
        self._more = asyncio.Event()
        self._asked: deque[tuple[Receiver, float]] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, make: Callable[[], Sequence[Any]], receiver: Receiver) -> None:
        self._output.append((make, receiver))
        self._more.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self, reason: Exception) -> None:
        self._fail(reason)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        client = connection = None
        tasks: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(self._timeout):
                client, connection = await self._connect()
                await connection.connect()
            tasks = [
                asyncio.create_task(it(connection))
                for it in (self._write, self._read, self._look)
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        except asyncio.CancelledError:
            self._fail(errors.ConnectionError("it was cancelled"))
            raise
        except Exception as exc:
            self._fail(exc)
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.gather(*tasks, return_exceptions=True)
            if connection is not None:
                await connection.disconnect(nowait=True)
            if client is not None:
                await client.aclose()
        if self._output:  # what has come meanwhile
            self._task = asyncio.create_task(self._run())

    async def _write(self, connection: Any) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            if data := self._take():
                await connection.send_packed_command(data, check_health=False)
                del data

    def _take(self) -> bytes:
        """What is to be sent now."""
        output, self._output = self._output, []
        now = time.monotonic()
        packed: list[bytes] = []
        for make, receiver in output:
            try:
                command = [*_pack(make())]
            except Exception as exc:  # its own fault: nothing to the others
                fail(receiver, exc)
                continue
            if not receiver.done():  # whoever waited for it may have gone
                packed += command
                self._asked.append((receiver, now))
        return b"".join(packed)

    async def _read(self, connection: Any) -> None:
        asked = self._asked
        while True:
            try:
                answer = await connection.read_response()
            except errors.ResponseError as exc:
                answer = exc
            if not asked:
                raise errors.ConnectionError("an answer to nothing")
            receiver, _ = asked.popleft()
            if receiver.done():
                continue  # nobody waits for it any more
            if isinstance(answer, errors.ResponseError):
                receiver.set_exception(answer)
                if isinstance(answer, errors.ReadOnlyError):
                    raise answer  # the name may stand for another server now
            else:
                give(receiver, answer)

    async def _look(self, _: Any) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if self._asked and time.monotonic() - self._asked[0][1] > self._timeout:
                raise errors.TimeoutError("no answer in time")

    def _fail(self, reason: Exception) -> None:
        waiting = [*(it for it, _ in self._asked), *(it for _, it in self._output)]
        self._asked.clear()
        self._output.clear()
        self._more.clear()
        for receiver in waiting:
            fail(receiver, reason)


def _pack(command: Sequence[Any]) -> Iterable[bytes]:
    yield b"*%d\r\n" % len(command)
    for it in command:
        if isinstance(it, bytes):
            yield b"$%d\r\n" % len(it)
            yield it
            yield b"\r\n"
        else:
            yield _pack_word(it)


@functools.lru_cache(256)
def _pack_word(word: str | int) -> bytes:
    """Names and numbers are said again and again; what isn't is given as bytes."""
    data = str(word).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)
