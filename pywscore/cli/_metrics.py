"""`--metrics`: what Prometheus gets, of one process or of all that share a port."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import pywscore

__all__ = ["Metrics"]


class Metrics:
    """Answers scrapes, in each worker.

    Args:
        folder: of what several workers have counted; None for one process.
    """

    def __init__(self, folder: str | None) -> None:
        self.shared = None if folder is None else pywscore.SharedStats(folder)

    def lifespan(self) -> AbstractAsyncContextManager[Any]:
        return self.shared or nullcontext()

    def answer(
        self, ws: pywscore.ServerConnection, request: pywscore.Request, more: str = ""
    ) -> pywscore.Response | None:
        """None for what isn't a scrape; `more` is of one process."""
        if self.shared is not None:
            self.shared.watch(ws.server.stats)
        if request.method != "GET" or request.path.partition("?")[0] != "/metrics":
            return None
        if self.shared is not None:
            return pywscore.metrics_response(self.shared.stats())
        return pywscore.metrics_response(ws.server.stats(), more)
