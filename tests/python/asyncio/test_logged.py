"""What is said in the log: frames, heads and states at DEBUG, in websockets' words, and
that connections open and close, at INFO; and nothing of it while it isn't wanted."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import websockets.asyncio.client
import websockets.asyncio.server
from websockets.frames import Frame
from websockets.frames import Opcode as TheirOpcode

import pywscore
from pywscore import _core
from pywscore._shown import MAX_TEXT
from pywscore.asyncio._frame_text import escaped, frame_text
from pywscore.asyncio._log import LimitedLogger, Lines

Line = tuple[str, str]

# What isn't the same in two runs, or says who it is.
_CHANGING = re.compile(r"(?<=[<>] )(Host|Date|Server|User-Agent|Sec-WebSocket-\w+): .*")
# How TCP is ended is each one's own.
_OF_TCP = ("> EOF", "x half-closing TCP connection", "x closing TCP connection")


class Records(logging.Handler):
    """What a logger of its own got."""

    def __init__(self, level: int = logging.DEBUG) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.logger = logging.Logger("test", level)
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def lines(self) -> list[Line]:
        return [(r.levelname, r.getMessage()) for r in self.records]

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def records() -> Iterator[Records]:
    yield Records()


# Frames in words ------------------------------------------------------------------

PIECES = ["a", "é", "😀", "\n", "\x00", "\u202e", '"', "'", "\\", "\x7f", "日"]


def payloads() -> Iterator[bytes]:
    chance = random.Random(14)
    for limit in (1, 5, 20, 80, 140, 400) * 30:
        some = PIECES[: chance.choice([1, 3, len(PIECES)])]
        text = "".join(chance.choices(some, k=chance.randrange(limit + 1))).encode()
        yield from (text, text[1:], text[:-1], chance.randbytes(len(text)))


def test_frames_are_written_as_websockets_writes_them() -> None:
    for payload in payloads():
        if len(payload) < 5 and payload[:1] > b"\x7f":
            continue  # of fewer than a code point's bytes theirs says nearly anything
        shown = payload if len(payload) <= 300 else payload[:200] + payload[-100:]
        for fin in (True, False):
            for opcode in (0, 1, 2):
                theirs = str(Frame(TheirOpcode(opcode), payload, fin))
                assert frame_text(opcode, fin, len(payload), shown) == theirs
        for opcode in (9, 10):
            control = payload[:125]
            theirs = str(Frame(TheirOpcode(opcode), control))
            assert frame_text(opcode, True, len(control), control) == theirs


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 1014, 1016, 2999, 3000, 4999])
@pytest.mark.parametrize("reason", [b"", b"going", "é".encode(), b"\xff", b"x" * 123])
def test_close_frames_too(code: int, reason: bytes) -> None:
    payload = code.to_bytes(2, "big") + reason
    for data in (payload, payload[:2], payload[:1], b""):
        theirs = str(Frame(TheirOpcode.CLOSE, data))
        assert frame_text(8, True, len(data), data) == theirs


@pytest.mark.threat("LOG-2")
@pytest.mark.parametrize("opcode", [0, 1, 2, 8, 9, 10])
def test_frames_are_one_line_of_what_can_be_printed(opcode: int) -> None:
    for payload in [b"\x03\xe8\r\n\x1b[2J\xc2\x9b\xe2\x80\xae", *payloads()]:
        shown = payload if len(payload) <= 300 else payload[:200] + payload[-100:]
        for data in (shown, b"\x03\xe8" + shown[:123]):
            text = frame_text(opcode, False, len(data), data)
            assert text.isprintable()
            assert len(text) < 130


def test_escaped() -> None:
    assert escaped("it's é \\x") == "it's é \\x"
    assert escaped("a\r\nb") == r"a\r\nb"


# The same conversation ------------------------------------------------------------


async def handler(ws: Any) -> None:
    async for message in ws:
        await ws.send(message)


async def converse(ws: Any) -> None:
    """One line at a time, so that there is one order."""
    for message in ("hé\n", b"\0" * 50, "x" * 1000, "", b"", bytes(range(256)) * 300):
        await ws.send(message)
        assert await ws.recv() == message
    await ws.send(["a", "b"])
    assert await ws.recv() == "ab"
    await (await ws.ping(b"\x00\x01"))
    await (await ws.ping("text"))
    await ws.pong("nobody asked")
    await ws.send("last")
    assert await ws.recv() == "last"
    await ws.close(1001, "bye")


def comparable(records: Records) -> list[Line]:
    """Heads as sets: their order is each one's own."""
    lines: list[Line] = []
    heads: set[str] = set()
    for level, text in records.lines:
        if text in _OF_TCP or text.startswith("server "):
            continue
        if match := _CHANGING.search(text):
            heads.add(text[:2] + match[1])
            continue
        if level == "INFO":
            text = text.replace(": 1001 (going away) bye", "")  # ours says more
        lines.append((level, text))
    return [*lines, *(("HEAD", head) for head in sorted(heads - {"> Date", "< Date"}))]


