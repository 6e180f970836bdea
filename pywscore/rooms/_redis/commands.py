"""Commands over one connection: each leaves at once, and answers come in order."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from redis import exceptions as errors

from .._errors import HubError

__all__ = ["Commands"]

MAX_WAITING = 64 << 20
LOOK_EVERY = 0.5

Asked = tuple[asyncio.Future[Any], float, int]


class Commands:
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
        self._output: list[bytes] = []
        self._more = asyncio.Event()
        self._asked: deque[Asked] = deque()
        self._size = 0  # of what has no answer
        self._task: asyncio.Task[None] | None = None

    async def call(self, *command: Any) -> Any:
        """The answer to a command.

        Raises:
            HubError: if so much waits for an answer that no more is taken.
            RedisError, OSError, TimeoutError: as redis-py says it.
        """
        if self._size > MAX_WAITING:
            raise HubError(f"{self._size >> 20} MiB wait for Redis")
        future = asyncio.get_running_loop().create_future()
        packed = _pack(command)
        self._output.append(packed)
        self._asked.append((future, time.monotonic(), len(packed)))
        self._size += len(packed)
        self._more.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def close(self, reason: Exception) -> None:
        """Whoever still waits gets the reason."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._fail(reason)

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

    async def _write(self, connection: Any) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            output, self._output = b"".join(self._output), []
            await connection.send_packed_command(output, check_health=False)

    async def _read(self, connection: Any) -> None:
        asked = self._asked
        while True:
            try:
                answer = await connection.read_response()
            except errors.ResponseError as exc:
                answer = exc
            if not asked:
                raise errors.ConnectionError("an answer to nothing")
            future, _, size = asked.popleft()
            self._size -= size
            if future.done():
                continue  # nobody waits for it any more
            if isinstance(answer, errors.ResponseError):
                future.set_exception(answer)
                if isinstance(answer, errors.ReadOnlyError):
                    raise answer  # the name may stand for another server now
            else:
                future.set_result(answer)

    async def _look(self, _: Any) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if self._asked and time.monotonic() - self._asked[0][1] > self._timeout:
                raise errors.TimeoutError("no answer in time")

    def _fail(self, reason: Exception) -> None:
        asked = list(self._asked)
        self._asked.clear()
        self._output.clear()
        self._more.clear()
        self._size = 0
        for future, _, _ in asked:
            if not future.done():
                future.set_exception(reason)


def _pack(command: tuple[Any, ...]) -> bytes:
    parts = [b"*%d\r\n" % len(command)]
    for it in command:
        if isinstance(it, bytes):
            parts += (b"$%d\r\n" % len(it), it, b"\r\n")
        else:
            parts.append(_pack_word(it))
    return b"".join(parts)


@functools.lru_cache(1024)
def _pack_word(word: str | int) -> bytes:
    """Names and numbers are said again and again; what isn't is given as bytes."""
    data = str(word).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)
