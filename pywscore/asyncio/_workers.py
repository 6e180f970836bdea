"""run(): a server in this process, or in several that share a port."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, Unpack

from .._numbers import whole_number
from ._arguments import Check, checked, function_of, optional
from ._binding import Address, reserve
from ._plan import Handler, Lifespan, LoopFactory, Plan, StartMethod
from ._signatures import RunArguments
from .server import serve_any

__all__ = ["run"]


def _start_method(name: str, method: Any) -> None:
    if method not in ("fork", "spawn", "forkserver"):
        raise ValueError(f"{name} must be fork, spawn or forkserver, not {method!r}")


def _workers(name: str, workers: Any) -> None:
    whole_number(name, workers, 1)


_ARGUMENTS: dict[str, Check] = {
    "lifespan": optional(function_of(0)),
    "on_ready": optional(function_of(1)),
    "start_method": optional(_start_method),
    "workers": _workers,
}


def run(
    handler: Handler,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    workers: int = 1,
    loop: Literal["asyncio", "uvloop"] | LoopFactory = "asyncio",
    start_method: StartMethod | None = None,
    lifespan: Lifespan | None = None,
    on_ready: Callable[[list[Address]], object] | None = None,
    **serve_arguments: Unpack[RunArguments],
) -> int:
    """Serve until SIGINT or SIGTERM, then close all connections with 1001::

        if __name__ == "__main__":
            sys.exit(pywscore.run(handler, "127.0.0.1", 8765, workers=4))

    With more than one worker, each is a process with an event loop of its own that
    listens on the same port (SO_REUSEPORT); this process starts them, and again when
    one ends, and passes signals on. Connections of different workers share nothing.

    Stopping takes ``close_timeout`` at most: what isn't closed by then is cut, and
    handlers still running are cancelled. A second signal does that at once.

    Args:
        handler: coroutine function that gets a ServerConnection.
        host: as for ``serve()``.
        port: as for ``serve()``; 0 for a free one.
        workers: how many processes; 1 is this one.
        loop: the event loop: ``"asyncio"``, ``"uvloop"``, or a function that makes one.
        start_method: how ``multiprocessing`` starts workers: by default ``"fork"`` on
            Linux, ``"spawn"`` elsewhere. With ``"spawn"`` and ``"forkserver"``, handler
            and arguments are pickled: functions have to be importable.
        lifespan: makes an async context manager, which each worker enters in its loop
            before it listens, and leaves once its connections are closed; such as
            ``lambda: hub`` for a ``rooms.Hub``.
        on_ready: called in this process with the addresses once all listen.
        serve_arguments: as for ``serve()``.

    Returns:
        What to end the process with: 0, or 1 if workers couldn't be started, or if not
        everything came to its end in time.

    Raises:
        OSError: if the address can't be listened on.
        ImportError: if there is no uvloop.
        TypeError, ValueError: if an argument can't be used.
        RuntimeError: if a loop is running, or workers are asked for outside of the main
            thread.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("run() has a loop of its own: in a loop, await serve()")
    checked(locals(), _ARGUMENTS)
    plan = Plan(handler, host, port, loop, lifespan, {**serve_arguments})
    plan.factory()
    if workers == 1:
        return plan.run(on_ready or (lambda addresses: None))
    for name in ("sock", "unix", "path", "start_serving", "reuse_port"):
        if name in serve_arguments:
            raise TypeError(f"{name} can't be used with several workers")
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ValueError("several workers need SO_REUSEPORT, which this system lacks")
    # For its exceptions.
    serve_any(handler, plan.host, port, **plan.arguments)._used = True
    sockets = reserve(plan.host, port)
    try:
        plan.port = sockets[0].getsockname()[1]
        plan.arguments["reuse_port"] = True
        if start_method is None:
            start_method = "fork" if sys.platform == "linux" else "spawn"
        from ._fleet import Fleet  # and with it multiprocessing

        fleet = Fleet(plan, workers, start_method)
        return fleet.run(on_ready, [sock.getsockname() for sock in sockets])
    finally:
        for sock in sockets:
            sock.close()
