"""Arguments of serve() and connect() that are checked before anything happens."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import pywscore
from pywscore.asyncio._arguments import ARGUMENTS, message_limit, water_marks
from pywscore.asyncio._options import Options


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ((None, None), None),
        (16, (16, 4)),
        (0, (0, 0)),
        ((16, 2), (16, 2)),
        ((16, None), (16, 4)),
        ((None, 4), (16, 4)),
    ],
)
def test_water_marks(value: Any, expected: tuple[int, int] | None) -> None:
    assert water_marks("max_queue", value) == expected


@pytest.mark.parametrize("value", [-1, (1, 2), (4, -1)])
def test_wrong_water_marks(value: Any) -> None:
    with pytest.raises(ValueError, match="max_queue"):
        water_marks("max_queue", value)


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), (5, 5), ((5, 2), 5), ((5, None), 5)]
)
def test_message_limit(value: Any, expected: int | None) -> None:
    assert message_limit("max_size", value) == expected


@pytest.mark.parametrize("value", [-1, (None, 5)])
def test_wrong_message_limit(value: Any) -> None:
    with pytest.raises(ValueError):
        message_limit("max_size", value)


@pytest.mark.parametrize("function", [pywscore.serve, pywscore.connect])
def test_every_argument_has_a_row(function: Any) -> None:
    arguments = inspect.signature(function).parameters.keys() - {"kwargs"}
    assert arguments <= ARGUMENTS.keys()


def test_defaults_are_those_of_the_documentation() -> None:
    options = Options(log=None)  # type: ignore[arg-type]
    assert (options.open_timeout, options.close_timeout) == (10, 10)
    assert (options.ping_interval, options.ping_timeout) == (20, 20)
    assert options.max_queue == (16, 4)
    assert options.write_limit == (65536, 16384)
    assert options.idle_timeout is None


WRONG: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"carrier": "pigeon"}, ValueError),
    ({"compression": "gzip"}, ValueError),
    ({"extensions": ["x"]}, TypeError),
    ({"subprotocols": "chat"}, TypeError),
    ({"subprotocols": ["a b"]}, ValueError),
    ({"subprotocols": [""]}, ValueError),
    ({"max_queue": -1}, ValueError),
    ({"write_limit": (1, 2)}, ValueError),
    ({"max_size": -1}, ValueError),
]


@pytest.mark.parametrize(("arguments", "exception"), WRONG)
def test_wrong_arguments_of_both(
    arguments: dict[str, Any], exception: type[Exception]
) -> None:
    async def handler(ws: object) -> None: ...

    with pytest.raises(exception):
        pywscore.serve(handler, "127.0.0.1", 0, **arguments)
    with pytest.raises(exception):
        pywscore.connect("ws://127.0.0.1/", **arguments)


@pytest.mark.parametrize(
    ("arguments", "exception"),
    [
        ({"origins": "http://a"}, TypeError),
        ({"origins": re.compile("a")}, TypeError),
        ({"origins": [b"http://a"]}, TypeError),
        ({"max_connections": 0}, ValueError),
        ({"max_connections_per_address": 0}, ValueError),
    ],
)
def test_wrong_arguments_of_serve(
    arguments: dict[str, Any], exception: type[Exception]
) -> None:
    async def handler(ws: object) -> None: ...

    with pytest.raises(exception):
        pywscore.serve(handler, "127.0.0.1", 0, **arguments)


@pytest.mark.parametrize(
    ("uri", "arguments", "exception"),
    [
        ("http://h/", {}, pywscore.InvalidURI),
        ("ws://h/", {"ssl": True}, ValueError),
        ("wss://h/", {"ssl": None}, ValueError),
        ("ws://h/", {"additional_headers": {"X": "a\r\nb"}}, ValueError),
    ],
)
def test_wrong_arguments_of_connect(
    uri: str, arguments: dict[str, Any], exception: type[Exception]
) -> None:
    with pytest.raises(exception):
        pywscore.connect(uri, **arguments)


def test_modules_are_where_those_of_websockets_are() -> None:
    import websockets.asyncio.client as their_client
    import websockets.asyncio.server as their_server

    import pywscore.asyncio.client as client
    import pywscore.asyncio.connection as connection
    import pywscore.asyncio.server as server

    assert set(their_client.__all__) <= set(client.__all__)
    assert set(their_server.__all__) <= set(server.__all__)
    assert connection.broadcast is server.broadcast is pywscore.broadcast
    assert issubclass(server.ServerConnection, connection.Connection)
    assert issubclass(client.ClientConnection, pywscore.Connection)
