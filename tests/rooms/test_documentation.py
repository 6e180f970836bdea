"""The programs of docs/rooms.md run, and do what the page says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from blocks import block
from nodes import needs_redis
from servers import Redis, free_port

import pywscore
from pywscore.rooms import Hub

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = block("docs/rooms.md", "program.py")
HEALTH = block("docs/rooms.md", "Health")
CONSUMER = block("docs/rooms.md", "Consumer")


@contextmanager
def running(program: str, folder: Path, port: int) -> Iterator[None]:
    (folder / "program.py").write_text(program)
    process = subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield
        process.terminate()
        _, errors = process.communicate(timeout=20)
        # uvicorn ends by the signal, too.
        assert process.returncode in (0, -signal.SIGTERM), errors
        assert "Traceback" not in errors
    finally:
        process.kill()
        process.communicate()


async def connect(port: int, path: str) -> pywscore.ClientConnection:
    end = time.monotonic() + 30
    while True:
        try:
            return await pywscore.connect(
                f"ws://127.0.0.1:{port}{path}", proxy=None, close_timeout=1
            )
        except OSError:
            assert time.monotonic() < end, "the server did not start"
            await asyncio.sleep(0.1)


async def hears(ws: pywscore.ClientConnection, part: dict[str, Any]) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            event: dict[str, Any] = json.loads(await ws.recv())
            if part.items() <= event.items():
                return event


async def talk(port: int) -> None:
    ann = await connect(port, "/?name=ann")
    await hears(ann, {"joined": "ann"})
    people = [await connect(port, f"/?name={name}") for name in "abcdef"]
    joined = set("abcdef")
    async with asyncio.timeout(10):
        while joined:
            joined.discard(json.loads(await ann.recv())["joined"])
    await people[0].send("one")
    first = await hears(ann, {"text": "a: one"})
    for ws in people:
        await hears(ws, first)
    await people[1].close()
    await hears(ann, {"left": "b"})
    await ann.close()
    await people[0].send("two")
    await hears(people[2], {"text": "a: two"})
    back = await connect(port, f"/?name=ann&since={first['id']}")
    assert json.loads(await back.recv())["text"] == "a: two"
    lost = await connect(port, "/?name=lost&since=nonsense-1")
    assert json.loads(await lost.recv()) == {"missing": None}
    for ws in (*people, back, lost):
        await ws.close()


@pytest.mark.external
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_program(tmp_path: Path, workers: int) -> None:
    port = free_port()
    program = PROGRAM.replace("8765", str(port))
    with contextlib.ExitStack() as stack:
        if workers > 1:
            needs_redis()
            redis = stack.enter_context(Redis())
            program = program.replace("memory://", redis.url, 1)
            program = program.replace("workers=1", f"workers={workers}")
            assert redis.url in program and "workers=2" in program
        stack.enter_context(running(program, tmp_path, port))
        asyncio.run(asyncio.wait_for(talk(port), 60))


def test_health_and_figures() -> None:
    async def main() -> None:
        names: dict[str, Any] = {"hub": Hub(), "pywscore": pywscore}
        exec(HEALTH, names)
        async with pywscore.serve(
            None,
            "127.0.0.1",
            0,
            listener=list,
            process_request=names["process_request"],
        ) as server:
            port = server.sockets[0].getsockname()[1]
            assert b" 503 " in await get(port, "/healthz")
            async with names["hub"]:
                assert b" 200 " in await get(port, "/healthz")
                assert b"pywscore_rooms_up 1\n" in await get(port, "/metrics")

    async def get(port: int, path: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer

    asyncio.run(asyncio.wait_for(main(), 10))


DJANGO = """
import sys

import uvicorn
from django.conf import settings

settings.configure()
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from pywscore.rooms import Hub

hub = Hub()
lobby = hub.room("lobby")

CONSUMER

uvicorn.run(application, port=PORT, ws="CLASS", log_level="warning")
"""


@pytest.mark.external
@pytest.mark.slow
@pytest.mark.parametrize(
    "ws", ["pywscore.integrations.uvicorn:WebSocketProtocol", "websockets-sansio"]
)
def test_a_consumer_of_channels(tmp_path: Path, ws: str) -> None:
    pytest.importorskip("channels")

    async def scenario(port: int) -> None:
        ann, bob = await connect(port, "/chat"), await connect(port, "/chat")
        for message in ("text", b"bytes"):
            await ann.send(message)
            for each in (ann, bob):
                assert await each.recv() == message
        await bob.close()
        await ann.send("end")
        assert await ann.recv() == "end"
        await ann.close()

    port = free_port()
    program = DJANGO.replace("CONSUMER", CONSUMER).replace("CLASS", ws)
    with running(program.replace("PORT", str(port)), tmp_path, port):
        asyncio.run(asyncio.wait_for(scenario(port), 60))
