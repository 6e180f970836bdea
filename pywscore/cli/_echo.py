"""`pywscore echo`: a server that sends every message back, to test clients with."""

from __future__ import annotations

import argparse
import logging
from tempfile import TemporaryDirectory
from typing import Any

import pywscore
from pywscore.cli._common import (
    add_server_options,
    bounded_int,
    describe_close,
    own_address,
    own_origins,
    place_of,
    server_tls,
)
from pywscore.cli._metrics import Metrics

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
    tls = server_tls(options)
    with place_of(options) as (where, port), TemporaryDirectory() as folder:
        metrics = None
        if options.metrics:
            # Workers that share a port answer for each other.
            metrics = Metrics(folder if options.workers > 1 else None)
        origins = own_origins(
            options.host, port, secure=tls is not None, extra=options.origin
        )
        scheme = "ws" if tls is None else "wss"
        address = f"{scheme}://{own_address(options.host, port)}/"
        code = pywscore.run(
            echo,
            **where,
            workers=options.workers,
            on_ready=lambda _: print(
                f"Echo server on {address} (Ctrl-C stops it)", flush=True
            ),
            # None: programs other than browsers send no Origin.
            origins=[*origins, None],
            compression=None if options.no_compression else "deflate",
            max_size=options.max_size,
            process_request=metrics.answer if metrics else None,
            lifespan=metrics.lifespan if metrics else None,
            ssl=tls,
        )
    print("Stopped.", flush=True)
    return code


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
