"""What docs/coming-from-websockets.md says of how pywscore differs from websockets: the
same small program over both, each row of the table by what comes of it in each."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import inspect
import logging
import re
import types
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import websockets.asyncio.client
import websockets.asyncio.server
import websockets.datastructures
import websockets.exceptions
import websockets.frames
import websockets.http11

import pywscore

PAGE = Path(__file__).resolve().parents[2] / "docs/coming-from-websockets.md"

THEIRS = types.SimpleNamespace(
    serve=websockets.asyncio.server.serve,
    connect=websockets.asyncio.client.connect,
    ServerConnection=websockets.asyncio.server.ServerConnection,
    broadcast=websockets.asyncio.server.broadcast,
    Close=websockets.frames.Close,
    Headers=websockets.datastructures.Headers,
    Request=websockets.http11.Request,
    ConnectionClosedError=websockets.exceptions.ConnectionClosedError,
    InvalidHandshake=websockets.exceptions.InvalidHandshake,
    InvalidURI=websockets.exceptions.InvalidURI,
)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
Program = Callable[[Any], Coroutine[Any, Any, Any]]


def frame(first: int, payload: bytes = b"", length: bytes | None = None) -> bytes:
    """From a client, with a masking key of zeros."""
    if length is None:
        length = bytes([0x80 | len(payload)])
    return bytes([first]) + length + bytes(4) + payload


class Raw:
    """A client that sends bytes."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self.reader, self.writer = reader, writer

    async def open(self, target: str = "/", *lines: str) -> str:
        head = (
            *(f"GET {target} HTTP/1.1", "Host: x", "Upgrade: websocket"),
            *("Connection: Upgrade", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
            *("Sec-WebSocket-Version: 13", *lines, "", ""),
        )
        self.writer.write("\r\n".join(head).encode())
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def close_code(self, timeout: float = 0.5) -> int | None:
        """Of a close frame without an extended length; None if none comes."""
        try:
            async with asyncio.timeout(timeout):
                while (await self.reader.readexactly(1)) != b"\x88":
                    await self.reader.readexactly((await self.reader.readexactly(1))[0])
                await self.reader.readexactly(1)
                return int.from_bytes(await self.reader.readexactly(2))
        except (TimeoutError, asyncio.IncompleteReadError):
            return None


async def wait(ws: Any) -> None:
    await ws.wait_closed()


@contextlib.asynccontextmanager
async def raw(lib: Any, handler: Any = wait, **options: Any) -> AsyncIterator[Raw]:
    async with lib.serve(handler, "127.0.0.1", 0, **options) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield Raw(reader, writer)
        writer.close()


async def received(lib: Any, data: bytes, handler: Any = wait) -> int | None:
    """The close code that is the answer, if one is."""
    async with raw(lib, handler, close_timeout=0.1) as client:
        await client.open()
        client.writer.write(data)
        return await client.close_code()


async def received_as_bytes(lib: Any, data: bytes) -> int | None:
    async def handler(ws: Any) -> None:
        await ws.recv(decode=False)
        await ws.wait_closed()

    return await received(lib, data, handler)


async def streamed(lib: Any, use: Any) -> Any:
    """What a handler makes of three messages, the first of them two fragments."""
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def handler(ws: Any) -> None:
        await asyncio.sleep(0.1)  # all of it has come
        try:
            done.set_result(await use(ws))
        except Exception as exc:
            done.set_result(type(exc).__name__)

    async with raw(lib, handler) as client:
        await client.open()
        client.writer.write(frame(1, b"a") + frame(0x80, b"b") + frame(0x81, b"c"))
        return await done


async def all_fragments(ws: Any) -> list[Any]:
    return [fragment async for fragment in ws.recv_streaming()]


async def broken_off(ws: Any) -> Any:
    async for _ in ws.recv_streaming():
        break
    return await ws.recv()


async def refused(lib: Any, max_size: Any) -> str | None:
    try:
        async with lib.serve(wait, "127.0.0.1", 0, max_size=max_size):
            return None
    except Exception as exc:
        return type(exc).__name__


async def status(lib: Any, *lines: str, **options: Any) -> int:
    async with raw(lib, **options) as client:
        return int((await client.open("/", *lines)).split()[1])


async def mended(lib: Any) -> int:
    def process_request(ws: Any, request: Any) -> None:
        del request.headers["Origin"]
        request.headers["Origin"] = "http://here"

    origin = "Origin: http://elsewhere"
    options = {"origins": ["http://here"], "process_request": process_request}
    return await status(lib, origin, **options)


async def not_offered(lib: Any) -> int:
    offer = "Sec-WebSocket-Protocol: a"
    return await status(lib, offer, select_subprotocol=lambda ws, offered: "b")


async def absolute(lib: Any) -> str:
    paths: list[str] = []

    def process_request(ws: Any, request: Any) -> None:
        paths.append(request.path)

    async with raw(lib, process_request=process_request) as client:
        await client.open("http://x/path")
    return paths[0]


async def redirected(lib: Any) -> tuple[int, list[bool]]:
    """How often a redirect is asked for by two connections, and what is sent on."""
    asked = 0
    sent: list[bool] = []

    def elsewhere(ws: Any, request: Any) -> Any:
        nonlocal asked
        asked += 1
        response = ws.respond(302, "")
        response.headers["Location"] = f"ws://localhost:{port}/"
        return response

    def note(ws: Any, request: Any) -> None:
        sent.append("X-Mine" in request.headers)

    async with lib.serve(wait, "localhost", 0, process_request=note) as second:
        port = second.sockets[0].getsockname()[1]
        async with lib.serve(wait, "127.0.0.1", 0, process_request=elsewhere) as first:
            uri = f"ws://127.0.0.1:{first.sockets[0].getsockname()[1]}/"
            headers = {"X-Mine": "1"}
            tries = 0
            async for ws in lib.connect(uri, proxy=None, additional_headers=headers):
                await ws.close()
                if (tries := tries + 1) == 2:
                    break
    return asked, sent


def overriding(lib: Any, base: str, name: str) -> str | None:
    try:
        type("Own", (getattr(lib, base),), {name: lambda *args: None})
    except TypeError:
        return "TypeError"
    return None


async def overrides(lib: Any) -> list[str | None]:
    return [
        overriding(lib, "connect", "open_tcp_connection"),
        overriding(lib, "ServerConnection", "handshake"),
        overriding(lib, "ServerConnection", "recv"),
    ]


async def proxied(lib: Any) -> str:
    """What a proxy is asked for with ``host=`` and ``port=``."""
    lines: list[bytes] = []

    async def proxy(reader: Any, writer: Any) -> None:
        lines.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with contextlib.suppress(Exception):
            await lib.connect(
                "ws://there/", proxy=f"http://127.0.0.1:{port}", host="h", port=9
            )
    return lines[0].decode().split()[1] if lines else ""


async def secret(lib: Any) -> list[bool]:
    headers = repr(lib.Headers({"Cookie": "secret"}))
    uri = lib.InvalidURI("ws://me:secret@x/", "?").uri
    return ["secret" in text for text in (uri, headers)]


async def headers(lib: Any) -> list[str | None]:
    found: list[str | None] = []
    for make in (
        lambda: lib.Headers({"a b": "1"}),
        lambda: lib.Headers({"a": "\n"}),
        lambda: lib.connect("ws://x/", additional_headers={"Upgrade": "x"}),
    ):
        try:
            made = make()
            if isinstance(made, lib.Headers):
                made.serialize()
            found.append(None)
        except Exception as exc:
            found.append(type(exc).__name__)
    return found


async def made_with(lib: Any) -> set[str]:
    found: set[str] = set()

    class Own(lib.ServerConnection):  # type: ignore[misc, name-defined]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            found.update(kwargs)
            super().__init__(*args, **kwargs)

    async with raw(lib, create_connection=Own) as client:
        await client.open()
    return found & {"options", "ping_interval"}


async def closed(lib: Any) -> tuple[int, int]:
    """Warnings of ``code``, and errors in the log of a handler that ends by it."""

    async def handler(ws: Any) -> None:
        await ws.recv()

    records: list[logging.LogRecord] = []
    watching = logging.Handler(logging.ERROR)
    watching.emit = records.append  # type: ignore[method-assign]
    logger = logging.Logger("own")
    logger.addHandler(watching)
    async with raw(lib, handler, logger=logger) as client:
        await client.open()
        client.writer.write(frame(0x88, (4000).to_bytes(2)))
        await client.reader.read()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert lib.ConnectionClosedError(None, None).code == 1006
    return len(told), len(records)


async def not_messages(lib: Any) -> list[tuple[str, bool]]:
    """Fragments that can't be sent, and whether the connection is open then."""
    found = []

    async def handler(ws: Any) -> None:
        for fragments in ([5, "a"], ["a", 5]):
            try:
                await ws.send(fragments)
            except Exception as exc:
                found.append((type(exc).__name__, ws.state.name == "OPEN"))

    async with raw(lib, handler) as client:
        await client.open()
        await client.reader.read()
    return found


async def not_http(lib: Any) -> int | None:
    async with raw(lib) as client:
        client.writer.write(b"nonsense\r\n\r\n")
        answer = await client.reader.read()
        return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else None


async def http_1_0(lib: Any) -> str:
    async def server(reader: Any, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 101 Switching Protocols\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        try:
            await lib.connect(f"ws://127.0.0.1:{port}/", proxy=None)
        except lib.InvalidHandshake as exc:
            return type(exc).__name__
    return ""


async def keepalive_changed(lib: Any) -> bool:
    async def handler(ws: Any) -> None:
        ws.close_timeout = 1
        try:
            ws.ping_interval = 1
        except AttributeError:
            return
        done.append(True)

    done: list[bool] = []
    async with raw(lib, handler) as client:
        await client.open()
        await client.reader.read(2)
    return bool(done)


async def reads_on(lib: Any) -> bool:
    """With a message of 40 fragments in the queue, which may hold 16."""
    done: list[bool] = []

    async def handler(ws: Any) -> None:
        await asyncio.sleep(0.1)
        done.append(ws.transport.is_reading())

    async with raw(lib, handler) as client:
        await client.open()
        client.writer.write(frame(1, b"x") + frame(0, b"x") * 38 + frame(0x80))
        await client.reader.read(2)
    return done[0]


async def closed_when_full(lib: Any) -> int:
    """The close code for a handler that takes no message."""
    done: list[int] = []

    async def handler(ws: Any) -> None:
        await asyncio.sleep(0.1)
        await ws.close()
        done.append(ws.close_code)

    async with raw(lib, handler, max_queue=1, close_timeout=0.5) as client:
        await client.open()
        client.writer.write(frame(0x81, b"x" * 100) * 2000)
        with contextlib.suppress(ConnectionError):  # theirs has given up
            await client.reader.readexactly(4)
            client.writer.write(frame(0x88, b"\x03\xe8"))
            await client.reader.read()
    return done[0]


async def waits_for_slow_readers(lib: Any) -> bool:
    """Whether what is broadcast to one who reads nothing waits for it."""
    done: list[int] = []

    async def handler(ws: Any) -> None:
        for _ in range(40):
            lib.broadcast([ws], bytes(1 << 20))
        done.append(ws.transport.get_write_buffer_size())

    async with raw(lib, handler) as client:
        await client.open()
        while not done:
            await asyncio.sleep(0.01)
    return done[0] > 10 << 20


async def default_write_limit(lib: Any) -> Any:
    serve = lib.serve.__init__ if inspect.isclass(lib.serve) else lib.serve
    return inspect.signature(serve).parameters["write_limit"].default


async def parses(lib: Any) -> list[bool]:
    return [hasattr(each, "parse") for each in (lib.Request, lib.Close)]


def has(module: str) -> Program:
    async def program(lib: Any) -> bool:
        package = "websockets" if lib is THEIRS else "pywscore"
        return importlib.util.find_spec(f"{package}.{module}") is not None

    return program


def calls(function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Program:
    return lambda lib: function(lib, *args)


# Of each row: what comes of programs with websockets, and with pywscore.
ROWS: dict[str, list[tuple[Program, Any, Any]]] = {
    "`recv_streaming()`": [
        (calls(streamed, all_fragments), ["a", "b"], ["ab"]),
        (calls(streamed, broken_off), "ConcurrencyError", "c"),
    ],
    "wrong frames": [
        (calls(received, frame(1, b"\xff")), None, 1007),
        (calls(received_as_bytes, frame(0x81, b"\xff")), None, 1007),
        (calls(received, frame(0x82, b"x", b"\xfe\x00\x01")), None, 1002),
        (calls(received, frame(1) + frame(0) * 1100), None, 1008),
    ],
    "`max_size`": [(calls(refused, (None, 10)), None, "ValueError")],
    "`max_queue`": [(reads_on, False, True)],
    "`write_limit`": [(default_write_limit, 2**15, (2**16, 2**14))],
    "`close()`, `close_timeout`": [(closed_when_full, 1006, 1000)],
    "`broadcast()`": [(waits_for_slow_readers, True, False)],
    "`process_request`": [
        (mended, 101, 403),
        (absolute, "http://x/path", "/path"),
    ],
    "`select_subprotocol`": [(not_offered, 101, 500)],
    "redirects": [(redirected, (1, [True, True]), (2, [False, False]))],
    "subclasses": [(overrides, [None, None, None], ["TypeError", "TypeError", None])],
    "`connect(host=, port=)`": [(proxied, "", "h:9")],
    "secrets": [(secret, [True, True], [False, False])],
    "`Headers`": [
        (headers, [None, "InvalidHeaderValue", None], ["ValueError"] * 3),
    ],
    "`create_connection=`": [
        (made_with, {"ping_interval"}, {"options"}),
        (keepalive_changed, True, False),
    ],
    "`ConnectionClosed`": [(closed, (1, 1), (0, 0))],
    "`send()` of fragments that aren't messages": [
        (
            not_messages,
            [("TypeError", False), ("ConnectionClosedError", False)],
            [("TypeError", True), ("TypeError", False)],
        )
    ],
    "texts": [
        (not_http, None, 400),
        (http_1_0, "InvalidMessage", "InvalidProtocol"),
    ],
    "`extensions=`": [(has("extensions.base"), True, False)],
    "the sans-IO objects": [(parses, [True, True], [False, False])],
    "threads, Trio": [(has("sync"), True, False), (has("trio"), True, False)],
    "`websockets.legacy`": [(has("legacy.framing"), True, False)],
}
# What takes too long, or is no program's business.
ELSEWHERE = {
    "a peer that reads nothing": "test_slow_readers.py",
    "the log": "test_logged.py",
    "environment variables": "test_websockets_names.py",
}


def topics() -> list[str]:
    """The first column of the page's table."""
    rows = PAGE.read_text(encoding="utf-8").partition("| topic |")[2]
    return re.findall(r"^\| (.+?) \| ", rows, re.MULTILINE)


def test_each_row_is_held() -> None:
    assert sorted(topics()) == sorted([*ROWS, *ELSEWHERE])
    files = {file.name for file in PAGE.parents[1].glob("tests/python/**/test_*.py")}
    assert files >= set(ELSEWHERE.values())


@pytest.mark.parametrize(
    ("program", "theirs", "ours"),
    [pytest.param(*each, id=topic) for topic in ROWS for each in ROWS[topic]],
)
def test_row(program: Program, theirs: Any, ours: Any) -> None:
    async def outcomes() -> tuple[Any, Any]:
        async with asyncio.timeout(60):
            return await program(THEIRS), await program(pywscore)

    assert asyncio.run(outcomes()) == (theirs, ours)
