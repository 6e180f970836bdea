"""Runs loads, each in a thread of its own, which has the GIL only between two slices of
its work: what there is to see is looked at then."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from pywscore import _core

OPENING, READY, RUNNING, DRAINING, CLOSING, OVER = range(6)
SLICE_SECONDS = 0.1
READY_SECONDS = 0.01
SHOWN_EVERY_SECONDS = 0.5


class Worker:
    """A load and its thread."""

    def __init__(self, load: _core.Load, crew: Crew) -> None:
        self.load = load
        self._crew = crew
        self.phase = OPENING
        self.figures = load.figures()
        self.latencies = load.latencies()
        self.opening_seconds = 0.0
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_over(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._open()
            self._crew.wait_for_all(self._slice)
            self.load.start()
            self.phase = RUNNING
            while self.phase < OVER:
                self._slice(SLICE_SECONDS)
        except BaseException as error:
            self.error = error
            self._crew.stop()

    def _open(self) -> None:
        begin = time.monotonic()
        while self.phase == OPENING:
            self._slice(SLICE_SECONDS)
        self.opening_seconds = time.monotonic() - begin
        self._crew.count_ready()

    def _slice(self, seconds: float) -> None:
        if self._crew.stopped:
            self.load.stop()
        self.phase = self.load.run(seconds)
        self.figures = self.load.figures()
        if self._crew.wants_latencies:
            self.latencies = self.load.latencies()


class Crew:
    """All workers: they begin to send together, and stop together."""

    def __init__(self, loads: Sequence[_core.Load], *, wants_latencies: bool) -> None:
        self.wants_latencies = wants_latencies
        self.stopped = False
        self._lock = threading.Lock()
        self._ready = 0
        self.workers = [Worker(load, self) for load in loads]

    def stop(self) -> None:
        self.stopped = True

    def count_ready(self) -> None:
        with self._lock:
            self._ready += 1

    def wait_for_all(self, meanwhile: Callable[[float], None]) -> None:
        while self._ready < len(self.workers) and not self.stopped:
            meanwhile(READY_SECONDS)

    def run(self, show: Callable[[Crew], None]) -> None:
        """Until the end; `show` is called twice a second."""
        for worker in self.workers:
            worker.start()
        for worker in self.workers:
            while not worker.is_over(SHOWN_EVERY_SECONDS):
                show(self)
        for worker in self.workers:
            if worker.error is not None:
                raise worker.error

    # What all have done together

    def total(self, name: str) -> int:
        return sum(worker.figures[name] for worker in self.workers)

    @property
    def is_running(self) -> bool:
        return any(worker.phase in (RUNNING, DRAINING) for worker in self.workers)

    @property
    def opening_seconds(self) -> float:
        return max(worker.opening_seconds for worker in self.workers)

    def latencies(self) -> _core.Histogram:
        return merged(worker.latencies for worker in self.workers)

    def all_latencies(self) -> _core.Histogram:
        return merged(worker.load.latencies() for worker in self.workers)

    def all_openings(self) -> _core.Histogram:
        return merged(worker.load.openings() for worker in self.workers)

    def faults(self) -> dict[tuple[int, int], tuple[int, bytes]]:
        """How many of each kind and number, and the first text; most of them first."""
        counts: Counter[tuple[int, int]] = Counter()
        texts: dict[tuple[int, int], bytes] = {}
        for worker in self.workers:
            for kind, number, count, text in worker.load.faults():
                counts[kind, number] += count
                texts.setdefault((kind, number), text)
        return {key: (count, texts[key]) for key, count in counts.most_common()}

    def seconds(self, *, timed: bool) -> float:
        """From the start until the last message; at least as long as was to be sent
        for, if that was a time."""
        begins, ends = [], []
        for worker in self.workers:
            figures = worker.figures
            if figures["started_at"]:
                begins.append(figures["started_at"])
                ends.append(figures["last_at"] or figures["stopped_at"])
                if timed:
                    ends.append(figures["stopped_at"])
        return (max(ends) - min(begins)) / 1e9 if begins else 0.0


def merged(histograms: Iterable[_core.Histogram]) -> _core.Histogram:
    result = _core.Histogram()
    for histogram in histograms:
        result.merge(histogram)
    return result
