"""What checkers of types see of serve() and connect() is what these take."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, get_type_hints

import pytest

import pywscore
from pywscore.asyncio._keywords import OF_CLIENTS, OF_SERVERS
from pywscore.asyncio._signatures import (
    ConnectArguments,
    CreateConnectionArguments,
    RouteArguments,
    RunArguments,
    ServeArguments,
)

# Given by serve() and connect() themselves, or by unix_serve() and unix_connect().
OURS = {"self", "protocol_factory", "host", "port", "ssl", "path", "kwargs"}


def named(function: Any) -> dict[str, Any]:
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    return {
        each.name: hints[each.name]
        for each in parameters
        if each.kind is each.KEYWORD_ONLY
    }


@pytest.mark.parametrize(
    ("function", "arguments", "apart"),
    [
        (pywscore.serve, ServeArguments, {"listener", "create_connection"}),
        (pywscore.serve, RunArguments, set()),
        (pywscore.connect.__init__, ConnectArguments, {"create_connection"}),
    ],
)
def test_arguments_are_those_of_the_function(
    function: Any, arguments: Any, apart: set[str]
) -> None:
    described = get_type_hints(arguments)
    for name, hint in named(function).items():
        if name in apart:
            assert name not in described
        elif name != "create_connection":
            assert described[name] == hint, name


def keywords_of(*names: str) -> set[str]:
    found: set[str] = set()
    for name in names:
        method = getattr(asyncio.base_events.BaseEventLoop, name, None) or getattr(
            asyncio.unix_events._UnixSelectorEventLoop, name
        )
        found |= inspect.signature(method).parameters.keys()
    return found - OURS


@pytest.mark.skipif(not hasattr(asyncio, "unix_events"), reason="Unix sockets")
def test_arguments_of_the_loop() -> None:
    own = named(pywscore.serve).keys()
    passed_on = get_type_hints(ServeArguments).keys() - own - {"ssl"}
    ours = keywords_of("create_server", "create_unix_server")
    # Of later versions of Python.
    assert passed_on - ours <= {"keep_alive", "cleanup_socket", "mode"}
    assert ours <= passed_on
    passed_on = get_type_hints(CreateConnectionArguments).keys() - OURS
    mine = {name for name in passed_on if not name.startswith("proxy_")}
    theirs = keywords_of("create_connection", "create_unix_connection")
    assert mine - theirs <= {"all_errors"} and theirs <= mine
    # An address is in proxy= itself.
    proxies = {name.removeprefix("proxy_") for name in passed_on - mine}
    assert proxies == (mine | {"ssl"}) - {"sock"}


def test_arguments_are_those_that_are_known() -> None:
    """A checker refuses what a call refuses."""
    own = named(pywscore.serve).keys()
    served = get_type_hints(ServeArguments).keys() - own
    assert served == OF_SERVERS.keys() - {"unix", "path"}
    connected = get_type_hints(CreateConnectionArguments).keys()
    assert connected <= OF_CLIENTS.keys()
    left_out = {name.removeprefix("proxy_") for name in OF_CLIENTS.keys() - connected}
    assert left_out <= {"unix", "path", "host", "port", "sock"}


def test_route_and_run() -> None:
    served = get_type_hints(ServeArguments)
    routed = get_type_hints(RouteArguments)
    assert routed.keys() == served.keys() - {"ssl"} | {"create_connection"}
    assert get_type_hints(RunArguments).keys() == served.keys() | {
        "listener",
        "create_connection",
    }
    assert "kwargs" in get_type_hints(pywscore.route, localns={"Map": object})
