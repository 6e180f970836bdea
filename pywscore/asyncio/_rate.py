"""How much a peer may send in a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .._numbers import finite, positive_number

__all__ = ["RateLimit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """How much one connection may receive: ``rate_limit=`` of ``serve()`` and
    ``connect()``.

    Attributes:
        messages: complete messages a second, None for any number.
        bytes: bytes a second from the network, without TLS; None for any number.
        burst: seconds of either that may come at once, after a time without; one
            message may in any case.
        action: what becomes of who sends more. ``"pause"``: nothing is read before its
            time, so that TCP slows the peer down, which notices nothing else. Pings and
            close frames wait with the rest. ``"close"``: the connection is closed with
            1008, and the message left out.

    Raises:
        ValueError: if a number isn't positive and finite, none is given, or for another
            action.
    """

    messages: float | None = None
    bytes: float | None = None
    burst: float = 1.0
    action: Literal["pause", "close"] = "pause"

    def __post_init__(self) -> None:
        if self.messages is None and self.bytes is None:
            raise ValueError("a RateLimit is of messages, of bytes, or of both")
        for name in ("messages", "bytes", "burst"):
            value = getattr(self, name)
            if value is None and name != "burst":
                continue
            finite(name, value)
            object.__setattr__(self, name, positive_number(name, value))
        if self.action not in ("pause", "close"):
            raise ValueError(f"action must be pause or close, not {self.action!r}")

    def _parts(self) -> tuple[float | None, float | None, float, bool]:
        """As the core takes it."""
        return self.messages, self.bytes, self.burst, self.action == "close"
