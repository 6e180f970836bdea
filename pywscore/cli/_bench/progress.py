"""What is said on a terminal while it runs."""

from __future__ import annotations

import sys
import time

from .running import OPENING, Crew

CLEAR_LINE = "\r\x1b[K"


class Progress:
    """One line on stderr, written anew; nothing if nobody sees it."""

    def __init__(self, *, handshakes: bool) -> None:
        self.shown = sys.stderr.isatty()
        self._counted = "opened" if handshakes else "received"
        self._unit = "handshakes" if handshakes else "messages"
        self._count = 0
        self._begin = self._at = time.monotonic()

    def show(self, crew: Crew) -> None:
        if not self.shown:
            return
        if all(worker.phase == OPENING for worker in crew.workers):
            text = f"{crew.total('open'):,} connections open"
        else:
            text = self._rate(crew)
        if failed := crew.total("failed"):
            text += f"  {failed:,} errors"
        print(f"{CLEAR_LINE}{text}", end="", file=sys.stderr, flush=True)

    def _rate(self, crew: Crew) -> str:
        now, count = time.monotonic(), crew.total(self._counted)
        rate = (count - self._count) / max(now - self._at, 1e-9)
        self._count, self._at = count, now
        text = f"{now - self._begin:6.1f} s  {rate:>12,.0f} {self._unit}/s"
        latencies = crew.latencies()
        if latencies.count:
            p50, p99 = (latencies.percentile(percent) / 1e3 for percent in (50, 99))
            text += f"  p50 {p50:,.0f} µs  p99 {p99:,.0f} µs"
        return text

    def clear(self) -> None:
        if self.shown:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
