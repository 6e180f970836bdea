"""`pywscore bench URL`: a load on any WebSocket server, and how it bears it.

The work is done in C (csrc/load), in one or several threads; here are the options, what
is shown, and `bench compare`.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pywscore.cli._common import (
    EXIT_INTERRUPTED,
    add_client_tls_options,
    add_handshake_options,
    add_verbose_option,
    bounded_int,
    parse_headers,
)

from . import compare, plot, thresholds
from .progress import Progress
from .result import as_dict, result_of, table
from .running import Crew
from .settings import DEPTH_OF_OPEN_LOOP, Settings, make_loads, payload_of

EXIT_THRESHOLD = 3

MAX_CONNECTIONS = 1_000_000
MAX_SIZE = 1 << 26
MAX_SECONDS = 86_400
MAX_RATE = 1e9
MAX_THREADS = 1024
MAX_DEPTH = 1 << 20
DEFAULT_SECONDS = 5.0

DESCRIPTION = """\
Each connection sends a message, waits for its echo, and sends the next (--pipeline: so
many at a time). With --rate messages are sent at their times whatever the server does,
and latency counts from the time that a message was to be sent, so that a server that
stalls can't hide it. With --rooms N, connections are in rooms of N: the first of a room
sends, and each of the N has to receive the message, as it is or inside of another one;
{room} and {connection} in the URL stand for their numbers."""

EPILOG = f"""\
{thresholds.HELP}

Exit codes: 0, 1 failed, 2 wrong usage, {EXIT_THRESHOLD} a --fail-if is true, 130 \
interrupted.

{compare.HELP}"""


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    parser = subparsers.add_parser(
        "bench",
        help="measure a server",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "url", metavar="URL", help="ws://… or wss://…, or the word compare"
    )
    _add_load_options(parser)
    _add_amount_options(parser)
    _add_output_options(parser)
    add_handshake_options(parser)
    add_client_tls_options(parser)
    compare.add_options(parser)
    add_verbose_option(parser)
    parser.set_defaults(run=run)


def _whole(low: int, high: int) -> Callable[[str], int]:
    return lambda text: bounded_int(text, low, high)


def _number(most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not 0 < value <= most:
            raise argparse.ArgumentTypeError(f"must be above 0 and up to {most:g}")
        return value

    return parse


def _add_load_options(parser: argparse.ArgumentParser) -> None:
    def add(option: str, convert: Callable[[str], Any], text: str, **more: Any) -> None:
        parser.add_argument(option, type=convert, help=text, **more)

    count: dict[str, Any] = {"metavar": "N"}
    add(
        "--connections",
        _whole(1, MAX_CONNECTIONS),
        "connections at the same time (%(default)s)",
        default=10,
        **count,
    )
    add(
        "--size",
        _whole(0, MAX_SIZE),
        "payload of a message (%(default)s)",
        default=256,
        metavar="BYTES",
    )
    add("--payload", str, "send what is in this file", metavar="FILE")
    parser.add_argument("--text", action="store_true", help="send text, not binary")
    add(
        "--pipeline",
        _whole(1, MAX_DEPTH),
        "messages of a connection or room that are on their way at most (1, with "
        f"--rate {DEPTH_OF_OPEN_LOOP})",
        **count,
    )
    add(
        "--rate",
        _number(MAX_RATE),
        "messages sent a second, by all together; beyond 1,000 a processor is busy "
        "with looking at the clock",
        metavar="N",
    )
    add(
        "--rooms",
        _whole(1, MAX_CONNECTIONS),
        "connections in a room (%(default)s)",
        default=1,
        metavar="SIZE",
    )
    parser.add_argument(
        "--handshakes",
        action="store_true",
        help="send nothing: open a connection, drop it, open the next",
    )
    add("--ramp", _number(MAX_RATE), "connections opened a second", **count)
    add(
        "--threads",
        _whole(1, MAX_THREADS),
        "threads that share the connections (%(default)s)",
        default=1,
        **count,
    )
    parser.add_argument(
        "--compress", action="store_true", help="offer permessage-deflate"
    )
    parser.add_argument(
        "--spin", action="store_true", help="never sleep, which costs a processor"
    )


def _add_amount_options(parser: argparse.ArgumentParser) -> None:
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "--messages",
        type=_whole(1, 10**12),
        metavar="N",
        help="stop after so many messages or handshakes in all",
    )
    amount.add_argument(
        "--duration",
        type=_number(MAX_SECONDS),
        metavar="SECONDS",
        help=f"stop after so long ({DEFAULT_SECONDS:g})",
    )
    parser.add_argument(
        "--timeout",
        type=_number(MAX_SECONDS),
        default=10.0,
        metavar="SECONDS",
        help="to open a connection, and to be answered (%(default)g)",
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="draw the latencies, as .svg, or as .png with cairosvg",
    )
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        type=thresholds.threshold,
        metavar="'p99>5ms'",
        help=f"exit with {EXIT_THRESHOLD} if that is so; may be repeated",
    )


def settings_of(options: argparse.Namespace) -> Settings:
    duration = options.duration
    if duration is None and options.messages is None:
        duration = DEFAULT_SECONDS
    return Settings(
        url=options.url,
        connections=options.connections,
        room_size=options.rooms,
        threads=options.threads,
        payload=payload_of(options),
        text=options.text,
        depth=options.pipeline or (DEPTH_OF_OPEN_LOOP if options.rate else 1),
        rate=options.rate,
        messages=options.messages,
        duration=duration,
        ramp=options.ramp,
        timeout=options.timeout,
        compression=options.compress,
        handshakes=options.handshakes,
        spin=options.spin,
        headers=tuple(parse_headers(options.header)),
        subprotocols=tuple(options.subprotocol),
        origin=options.origin,
        insecure=options.insecure,
        ca=options.ca,
    )


def run(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    if options.url == "compare":
        return compare.run(options, settings)
    progress = Progress(handshakes=settings.handshakes)
    crew = Crew(make_loads(settings), wants_latencies=progress.shown)
    with stopped_by_signals(crew):
        crew.run(progress.show)
    progress.clear()
    result = result_of(settings, crew, interrupted=crew.stopped)
    print(json.dumps(as_dict(result), indent=2) if options.json else table(result))
    latencies, openings = crew.all_latencies(), crew.all_openings()
    if options.plot:
        shown = openings if settings.handshakes else latencies
        plot.save(options.plot, f"Latency of {result.url}", shown)
    if crew.stopped:
        return EXIT_INTERRUPTED
    met = [
        f"{each.text} ({value})"
        for each in options.fail_if
        if (value := each.is_met(result, latencies, openings)) is not None
    ]
    for text in met:
        print(f"pywscore: --fail-if {text}", file=sys.stderr)
    return EXIT_THRESHOLD if met else 0


@contextmanager
def stopped_by_signals(crew: Crew) -> Iterator[None]:
    """By Ctrl-C and SIGTERM; what was measured until then is shown."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: crew.stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
