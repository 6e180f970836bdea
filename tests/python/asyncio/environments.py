"""An environment is an event loop and a carrier: what tests run in."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import Callable

import pytest

# "auto" is the engine, but for ssl.SSLContext.
CARRIERS = ["transport", "auto"]
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop
}
with contextlib.suppress(ImportError):  # Windows, and Pythons that have no wheel of it
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop


@dataclasses.dataclass(frozen=True)
class Environment:
    loop: str
    carrier: str

    def __str__(self) -> str:
        return f"{self.loop}-{self.carrier}"


ENVIRONMENTS = [Environment(loop, carrier) for loop in LOOPS for carrier in CARRIERS]
# Each loop once and each carrier once: the others run no other code of ours.
HALF_OF_THEM = ENVIRONMENTS
if "uvloop" in LOOPS:
    HALF_OF_THEM = [Environment("asyncio", "auto"), Environment("uvloop", "transport")]
IN_MEMORY = [Environment(loop, "memory") for loop in LOOPS]

# What needs a network.
OF_TCP = {"serve", "connect", "raw_client", "raw_server", "over_tcp"}


def environments_of(metafunc: pytest.Metafunc) -> list[Environment]:
    """All of them in `./dev test-long`, and always for tests of what a loop and a
    carrier make together, which are marked. In memory is what joins two ends and needs
    nothing else: in place of transports over TCP, or besides them if it is all."""
    names = {*metafunc.fixturenames}
    marked = metafunc.definition.get_closest_marker("every_environment")
    sanitized = "PYWSCORE_SANITIZED" in os.environ
    every = (marked and not sanitized) or "PYWSCORE_ENVIRONMENTS" in os.environ
    if "pair" in names and not OF_TCP & names:
        return ENVIRONMENTS + IN_MEMORY if every else [ENVIRONMENTS[1], IN_MEMORY[-1]]
    return ENVIRONMENTS if every else HALF_OF_THEM
