"""Who waits for which pong (RFC 6455 §5.5.2, §5.5.3)."""

from __future__ import annotations

import asyncio
import os

import pytest

from pywscore import ConcurrencyError
from pywscore.asyncio import _pings as module
from pywscore.asyncio._pings import Pings


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(module, "clock", lambda: now[0])
    return now


async def test_an_answer_is_for_all_earlier_ones(clock: list[float]) -> None:
    loop = asyncio.get_running_loop()
    pings = Pings()
    pongs = {name: loop.create_future() for name in (b"a", b"b", b"c")}
    for name, pong in pongs.items():
        pings.sent(pings.choose(name), pong)
        clock[0] += 1
        if name == b"a":
            pings.keepalive_sent(b"alive")
    with pytest.raises(ConcurrencyError):
        pings.choose(b"b")
    clock[0] = 9.0
    assert pings.answered(b"unasked") == (None, False)
    assert pings.answered(b"b") == (8.0, True)
    assert pongs[b"a"].result() == 9.0 and pongs[b"b"].result() == 8.0
    assert not pongs[b"c"].done()
    assert pings.answered(b"b") == (None, False)
    pings.drop(LookupError())
    with pytest.raises(LookupError):
        await pongs[b"c"]


async def test_cancelled_waiters_are_left_alone(clock: list[float]) -> None:
    pings = Pings()
    for name in (b"a", b"b"):
        pong = asyncio.get_running_loop().create_future()
        pings.sent(name, pong)
        pong.cancel()
    clock[0] = 1.0
    assert pings.answered(b"a") == (1.0, False)
    pings.drop(LookupError())


def test_one_keepalive_ping_is_remembered() -> None:
    pings = Pings()
    for _ in range(1000):
        pings.keepalive_sent(pings.choose(None))
    assert len(pings._waiting) == 1


def test_chosen_payloads_are_four_random_bytes() -> None:
    pings = Pings()
    chosen = {pings.choose(None) for _ in range(100)}
    assert len(chosen) > 90 and {len(payload) for payload in chosen} == {4}


def test_a_payload_that_is_in_use_is_not_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = iter([b"same", b"same", b"same", b"else"])
    monkeypatch.setattr(os, "urandom", lambda size: next(drawn))
    pings = Pings()
    pings.keepalive_sent(pings.choose(None))
    assert pings.choose(None) == b"else"
