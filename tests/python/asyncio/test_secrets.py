"""Passwords in addresses: they go to their peer only, and into no text."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import pywscore
from pywscore import Headers, Request, Response, parse_uri
from pywscore._shown import shown_url, without_user_info
from pywscore.asyncio._proxy import parse_proxy

pytestmark = pytest.mark.threat("SEC-1")

MARK = "s3cr3t"
USER = "pl4nted"
INFO = f"{USER}:{MARK}@"
# With these in it, what isn't encoded makes an address that can't be used.
WRONG = [f"{USER}:{MARK}{char}x@" for char in "/?# \\\n\x7f"]
WRONG += [f"{USER}:a{char}{MARK}@" for char in "/?# "]
WRONG += [f"{MARK}@"]


def texts_of(exc: BaseException | None) -> Iterator[str]:
    """All that can be read in an exception, and in those that it comes from."""
    seen: set[int] = set()
    left = [exc]
    while left:
        exc = left.pop()
        if exc is None or id(exc) in seen:
            continue
        seen.add(id(exc))
        yield from (str(exc), repr(exc), repr(exc.args), repr(vars(exc)))
        yield from traceback.format_exception(exc)
        if isinstance(exc, UnicodeError):
            yield repr(exc.object)
        left += exc.__cause__, exc.__context__


def assert_clean(*texts: str) -> None:
    token = base64.b64encode(f"{USER}:{MARK}".encode()).decode()
    for text in texts:
        for secret in (MARK, USER, token):
            # The lines of this file that a traceback quotes have the names only.
            assert secret not in text


@contextlib.contextmanager
def no_environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Iterator[None]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield


async def failure(coroutine: Any) -> BaseException:
    try:
        await coroutine
    except Exception as exc:
        return exc
    raise AssertionError("it worked")


# Addresses that are refused


URIS = [f"ws://{info}h/" for info in WRONG]
URIS += [
    f"ws://{USER}:%{MARK}@h/",
    f"ws://{USER}:%FF{MARK}@h/",
    f"ws://{USER}%3A:{MARK}@h/",
    f"http://{INFO}h/",
    f"{INFO}h",
    f"ws:{INFO}h",
    f"ws:/{INFO}h/",
    f"//{INFO}h/",
    f"ws:\\\\{INFO}h/",
    f" ws://{INFO}h/",
    f"ws://{INFO}",
    f"ws://{INFO}h:0/",
    f"ws://{INFO}h:99999/",
    f"ws://{INFO}h:port/",
    f"ws://{INFO}h/#x",
    f"ws://{INFO}h/%zz",
    f"ws://{INFO}[::1",
    f"ws://{INFO}[::g]/",
    f"ws://{INFO}h..h/",
    f"ws://{INFO}h/\ud800",
    f"ws://{INFO.replace('@', '%40')}h/@@#",
    f"ws://{USER}:1#{MARK}@h/",
    f"ws://{USER}:1#{MARK}%40h/",
]


@pytest.mark.parametrize("uri", URIS)
def test_refused_uri(uri: str) -> None:
    for use in (pywscore.connect, parse_uri, pywscore.ClientProtocol):
        with pytest.raises(pywscore.InvalidURI) as caught:
            use(uri)
        assert_clean(*texts_of(caught.value))


PROXIES = [f"http://{info}h:1" for info in WRONG]
PROXIES += [
    f"ftp://{INFO}h:1",
    f"{INFO}h:1",
    f"http:{INFO}h:1",
    f"http:/{INFO}h:1",
    f"//{INFO}h:1",
    f"http://{USER}:{MARK}",
    f"http://{USER}:{MARK}%40h:1",
    f"http://{USER}:{MARK}\uff20h:1",
    f"http://{USER}\uff1a{MARK}@h:1",
    f"http://{INFO}",
    f"http://{INFO}h:0",
    f"http://{INFO}h:99999",
    f"http://{INFO}h:port",
    f"http://{INFO}h:1/path",
    f"http://{INFO}h:1?query",
    f"http://{INFO}h:1#x",
    f"http://{INFO}[::1",
    f"http://{INFO}h..h.\u0130",
    f"socks5://{MARK}@h:1",
    f"http://{USER}:{MARK}\udcff@h:1",  # as os.environ has it
]


@pytest.mark.parametrize("proxy", PROXIES)
async def test_refused_proxy(
    connect: Any, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exc = await failure(connect("ws://h.invalid/", proxy=proxy))
    assert isinstance(exc, pywscore.exceptions.InvalidProxy)
    assert_clean(*texts_of(exc))
    with no_environment(monkeypatch, all_proxy="", ws_proxy=proxy, http_proxy=proxy):
        exc = await failure(connect("ws://h.invalid/", proxy=True))
    assert_clean(*texts_of(exc))


@pytest.mark.parametrize("info", [f"{USER}:{MARK}\xe4", f"\xe4{MARK}:x"])
async def test_socks_proxy_and_other_characters(connect: Any, info: str) -> None:
    """python-socks sends ASCII only, and says what isn't."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"\5\2")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for scheme in "socks5", "socks4":
            proxy = f"{scheme}://{info}@127.0.0.1:{port}"
            exc = await failure(connect("ws://h.invalid/", proxy=proxy))
            assert isinstance(exc, pywscore.exceptions.ProxyError)
            assert_clean(*texts_of(exc))


