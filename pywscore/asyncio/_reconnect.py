"""When and how soon ``async for ws in connect(...)`` tries again."""

from __future__ import annotations

from collections.abc import Iterator

from ..exceptions import InvalidMessage, InvalidStatus

__all__ = ["backoff", "process_exception"]

_TRANSIENT = frozenset({500, 502, 503, 504})


def process_exception(exc: Exception) -> Exception | None:
    """The default of ``connect(process_exception=)``: is trying again worth it?

    Args:
        exc: why the last try failed.

    Returns:
        None to try again: network errors, timeouts, a connection that ended before the
        response, and the statuses 500, 502, 503 and 504. The exception to raise
        otherwise.
    """
    if isinstance(exc, (OSError, TimeoutError)):
        return None
    if isinstance(exc, InvalidMessage) and isinstance(exc.__cause__, EOFError):
        return None
    if isinstance(exc, InvalidStatus) and exc.response.status_code in _TRANSIENT:
        return None
    return exc


def backoff(
    initial_delay: float = 5.0,
    min_delay: float = 3.1,
    max_delay: float = 90.0,
    factor: float = 1.618,
) -> Iterator[float]:
    """Seconds to wait before each next try (RFC 6455 §7.2.3), without an end.

    Args:
        initial_delay: the first is a random part of it.
        min_delay: the second.
        max_delay: none is longer.
        factor: how much longer each next one is.
    """
    import random

    yield random.random() * initial_delay
    delay = min_delay
    while True:
        yield min(delay, max_delay)
        delay = min(delay * factor, max_delay)
