"""Handlers by path, with URL maps of werkzeug."""

from __future__ import annotations

import functools
import http
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers import head_of

import pywscore
from pywscore import InvalidStatus
from pywscore.asyncio.router import Router, route, unix_route


async def say(ws: Any, **arguments: Any) -> None:
    await ws.send(repr(arguments))


@pytest.fixture
def url_map() -> Any:
    routing = pytest.importorskip("werkzeug.routing")
    return routing.Map(
        [
            routing.Rule("/", endpoint=say),
            routing.Rule("/rooms/<int:number>", endpoint=say),
            routing.Rule("/lobby", defaults={"number": 0}, endpoint=say),
            routing.Rule("/folder/", endpoint=say),
            routing.Rule("/old", redirect_to="/rooms/7"),
        ]
    )


@pytest.fixture
def routing(environment: Any) -> Callable[..., pywscore.Server]:
    return functools.partial(route, carrier=environment.carrier)


async def answer_of(connect: Any, uri: str) -> str:
    async with connect(uri) as ws:
        return str(await ws.recv())


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("/", {}),
        ("/?number=3", {}),
        ("/rooms/12", {"number": 12}),
        ("/lobby", {"number": 0}),
    ],
)
async def test_path_chooses(
    url_map: Any,
    routing: Any,
    connect: Any,
    uri_of: Any,
    path: str,
    arguments: dict[str, int],
) -> None:
    async with routing(url_map, "127.0.0.1", 0) as server:
        assert await answer_of(connect, uri_of(server, path)) == repr(arguments)


@pytest.mark.parametrize("path", ["/rooms/x", "/rooms", "/nothing", "//rooms/1/x"])
async def test_no_rule(
    url_map: Any, routing: Any, connect: Any, uri_of: Any, path: str
) -> None:
    async with routing(url_map, "127.0.0.1", 0) as server:
        with pytest.raises(InvalidStatus) as info:
            await connect(uri_of(server, path))
        assert info.value.response.status_code == 404


@pytest.mark.parametrize(
    ("path", "arguments", "location"),
    [
        ("/old", {}, "ws://{host}/rooms/7"),
        ("/folder", {}, "ws://{host}/folder/"),
        ("/folder", {"server_name": "example.org"}, "ws://example.org/folder/"),
        ("/folder", {"ssl": True}, "wss://{host}/folder/"),
    ],
)
async def test_redirect(
    url_map: Any,
    routing: Any,
    uri_of: Any,
    raw_client: Any,
    path: str,
    arguments: dict[str, Any],
    location: str,
) -> None:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: here:80\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with routing(url_map, "127.0.0.1", 0, **arguments) as server:
        async with raw_client(server, path=None) as peer:
            peer.writer.write(request.encode())
            head = await head_of(peer)
    assert head.startswith("HTTP/1.1 302 Found\r\n")
    expected = location.format(host="here:80")
    assert f"\r\nLocation: {expected}\r\n" in head.replace("here/", "here:80/")


async def test_redirect_is_followed(
    url_map: Any, routing: Any, connect: Any, uri_of: Any
) -> None:
    async with routing(url_map, "127.0.0.1", 0) as server:
        assert await answer_of(connect, uri_of(server, "/old")) == "{'number': 7}"


@pytest.mark.parametrize(
    ("hosts", "status"), [((), 404), (("a", "b"), 404), (("\xff\xfe",), 404)]
)
async def test_hosts_that_are_none(
    url_map: Any, routing: Any, raw_client: Any, hosts: tuple[str, ...], status: int
) -> None:
    """They reach neither a handler nor the log, whatever the map makes of them."""
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    async with routing(url_map, "127.0.0.1", 0) as server:
        async with raw_client(server, path=None) as peer:
            peer.writer.write(f"GET /none HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
            head = await head_of(peer)
    assert int(head.split()[1]) in (400, status)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_process_request_is_asked_first(
    url_map: Any, routing: Any, connect: Any, uri_of: Any, asynchronous: bool
) -> None:
    def ask(ws: Any, request: Any) -> Any:
        if request.path == "/health":
            return ws.respond(http.HTTPStatus.NO_CONTENT, "")
        return None

    async def ask_later(ws: Any, request: Any) -> Any:
        return ask(ws, request)

    async with routing(
        url_map,
        "127.0.0.1",
        0,
        process_request=ask_later if asynchronous else ask,
    ) as server:
        with pytest.raises(InvalidStatus) as info:
            await connect(uri_of(server, "/health"))
        assert info.value.response.status_code == 204
        assert await answer_of(connect, uri_of(server, "/lobby")) == "{'number': 0}"


async def test_tls(
    url_map: Any, routing: Any, connect: Any, uri_of: Any, certificates: Any
) -> None:
    async with routing(url_map, "127.0.0.1", 0, ssl=certificates.server) as server:
        uri = uri_of(server, "/old", scheme="wss")
        async with connect(uri, ssl=certificates.client) as ws:
            assert await ws.recv() == "{'number': 7}"


async def test_router_of_its_own(
    url_map: Any, routing: Any, connect: Any, uri_of: Any
) -> None:
    class Polite(Router):
        def not_found(self, connection: Any) -> pywscore.Response:
            return pywscore.Response(410, "Gone")

    async with routing(url_map, "127.0.0.1", 0, create_router=Polite) as server:
        with pytest.raises(InvalidStatus) as info:
            await connect(uri_of(server, "/nothing"))
        assert info.value.response.status_code == 410


@pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets")
async def test_unix(url_map: Any, environment: Any) -> None:
    carrier = environment.carrier
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "socket")
        async with unix_route(url_map, os.fspath(path), carrier=carrier):
            uri = "ws://localhost/rooms/1"
            async with pywscore.unix_connect(path, uri, carrier=carrier) as ws:
                assert await ws.recv() == "{'number': 1}"


def test_without_werkzeug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "werkzeug.routing", None)
    monkeypatch.setitem(sys.modules, "werkzeug.exceptions", None)
    with pytest.raises(ImportError, match="pip install"):
        route(None, "127.0.0.1", 0)  # type: ignore[arg-type]
