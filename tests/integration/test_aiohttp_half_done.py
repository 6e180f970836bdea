"""Each call of prepare() that can fail fails once: answered or ended, nothing stays."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp_rig import OURS, TEXT, Kind, echo, frame, scenario, served
from waiting import until

from pywscore.asyncio import _engine as engine
from pywscore.integrations.aiohttp import WebSocketResponse
from pywscore.integrations.aiohttp import _connection as connection_module
from pywscore.integrations.aiohttp import _server as server_module

pytestmark = pytest.mark.threat("HLF-1")


class Purpose(Exception):
    """Raised on purpose."""


def fail_once(patch: Any, owner: Any, name: str, exception: Exception) -> None:
    function = getattr(owner, name)

    def fails(*args: Any, **kwargs: Any) -> Any:
        patch.undo()
        raise exception

    assert callable(function)
    patch.setattr(owner, name, fails)


async def until_nobody(rig: Any) -> None:
    await until(lambda: not rig.runner.server.connections)


async def works(rig: Any) -> None:
    async with rig.open_peer() as peer:
        peer.send(frame(TEXT, b"still"))
        assert await peer.frame() == (TEXT, b"still")
    await until_nobody(rig)


@scenario(*OURS)
async def test_no_descriptor(kind: Kind) -> None:
    """It stays on the transport, and frames that came with the request are there."""
    with pytest.MonkeyPatch.context() as patch:
        async with served(kind, echo) as rig:
            for owner, name in ((os, "dup"), (connection_module, "take_over")):
                if kind.carrier == "auto":
                    fail_once(patch, owner, name, OSError(24, "no descriptor"))
                async with rig.open_peer(more=frame(TEXT, b"early")) as peer:
                    assert await peer.frame() == (TEXT, b"early")
                    peer.send(frame(TEXT, b"hello"))
                    assert await peer.frame() == (TEXT, b"hello")
                await until_nobody(rig)
            await works(rig)


CALLS: dict[str, tuple[Any, str]] = {
    "accept_head": (server_module, "accept_head"),
    "respond": (server_module, "Response"),
    "a connection": (WebSocketResponse, "_new_connection"),
    "its options": (server_module, "options_for"),
    "the stream": (WebSocketResponse, "_use"),
    "aiohttp's handler": (server_module, "upgraded_handler"),
    "carrying": (server_module, "carry"),
    "the engine": (engine, "EngineTransport"),
    "what came early": (connection_module, "feed"),
    "beginning": (connection_module.UpgradedConnection, "connection_made"),
}


@pytest.fixture
def little_to_collect() -> Iterator[None]:
    """Collections look at what is made from now on."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("little_to_collect")
@scenario(*OURS)
async def test_each_call(kind: Kind) -> None:
    for name, (owner, attribute) in CALLS.items():
        if name == "the engine" and not kind.takes:
            continue
        with pytest.MonkeyPatch.context() as patch:
            async with served(kind, echo) as rig:
                await works(rig)
                gc.collect()
                before = len(os.listdir("/proc/self/fd"))
                fail_once(patch, owner, attribute, Purpose())
                async with rig.peer() as peer:
                    try:
                        head = await peer.open()
                        await asyncio.wait_for(peer.reader.read(), 5)
                    except (asyncio.IncompleteReadError, ConnectionError):
                        head = b""  # ended
                # The engine may have sent the answer before: then that ended.
                accepted = name == "what came early"
                assert accepted or head == b"" or b" 500 " in head[:20], (name, head)
                await until_nobody(rig)
                await asyncio.sleep(0.01)
                gc.collect()
                assert len(os.listdir("/proc/self/fd")) <= before, name
                await works(rig)
