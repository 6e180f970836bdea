"""No end of ours agrees on HTTP/2 by ALPN (RFC 7301), and speaks HTTP/1.1 then."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Callable
from typing import Any

import pytest
from tls_peer import Files

import pywscore

pytestmark = pytest.mark.threat("TLS-10")

HTTP_2_FIRST = ["h2", "http/1.1"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


def offering(context: ssl.SSLContext, *names: str) -> ssl.SSLContext:
    context.set_alpn_protocols(names)
    return context


SERVERS: dict[str, Callable[[Files], Any]] = {
    "TLSContext": lambda files: files.server(),
    "silent": lambda files: files.python_server(),
    "http/1.1": lambda files: offering(files.python_server(), "http/1.1"),
}
CLIENTS: dict[str, Callable[[Files], Any]] = {
    "TLSContext": lambda files: files.client(),
    "silent": lambda files: files.python_client(),
    "http/1.1": lambda files: offering(files.python_client(), "http/1.1"),
}


@pytest.fixture
def engine_only(environment: Any, kind: str) -> None:
    no_engine = environment.carrier == "transport" or sys.platform != "linux"
    if kind == "TLSContext" and no_engine:
        pytest.skip("elsewhere: the engine only")


async def asking(server: Any, context: ssl.SSLContext) -> tuple[str | None, bytes]:
    """What TLS agrees on, and the answer to a request up to its end or that of TCP."""
    reader, writer = await asyncio.open_connection(
        *server.sockets[0].getsockname(), ssl=context, server_hostname="localhost"
    )
    tls = writer.get_extra_info("ssl_object")
    writer.write(pywscore.ClientProtocol("wss://localhost/").data_to_send())
    try:
        answer = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        answer = end.partial
    except ConnectionError:
        answer = b""
    writer.transport.abort()
    return tls.selected_alpn_protocol(), answer


@pytest.mark.usefixtures("engine_only")
@pytest.mark.parametrize("kind", SERVERS)
async def test_servers(serve: Any, echo: Any, files: Files, kind: str) -> None:
    client = offering(files.python_client(), *HTTP_2_FIRST)
    async with serve(echo, "127.0.0.1", 0, ssl=SERVERS[kind](files)) as server:
        agreed, answer = await asking(server, client)
        assert agreed == (None if kind == "silent" else "http/1.1")
        assert answer.startswith(b"HTTP/1.1 101 ")


async def test_server_that_was_told_to_offer_it(
    serve: Any,
    connect: Any,
    uri_of: Any,
    echo: Any,
    files: Files,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What agrees on HTTP/2 gets nothing; others are served."""
    context = offering(files.python_server(), *HTTP_2_FIRST)
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        client = offering(files.python_client(), *HTTP_2_FIRST)
        assert await asking(server, client) == ("h2", b"")
        (said,) = (record for record in caplog.records if record.levelname == "WARNING")
        assert said.name == "pywscore.server" and "TLS agreed on h2" in said.message
        for client in (
            files.python_client(),
            offering(files.python_client(), "http/1.1"),
        ):
            async with connect(uri_of(server, scheme="wss"), ssl=client) as ws:
                await ws.send("still")
                assert await ws.recv() == "still"


class Peer:
    """A server that offers HTTP/2, and answers a WebSocket request all the same."""

    def __init__(self, files: Files, answer: Callable[[str], bytes]) -> None:
        self.answer = answer
        self.context = offering(files.python_server(), *HTTP_2_FIRST)
        self.agreed: str | None = None
        self.done = asyncio.Event()

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.agreed = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(self.answer(head.decode()))
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.transport.abort()
        self.done.set()


@pytest.mark.usefixtures("engine_only")
@pytest.mark.parametrize("kind", CLIENTS)
async def test_clients(
    connect: Any, uri_of: Any, accept_response: Any, files: Files, kind: str
) -> None:
    peer = Peer(files, accept_response)
    async with await asyncio.start_server(
        peer, "127.0.0.1", 0, ssl=peer.context
    ) as server:
        uri = uri_of(server, scheme="wss")
        async with connect(uri, ssl=CLIENTS[kind](files), close_timeout=0.01):
            assert peer.agreed == (None if kind == "silent" else "http/1.1")
        await peer.done.wait()


async def test_client_that_was_told_to_offer_it(
    connect: Any, uri_of: Any, accept_response: Any, files: Files
) -> None:
    client = offering(files.python_client(), *HTTP_2_FIRST)
    peer = Peer(files, accept_response)
    async with await asyncio.start_server(
        peer, "127.0.0.1", 0, ssl=peer.context
    ) as server:
        with pytest.raises(pywscore.InvalidHandshake, match="TLS agreed on h2") as info:
            await connect(uri_of(server, scheme="wss"), ssl=client)
        # async for doesn't try again: it would be the same.
        assert pywscore.asyncio.client.process_exception(info.value) is info.value
        await peer.done.wait()
        assert peer.agreed == "h2"
