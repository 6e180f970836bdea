"""A plugin of pytest: what is imported from websockets is pywscore's."""

import asyncio
import sys
from types import ModuleType

import pywscore
from pywscore.asyncio import _acceptor

pywscore.install("websockets")

# What its tests ask of no public name.
version = sys.modules["websockets.version"]
version.released = True
compatibility = ModuleType("websockets.asyncio.compatibility")
compatibility.__dict__.update(
    aiter=aiter,
    anext=anext,
    asyncio_timeout=asyncio.timeout,
    asyncio_timeout_at=asyncio.timeout_at,
    TimeoutError=TimeoutError,
)
sys.modules[compatibility.__name__] = compatibility
_acceptor.BoundServer._ssl_context = property(  # is it wss?
    lambda server: server._acceptor.tls
)
