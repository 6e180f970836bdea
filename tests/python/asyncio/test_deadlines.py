"""All clocks of a connection, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import heapq
import itertools
import math
import random
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pywscore
from pywscore import _core
from pywscore.asyncio._options import timers
from pywscore.extensions.permessage_deflate import SERVER_DEFAULT


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
        self.fired = 0
        self.problems: list[dict[str, Any]] = []

    def time(self) -> float:
        return self.now

    def call_at(
        self, when: float, callback: Callable[[], None], *, context: Any
    ) -> Handle:
        handle = Handle(lambda: context.run(callback))
        heapq.heappush(self.queue, (when, next(self.counter), handle))
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.problems.append(context)

    def timers(self) -> int:
        return sum(handle.callback is not None for _, _, handle in self.queue)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.queue and self.queue[0][0] <= end:
            when, _, handle = heapq.heappop(self.queue)
            self.now = max(self.now, when)
            if handle.callback is not None:
                self.fired += 1
                handle.callback()
        self.now = end


class FakeTransport:
    size = 100_000
    reading = True

    def __init__(self) -> None:
        self.written = bytearray()

    def get_extra_info(self, name: str) -> None:
        pass

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.size

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


OPTIONS: dict[str, Any] = {
    "ping_interval": 20,
    "ping_timeout": 20,
    "idle_timeout": None,
}


class FakeConnection(_core.Connection):
    """A server's connection, opened already. Writes down when it is told what."""

    protocol: pywscore.ServerProtocol

    def __init__(
        self,
        loop: FakeLoop | None = None,
        timers: _core.Timers | None = None,
        *,
        close_timeout: float | None = 10,
        compression: Any = None,
        **options: Any,
    ) -> None:
        self.fake_loop = loop or FakeLoop()
        super().__init__(
            pywscore.ServerProtocol(compression=compression),
            loop=self.fake_loop,  # type: ignore[arg-type]
            receive_buffer=_core.ReceiveBuffer(),
            timers=timers or _core.Timers(self.fake_loop),  # type: ignore[arg-type]
            max_queue=(1, 0),
            write_limit=(65536, 16384),
            **OPTIONS | options,
        )
        self.close_timeout = close_timeout
        self.fake_transport = FakeTransport()
        self.connection_made(self.fake_transport)  # type: ignore[arg-type]
        self.peer = pywscore.ClientProtocol("ws://a/", compression=compression)
        self.exchange()
        self.told: list[tuple[float, Any]] = []

    def exchange(self) -> None:
        """All that both ends have to send."""
        while data := self.peer.data_to_send():
            view = self.get_buffer(-1)
            view[: len(data)] = data
            self.buffer_updated(len(data))
            answer = bytes(self.fake_transport.written)
            self.fake_transport.written.clear()
            self.peer.receive_data(answer)
            list(self.peer.events())

    def receive(self) -> None:
        """A message comes and is taken."""
        self.peer.send_text("message")
        self.exchange()
        self.take()

    def take(self) -> None:
        with pytest.raises(StopIteration):
            self.recv().send(None)

    def stop_reading(self) -> None:
        """The queue, which has room for one message, is full."""
        self.peer.send_text("message")
        self.exchange()
        assert self.read_paused and not self.fake_transport.reading

    def go_on_reading(self) -> None:
        self.take()
        assert not self.read_paused and self.fake_transport.reading

    def _tell(self, *what: Any) -> None:
        self.told.append(
            (round(self.fake_loop.now - 1000, 1), what if what[1:] else what[0])
        )

    def _on_request(self, request: pywscore.Request) -> None:
        self.protocol.accept()
        self.flush()

    def _on_closing(self) -> None:
        self._closes_within(self.close_timeout)

    def _abort(self, why: str) -> None:
        self._tell("abort", why)
        self.connection_lost(None)

    def _on_no_pong(self) -> None:
        self._fail(1011, "keepalive ping timeout")

    def _fail(self, code: int, reason: str) -> None:
        self._tell("fail", int(code), reason)
        self._closes_within(self.close_timeout)

    def _start_close(self, code: int, reason: str) -> None:
        self._tell("close", int(code), reason)
        self._closes_within(self.close_timeout)

    def _on_open_timeout(self) -> None:
        self._tell("open timeout")
        self.connection_lost(None)

    def _send_keepalive_ping(self) -> None:
        self._tell("ping")


