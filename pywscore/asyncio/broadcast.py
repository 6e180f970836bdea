"""One message to many connections, without waiting for any of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..enums import State
from ..exceptions import ConcurrencyError
from .log import printable

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["broadcast"]

_TOO_SLOW = BlockingIOError("output is above its high-water mark")


def broadcast(
    connections: Iterable[Connection],
    message: str | bytes | bytearray | memoryview,
    raise_exceptions: bool = False,
    *,
    text: bool | None = None,
) -> None:
    """Send a message to many connections at once.

    Connections that aren't open are passed over. So are those whose output is above
    the high-water mark of ``write_limit``: a peer that doesn't read costs no more than
    that and the message that passed the mark. How many messages it missed is in its
    ``broadcasts_skipped``.

    Args:
        connections: servers' or clients' connections, all of the running loop.
        message: ``str`` for a text message, bytes-like for a binary one.
        raise_exceptions: raise what went wrong with single connections, after the
            others were served; otherwise it is logged.
        text: True for a text message of UTF-8 bytes, False for a binary message of an
            encoded ``str``.

    Raises:
        TypeError: if message isn't ``str`` or bytes-like.
        ExceptionGroup: if ``raise_exceptions`` and something went wrong.
    """
    if not isinstance(message, (str, bytes, bytearray, memoryview)):
        raise TypeError("data must be str or bytes-like")
    problems: list[Exception] = []
    for connection in connections:
        if connection.protocol.state is not State.OPEN:
            continue
        if connection.write_paused:
            connection.broadcasts_skipped += 1
            problem: Exception | None = _TOO_SLOW if raise_exceptions else None
        else:
            problem = _send(connection, message, text)
        if problem is None:
            continue
        if raise_exceptions:
            problems.append(problem)
        else:
            connection.logger.warning("skipped broadcast: %s", printable(problem))
    if problems:
        raise ExceptionGroup("skipped broadcast", problems)


def _send(
    connection: Connection,
    message: str | bytes | bytearray | memoryview,
    text: bool | None,
) -> Exception | None:
    if connection._fragmented_send is not None:
        return ConcurrencyError("sending a fragmented message")
    try:
        connection.send_nowait(message, text=text)
    except Exception as exc:
        error = RuntimeError("failed to write message")
        error.__cause__ = exc
        return error
    return None
