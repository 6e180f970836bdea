"""Rooms: deliveries in one process and over Redis, beside others', and what a hub does
with Redis: ``python -m benchmarks.rooms [--quick]``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import resource
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import redis.asyncio

import pywscore
from pywscore.rooms import Hub
from pywscore.rooms._redis.scripts import script

from . import report, rounds
from .peers import PEERS, installed
from .report import Verdict
from .scenarios import Scenario

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")
BODY = "x" * 256
OTHERS = ("fastapi_redis", "socketio_redis", "channels_redis")

HERE = Scenario(
    name="rooms",
    title="Rooms",
    what="256 bytes of one to 1,000 members",
    client="broadcast",
    connections=1000,
    unit="delivery",
    ours="pywscore_rooms",
    peers=("pywscore_rooms", "pywscore_broadcast", "epoll_broadcast"),
)
OVER_REDIS = Scenario(
    name="rooms",
    title="Rooms",
    what="256 bytes each of ten to 100 members",
    client="broadcast",
    connections=100,
    at_once=10,
    unit="delivery",
    ours="pywscore_rooms_redis",
    peers=("pywscore_rooms_redis", *OTHERS, "epoll_broadcast"),
)
ALONE_OVER_REDIS = dataclasses.replace(
    OVER_REDIS, what="256 bytes of one to 100 members", at_once=1
)


@contextlib.contextmanager
def redis_server() -> Iterator[int]:
    """The port of one without persistence."""
    assert PROGRAM is not None
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [PROGRAM, "--port", str(port), "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.01)
            yield port
        finally:
            process.terminate()
            process.wait()


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Sink:
    """A member in this process, which keeps when it got something."""

    def __init__(self) -> None:
        self.at: list[float] = []

    async def send(self, message: Any) -> None:
        self.at.append(time.perf_counter())


async def latencies(url: str, seconds: float, rate: int = 2000) -> list[float]:
    """From publish() to a client's recv(), over one connection, in ms."""
    accepted: asyncio.Queue[Any] = asyncio.Queue()

    async def handler(ws: pywscore.ServerConnection) -> None:
        accepted.put_nowait(ws)
        await ws.wait_closed()

    async with (
        Hub(url) as here,
        Hub(url) as there,
        pywscore.serve(handler, "127.0.0.1", 0) as server,
    ):
        port = server.sockets[0].getsockname()[1]
        async with pywscore.connect(f"ws://127.0.0.1:{port}", proxy=None) as client:
            await there.room("lobby", history=100).join(await accepted.get())
            count = int(seconds * rate)
            room = here.room("lobby", history=100)
            took: list[float] = []

            async def receive() -> None:
                for _ in range(count):
                    sent = float(await client.recv())
                    took.append((time.perf_counter() - sent) * 1000)

            receiving = asyncio.create_task(receive())
            begin = time.perf_counter()
            publishing = set()
            for number in range(count):
                pause = begin + number / rate - time.perf_counter()
                if pause > 0:
                    await asyncio.sleep(pause)
                task = asyncio.ensure_future(room.publish(repr(time.perf_counter())))
                publishing.add(task)
                task.add_done_callback(publishing.discard)
            await receiving
    return sorted(took)


async def bare_latencies(url: str, count: int) -> list[float]:
    """From the script's call by redis-py to redis-py's Pub/Sub, one after the other, in
    ms: what is in between without us."""
    took: list[float] = []
    async with (
        redis.asyncio.Redis.from_url(url) as client,
        client.pubsub() as pubsub,
    ):
        digest = await client.script_load(script("publish")[0])
        await pubsub.subscribe("b.{1}.c.x")
        messages = pubsub.listen()
        await anext(messages)  # it is subscribed
        for _ in range(count):
            began = time.perf_counter()
            words = script_arguments(BODY)
            publishing = asyncio.ensure_future(client.evalsha(digest, 2, *words))
            async with asyncio.timeout(10):
                await anext(messages)
            took.append((time.perf_counter() - began) * 1000)
            await publishing
    return sorted(took)


