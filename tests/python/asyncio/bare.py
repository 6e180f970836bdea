"""What connections of the compiled module are made with, without a network."""

from __future__ import annotations

import asyncio
from typing import Any

from pywscore import _core


def arguments(loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
    """Of ``_core.Connection``, besides its protocol."""
    return {
        "loop": loop,
        "receive_buffer": _core.ReceiveBuffer(),
        "timers": _core.Timers(loop),
        "max_queue": (16, 4),
        "write_limit": (1 << 16, 1 << 14),
        "ping_interval": None,
        "ping_timeout": None,
        "idle_timeout": None,
    }


class Nowhere(asyncio.Transport):
    """A transport that does nothing."""

    def write(self, data: Any) -> None:
        pass

    def abort(self) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass
