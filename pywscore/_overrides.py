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
    "Protocol": frozenset(
        {
            "discard",
            "events_received",
            "parse",
            "process_extensions",
            "process_subprotocol",
            "recv_frame",
            "send_eof",
            "send_frame",
        }
    ),
    "ClientProtocol": frozenset({"connect", "process_response", "send_request"}),
    "ServerProtocol": frozenset(
        {"process_origin", "process_request", "select_subprotocol", "send_response"}
    ),
}
"""By the name of our class, what that of ``websockets`` has besides."""


class ChecksOverrides:
    """A class whose subclasses can't have a method that would never be called."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        init_subclass(ChecksOverrides, cls, **kwargs)


def init_subclass(base: type, cls: type, **kwargs: Any) -> None:
    """``base.__init_subclass__()``; for the sans-IO objects too, which are in C.

    Raises:
        TypeError: if ``cls`` has such a method, by itself or by another base.
    """
    super(base, cls).__init_subclass__(**kwargs)  # type: ignore[arg-type]
    ours = [
        base for base in cls.__mro__ if base.__module__.partition(".")[0] == "pywscore"
    ]
    for own in ours:
        for name in sorted(ABSENT.get(own.__name__, ())):
            if hasattr(cls, name) and not any(hasattr(one, name) for one in ours):
                raise TypeError(
                    f"{cls.__name__}.{name} would never be used: {own.__name__} "
                    "of pywscore has no such name, unlike that of websockets"
                )
