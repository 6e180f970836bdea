"""Methods of C types that return coroutines are coroutine functions to who asks."""

import asyncio
import copy
import inspect
import pickle
import typing
from unittest import mock

import aiohttp
import aiohttp.web
import pytest
import websockets.asyncio.client
import websockets.asyncio.server

import pywscore
from pywscore import _core, _coroutine_methods
from pywscore.asyncio.client import ClientConnection
from pywscore.asyncio.server import Server, ServerConnection
from pywscore.integrations.aiohttp import ClientWebSocketResponse, WebSocketResponse

METHODS = [
    (owner, name)
    for owner in (_core.Connection, _core.MessageStream)
    for name, value in vars(owner).items()
    if isinstance(value, _core.CoroutineMethod)
]
EACH = pytest.mark.parametrize(("owner", "name"), METHODS)
PAIRS = [
    (websockets.asyncio.server.ServerConnection, ServerConnection),
    (websockets.asyncio.client.ClientConnection, ClientConnection),
    (websockets.asyncio.server.Server, Server),
    (aiohttp.web.WebSocketResponse, WebSocketResponse),
    (aiohttp.ClientWebSocketResponse, ClientWebSocketResponse),
]


def public(owner: type) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")}


@pytest.mark.parametrize(("theirs", "ours"), PAIRS)
def test_asked_as_the_originals(theirs, ours):
    names = public(theirs) & public(ours)
    assert len(names) > 5
    for name in names:
        for ask in (inspect.iscoroutinefunction, inspect.isasyncgenfunction):
            assert ask(getattr(ours, name)) is ask(getattr(theirs, name)), name


def test_there_are_some():
    assert {name for _, name in METHODS} == {
        *("recv", "send", "drain"),
        *("receive", "send_str", "send_bytes"),
    }


@EACH
def test_inspection(owner, name):
    method = getattr(owner, name)
    model = getattr(getattr(_coroutine_methods, owner.__name__), name)
    assert inspect.iscoroutinefunction(method)
    assert asyncio.iscoroutinefunction(method)
    assert inspect.isroutine(method)
    assert inspect.signature(method) == inspect.signature(model)
    assert typing.get_type_hints(method)["return"] is not None
    assert method.__name__ == name
    assert method.__qualname__ == f"{owner.__name__}.{name}"
    assert method.__module__ == "pywscore._core"
    assert inspect.getdoc(method)
    assert repr(method) == (
        f"<coroutine method '{name}' of 'pywscore._core.{owner.__name__}' objects>"
    )


@EACH
def test_inspection_of_bound_ones(owner, name):
    bound = getattr(owner.__new__(owner), name)
    assert inspect.ismethod(bound)
    assert inspect.iscoroutinefunction(bound)
    unbound = list(inspect.signature(getattr(owner, name)).parameters.values())
    assert list(inspect.signature(bound).parameters.values()) == unbound[1:]


@EACH
def test_copies_and_pickles(owner, name):
    method = getattr(owner, name)
    assert copy.copy(method) is method
    assert pickle.loads(pickle.dumps(method)) is method


@EACH
def test_mocks_are_awaitable(owner, name):
    for made in (
        mock.MagicMock(spec=owner),
        mock.create_autospec(owner),
        mock.create_autospec(owner, instance=True),
    ):
        assert isinstance(getattr(made, name), mock.AsyncMock)
    assert inspect.iscoroutinefunction(mock.MagicMock(spec=getattr(owner, name)))


@EACH
def test_patches_are_awaitable(owner, name):
    class Own(owner):  # owner itself is immutable
        pass

    with mock.patch.object(Own, name) as patched:
        assert isinstance(patched, mock.AsyncMock)


@EACH
def test_needs_its_object(owner, name):
    method = getattr(owner, name)
    for args in ((), (3,), (object(), "x")):
        with pytest.raises(TypeError, match=f"'{name}' needs a '.*' object"):
            method(*args)


def test_they_are_made_in_c_only():
    with pytest.raises(TypeError):
        _core.CoroutineMethod()


def test_arguments_are_those_of_the_models():
    """What the models say is what C takes: by name, and no more."""

    async def check(connection: pywscore.Connection) -> None:
        for owner, name in METHODS:
            if owner is not _core.Connection:
                continue
            parameters = list(inspect.signature(getattr(owner, name)).parameters)[1:]
            method = getattr(connection, name)
            coroutine = method(**dict.fromkeys(parameters))
            coroutine.close()
            with pytest.raises(TypeError):
                method(*([None] * (len(parameters) + 1)))
            with pytest.raises(TypeError):
                method(**dict.fromkeys(parameters), other=None)

    async def main() -> None:
        async with pywscore.serve(check, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with pywscore.connect(f"ws://127.0.0.1:{port}") as ws:
                await check(ws)
                await ws.wait_closed()
                assert ws.close_code == 1000

    asyncio.run(main())
