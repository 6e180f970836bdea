"""The pings of one connection that wait for their pong."""

from __future__ import annotations

import asyncio
import os
from time import monotonic as clock  # finer than the clock of uvloop's loops

from .._shown import unawaited
from ..exceptions import ConcurrencyError
from ..typing import DataLike


def payload_of(data: DataLike) -> bytes:
    """What travels in a ping or pong."""
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"data must be str or bytes-like{unawaited(data)}")


class Pings:
    """Made for a connection when it sends its first ping."""

    __slots__ = ("_keepalive", "_waiting")

    def __init__(self) -> None:
        # In the order in which they were sent.
        self._waiting: dict[bytes, tuple[asyncio.Future[float] | None, float]] = {}
        self._keepalive: bytes | None = None

    def choose(self, payload: bytes | None) -> bytes:
        """``payload`` if it isn't in use; for None, four random bytes.

        Raises:
            ConcurrencyError: if it is in use.
        """
        if payload is None:
            payload = os.urandom(4)
            while payload in self._waiting:
                payload = os.urandom(4)
        elif payload in self._waiting:
            raise ConcurrencyError("already waiting for a pong with the same data")
        return payload

    def sent(self, payload: bytes, pong: asyncio.Future[float]) -> None:
        """A ping was sent whose pong somebody may wait for."""
        self._waiting[payload] = (pong, clock())

    def keepalive_sent(self, payload: bytes) -> None:
        """A keepalive ping was sent; the one before it is forgotten."""
        if self._keepalive is not None:
            self._waiting.pop(self._keepalive, None)
        self._keepalive = payload
        self._waiting[payload] = (None, clock())

    def answered(self, payload: bytes) -> tuple[float | None, bool]:
        """A pong came: wake who waits for it or for one sent before it.

        Returns:
            The round-trip time, None if nobody asked for this pong; and whether the
            keepalive ping is answered.
        """
        if payload not in self._waiting:
            return None, False
        now = clock()
        alive = False
        # RFC 6455 §5.5.3: a pong may answer only the newest of several pings.
        for earlier in list(self._waiting):
            pong, sent = self._waiting.pop(earlier)
            if pong is not None and not pong.done():
                pong.set_result(now - sent)
            if earlier == self._keepalive:
                self._keepalive = None
                alive = True
            if earlier == payload:
                break
        return now - sent, alive

    def drop(self, exc: Exception) -> None:
        """The connection ended: nobody has to wait any more."""
        waiting, self._waiting = self._waiting, {}
        for pong, _ in waiting.values():
            if pong is not None and not pong.done():
                pong.set_exception(exc)
                pong.exception()  # it isn't an error to forget it
