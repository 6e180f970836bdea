"""`pywscore echo`: a server that sends every message back, to test clients with."""

from __future__ import annotations

import argparse
import asyncio
import logging
from typing import Any

import pywscore
from pywscore.cli.common import (
    add_server_options,
    bounded_int,
    describe_close,
    listen,
    own_address,
    own_origins,
    server_tls,
    wait_for_interrupt,
)

logger = logging.getLogger("pywscore.cli")

DEFAULT_MAX_SIZE = 1 << 20


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    parser = subparsers.add_parser(
        "echo",
        help="a server that sends every message back",
        description="A server that sends every message back. Ctrl-C stops it.",
    )
    add_server_options(parser)
    parser.add_argument(
        "--no-compression", action="store_true", help="refuse permessage-deflate"
    )
    parser.add_argument(
        "--max-size",
        type=lambda text: bounded_int(text, 0, 1 << 40),
        default=DEFAULT_MAX_SIZE,
        metavar="BYTES",
        help="longest message to accept (%(default)s)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    asyncio.run(serve_echo(options))
    return 0


async def echo(ws: pywscore.Connection) -> None:
    logger.info("%s connected", ws.remote_address)
    try:
        async for message in ws:
            await ws.send(message)
    except pywscore.ConnectionClosed:
        pass
    finally:
        close = describe_close(ws.close_code, ws.close_reason)
        logger.info("%s closed: %s", ws.remote_address, close)


async def serve_echo(options: argparse.Namespace) -> None:
    tls = server_tls(options)
    listener = listen(options.host, options.port)
    port = listener.getsockname()[1]
    origins = own_origins(
        options.host, port, secure=tls is not None, extra=options.origin
    )
    async with pywscore.serve(
        echo,
        sock=listener,
        # None: programs other than browsers send no Origin.
        origins=[*origins, None],
        compression=None if options.no_compression else "deflate",
        max_size=options.max_size,
        ssl=tls,
    ):
        scheme = "ws" if tls is None else "wss"
        address = f"{scheme}://{own_address(options.host, port)}/"
        print(f"Echo server on {address} (Ctrl-C stops it)", flush=True)
        await wait_for_interrupt()
    print("Stopped.", flush=True)
