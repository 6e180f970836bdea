"""What a process of ``run()`` does: serve until it is to stop."""

from __future__ import annotations

import asyncio
import importlib
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..typing import LoggerLike
from ._binding import Address
from ._log import default_logger
from ._options import CLOSE_TIMEOUT
from ._signals import STOP_SIGNALS, stop_signals
from .server import Server, ServerConnection, serve_any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

__all__ = ["Handler", "Lifespan", "LoopFactory", "Plan", "StartMethod"]

StartMethod = Literal["fork", "spawn", "forkserver"]
LoopFactory = Callable[[], asyncio.AbstractEventLoop]
Handler = Callable[[ServerConnection], Awaitable[Any]] | None
Lifespan = Callable[[], AbstractAsyncContextManager[object]]

# Connections are cut at close_timeout; then their handlers get a moment to notice.
NOTICE = 0.25


@dataclass
class Plan:
    """What a worker does; it travels to where that runs."""

    handler: Handler
    host: str | Sequence[str] | None
    port: int | None
    loop: str | LoopFactory
    lifespan: Lifespan | None
    arguments: dict[str, Any]

    def __post_init__(self) -> None:
        # They are looked at more than once, and each worker gets them.
        self.host = _kept(self.host)
        self.arguments = {name: _kept(it) for name, it in self.arguments.items()}

    def factory(self) -> LoopFactory:
        """The function that makes the event loop."""
        if callable(self.loop):
            return self.loop
        if self.loop == "asyncio":
            return asyncio.new_event_loop
        if self.loop != "uvloop":
            raise ValueError(f"loop must be asyncio or uvloop, not {self.loop!r}")
        try:
            uvloop = importlib.import_module("uvloop")
        except ImportError:
            raise ImportError("loop='uvloop' needs: pip install uvloop") from None
        made: LoopFactory = uvloop.new_event_loop
        return made

    @property
    def close_timeout(self) -> float | None:
        timeout: float | None = self.arguments.get("close_timeout", CLOSE_TIMEOUT)
        return timeout

    @property
    def logger(self) -> LoggerLike:
        logger: LoggerLike | None = self.arguments.get("logger")
        return logger or default_logger("server")

    def run(
        self,
        on_ready: Callable[[list[Address]], object],
        lifeline: Pipe | None = None,
    ) -> int:
        """Serve until a signal, or until the other end of ``lifeline`` is gone."""
        try:
            with asyncio.Runner(loop_factory=self.factory()) as runner:
                return runner.run(self._serve(on_ready, lifeline))
        except KeyboardInterrupt:  # no signal handlers on this system or thread
            return 0

    async def _serve(
        self,
        on_ready: Callable[[list[Address]], object],
        lifeline: Pipe | None,
    ) -> int:
        stop, hurry = asyncio.Event(), asyncio.Event()

        def ask() -> None:
            (hurry if stop.is_set() else stop).set()

        # A worker's Ctrl-C is its parent's to hear.
        numbers = STOP_SIGNALS if lifeline is None else (signal.SIGTERM,)
        with stop_signals(ask, numbers):
            async with self.lifespan() if self.lifespan else nullcontext():
                server = await serve_any(
                    self.handler, self.host, self.port, **self.arguments
                )
                try:
                    if lifeline is not None:
                        asyncio.get_running_loop().add_reader(
                            lifeline.fileno(), stop.set
                        )
                    on_ready([sock.getsockname() for sock in server.sockets])
                    await stop.wait()
                finally:
                    if lifeline is not None:
                        asyncio.get_running_loop().remove_reader(lifeline.fileno())
                    clean = await _drain(server, self.close_timeout, hurry)
        return 0 if clean else 1


def _kept(value: Any) -> Any:
    return tuple(value) if isinstance(value, Iterator) else value


async def _drain(server: Server, timeout: float | None, hurry: asyncio.Event) -> bool:
    """Close the server; whether all came to its end by itself."""
    server.close()
    closed = asyncio.ensure_future(server.wait_closed())
    hurried = asyncio.ensure_future(hurry.wait())
    try:
        limit = None if timeout is None else timeout + NOTICE
        await asyncio.wait(
            {closed, hurried}, timeout=limit, return_when=asyncio.FIRST_COMPLETED
        )
        if closed.done():
            return True
        for ws in list(server._all):
            ws._cut("the server is stopping")
        for task in list(server._tasks):
            task.cancel()
        await asyncio.wait({closed}, timeout=NOTICE)
        return False
    finally:
        closed.cancel()
        hurried.cancel()
