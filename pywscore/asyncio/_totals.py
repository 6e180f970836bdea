"""What a server counts of its connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .. import _core
from ..enums import State

if TYPE_CHECKING:
    from ._stats import ServerStats

__all__ = ["Counts", "Totals"]

Counts = tuple[int, ...]
"""The values of ``Traffic``, in its order."""

_SIZE = 11


class Totals:
    """What a server keeps of connections that ended.

    Attributes:
        accepted: how many there ever were.
    """

    __slots__ = ("_close_codes", "_failed", "_sums", "accepted")

    def __init__(self) -> None:
        self.accepted = 0
        self._failed = 0
        self._close_codes: Counter[int] = Counter()
        self._sums = [0] * _SIZE

    def left(self, ws: _core.Connection, close_code: int | None) -> None:
        """A connection is gone.

        Args:
            ws: the connection.
            close_code: None if it never was open.
        """
        ws._add_traffic(self._sums)
        if close_code is None:
            self._failed += 1
        else:
            self._close_codes[close_code] += 1

    def stats(self, connections: Iterable[tuple[State, Counts, float]]) -> ServerStats:
        """The sums, with those of the connections that are there.

        Args:
            connections: of each of them its state, counts and latency.
        """
        sums = list(self._sums)
        states: Counter[State] = Counter()
        latencies = []
        for state, counts, latency in connections:
            states[state] += 1
            for index, value in enumerate(counts):
                sums[index] += value
            if latency and state is State.OPEN:
                latencies.append(latency)
        from ._stats import server_stats

        return server_stats(
            tuple(sums),
            states,
            latencies,
            accepted=self.accepted,
            failed=self._failed,
            close_codes=self._close_codes,
        )
