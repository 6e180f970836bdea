"""Clients, one module per library: ``python -m benchmarks.clients NAME``.

Each has ``async def run(uri, *, tls, compression, turns)``, which connects and takes
all messages until the connection ends; with ``turns`` it sends each one back. It
trusts any server if ``tls``.
"""

from __future__ import annotations

import ssl
from typing import Any


def ssl_context(tls: bool) -> ssl.SSLContext | None:
    """One that trusts anybody."""
    if not tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def take(
    library: Any, uri: str, *, tls: Any, compression: bool, turns: bool
) -> None:
    """With the API of websockets; ``tls`` may be a context."""
    context = ssl_context(tls) if isinstance(tls, bool) else tls
    async with library.connect(
        uri,
        compression="deflate" if compression else None,
        proxy=None,
        close_timeout=0.1,
        # Who has stopped reading isn't told of the peer's end.
        **({} if context is None else {"ssl": context, "ssl_shutdown_timeout": 0.1}),
    ) as ws:
        try:
            if turns:
                async for message in ws:
                    await ws.send(message)
            else:
                async for _ in ws:
                    pass
        except library.ConnectionClosed:
            pass
