"""Keyword arguments that ``serve()`` and ``connect()`` pass on, and those that nobody
knows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Set
from typing import Any

from ._arguments import ARGUMENTS

__all__ = ["OF_CLIENTS", "OF_SERVERS", "check_keywords"]

_OF_BOTH = frozenset(
    {
        *("family", "flags", "sock", "ssl", "unix", "path"),
        *("ssl_handshake_timeout", "ssl_shutdown_timeout"),
    }
)
OF_SERVERS = _OF_BOTH | {
    *("backlog", "reuse_address", "reuse_port", "keep_alive", "start_serving"),
    *("cleanup_socket", "mode"),
}
"""Of ``loop.create_server()`` and ``loop.create_unix_server()``."""
_OF_CLIENTS = _OF_BOTH | {
    *("host", "port", "proto", "local_addr", "server_hostname"),
    *("happy_eyeballs_delay", "interleave", "all_errors"),
}
OF_CLIENTS = _OF_CLIENTS | {f"proxy_{name}" for name in _OF_CLIENTS}
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
    function: Callable[..., Any], given: Mapping[str, object], passed_on: Set[str]
) -> None:
    """Raises:
    TypeError: if there is an argument in ``given`` that isn't passed on; says what may
        be meant.
    """
    for name in given:
        if name not in passed_on:
            raise TypeError(_explained(function, name, passed_on))


def _explained(function: Callable[..., Any], name: str, passed_on: Set[str]) -> str:
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
