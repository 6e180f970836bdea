"""What a connection says in the log: frames, states and heads at DEBUG, in the words of
``websockets``; ends at INFO."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .. import _core
from .._shown import printable, shown_header
from ..enums import State
from ..exceptions import InvalidHandshake
from ..http import Request, Response
from ._log import Lines
from ._options import Options

__all__ = ["Logged"]

_INFO = logging.INFO

P = ParamSpec("P")
R = TypeVar("R")


class Logged(_core.Connection, asyncio.BufferedProtocol):
    """What a Connection knows of the log.

    Whether DEBUG is enabled is looked at once, when the connection is made: one that
    isn't traced does nothing for this.
    """

    options: Options

    _traced: bool = False
    _state_told: State | None = None

    def _timed(self, function: Callable[P, R]) -> Callable[P, R]:
        """``function``; in the loop's debug mode it is named if it is slow."""
        if not self._by_loop:
            return function
        from ._timed import timed

        return timed(self.loop, function)

    # What the core calls, of one that is traced

    def _on_frames(
        self, frames: list[tuple[bool, int, bool, int, bytes]], omitted: int
    ) -> None:
        from ._frame_text import frame_text

        for sent, opcode, fin, length, payload in frames:
            text = frame_text(opcode, fin, length, payload)
            self._debug("%s %s", "<>"[sent], text)
        if omitted:
            self._debug("%d more frames were left out", omitted)
        self._tell_state()

    def _on_head_received(self, head: Request | Response) -> None:
        self._tell_head("<", head)
        self._tell_state()

    # What others call

    def _tell_opened(self) -> None:
        if self._traced:
            self._tell_state()
        if self.options.log.is_enabled_for(_INFO):
            self._log(_INFO, "connection open", kind=Lines.CONNECTIONS)

    def _tell_rejected(self, response: Response) -> None:
        self._log(
            logging.INFO,
            "connection rejected (%d %s)",
            response.status_code,
            printable(response.reason_phrase),
        )

    def _tell_closed(self) -> None:
        """With the peer's close frame, or what there was in its place."""
        if self._traced:
            self._tell_state()
        if not self.options.log.is_enabled_for(_INFO):
            return
        protocol = self.protocol
        close = protocol.close_received
        text = str(protocol.close_exception) if close is None else str(close)
        self._log(
            logging.INFO,
            "connection closed: %s",
            printable(text),
            kind=Lines.CONNECTIONS,
        )

    def _debug(self, message: str, *args: object) -> None:
        """Say it if it is traced: what peers send needs ``printable()`` before."""
        if self._traced:
            self._log(logging.DEBUG, message, *args, kind=Lines.TRACE)

    def _tell_state(self) -> None:
        if self._traced and self.state is not self._state_told:
            self._state_told = self.state
            self._debug("= connection is %s", self.state.name)

    def _tell_head(self, sign: str, head: Request | Response) -> None:
        if not self._traced:
            return
        if isinstance(head, Request):
            line = f"{head.method} {head.path} HTTP/1.1"
        else:
            line = f"HTTP/1.1 {head.status_code} {head.reason_phrase}"
        self._debug("%s %s", sign, printable(line))
        for name, value in head.headers.raw_items():
            value = shown_header(name, value)
            self._debug("%s %s: %s", sign, printable(name), printable(value))
        if isinstance(head, Response) and head.body:
            self._debug("%s [body] (%d bytes)", sign, len(head.body))

    def _log(
        self,
        level: int,
        message: str,
        *args: object,
        exc_info: BaseException | None = None,
        kind: Lines | None = None,
    ) -> None:
        log = self.options.log
        if log.is_enabled_for(level):
            extra = {"websocket": self}
            log.log(level, message, *args, exc_info=exc_info, extra=extra, kind=kind)

    def _log_error(self, error: Exception) -> None:
        what = "connection failed"
        if isinstance(error, InvalidHandshake):
            what = "opening handshake failed"
        name = type(error).__name__
        self._log(logging.INFO, "%s: %s: %s", what, name, printable(error))
