"""The sans-IO objects: what a message costs without any I/O.

Server side: receive one masked binary frame, take the event, send the same bytes back,
take the output. Libraries take turns within each round.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from . import common, report

SIZES = {"16 B": 16, "256 B": 256, "8 KiB": 8192, "1 MiB": 1 << 20}
MAX_SIZE = 1 << 21
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
DATA = "pywscore"
BUFFERS = "pywscore, buffers_to_send"
# What the project wants: (peer, size, ours, least ratio of the peer's time to ours).
# websockets' output is a list that has a large payload by reference, like our buffers.
GOALS = [
    ("websockets", "16 B", DATA, 10.0),
    ("websockets", "256 B", DATA, 10.0),
    ("wsproto", "16 B", DATA, 30.0),
    ("wsproto", "256 B", DATA, 30.0),
    ("websockets", "1 MiB", BUFFERS, 3.0),
]

Echo = Callable[[bytes], Any]


def masked_frame(payload: bytes) -> bytes:
    """A binary frame of a client (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        head = bytes([0x82, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([0x82, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x82, 0x80 | 127]) + size.to_bytes(8, "big")
    key = b"\x12\x34\x56\x78"
    mask = key * (size // 4 + 1)
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(mask[:size], "big")
    return head + key + masked.to_bytes(size, "big")


def open_pywscore() -> Any:
    import pywscore

    protocol = pywscore.ServerProtocol(max_size=MAX_SIZE)
    protocol.receive_data(REQUEST)
    protocol.next_event()
    protocol.accept()
    protocol.data_to_send()
    return protocol


def pywscore_data() -> Echo:
    protocol = open_pywscore()

    def echo(frame: bytes) -> bytes:
        protocol.receive_data(frame)
        event = protocol.next_event()
        protocol.send_binary(event.data)
        output: bytes = protocol.data_to_send()
        return output

    return echo


def pywscore_buffers() -> Echo:
    protocol = open_pywscore()

    def echo(frame: bytes) -> list[bytes]:
        protocol.receive_data(frame)
        event = protocol.next_event()
        protocol.send_binary(event.data)
        output: list[bytes] = protocol.buffers_to_send()
        return output

    return echo


def websockets_() -> Echo:
    from websockets.server import ServerProtocol

    protocol = ServerProtocol(max_size=MAX_SIZE)
    protocol.receive_data(REQUEST)
    [request] = protocol.events_received()
    protocol.send_response(protocol.accept(request))
    protocol.data_to_send()

    def echo(frame: bytes) -> list[bytes]:
        protocol.receive_data(frame)
        for event in protocol.events_received():
            protocol.send_binary(event.data)
        return protocol.data_to_send()

    return echo


def wsproto_() -> Echo:
    from wsproto import ConnectionType, WSConnection
    from wsproto.events import AcceptConnection, BytesMessage

    connection = WSConnection(ConnectionType.SERVER)
    connection.receive_data(REQUEST)
    list(connection.events())
    connection.send(AcceptConnection())

    def echo(frame: bytes) -> bytes:
        connection.receive_data(frame)
        output = b""
        for event in connection.events():
            output += connection.send(
                BytesMessage(event.data, message_finished=event.message_finished)
            )
        return output

    return echo


LIBRARIES: list[tuple[str, str, Callable[[], Echo]]] = [
    (DATA, "pywscore", pywscore_data),
    (BUFFERS, "pywscore", pywscore_buffers),
    ("websockets", "websockets", websockets_),
    ("wsproto", "wsproto", wsproto_),
]


def check(echo: Echo, payload: bytes) -> None:
    """It has to answer with the whole message, or the figures mean nothing."""
    output = echo(masked_frame(payload))
    joined = output if isinstance(output, bytes) else b"".join(output)
    if (
        not joined.endswith(payload)
        or not len(payload) < len(joined) <= len(payload) + 10
    ):
        raise SystemExit("an echo is wrong")


def time_of(echo: Echo, frame: bytes, repeats: int) -> float:
    """Processor seconds of one echo."""
    times = range(repeats)
    start = time.process_time_ns()
    for _ in times:
        echo(frame)
    return (time.process_time_ns() - start) / repeats / 1e9


def measure(rounds: int, slice_seconds: float) -> dict[str, dict[str, list[float]]]:
    """Microseconds of each round, by size and library."""
    figures: dict[str, dict[str, list[float]]] = {}
    for size, length in SIZES.items():
        payload = os.urandom(length)
        frame = masked_frame(payload)
        echoes = {}
        for title, distribution, make in LIBRARIES:
            if common.version(distribution) is not None:
                echoes[title] = make()
                check(echoes[title], payload)
        repeats = {
            title: max(1, int(slice_seconds / max(time_of(echo, frame, 20), 1e-7)))
            for title, echo in echoes.items()
        }
        figures[size] = {title: [] for title in echoes}
        for _ in range(rounds):
            for title, echo in echoes.items():
                figures[size][title].append(time_of(echo, frame, repeats[title]) * 1e6)
    return figures


def ratio(figures: dict[str, list[float]], title: str, ours: str = DATA) -> float:
    """How many times our time, median of the rounds."""
    return median(
        their_time / our_time
        for their_time, our_time in zip(figures[title], figures[ours], strict=True)
    )


def name_of(title: str) -> str:
    distribution = next(d for t, d, _ in LIBRARIES if t == title)
    name, comma, rest = title.partition(",")
    return f"{name} {common.version(distribution)}{comma}{rest}"


def run(*, quick: bool = False) -> None:
    rounds, slice_seconds = (3, 0.01) if quick else (15, 0.04)
    figures = measure(rounds, slice_seconds)
    rows = []
    for size, by_title in figures.items():
        for title, times in by_title.items():
            rows.append(
                [
                    f"{size}, {name_of(title)}",
                    f"{median(times):.2f}",
                    f"{min(times):.2f}",
                    f"{ratio(by_title, title):.1f}",
                ]
            )
    verdicts = []
    for title, size, ours, least in GOALS:
        known = title in figures[size]
        value = ratio(figures[size], title, ours) if known else None
        verdicts.append(
            report.Verdict(
                what=f"Sans-IO echo of {size}: {title} / {ours}, CPU",
                value=value,
                limit=f"≥ {least:g}",
                reached=None if value is None else value >= least,
            )
        )
    text = (
        "Server side: receive one masked binary frame, take the event, send the same "
        "bytes back, take the output. Processor time in µs, median and least of "
        f"{rounds} rounds, libraries in turns; the ratio is the median of the rounds' "
        "ratios.\n\n"
        + report.table(["size, library", "median", "least", "it / pywscore"], rows)
    )
    report.report(
        "sansio",
        "Sans-IO echo",
        text,
        figures,
        verdicts,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    run(quick=parser.parse_args().quick)
