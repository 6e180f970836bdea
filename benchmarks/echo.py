"""Echo over asyncio: processor time of the server per message.

The server runs on one core, the load client (c/load.c) on another. Servers take turns
in short slices, so that whatever else the machine does meets them all, and a ratio is
the median of the ratios within each round. Processor time says more than wall time on a
busy machine.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from . import common, deflate
from .common import Peer

# What the project wants: (ours, peer, loop, highest ratio of our time to the peer's).
ENGINE = "pywscore"
TRANSPORT = "pywscore_transport"
GOALS = [
    (TRANSPORT, "picows_async", "uvloop", 1.0),
    (TRANSPORT, "picows_async", "asyncio", 1.2),
    (TRANSPORT, "websockets", "uvloop", 0.5),
    (TRANSPORT, "websockets", "asyncio", 0.5),
    (ENGINE, "picows_async", "uvloop", 0.55),
]
CONNECTIONS = 64
SIZE = 256
WARMUP = 0.1

Figures = dict[tuple[str, str], list[dict[str, Any]]]


def measure(
    peers: list[Peer],
    *,
    connections: int,
    size: int,
    seconds: float,
    rounds: int,
    compression: bool = False,
    more: Sequence[str] = (),
) -> Figures:
    """Figures of each round, by module and loop."""
    figures: Figures = defaultdict(list)
    with contextlib.ExitStack() as stack:
        running = {
            (peer.module, loop): stack.enter_context(
                common.server(peer.module, loop=loop, compression=compression)
            )
            for loop in common.loops()
            for peer in peers
        }
        # One round more: the first one warms everything up.
        for number in range(rounds + 1):
            for key, server in running.items():
                result = common.load(
                    server,
                    connections=connections,
                    size=size,
                    seconds=seconds,
                    warmup=WARMUP,
                    more=more,
                )
                if number > 0:
                    figures[key].append(result)
    return figures


def middle(rounds: list[dict[str, Any]], name: str) -> float:
    return median(figures[name] for figures in rounds)


def ratio(figures: Figures, module: str, loop: str, ours: str = ENGINE) -> float:
    """Our processor time to that of another, on the same loop."""
    return median(
        our_figures["cpu_us"] / their_figures["cpu_us"]
        for our_figures, their_figures in zip(
            figures[ours, loop], figures[module, loop], strict=True
        )
    )


def summary(peers: list[Peer], figures: Figures) -> str:
    rows = []
    for loop in common.loops():
        for peer in peers:
            rounds = figures[peer.module, loop]
            rows.append(
                [
                    f"{peer.name}, {loop}",
                    f"{middle(rounds, 'cpu_us'):.2f}",
                    f"{min(f['cpu_us'] for f in rounds):.2f}",
                    f"{ratio(figures, peer.module, loop):.2f}",
                    f"{middle(rounds, 'messages_per_second'):,.0f}",
                    f"{middle(rounds, 'p50_us'):.0f}",
                    f"{middle(rounds, 'p99_us'):.0f}",
                ]
            )
    return common.table(
        [
            "server, loop",
            "CPU µs",
            "least",
            "pywscore / it",
            "messages/s",
            "p50 µs",
            "p99 µs",
        ],
        rows,
    )


def goals(figures: Figures) -> str:
    lines = []
    for ours, module, loop, highest in GOALS:
        if (module, loop) in figures:
            value = ratio(figures, module, loop, ours)
            verdict = "reached" if value <= highest else "missed"
            lines.append(
                f"- {loop}, {ours} / {module}: {value:.2f}, goal ≤ {highest}: {verdict}"
            )
    return "\n".join(lines)


def run(
    *,
    quick: bool = False,
    peers: str | None = None,
    connections: int = CONNECTIONS,
    size: int = SIZE,
    rounds: int | None = None,
    seconds: float | None = None,
) -> None:
    chosen = choose(peers)
    rounds = rounds or (3 if quick else 15)
    seconds = seconds or (0.2 if quick else 0.3)
    figures = measure(
        chosen, connections=connections, size=size, seconds=seconds, rounds=rounds
    )
    text = (
        f"{connections} connections, {size} bytes, ping-pong; {about(rounds, seconds)}"
        f"\n\n{summary(chosen, figures)}"
    )
    name = f"echo-{connections}x{size}"
    if (connections, size) == (CONNECTIONS, SIZE):
        name = "echo"
        text += f"\n\n{goals(figures)}"
    common.report(name, "Echo over asyncio", text, by_name(figures))
    plot(name, chosen, figures)


def run_compressed(
    *, quick: bool = False, rounds: int | None = None, seconds: float | None = None
) -> None:
    """The same with permessage-deflate and 1 KiB of JSON."""
    chosen = [
        peer
        for peer in choose(None)
        if peer.module in (ENGINE, TRANSPORT, "picows_async", "websockets")
    ]
    rounds = rounds or (3 if quick else 9)
    seconds = seconds or (0.2 if quick else 0.3)
    # A message of its own window can be sent again and again.
    [wire] = deflate.compressed(deflate.messages()[:1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame"
        path.write_bytes(deflate.frame(wire))
        offer = "permessage-deflate; server_max_window_bits=12; client_max_window_bits"
        figures = measure(
            chosen,
            connections=CONNECTIONS,
            size=0,
            seconds=seconds,
            rounds=rounds,
            compression=True,
            more=["--frame", str(path), "--extensions", offer],
        )
    text = (
        f"{CONNECTIONS} connections, {deflate.LENGTH} bytes of JSON as text, "
        "permessage-deflate both ways with each server's own settings, ping-pong; "
        f"{about(rounds, seconds)}\n\n{summary(chosen, figures)}"
    )
    common.report(
        "echo-deflate", "Echo with permessage-deflate", text, by_name(figures)
    )
    plot("echo-deflate", chosen, figures)


def plot(name: str, peers: list[Peer], figures: Figures) -> None:
    values = [
        (f"{peer.name}, {loop}", middle(figures[peer.module, loop], "cpu_us"))
        for loop in common.loops()
        for peer in peers
    ]
    chart = common.bars("Processor time of the server per message", values, "µs")
    (common.RESULTS / f"{name}.svg").write_text(chart, encoding="utf-8")


def about(rounds: int, seconds: float) -> str:
    return (
        f"medians of {rounds} rounds of {seconds:g} s, servers in turns; the ratio is "
        "the median of the rounds' ratios. CPU is the server's processor time per "
        "message, user and system. The client never sleeps."
    )


def choose(modules: str | None) -> list[Peer]:
    return common.installed(
        [
            peer
            for peer in common.PEERS
            if modules is None
            or peer.module in (ENGINE, TRANSPORT, *modules.split(","))
        ]
    )


def by_name(figures: Figures) -> dict[str, list[dict[str, Any]]]:
    return {f"{module}, {loop}": value for (module, loop), value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers", help="modules of benchmarks.servers, with commas")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    run(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
