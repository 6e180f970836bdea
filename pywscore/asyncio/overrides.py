"""Methods of ``websockets``' classes that a subclass can't override here.

An override that is never called is worse than an error: it may guard a secret.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ABSENT", "ChecksOverrides"]

ABSENT = {
    "connect": frozenset({"open_tcp_connection"}),
    "Connection": frozenset(
        {
            "acknowledge_pings",
            "close_exc",
            "data_received",
            "handshake",
            "keepalive",
            "process_event",
            "send_context",
            "send_data",
            "set_connection_exc",
            "start_keepalive",
            "terminate_pending_pings",
        }
    ),
    "Server": frozenset({"_await", "_close"}),
}
"""By the name of our class, what that of ``websockets`` has besides."""


class ChecksOverrides:
    """A class whose subclasses can't have a method that would never be called."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Raises:
        TypeError: if ``cls`` has one, by itself or by another base.
        """
        super().__init_subclass__(**kwargs)
        for base in cls.__mro__:
            if not issubclass(base, ChecksOverrides):
                continue
            for name in sorted(ABSENT.get(base.__name__, ())):
                if hasattr(cls, name) and not hasattr(base, name):
                    raise TypeError(
                        f"{cls.__name__}.{name} would never be used: {base.__name__} "
                        "of pywscore has no such name, unlike that of websockets"
                    )
