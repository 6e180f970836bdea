"""Applications of ASGI and aiohttp on a port of loopback, in the test's own loop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from ..asyncio.client import connect

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["ApplicationServer", "serve_aiohttp", "serve_asgi"]

OURS = "pywscore.integrations.uvicorn:WebSocketProtocol"


class ApplicationServer:
    """What ``serve_asgi()`` and ``serve_aiohttp()`` give.

    Args:
        port: where it listens, on 127.0.0.1.

    Attributes:
        port: the same.
        uri: ``ws://127.0.0.1:port``, for clients of any library.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.uri = f"ws://127.0.0.1:{port}"

    def connect(self, path: str = "/", **arguments: Any) -> connect:
        """A client of it, without proxies: ``async with server.connect("/ws") as ws``.

        Args:
            path: of the request, with its query.
            arguments: as for ``pywscore.connect()``.
        """
        return connect(self.uri + path, **({"proxy": None} | arguments))


@contextlib.asynccontextmanager
async def serve_asgi(app: Any, **config: Any) -> AsyncIterator[ApplicationServer]:
    """uvicorn with ``pywscore.integrations.uvicorn`` serves an application, from its
    lifespan's startup to its shutdown::

        async with serve_asgi(app) as server:
            async with server.connect("/ws") as ws:
                await ws.send("hello")

    Args:
        app: an ASGI application, such as FastAPI's.
        config: as for ``uvicorn.Config``, but for what is about addresses and TLS.
            Logging is left as it is, and an application has 5 seconds to end, unless
            ``log_config`` and ``timeout_graceful_shutdown`` say something else.

    Returns:
        Where it is, and what connects to it.

    Raises:
        ImportError: without uvicorn.
        RuntimeError: if it doesn't start; uvicorn's log says why.
    """
    try:
        import uvicorn
    except ImportError as exc:
        raise ImportError(
            "serve_asgi() needs uvicorn: pip install 'pywscore[uvicorn]'"
        ) from exc

    given = {"ws": OURS, "log_config": None, "timeout_graceful_shutdown": 5} | config
    configured = uvicorn.Config(app, host="127.0.0.1", port=0, **given)
    configured.load()
    server = uvicorn.Server(configured)
    server.lifespan = configured.lifespan_class(configured)
    with contextlib.suppress(SystemExit):  # what it raises depends on its version
        await server.startup()
    if not server.started:
        raise RuntimeError("uvicorn doesn't start: its log says why")
    try:
        await server.on_tick(0)  # it makes the headers of all answers
        yield ApplicationServer(server.servers[0].sockets[0].getsockname()[1])
    finally:
        await server.shutdown()


@contextlib.asynccontextmanager
async def serve_aiohttp(
    app: web.Application, **options: Any
) -> AsyncIterator[ApplicationServer]:
    """aiohttp serves an application, from its startup signals to its cleanup::

        async with serve_aiohttp(app) as server:
            async with server.connect("/ws") as ws:
                await ws.send("hello")

    Args:
        app: an ``aiohttp.web.Application``, whose handlers take the
            ``WebSocketResponse`` that they import.
        options: as for ``aiohttp.web.AppRunner``. Handlers have 5 seconds to end,
            unless ``shutdown_timeout`` says something else.

    Returns:
        Where it is, and what connects to it.

    Raises:
        ImportError: without aiohttp.
    """
    try:
        from aiohttp import web
    except ImportError as exc:
        raise ImportError(
            "serve_aiohttp() needs aiohttp: pip install 'pywscore[aiohttp]'"
        ) from exc

    runner = web.AppRunner(app, **({"shutdown_timeout": 5} | options))
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield ApplicationServer(runner.addresses[0][1])
    finally:
        await runner.cleanup()