def test_shown_url() -> None:
    for uri in (
        "ws://h:1/@me?a=b@c",
        "ws://h/a%40b",
        "wss://[::1]:1/x",
        "ws://h:port/",
        "localhost:1",
        "http://proxy:80",
        "",
    ):
        assert shown_url(uri) == uri
    assert shown_url("WSS://a:b@H:1/x?y#z") == "WSS://H:1/x?y#z"
    assert shown_url("ws://a:b@h/@me") == "ws://..."
    for uri in (*URIS, *PROXIES):
        assert_clean(shown_url(uri))
        if "@" in uri:
            assert_clean(without_user_info(f"of '{uri}' and"))
        assert shown_url(shown_url(uri)) == shown_url(uri)


def test_representations() -> None:
    token = "Basic " + base64.b64encode(INFO[:-1].encode()).decode()
    headers = Headers(
        [
            ("Authorization", token),
            ("proxy-authorization", token),
            ("Cookie", MARK),
            ("Location", f"ws://{INFO}h/"),
        ]
    )
    shown = repr(headers)
    assert "'ws://h/'" in shown and shown.count("'...'") == 3
    assert_clean(
        shown,
        repr(Request("/", headers)),
        repr(Response(302, "Found", headers)),
        repr(parse_uri(f"ws://{INFO}h/")),
        repr(parse_proxy(f"http://{INFO}h:1")),
        repr(pywscore.connect(f"ws://{INFO}h/")),
        repr(pywscore.ClientProtocol(f"ws://{INFO}h/")),
    )


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\0", "\u2603"])
def test_token_that_cannot_be_sent(ending: str) -> None:
    """As when it was read from a file, with the line's end."""
    with pytest.raises(ValueError, match="Authorization") as caught:
        pywscore.connect(
            "ws://h/", additional_headers={"Authorization": f"Bearer {MARK}{ending}"}
        )
    assert_clean(*texts_of(caught.value))


# Connections that fail


