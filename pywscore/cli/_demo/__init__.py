"""`pywscore demo`: a chat in the browser, served by pywscore alone."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import pywscore
from pywscore.cli._common import (
    CommandError,
    add_server_options,
    listen,
    own_address,
    own_origins,
    server_tls,
    wait_for_interrupt,
)
from pywscore.cli._demo.chat import MAX_MESSAGE_BYTES, SUBPROTOCOL, Chat
from pywscore.cli._demo.pages import Pages

__all__ = ["select_subprotocol", "serve_demo"]


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    parser = subparsers.add_parser(
        "demo",
        help="a chat in the browser",
        description="Serve a chat page with rooms. Ctrl-C stops it. Terminals can "
        "join too: pywscore connect 'ws://127.0.0.1:8765/ws/Ann?room=lobby'",
    )
    add_server_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.workers > 1:
        raise CommandError("the chat's rooms live in one process: leave out --workers")
    asyncio.run(serve_demo(options))
    return 0


async def serve_demo(options: argparse.Namespace) -> None:
    tls = server_tls(options)
    listener = listen(options.host, options.port)
    port = listener.getsockname()[1]
    origins = own_origins(
        options.host, port, secure=tls is not None, extra=options.origin
    )
    async with pywscore.serve(
        Chat().handle,
        sock=listener,
        # None: programs other than browsers send no Origin.
        origins=[*origins, None],
        subprotocols=[SUBPROTOCOL],
        # Clients with subprotocols we lack, and those without, get plain lines.
        select_subprotocol=select_subprotocol,
        process_request=Pages(origins, metrics=options.metrics).process_request,
        max_size=MAX_MESSAGE_BYTES,
        ping_interval=10,
        ping_timeout=10,
        ssl=tls,
    ):
        scheme = "http" if tls is None else "https"
        print(
            f"Chat on {scheme}://{own_address(options.host, port)}/ (Ctrl-C stops it)",
            flush=True,
        )
        await wait_for_interrupt()
    print("Stopped.", flush=True)


def select_subprotocol(ws: pywscore.Connection, offered: Any) -> Any:
    return SUBPROTOCOL if SUBPROTOCOL in offered else None
