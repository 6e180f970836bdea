"""What a connection does by itself, by methods that a subclass has overridden.

``connection`` is a Connection.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

from ..enums import CloseCode
from ..exceptions import ConnectionClosed, ConnectionClosedOK
from ..typing import Data

__all__ = ["close", "iterate", "send_keepalive_ping"]


async def iterate(connection: Any) -> AsyncIterator[Data]:
    """``__aiter__()`` by ``recv()``."""
    try:
        while True:
            yield await connection.recv()
    except ConnectionClosedOK:
        return


def send_keepalive_ping(connection: Any) -> None:
    """``_send_keepalive_ping()`` by ``ping()``."""
    if connection._keepalive_task is not None:
        connection._keepalive_task.cancel()  # the one before is forgotten
    connection._keepalive_task = connection.loop.create_task(_keep_alive(connection))


async def _keep_alive(connection: Any) -> None:
    try:
        pong = await connection.ping()
        connection._is_alive(await pong)
    except ConnectionClosed:
        pass
    except Exception as exc:
        connection._log(logging.ERROR, "keepalive ping failed", exc_info=exc)


async def close(connection: Any, code: int, reason: str = "") -> None:
    """What a server does by ``close()``, when a handler has ended for instance.

    Only the arguments are given that say something: an override may have no others.
    """
    try:
        if reason:
            await connection.close(code, reason)
        elif code != CloseCode.NORMAL_CLOSURE:
            await connection.close(code)
        else:
            await connection.close()
    except Exception as exc:
        connection._log(logging.ERROR, "close() failed", exc_info=exc)
        connection._start_close(code, reason)