ANSWERS = {
    "nothing": b"",
    "nonsense": b"nonsense\r\n\r\n",
    "401": b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
    "407": b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n",
    "503": b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
}
for where in (
    "ftp://{}h/",
    "ws://{}h/#x",
    "ws://{}h:0/",
    "ws://{}127.0.0.1:1/",
    "//{}",
):
    ANSWERS[f"to {where}"] = (
        f"HTTP/1.1 302 Found\r\nLocation: {where.format(INFO)}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


@contextlib.asynccontextmanager
async def answering(answer: bytes, **options: Any) -> AsyncIterator[Any]:
    """A server, or a proxy, that gives one answer; and the heads that it gets."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, **options)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


@pytest.mark.parametrize("answer", ANSWERS)
async def test_server_that_refuses(
    connect: Any, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with answering(ANSWERS[answer]) as (port, heads):
        for more in ({}, {"host": "127.0.0.1", "port": port}):
            uri = f"ws://{INFO}127.0.0.1:{port}/"
            exc = await failure(connect(uri, **more))
            assert_clean(*texts_of(exc), caplog.text)
        assert "Authorization: Basic " in heads[0]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("scheme", ["http", "socks5", "socks4"])
async def test_proxy_that_refuses(
    connect: Any, answer: str, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with answering(ANSWERS[answer]) as (port, _):
        proxy = f"{scheme}://{INFO}127.0.0.1:{port}"
        exc = await failure(
            connect(f"ws://{INFO}127.0.0.1:2/", proxy=proxy, open_timeout=0.1)
        )
        assert_clean(*texts_of(exc), caplog.text)


@pytest.mark.parametrize("scheme", ["", "http", "https", "socks5", "socks4a"])
async def test_nobody_there(
    connect: Any, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    proxy = f"{scheme}://{INFO}127.0.0.1:1" if scheme else None
    tries = 0

    async def reconnecting() -> None:
        async for _ in connect(
            f"ws://{INFO}127.0.0.1:1/",
            proxy=proxy,
            reconnect_delays=lambda: iter([0, 0]),
        ):
            pass

    exc = await failure(connect(f"ws://{INFO}127.0.0.1:1/", proxy=proxy))
    assert isinstance(exc, OSError)
    assert_clean(*texts_of(exc))
    exc = await failure(reconnecting())
    tries = caplog.text.count("next try in")
    assert tries == 2
    assert_clean(*texts_of(exc), caplog.text)


async def test_redirect_to_plain_text(
    serve: Any, connect: Any, uri_of: Any, certificates: Any
) -> None:
    def away(ws: Any, request: Any) -> Any:
        response = ws.respond(302, "")
        response.headers["Location"] = f"ws://{INFO}127.0.0.1:1/"
        return response

    async with serve(
        None,
        "127.0.0.1",
        0,
        ssl=certificates.server,
        process_request=away,
        listener=object,
    ) as server:
        exc = await failure(
            connect(uri_of(server, scheme="wss"), ssl=certificates.client)
        )
    assert "non-secure URI ws://127.0.0.1:1/" in str(exc)
    assert_clean(*texts_of(exc))


# Every way to name a host: the proxy's secrets go to the proxy


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@pytest.mark.parametrize(
    "names",
    [
        {"host": "127.0.0.1", "port": "PORT"},
        {"port": "PORT"},
        {"host": "127.0.0.1"},
        {"host": "127.0.0.1", "port": "PORT", "family": socket.AF_INET},
        {"host": "127.0.0.1", "port": "PORT", "local_addr": ("127.0.0.1", 0)},
        {"host": "127.0.0.1", "port": "PORT", "happy_eyeballs_delay": 0.1},
        {"host": "::1", "port": "PORT"},
        {"host": "a\r\nX: y", "port": "PORT"},
        {"host": "h:1/x?", "port": "PORT"},
        {"host": "a@127.0.0.1", "port": "PORT"},
        {"host": "", "port": "PORT"},
        {"host": "h", "port": "https"},
        {"proxy_host": "127.0.0.1", "proxy_port": "PORT"},
        {"proxy_port": "PORT"},
        {"host": "127.0.0.1", "proxy_port": "PORT"},
        {"proxy_sock": "SOCK"},
        {"sock": "SOCK"},
        {"sock": "SOCK", "host": "127.0.0.1", "port": "PORT"},
        {"unix": True, "path": "/nowhere"},
    ],
    ids=lambda names: " ".join(names),
)
@pytest.mark.parametrize("given", ["argument", "environment"])
async def test_secrets_of_the_proxy(
    connect: Any,
    names: dict[str, Any],
    scheme: str,
    given: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        answering(ANSWERS["nonsense"]) as (port, heads),
        answering(ANSWERS["407"]) as (proxy_port, proxy_heads),
    ):
        names = {name: port if it == "PORT" else it for name, it in names.items()}
        sock = None
        for name, it in names.items():
            if it == "SOCK":
                sock = names[name] = socket.create_connection(("127.0.0.1", port))
                sock.setblocking(False)
        proxy = f"{scheme}://{INFO}127.0.0.1:{proxy_port}"
        names["proxy"] = proxy if given == "argument" else True
        with no_environment(monkeypatch, ws_proxy=proxy):
            exc = await failure(
                connect("ws://example.invalid/x", open_timeout=0.5, **names)
            )
        if sock is not None:
            sock.close()
        assert_clean(*texts_of(exc), *heads)
        assert all(head.startswith("GET /x ") for head in heads)
        if isinstance(exc, (ValueError, TypeError)):
            assert heads == proxy_heads == []
        elif scheme == "http" and "sock" not in names and "unix" not in names:
            assert heads == []
            host = names.get("host", "example.invalid").replace("::1", "[::1]")
            target = f"{host}:{names.get('port', 80)}"
            assert proxy_heads[0].startswith(f"CONNECT {target} HTTP/1.1\r\n")


async def test_no_proxy_may_name_the_host(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(ANSWERS["401"]) as (port, heads):
        with no_environment(
            monkeypatch, ws_proxy=f"http://{INFO}127.0.0.1:1", no_proxy="127.0.0.1"
        ):
            exc = await failure(
                connect("ws://h.invalid/", proxy=True, host="127.0.0.1", port=port)
            )
        assert isinstance(exc, pywscore.InvalidStatus) and len(heads) == 1


# The command line


@pytest.mark.parametrize("command", ["connect", "bench"])
@pytest.mark.parametrize(
    ("uri", "proxy"),
    [
        (f"ws://{INFO}127.0.0.1:port/", ""),
        (f"ws://{USER}:a/{MARK}@127.0.0.1:1/", ""),
        (f"http://{INFO}127.0.0.1:1/", ""),
        (f"ws://{INFO}127.0.0.1:1/", ""),
        (f"ws://{INFO}h.invalid/", f"http://{INFO}127.0.0.1:1"),
        (f"ws://{INFO}h.invalid/", f"ftp://{INFO}127.0.0.1:1"),
        ("ws://h.invalid/", f"http://{USER}:{MARK}"),
        ("ws://h.invalid/", f"socks5://{INFO}127.0.0.1:1"),
    ],
)
def test_command_line(command: str, uri: str, proxy: str) -> None:
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pywscore", command, "-vv", uri],
        env=env | ({"ws_proxy": proxy} if proxy else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "pywscore: error: " in done.stderr
    assert_clean(done.stdout, done.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        [f"ws://{INFO}h/"],
        [f"{INFO}h"],
        ["connect", "ws://h/", f"ws://{USER}:{MARK} x@h/"],
        ["connect", "ws://h/", "--header", f"Authorization={MARK}"],
    ],
)
def test_wrong_use_of_the_command_line(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pywscore", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode in (1, 2)
    assert_clean(done.stdout, done.stderr)
