"""What things say of themselves: their state, and their addresses."""

from __future__ import annotations

from typing import Any

import pytest

import pywscore
from pywscore._shown import shown_address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        ("/run/socket", "/run/socket"),
        (b"\0abstract", r"\x00abstract"),
        ("/run/é\n\x1b", r"/run/é\n\x1b"),
        ("", "?"),
        (None, "?"),
    ],
)
def test_addresses(address: Any, shown: str) -> None:
    assert shown_address(address) == shown


async def test_connections_and_servers(serve: Any, connect: Any, uri_of: Any) -> None:
    theirs: list[str] = []

    async def handler(ws: pywscore.ServerConnection) -> None:
        theirs.append(repr(ws))
        async for _ in ws:
            pass

    server = await serve(handler, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert repr(server).startswith(f"<Server on 127.0.0.1:{port}, 0 connections at 0x")
    ws = await connect(uri_of(server))
    mine = ws.local_address[1]
    assert f"<ClientConnection OPEN 127.0.0.1:{mine} to 127.0.0.1:{port} " in repr(ws)
    assert f"<ServerConnection OPEN 127.0.0.1:{port} to 127.0.0.1:{mine} " in theirs[0]
    assert ", 1 connections" in repr(server)
    if type(ws.transport).__name__ == "EngineTransport":
        open_one = repr(ws.transport)
        assert f"open fd={ws.transport.fileno()} 127.0.0.1:{mine} to " in open_one
    transport = ws.transport
    await ws.close()
    assert f"<ClientConnection CLOSED 127.0.0.1:{mine} to 127.0.0.1:{port} " in repr(ws)
    if type(transport).__name__ == "EngineTransport":
        assert repr(transport).startswith("<EngineTransport closed fd=-1 127.0.0.1:")
    server.close()
    assert repr(server).startswith("<Server closing, ")
    await server.wait_closed()
    assert repr(server).startswith("<Server closed, 0 connections")


async def test_before_the_start() -> None:
    server = pywscore.serve(None, "127.0.0.1", 0, listener=object)  # type: ignore[arg-type]
    assert repr(server).startswith("<Server not started, 0 connections at 0x")


def test_protocols() -> None:
    server = pywscore.ServerProtocol()
    assert repr(server) == f"<ServerProtocol CONNECTING at {id(server):#x}>"
    client = pywscore.ClientProtocol("wss://user:secret@example.org/path?token=x")
    where = "wss://example.org"
    assert repr(client) == f"<ClientProtocol CONNECTING {where} at {id(client):#x}>"
    client.receive_eof()
    assert "ClientProtocol CLOSED" in repr(client)

    class Mine(pywscore.ServerProtocol):
        pass

    assert repr(Mine()).startswith("<Mine CONNECTING at 0x")


def test_a_connection_to_be() -> None:
    made = pywscore.connect("ws://user:secret@host/path")
    assert repr(made).startswith("<connect to ws://host/path, to be awaited")
