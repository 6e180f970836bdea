"""One message to many connections, without waiting for any of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, cast

from .. import _core
from ..exceptions import ConcurrencyError
from ._log import printable

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["broadcast"]


def broadcast(
    connections: Iterable[Connection],
    message: str | bytes | bytearray | memoryview,
    raise_exceptions: bool = False,
    *,
    text: bool | None = None,
    compress: bool | None = None,
    slow: Literal["skip", "close"] = "skip",
) -> None:
    """Send a message to many connections at once.

    It is framed once for all, and compressed once for each set of parameters that the
    connections have agreed on.

    Connections that aren't open are passed over. So are those whose output is above
    the high-water mark of ``write_limit``: a peer that doesn't read costs no more than
    that and the message that passed the mark. How many messages it missed is in its
    ``broadcasts_skipped``.

    Args:
        connections: servers' or clients' connections, all of the running loop. A list,
            tuple or set may change while this runs.
        message: ``str`` for a text message, bytes-like for a binary one.
        raise_exceptions: raise what went wrong with single connections, after the
            others were served; otherwise it is logged.
        text: True for a text message of UTF-8 bytes, False for a binary message of an
            encoded ``str``.
        compress: True or False overrides the threshold of the compression that was
            agreed, as in ``send()``.
        slow: what becomes of a connection above its high-water mark. ``"skip"``: it
            misses this message. ``"close"``: it is closed with 1008, for applications
            where one message doesn't make sense without those before it.

    Raises:
        TypeError: if message isn't ``str`` or bytes-like.
        ValueError: for another value of ``slow``.
        RuntimeError: for a connection of another thread's loop.
        ExceptionGroup: if ``raise_exceptions`` and something went wrong.
    """
    if not isinstance(message, (str, bytes, bytearray, memoryview)):
        raise TypeError("data must be str or bytes-like")
    if slow not in ("skip", "close"):
        raise ValueError("slow must be 'skip' or 'close'")
    problems = _core.broadcast(
        connections, message, text, compress, slow == "close", raise_exceptions
    )
    if problems is None:
        return
    errors = [_error(exc) for _, exc in problems]
    if raise_exceptions:
        raise ExceptionGroup("skipped broadcast", errors)
    for (connection, _), error in zip(problems, errors, strict=True):
        logger = cast("Connection", connection).logger
        logger.warning("skipped broadcast: %s", printable(_in_a_line(error)))


def _error(exc: Exception | None) -> Exception:
    if exc is None:
        return BlockingIOError("output is above its high-water mark")
    if isinstance(exc, ConcurrencyError):
        return exc
    error = RuntimeError("failed to write message")
    error.__cause__ = exc
    return error


def _in_a_line(error: Exception) -> str:
    cause = error.__cause__
    return f"{error}: {type(cause).__name__}: {cause}" if cause else str(error)
