"""The configurations of docs/how-to for nginx, HAProxy and Caddy, by these programs."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from programs import program
from reverse_proxies import NAME, Caddy, Haproxy, Nginx, Proxy
from waiting import until

import pywscore

pytestmark = pytest.mark.external


@pytest.fixture(params=[Nginx, Haproxy, Caddy], ids=lambda it: it.name)
def kind(request: pytest.FixtureRequest) -> type[Proxy]:
    program(request.param.name)
    return request.param  # type: ignore[no-any-return]


Connect = Callable[..., pywscore.connect]


@contextlib.asynccontextmanager
async def through(
    kind: type[Proxy], folder: Path, **options: object
) -> AsyncIterator[tuple[Connect, list[pywscore.ServerConnection]]]:
    """Two echo servers behind the program. Gives what connects by it, and the servers'
    connections as they come."""
    connections: list[pywscore.ServerConnection] = []

    async def echo(ws: pywscore.ServerConnection) -> None:
        connections.append(ws)
        async for message in ws:
            if message == "close":
                await ws.close(4321, "as you like")
            await ws.send(message)

    async with contextlib.AsyncExitStack() as stack:
        ports = []
        for _ in range(2):
            serve = pywscore.serve(echo, "127.0.0.1", 0, max_size=None, **options)  # type: ignore[arg-type]
            server = await stack.enter_async_context(serve)
            ports.append(server.sockets[0].getsockname()[1])
        proxy = kind(folder, ports)
        stack.enter_context(proxy.running())

        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError, pywscore.InvalidHandshake):
                    async with proxy.connect() as ws:
                        await ws.send("there?")
                        await ws.recv()
                    break
                await asyncio.sleep(0.01)
        connections.clear()
        yield proxy.connect, connections


def test_connections_go_through(kind: type[Proxy], tmp_path: Path) -> None:
    async def main() -> None:
        async with through(kind, tmp_path) as (connect, connections):
            async with connect(additional_headers={"X-Forwarded-For": "6.6.6.6"}) as ws:
                for message in ("hello", b"\0\xff", "", "x" * 1_000_000):
                    await ws.send(message)
                    assert await ws.recv() == message
                [server] = connections
                assert server.request is not None
                # What the client said of itself isn't passed on.
                assert server.request.headers["X-Forwarded-For"] == "127.0.0.1"
                assert server.request.headers["Host"].startswith(NAME)
                assert ws.response is not None
                assert "Sec-WebSocket-Extensions" in ws.response.headers
                await ws.send("close")
                with pytest.raises(pywscore.ConnectionClosed):
                    await ws.recv()
                assert (ws.close_code, ws.close_reason) == (4321, "as you like")

    asyncio.run(main())


def test_connections_are_spread(kind: type[Proxy], tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            through(kind, tmp_path) as (connect, connections),
            contextlib.AsyncExitStack() as stack,
        ):
            for _ in range(6):
                await stack.enter_async_context(connect())
            await until(lambda: len(connections) == 6)
            ports = [ws.local_address[1] for ws in connections]
            assert sorted(ports.count(port) for port in set(ports)) == [3, 3]

    asyncio.run(main())


def test_a_client_that_is_gone_ends_at_the_server(
    kind: type[Proxy], tmp_path: Path
) -> None:
    async def main() -> None:
        async with through(kind, tmp_path) as (connect, connections):
            ws = await connect()
            await ws.send("hello")
            await ws.recv()
            ws.transport.abort()
            await asyncio.wait_for(connections[0].wait_closed(), 5)
            assert connections[0].close_code == 1006

    asyncio.run(main())


def test_pings_keep_an_idle_connection(kind: type[Proxy], tmp_path: Path) -> None:
    """Idle for three times as long as the program's patience, which is a second here
    and a minute in the page."""
    short = type(kind.__name__, (Impatient, kind), {})

    async def idle(**options: object) -> int | None:
        folder = tmp_path / f"{len(options)}"
        folder.mkdir()
        async with through(short, folder, **options) as (connect, _):
            ws = await connect(ping_interval=None)
            await asyncio.sleep(3)
            await ws.close()
            return ws.close_code

    assert asyncio.run(idle(ping_interval=0.3)) == 1000
    if kind is not Caddy:  # which has no such limit
        assert asyncio.run(idle(ping_interval=None, ping_timeout=None)) == 1006


class Impatient(Proxy):
    def command(self) -> list[str]:
        command = super().command()
        place = Path(command[-1])
        text = place.read_text()
        changed = re.sub(r"(proxy_read_timeout|timeout tunnel) +60s", r"\1 1s", text)
        assert (changed != text) == (self.name != "caddy")
        place.write_text(changed)
        return command
