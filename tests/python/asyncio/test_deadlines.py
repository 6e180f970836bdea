"""All clocks of a connection, on a clock that the test moves."""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable
from typing import Any

import pytest

from pywscore.asyncio.deadlines import Deadlines
from pywscore.asyncio.log import LimitedLogger
from pywscore.asyncio.options import Options


class Handle:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeLoop:
    def __init__(self) -> None:
        self.now = 1000.0
        self.queue: list[tuple[float, int, Handle]] = []
        self.counter = itertools.count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        handle = Handle(callback)
        heapq.heappush(self.queue, (when, next(self.counter), handle))
        return handle

    def timers(self) -> int:
        return sum(handle.callback is not None for _, _, handle in self.queue)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.queue and self.queue[0][0] <= end:
            when, _, handle = heapq.heappop(self.queue)
            self.now = max(self.now, when)
            if handle.callback is not None:
                handle.callback()
        self.now = end


class FakeTransport:
    size = 100_000

    def get_write_buffer_size(self) -> int:
        return self.size


class FakeConnection:
    """Writes down when it is told what."""

    def __init__(self, **options: Any) -> None:
        self.loop = FakeLoop()
        self.options = Options(log=LimitedLogger(logging.getLogger()), **options)
        self.transport = FakeTransport()
        self.write_paused = self.read_paused = False
        self.messages_received = 0
        self.latency = 0.0
        self.told: list[tuple[float, Any]] = []
        self.clocks = Deadlines(self)  # type: ignore[arg-type]

    def _tell(self, *what: Any) -> None:
        self.told.append(
            (round(self.loop.now - 1000, 1), what if what[1:] else what[0])
        )

    def _abort(self, why: str) -> None:
        self._tell("abort", why)
        self.clocks.lost()

    def _fail(self, code: int, reason: str) -> None:
        self._tell("fail", int(code), reason)
        self.clocks.closing(self.options.close_timeout)

    def _start_close(self, code: int, reason: str) -> None:
        self._tell("close", int(code), reason)
        self.clocks.closing(self.options.close_timeout)

    def _on_open_timeout(self) -> None:
        self._tell("open timeout")
        self.clocks.lost()

    def _send_keepalive_ping(self) -> None:
        self._tell("ping")


PING_FAILED = ("fail", 1011, "keepalive ping timeout")
CUT = ("abort", "timed out while closing connection")


@pytest.mark.threat("HSK-8")
def test_opening_handshake_has_one_deadline() -> None:
    ws = FakeConnection()
    ws.clocks.opening(ws.loop.now + 10)
    ws.loop.advance(100)
    assert ws.told == [(10.0, "open timeout")]
    assert ws.loop.timers() == 0


def test_opened_in_time() -> None:
    ws = FakeConnection(ping_interval=None)
    ws.clocks.opening(ws.loop.now + 10)
    ws.loop.advance(9)
    ws.clocks.opened()
    ws.loop.advance(1000)
    assert ws.told == [] and ws.loop.timers() == 0


@pytest.mark.threat("DED-1", "DED-2")
def test_no_pong_is_1011_after_20_and_20_seconds() -> None:
    ws = FakeConnection()
    ws.clocks.opened()
    ws.loop.advance(100)
    assert ws.told == [(20.0, "ping"), (40.0, PING_FAILED), (50.0, CUT)]


def test_pongs_keep_it_open() -> None:
    ws = FakeConnection()
    ws.clocks.opened()
    for _ in range(20):
        ws.loop.advance(20)
        ws.latency = 0.25
        ws.loop.advance(0.25)
        ws.clocks.pong_received()
        ws.loop.advance(-0.25)
        assert ws.loop.timers() == 1
    assert {what for _, what in ws.told} == {"ping"} and len(ws.told) == 20


def test_without_ping_timeout_pings_go_on() -> None:
    ws = FakeConnection(ping_timeout=None, ping_interval=5)
    ws.clocks.opened()
    ws.loop.advance(52)
    assert [when for when, _ in ws.told] == [5.0 * n for n in range(1, 11)]


@pytest.mark.threat("DED-3")
def test_ping_clock_stands_still_while_we_do_not_read() -> None:
    ws = FakeConnection()
    ws.clocks.opened()
    ws.loop.advance(25)  # pinged at 20
    ws.read_paused = True
    ws.loop.advance(300)
    assert ws.told == [(20.0, "ping")]
    ws.read_paused = False
    ws.loop.advance(13)
    assert ws.told == [(20.0, "ping")]
    ws.loop.advance(4)
    assert ws.told[1][1] == PING_FAILED and 339 <= ws.told[1][0] <= 342


@pytest.mark.threat("DED-8")
def test_a_loop_that_was_held_up_does_not_cut_a_live_peer() -> None:
    ws = FakeConnection()
    ws.clocks.opened()
    ws.loop.advance(20.5)
    ws.loop.now += 600  # nothing ran, nothing was read
    ws.loop.advance(0)
    assert ws.told == [(20.0, "ping")]
    ws.clocks.pong_received()
    ws.loop.advance(10)
    assert ws.told == [(20.0, "ping")]


