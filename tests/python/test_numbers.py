"""Numbers that are none, or that nothing can reckon with, as public arguments."""

from __future__ import annotations

import asyncio
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pywscore
from pywscore.rooms import Hub
from pywscore.testing import Clock, Faults, ScriptedPeer, connected, scripted_server

HUGE = 10**400


async def handler(ws: Any) -> None:
    await ws.wait_closed()


def room(**arguments: Any) -> Any:
    return Hub("memory://").room("name", **arguments)


def run(**arguments: Any) -> None:
    pywscore.run(handler, "127.0.0.1", **arguments)


def peer(**arguments: Any) -> Any:
    return ScriptedPeer(None, None, client=True, **arguments)  # type: ignore[arg-type]


async def script(**arguments: Any) -> None:
    async with scripted_server("", **arguments):
        pass


async def clock(method: str, **arguments: Any) -> None:
    async with Clock() as moved:
        result = getattr(moved, method)(**arguments)
        if result is not None:
            await result


async def history(**arguments: Any) -> None:
    async with Hub("memory://") as hub:
        await hub.room("name").history(**arguments)


def serve(port: int = 0, **arguments: Any) -> Any:
    return pywscore.serve(handler, "127.0.0.1", port, **arguments)


def shared(**arguments: Any) -> Any:
    if sys.platform == "win32":
        raise ValueError("there is none")
    return pywscore.SharedStats("nowhere", **arguments)


# What takes numbers, and how it is called.
TAKERS: list[tuple[str, Any, Callable[..., Any]]] = [
    ("serve", pywscore.serve, serve),
    ("connect", pywscore.connect, lambda **them: pywscore.connect("ws://a", **them)),
    ("run", pywscore.run, run),
    (
        "RateLimit",
        pywscore.RateLimit,
        lambda **them: pywscore.RateLimit(**({"messages": 1} | them)),
    ),
    ("PerMessageDeflate", pywscore.PerMessageDeflate, pywscore.PerMessageDeflate),
    ("SharedStats", pywscore.SharedStats, shared),
    ("Hub", Hub, lambda **them: Hub("memory://", **them)),
    ("Hub.room", Hub.room, room),
    ("Room.history", pywscore.rooms.Room.history, history),
    ("Faults", Faults, Faults),
    ("ScriptedPeer", ScriptedPeer, peer),
    ("scripted_server", scripted_server, script),
    ("Clock.advance", Clock.advance, lambda **them: clock("advance", **them)),
    ("Clock.stall", Clock.stall, lambda **them: clock("stall", **them)),
]
# What isn't in a signature: the loop's own.
KEYWORDS = {"serve": ("backlog", "ssl_handshake_timeout", "ssl_shutdown_timeout")}
# To the system, backlogs below 0 are some; to zlib, level -1 is its own.
NEGATIVE = {("serve", "backlog"), ("PerMessageDeflate", "level")}


def numbers_of(function: Any) -> Iterator[str]:
    for name, parameter in inspect.signature(function).parameters.items():
        kind = str(parameter.annotation)
        if re.search(r"\b(int|float)\b", kind) and not re.search("Callable|Seq", kind):
            yield name


CASES = [
    pytest.param(label, call, name, id=f"{label}-{name}")
    for label, function, call in TAKERS
    for name in (*numbers_of(function), *KEYWORDS.get(label, ()))
]


def outcome(call: Callable[..., Any], name: str, value: Any) -> Exception | None:
    """What is raised where it is given; an OverflowError isn't expected."""
    try:
        made = call(**{name: value})
        if inspect.iscoroutine(made):
            asyncio.run(made)
    except (TypeError, ValueError) as exc:
        return exc
    return None


@pytest.mark.parametrize(("label", "call", "name"), CASES)
def test_what_is_no_number_is_refused(label: str, call: Any, name: str) -> None:
    for value in ("5", b"5", [5], 5j, True, math.nan):
        if (name, value) == ("port", "5"):
            continue  # the system knows names of services, and numbers
        error = outcome(call, name, value)
        assert error is not None, value
        assert re.search(name, str(error)), (value, error)


@pytest.mark.parametrize(("label", "call", "name"), CASES)
def test_less_than_there_can_be(label: str, call: Any, name: str) -> None:
    assert isinstance(outcome(call, name, -HUGE), ValueError)
    if (label, name) not in NEGATIVE:
        assert isinstance(outcome(call, name, -1), ValueError)


@pytest.mark.parametrize(("label", "call", "name"), CASES)
def test_more_than_there_can_be(label: str, call: Any, name: str) -> None:
    """It is refused there and then, or means no limit."""
    error = outcome(call, name, HUGE)
    assert isinstance(error, ValueError) or name in (
        *("max_size", "max_queue", "write_limit", "limit"),
        *("max_connections", "max_connections_per_address"),
    )


class Number:
    """As numpy has them."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return float(self.value)

    def __ge__(self, other: float) -> bool:
        return self.value >= other

    def __lt__(self, other: float) -> bool:
        return self.value < other


class Count(Number):
    def __index__(self) -> int:
        return int(self.value)


@pytest.mark.parametrize("carrier", ["engine", "transport"])
def test_what_is_taken_can_be_used(carrier: str) -> None:
    async def main() -> None:
        for count, seconds in ((Count(16), Number(20)), (HUGE, 1e308), (1e6, math.inf)):
            names = ("max_size", "max_queue", "write_limit")
            both: dict[str, Any] = dict.fromkeys(names, count)
            for name in ("ping_interval", "ping_timeout", "idle_timeout"):
                both[name] = seconds
            for name in ("open_timeout", "close_timeout"):
                both[name] = seconds
            both["carrier"] = carrier
            most = {"max_connections": count, "max_connections_per_address": count}
            limits = {
                "rate_limit": pywscore.RateLimit(
                    **{
                        name: Number(1000) if seconds == math.inf else 1e308
                        for name in ("messages", "bytes", "burst")
                    }
                )
            }
            async with connected(
                tcp=True, server=both | most | limits, client=both
            ) as (client, server):
                await client.send("x" * 16)
                assert await server.recv() == "x" * 16
                await server.send(b"y" * 16)
                assert await client.recv() == b"y" * 16

    asyncio.run(main())


@pytest.mark.parametrize("carrier", ["engine", "transport"])
def test_a_rate_that_is_next_to_nothing(carrier: str) -> None:
    """A time that no float holds is never."""

    async def main() -> None:
        limit = pywscore.RateLimit(messages=5e-324)
        options = {"carrier": carrier, "rate_limit": limit, "close_timeout": 0.1}
        async with connected(tcp=True, server=options) as (client, server):
            for number in range(3):
                await client.send(str(number))
            assert await server.recv() == "0"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(server.recv(), 0.05)
            server.transport.abort()

    asyncio.run(main())


def test_faults_keep_numbers() -> None:
    faults = Faults(delay=Number(2), end_at=Count(3), drop=[(1, 2)])
    assert (faults.delay, faults.end_at) == (2.0, 3)
    assert (type(faults.delay), type(faults.end_at)) == (float, int)
    for wrong in ([(1, -2)], [(True, 2)], [(1, 2.5)], [(0, HUGE)]):
        with pytest.raises((TypeError, ValueError), match="drop"):
            Faults(drop=wrong)


def test_a_hub_keeps_numbers() -> None:
    hub = Hub("memory://", max_rooms=Count(3), publishes_per_second=Number(2))
    limits = hub._node.limits
    assert (limits.max_rooms, limits.publishes_per_second) == (3, 2.0)
    assert (type(limits.max_rooms), type(limits.publishes_per_second)) == (int, float)
