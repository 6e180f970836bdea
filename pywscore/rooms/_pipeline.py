"""Commands that are given at the same time leave together, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

__all__ = ["Pipeline"]

MAX_COMMANDS = 256
MAX_BYTES = 1 << 20


class Pipeline:
    """One batch at a time: what comes meanwhile is the next one.

    Args:
        execute: gives each command of a batch its result, an exception where that is
            what came of it.
    """

    def __init__(
        self,
        execute: Callable[[Sequence[Sequence[Any]]], Awaitable[Sequence[Any]]],
    ) -> None:
        self._execute = execute
        self._queue: deque[tuple[Sequence[Any], asyncio.Future[Any]]] = deque()
        self._runner: asyncio.Task[None] | None = None

    async def call(self, *command: Any) -> Any:
        """The result of a command; raises if that is an exception."""
        future = asyncio.get_running_loop().create_future()
        self._queue.append((command, future))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        return await future

    async def close(self, reason: Exception) -> None:
        """Whoever still waits gets the reason."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])
        for _, future in self._queue:
            _fail(future, reason)
        self._queue.clear()

    async def _run(self) -> None:
        while self._queue:
            commands, futures = self._take()
            try:
                results = await self._execute(commands)
            except BaseException as exc:
                reason = (
                    exc if isinstance(exc, Exception) else ConnectionError(str(exc))
                )
                # What waited behind them has waited as long.
                futures += [future for _, future in self._queue]
                self._queue.clear()
                for future in futures:
                    _fail(future, reason)
                if not isinstance(exc, Exception):
                    raise
                continue
            for future, result in zip(futures, results, strict=True):
                if isinstance(result, Exception):
                    _fail(future, result)
                elif not future.done():
                    future.set_result(result)

    def _take(self) -> tuple[list[Sequence[Any]], list[asyncio.Future[Any]]]:
        commands: list[Sequence[Any]] = []
        futures: list[asyncio.Future[Any]] = []
        size = 0
        while self._queue and len(commands) < MAX_COMMANDS and size < MAX_BYTES:
            command, future = self._queue.popleft()
            if not future.done():  # whoever waited for it has gone
                commands.append(command)
                futures.append(future)
                size += sum(len(it) for it in command if isinstance(it, bytes))
        return commands, futures


def _fail(future: asyncio.Future[Any], reason: Exception) -> None:
    if not future.done():
        future.set_exception(reason)