def test_no_ping_behind_blocked_output() -> None:
    ws = FakeConnection()
    ws.clocks.opened()
    ws.write_paused = True
    ws.loop.advance(30)
    assert ws.told == []
    ws.write_paused = False
    ws.loop.advance(2)
    assert [what for _, what in ws.told] == ["ping"]


@pytest.mark.threat("SLW-4")
def test_stalled_output_is_cut_within_40_seconds() -> None:
    ws = FakeConnection(ping_interval=None)
    ws.clocks.opened()
    ws.loop.advance(3)
    ws.clocks.write_paused()
    ws.loop.advance(100)
    ((when, what),) = ws.told
    assert what == ("abort", "output stalled") and 35 <= when - 3 <= 40


@pytest.mark.threat("SLW-4")
def test_slow_output_is_not_cut() -> None:
    ws = FakeConnection(ping_interval=None)
    ws.clocks.write_paused()
    for _ in range(20):
        ws.transport.size -= 1
        ws.loop.advance(30)
    assert ws.told == []
    ws.clocks.write_resumed()
    ws.loop.advance(100)
    assert ws.told == [] and ws.loop.timers() == 0


@pytest.mark.threat("SLW-4")
def test_stall_clock_runs_while_we_do_not_read_and_while_closing() -> None:
    ws = FakeConnection(close_timeout=None)
    ws.read_paused = True
    ws.clocks.opened()
    ws.clocks.write_paused()
    ws.clocks.closing(None)
    ws.loop.advance(41)
    assert [what for _, what in ws.told] == [("abort", "output stalled")]


@pytest.mark.threat("DED-4")
def test_closing_handshake_is_cut_after_close_timeout() -> None:
    ws = FakeConnection()
    ws.clocks.opened()
    ws.loop.advance(15)
    ws.clocks.closing(10)
    ws.loop.advance(4)
    ws.clocks.closing(10)  # said twice: the first one counts
    ws.loop.advance(100)
    assert ws.told == [(25.0, CUT)]


@pytest.mark.threat("DED-6")
@pytest.mark.parametrize("interval", [0.3, 3.0])
def test_idle_timeout_counts_complete_messages(interval: float) -> None:
    ws = FakeConnection(idle_timeout=8, ping_interval=None)
    ws.clocks.opened()
    for _ in range(int(60 / interval)):
        ws.loop.advance(interval)
        ws.messages_received += 1
    assert ws.told == []
    last = ws.loop.now - 1000
    ws.loop.advance(100)
    when, what = ws.told[0]
    assert what == ("close", 1001, "idle timeout") and 8 <= when - last + 0.1 <= 9.2


@pytest.mark.threat("DED-6")
def test_idle_timeout_ends_a_connection_that_only_pongs() -> None:
    ws = FakeConnection(idle_timeout=30)
    ws.clocks.opened()
    ws.loop.advance(20.01)
    ws.clocks.pong_received()
    ws.loop.advance(30)
    assert ws.told == [
        (20.0, "ping"),
        (30.0, ("close", 1001, "idle timeout")),
        (40.0, CUT),
    ]


def test_idle_clock_stands_still_while_we_do_not_read() -> None:
    ws = FakeConnection(idle_timeout=8, ping_interval=None)
    ws.clocks.opened()
    ws.read_paused = True
    ws.loop.advance(100)
    assert ws.told == []


EVENTS = {
    "close": lambda ws: ws.clocks.closing(5),
    "pong": lambda ws: ws.clocks.pong_received(),
    "lost": lambda ws: ws.clocks.lost(),
    "paused": lambda ws: ws.clocks.write_paused(),
    "resumed": lambda ws: ws.clocks.write_resumed(),
    "opened": lambda ws: ws.clocks.opened(),
}


@pytest.mark.threat("DED-8")
@pytest.mark.parametrize("after", [0.0, 9.99, 10.0, 10.01, 25.0, 40.0])
@pytest.mark.parametrize("first", EVENTS)
@pytest.mark.parametrize("second", EVENTS)
def test_one_end_whatever_comes_together(first: str, second: str, after: float) -> None:
    ws = FakeConnection(idle_timeout=45)
    ws.clocks.opening(ws.loop.now + 10)
    EVENTS[first](ws)
    ws.loop.advance(after)
    EVENTS[second](ws)
    assert ws.loop.timers() <= 1
    ws.loop.advance(200)
    ends = [what for _, what in ws.told if what != "ping"]
    cuts = [what for what in ends if what[0] == "abort" or what == "open timeout"]
    closes = [what for what in ends if what[0] in ("fail", "close")]
    assert len(cuts) <= 1 and len(closes) <= 1
    if "lost" not in (first, second):
        assert len(cuts) == 1 and ends[-1] == cuts[0]
    assert ws.loop.timers() == 0
