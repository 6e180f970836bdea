"""The figures of a run: as a table, and as JSON whose form does not change."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pywscore
from pywscore import _core
from pywscore.cli._common import CommandError, without_credentials

from . import faults
from .running import Crew
from .settings import Settings

FORMAT_VERSION = 1
PERCENTILES = (50, 90, 99, 99.9, 99.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Microseconds."""

    count: int
    min: float
    mean: float
    p50: float
    p90: float
    p99: float
    p99_9: float
    p99_99: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """Failed connections of one kind: ``code`` is an errno, an HTTP status or a close
    code, or 0."""

    kind: str
    code: int
    count: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What ``--json`` prints. ``messages`` are those that were received as they had
    been sent, in rooms by each who is in it; ``other`` are none that were sent;
    ``lost`` were not received, ``unsent`` fell due and could not be sent."""

    version: int
    pywscore: str
    url: str
    connections: int
    room_size: int
    threads: int
    message_bytes: int
    text: bool
    compressed_connections: int
    pipeline: int
    rate: float | None
    interrupted: bool
    seconds: float
    messages: int
    messages_per_second: float
    sent: int
    other: int
    lost: int
    unsent: int
    latency_us: Latency
    handshakes: int
    handshakes_per_second: float
    handshake_us: Latency
    errors: int
    errors_by_kind: list[Error]


def latency_of(histogram: _core.Histogram) -> Latency:
    def microseconds(value: float) -> float:
        return round(value / 1000, 3)

    at = {
        f"p{percent:g}".replace(".", "_"): microseconds(histogram.percentile(percent))
        for percent in PERCENTILES
    }
    return Latency(
        count=histogram.count,
        min=microseconds(histogram.min),
        mean=microseconds(histogram.mean),
        max=microseconds(histogram.max),
        **at,
    )


def result_of(settings: Settings, crew: Crew, *, interrupted: bool) -> Result:
    """Raises CommandError if there is nothing to tell."""
    found = crew.faults()
    seconds = crew.seconds(timed=settings.duration is not None or settings.handshakes)
    messages, opened = crew.total("received"), crew.total("opened")
    _refuse_nothing(settings, crew, found, interrupted=interrupted)
    opening = seconds if settings.handshakes else crew.opening_seconds
    return Result(
        version=FORMAT_VERSION,
        pywscore=pywscore.__version__,
        url=without_credentials(settings.url),
        connections=settings.connections,
        room_size=settings.room_size,
        threads=len(crew.workers),
        message_bytes=len(settings.payload),
        text=settings.text,
        compressed_connections=crew.total("compressed"),
        pipeline=settings.depth,
        rate=settings.rate,
        interrupted=interrupted,
        seconds=round(seconds, 6),
        messages=messages,
        messages_per_second=_per_second(messages, seconds),
        sent=crew.total("sent"),
        other=crew.total("other"),
        lost=crew.total("lost"),
        unsent=crew.total("unsent"),
        latency_us=latency_of(crew.all_latencies()),
        handshakes=opened,
        handshakes_per_second=_per_second(opened, opening),
        handshake_us=latency_of(crew.all_openings()),
        errors=crew.total("failed"),
        errors_by_kind=[
            Error(
                kind=faults.KINDS[kind],
                code=number if kind != faults.TIMEOUT else 0,
                count=count,
                text=faults.describe(kind, number, text),
            )
            for (kind, number), (count, text) in found.items()
        ],
    )


def _per_second(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds else 0.0


def _refuse_nothing(
    settings: Settings,
    crew: Crew,
    found: dict[tuple[int, int], tuple[int, bytes]],
    *,
    interrupted: bool,
) -> None:
    url = without_credentials(settings.url)
    if crew.total("opened") == 0 and found:
        (kind, number), (_, text) = next(iter(found.items()))
        raise faults.refused(url, kind, number, text)
    if settings.handshakes or crew.total("received"):
        return
    if interrupted:
        raise CommandError("interrupted before the first echo")
    if crew.total("other"):
        raise CommandError(
            "the server does not echo: what it sends is not what it was sent"
        )
    for (kind, number), (_, text) in found.items():
        if kind != faults.TIMEOUT:
            raise CommandError(f"{url} {faults.describe(kind, number, text)}")
    raise CommandError(f"the server does not echo: no answer in {settings.timeout:g} s")


# For people


def table(result: Result) -> str:
    rows = [
        ("server", result.url),
        ("connections", _connections(result)),
        ("message size", f"{result.message_bytes:,} bytes"),
        *_messages(result),
        ("handshakes", f"{result.handshakes:,}, {result.handshakes_per_second:,.0f}/s"),
        *_latency("handshake", result.handshake_us),
    ]
    if result.errors:
        rows.append(("errors", f"{result.errors:,}"))
        rows += [("", f"{each.count:,} {each.text}") for each in result.errors_by_kind]
    return "\n".join(f"{name:<16}{value}" for name, value in rows)


def _connections(result: Result) -> str:
    text = f"{result.connections:,}"
    if result.room_size > 1:
        text += f" in rooms of {result.room_size:,}"
    if result.threads > 1:
        text += f", {result.threads} threads"
    if result.compressed_connections:
        text += f", {result.compressed_connections:,} with permessage-deflate"
    return text


def _messages(result: Result) -> list[tuple[str, str]]:
    if not result.sent:
        return []
    rows = [
        ("messages", f"{result.messages:,} in {result.seconds:.2f} s"),
        ("throughput", f"{result.messages_per_second:,.0f} messages/s"),
        *_latency("latency", result.latency_us),
    ]
    left = [(name, getattr(result, name)) for name in ("lost", "unsent", "other")]
    return rows + [(name, f"{count:,}") for name, count in left if count]


def _latency(name: str, latency: Latency) -> list[tuple[str, str]]:
    if not latency.count:
        return []
    values = asdict(latency)
    shown = ("p50", "p90", "p99", "p99_9", "max")
    return [
        (f"{name} {each}".replace("_", "."), f"{values[each]:,.0f} µs")
        for each in shown
    ]


def as_dict(result: Result) -> dict[str, Any]:
    return asdict(result)