async def talk(serve: Any, connect: Any, **which: Records) -> None:
    loggers = {side: records.logger for side, records in which.items()}
    quiet = logging.Logger("quiet", logging.CRITICAL)
    async with serve(
        handler, "127.0.0.1", 0, logger=loggers.get("server", quiet)
    ) as server:
        port = server.sockets[0].getsockname()[1]
        uri = f"ws://127.0.0.1:{port}/path?query"
        async with connect(uri, logger=loggers.get("client", quiet)) as ws:
            await converse(ws)


@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize("compression", ["deflate", None])
async def test_the_log_is_that_of_websockets(
    serve: Any, connect: Any, side: str, compression: Any
) -> None:
    def both(function: Any) -> Callable[..., Any]:
        return lambda *args, **kw: function(*args, compression=compression, **kw)

    theirs, ours = Records(), Records()
    await talk(
        both(websockets.asyncio.server.serve),
        both(websockets.asyncio.client.connect),
        **{side: theirs},
    )
    await talk(both(serve), both(connect), **{side: ours})
    assert len(ours.records) > 40
    assert comparable(ours) == comparable(theirs)
    for records in (theirs, ours):
        assert all(hasattr(r, "websocket") for r in records.records[3:-3])


@pytest.mark.parametrize("side", ["server", "client"])
def test_loggers_are_named_alike(side: str) -> None:
    if side == "client":
        ours: Any = pywscore.connect("ws://h/")._log.logger
    else:
        ours = pywscore.serve(handler, "127.0.0.1", 0).logger
    assert ours.name == f"pywscore.{side}"


# When it is said ------------------------------------------------------------------


async def test_nothing_is_traced_while_nobody_wants_it(
    serve: Any, connect: Any, uri_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any) -> None:
        raise AssertionError

    records = Records(logging.INFO)
    for name in ("_on_frames", "_on_head_received"):
        monkeypatch.setattr(pywscore.Connection, name, never)
    async with serve(handler, "127.0.0.1", 0, logger=records.logger) as server:
        async with connect(uri_of(server), logger=records.logger) as ws:
            records.logger.setLevel(logging.DEBUG)  # too late for this one
            await converse(ws)
    assert [line for line in records.lines if not line[1].startswith("server")] == [
        ("INFO", "connection open"),
        ("INFO", "connection closed: 1001 (going away) bye"),
    ]


async def test_frames_are_said_before_what_they_cause(
    serve: Any, connect: Any, uri_of: Any, records: Records
) -> None:
    say = records.logger.info

    class Listener(pywscore.Listener):
        def on_open(self, ws: Any) -> None:
            say("on_open")

        def on_message(self, ws: Any, message: Any) -> None:
            say("on_message %s", message)
            ws.send_nowait(message)
            say("sent")

        def on_ping(self, ws: Any, data: bytes) -> None:
            say("on_ping")

        def on_close(self, ws: Any, code: int, reason: str) -> None:
            say("on_close")

    async with serve(
        None, "127.0.0.1", 0, listener=Listener, logger=records.logger
    ) as server:
        async with connect(uri_of(server)) as ws:
            await ws.send("one")
            await ws.recv()
            await (await ws.ping("p"))
    texts = records.texts
    begin = texts.index("= connection is OPEN")
    assert texts[begin : texts.index("server closing")] == [
        "= connection is OPEN",
        "connection open",
        "on_open",
        "< TEXT 'one' [3 bytes]",
        "on_message one",
        "> TEXT 'one' [3 bytes]",
        "sent",
        "< PING 'p' [text, 1 byte]",
        "> PONG 'p' [text, 1 byte]",
        "on_ping",
        "< CLOSE 1000 (OK) [2 bytes]",
        "> CLOSE 1000 (OK) [2 bytes]",
        "= connection is CLOSING",
        "x closing TCP connection",
        "= connection is CLOSED",
        "connection closed: 1000 (OK)",
        "on_close",
    ]


