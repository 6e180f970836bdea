"""For the loop's debug mode, which says what took long: functions of the user's that
the engine or a transport calls, rather than a task, by their own names."""

from __future__ import annotations

import asyncio
import time
from asyncio.log import logger
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

__all__ = ["TimedListener", "Turn", "timed"]

P = ParamSpec("P")
R = TypeVar("R")

_running: dict[asyncio.AbstractEventLoop, Turn] = {}


class Turn:
    """What the loop calls when its engine is ready. Its name is that of the slowest
    function in it, for the loop says it when it was slow."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, ready: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._ready = ready
        self._name_after(ready, 0.0)

    def _name_after(self, function: Callable[..., Any], seconds: float) -> None:
        self._longest = seconds
        self.__wrapped__ = function  # for its file and line
        self.__qualname__ = getattr(function, "__qualname__", repr(function))

    def __call__(self) -> None:
        self._name_after(self._ready, 0.0)
        outer = _running.get(self._loop)
        _running[self._loop] = self
        try:
            self._ready()
        finally:
            del _running[self._loop]
            if outer is not None:
                _running[self._loop] = outer

    def was_slow(self, function: Callable[..., Any], seconds: float) -> None:
        if seconds > self._longest:
            self._name_after(function, seconds)


class TimedListener:
    """A listener whose methods are timed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: object) -> None:
        self._loop = loop
        self._listener = listener

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return timed(self._loop, getattr(self._listener, name))


def timed(loop: asyncio.AbstractEventLoop, function: Callable[P, R]) -> Callable[P, R]:
    """``function``, which is named if it is slow."""

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds = time.perf_counter() - began
            if seconds >= loop.slow_callback_duration:
                # A bound method has neither file nor line for asyncio.
                _tell(loop, getattr(function, "__func__", function), seconds)

    return call


def _tell(
    loop: asyncio.AbstractEventLoop, function: Callable[..., Any], seconds: float
) -> None:
    if asyncio.current_task(loop) is not None:
        return  # the loop names it
    turn = _running.get(loop)
    if turn is not None:
        turn.was_slow(function, seconds)
        return
    # A transport's callback, which has one name whatever it calls.
    handle = asyncio.Handle(function, (), loop)
    logger.warning("Executing %s took %.3f seconds", handle, seconds)
