"""Every public name and argument of ``websockets`` is here, or on a list of these."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest
import websockets
import websockets.asyncio.client as their_client
import websockets.asyncio.server as their_server
import websockets.typing

import pywscore
import pywscore.asyncio.client as client
import pywscore.asyncio.server as server
import pywscore.typing

# The sans-IO objects have another interface, and extensions can't be written in Python:
# docs/coming-from-websockets.md
ABSENT = {"ExtensionName", "ExtensionParameter", "Frame", "Side"}
# Made by serve() and connect(), or by a factory that passes its arguments on.
OTHER_CONSTRUCTORS = {"Server", "ServerConnection", "ClientConnection"}
# What is ours has another value.
OTHER_DEFAULTS = {
    "process_exception",
    "reconnect_delays",
    "server_header",
    "user_agent_header",
    "write_limit",
}


def test_names_of_the_package() -> None:
    assert set(websockets.__all__) - set(pywscore.__all__) == ABSENT


@pytest.mark.parametrize(
    "name",
    [
        "asyncio.client",
        "asyncio.connection",
        "asyncio.router",
        "asyncio.server",
        "exceptions",
        "typing",
    ],
)
def test_names_of_modules(name: str) -> None:
    theirs = importlib.import_module(f"websockets.{name}")
    ours = importlib.import_module(f"pywscore.{name}")
    assert set(theirs.__all__) - set(ours.__all__) - ABSENT == set()


def test_types() -> None:
    for name in pywscore.typing.__all__:
        theirs, ours = getattr(websockets.typing, name), getattr(pywscore.typing, name)
        assert ours == theirs or ours.__supertype__ is theirs.__supertype__ is str


def compare(theirs: Any, ours: Any) -> None:
    there = inspect.signature(theirs).parameters
    here = inspect.signature(ours).parameters
    for name, parameter in there.items():
        assert name in here
        # One that may be given by position too is fine.
        if parameter.kind is not parameter.KEYWORD_ONLY and name != "self":
            assert here[name].kind is parameter.kind
        if name not in OTHER_DEFAULTS:
            assert here[name].default == parameter.default, name
    added = [parameter for name, parameter in here.items() if name not in there]
    for parameter in added:
        assert parameter.default is not parameter.empty
    positional = [
        name
        for name, parameter in there.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    assert list(here)[: len(positional)] == positional


@pytest.mark.parametrize(
    "name", sorted({*their_client.__all__, *their_server.__all__, "process_exception"})
)
def test_arguments(name: str) -> None:
    theirs: Any = getattr(their_client, name, getattr(their_server, name, None))
    ours: Any = getattr(client, name, getattr(server, name, None))
    if name not in OTHER_CONSTRUCTORS:
        compare(theirs, ours)


# Of their documentation: the other attributes are their machinery.
METHODS = {
    "ServerConnection": ["respond"],
    "Server": [
        *("close", "wait_closed", "get_loop", "is_serving", "start_serving"),
        *("serve_forever", "connections", "sockets"),
    ],
    "Connection": [
        *("__aiter__", "__aenter__", "__aexit__", "recv", "recv_streaming", "send"),
        *("close", "wait_closed", "ping", "pong", "id", "logger", "local_address"),
        *("remote_address", "latency", "state", "request", "response"),
        *("subprotocol", "close_code", "close_reason"),
    ],
}


@pytest.mark.parametrize(
    ("name", "method"), [(name, method) for name in METHODS for method in METHODS[name]]
)
def test_methods(name: str, method: str) -> None:
    if name == "Connection":
        theirs: Any = websockets.asyncio.connection.Connection
    else:
        theirs = getattr(their_server, name)
    ours = getattr(pywscore, name)
    assert hasattr(ours, method)
    if callable(getattr(theirs, method, None)):
        compare(getattr(theirs, method), getattr(ours, method))
