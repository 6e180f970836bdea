"""Logging that a hostile peer can't flood, nor use to write to a terminal."""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from collections.abc import Mapping
from typing import Any

from ..typing import LoggerLike

LINES_PER_SECOND = 10


def is_exit(exc: BaseException) -> bool:
    """Whether it is to end the program, and isn't a failure of what raised it."""
    return isinstance(exc, (KeyboardInterrupt, SystemExit))


class LimitedLogger:
    """At most ten lines a second; how many more there were is said afterwards.

    Warnings and errors, which come from the application, are counted apart: what peers
    do can't hide them. A logger that raises is not the connection's problem: its
    exceptions are dropped, and tracebacks go to stderr in its place.
    """

    __slots__ = ("_lines", "_second", "_suppressed", "logger")

    def __init__(self, logger: LoggerLike) -> None:
        self.logger = logger
        self._second = 0
        self._lines = [0, 0]
        self._suppressed = 0

    def log(
        self,
        level: int,
        message: str,
        *args: object,
        exc_info: BaseException | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """Log one line, and with ``exc_info`` a traceback, unless there were too many.

        Records get what is in ``extra`` as attributes.
        Text that came from a peer goes through ``printable()`` first.
        """
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, [0, 0]
            self.flush()
        kind = level >= logging.WARNING
        self._lines[kind] += 1
        if self._lines[kind] > LINES_PER_SECOND:
            self._suppressed += 1
            return
        self.log_always(level, message, *args, exc_info=exc_info, extra=extra)

    def flush(self) -> None:
        """Say how many lines were left out, if any."""
        if self._suppressed:
            count, self._suppressed = self._suppressed, 0
            self.log_always(logging.INFO, "%d more lines were left out", count)

    def log_always(
        self, level: int, message: str, *args: object, **kwargs: Any
    ) -> None:
        """Log one line that isn't counted: one that peers can't cause."""
        try:
            self.logger.log(level, message, *args, **kwargs)
        except Exception:
            error = kwargs.get("exc_info")
            if error is not None and logging.raiseExceptions:
                # Nor is what happened to be lost with it.
                with contextlib.suppress(Exception):
                    traceback.print_exception(error)
