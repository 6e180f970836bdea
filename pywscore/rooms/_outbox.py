"""How a member is sent to: our connections in C, others by whatever they have."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from .. import _core
from ..asyncio.connection import Connection
from ..enums import State

__all__ = ["HIGH_WATER", "Data", "Outbox", "Send", "connection_of", "sender_of"]

Data = str | bytes
Send = Callable[[Any], Awaitable[object]]

HIGH_WATER = 64 * 1024


class Outbox:
    """What waits for a connection of another library, which a task sends.

    Args:
        send: its coroutine function, for one message.
        on_failed: called when that raises; the connection is of no more use.
    """

    __slots__ = ("_drained", "_on_failed", "_queue", "_send", "_size", "_task")

    def __init__(
        self, send: Send, on_failed: Callable[[BaseException], object]
    ) -> None:
        self._send = send
        self._on_failed = on_failed
        self._queue: deque[Data] = deque()
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None

    @property
    def is_slow(self) -> bool:
        """Nothing more is to be queued."""
        return self._size > HIGH_WATER

    def send_nowait(self, data: Data) -> bool:
        """Queue it; whether there is still room."""
        self._queue.append(data)
        self._size += len(data)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return not self.is_slow

    async def drain(self) -> None:
        """Wait until half of what may wait is gone."""
        if self._size <= HIGH_WATER // 2:
            return
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._drained)

    def close(self) -> None:
        """Drop what waits. In the middle of sending, the function that sends may have
        asked for it, and goes on."""
        self._queue.clear()
        self._on_failed = _nothing  # it may have this
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._wake()

    async def _run(self) -> None:
        try:
            while self._queue:
                data = self._queue.popleft()
                await self._send(data)
                self._size -= len(data)
                if self._size <= HIGH_WATER // 2:
                    self._wake()
        except BaseException as exc:
            self._on_failed(exc)
            if not isinstance(exc, Exception):
                raise

    def _wake(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)


def _nothing(_: object) -> None:
    pass


def connection_of(ws: Any) -> Connection | None:
    """Our connection, that of a drop-in too; None for what is another library's.

    Raises:
        RuntimeError: if it isn't open yet.
    """
    found: object
    if isinstance(ws, Connection):
        found = ws
    elif isinstance(ws, _core.MessageStream):
        if ws._connection is None:
            raise RuntimeError("the connection isn't open: prepare() it first")
        found = ws._connection
    else:
        scope = getattr(ws, "scope", None)
        extensions = scope.get("extensions") if isinstance(scope, dict) else None
        own = (extensions or {}).get("pywscore")
        found = None if own is None else own["connection"]()
    if not isinstance(found, Connection):
        return None
    if found.state is State.CONNECTING:
        raise RuntimeError("the connection isn't open: accept it first")
    return found


def sender_of(ws: Any, send: Send | None) -> Send:
    """A coroutine function that sends one message to another library's connection.

    Raises:
        TypeError: if it has none.
    """
    if send is not None:
        if not callable(send):
            raise TypeError("send must be a coroutine function for one message")
        return send
    for text, binary in (("send_text", "send_bytes"), ("send_str", "send_bytes")):
        send_text, send_bytes = getattr(ws, text, None), getattr(ws, binary, None)
        if callable(send_text) and callable(send_bytes):
            return _by_type(send_text, send_bytes)
    own = getattr(ws, "send", None)
    if inspect.iscoroutinefunction(own):
        return own
    raise TypeError(
        f"a {type(ws).__name__} has no send_text(), send_str() or async send(): "
        "join(..., send=) takes a coroutine function"
    )


def _by_type(text: Send, binary: Send) -> Send:
    async def send(data: Data) -> None:
        await (text if isinstance(data, str) else binary)(data)

    return send