async def test_a_frame_for_many_is_said_by_each(
    serve: Any, connect: Any, uri_of: Any, records: Records
) -> None:
    async with serve(handler, "127.0.0.1", 0, logger=records.logger) as server:
        async with connect(uri_of(server)) as one, connect(uri_of(server)) as other:
            pywscore.broadcast(server.connections, "all")
            assert (await one.recv(), await other.recv()) == ("all", "all")
    assert records.texts.count("> TEXT 'all' [3 bytes]") == 2


async def test_keepalive(serve: Any, connect: Any, uri_of: Any) -> None:
    alive, mute = Records(), Records()
    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(uri_of(server), logger=alive.logger, ping_interval=0.02):
            while "% received keepalive pong" not in alive.texts:
                await asyncio.sleep(0.01)
    begin = alive.texts.index("% sent keepalive ping")
    assert alive.texts[begin - 1].startswith("> PING ")
    assert alive.texts[begin + 1].startswith("< PONG ")
    assert alive.texts[begin + 2] == "% received keepalive pong"

    async def silent(reader: Any, writer: Any) -> None:
        key = re.search(r"Key: (\S+)", (await reader.readuntil(b"\r\n\r\n")).decode())
        assert key is not None
        accept = pywscore.accept_key(key[1])
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n" % accept.encode()
        )
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    ws = await connect(
        f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/",
        logger=mute.logger,
        ping_interval=0.02,
        ping_timeout=0.02,
        close_timeout=0.1,
    )
    await ws.wait_closed()
    server.close()
    begin = mute.texts.index("- timed out waiting for keepalive pong")
    assert mute.texts[begin + 1 : begin + 3] == [
        "> CLOSE 1011 (internal error) keepalive ping timeout [24 bytes]",
        "= connection is CLOSING",
    ]


async def test_ends_without_a_close_frame(
    serve: Any, connect: Any, uri_of: Any, records: Records
) -> None:
    async with serve(handler, "127.0.0.1", 0, logger=records.logger) as server:
        ws = await connect(uri_of(server))
        ws.transport.abort()
        await ws.wait_closed()
    closed = "connection closed: no close frame received or sent"
    assert ("INFO", closed) in records.lines
    assert "= connection is CLOSING" not in records.texts
    assert "= connection is CLOSED" in records.texts


async def test_who_is_not_let_in(
    serve: Any, connect: Any, uri_of: Any, records: Records
) -> None:
    async with serve(
        handler, "127.0.0.1", 0, logger=records.logger, origins=["https://a.example"]
    ) as server:
        with pytest.raises(pywscore.InvalidStatus):
            await connect(uri_of(server), logger=records.logger)
    assert "> HTTP/1.1 403 Forbidden" in records.texts
    assert "< HTTP/1.1 403 Forbidden" in records.texts
    assert ("INFO", "connection rejected (403 Forbidden)") in records.lines
    assert not any("connection closed" in text for text in records.texts)
    bodies = [text for text in records.texts if "[body]" in text]
    assert len(bodies) == 2 and re.fullmatch(r"> \[body\] \(\d+ bytes\)", bodies[0])


async def test_a_redirect_that_is_followed_is_no_failure(
    serve: Any, connect: Any, uri_of: Any, records: Records
) -> None:
    def elsewhere(ws: Any, request: pywscore.Request) -> pywscore.Response | None:
        if request.path == "/there":
            return None
        response = ws.respond(302, "")
        response.headers["Location"] = "/there"
        return response  # type: ignore[no-any-return]

    async with (
        serve(handler, "127.0.0.1", 0, process_request=elsewhere) as server,
        connect(uri_of(server), logger=records.logger),
    ):
        pass
    assert not any("fail" in text for text in records.texts)
    assert all(level == "DEBUG" for level, _ in records.lines)
    assert "< HTTP/1.1 302 Found" in records.texts
    assert "> GET /there HTTP/1.1" in records.texts


# What peers can't do to it --------------------------------------------------------


