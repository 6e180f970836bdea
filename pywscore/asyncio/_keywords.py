"""Keyword arguments that ``serve()`` and ``connect()`` pass on, and those that nobody
knows."""

from __future__ import annotations

import inspect
import os
import ssl as ssl_module
from collections.abc import Callable, Mapping
from typing import Any

from .._numbers import positive_number, whole_number
from ._arguments import ARGUMENTS, Check, as_given, flag, port_number

__all__ = ["OF_CLIENTS", "OF_SERVERS", "check_keywords"]


def _positive_seconds(name: str, value: Any) -> Any:
    positive_number(name, value, "a number of seconds or None")


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {value!r}")


def _path(name: str, value: Any) -> None:
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f"{name} must be a path, not {value!r}")


def _socket(name: str, value: Any) -> None:
    if not hasattr(value, "fileno"):
        raise TypeError(f"{name} must be a socket, not {value!r}")


def _proxy_ssl(name: str, value: Any) -> None:
    if not isinstance(value, ssl_module.SSLContext) and value is not True:
        raise TypeError(f"{name} must be an SSLContext or True, not {value!r}")


def _address(name: str, value: Any) -> None:
    if not isinstance(value, (tuple, list)) or len(value) < 2:
        raise TypeError(f"{name} must be (host, port), not {value!r}")


_OF_BOTH: dict[str, Check] = {
    "family": whole_number,
    "flags": whole_number,
    "path": _path,
    "sock": _socket,
    "ssl": as_given,  # check_tls() looks at it
    "ssl_handshake_timeout": _positive_seconds,
    "ssl_shutdown_timeout": _positive_seconds,
    "unix": flag,
}
OF_SERVERS = _OF_BOTH | {
    "backlog": whole_number,
    "cleanup_socket": flag,
    "keep_alive": flag,
    "mode": whole_number,
    "reuse_address": flag,
    "reuse_port": flag,
    "start_serving": flag,
}
"""Of ``loop.create_server()`` and ``loop.create_unix_server()``."""
_OF_CLIENTS = _OF_BOTH | {
    "all_errors": flag,
    "happy_eyeballs_delay": _positive_seconds,
    "host": _text,
    "interleave": whole_number,
    "local_addr": _address,
    "port": port_number,
    "proto": whole_number,
    "server_hostname": _text,
}
OF_CLIENTS = _OF_CLIENTS | {f"proxy_{name}": it for name, it in _OF_CLIENTS.items()}
OF_CLIENTS["proxy_ssl"] = _proxy_ssl
"""Of ``loop.create_connection()`` and ``loop.create_unix_connection()``; and the same
for the connection to a proxy."""

# What has, or had, another name elsewhere.
_OTHER_NAMES = {
    "create_protocol": "create_connection",
    "extra_headers": "additional_headers",
    "headers": "additional_headers",
    "klass": "create_connection",
    "protocols": "subprotocols",
    "ssl_context": "ssl",
    "sslcontext": "ssl",
    "timeout": "close_timeout",
    "user_agent": "user_agent_header",
}
_GONE = {
    "extra_headers": "a process_response hook sets the response's headers",
    "legacy_recv": "recv() never returns None",
    "loop": "the running loop is used",
    "read_limit": "max_queue bounds what is received and not taken",
}


def check_keywords(
    function: Callable[..., Any],
    given: Mapping[str, object],
    passed_on: Mapping[str, Check],
) -> None:
    """Raises:
    TypeError: if there is an argument in ``given`` that isn't passed on, and says what
        may be meant; or if one can't be used.
    ValueError: if one can't be used.
    """
    for name, value in given.items():
        if name not in passed_on:
            raise TypeError(_explained(function, name, passed_on))
        if value is not None:
            passed_on[name](name, value)


def _explained(
    function: Callable[..., Any], name: str, passed_on: Mapping[str, Check]
) -> str:
    import difflib

    text = f"{function.__name__}() got an unexpected keyword argument {name!r}"
    usable = {*inspect.signature(function).parameters, *passed_on} - {"kwargs"}
    meant = _OTHER_NAMES.get(name)
    if meant not in usable:
        if name in _GONE:
            return f"{text}: {_GONE[name]}"
        if name in ARGUMENTS:  # of the other function
            return text
        meant = next(iter(difflib.get_close_matches(name, usable, 1, 0.75)), None)
    return text if meant is None else f"{text}: did you mean {meant}?"
