"""Objects that do things when they are used, as every argument (BOR-2)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pywscore
from pywscore import _core

pytestmark = [
    pytest.mark.threat("BOR-2"),
    pytest.mark.usefixtures("cheap_collections"),
]

DOINGS: dict[str, Callable[[Any], object]] = {
    "close": lambda ws: ws.close_nowait(),
    "abort": lambda ws: ws.transport.abort(),
    "send": lambda ws: ws.send_nowait("from inside" * 10_000),
    "take": lambda ws: (list(ws.protocol.events()), ws.protocol.data_to_send()),
    "fail": lambda ws: ws.protocol.fail(1011),
    "collect": lambda ws: gc.collect(),
}


class Hostile:
    """Does it at each use, and holds what nobody else does."""

    def __init__(self, ws: Any, doing: str) -> None:
        self.ws, self.doing, self.busy = ws, DOINGS[doing], False

    def act(self) -> None:
        if self.busy:
            return
        self.busy = True
        with contextlib.suppress(pywscore.WebSocketException, RuntimeError):
            self.doing(self.ws)

    def __bool__(self) -> bool:
        self.act()
        return True

    def __index__(self) -> int:
        self.act()
        return 1000

    def __float__(self) -> float:
        self.act()
        return 0.01

    def __iter__(self) -> Iterator[str]:
        self.act()
        return iter(["one", "two"])

    def __len__(self) -> int:
        self.act()
        return 2

    def __eq__(self, other: object) -> bool:
        self.act()
        return False

    def __hash__(self) -> int:
        self.act()
        return 1

    def __str__(self) -> str:
        self.act()
        return "text"

    __repr__ = __str__

    def __call__(self, *_: object) -> None:
        self.act()

    def __del__(self) -> None:
        self.act()

    def __getattr__(self, name: str) -> Any:
        self.act()
        raise AttributeError(name)

    if sys.version_info >= (3, 12):

        def __buffer__(self, flags: int) -> memoryview:
            self.act()
            return memoryview(bytearray(b"memory" * 20))

        def __release_buffer__(self, view: memoryview) -> None:
            self.act()


# The arguments that are not the hostile one.
POSITIONAL: dict[str, list[object]] = {
    "send": [bytearray(b"message" * 30)],
    "send_nowait": [bytearray(b"message" * 30)],
    "ping": [b"ping"],
    "pong": [b"pong"],
    "close": [1000, "reason"],
    "close_nowait": [1000, "reason"],
    "send_text": ["text"],
    "send_binary": [bytearray(b"message" * 30)],
    "send_continuation": [b"rest"],
    "send_close": [1000, "reason"],
    "fail": [1011, "reason"],
    "receive_data": [b"\x81"],
    "write": [b"bytes"],
    "set_write_buffer_limits": [100, 10],
    "get_extra_info": ["socket", None],
    "_opens_by": [1.0],
    "_closes_within": [1.0],
    "_is_alive": [1.0],
}
KEYWORDS: dict[str, list[str]] = {
    "recv": ["decode"],
    "recv_streaming": ["decode"],
    "send": ["text", "compress"],
    "send_nowait": ["text", "compress"],
    "send_text": ["fin", "compress"],
    "send_binary": ["fin", "compress"],
    "send_continuation": ["fin"],
    "pong": [],
}
OWNERS: dict[str, str] = {
    "connection": "recv recv_streaming send send_nowait ping pong close close_nowait "
    "_opens_by _closes_within _is_alive",
    "protocol": "send_text send_binary send_continuation send_close fail receive_data "
    "send_ping send_pong",
    "transport": "write set_write_buffer_limits get_extra_info",
}


def calls() -> Iterator[tuple[str, str, int | str]]:
    for owner, names in OWNERS.items():
        for name in names.split():
            for index in range(max(1, len(POSITIONAL.get(name, [])))):
                if name not in ("recv", "recv_streaming"):
                    yield owner, name, index
            for keyword in KEYWORDS.get(name, []):
                yield owner, name, keyword


CALLS = list(calls())


async def attempt(call: Callable[[], Any]) -> None:
    """Whatever comes of it but a crash, and an error of the interpreter's."""
    try:
        async with asyncio.timeout(0.05):
            result = call()
            if hasattr(result, "__aiter__"):
                async for _ in result:
                    pass
            elif hasattr(result, "__await__"):
                await result
    except SystemError:
        raise
    except Exception:
        return