PING_FAILED = ("fail", 1011, "keepalive ping timeout")
CUT = ("abort", "timed out while closing connection")


@pytest.mark.threat("HSK-8")
def test_opening_handshake_has_one_deadline() -> None:
    ws = FakeConnection()
    ws._opens_by(ws.fake_loop.now + 10)
    ws.fake_loop.advance(100)
    assert ws.told == [(10.0, "open timeout")]
    assert ws.fake_loop.timers() == 0


def test_opened_in_time() -> None:
    ws = FakeConnection(ping_interval=None)
    ws._opens_by(ws.fake_loop.now + 10)
    ws.fake_loop.advance(9)
    ws._has_opened()
    ws.fake_loop.advance(1000)
    assert ws.told == [] and ws.fake_loop.timers() == 0


@pytest.mark.threat("DED-1", "DED-2")
def test_no_pong_is_1011_after_20_and_20_seconds() -> None:
    ws = FakeConnection()
    ws._has_opened()
    ws.fake_loop.advance(100)
    assert ws.told == [(20.0, "ping"), (40.0, PING_FAILED), (50.0, CUT)]


def test_pongs_keep_it_open() -> None:
    ws = FakeConnection()
    ws._has_opened()
    for _ in range(20):
        ws.fake_loop.advance(20)
        ws.fake_loop.advance(0.25)
        ws._is_alive(0.25)
        ws.fake_loop.advance(-0.25)
        assert ws.fake_loop.timers() == 1
    assert {what for _, what in ws.told} == {"ping"} and len(ws.told) == 20


def test_without_ping_timeout_pings_go_on() -> None:
    ws = FakeConnection(ping_timeout=None, ping_interval=5)
    ws._has_opened()
    ws.fake_loop.advance(52)
    assert [when for when, _ in ws.told] == [5.0 * n for n in range(1, 11)]


@pytest.mark.threat("DED-3")
def test_ping_clock_stands_still_while_we_do_not_read() -> None:
    ws = FakeConnection()
    ws._has_opened()
    ws.fake_loop.advance(25)  # pinged at 20
    ws.stop_reading()
    ws.fake_loop.advance(300)
    assert ws.told == [(20.0, "ping")]
    ws.go_on_reading()
    ws.fake_loop.advance(13)
    assert ws.told == [(20.0, "ping")]
    ws.fake_loop.advance(4)
    assert ws.told[1][1] == PING_FAILED and 339 <= ws.told[1][0] <= 342


@pytest.mark.threat("DED-8")
def test_a_loop_that_was_held_up_does_not_cut_a_live_peer() -> None:
    ws = FakeConnection()
    ws._has_opened()
    ws.fake_loop.advance(20.5)
    ws.fake_loop.now += 600  # nothing ran, nothing was read
    ws.fake_loop.advance(0)
    assert ws.told == [(20.0, "ping")]
    ws._is_alive(0.0)
    ws.fake_loop.advance(10)
    assert ws.told == [(20.0, "ping")]


def test_no_ping_behind_blocked_output() -> None:
    ws = FakeConnection()
    ws._has_opened()
    ws.pause_writing()
    ws.fake_loop.advance(30)
    assert ws.told == []
    ws.resume_writing()
    ws.fake_loop.advance(2)
    assert [what for _, what in ws.told] == ["ping"]


@pytest.mark.threat("SLW-4")
def test_stalled_output_is_cut_within_40_seconds() -> None:
    ws = FakeConnection(ping_interval=None)
    ws._has_opened()
    ws.fake_loop.advance(3)
    ws.pause_writing()
    ws.fake_loop.advance(100)
    ((when, what),) = ws.told
    assert what == ("abort", "output stalled") and 35 <= when - 3 <= 40


@pytest.mark.threat("SLW-4")
def test_slow_output_is_not_cut() -> None:
    ws = FakeConnection(ping_interval=None)
    ws.pause_writing()
    for _ in range(20):
        ws.fake_transport.size -= 1
        ws.fake_loop.advance(30)
    assert ws.told == []
    ws.resume_writing()
    ws.fake_loop.advance(100)
    assert ws.told == [] and ws.fake_loop.timers() == 0


