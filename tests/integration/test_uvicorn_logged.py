"""What uvicorn's log says of connections: frames at DEBUG, as with websockets."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
import websockets
from uvicorn.logging import TRACE_LOG_LEVEL
from uvicorn_servers import ENVIRONMENTS, THEIRS, Environment

# The order of headers, and what TCP does, are each one's own.
_HEAD = re.compile(r"[<>] [\w-]+: |[<>] (GET|HTTP/1.1) ")
_OWN = re.compile(r"> EOF|x .*|< EOF")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


def said_by(environment: Environment, caplog: pytest.LogCaptureFixture) -> list[str]:
    async def main() -> None:
        async with environment.serve(echo, log_level="debug") as served:
            async with websockets.connect(
                f"ws://127.0.0.1:{served.port}/path", proxy=None
            ) as ws:
                for message in ("hé", b"\0\1", "x" * 500):
                    await ws.send(message)
                    assert await ws.recv() == message
                await (await ws.ping("p"))
                await ws.close(1001, "bye")

    caplog.clear()
    with caplog.at_level(logging.DEBUG, "uvicorn.error"):
        environment.run(main)
    return [r.getMessage() for r in caplog.records if r.name == "uvicorn.error"]


@pytest.mark.parametrize("loop", sorted({loop for loop, _ in ENVIRONMENTS}))
@pytest.mark.parametrize("http", sorted({http for _, http in ENVIRONMENTS}))
def test_frames_are_said_as_by_their_class(
    loop: str, http: str, caplog: pytest.LogCaptureFixture
) -> None:
    ours = said_by(Environment(loop, http), caplog)
    theirs = said_by(Environment(loop, http, THEIRS), caplog)

    def frames(lines: list[str]) -> list[str]:
        own = [s for s in lines if not _HEAD.match(s) and not _OWN.match(s)]
        return [s for s in own if s[:2] in ("< ", "> ")]

    assert frames(ours) == frames(theirs)
    assert frames(ours)[0] == "< TEXT 'hé' [3 bytes]"
    for line in (
        "< GET /path HTTP/1.1",
        "> HTTP/1.1 101 Switching Protocols",
        "= connection is OPEN",
        "connection open",
        "= connection is CLOSED",
        "connection closed: 1001 (going away) bye",
    ):
        assert ours.count(line) == 1, line


def test_connections_are_said_at_the_level_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    environment = Environment(*ENVIRONMENTS[0])

    async def main() -> None:
        async with environment.serve(echo, log_level="trace") as served:
            uri = f"ws://127.0.0.1:{served.port}/"
            async with websockets.connect(uri, proxy=None) as ws:
                host, port = ws.local_address[:2]
                said.append(f"{host}:{port} - WebSocket connection ")

    said: list[str] = []
    with caplog.at_level(TRACE_LOG_LEVEL, "uvicorn.error"):
        environment.run(main)
    traced = [r.getMessage() for r in caplog.records if r.levelno == TRACE_LOG_LEVEL]
    assert [it for it in traced if said[0] in it] == [
        said[0] + what for what in ("made", "lost")
    ]
