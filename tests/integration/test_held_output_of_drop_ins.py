"""HLD-1 in aiohttp and uvicorn: what a handler sends leaves before it goes on to work.

The handlers block as asyncio's tests of it do: by reading from the peer's socket.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from typing import Any

import aiohttp_rig
import carriers
import pytest
import uvicorn_servers
from aiohttp import web

pytestmark = pytest.mark.threat("HLD-1")

TIMEOUT = 2


def receive(peer: socket.socket, end: bytes) -> None:
    got = b""
    while not got.endswith(end):
        try:
            got += peer.recv(4096)
        except TimeoutError:
            pytest.fail(f"only {got!r} has left")


@dataclasses.dataclass
class Peers:
    peer: socket.socket | None = None
    left: int = 0

    def work(self) -> None:
        """What a handler does when it has sent that it is working."""
        assert self.peer is not None
        receive(self.peer, b"working")
        self.left += 1


def connected(port: int) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    tls = carriers.client_tls()
    if not tls:
        return peer
    wrap = tls.pop("ssl").wrap_socket
    return wrap(peer, **tls)  # type: ignore[no-any-return]


async def ask(port: int, peers: Peers) -> None:
    """Connect and send messages."""
    peer = await asyncio.to_thread(connected, port)
    with peer:
        peer.sendall(aiohttp_rig.request())
        await asyncio.to_thread(receive, peer, b"\r\n\r\n")
        peers.peer = peer
        for count in range(1, 4):
            peer.sendall(aiohttp_rig.frame(aiohttp_rig.TEXT, b"go"))
            while peers.left < count:
                await asyncio.sleep(0.005)


@aiohttp_rig.scenario()
async def test_aiohttp(kind: Any) -> None:
    peers = Peers()

    async def handler(request: web.Request) -> web.StreamResponse:
        ws = kind.make()
        await ws.prepare(request)
        async for _ in ws:
            await ws.send_str("working")
            peers.work()
            await ws.send_str("done")
        return ws  # type: ignore[no-any-return]

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    tls = carriers.server_tls()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        await ask(runner.addresses[0][1], peers)
    finally:
        await runner.cleanup()


@uvicorn_servers.ours
def test_uvicorn(environment: uvicorn_servers.Environment) -> None:
    peers = Peers()

    async def app(scope: Any, receive_event: Any, send: Any) -> None:
        await receive_event()
        await send({"type": "websocket.accept"})
        while (await receive_event())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": "working"})
            peers.work()
            await send({"type": "websocket.send", "text": "done"})

    async def main() -> None:
        async with environment.serve(app) as served:
            await ask(served.port, peers)

    environment.run(main)
