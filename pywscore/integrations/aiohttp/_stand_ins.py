"""What stands for ``ws._reader`` and ``ws._writer`` of aiohttp's classes.

They aren't public, but tests of handlers put messages into the one, and people get at
the transport by the other. They are made when asked for; we don't use them.
"""

from __future__ import annotations

from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType

from ...asyncio._engine import feed
from ._connection import UpgradedConnection

__all__ = ["Reader", "Writer"]

_FIN = 0x80
_MASKED = 0x80


class Reader:
    """Messages put into it are received."""

    __slots__ = ("_connection",)

    def __init__(self, connection: UpgradedConnection) -> None:
        self._connection = connection

    def feed_data(self, message: WSMessage, size: int = 0) -> None:
        """As if ``message`` came from the peer; CLOSING and CLOSED end receiving."""
        kind, data, extra = message
        if kind in (WSMsgType.CLOSING, WSMsgType.CLOSED):
            self.feed_eof()
            return
        if kind is WSMsgType.CLOSE:
            code = int(data).to_bytes(2, "big") if data else b""
            data = code + (extra or "").encode()
        payload = data.encode() if isinstance(data, str) else bytes(data)
        masked = self._connection.protocol.is_server
        feed(self._connection, _frame(int(kind), payload, masked=masked))

    def feed_eof(self) -> None:
        """As if the connection was lost."""
        self._connection.release()


def _frame(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    size = len(payload)
    mask = _MASKED if masked else 0
    if size < 126:
        head = bytes([_FIN | opcode, mask | size])
    elif size < 1 << 16:
        head = bytes([_FIN | opcode, mask | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([_FIN | opcode, mask | 127]) + size.to_bytes(8, "big")
    return head + (bytes(4) if masked else b"") + payload


class Writer:
    """Sends over the connection of ``ws``, its owner."""

    __slots__ = ("_connection", "_ws")

    def __init__(self, ws: Any, connection: UpgradedConnection) -> None:
        self._ws = ws
        self._connection = connection

    @property
    def transport(self) -> Any:
        """The transport that the connection has now."""
        return self._connection.transport

    @property
    def _limit(self) -> int:
        return self._connection.options.write_limit[0]

    async def send_frame(
        self, message: bytes, opcode: WSMsgType, compress: int | None = None
    ) -> None:
        """See Messages.send_frame()."""
        await self._ws.send_frame(message, opcode, compress)

    async def close(
        self, code: int = WSCloseCode.OK, message: bytes | str = b""
    ) -> None:
        """Send a close frame, and wait for nothing."""
        self._connection.start_closing(code, message)
