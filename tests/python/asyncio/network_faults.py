"""Echoes over a loopback interface that has faults: run by test_network_faults.py, in a
network namespace of its own. ``network_faults.py CARRIER LOOP COUNT NETEM...``

Prints one line of JSON; without NETEM, of what happens when nothing comes through any
more.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pywscore

OPTIONS: dict[str, Any] = {"open_timeout": 60, "close_timeout": 60}
# A side that hears nothing notices within these, TCP's own patience apart.
IMPATIENT: dict[str, Any] = {
    "open_timeout": 60,
    "close_timeout": 1,
    "ping_interval": 1,
    "ping_timeout": 1,
}
IN_FLIGHT = 64


def run_tool(*words: str) -> None:
    subprocess.run(words, check=True)


def set_faults(*netem: str) -> None:
    run_tool("tc", "qdisc", "replace", "dev", "lo", "root", "netem", *netem)


def messages(count: int) -> Iterator[bytes | str]:
    """Numbered ones, some in several segments; the same each time."""
    numbers = random.Random(20)
    for index in range(count):
        size = numbers.choice((0, 10, 100, 1000, 1000, 5000))
        body = numbers.randbytes(size).hex()
        yield f"{index} {body}" if index % 2 else f"{index} {body}".encode()


def digest_of(received: Iterator[bytes | str]) -> str:
    digest = hashlib.sha256()
    for message in received:
        digest.update(b"t" if isinstance(message, str) else b"b")
        digest.update(message.encode() if isinstance(message, str) else message)
    return digest.hexdigest()


async def echo_all(ws: Any, count: int) -> list[bytes | str]:
    """Send all, some ahead of their echoes; the echoes."""
    window = asyncio.Semaphore(IN_FLIGHT)
    received = []

    async def send() -> None:
        for message in messages(count):
            await window.acquire()
            await ws.send(message)

    sending = asyncio.create_task(send())
    for _ in range(count):
        received.append(await ws.recv())
        window.release()
    await sending
    return received


async def with_faults(carrier: str, count: int, netem: list[str]) -> dict[str, Any]:
    codes = []

    async def handler(ws: Any) -> None:
        async for message in ws:
            await ws.send(message)
        codes.append(ws.close_code)

    async with pywscore.serve(
        handler, "127.0.0.1", 0, carrier=carrier, ping_timeout=60, **OPTIONS
    ) as server:
        port = server.sockets[0].getsockname()[1]
        set_faults(*netem)
        begun = time.monotonic()
        async with pywscore.connect(
            f"ws://127.0.0.1:{port}/", carrier=carrier, ping_timeout=60, **OPTIONS
        ) as ws:
            received = await echo_all(ws, count)
    codes.append(ws.close_code)
    return {
        "count": len(received),
        "right": digest_of(iter(received)) == digest_of(messages(count)),
        "codes": codes,
        "seconds": round(time.monotonic() - begun, 1),
    }


async def cut_off(carrier: str) -> dict[str, Any]:
    """Nothing comes through any more, then all again."""
    received: list[str] = []
    codes: list[int] = []
    raised: list[str] = []
    sent = 0

    async def handler(ws: Any) -> None:
        try:
            async for message in ws:
                received.append(message)
                await ws.send(message)
        finally:
            codes.append(ws.close_code)

    async with pywscore.serve(
        handler, "127.0.0.1", 0, carrier=carrier, **IMPATIENT
    ) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        ws = await pywscore.connect(uri, carrier=carrier, **IMPATIENT)
        for _ in range(10):
            await ws.send(str(sent))
            sent += 1
            await ws.recv()
        set_faults("loss", "100%")
        begun = time.monotonic()
        await ws.send(str(sent))
        sent += 1
        for action in (ws.recv, ws.recv, lambda: ws.send("late")):
            try:
                await action()
            except pywscore.ConnectionClosed as exc:
                raised.append(type(exc).__name__)
        seconds = time.monotonic() - begun
        set_faults("loss", "0%")
        async with pywscore.connect(uri, carrier=carrier, **IMPATIENT) as again:
            await again.send("again")
            echo = await again.recv()
    return {
        "raised": raised,
        "codes": codes,
        "echo": echo,
        "received": received,
        "sent": sent,
        "seconds": round(seconds, 1),
    }


def main() -> None:
    carrier, loop, count, *netem = sys.argv[1:]
    run_tool("ip", "link", "set", "lo", "mtu", "1500", "up")
    factory = asyncio.new_event_loop
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        work = with_faults(carrier, int(count), netem) if netem else cut_off(carrier)
        print(json.dumps(runner.run(work)))


if __name__ == "__main__":
    main()
