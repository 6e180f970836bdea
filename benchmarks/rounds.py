"""Servers measured in turns: processor time per message, and messages per second.

The server runs on one core, the client (benchmarks/c) on another. Servers take turns in
short slices, so that whatever else the machine does meets them all, and a ratio is the
median of the ratios within each round. Processor time says more than wall time on a
busy machine.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from . import certificates, common, deflate, native, report
from .common import Running
from .peers import (
    NO_LOOP,
    PEERS,
    Peer,
    client_command,
    command,
    installed,
    leave_out,
)
from .scenarios import QUANTILES, SCENARIOS, Goal, Scenario

WARMUP = 0.05
OFFER = "permessage-deflate; server_max_window_bits=12; client_max_window_bits"
AGREED = "permessage-deflate; server_max_window_bits=12"

Key = tuple[str, str]  # module and loop
Figures = dict[Key, list[dict[str, Any]]]
Once = Callable[[], dict[str, Any]]  # measures for a slice of time


def loops(scenario: Scenario) -> list[str]:
    return [loop for loop in common.loops() if loop in scenario.loops] or ["asyncio"]


@contextlib.contextmanager
def client_options(
    scenario: Scenario, seconds: float, tls: Path | None = None
) -> Iterator[list[str]]:
    options = ["--seconds", str(seconds)]
    if scenario.client.startswith("handshakes"):
        yield options
        return
    options += ["--warmup", str(WARMUP), "--size", str(scenario.size)]
    if not scenario.of_clients:
        options += ["--connections", str(scenario.connections)]
    elif tls is not None:
        options += ["--tls", str(tls)]
    options += ["--turns"] if scenario.turns else []
    options += ["--at-once", str(scenario.at_once)] if scenario.at_once > 1 else []
    if scenario.slow:
        options += ["--slow", str(scenario.slow)]
    if scenario.client.startswith("load") and (os.cpu_count() or 1) > 1:
        options.append("--spin")
    if not scenario.compressed:
        yield options
        return
    # A message of its own window can be sent again and again.
    [wire] = deflate.compressed(deflate.messages()[:1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame"
        path.write_bytes(deflate.frame(wire))
        agreed = AGREED if scenario.of_clients else OFFER
        yield [*options, "--frame", str(path), "--extensions", agreed]


def ready(
    scenario: Scenario, peer: Peer, loop: str, tls: Path | None
) -> contextlib.AbstractContextManager[Running]:
    """A server, or a client that waits for the port of one."""
    if scenario.of_clients:
        words = client_command(
            peer,
            loop,
            compression=scenario.compressed,
            tls=scenario.tls,
            turns=scenario.turns,
        )
    else:
        words = command(peer, loop, compression=scenario.compressed, tls=tls)
    return common.server(words)


def measure(
    scenario: Scenario, peers: list[Peer], *, seconds: float, rounds: int
) -> Figures:
    """Figures of each round. Servers that don't start are left out."""
    program = native.client(scenario.client)
    common.allow_files(scenario.connections + 200)
    with contextlib.ExitStack() as stack:
        tls = stack.enter_context(certificates.certificate()) if scenario.tls else None
        options = stack.enter_context(client_options(scenario, seconds, tls))
        running: dict[Key, Once] = {}
        for peer in peers:
            for loop in peer.loops(loops(scenario)):
                try:
                    running[peer.module, loop] = (
                        partial(common.run_alone, command(peer, loop), tls, seconds)
                        if peer.alone and tls is not None
                        else partial(
                            common.run_feed
                            if scenario.of_clients
                            else common.run_client,
                            program,
                            stack.enter_context(ready(scenario, peer, loop, tls)),
                            *options,
                            *peer.options,
                        )
                    )
                except common.NotStarted as error:
                    leave_out(peer, str(error))
        figures: Figures = {key: [] for key in running}
        # One round more: the first one warms everything up.
        for number in range(rounds + 1):
            for key, once in list(running.items()):
                try:
                    result = once()
                except common.ClientFailed as error:
                    print(f"{scenario.name}: {title(key)}: {error}", file=sys.stderr)
                    del running[key], figures[key]
                    continue
                if number > 0:
                    figures[key].append(result)
    return figures


def middle(rounds: list[dict[str, Any]], name: str) -> float:
    return median(figures[name] for figures in rounds)


def key_of(module: str, loop: str) -> Key:
    return module, NO_LOOP if PEERS[module].distribution is None else loop


def ratio(figures: Figures, ours: Key, theirs: Key, name: str = "cpu_us") -> float:
    """Our figure to another's: the median of the rounds' ratios."""
    return median(
        our_figures[name] / their_figures[name]
        for our_figures, their_figures in zip(
            figures[ours], figures[theirs], strict=True
        )
    )


