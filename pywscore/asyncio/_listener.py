"""Callbacks in the place of a handler, for those who count microseconds."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Listener", "ListenerFactory", "check_methods"]


class Listener(Protocol):
    """What ``listener=`` makes: one object for each connection, no task::

        class Echo:
            def on_message(self, ws, message):
                ws.send_nowait(message)

        async with pywscore.serve(None, "127.0.0.1", 8765, listener=Echo) as server:
            await server.serve_forever()

    Only ``on_message`` must be there. The others, called if they are:

    - ``on_open(ws)`` when the opening handshake is done;
    - ``on_ping(ws, data)``, answered already, and ``on_pong(ws, data)``: ``bytes``;
    - ``on_drained(ws)`` when output, which was above the high-water mark of
      ``write_limit``, is below the low one, and ``send_nowait()`` has room again;
    - ``on_close(ws, code, reason)``, the last call, when TCP is gone; ``code`` and
      ``reason`` are ``ws.close_code`` and ``ws.close_reason``.

    They are called by the event loop and must not block. They answer with
    ``ws.send_nowait()``, end with ``ws.close_nowait()`` and may start tasks. An
    exception in one closes the connection with 1011 and is logged; no message is given
    to the listener after that. While output is above the high-water mark, nothing is
    read from that peer.
    """

    def on_message(self, ws: Any, message: Any, /) -> object:
        """Called with each message: ``str`` for text, ``bytes`` for binary.

        Args:
            ws: the Connection.
            message: it is the listener's to keep.

        Returns:
            Whatever; nobody looks at it.
        """


ListenerFactory = Callable[[], Listener]


_METHODS = ("on_open", "on_message", "on_ping", "on_pong", "on_drained", "on_close")
# Those that have been looked at.
_checked: weakref.WeakSet[type] = weakref.WeakSet()


def check_methods(cls: type) -> None:
    """Look at the methods of a listener's class, once.

    Raises:
        TypeError: if one is a coroutine function: nobody would await it.
    """
    if cls in _checked:
        return
    for name in _METHODS:
        if inspect.iscoroutinefunction(getattr(cls, name, None)):
            raise TypeError(
                f"{cls.__qualname__}.{name} is a coroutine function, and listeners are "
                "called: it may start a task, or a handler does it all"
            )
    _checked.add(cls)