@pytest.mark.threat("SLW-4")
def test_stall_clock_runs_while_we_do_not_read_and_while_closing() -> None:
    ws = FakeConnection(close_timeout=None)
    ws.stop_reading()
    ws._has_opened()
    ws.pause_writing()
    ws._closes_within(None)
    ws.fake_loop.advance(41)
    assert [what for _, what in ws.told] == [("abort", "output stalled")]


@pytest.mark.threat("DED-4")
def test_closing_handshake_is_cut_after_close_timeout() -> None:
    ws = FakeConnection()
    ws._has_opened()
    ws.fake_loop.advance(15)
    ws._closes_within(10)
    ws.fake_loop.advance(4)
    ws._closes_within(10)  # said twice: the first one counts
    ws.fake_loop.advance(100)
    assert ws.told == [(25.0, CUT)]


@pytest.mark.threat("END-1")
def test_closing_clock_runs_from_when_the_peer_took_something_last() -> None:
    ws = FakeConnection()
    ws._has_opened()
    ws._closes_within(10)
    for _ in range(10):
        ws.fake_transport.size -= 2000
        ws.fake_loop.advance(9)
    assert ws.told == []
    ws.fake_loop.advance(100)
    ((when, what),) = ws.told
    assert what == CUT and 91 <= when <= 92
    assert ws.fake_loop.timers() == 0


@pytest.mark.threat("END-1", "SLW-4")
def test_a_trickle_while_closing_is_no_progress() -> None:
    ws = FakeConnection()
    ws._closes_within(10)
    for _ in range(100):
        ws.fake_transport.size -= 50
        ws.fake_loop.advance(1)
    assert ws.told == [(10.0, CUT)]


@pytest.mark.threat("END-1")
@pytest.mark.parametrize(("left", "due"), [(100_000, 5.0), (0, 1.0)])
def test_who_has_output_left_has_five_seconds(left: int, due: float) -> None:
    ws = FakeConnection()
    ws._closes_within(1)
    ws.fake_loop.advance(0.1)
    ws.fake_transport.size = left
    ws.fake_loop.advance(100)
    ((when, what),) = ws.told
    assert what == CUT and due <= when <= due + 0.2


@pytest.mark.threat("END-1", "DED-7")
@pytest.mark.parametrize(("stalled_for", "due"), [(20, 21.0), (2, 5.0)])
def test_who_has_taken_nothing_for_long_has_no_more(
    stalled_for: int, due: float
) -> None:
    ws = FakeConnection()
    ws.pause_writing()
    ws.fake_loop.advance(stalled_for)
    ws._closes_within(1)
    ws.fake_loop.advance(100)
    ((when, what),) = ws.told
    assert what == CUT and due <= when <= due + 0.2


@pytest.mark.threat("DED-4")
def test_the_shorter_time_to_close_counts() -> None:
    ws = FakeConnection()
    ws.fake_transport.size = 0
    ws._closes_within(10)
    ws.fake_loop.advance(2)
    ws._closes_within(1)
    ws.fake_loop.advance(0.5)
    ws._closes_within(20)
    ws.fake_loop.advance(100)
    assert ws.told == [(3.0, CUT)]


@pytest.mark.threat("END-1")
def test_output_that_is_taken_while_closing_is_told() -> None:
    ws = FakeConnection()
    ws._closes_within(10)
    ws.fake_loop.advance(3)
    ws._on_output_taken = lambda: ws._tell("taken")  # type: ignore[method-assign]
    ws.fake_loop.advance(3)
    ws.fake_transport.size = 0
    ws.fake_loop.advance(3)
    ((when, what),) = ws.told
    assert what == "taken" and 6 <= when <= 6.6
    ws.fake_loop.advance(100)
    assert ws.told[-1][1] == CUT and 16 <= ws.told[-1][0] <= 16.6


