"""`pywscore bench URL`: messages a second and latency of a server that echoes."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import time
from dataclasses import asdict, dataclass
from typing import Any

import pywscore
from pywscore.cli._common import (
    EXIT_INTERRUPTED,
    CommandError,
    add_client_tls_options,
    add_verbose_option,
    bounded_int,
    connect_arguments,
    connect_errors,
    explain,
    wait_for_interrupt,
    without_credentials,
)
from pywscore.cli._connect import cancel, first_of

MAX_CONNECTIONS = 10_000
MAX_SIZE = 1 << 26
MIN_MAX_SIZE = 1 << 20
MAX_SECONDS = 3600
DEFAULT_SECONDS = 5.0
OPENING_AT_ONCE = 32
GRACE_SECONDS = 10


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    parser = subparsers.add_parser(
        "bench",
        help="measure a server that echoes",
        description="Each connection sends a message, waits for its echo, and sends "
        "the next. Shows messages per second and the time until the echo.",
    )
    parser.add_argument("url", metavar="URL", help="ws://… or wss://…")
    parser.add_argument(
        "--connections",
        type=lambda text: bounded_int(text, 1, MAX_CONNECTIONS),
        default=10,
        metavar="N",
        help="connections at the same time (%(default)s)",
    )
    parser.add_argument(
        "--size",
        type=lambda text: bounded_int(text, 0, MAX_SIZE),
        default=256,
        metavar="BYTES",
        help="payload of a message (%(default)s)",
    )
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "--messages",
        type=lambda text: bounded_int(text, 1, 10**9),
        metavar="N",
        help="stop after so many messages in all",
    )
    amount.add_argument(
        "--duration",
        type=seconds,
        metavar="SECONDS",
        help=f"stop after so long ({DEFAULT_SECONDS:g})",
    )
    parser.add_argument("--text", action="store_true", help="send text, not binary")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--no-compression", action="store_true", help="do not offer permessage-deflate"
    )
    add_client_tls_options(parser)
    add_verbose_option(parser)
    parser.set_defaults(run=run)


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"must be above 0 and up to {MAX_SECONDS}")
    return value


def run(options: argparse.Namespace) -> int:
    arguments = connect_arguments(options)
    # Random bytes grow a little when a server compresses them.
    arguments["max_size"] = max(2 * options.size, MIN_MAX_SIZE)
    result, finished = asyncio.run(Load(options, arguments).run())
    shown = json.dumps(asdict(result), indent=2) if options.json else table(result)
    print(shown)
    return 0 if finished else EXIT_INTERRUPTED


class Histogram:
    """Whole microseconds in buckets at most 1/64 wide: small, whatever the count."""

    EXACT_BITS = 7

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.max = 0

    def add(self, value: int) -> None:
        shift = max(value.bit_length() - self.EXACT_BITS, 0)
        lowest = value >> shift << shift
        self._counts[lowest] = self._counts.get(lowest, 0) + 1
        self.count += 1
        self.max = max(self.max, value)

    def percentile(self, percent: float) -> int:
        """The value that `percent` of the samples do not pass (nearest rank)."""
        rank = max(-(-self.count * percent // 100), 1)
        for value in sorted(self._counts):
            rank -= self._counts[value]
            if rank <= 0:
                return value
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    url: str
    connections: int
    message_bytes: int
    messages: int
    seconds: float
    messages_per_second: float
    latency_p50_us: int
    latency_p99_us: int
    latency_max_us: int


def table(result: Result) -> str:
    rows = [
        ("server", result.url),
        ("connections", f"{result.connections:,}"),
        ("message size", f"{result.message_bytes:,} bytes"),
        ("messages", f"{result.messages:,} in {result.seconds:.2f} s"),
        ("throughput", f"{result.messages_per_second:,.0f} messages/s"),
        ("latency p50", f"{result.latency_p50_us:,} µs"),
        ("latency p99", f"{result.latency_p99_us:,} µs"),
        ("latency max", f"{result.latency_max_us:,} µs"),
    ]
    return "\n".join(f"{name:<14}{value}" for name, value in rows)


class Load:
    def __init__(self, options: argparse.Namespace, arguments: dict[str, Any]) -> None:
        self._options = options
        self._arguments = arguments
        self._latencies = Histogram()
        self._started = 0
        self._end = float("inf")

    async def run(self) -> tuple[Result, bool]:
        """The figures, and whether the run went to its end."""
        interrupted = asyncio.create_task(wait_for_interrupt())
        working = asyncio.create_task(self._run())
        try:
            await first_of(working, interrupted)
            finished = working.done()
            await cancel(working) if not finished else working.result()
        finally:
            await cancel(interrupted)
            await cancel(working)
        if self._latencies.count == 0:
            raise CommandError("interrupted before the first echo")
        return self._result(), finished

    async def _run(self) -> None:
        connections = await self._open_all()
        try:
            options = self._options
            self._begin = time.perf_counter()
            if options.messages is None:
                self._end = self._begin + (options.duration or DEFAULT_SECONDS)
            try:
                await self._work_all(connections)
            finally:
                self._elapsed = time.perf_counter() - self._begin
        finally:
            await asyncio.gather(*(ws.close() for ws in connections))

    async def _open_all(self) -> list[pywscore.Connection]:
        gate = asyncio.Semaphore(OPENING_AT_ONCE)
        opened: list[pywscore.Connection] = []

        async def open_one() -> None:
            async with gate:
                with connect_errors(self._options.url):
                    ws = await pywscore.connect(self._options.url, **self._arguments)
                opened.append(ws)

        try:
            await gather_or_cancel(
                [open_one() for _ in range(self._options.connections)]
            )
        except BaseException:
            await asyncio.gather(*(ws.close() for ws in opened))
            raise
        return opened

    async def _work(self, ws: pywscore.Connection) -> None:
        size = self._options.size
        payload: str | bytes = secrets.token_bytes(size)
        if self._options.text:
            payload = secrets.token_hex((size + 1) // 2)[:size]
        limit = self._options.messages
        clock = time.perf_counter
        now = clock()
        try:
            while now < self._end and (limit is None or self._started < limit):
                self._started += 1
                await ws.send(payload)
                answer = await ws.recv()
                before, now = now, clock()
                if answer != payload:
                    raise CommandError(
                        "the server does not echo: an answer differs from the message"
                    )
                self._latencies.add(round((now - before) * 1e6))
        except pywscore.ConnectionClosed as error:
            raise CommandError(f"a connection was closed: {explain(error)}") from None

    async def _watch(self) -> None:
        """Give up when no echo comes; one watch for all, not a timer a message."""
        seen, idle = -1, 0
        while idle < GRACE_SECONDS:
            idle = idle + 1 if seen == self._latencies.count else 0
            seen = self._latencies.count
            await asyncio.sleep(1)
        raise CommandError(f"the server does not echo: no answer in {GRACE_SECONDS} s")

    async def _work_all(self, connections: list[pywscore.Connection]) -> None:
        watching = asyncio.create_task(self._watch())
        working = asyncio.create_task(
            gather_or_cancel([self._work(ws) for ws in connections])
        )
        try:
            await first_of(working, watching)
            (working if working.done() else watching).result()
        finally:
            await cancel(working)
            await cancel(watching)

    def _result(self) -> Result:
        return Result(
            url=without_credentials(self._options.url),
            connections=self._options.connections,
            message_bytes=self._options.size,
            messages=self._latencies.count,
            seconds=round(self._elapsed, 6),
            messages_per_second=round(self._latencies.count / self._elapsed, 1),
            latency_p50_us=self._latencies.percentile(50),
            latency_p99_us=self._latencies.percentile(99),
            latency_max_us=self._latencies.max,
        )


async def gather_or_cancel(coroutines: list[Any]) -> None:
    """Run all; at the first failure cancel the others and raise that one."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
