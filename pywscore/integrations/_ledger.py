"""What the drop-ins' connections in this process have counted."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from ..asyncio._totals import Totals
from ..asyncio.connection import Connection
from ..enums import CloseCode

if TYPE_CHECKING:
    from ..asyncio._stats import ServerStats

__all__ = ["Ledger", "ledger"]


class Ledger:
    """Knows the connections that are there, and sums of those that ended."""

    def __init__(self) -> None:
        self._totals = Totals()
        # A loop that is closed early tells nobody of their end.
        self._all: weakref.WeakSet[Connection] = weakref.WeakSet()

    def begin(self, ws: Connection) -> None:
        """It is there; said again when another transport carries it, it is the same."""
        if ws not in self._all:
            self._all.add(ws)
            self._totals.accepted += 1

    def end(self, ws: Connection, opened: bool) -> None:
        """It is gone, if ``begin()`` was told of it."""
        if ws in self._all:
            self._all.discard(ws)
            code = ws.close_code or CloseCode.ABNORMAL_CLOSURE.value
            self._totals.left(ws, code if opened else None)

    def stats(self) -> ServerStats:
        return self._totals.stats(
            (ws.state, ws._counts(), ws.latency) for ws in list(self._all)
        )


ledger = Ledger()