@pytest.mark.threat("DED-6")
@pytest.mark.parametrize("interval", [0.3, 3.0])
def test_idle_timeout_counts_complete_messages(interval: float) -> None:
    ws = FakeConnection(idle_timeout=8, ping_interval=None)
    ws._has_opened()
    for _ in range(int(60 / interval)):
        ws.fake_loop.advance(interval)
        ws.receive()
    assert ws.told == []
    last = ws.fake_loop.now - 1000
    ws.fake_loop.advance(100)
    when, what = ws.told[0]
    assert what == ("close", 1001, "idle timeout") and 8 <= when - last + 0.1 <= 9.2


@pytest.mark.threat("DED-6")
def test_idle_timeout_ends_a_connection_that_only_pongs() -> None:
    ws = FakeConnection(idle_timeout=30)
    ws._has_opened()
    ws.fake_loop.advance(20.01)
    ws._is_alive(0.0)
    ws.fake_loop.advance(30)
    assert ws.told == [
        (20.0, "ping"),
        (30.0, ("close", 1001, "idle timeout")),
        (40.0, CUT),
    ]


def test_idle_clock_stands_still_while_we_do_not_read() -> None:
    ws = FakeConnection(idle_timeout=8, ping_interval=None)
    ws._has_opened()
    ws.stop_reading()
    ws.fake_loop.advance(100)
    assert ws.told == []


EVENTS = {
    "close": lambda ws: ws._closes_within(5),
    "pong": lambda ws: ws._is_alive(0.0),
    "lost": lambda ws: ws.connection_lost(None),
    "paused": lambda ws: ws.pause_writing(),
    "resumed": lambda ws: ws.resume_writing(),
    "opened": lambda ws: ws._has_opened(),
}


@pytest.mark.threat("DED-8")
@pytest.mark.parametrize("after", [0.0, 9.99, 10.0, 10.01, 25.0, 40.0])
@pytest.mark.parametrize("first", EVENTS)
@pytest.mark.parametrize("second", EVENTS)
def test_one_end_whatever_comes_together(first: str, second: str, after: float) -> None:
    ws = FakeConnection(idle_timeout=45)
    ws._opens_by(ws.fake_loop.now + 10)
    EVENTS[first](ws)
    ws.fake_loop.advance(after)
    EVENTS[second](ws)
    assert ws.fake_loop.timers() <= 1
    ws.fake_loop.advance(200)
    ends = [what for _, what in ws.told if what != "ping"]
    cuts = [what for what in ends if what[0] == "abort" or what == "open timeout"]
    closes = [what for what in ends if what[0] in ("fail", "close")]
    assert len(cuts) <= 1 and len(closes) <= 1
    if "lost" not in (first, second):
        assert len(cuts) == 1 and ends[-1] == cuts[0]
    assert ws.fake_loop.timers() == 0


# Each clock: how it is started, when it is due, and what it then tells.
CLOCKS: dict[str, tuple[dict[str, Any], Callable[[Any], None], float, Any]] = {
    "open": ({}, lambda ws: ws._opens_by(ws.fake_loop.now + 10), 10, "open timeout"),
    "close": ({}, lambda ws: ws._closes_within(10), 10, CUT),
    "stall": ({}, lambda ws: ws.pause_writing(), 36, ("abort", "output stalled")),
    "ping": ({}, lambda ws: ws._has_opened(), 20, "ping"),
    "pong": ({"ping_timeout": 5}, lambda ws: ws._has_opened(), 25, PING_FAILED),
    "idle": (
        {"idle_timeout": 8},
        lambda ws: ws._has_opened(),
        8,
        ("close", 1001, "idle timeout"),
    ),
}


def peer_closes(ws: FakeConnection) -> None:
    ws.peer.send_close()
    ws.exchange()


SAME_TICK: dict[str, Callable[[FakeConnection], None]] = {
    "nothing": lambda ws: None,
    "message": lambda ws: ws.receive(),
    "close": peer_closes,
    "lost": lambda ws: ws.connection_lost(None),
    "freed": lambda ws: None,
}


