"""When and how soon ``async for ws in connect(...)`` tries again."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

from ..exceptions import InvalidMessage, InvalidStatus

__all__ = ["Resumption", "backoff", "process_exception"]

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


class Resumption:
    """The TLS session of the connection before, for the next one (RFC 8446 §2.2).

    Of an ``ssl.SSLContext``: a TLSContext keeps sessions itself.
    """

    def __init__(self) -> None:
        self._of: tuple[Any, ...] = ()
        self._session: ssl.SSLSession | None = None

    def take(self, *of: Any) -> ssl.SSLSession | None:
        """The session, once (RFC 8446 appendix C.4), if it is of the same context and
        server: it stands for the check of that one's certificate."""
        session, self._session = self._session, None
        before, self._of = self._of, of
        return session if before == of else None

    def keep(self, tls: Any) -> None:
        """That of an SSLObject at the connection's end: tickets have come by then."""
        self._session = getattr(tls, "session", None)
