"""What all connections of the drop-ins have counted, in this process; for Prometheus.

Under uvicorn ``asgi`` is an application of its own, or mounted in one::

    app.mount("/metrics", metrics.asgi)

and with aiohttp ``aiohttp`` is a handler::

    app.router.add_get("/metrics", metrics.aiohttp)
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ..asyncio._shared_stats import SharedStats
from ..asyncio._stats import CONTENT_TYPE, ServerStats, prometheus
from ..typing import PathLike
from ._ledger import ledger

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["aiohttp", "asgi", "shared", "stats"]

_shared: SharedStats | None = None


def stats() -> ServerStats:
    """The sums over all servers' connections of both drop-ins that this process has
    had; queues and latencies are of those that are there.

    It looks at each of them: ask every few seconds, in the loop that they are of.

    Returns:
        The same as ``Server.stats()``.
    """
    return ledger.stats()


@contextlib.asynccontextmanager
async def shared(folder: PathLike) -> AsyncIterator[SharedStats]:
    """While it is entered, ``asgi`` and ``aiohttp`` answer with the sums over all
    processes that share a folder: each worker enters it, in its lifespan.

    Args:
        folder: of these workers only; see ``SharedStats``.

    Returns:
        What has the sums.

    Raises:
        RuntimeError: if one is entered in this process already.
    """
    global _shared
    if _shared is not None:
        raise RuntimeError("statistics are shared already")
    async with SharedStats(folder) as _shared:
        _shared.watch(stats)
        try:
            yield _shared
        finally:
            _shared = None


def _page() -> bytes:
    return prometheus(stats() if _shared is None else _shared.stats()).encode()


async def asgi(
    scope: Any,
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[Any], Awaitable[Any]],
) -> None:
    """An ASGI application that answers GET and HEAD with ``stats()``, or the sums
    of ``shared()``, as Prometheus reads it.

    Args:
        scope: of an HTTP request.
        receive: isn't used.
        send: takes the response.

    Raises:
        ValueError: for another kind of scope.
    """
    if scope["type"] != "http":
        raise ValueError(f"metrics are of HTTP requests, not of {scope['type']}")
    allowed = scope["method"] in ("GET", "HEAD")
    body = _page() if allowed else b""
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *([] if allowed else [(b"allow", b"GET, HEAD")]),
    ]
    await send(
        {
            "type": "http.response.start",
            "status": 200 if allowed else 405,
            "headers": headers,
        }
    )
    body = b"" if scope["method"] == "HEAD" else body
    await send({"type": "http.response.body", "body": body})


async def aiohttp(request: web.Request) -> web.Response:
    """A handler of aiohttp that does the same.

    Args:
        request: isn't looked at.

    Returns:
        The response.
    """
    from aiohttp import web

    return web.Response(
        body=_page(),
        headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"},
    )
