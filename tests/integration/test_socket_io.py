"""socket.io's client for Node, and python-socketio over aiohttp and over uvicorn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import engineio.async_drivers.aiohttp as aiohttp_driver
import pytest
import socketio
from aiohttp import web
from uvicorn_servers import ENVIRONMENTS, OURS, Environment

from pywscore.integrations.aiohttp import WebSocketResponse

pytestmark = pytest.mark.external

# Prints a line of JSON for each thing that happens.
CLIENT = """
const { io } = require("socket.io-client");
const [url, transports] = process.argv.slice(1);
const socket = io(url, { transports: transports.split(","), reconnection: false });
const print = (...what) => console.log(JSON.stringify(what));
const name = () => socket.io.engine.transport.name;

function exchange() {
  print("transport", name());
  socket.emit("echo", "text é €", (answer) => {
    print("text", answer);
    socket.emit("echo", Buffer.from([0, 255, 128]), (binary) => {
      print("binary", [...binary]);
      socket.emit("echo", "x".repeat(200000), (long) => {
        print("long", long.length);
        socket.emit("push", 3);
      });
    });
  });
}
let pushed = 0;
socket.on("pushed", (n) => {
  print("pushed", n);
  if (++pushed === 3) socket.disconnect();
});
socket.on("disconnect", (reason) => { print("disconnect", reason); process.exit(0); });
socket.on("connect_error", (error) => {
  print("error", String(error));
  process.exit(1);
});
socket.on("connect", () => {
  if (name() === "websocket") exchange();
  else socket.io.engine.once("upgrade", exchange);
});
setTimeout(() => { print("late"); process.exit(2); }, 20000).unref();
"""

EXPECTED = [
    ["transport", "websocket"],
    ["text", "text é €"],
    ["binary", [0, 255, 128]],
    ["long", 200_000],
    *(["pushed", n] for n in range(3)),
    ["disconnect", "io client disconnect"],
]
TRANSPORTS = pytest.mark.parametrize("transports", ["polling,websocket", "websocket"])


def make_server(mode: str, gone: asyncio.Event) -> socketio.AsyncServer:
    server = socketio.AsyncServer(async_mode=mode)

    @server.event
    async def echo(sid: str, data: Any) -> Any:
        return data

    @server.event
    async def push(sid: str, count: int) -> None:
        for n in range(count):
            await server.emit("pushed", n, to=sid)

    @server.event
    async def disconnect(sid: str, reason: str) -> None:
        gone.set()

    return server


async def talk(
    port: int, transports: str, node: dict[str, str], gone: asyncio.Event
) -> None:
    client = await asyncio.create_subprocess_exec(
        *("node", "-e", CLIENT, f"http://127.0.0.1:{port}", transports),
        env=node,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert client.stdout is not None
        lines = (await client.stdout.read()).decode().splitlines()
        assert [json.loads(line) for line in lines] == EXPECTED
        assert await client.wait() == 0
        await gone.wait()
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()


@asynccontextmanager
async def over_aiohttp(server: socketio.AsyncServer) -> AsyncIterator[int]:
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@TRANSPORTS
def test_aiohttp(
    transports: str, node: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[WebSocketResponse] = []

    class Noted(WebSocketResponse):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(aiohttp_driver, "WebSocketResponse", Noted)

    async def main() -> None:
        async with asyncio.timeout(30):
            gone = asyncio.Event()
            async with over_aiohttp(make_server("aiohttp", gone)) as port:
                await talk(port, transports, node, gone)

    asyncio.run(main())
    assert len(made) == 1
    assert made[0].closed


@TRANSPORTS
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids="-".join)
def test_uvicorn(
    environment: tuple[str, str], transports: str, node: dict[str, str]
) -> None:
    env = Environment(*environment, ws=OURS)

    async def main() -> None:
        gone = asyncio.Event()
        app = socketio.ASGIApp(make_server("asgi", gone))
        async with env.serve(app) as served:
            await talk(served.port, transports, node, gone)

    env.run(main)
