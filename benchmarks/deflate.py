"""permessage-deflate through the sans-IO objects, against bare zlib calls.

Server side, as sansio.py, with messages of 1 KiB of JSON; the peer of the comparison
calls Python's zlib objects with the same parameters and does nothing else. (The C core
without Python: benchmarks/c/bench_deflate.c.)
"""

from __future__ import annotations

import argparse
import json
import random
import time
import zlib
from collections.abc import Callable
from statistics import median
from typing import Any

from . import common, report
from .sansio import MAX_SIZE, REQUEST, masked_frame

MESSAGES = 256
LENGTH = 1024
TAIL = b"\x00\x00\xff\xff"
MEM_LEVEL = 5
WINDOW_BITS = 12

Echo = Callable[[bytes], Any]


def messages() -> list[bytes]:
    """Different ones, so that the window doesn't hold them all."""
    numbers = random.Random(12345)
    result = []
    for _ in range(MESSAGES):
        items: list[dict[str, Any]] = []
        while len(json.dumps(items)) < LENGTH:
            items.append(
                {
                    "id": numbers.randrange(1 << 24),
                    "symbol": f"S{numbers.randrange(500):03}",
                    "price": numbers.randrange(900000) / 100,
                    "side": numbers.choice(["buy", "sell"]),
                }
            )
        result.append(json.dumps(items)[:LENGTH].encode())
    return result


def compressor() -> Any:
    return zlib.compressobj(
        zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -WINDOW_BITS, MEM_LEVEL
    )


def compressed(texts: list[bytes]) -> list[bytes]:
    """As a client with one context sends them, without frames."""
    encoder = compressor()
    return [
        (encoder.compress(text) + encoder.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]
        for text in texts
    ]


def frame(payload: bytes) -> bytes:
    data = bytearray(masked_frame(payload))
    data[0] = 0xC1  # FIN, RSV1, text
    return bytes(data)


def pywscore_(wires: list[bytes]) -> Callable[[], int]:
    import pywscore

    frames = [frame(wire) for wire in wires]

    def cycle() -> int:
        protocol = pywscore.ServerProtocol(
            max_size=MAX_SIZE,
            compression=pywscore.PerMessageDeflate(
                server_max_window_bits=WINDOW_BITS, mem_level=MEM_LEVEL
            ),
        )
        protocol.receive_data(
            REQUEST[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate; "
            b"client_max_window_bits\r\n\r\n"
        )
        protocol.next_event()
        protocol.accept()
        protocol.data_to_send()
        size = 0
        for data in frames:
            protocol.receive_data(data)
            protocol.send_text(protocol.next_event().data)
            size += len(protocol.data_to_send())
        return size

    return cycle


def bare_zlib(wires: list[bytes]) -> Callable[[], int]:
    def cycle() -> int:
        decoder = zlib.decompressobj(-WINDOW_BITS)
        encoder = compressor()
        size = 0
        for wire in wires:
            text = decoder.decompress(wire + TAIL, MAX_SIZE)
            output = encoder.compress(text) + encoder.flush(zlib.Z_SYNC_FLUSH)
            size += len(output)
        return size

    return cycle


def websockets_(wires: list[bytes]) -> Callable[[], int]:
    from websockets.extensions.permessage_deflate import (
        ServerPerMessageDeflateFactory,
    )
    from websockets.server import ServerProtocol

    frames = [frame(wire) for wire in wires]

    def cycle() -> int:
        factory = ServerPerMessageDeflateFactory(
            server_max_window_bits=WINDOW_BITS,
            client_max_window_bits=WINDOW_BITS,
            compress_settings={"memLevel": MEM_LEVEL},
        )
        protocol = ServerProtocol(extensions=[factory], max_size=MAX_SIZE)
        protocol.receive_data(
            REQUEST[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate; "
            b"client_max_window_bits\r\n\r\n"
        )
        [request] = protocol.events_received()
        protocol.send_response(protocol.accept(request))
        protocol.data_to_send()
        size = 0
        for data in frames:
            protocol.receive_data(data)
            for event in protocol.events_received():
                protocol.send_text(event.data)
            size += sum(map(len, protocol.data_to_send()))
        return size

    return cycle


def run(*, quick: bool = False) -> None:
    rounds = 5 if quick else 20
    wires = compressed(messages())
    cycles = {"pywscore": pywscore_(wires), "bare zlib": bare_zlib(wires)}
    if common.version("websockets"):
        cycles["websockets"] = websockets_(wires)
    figures: dict[str, list[float]] = {title: [] for title in cycles}
    for cycle in cycles.values():
        if cycle() < MESSAGES * 100:
            raise SystemExit("an echo is wrong")
    for _ in range(rounds):
        for title, cycle in cycles.items():
            start = time.process_time_ns()
            cycle()
            elapsed = time.process_time_ns() - start
            figures[title].append(elapsed / 1e3 / MESSAGES)
    names = {
        "pywscore": f"pywscore {common.version('pywscore')}",
        "bare zlib": f"Python's zlib {zlib.ZLIB_RUNTIME_VERSION}",
        "websockets": f"websockets {common.version('websockets')}",
    }
    rows = []
    ratios = {}
    for title, times in figures.items():
        ratios[title] = median(
            ours / theirs
            for ours, theirs in zip(figures["pywscore"], times, strict=True)
        )
        rows.append(
            [
                names[title],
                f"{median(times):.2f}",
                f"{min(times):.2f}",
                f"{ratios[title]:.2f}",
            ]
        )
    verdict = report.Verdict(
        what="permessage-deflate both ways: pywscore / bare zlib, CPU",
        value=ratios["bare zlib"],
        limit="≤ 1.1",
        reached=ratios["bare zlib"] <= 1.1,
    )
    text = (
        f"Inflate and deflate a text message of {LENGTH} bytes of JSON with context "
        f"takeover, {WINDOW_BITS} window bits, memLevel {MEM_LEVEL}: processor time in "
        f"µs per message, median and least of {rounds} rounds, in turns.\n\n"
        + report.table(["", "median", "least", "pywscore / it"], rows)
    )
    report.report("deflate", "permessage-deflate", text, figures, [verdict])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    run(quick=parser.parse_args().quick)
