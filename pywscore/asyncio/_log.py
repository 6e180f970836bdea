"""Logging that a hostile peer can't flood, nor use to write to a terminal."""

from __future__ import annotations

import contextlib
import enum
import logging
import time
import traceback
from collections.abc import Mapping
from typing import Any

from ..typing import LoggerLike


class Lines(enum.IntEnum):
    """What is counted apart, so that one can't hide another."""

    PEERS = 0
    """What peers can cause as often as they like."""
    OWN = 1
    """Warnings and errors, which come from the application."""
    CONNECTIONS = 2
    """The beginning and the end of connections, once each."""
    TRACE = 3
    """What DEBUG shows of frames and heads."""


LINES_PER_SECOND = {
    Lines.PEERS: 10,
    Lines.OWN: 10,
    Lines.CONNECTIONS: 1000,
    Lines.TRACE: 1000,
}


package = "pywscore"
"""Of whom loggers have their names; ``install()`` makes it websockets."""


def default_logger(side: str) -> logging.Logger:
    """What the server, or the client, logs to without ``logger=``."""
    return logging.getLogger(f"{package}.{side}")


def is_exit(exc: BaseException) -> bool:
    """Whether it is to end the program, and isn't a failure of what raised it."""
    return isinstance(exc, (KeyboardInterrupt, SystemExit))


class LimitedLogger:
    """So many lines a second of a kind; how many more there were is said afterwards.

    A logger that raises is not the connection's problem: its exceptions are dropped,
    and tracebacks go to stderr in its place.
    """

    __slots__ = ("_lines", "_second", "_suppressed", "logger")

    def __init__(self, logger: LoggerLike) -> None:
        self.logger = logger
        self._second = 0
        self._lines = dict.fromkeys(Lines, 0)
        self._suppressed = 0

    def is_enabled_for(self, level: int) -> bool:
        """Whether lines of this level go anywhere."""
        try:
            return self.logger.isEnabledFor(level)
        except Exception:
            return False

    def log(
        self,
        level: int,
        message: str,
        *args: object,
        exc_info: BaseException | None = None,
        extra: Mapping[str, object] | None = None,
        kind: Lines | None = None,
    ) -> None:
        """Log one line, and with ``exc_info`` a traceback, unless there were too many.

        Records get what is in ``extra`` as attributes. ``kind`` is that of the level if
        it isn't given.
        Text that came from a peer goes through ``printable()`` first.
        """
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, dict.fromkeys(Lines, 0)
            self.flush()
        if kind is None:
            kind = Lines.OWN if level >= logging.WARNING else Lines.PEERS
        self._lines[kind] += 1
        if self._lines[kind] > LINES_PER_SECOND[kind]:
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