@pytest.mark.threat("LOG-2")
async def test_heads_have_no_secrets_and_no_control_characters(
    serve: Any, connect: Any, uri_of: Any, records: Records
) -> None:
    headers = {
        "Authorization": "Basic c2VjcmV0",
        "Cookie": "session=secret",
        "X-Long": "y" * 5000,
        "X-Odd": "tab\there \x9b2J",
    }
    async with serve(handler, "127.0.0.1", 0, logger=records.logger) as server:
        async with connect(
            uri_of(server),
            logger=records.logger,
            additional_headers=headers,
        ):
            pass
    for sign in "<>":
        assert f"{sign} Authorization: ..." in records.texts
        assert f"{sign} Cookie: ..." in records.texts
        odd = rf"{sign} X-Odd: tab\there " + "\\"
        assert any(text.startswith(odd) for text in records.texts)
    assert not any("secret" in text or "c2Vj" in text for text in records.texts)
    assert all(text.isprintable() for text in records.texts)
    assert max(map(len, records.texts)) < 2 * MAX_TEXT + 10


@pytest.mark.threat("LOG-1")
async def test_many_frames_are_counted(
    serve: Any, connect: Any, uri_of: Any, records: Records
) -> None:
    async with serve(handler, "127.0.0.1", 0, logger=records.logger) as server:
        async with connect(uri_of(server)) as ws:
            await ws.send(["x"] * 20_000)
            assert len(await ws.recv()) == 20_000
    seconds = {int(record.created) for record in records.records}
    assert len(records.records) <= 1020 * (len(seconds) + 1)
    assert any(text.endswith("more lines were left out") for text in records.texts)


@pytest.mark.threat("LOG-1")
def test_what_peers_do_hides_neither_connections_nor_errors() -> None:
    records = Records()
    log = LimitedLogger(records.logger)
    for number in range(3000):
        log.log(logging.DEBUG, "frame", kind=Lines.TRACE)
        log.log(logging.INFO, "peer %d", number)
    before = len(records.records)
    log.log(logging.INFO, "connection open", kind=Lines.CONNECTIONS)
    log.log(logging.ERROR, "error")
    assert [text for _, text in records.lines[before:]] == ["connection open", "error"]
    assert not LimitedLogger(None).is_enabled_for(10)  # type: ignore[arg-type]


# Handlers that do something -------------------------------------------------------


class Doing(Records):
    """Does something at each line, with the connection that it is of."""

    def __init__(self, what: Callable[[Any], Any], first: int = 0) -> None:
        super().__init__()
        self.what = what
        self.first = first

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        if hasattr(record, "websocket") and len(self.records) > self.first:
            self.what(record.websocket)


def abort(ws: Any) -> None:
    ws.transport.abort()


def close(ws: Any) -> None:
    if ws.state is pywscore.State.OPEN:
        ws.close_nowait(4000, "from the log")


def lose(ws: Any) -> None:
    if not ws._lost and ws.transport is not None:
        ws.transport.abort()
        ws.connection_lost(None)


def send(ws: Any) -> None:
    if ws.state is pywscore.State.OPEN:
        ws.send_nowait("again")


def fail(ws: Any) -> None:
    raise ZeroDivisionError


def collect(ws: Any) -> None:
    gc.collect(0)
    ws.flush()


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("what", [abort, close, lose, send, fail, collect])
async def test_log_handlers_may_do_anything(
    serve: Any, connect: Any, uri_of: Any, what: Any, listens: bool
) -> None:
    class Echo(pywscore.Listener):
        def on_message(self, ws: Any, message: Any) -> None:
            ws.send_nowait(message)

    for first in range(12, 30, 2):  # after so many lines
        records = Doing(what, first)
        arguments = {"handler": None, "listener": Echo} if listens else {}
        async with serve(
            **({"handler": handler} | arguments),
            host="127.0.0.1",
            port=0,
            logger=records.logger,
            close_timeout=1,
        ) as server:
            try:
                async with connect(uri_of(server), close_timeout=1) as ws:
                    await ws.send("one")
                    await ws.recv()
                    await ws.ping("p")
                    await ws.send(["two", "three"])
                    await ws.recv()
            except (pywscore.ConnectionClosed, pywscore.InvalidHandshake, OSError):
                pass
        assert records.texts.count("= connection is CLOSED") == 1
        assert len(records.records) < 200