async def bare_publishes(url: str, count: int, at_once: int) -> float:
    """The same script in redis-py's own pipeline, in a second."""
    async with redis.asyncio.Redis.from_url(url) as client:
        digest = await client.script_load(script("publish")[0])
        began = time.perf_counter()
        for _ in range(count // at_once):
            pipeline = client.pipeline(transaction=False)
            for _ in range(at_once):
                pipeline.evalsha(digest, 2, *script_arguments(BODY))
            await pipeline.execute()
        return count / (time.perf_counter() - began)


def script_arguments(data: str) -> list[str]:
    """Of a message: two keys, and what comes with them."""
    room = ["300", "b.{1}.c.x", "100", "3600", "0", "1"]
    message = [f"t 0 0 {data}", secrets.token_hex(8), "0"]
    return ["b.{1}.s.x", "b.{1}.m.x", *room, *message]


async def publishes(url: str, count: int, at_once: int) -> float:
    """With a history, in a second."""
    async with Hub(url) as hub:
        room = hub.room("bench", history=100)

        async def some() -> None:
            for _ in range(count // at_once):
                await room.publish(BODY)

        began = time.perf_counter()
        await asyncio.gather(*(some() for _ in range(at_once)))
        return count / (time.perf_counter() - began)


def scripts(port: int, count: int, at_once: int) -> float:
    """The same by redis-benchmark, in a second."""
    source, digest = script("publish")
    command = ["redis-cli", "-p", str(port), "SCRIPT", "LOAD", source]
    subprocess.run(command, check=True, capture_output=True)
    done = subprocess.run(
        [
            *("redis-benchmark", "-p", str(port), "-n", str(count), "-c", "1"),
            *("-P", str(at_once), "--csv", "EVALSHA", digest, "2"),
            *script_arguments(BODY),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout.splitlines()[-1].split(",")[1].strip('"'))


async def many_rooms(url: str, count: int, messages: int) -> tuple[float, float]:
    """Processor time of a delivery in µs, publishing included, messages spread over so
    many rooms; and seconds from when Redis has cut the hub off until it is joined."""
    async with Hub(url, max_rooms_per_connection=count) as hub:
        rooms = [hub.room(f"{number}") for number in range(count)]
        sink = Sink()
        for start in range(0, count, 500):
            some = rooms[start : start + 500]
            await asyncio.gather(*(room.join(sink) for room in some))
        await asyncio.sleep(0.5)

        async def publish(start: int) -> None:
            for number in range(start, messages, 50):
                await rooms[number % count].publish(BODY)

        for _ in range(2):  # the first are what rooms make at their first message
            sink.at.clear()
            begin = cpu()
            await asyncio.gather(*(publish(start) for start in range(50)))
            while len(sink.at) < messages:
                await asyncio.sleep(0.001)
        cost = (cpu() - begin) / messages * 1e6
        port = url.rpartition(":")[2]
        words = ("redis-cli", "-p", port, "CLIENT", "KILL", "TYPE", "pubsub")
        process = await asyncio.create_subprocess_exec(
            *words, stdout=asyncio.subprocess.DEVNULL
        )
        await process.wait()
        while hub.healthy():
            await asyncio.sleep(0.001)
        began = time.perf_counter()
        while not hub.healthy():
            await asyncio.sleep(0.001)
        return cost, time.perf_counter() - began


async def beside_slow(slow: bool, messages: int, members: int = 999) -> list[float]:
    """From publish() to each of so many members, beside one that takes nothing, in
    ms."""
    stuck = asyncio.Event()

    async def take_nothing(message: Any) -> None:
        await stuck.wait()

    async with Hub() as hub:
        room, sinks = hub.room("lobby"), [Sink() for _ in range(members)]
        for sink in sinks:
            await room.join(sink)
        if slow:
            await room.join(take_nothing, send=take_nothing)
        took: list[float] = []
        for _ in range(messages):
            began = time.perf_counter()
            await room.publish(BODY * 8)
            while not sinks[-1].at:
                await asyncio.sleep(0)
            took += [sink.at.pop() - began for sink in sinks]
        stuck.set()
    return sorted(it * 1000 for it in took)


def quantile(values: list[float], part: float) -> float:
    return values[min(int(part * len(values)), len(values) - 1)]


def _milliseconds(values: list[float]) -> str:
    p50, p99 = (quantile(values, part) for part in (0.5, 0.99))
    return f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"


def run(*, quick: bool = False) -> None:
    count = 5 if quick else 15
    verdicts: list[Verdict] = []
    figures: dict[str, Any] = {}

    def goal(
        what: str,
        value: float,
        *,
        most: float | None = None,
        least: float | None = None,
    ) -> None:
        reached = value <= most if most is not None else value >= (least or 0)
        limit = f"≤ {most:g}" if most is not None else f"≥ {least:g}"
        verdicts.append(
            Verdict(what=f"Rooms: {what}", value=value, limit=limit, reached=reached)
        )
        figures[what] = round(value, 4)

    def deliveries(scenario: Scenario) -> rounds.Figures:
        return rounds.measure(
            scenario, installed(scenario.peers), seconds=0.2, rounds=count
        )

    here = deliveries(HERE)
    ours = ("pywscore_rooms", "uvloop")
    loop_in_c = rounds.key_of("epoll_broadcast", "uvloop")
    if ours in here and loop_in_c in here:
        what = "in one process / bare send() loop in C, CPU of a delivery"
        goal(what, rounds.ratio(here, ours, loop_in_c), most=1.1)
    ratios = []
    for _ in range(count):
        with_slow, without = (
            quantile(asyncio.run(beside_slow(slow, 20)), 0.99) for slow in (True, False)
        )
        ratios.append(with_slow / without)
    goal("p99 of 999 beside a slow one / without it", median(ratios), most=1.3)
    text = f"In one process, 1,000 members:\n\n{rounds.summary(HERE, here)}\n"
    shown = dict(here)
    if PROGRAM is None:
        text += "\nredis-server isn't installed: nothing over Redis."
    else:
        with redis_server() as port:
            url = os.environ["REDIS_URL"] = f"redis://127.0.0.1:{port}"
            mine = ("pywscore_rooms_redis", "uvloop")
            for scenario in (OVER_REDIS, ALONE_OVER_REDIS):
                there = deliveries(scenario)
                text += f"\nOver Redis, {scenario.what}:\n\n"
                text += f"{rounds.summary(scenario, there)}\n"
                if scenario is ALONE_OVER_REDIS:
                    continue  # most of it is the kernel's send(), as of the loop in C
                shown |= there
                for peer in OTHERS:
                    if mine in there and (peer, "uvloop") in there:
                        what = f"deliveries of a CPU second / {PEERS[peer].title}"
                        value = 1 / rounds.ratio(there, mine, (peer, "uvloop"))
                        goal(what, value, least=5)
            seconds = 1 if quick else 3
            took = asyncio.run(latencies(url, seconds))
            goal("publish to receipt, p50, ms", quantile(took, 0.5), most=0.8)
            goal("publish to receipt, p99, ms", quantile(took, 0.99), most=3)
            bare = asyncio.run(bare_latencies(url, 1000 * seconds))
            text += "\nFrom publish to receipt over a WebSocket, 2,000 a second: "
            text += f"{_milliseconds(took)}. By redis-py alone, from the script to "
            text += f"Pub/Sub, one after the other: {_milliseconds(bare)}.\n"
            pairs = [
                (
                    asyncio.run(publishes(url, 4000, 64)),
                    asyncio.run(bare_publishes(url, 4000, 64)),
                    scripts(port, 4000, 64),
                )
                for _ in range(count)
            ]
            ratio = median(ours / own for ours, _, own in pairs)
            goal("publishes / redis-benchmark's EVALSHA", ratio, least=0.6)
            text += "\nPublishes with a history, 64 at once, as a share of what "
            text += f"redis-benchmark gets from the script: {ratio:.2f}; redis-py's "
            share = median(client / own for _, client, own in pairs)
            text += f"own pipeline: {share:.2f}.\n"
            turns = [
                {
                    rooms: asyncio.run(many_rooms(url, rooms, 10_000))
                    for rooms in (10, 100, 1000, 10_000)
                }
                for _ in range(3 if quick else 7)
            ]
            what = "CPU of a delivery in 10,000 rooms / in 10"
            ratio = median(turn[10_000][0] / turn[10][0] for turn in turns)
            goal(what, ratio, most=1.3)
            longest = max(turn[10_000][1] for turn in turns)
            goal("10,000 rooms subscribed again, s", longest, most=1)
            rows = []
            for rooms in turns[0]:
                cost, back = map(
                    median, zip(*(turn[rooms] for turn in turns), strict=True)
                )
                rows.append([f"{rooms:,}", f"{cost:.1f}", f"{back * 1000:.0f}"])
            head = ["rooms", "CPU µs/delivery", "subscribed again after, ms"]
            text += "\nMessages spread over rooms, publisher and member in one "
            text += f"process:\n\n{report.table(head, rows)}\n"
    report.report("rooms", "Rooms", text, figures, verdicts)
    report.plot(
        "rooms",
        "Rooms: processor time of the server per delivery",
        [(rounds.title(key), rounds.middle(it, "cpu_us")) for key, it in shown.items()],
        "µs",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    run(quick=parser.parse_args().quick)