@pytest.mark.threat("DED-8")
@pytest.mark.parametrize("event", SAME_TICK)
@pytest.mark.parametrize("clock", CLOCKS)
def test_each_clock_in_the_tick_of_something_else(clock: str, event: str) -> None:
    options, start, due, what = CLOCKS[clock]
    ws = FakeConnection(**options)
    start(ws)
    ws.fake_loop.advance(due - 0.001)
    ws.told.clear()
    SAME_TICK[event](ws)
    loop, told = ws.fake_loop, ws.told
    if event == "freed":
        del ws
        gc.collect()
    loop.advance(0.01)
    if event == "nothing" or (event == "message" and clock != "idle"):
        assert told == [(due, what)]
    elif event == "close" and clock in ("close", "stall"):
        assert told == [(due, what)]  # closing is what they are there for as well
    else:
        assert told == []
    loop.advance(100)
    cuts = [what for _, what in told if what[0] == "abort"]
    assert len(cuts) <= 1 and loop.problems == []
    if event == "close":
        assert len(cuts) == 1 and told[-1][1] == cuts[0]
        assert loop.timers() == 0


def test_times_that_make_no_sense() -> None:
    for name in OPTIONS:
        with pytest.raises(ValueError):
            FakeConnection(**{name: math.nan})
        with pytest.raises(TypeError):
            FakeConnection(**{name: "soon"})
    ws = FakeConnection(ping_interval=1e300, idle_timeout=math.inf)
    ws._opens_by(-1.0)
    ws._has_opened()
    ws.fake_loop.advance(1e9)
    assert ws.told == []
    with pytest.raises(ValueError):
        ws._opens_by(math.nan)


def test_pings_as_often_as_can_be_do_not_hold_up_the_loop() -> None:
    ws = FakeConnection(ping_interval=0, ping_timeout=None)
    ws._has_opened()
    ws.fake_loop.advance(1)
    assert 100 <= len(ws.told) <= 128


# Several connections of one loop --------------------------------------------------


class Together:
    """Connections whose timers are due in the same tick."""

    def __init__(self, count: int, **options: Any) -> None:
        self.loop = FakeLoop()
        self.timers = _core.Timers(self.loop)  # type: ignore[arg-type]
        self.all = [
            FakeConnection(self.loop, self.timers, **options) for _ in range(count)
        ]
        for ws in self.all:
            ws._has_opened()


def test_one_handle_for_all() -> None:
    together = Together(1000)
    assert together.loop.timers() == 1
    together.loop.advance(20)
    assert all(ws.told == [(20.0, "ping")] for ws in together.all)
    assert together.loop.fired < 10  # the loop has its turn in between
    for ws in together.all:
        ws._is_alive(0.0)
    together.loop.advance(15)
    assert together.loop.fired < 15
    for ws in together.all:
        ws.connection_lost(None)
    assert together.loop.timers() == 0


