"""For tests of what is built on pywscore, or on any WebSocket library::

from pywscore.testing import serve_in_memory

async def test_echo():
    async with serve_in_memory(my_handler) as server:
        async with server.connect("/chat") as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
"""

from ._applications import ApplicationServer, serve_aiohttp, serve_asgi
from ._asserts import assert_closes
from ._clock import Clock
from ._faults import Faults
from ._frames import Frame
from ._link import FaultyLink
from ._memory import MemoryServer, Pair, connected, serve_in_memory
from ._peer import ScriptedPeer, scripted_server
from ._record import record
from ._script import ScriptError, parse_script

__all__ = [
    "connected",
    "Pair",
    "serve_in_memory",
    "MemoryServer",
    "serve_asgi",
    "serve_aiohttp",
    "ApplicationServer",
    "FaultyLink",
    "Faults",
    "ScriptedPeer",
    "scripted_server",
    "parse_script",
    "ScriptError",
    "Frame",
    "record",
    "assert_closes",
    "Clock",
]
