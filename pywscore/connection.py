"""The old name of ``pywscore.protocol``."""

from .protocol import CLIENT, CLOSED, CLOSING, CONNECTING, OPEN, SERVER, Side, State
from .protocol import Protocol as Connection

__all__ = [
    "CLIENT",
    "CLOSED",
    "CLOSING",
    "CONNECTING",
    "OPEN",
    "SERVER",
    "Connection",
    "Side",
    "State",
]
