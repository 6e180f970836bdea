"""HTTP and SOCKS proxies for connect()."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

import pywscore
from pywscore import InvalidProxy, parse_uri
from pywscore._core import read_response
from pywscore.asyncio import _proxy as module
from pywscore.asyncio._proxy import Proxy, get_proxy, parse_proxy
from pywscore.exceptions import InvalidProxyMessage, InvalidProxyStatus, ProxyError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://proxy:8080", Proxy("http", "proxy", 8080)),
        ("http://proxy", Proxy("http", "proxy", 80)),
        ("https://Proxy/", Proxy("https", "proxy", 443)),
        ("socks5h://proxy", Proxy("socks5h", "proxy", 1080)),
        ("socks4a://u:p%40@[::1]:9", Proxy("socks4a", "::1", 9, "u", "p@")),
        ("http://próxy", Proxy("http", "xn--prxy-rqa", 80)),
    ],
)
def test_parse_proxy(text: str, expected: Proxy) -> None:
    assert parse_proxy(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proxy:8080",
        "ftp://proxy",
        "http://",
        "http://proxy:0",
        "http://proxy:99999",
        "http://proxy/path",
        "http://proxy?query",
        "http://proxy#fragment",
        "http://user@proxy",
        "http://pro xy",
        "http://proxy\r\n",
        "http://[::1",
    ],
)
def test_invalid_proxy(text: str) -> None:
    with pytest.raises(InvalidProxy) as info:
        parse_proxy(text)
    assert info.value.proxy == text.replace("user@", "")


NAMES = ("ws", "wss", "socks", "http", "https", "all", "no")


@pytest.mark.parametrize(
    ("variables", "uri", "expected"),
    [
        ({}, "ws://h/", None),
        ({"http_proxy": "http://a"}, "ws://h/", "http://a"),
        ({"http_proxy": "http://a"}, "wss://h/", None),
        ({"https_proxy": "http://a", "http_proxy": "http://b"}, "ws://h/", "http://a"),
        (
            {"socks_proxy": "http://a:1", "https_proxy": "http://b"},
            "wss://h/",
            "socks5h://a:1",
        ),
        ({"ws_proxy": "http://a", "socks_proxy": "http://b"}, "ws://h/", "http://a"),
        ({"wss_proxy": "http://a", "no_proxy": "h"}, "wss://h/", None),
        ({"http_proxy": "http://a", "no_proxy": "other"}, "ws://h/", "http://a"),
    ],
)
def test_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    uri: str,
    expected: str | None,
) -> None:
    for name in NAMES:
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert get_proxy(parse_uri(uri)) == expected


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/2 200",
        b"HTTP/1.1 abc",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 2000",
    ],
)
def test_responses_that_are_not_http(head: bytes) -> None:
    with pytest.raises(ValueError):
        read_response(head + b"\r\n\r\n")


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof() if writer.can_write_eof() else writer.close()


@contextlib.asynccontextmanager
async def http_proxy(answer: bytes | None = None, **kwargs: Any) -> AsyncIterator[Any]:
    """A proxy that connects, or answers what it is told to; gives port and requests."""
    requests: list[str] = []
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            requests.append(head)
            if answer is not None:
                writer.write(answer)
                await reader.read()
                return
            host, _, port = head.split(" ")[1].rpartition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r")
            writer.write(b"\n\r\nHTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")
            await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))
            far_writer.close()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, **kwargs)
    try:
        yield server.sockets[0].getsockname()[1], requests
    finally:
        server.close()
        if tasks:
            await asyncio.wait(tasks, timeout=5)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("tls_to_proxy", [False, True])
async def test_through_an_http_proxy(
    environment: Any,
    serve: Any,
    connect: Any,
    uri_of: Any,
    echo: Any,
    certificates: Any,
    tls: bool,
    tls_to_proxy: bool,
) -> None:
    if tls and tls_to_proxy and environment.loop == "uvloop":
        pytest.skip("elsewhere: uvloop has no TLS in TLS")
    ours = {"ssl": certificates.server} if tls else {}
    theirs: dict[str, Any] = {"ssl": certificates.client} if tls else {}
    if tls_to_proxy:
        theirs["proxy_ssl"] = certificates.client
    scheme = "https" if tls_to_proxy else "http"
    proxy_ssl = {"ssl": certificates.server} if tls_to_proxy else {}
    async with serve(echo, "127.0.0.1", 0, **ours) as server:
        async with http_proxy(**proxy_ssl) as (port, requests):
            uri = uri_of(server, scheme="wss" if tls else "ws")
            async with connect(
                uri, proxy=f"{scheme}://user:pass@127.0.0.1:{port}", **theirs
            ) as ws:
                await ws.send("x" * 100_000)
                assert await ws.recv() == "x" * 100_000
    (request,) = requests
    target = uri.partition("://")[2].rstrip("/")
    assert request.startswith(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n")
    token = base64.b64encode(b"user:pass").decode()
    assert f"Proxy-Authorization: Basic {token}\r\n" in request


@pytest.mark.parametrize(
    ("answer", "exception"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", InvalidProxyStatus),
        (b"nonsense\r\n\r\n", InvalidProxyMessage),
        (b"HTTP/1.1 200 OK\r\n\r\nextra", InvalidProxyMessage),
        (b"x" * 40_000, InvalidProxyMessage),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\n\r\n", InvalidProxyStatus),
        (b"HTTP/1.1 102 x\r\n\r\n" * 4_000, InvalidProxyMessage),
        # At once, and not when open_timeout is over.
        (b"HTTP/1.1 200 OK\n\n", InvalidProxyMessage),
        (b"HTTP/1.1 200 OK\r\nA: b\n", InvalidProxyMessage),
        (b"HTTP/1.1 200 OK\r\rA: b", InvalidProxyMessage),
    ],
)
async def test_proxies_that_refuse(
    connect: Any, answer: bytes, exception: type[Exception]
) -> None:
    async with http_proxy(answer) as (port, _):
        with pytest.raises(exception):
            await connect(
                "ws://example.invalid/",
                proxy=f"http://127.0.0.1:{port}",
                open_timeout=None,
            )


async def test_silent_proxy(connect: Any) -> None:
    async with http_proxy(b"HTTP/1.1 2") as (port, _):
        with pytest.raises(TimeoutError):
            await connect(
                "ws://h.invalid/", proxy=f"http://127.0.0.1:{port}", open_timeout=0.2
            )


async def test_wrong_arguments(connect: Any) -> None:
    with pytest.raises(ValueError, match="http://"):
        await connect("ws://h/", proxy="http://127.0.0.1:1", proxy_ssl=True)
    with pytest.raises(ValueError, match="https://"):
        await connect("ws://h/", proxy="https://127.0.0.1:1", proxy_ssl=None)
    with pytest.raises(InvalidProxy):
        await connect("ws://h/", proxy="gopher://h")
    with pytest.raises(ValueError, match="more than a host"):
        await connect("ws://h/", proxy="http://127.0.0.1:1", host="h/path")


# SOCKS


@contextlib.asynccontextmanager
async def socks5_proxy(reply: int = 0) -> AsyncIterator[Any]:
    """RFC 1928 without authentication, CONNECT only."""
    targets: list[tuple[str, int]] = []
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            _, count = await reader.readexactly(2)
            await reader.readexactly(count)
            writer.write(b"\5\0")
            _, _, _, kind = await reader.readexactly(4)
            if kind == 3:
                (size,) = await reader.readexactly(1)
                host = (await reader.readexactly(size)).decode()
            else:
                host = ".".join(map(str, await reader.readexactly(4)))
            port = int.from_bytes(await reader.readexactly(2))
            targets.append((host, port))
            writer.write(bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]))
            if reply:
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))
            far_writer.close()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], targets
    finally:
        server.close()
        if tasks:
            await asyncio.wait(tasks, timeout=5)


async def test_through_a_socks_proxy(
    serve: Any, connect: Any, uri_of: Any, echo: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0) as server, socks5_proxy() as (port, targets):
        target = uri_of(server).replace("127.0.0.1", "name.invalid")
        async with connect(target, proxy=f"socks5h://127.0.0.1:{port}") as ws:
            await ws.send("x")
            assert await ws.recv() == "x"
        assert targets == [("name.invalid", server.sockets[0].getsockname()[1])]


async def test_socks_proxy_that_refuses(connect: Any) -> None:
    async with socks5_proxy(reply=2) as (port, _):
        with pytest.raises(ProxyError):
            await connect("ws://h.invalid/", proxy=f"socks5h://127.0.0.1:{port}")


async def test_hint_without_python_socks(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(ImportError, match=r"pip install 'pywscore\[proxy\]'"):
        await connect("ws://h.invalid/", proxy="socks5://127.0.0.1:1")


async def test_environment_is_used_by_default(
    serve: Any, uri_of: Any, echo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", "other.example")
    async with serve(echo, "127.0.0.1", 0) as server, http_proxy() as (port, requests):
        monkeypatch.setenv("ws_proxy", f"http://127.0.0.1:{port}")
        async with pywscore.connect(uri_of(server)) as ws:
            await ws.send("x")
            assert await ws.recv() == "x"
        assert len(requests) == 1
        async with pywscore.connect(uri_of(server), proxy=None):
            pass
        assert len(requests) == 1


def test_the_hint_names_the_extra() -> None:
    assert "[proxy]" in module._SOCKS_HINT
