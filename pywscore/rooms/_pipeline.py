"""Commands that are given at the same time leave together, in order."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

__all__ = ["Calls", "Pipeline", "Receiver", "fail", "give"]

MAX_COMMANDS = 256
MAX_BYTES = 1 << 20

Make = Callable[[], Sequence[Any]]


class Receiver(Protocol):
    """What gets an answer, as a future does."""

    def done(self) -> bool:
        """Nobody waits for it."""

    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: Any, /) -> None: ...


class Calls(ABC):
    """Gives commands to Redis."""

    @abstractmethod
    def put(self, make: Make, receiver: Receiver) -> None:
        """Give a command, which is made, once, when it is about to be sent."""

    @abstractmethod
    async def close(self, reason: Exception) -> None:
        """Whoever still waits gets the reason."""

    async def call(self, *command: Any) -> Any:
        """The answer to a command; raises if that is an exception."""
        future = asyncio.get_running_loop().create_future()
        self.put(lambda: command, future)
        return await future


class Pipeline(Calls):
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
        self._queue: deque[tuple[Make, Receiver]] = deque()
        self._runner: asyncio.Task[None] | None = None

    def put(self, make: Make, receiver: Receiver) -> None:
        self._queue.append((make, receiver))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())

    async def close(self, reason: Exception) -> None:
        for _, receiver in self._queue:
            fail(receiver, reason)
        self._queue.clear()
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])

    async def _run(self) -> None:
        while self._queue:
            commands, receivers = self._take()
            try:
                results = await self._execute(commands)
            except BaseException as exc:
                reason = (
                    exc if isinstance(exc, Exception) else ConnectionError(str(exc))
                )
                # What waited behind them has waited as long.
                receivers += [receiver for _, receiver in self._queue]
                self._queue.clear()
                for receiver in receivers:
                    fail(receiver, reason)
                if not isinstance(exc, Exception):
                    raise
                continue
            for receiver, result in zip(receivers, results, strict=True):
                if isinstance(result, Exception):
                    fail(receiver, result)
                else:
                    give(receiver, result)

    def _take(self) -> tuple[list[Sequence[Any]], list[Receiver]]:
        commands: list[Sequence[Any]] = []
        receivers: list[Receiver] = []
        size = 0
        while self._queue and len(commands) < MAX_COMMANDS and size < MAX_BYTES:
            make, receiver = self._queue.popleft()
            try:
                command = make()
            except Exception as exc:  # its own fault: nothing to the others
                fail(receiver, exc)
                continue
            if not receiver.done():  # whoever waited for it may have gone
                commands.append(command)
                receivers.append(receiver)
                size += sum(len(it) for it in command if isinstance(it, bytes))
        return commands, receivers


def give(receiver: Receiver, result: Any) -> None:
    """An answer; what it can't make anything of is its own fault."""
    if not receiver.done():
        try:
            receiver.set_result(result)
        except Exception as exc:
            fail(receiver, exc)


def fail(receiver: Receiver, reason: Exception) -> None:
    if not receiver.done():
        receiver.set_exception(reason)
