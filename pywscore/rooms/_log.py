"""What rooms log of messages: as many lines as there are messages would be too many."""

from __future__ import annotations

import logging

from ..asyncio._log import LimitedLogger, is_exit

__all__ = ["is_exit", "log"]

log = LimitedLogger(logging.getLogger("pywscore.rooms"))
