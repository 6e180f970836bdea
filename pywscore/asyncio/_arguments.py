"""What the arguments of ``serve()`` and ``connect()`` can be: one table for both.

``run()``, ``route()`` and the drop-ins pass theirs on, or look them up here.
"""

from __future__ import annotations

import inspect
import re
import ssl as ssl_module
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .._numbers import seconds_or_none, whole, whole_number
from .._tls import TLSContext
from ..http import Headers, is_token
from ..protocol import checked_headers
from ._forwarded import Forwarded
from ._listener import check_methods
from ._rate import RateLimit

__all__ = [
    "ARGUMENTS",
    "Check",
    "Origins",
    "as_given",
    "check_tls",
    "checked",
    "flag",
    "function_of",
    "headers_of",
    "list_of",
    "optional",
    "port_number",
    "positive",
    "water_marks",
]

Check = Callable[[str, Any], Any]
Origins = Sequence[str | re.Pattern[str] | None]


def as_given(name: str, value: Any) -> Any:
    return value


def water_marks(name: str, value: Any) -> tuple[int, int] | None:
    """``(high, low)`` from a number, a pair with None for "the usual", or None.

    Raises:
        ValueError: if they are negative or in the wrong order.
    """
    high, low = _pair(name, value)
    if high is None and low is None:
        return None
    if high is None:
        assert low is not None
        high = low * 4
    if low is None:
        low = high // 4
    if not low <= high:
        raise ValueError(f"{name} needs 0 <= low <= high, not {value!r}")
    return high, low


def _pair(name: str, value: Any) -> tuple[int | None, int | None]:
    pair = value if isinstance(value, tuple) else (value, None)
    if len(pair) != 2:
        raise ValueError(f"{name} must be a number or a pair, not {value!r}")
    what = "a whole number, None, or a pair of these"
    first, second = (None if it is None else whole(name, it, what) for it in pair)
    return first, second


def _finite_water_marks(name: str, value: Any) -> tuple[int, int]:
    marks = water_marks(name, value)
    if marks is None:
        raise TypeError(f"{name} must be a number of bytes or a pair, not {value!r}")
    return marks


def message_limit(name: str, value: Any) -> int | None:
    """``max_size`` in bytes; a pair is (message, fragment), as in ``websockets``.

    The core bounds whole messages, and with them their fragments.

    Raises:
        ValueError: if it is negative, or only a limit for fragments is given.
    """
    limit, fragment = _pair(name, value)
    if limit is None and fragment is not None:
        raise ValueError(f"{name} can't limit fragments without limiting messages")
    if limit is not None and fragment is not None:
        limit = max(limit, fragment)
    return limit


def positive(name: str, value: Any) -> int:
    count = whole(name, value, "a whole number or None")
    if count < 1:
        raise ValueError(f"{name} must be positive")
    return count


def _callable(name: str, function: Any) -> Any:
    if not callable(function):
        raise TypeError(f"{name} must be callable, not {function!r}")
    return function


def optional(check: Check) -> Check:
    return lambda name, value: None if value is None else check(name, value)


def function_of(count: int) -> Check:
    """Something to call with so many arguments."""
    few = ("no arguments", "1 argument", "2 arguments", "3 arguments")[count]

    def check(name: str, function: Any) -> Any:
        _callable(name, function)
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # of some functions in C there is none
            return function
        try:
            signature.bind(*[None] * count)
        except TypeError as exc:
            hint = ": the path is ws.request.path" if name == "handler" else ""
            message = f"{name} is called with {few}, and {function!r} doesn't take that"
            raise TypeError(f"{message} ({exc}){hint}") from None
        return function

    return check


def _handler(name: str, handler: Any) -> Any:
    function_of(1)(name, handler)
    if inspect.isasyncgenfunction(handler) or inspect.isgeneratorfunction(handler):
        raise TypeError(f"{name} must be a coroutine function; {handler!r} has a yield")
    return handler


def _a(kind: type) -> Check:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, not {value!r}")
        return value

    return check


def _listener(name: str, factory: Any) -> Any:
    if isinstance(factory, type):
        check_methods(factory)
    return function_of(0)(name, factory)


