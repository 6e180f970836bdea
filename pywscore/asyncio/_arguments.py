"""What the arguments of ``serve()`` and ``connect()`` can be: one table for both.

``run()``, ``route()`` and the drop-ins pass theirs on, or look them up here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._tls import TLSContext
from ..http import is_token

__all__ = ["ARGUMENTS", "Origins", "check_tls", "checked"]

Origins = Sequence[str | re.Pattern[str] | None]


def _as_given(name: str, value: Any) -> Any:
    return value


def water_marks(name: str, value: Any) -> tuple[int, int] | None:
    """``(high, low)`` from a number, a pair with None for "the usual", or None.

    Raises:
        ValueError: if they are negative or in the wrong order.
    """
    high, low = value if isinstance(value, tuple) else (value, None)
    if high is None and low is None:
        return None
    if high is None:
        high = low * 4
    if low is None:
        low = high // 4
    if not 0 <= low <= high:
        raise ValueError(f"{name} needs 0 <= low <= high, not {value!r}")
    return high, low


def _finite_water_marks(name: str, value: Any) -> tuple[int, int]:
    marks = water_marks(name, value)
    assert marks is not None
    return marks


def message_limit(name: str, value: Any) -> int | None:
    """``max_size`` in bytes; a pair is (message, fragment), as in ``websockets``.

    The core bounds whole messages, and with them their fragments.

    Raises:
        ValueError: if it is negative, or only a limit for fragments is given.
    """
    limit, fragment = value if isinstance(value, tuple) else (value, None)
    if limit is None and fragment is not None:
        raise ValueError(f"{name} can't limit fragments without limiting messages")
    if limit is not None and fragment is not None:
        limit = max(limit, fragment)
    if limit is not None and limit < 0:
        raise ValueError(f"{name} must not be negative")
    return None if limit is None else int(limit)


def _count(name: str, limit: int | None) -> int | None:
    if limit is not None and limit < 1:
        raise ValueError(f"{name} must be positive")
    return limit


def _carrier(name: str, carrier: str) -> str:
    if carrier not in ("auto", "engine", "transport"):
        raise ValueError(f"{name} must be auto, engine or transport, not {carrier!r}")
    return carrier


def _subprotocols(name: str, subprotocols: Any) -> tuple[str, ...]:
    if isinstance(subprotocols, str):
        raise TypeError(f"{name} must be a list of strings, not a string")
    names = tuple(subprotocols or ())
    for subprotocol in names:
        if not is_token(subprotocol):  # RFC 6455 §4.1
            raise ValueError(f"invalid subprotocol: {subprotocol!r}")
    return names


def _origins(name: str, origins: Origins | None) -> Origins | None:
    if origins is None:
        return None
    if isinstance(origins, (str, re.Pattern)):
        raise TypeError(f"{name} must be a list")
    allowed = tuple(origins)
    for origin in allowed:
        if origin is not None and not isinstance(origin, (str, re.Pattern)):
            raise TypeError(f"not an origin: {origin!r}")
    return allowed


def _hosts(name: str, host: Any) -> Any:
    # Each try to listen has them all.
    return host if host is None or isinstance(host, str) else tuple(host)


ARGUMENTS: Mapping[str, Callable[[str, Any], Any]] = {
    "additional_headers": _as_given,
    "carrier": _carrier,
    "close_timeout": _as_given,
    "compression": _as_given,
    "create_connection": _as_given,
    "extensions": _as_given,
    "handler": _as_given,
    "host": _hosts,
    "idle_timeout": _as_given,
    "listener": _as_given,
    "logger": _as_given,
    "max_connections": _count,
    "max_connections_per_address": _count,
    "max_queue": water_marks,
    "max_size": message_limit,
    "open_timeout": _as_given,
    "origin": _as_given,
    "origins": _origins,
    "ping_interval": _as_given,
    "ping_timeout": _as_given,
    "port": _as_given,
    "process_exception": _as_given,
    "process_request": _as_given,
    "process_response": _as_given,
    "proxy": _as_given,
    "reconnect_delays": _as_given,
    "select_subprotocol": _as_given,
    "server_header": _as_given,
    "subprotocols": _subprotocols,
    "uri": _as_given,
    "user_agent_header": _as_given,
    "write_limit": _finite_water_marks,
}
"""What each argument is made of what was given; by its name."""


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments among ``given``, the caller's ``locals()``, each by its row.

    Raises:
        TypeError, ValueError: if one can't be used.
    """
    return {
        name: check(name, given[name])
        for name, check in ARGUMENTS.items()
        if name in given
    }


def check_tls(tls: object, *, server: bool, carrier: str) -> None:
    """Raises:
    ValueError: if it is a TLSContext, and not for this.
    """
    if not isinstance(tls, TLSContext):
        return
    if tls.is_server is not server:
        who, side = ("serve", "server") if server else ("connect", "client")
        raise ValueError(f"{who}() needs a context made with TLSContext.{side}()")
    if carrier == "transport":
        raise ValueError('TLSContext doesn\'t go with carrier="transport"')