@pytest.mark.parametrize("doing", DOINGS)
async def test_methods(pair: Any, doing: str) -> None:
    for owner, name, place in CALLS:
        async with pair() as ends:
            ws = ends.client
            await ends.server.send("é" * 50)
            await ends.server.send(b"binary")
            objects = {"connection": ws, "protocol": ws.protocol}
            method = getattr(objects.get(owner, ws.transport), name)
            evil = Hostile(ws, doing)
            arguments = list(POSITIONAL.get(name, []))
            keywords = {}
            if isinstance(place, int):
                arguments[place : place + 1] = [evil]
            else:
                keywords[place] = evil
            del evil
            await attempt(lambda: method(*arguments, **keywords))  # noqa: B023
            arguments.clear()
            keywords.clear()
            ws.transport.abort()
            ends.server.transport.abort()
        assert ws.state is ends.server.state is pywscore.State.CLOSED


@pytest.mark.parametrize(
    "place", ["connections", "message", "text", "compress", "on_slow"]
)
@pytest.mark.parametrize("doing", DOINGS)
async def test_broadcast(pair: Any, doing: str, place: str) -> None:
    async with pair() as ends:
        given: dict[str, Any] = {"connections": [ends.client], "message": "message"}
        if place == "connections":
            evil = Hostile(ends.client, doing)
            given[place] = (it for it in (evil, ends.client) if bool(it))
        else:
            given[place] = Hostile(ends.client, doing)
        await attempt(lambda: pywscore.broadcast(**given))
        ends.client.transport.abort()
        ends.server.transport.abort()
    assert ends.client.state is ends.server.state is pywscore.State.CLOSED


@pytest.mark.parametrize("doing", DOINGS)
async def test_constructors(pair: Any, doing: str) -> None:
    async with pair() as ends:
        ws = ends.client
        made: list[Callable[[Any], object]] = [
            lambda evil: pywscore.ServerProtocol(max_size=evil),
            lambda evil: pywscore.ServerProtocol(compression=evil),
            lambda evil: pywscore.PerMessageDeflate(level=evil),
            lambda evil: pywscore.TextMessage(evil, fin=evil),
            lambda evil: pywscore.BinaryMessage(evil, compressed=evil),
            lambda evil: pywscore.Close(evil, evil),
            lambda evil: pywscore.Ping(evil),
            lambda evil: pywscore.Headers(evil),
            lambda evil: _core.apply_mask(evil, evil),
            lambda evil: _core.is_valid_utf8(evil),
            lambda evil: _core.ReceiveBuffer(size=evil),
            lambda evil: _core.Timers(evil),
        ]
        if hasattr(_core, "Engine"):
            made += [
                lambda evil: _core.Engine(evil),
                lambda evil: _core.Engine(ws.loop).listen(evil, evil),
                lambda evil: _core.EngineTransport(
                    _core.Engine(ws.loop), evil, ws, evil, evil
                ),
                lambda evil: _core.TLSContext(server=evil).verify(evil, evil),
                lambda evil: _core.TLSContext(server=evil).certificate(
                    evil, evil, evil
                ),
                lambda evil: pywscore.TLSContext(evil, evil, password=evil),
                lambda evil: pywscore.TLSContext(ciphers=evil, cafile=evil),
            ]
        for make in made:
            await attempt(lambda: make(Hostile(ws, doing)))  # noqa: B023
        ws.transport.abort()
        ends.server.transport.abort()
    assert ws.state is ends.server.state is pywscore.State.CLOSED
