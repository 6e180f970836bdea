"""SIGINT and SIGTERM, while an event loop runs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence

__all__ = ["STOP_SIGNALS", "stop_signals"]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stop_signals(
    callback: Callable[[], object], numbers: Sequence[signal.Signals] = STOP_SIGNALS
) -> Iterator[None]:
    """Call ``callback`` for each of them that comes, instead of what would happen.

    Where a loop has no signal handlers, on Windows and outside of the main thread,
    KeyboardInterrupt stays what it is.
    """
    loop = asyncio.get_running_loop()
    handled = []
    try:
        for number in numbers:
            loop.add_signal_handler(number, callback)
            handled.append(number)
    except (NotImplementedError, RuntimeError, ValueError):
        pass
    if hasattr(signal, "pthread_sigmask") and handled:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