@pytest.mark.threat("DED-8", "LIF-1")
@pytest.mark.parametrize("what", ["lost", "moved", "freed", "itself", "new"])
def test_what_a_hook_does_to_those_due_in_the_same_tick(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = Together(20)
    told: list[int] = []

    def hook(ws: FakeConnection) -> None:
        told.append(id(ws))
        others = [other for other in together.all if other is not ws]
        if what == "lost":
            for other in others:
                other.connection_lost(None)
        elif what == "moved":
            for other in others:
                other._closes_within(5)
        elif what == "freed":
            together.all.clear()
        elif what == "itself":
            ws.connection_lost(None)
            together.all.remove(ws)
        else:
            new = FakeConnection(together.loop, together.timers)
            new._opens_by(together.loop.now - 5)
            together.all.append(new)

    monkeypatch.setattr(FakeConnection, "_send_keepalive_ping", hook)
    together.loop.advance(20)
    assert len(told) == (20 if what in ("itself", "new") else 1)
    assert len(set(told)) == len(told)
    together.loop.advance(6)
    if what == "moved":
        cuts = [ws.told for ws in together.all if ws.told]
        assert len(cuts) == 19 and all(cut == [(25.0, CUT)] for cut in cuts)
    if what == "new":
        assert [ws.told for ws in together.all[20:]] == [[(20.0, "open timeout")]] * 20
    assert together.loop.problems == []


def test_exceptions_in_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    together = Together(5)

    def hook(ws: FakeConnection) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(FakeConnection, "_send_keepalive_ping", hook)
    together.loop.advance(20)
    assert len(together.loop.problems) == 5
    for ws in together.all:
        assert ws.fake_transport.written == b"\x88\x10\x03\xf3internal error"
        assert ws.told == []


def test_exceptions_that_leave_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    together = Together(5)
    told = []

    def hook(ws: FakeConnection) -> None:
        told.append(ws)
        if len(told) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(FakeConnection, "_send_keepalive_ping", hook)
    with pytest.raises(KeyboardInterrupt):
        together.loop.advance(20)
    assert len(told) == 2
    together.loop.advance(0.1)  # the others' time has come all the same
    assert len(told) == 5 and together.loop.problems == []


def test_hooks_run_in_a_context_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("of who made the connection")
    seen = []
    monkeypatch.setattr(
        FakeConnection, "_send_keepalive_ping", lambda ws: seen.append(variable.get())
    )
    together = Together(2)
    together.loop.advance(20)
    assert seen == ["none", "none"]


# Life -----------------------------------------------------------------------------


@pytest.mark.threat("LIF-8")
def test_a_connection_is_not_kept_by_its_timer() -> None:
    together = Together(3)
    alive = [weakref.ref(ws) for ws in together.all]
    gc.disable()
    try:
        together.all[1].connection_lost(None)
        together.all.clear()
        for ref in alive[1:2]:
            assert ref() is None
    finally:
        gc.enable()
    gc.collect()
    assert [ref() for ref in alive] == [None] * 3
    together.loop.advance(100)
    assert together.loop.timers() == 0


@pytest.mark.threat("LIF-8")
@pytest.mark.parametrize("opened", [False, True])
def test_loop_and_timers_are_freed(opened: bool) -> None:
    together = Together(3)
    refs = [weakref.ref(together.loop), weakref.ref(together.timers)]
    if not opened:
        for ws in together.all:
            ws.connection_lost(None)
        del ws
    del together
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


@pytest.mark.threat("LIF-8")
async def test_timers_of_a_real_loop(pair: Any) -> None:
    loop = asyncio.get_running_loop()
    async with pair() as ends:
        known = weakref.ref(timers(loop))
        assert known() is not None and known()._handle is not None
        assert timers(loop) is known()
        del ends
    for _ in range(3):
        await asyncio.sleep(0)
    assert known() is None or known()._handle is None


# Compression's memory -------------------------------------------------------------


def traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.fixture
def tracing() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def talk(ws: FakeConnection, text: str) -> None:
    """A message in both directions, compressed."""
    ws.peer.send_text(text, compress=True)
    ws.exchange()
    with pytest.raises(StopIteration) as received:
        ws.recv().send(None)
    assert received.value.value == text
    ws.send_nowait(text[::-1], compress=True)
    ws.flush()
    ws.peer.receive_data(bytes(ws.fake_transport.written))
    ws.fake_transport.written.clear()
    [event] = ws.peer.events()
    assert isinstance(event, pywscore.TextMessage) and event.data == text[::-1]


@pytest.mark.threat("INF-12")
@pytest.mark.parametrize("ping_interval", [20, None, 3600])
def test_an_idle_connection_gives_compression_memory_back(
    ping_interval: float | None, tracing: None
) -> None:
    ws = FakeConnection(
        compression=SERVER_DEFAULT, ping_interval=ping_interval, ping_timeout=None
    )
    ws._has_opened()
    text = "".join(random.Random(5).choices("abcdefgh", k=3000))
    for _ in range(3):
        # From the second time on, with the windows of before (context takeover).
        for n in range(8):
            talk(ws, text + str(n))
            ws.fake_loop.advance(5)
        held = traced()
        ws.fake_loop.advance(20)
        assert traced() > held - 4096, "too early"
        ws.fake_loop.advance(30)
        assert traced() < held - 36 * 1024
        fired = ws.fake_loop.fired
        ws.fake_loop.advance(600)
        assert ws.fake_loop.fired - fired <= 62  # hardly more looks than pings


def test_messages_in_one_direction_keep_the_memory(tracing: None) -> None:
    ws = FakeConnection(compression=SERVER_DEFAULT, ping_interval=None)
    ws._has_opened()
    talk(ws, "hello" * 500)
    held = traced()
    for _ in range(20):
        ws.send_nowait("hello" * 500)
        ws.flush()
        ws.fake_transport.written.clear()
        ws.fake_loop.advance(9)
    assert traced() > held - 4096