@pytest.mark.parametrize("carrier", ["transport", "auto"])
@pytest.mark.parametrize("leaving", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_does(carrier: Any, leaving: type[BaseException]) -> None:
    async def main() -> None:
        def what(ws: Any) -> None:
            if "TEXT" in records.texts[-1]:
                raise leaving

        records = Doing(what)
        async with pywscore.serve(
            handler, "127.0.0.1", 0, logger=records.logger, carrier=carrier
        ) as server:
            port = server.sockets[0].getsockname()[1]
            async with pywscore.connect(f"ws://127.0.0.1:{port}/", proxy=None) as ws:
                await ws.send("x")
                await ws.recv()

    with pytest.raises(leaving):
        asyncio.run(main())


# asyncio's own eyes ---------------------------------------------------------------


@pytest.mark.parametrize("carrier", ["transport", "auto"])
def test_in_debug_mode_the_slow_task_is_named(
    carrier: Any, caplog: pytest.LogCaptureFixture
) -> None:
    slept = 0.0

    async def slow_handler(ws: Any) -> None:
        nonlocal slept
        async for message in ws:
            slept += 0.12
            await ws.send(message)

    async def main() -> None:
        # What else the machine does takes no time, so nothing else is slow.
        loop, began = asyncio.get_running_loop(), time.monotonic() - time.thread_time()
        loop.time = lambda: began + time.thread_time() + slept  # type: ignore[method-assign]
        async with pywscore.serve(
            slow_handler, "127.0.0.1", 0, carrier=carrier
        ) as server:
            port = server.sockets[0].getsockname()[1]
            async with pywscore.connect(f"ws://127.0.0.1:{port}/", proxy=None) as ws:
                for _ in range(3):
                    await ws.send("x")
                    await ws.recv()

    with caplog.at_level(logging.WARNING, "asyncio"):
        asyncio.run(main(), debug=True)
    slow = [text for text in caplog.messages if text.startswith("Executing")]
    assert len(slow) == 3
    assert all("slow_handler" in text for text in slow)


class SlowListener:
    slow = "on_message"

    def __init__(self) -> None:
        self.be_slow("__init__")

    def be_slow(self, name: str) -> None:
        if name == self.slow:
            time.sleep(0.12)

    def on_open(self, ws: Any) -> None:
        self.be_slow("on_open")

    def on_message(self, ws: Any, message: Any) -> None:
        self.be_slow("on_message")
        ws.send_nowait(message)

    def on_ping(self, ws: Any, data: bytes) -> None:
        self.be_slow("on_ping")

    def on_pong(self, ws: Any, data: bytes) -> None:
        self.be_slow("on_pong")

    def on_close(self, ws: Any, code: int, reason: str) -> None:
        self.be_slow("on_close")

    @classmethod
    def select(cls, ws: Any, offered: list[str]) -> None:
        if cls.slow == "select":
            time.sleep(0.12)


@pytest.mark.parametrize("carrier", ["transport", "auto"])
@pytest.mark.parametrize(
    "name",
    ["on_open", "on_message", "on_ping", "on_pong", "on_close", "select", "__init__"],
)
def test_in_debug_mode_the_slow_callback_is_named(
    carrier: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    listener = type("Slow", (SlowListener,), {"slow": name})

    async def main() -> None:
        async with pywscore.serve(
            None,
            "127.0.0.1",
            0,
            listener=listener,
            carrier=carrier,
            select_subprotocol=listener.select,
        ) as server:
            port = server.sockets[0].getsockname()[1]
            async with pywscore.connect(f"ws://127.0.0.1:{port}/", proxy=None) as ws:
                await ws.pong()
                await (await ws.ping())
                for _ in range(3):
                    await ws.send("x")
                    await ws.recv()

    with caplog.at_level(logging.WARNING, "asyncio"):
        asyncio.run(main(), debug=True)
    slow = [text for text in caplog.messages if text.startswith("Executing")]
    named = "Slow" if name == "__init__" else f"SlowListener.{name}()"
    times = 3 if name == "on_message" else 1
    assert len([text for text in slow if named in text]) == times
    assert not any("ready" in text for text in slow) or carrier == "transport"
    if name != "__init__":
        assert all(f"at {__file__}:" in text for text in slow if named in text)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="another layout")
@pytest.mark.skipif(sys.version_info >= (3, 15), reason="to be looked at")
def test_who_reads_memory_finds_a_coroutine_that_has_ended() -> None:
    async def coroutine() -> None: ...

    ended = coroutine()
    begun = coroutine()
    with pytest.raises(StopIteration):
        ended.send(None)
    stepper = _core.Stepper(begun)
    place = object.__basicsize__ + 6 * ctypes.sizeof(ctypes.c_void_p) + 3

    def state(thing: object) -> bytes:
        return ctypes.string_at(id(thing) + place, 1)

    assert state(stepper) == state(ended) != state(begun)
    stepper.close()
