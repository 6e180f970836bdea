"""TLS by ssl.SSLContext."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any

import pytest

import pywscore
from pywscore import ConnectionClosedError

pytestmark = pytest.mark.every_environment


async def test_echo(
    serve: Any, connect: Any, uri_of: Any, echo: Any, certificates: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=certificates.server) as server:
        async with connect(uri_of(server, scheme="wss"), ssl=certificates.client) as ws:
            for message in ("text", b"x" * 300_000, ["a", "b"]):
                await ws.send(message)
                expected = "ab" if isinstance(message, list) else message
                assert await ws.recv() == expected
            await (await ws.ping())
        assert ws.close_code == 1000


async def test_certificate_that_is_not_trusted(
    serve: Any, connect: Any, uri_of: Any, echo: Any, certificates: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=certificates.server) as server:
        with pytest.raises(ssl.SSLError):
            await connect(uri_of(server, scheme="wss"))


async def test_plain_to_tls_and_back(
    serve: Any, connect: Any, uri_of: Any, echo: Any, certificates: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=certificates.server) as server:
        with pytest.raises((pywscore.InvalidMessage, OSError)):
            await connect(uri_of(server))
    async with serve(echo, "127.0.0.1", 0) as server:
        with pytest.raises((ssl.SSLError, OSError)):
            await connect(uri_of(server, scheme="wss"), ssl=certificates.client)


@pytest.mark.threat("HSK-8", "TLS-1")
@pytest.mark.parametrize("silent_after_tls", [False, True])
async def test_one_deadline_for_tls_and_http(
    serve: Any, echo: Any, certificates: Any, silent_after_tls: bool
) -> None:
    async with serve(
        echo, "127.0.0.1", 0, ssl=certificates.server, open_timeout=0.6
    ) as server:
        host, port = server.sockets[0].getsockname()
        start = time.monotonic()
        reader, writer = await asyncio.open_connection(host, port)
        if silent_after_tls:
            await asyncio.sleep(0.4)
            await writer.start_tls(certificates.client, server_hostname="localhost")
        try:
            assert await reader.read() == b""
        except OSError:
            pass
        assert 0.5 < time.monotonic() - start < 0.9
        writer.transport.abort()


@pytest.mark.threat("DED-5")
async def test_error_over_tls(
    serve: Any, raw_client: Any, echo: Any, certificates: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=certificates.server) as server:
        async with raw_client(
            server, ssl=certificates.client, server_hostname="localhost"
        ) as peer:
            peer.send_frame(3)
            assert await peer.close_code() == 1002
            assert await peer.reader.read() == b""


async def test_lost_over_tls(
    serve: Any, connect: Any, uri_of: Any, certificates: Any
) -> None:
    async def handler(ws: Any) -> None:
        ws.transport.abort()

    async with serve(handler, "127.0.0.1", 0, ssl=certificates.server) as server:
        async with connect(uri_of(server, scheme="wss"), ssl=certificates.client) as ws:
            with pytest.raises(ConnectionClosedError):
                await ws.recv()


async def test_closing_the_server(
    serve: Any, connect: Any, uri_of: Any, echo: Any, certificates: Any
) -> None:
    server = await serve(echo, "127.0.0.1", 0, ssl=certificates.server)
    clients = [
        await connect(uri_of(server, scheme="wss"), ssl=certificates.client)
        for _ in range(3)
    ]
    server.close()
    await asyncio.wait_for(server.wait_closed(), 5)
    for ws in clients:
        await ws.wait_closed()
        assert ws.close_code == 1001
