"""Small things with the names of ``websockets``, and what that had once."""

from __future__ import annotations

import asyncio
import base64
import socket
from pathlib import Path
from typing import Any

import pytest

import pywscore
import pywscore.legacy.server as legacy
from pywscore import PerMessageDeflate, utils
from pywscore.extensions.permessage_deflate import (
    CLIENT_DEFAULT,
    SERVER_DEFAULT,
    enable_client_permessage_deflate,
    enable_server_permessage_deflate,
)


def test_keys_are_sixteen_random_bytes() -> None:
    # RFC 6455 §4.1, item 7
    keys = [utils.generate_key() for _ in range(20)]
    assert len(set(keys)) == 20
    assert all(len(base64.b64decode(key, validate=True)) == 16 for key in keys)


def test_names_of_sockets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        assert utils.get_socket_name(sock) == f"127.0.0.1:{port}"


def test_names_of_sockets_over_ipv6() -> None:
    with socket.socket(socket.AF_INET6) as sock:
        assert utils.get_socket_name(sock) == "[::]:0"


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets")
def test_names_of_unix_sockets(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        assert utils.get_socket_name(sock) == str(tmp_path / "socket")


@pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="on Linux only")
def test_sockets_without_a_name_for_people() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as sock:
        with pytest.raises(ValueError, match="unsupported socket family"):
            utils.get_socket_name(sock)


@pytest.mark.parametrize(
    ("enable", "default"),
    [
        (enable_server_permessage_deflate, SERVER_DEFAULT),
        (enable_client_permessage_deflate, CLIENT_DEFAULT),
    ],
)
def test_compression_is_added_unless_it_is_there(enable: Any, default: Any) -> None:
    assert enable(None) == enable([]) == [default]
    own = [PerMessageDeflate(level=1)]
    assert enable(own) == own


@pytest.mark.parametrize("serve", [legacy.serve, legacy.unix_serve])
@pytest.mark.parametrize("hook", ["process_request", "select_subprotocol"])
def test_hooks_with_old_arguments_are_refused(serve: Any, hook: str) -> None:
    """Called with the new ones, such a hook might let everybody in."""
    with pytest.raises(TypeError, match=f"^{hook} gets the connection and .* today"):
        serve(None, **{hook: lambda path, headers: None})


def test_the_old_serve_serves(tmp_path: Path) -> None:
    async def handler(ws: Any) -> None:
        await ws.send(await ws.recv())

    async def main() -> None:
        async with legacy.serve(
            handler, "127.0.0.1", 0, process_request=None
        ) as server:
            port = server.sockets[0].getsockname()[1]
            async with pywscore.connect(f"ws://127.0.0.1:{port}/", proxy=None) as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"
        path = str(tmp_path / "socket")
        async with legacy.unix_serve(handler, path):
            async with pywscore.unix_connect(path) as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"

    asyncio.run(asyncio.wait_for(main(), 30))
