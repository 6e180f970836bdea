"""`pywscore demo`: a chat in the browser, served by pywscore alone."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import pywscore
from pywscore.cli._common import (
    CommandError,
    add_server_options,
    own_address,
    own_origins,
    place_of,
    server_tls,
)
from pywscore.cli._demo.chat import (
    MAX_BEHIND,
    MAX_MESSAGE_BYTES,
    MESSAGES_PER_SECOND,
    PREFIX,
    SUBPROTOCOL,
    Chat,
)
from pywscore.cli._demo.pages import Pages
from pywscore.cli._metrics import Metrics
from pywscore.rooms import Hub, HubError

__all__ = ["select_subprotocol"]


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    parser = subparsers.add_parser(
        "demo",
        help="a chat in the browser",
        description="Serve a chat page with rooms. Ctrl-C stops it. Terminals can "
        "join too: pywscore connect 'ws://127.0.0.1:8765/ws/Ann?room=lobby'",
    )
    add_server_options(parser)
    parser.add_argument(
        "--redis",
        metavar="URL",
        help="join the rooms of several processes and machines over this Redis, "
        "e.g. redis://127.0.0.1:6379",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    several = options.workers > 1
    if several and options.redis is None:
        raise CommandError(
            "without Redis the rooms live in one process: "
            "--workers needs --redis URL, which joins them"
        )
    if options.redis is not None:
        check_redis(options.redis)
    tls = server_tls(options)
    chat = Chat(options.redis or "memory://")
    with place_of(options) as (where, port), TemporaryDirectory() as folder:
        metrics = Metrics(folder if several else None) if options.metrics else None
        origins = own_origins(
            options.host, port, secure=tls is not None, extra=options.origin
        )
        pages = Pages(origins, chat, metrics)
        scheme = "http" if tls is None else "https"
        address = f"{scheme}://{own_address(options.host, port)}/"
        code = pywscore.run(
            chat.handle,
            **where,
            workers=options.workers,
            lifespan=Lifespan(chat, metrics),
            on_ready=lambda _: print(
                f"Chat on {address} (Ctrl-C stops it)", flush=True
            ),
            # None: programs other than browsers send no Origin.
            origins=[*origins, None],
            subprotocols=[SUBPROTOCOL],
            # Clients with subprotocols we lack, and those without, get plain lines.
            select_subprotocol=select_subprotocol,
            process_request=pages.process_request,
            max_size=MAX_MESSAGE_BYTES,
            write_limit=MAX_BEHIND,
            # People are told at MESSAGES_PER_SECOND; floods aren't even read.
            rate_limit=pywscore.RateLimit(messages=3 * MESSAGES_PER_SECOND),
            ping_interval=10,
            ping_timeout=10,
            ssl=tls,
        )
    print("Stopped.", flush=True)
    return code


@dataclass(frozen=True, slots=True)
class Lifespan:
    """A worker's; what workers that are spawned get."""

    chat: Chat
    metrics: Metrics | None

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        counting = nullcontext() if self.metrics is None else self.metrics.lifespan()
        async with counting, self.chat.lifespan():
            yield


def check_redis(url: str) -> None:
    """In one line here, rather than in each worker."""

    async def check() -> None:
        async with Hub(url, prefix=PREFIX, connect_timeout=3):
            pass

    if url.startswith("memory:"):
        raise CommandError("--redis needs the URL of a Redis")
    try:
        asyncio.run(check())
    except (HubError, ValueError, ImportError) as error:
        raise CommandError(str(error)) from None


def select_subprotocol(ws: pywscore.Connection, offered: Any) -> Any:
    return SUBPROTOCOL if SUBPROTOCOL in offered else None
