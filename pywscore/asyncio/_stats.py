"""What connections and servers say of what they counted, and how Prometheus reads it.

Imported when it is asked for.
"""

from __future__ import annotations

import http
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from types import MappingProxyType
from typing import Any

from ..enums import State
from ..http import Headers, Response

__all__ = ["ConnectionStats", "ServerStats", "metrics_response", "prometheus"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What went through one connection, or all of a server's.

    Attributes:
        messages_received: complete messages received.
        messages_sent: complete messages that ``send()`` and the like have taken.
        bytes_received: bytes from the network, the opening handshake included, without
            TLS.
        bytes_sent: bytes given to the network (the transport, without the engine).
        compressed_bytes_received: payload of compressed messages as it came.
        decompressed_bytes_received: what became of it.
        compressed_bytes_sent: payload of compressed messages as it was sent.
        decompressed_bytes_sent: what it was before.
        messages_queued: messages received and not taken yet.
        bytes_queued: bytes that wait to be sent.
        broadcasts_skipped: messages that ``broadcast()`` left out.
    """

    messages_received: int
    messages_sent: int
    bytes_received: int
    bytes_sent: int
    compressed_bytes_received: int
    decompressed_bytes_received: int
    compressed_bytes_sent: int
    decompressed_bytes_sent: int
    messages_queued: int
    bytes_queued: int
    broadcasts_skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStats(Traffic):
    """What one connection has counted so far.

    Attributes:
        latency: round-trip time in seconds, by the last ping that was answered; 0.0
            before.
    """

    latency: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStats(Traffic):
    """What a server has counted since it was made: sums over all its connections, those
    that ended included; queues are of those that are there.

    Attributes:
        connections: open ones.
        connections_opening: in their opening handshake.
        connections_closing: in their closing handshake, or refused and not yet gone.
        connections_total: TCP connections ever accepted.
        handshakes_failed: those of them that ended without having been open.
        close_codes: how many ended with which close code, as ``close_code`` gives it.
        latency: mean of the open connections' latencies in seconds, as far as known;
            0.0 without any.
        latency_max: the highest of them.
    """

    connections: int
    connections_opening: int
    connections_closing: int
    connections_total: int
    handshakes_failed: int
    close_codes: Mapping[int, int]
    latency: float
    latency_max: float

    def __reduce__(self) -> Any:
        # A mappingproxy can't be copied.
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        given["close_codes"] = dict(self.close_codes)
        return partial(read_only, given), ()


def read_only(values: dict[str, Any]) -> ServerStats:
    """Of these fields."""
    codes = MappingProxyType(dict(sorted(values["close_codes"].items())))
    return ServerStats(**values | {"close_codes": codes})


_SUMS = tuple(field.name for field in fields(Traffic))


def connection_stats(counts: tuple[int, ...], latency: float) -> ConnectionStats:
    """What ``Connection.stats()`` gives."""
    values: dict[str, Any] = dict(zip(_SUMS, counts, strict=True))
    return ConnectionStats(latency=latency, **values)


def server_stats(
    counts: tuple[int, ...],
    states: Mapping[State, int],
    latencies: Collection[float],
    *,
    accepted: int,
    failed: int,
    close_codes: Mapping[int, int],
) -> ServerStats:
    """What ``Server.stats()`` gives, of what ``Totals`` has counted."""
    values: dict[str, Any] = dict(zip(_SUMS, counts, strict=True))
    values |= {
        "connections": states[State.OPEN],
        "connections_opening": states[State.CONNECTING],
        "connections_closing": states[State.CLOSING] + states[State.CLOSED],
        "connections_total": accepted,
        "handshakes_failed": failed,
        "close_codes": close_codes,
        "latency": sum(latencies) / len(latencies) if latencies else 0.0,
        "latency_max": max(latencies, default=0.0),
    }
    return read_only(values)


# Name, type, what it says; the value has the name without "_total", or that of the
# table below.
_METRICS = (
    ("connections_accepted_total", "counter", "TCP connections accepted."),
    ("handshakes_failed_total", "counter", "Connections that never opened."),
    ("messages_received_total", "counter", "Complete messages received."),
    ("messages_sent_total", "counter", "Complete messages sent."),
    ("bytes_received_total", "counter", "Bytes received, TLS not counted."),
    ("bytes_sent_total", "counter", "Bytes sent, TLS not counted."),
    (
        "compressed_bytes_received_total",
        "counter",
        "Payload bytes of compressed messages received, as they came.",
    ),
    (
        "decompressed_bytes_received_total",
        "counter",
        "Payload bytes of compressed messages received, decompressed.",
    ),
    (
        "compressed_bytes_sent_total",
        "counter",
        "Payload bytes of compressed messages sent, as they left.",
    ),
    (
        "decompressed_bytes_sent_total",
        "counter",
        "Payload bytes of compressed messages sent, before compression.",
    ),
    (
        "broadcasts_skipped_total",
        "counter",
        "Messages that broadcasts left out because a peer read too slowly.",
    ),
    ("messages_queued", "gauge", "Messages received and not taken yet."),
    ("bytes_queued", "gauge", "Bytes that wait to be sent."),
    ("latency_seconds", "gauge", "Mean round-trip time of the open connections."),
    ("latency_max_seconds", "gauge", "Highest round-trip time of them."),
)
_RENAMED = {"connections_accepted_total": "connections_total"}


def prometheus(stats: ServerStats, prefix: str = "pywscore_") -> str:
    """The text that Prometheus reads, format 0.0.4.

    Args:
        stats: of a server.
        prefix: what the names of all metrics begin with.
    """
    return "".join(f"{line}\n" for line in _lines(stats, prefix))


def _lines(stats: ServerStats, prefix: str) -> Iterator[str]:
    def head(name: str, kind: str, text: str) -> Iterator[str]:
        yield f"# HELP {prefix}{name} {text}"
        yield f"# TYPE {prefix}{name} {kind}"

    yield from head("connections", "gauge", "Connections by state.")
    for state, value in (
        ("opening", stats.connections_opening),
        ("open", stats.connections),
        ("closing", stats.connections_closing),
    ):
        yield f'{prefix}connections{{state="{state}"}} {value}'
    for name, kind, text in _METRICS:
        yield from head(name, kind, text)
        attribute = name.removesuffix("_total").removesuffix("_seconds")
        yield f"{prefix}{name} {getattr(stats, _RENAMED.get(name, attribute))}"
    yield from head(
        "connections_closed_total", "counter", "Connections that ended, by close code."
    )
    for code, count in stats.close_codes.items():
        yield f'{prefix}connections_closed_total{{code="{code}"}} {count}'


def metrics_response(stats: ServerStats, more: str = "") -> Response:
    """The response for a scrape, to be returned by ``process_request``::

        def process_request(ws, request):
            if request.path == "/metrics":
                return metrics_response(ws.server.stats())

    Args:
        stats: what to tell.
        more: lines of the same format, such as ``hub.stats().prometheus()`` of rooms.
    """
    body = (prometheus(stats) + more).encode()
    headers = Headers(
        {
            "Content-Type": CONTENT_TYPE,
            "Content-Length": str(len(body)),
            "Connection": "close",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
    )
    return Response(http.HTTPStatus.OK.value, "OK", headers, body)