def _text(name: str, value: Any) -> str:
    """One that can be the value of a header."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string or None, not {value!r}")
    try:
        value.encode("iso-8859-1", "surrogateescape")
        if value != value.strip(" \t"):
            raise ValueError("there is a space at an end")
        checked_headers({name: value})
    except ValueError as exc:
        raise ValueError(f"{name} can't be sent: {exc}") from None
    return value


def _logger(name: str, logger: Any) -> Any:
    if logger is None or (hasattr(logger, "log") and hasattr(logger, "isEnabledFor")):
        return logger
    raise TypeError(
        f"{name} must be a logger, as logging.getLogger() gives one, not {logger!r}"
    )


def port_number(name: str, port: Any) -> Any:
    if isinstance(port, str):
        return port  # the system knows "8765", and names of services
    whole_number(name, port, 0, 65535)
    return port


def flag(name: str, value: Any) -> bool:
    if not isinstance(value, int):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def _uri(name: str, uri: Any) -> Any:
    if not isinstance(uri, str):
        raise TypeError(f"{name} must be a string, not {uri!r}")
    return uri


def _proxy(name: str, proxy: Any) -> Any:
    if proxy is None or proxy is True or isinstance(proxy, str):
        return proxy
    raise TypeError(f"{name} must be True, None or an address, not {proxy!r}")


def _carrier(name: str, carrier: str) -> str:
    if carrier not in ("auto", "engine", "transport"):
        raise ValueError(f"{name} must be auto, engine or transport, not {carrier!r}")
    return carrier


def list_of(name: str, value: Any, what: str) -> tuple[Any, ...]:
    if isinstance(value, (tuple, list)):
        return tuple(value)
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list of {what}, not {value!r}")
    return tuple(value)


def _subprotocols(name: str, subprotocols: Any) -> tuple[str, ...]:
    names = () if subprotocols is None else list_of(name, subprotocols, "strings")
    for subprotocol in names:
        if not isinstance(subprotocol, str):
            raise TypeError(f"{name} must be a list of strings, not {subprotocols!r}")
        if not is_token(subprotocol):  # RFC 6455 §4.1
            raise ValueError(f"{name} has an invalid subprotocol: {subprotocol!r}")
    return names


def _origins(name: str, origins: Any) -> Origins:
    allowed = list_of(name, origins, "strings, patterns and None")
    for origin in allowed:
        if origin is not None and not isinstance(origin, (str, re.Pattern)):
            raise TypeError(f"{name} has something that is no origin: {origin!r}")
        if isinstance(origin, str):
            _check_origin(name, origin)
    return allowed


def headers_of(name: str, headers: Any) -> Headers:
    # What they are isn't said: one may be a secret.
    wrong = TypeError(f"{name} must be a mapping or pairs of strings")
    if not hasattr(headers, "keys"):
        headers = [*headers] if isinstance(headers, Iterable) else [None]
        if any(not isinstance(it, (tuple, list)) or len(it) != 2 for it in headers):
            raise wrong
    try:
        return checked_headers(headers)
    except TypeError:
        raise wrong from None


def _check_origin(name: str, origin: str) -> None:
    """RFC 6454 §6.2: a scheme, a host, perhaps a port. Others would never match."""
    if "*" in origin:
        raise ValueError(
            f"{name} are compared as a whole: {origin!r} matches none. Without {name} "
            "all are allowed; compiled patterns match many"
        )
    if "/" in origin.partition("://")[2]:
        raise ValueError(f"an origin has no path: {origin!r} in {name} matches none")


def _hosts(name: str, host: Any) -> Any:
    # Each try to listen has them all.
    if isinstance(host, str):
        return host
    addresses = list_of(name, host, "addresses")
    if not all(isinstance(address, str) for address in addresses):
        raise TypeError(f"{name} must be a list of addresses, not {host!r}")
    return addresses


ARGUMENTS: Mapping[str, Check] = {
    "additional_headers": optional(headers_of),
    "carrier": _carrier,
    "close_timeout": optional(seconds_or_none),
    "compression": as_given,
    "create_connection": optional(_callable),
    "extensions": optional(lambda name, value: list_of(name, value, "extensions")),
    "forwarded": optional(_a(Forwarded)),
    "handler": optional(_handler),
    "host": optional(_hosts),
    "idle_timeout": optional(seconds_or_none),
    "listener": optional(_listener),
    "logger": _logger,
    "max_connections": optional(positive),
    "max_connections_per_address": optional(positive),
    "max_queue": water_marks,
    "max_size": message_limit,
    "open_timeout": optional(seconds_or_none),
    "origin": optional(_text),
    "origins": optional(_origins),
    "ping_interval": optional(seconds_or_none),
    "ping_timeout": optional(seconds_or_none),
    "port": optional(port_number),
    "process_exception": function_of(1),
    "process_request": optional(function_of(2)),
    "process_response": optional(function_of(3)),
    "proxy": _proxy,
    "rate_limit": optional(_a(RateLimit)),
    "reconnect_delays": function_of(0),
    "select_subprotocol": optional(function_of(2)),
    "server_header": optional(_text),
    "subprotocols": _subprotocols,
    "uri": _uri,
    "user_agent_header": optional(_text),
    "write_limit": _finite_water_marks,
}
"""What each argument is made of what was given; by its name."""


def checked(
    given: Mapping[str, Any], rows: Mapping[str, Check] = ARGUMENTS
) -> dict[str, Any]:
    """The arguments among ``given``, the caller's ``locals()``, each by its row.

    Raises:
        TypeError, ValueError: if one can't be used.
    """
    return {
        name: check(name, given[name]) for name, check in rows.items() if name in given
    }


def check_tls(tls: object, *, server: bool, carrier: str) -> None:
    """Raises:
    TypeError: if it is no context.
    ValueError: if it is a TLSContext, and not for this.
    """
    if not isinstance(tls, TLSContext):
        usual = isinstance(tls, ssl_module.SSLContext)
        if not (usual or tls is None or (tls is True and not server)):
            raise TypeError(f"ssl must be an SSLContext or a TLSContext, not {tls!r}")
        return
    if tls.is_server is not server:
        who, side = ("serve", "server") if server else ("connect", "client")
        raise ValueError(f"{who}() needs a context made with TLSContext.{side}()")
    if carrier == "transport":
        raise ValueError('TLSContext doesn\'t go with carrier="transport"')