def floor(goal: Goal, figures: Figures) -> float | None:
    """The ratio that is the least that there could be, if all of it was measured."""
    [theirs, *parts] = [
        figures.get(key_of(module, goal.loop))
        for module in (goal.peer, *goal.floor, *goal.less)
    ]
    if theirs is None or not parts or None in parts:
        return None
    signs = [1] * len(goal.floor) + [-1] * len(goal.less)
    return median(
        sum(
            sign * part[number][goal.figure]
            for sign, part in zip(signs, parts, strict=True)
        )
        / their_figures[goal.figure]
        for number, their_figures in enumerate(theirs)
    )


def title(key: Key) -> str:
    module, loop = key
    return f"{PEERS[module].name}, {loop}" if loop != NO_LOOP else PEERS[module].name


def quantiles(rounds: list[dict[str, Any]], *_: Any) -> list[str]:
    return [name for name in QUANTILES if name in rounds[0]]


def summary(scenario: Scenario, figures: Figures) -> str:
    rows = []
    names = quantiles(*figures.values())
    for key, rounds in figures.items():
        ours = (scenario.ours, key[1] or loops(scenario)[-1])
        known = ours in figures
        rows.append(
            [
                title(key),
                f"{middle(rounds, 'cpu_us'):.2f}",
                f"{min(f['cpu_us'] for f in rounds):.2f}",
                f"{ratio(figures, ours, key):.2f}" if known else "–",
                f"{middle(rounds, 'messages_per_second'):,.0f}",
                f"{ratio(figures, ours, key, 'messages_per_second'):.2f}"
                if known
                else "–",
                *(
                    f"{middle(rounds, name):.0f}" if name in rounds[0] else "–"
                    for name in names
                ),
            ]
        )
    plural = {"message": "messages", "delivery": "deliveries"}.get(
        scenario.unit, f"{scenario.unit}s"
    )
    return report.table(
        [
            "server, loop",
            f"CPU µs/{scenario.unit}",
            "least",
            "pywscore / it",
            f"{plural}/s",
            "pywscore / it",
            *(name.replace("_us", " µs") for name in names),
        ],
        rows,
    )


def verdict(scenario: Scenario, goal: Goal, figures: Figures) -> report.Verdict:
    ours, theirs = key_of(goal.ours, goal.loop), key_of(goal.peer, goal.loop)
    names = [PEERS[goal.ours].title, PEERS[goal.peer].title]
    what = {"cpu_us": "CPU", "messages_per_second": "rate"}.get(
        goal.figure, goal.figure.removesuffix("_us")
    )
    value = None
    if ours in figures and theirs in figures:
        value = ratio(figures, ours, theirs, goal.figure)
    return report.Verdict(
        what=f"{scenario.title}: {names[0]} / {names[1]}, {what}, {goal.loop}",
        value=value,
        limit=goal.limit,
        reached=None if value is None else goal.reached(value),
        floor=floor(goal, figures),
    )


def run(
    scenario: Scenario,
    *,
    quick: bool = False,
    rounds: int | None = None,
    seconds: float | None = None,
) -> None:
    rounds = rounds or (3 if quick else scenario.rounds)
    seconds = seconds or (0.15 if quick else scenario.seconds)
    peers = installed(scenario.peers)
    figures = measure(scenario, peers, seconds=seconds, rounds=rounds)
    verdicts = [verdict(scenario, goal, figures) for goal in scenario.goals]
    text = (
        f"{scenario.what}; medians of {rounds} rounds of {seconds:g} s, servers in "
        "turns; a ratio is the median of the rounds' ratios. CPU is the server's "
        f"processor time per {scenario.unit}, user and system. The client never "
        f"sleeps.\n\n{summary(scenario, figures)}"
    )
    report.report(
        scenario.name,
        scenario.title,
        text,
        {title(key): by_figure(value) for key, value in figures.items()},
        verdicts,
    )
    figure = "p50_us" if scenario.slow else "cpu_us"
    charted = "median latency" if scenario.slow else "processor time of the server"
    report.plot(
        scenario.name,
        f"{scenario.title}: {charted} per {scenario.unit}",
        [(title(key), middle(value, figure)) for key, value in figures.items()],
        "µs",
    )


def by_figure(rounds: list[dict[str, Any]]) -> dict[str, list[float]]:
    return {name: [round(f[name], 6) for f in rounds] for name in rounds[0]}


def main() -> None:
    """One scenario with other settings."""
    names = {scenario.name: scenario for scenario in SCENARIOS}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenario", choices=names)
    parser.add_argument("--peers", help="only these, with commas")
    parser.add_argument("--connections", type=int)
    parser.add_argument("--size", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3)
    arguments = parser.parse_args()
    scenario = names[arguments.scenario]
    other: dict[str, Any] = {
        name: value
        for name in ("connections", "size")
        if (value := getattr(arguments, name)) is not None
    }
    if arguments.peers:
        other["peers"] = tuple(arguments.peers.split(","))
    scenario = dataclasses.replace(scenario, **other)
    peers = installed(scenario.peers)
    figures = measure(
        scenario, peers, seconds=arguments.seconds, rounds=arguments.rounds
    )
    print(other or "as it is", f"{arguments.rounds} rounds\n")
    print(summary(scenario, figures))


if __name__ == "__main__":
    main()
