"""``pywscore bench`` against servers of this process, which count."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import struct
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from waiting import until

import pywscore
from pywscore import _core
from pywscore.cli._bench import compare, plot, thresholds
from pywscore.cli._common import CommandError
from pywscore.cli.main import main
from pywscore.utils import accept_key

pytestmark = pytest.mark.skipif(
    not hasattr(_core, "Load"), reason="there is no engine here"
)

PATIENCE = 60
KEYS = [
    *(
        "version",
        "pywscore",
        "url",
        "connections",
        "room_size",
        "threads",
        "message_bytes",
        "text",
    ),
    *(
        "compressed_connections",
        "pipeline",
        "rate",
        "interrupted",
        "seconds",
        "messages",
    ),
    *(
        "messages_per_second",
        "sent",
        "other",
        "lost",
        "unsent",
        "latency_us",
        "handshakes",
    ),
    *("handshakes_per_second", "handshake_us", "errors", "errors_by_kind"),
]
LATENCY_KEYS = [
    *("count", "min", "mean", "p50", "p90", "p99", "p99_9", "p99_99", "max"),
]


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def figures(self) -> dict[str, Any]:
        assert self.code in (0, 3, 130), self
        figures: dict[str, Any] = json.loads(self.out)
        return figures


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pywscore", "bench", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def finish(process: asyncio.subprocess.Process) -> Done:
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    assert b"Traceback" not in err, err.decode()
    return Done(process.returncode, out.decode(), err.decode())


async def bench(*arguments: str) -> Done:
    return await finish(await start(*arguments))


class Counting:
    """An echo server that counts."""

    def __init__(self) -> None:
        self.connections = self.messages = 0
        self.codes: list[int | None] = []
        self.requests: list[pywscore.Request] = []

    async def __call__(self, ws: pywscore.ServerConnection) -> None:
        self.connections += 1
        self.requests.append(ws.request)
        try:
            async for message in ws:
                self.messages += 1
                await ws.send(message)
        finally:
            self.codes.append(ws.close_code)


@asynccontextmanager
async def serving(
    handler: Callable[[pywscore.ServerConnection], Awaitable[None]], **options: Any
) -> AsyncIterator[str]:
    async with pywscore.serve(handler, "127.0.0.1", 0, **options) as server:
        scheme = "wss" if "ssl" in options else "ws"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@asynccontextmanager
async def scripted(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server of bytes."""

    async def handle(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    key = re.search(r"Sec-WebSocket-Key: (\S+)", head)
    assert key is not None
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept_key(key[1]).encode()
        + b"\r\n\r\n"
    )


def check_form(figures: dict[str, Any]) -> None:
    """What scripts rely on."""
    assert list(figures) == KEYS
    assert figures["version"] == 1
    for name in ("latency_us", "handshake_us"):
        latency = figures[name]
        assert list(latency) == LATENCY_KEYS
        ordered = [latency[key] for key in ("min", *LATENCY_KEYS[3:])]
        assert ordered == sorted(ordered)
    for error in figures["errors_by_kind"]:
        assert list(error) == ["kind", "code", "count", "text"]
    assert figures["errors"] == sum(e["count"] for e in figures["errors_by_kind"])


# Counts


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--pipeline", "7", "--text"],
        ["--threads", "3", "--size", "70000"],
        ["--rate", "3000"],
        ["--compress", "--text"],
        ["--size", "0", "--pipeline", "3"],
    ],
)
def test_counts_are_those_of_the_server(options: list[str]) -> None:
    async def scenario() -> None:
        counting = Counting()
        async with serving(counting) as url:
            arguments = ["--messages", "300", "--connections", "4", "--json", *options]
            figures = (await bench(url, *arguments)).figures
        check_form(figures)
        assert counting.connections == figures["handshakes"] == 4
        assert counting.messages == figures["messages"] == figures["sent"] == 300
        assert counting.codes == [1000] * 4
        assert figures["latency_us"]["count"] == 300
        assert figures["latency_us"]["min"] > 0
        assert figures["handshake_us"]["count"] == 4
        assert figures["errors"] == figures["other"] == figures["lost"] == 0
        compressed = 4 if "--compress" in options else 0
        assert figures["compressed_connections"] == compressed
        rate = figures["messages"] / figures["seconds"]
        assert figures["messages_per_second"] == pytest.approx(rate, rel=0.01)

    asyncio.run(scenario())


def test_for_a_time_at_a_rate() -> None:
    async def scenario() -> None:
        counting = Counting()
        async with serving(counting) as url:
            arguments = ["--duration", "0.5", "--rate", "400", "--json"]
            figures = (await bench(url, *arguments)).figures
        assert counting.messages == figures["messages"] == figures["sent"] == 200
        assert figures["seconds"] == pytest.approx(0.5, abs=0.2)

    asyncio.run(scenario())


def test_the_table() -> None:
    async def scenario() -> None:
        async with serving(Counting()) as url:
            done = await bench(url, "--messages", "10", "--threads", "2")
        assert (done.code, done.err) == (0, "")
        lines = done.out.splitlines()
        assert lines[1] == "connections     10, 2 threads"
        assert lines[2] == "message size    256 bytes"
        assert lines[3].startswith("messages        10 in 0.0")
        assert any(line.startswith("latency p99.9   ") for line in lines)

    asyncio.run(scenario())


def test_what_is_sent(tmp_path: Path) -> None:
    content = "what ümläuts"
    (tmp_path / "payload").write_text(content)

    async def scenario() -> None:
        got: list[str | bytes] = []

        async def echo(ws: pywscore.ServerConnection) -> None:
            async for message in ws:
                got.append(message)
                await ws.send(message)

        counting = Counting()
        async with serving(counting, subprotocols=["b"], origins=["http://x"]) as url:
            await bench(
                *(f"{url}?a=%7B", "--messages", "1", "--connections", "1"),
                *("--header", "X-Key: abc", "--subprotocol", "b"),
                *("--origin", "http://x"),
            )
        [request] = counting.requests
        assert request.path == "/?a=%7B"
        assert request.headers["X-Key"] == "abc"
        assert request.headers["Sec-WebSocket-Protocol"] == "b"
        assert "Sec-WebSocket-Extensions" not in request.headers
        assert "bench" in request.headers["User-Agent"]
        async with serving(echo) as url:
            arguments = ["--messages", "1", "--text", "--payload"]
            await bench(url, *arguments, str(tmp_path / "payload"))
            missing = await bench(url, *arguments, str(tmp_path / "nothing"))
            (tmp_path / "payload").write_bytes(b"\xff")
            broken = await bench(url, *arguments, str(tmp_path / "payload"))
        assert got == [content]
        assert (missing.code, broken.code) == (1, 1)
        assert "no such file" in missing.err
        assert "is not UTF-8" in broken.err

    asyncio.run(scenario())


def test_rooms() -> None:
    async def scenario() -> None:
        rooms: dict[str, set[pywscore.ServerConnection]] = {}
        names: set[str] = set()
        sent = 0

        async def chat(ws: pywscore.ServerConnection) -> None:
            nonlocal sent
            _, room, name = ws.request.path.split("/")
            names.add(name)
            members = rooms.setdefault(room, set())
            members.add(ws)
            pywscore.broadcast(members, json.dumps({"joined": name}))
            # A client is open before its handler has begun.
            await until(lambda: len(members) == 4)
            async for message in ws:
                sent += 1
                assert isinstance(message, str)
                pywscore.broadcast(members, json.dumps({"text": message}))
            members.discard(ws)

        async with serving(chat) as url:
            done = await bench(
                *(f"{url}{{room}}/{{connection}}", "--connections", "12"),
                *("--rooms", "4", "--messages", "60", "--text", "--json"),
                *("--threads", "2", "--pipeline", "2"),
            )
        figures = done.figures
        assert set(rooms) == {"0", "1", "2"}
        assert names == {str(number) for number in range(12)}
        assert sent == figures["sent"] == 60
        assert figures["messages"] == 240
        assert figures["other"] > 0  # who has joined
        assert figures["lost"] == figures["errors"] == 0

    asyncio.run(scenario())


def test_handshakes() -> None:
    async def scenario() -> None:
        counting = Counting()
        async with serving(counting) as url:
            arguments = ["--handshakes", "--messages", "50", "--json"]
            figures = (await bench(url, *arguments)).figures
            while len(counting.codes) < 50:
                await asyncio.sleep(0.01)
        check_form(figures)
        assert counting.connections == figures["handshakes"] == 50
        assert figures["messages"] == figures["sent"] == counting.messages == 0
        rate = figures["handshakes"] / figures["seconds"]
        assert figures["handshakes_per_second"] == pytest.approx(rate, rel=0.01)

    asyncio.run(scenario())


def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    certificate.write_to_path(str(tmp_path / "server.pem"))
    other = authority.issue_cert("other.example").private_key_and_cert_chain_pem
    other.write_to_path(str(tmp_path / "other.pem"))
    trusted = ["--ca", str(tmp_path / "ca.pem")]

    async def scenario() -> None:
        counting = Counting()
        common = ["--messages", "20", "--json"]
        context = pywscore.TLSContext.server(tmp_path / "server.pem")
        async with serving(counting, ssl=context) as url:
            for trust in (trusted, ["--insecure"]):
                assert (await bench(url, *trust, *common)).figures["messages"] == 20
            assert counting.messages == 40
            done = await bench(url, *common)
            assert done.code == 1
            assert "certificate refused: " in done.err
            done = await bench(url, "--ca", "/nowhere.pem")
            assert "cannot load /nowhere.pem: no such file" in done.err
        context = pywscore.TLSContext.server(tmp_path / "other.pem")
        async with serving(counting, ssl=context) as url:
            done = await bench(url, *trusted, *common)
            assert done.code == 1
            assert "certificate refused: IP address mismatch" in done.err
        assert counting.messages == 40

    asyncio.run(scenario())


# Coordinated omission


@pytest.mark.slow
def test_a_stall_is_in_the_percentiles() -> None:
    """The server stalls for 200 ms once: of an open loop's second every fifth message
    falls into that, of a closed loop's only those that were on their way."""

    async def measure(*options: str) -> dict[str, Any]:
        begun: list[float] = []

        async def stalling(ws: pywscore.ServerConnection) -> None:
            loop = asyncio.get_running_loop()
            async for message in ws:
                begun.append(loop.time())
                if begun[0] + 0.4 < loop.time() < begun[0] + 0.6:
                    await asyncio.sleep(begun[0] + 0.6 - loop.time())
                await ws.send(message)

        async with serving(stalling) as url:
            common = ["--duration", "1", "--connections", "1", "--json"]
            return (await bench(url, *common, *options)).figures

    async def scenario() -> None:
        opened = await measure("--rate", "500")
        assert opened["messages"] == opened["sent"] == 500
        assert opened["latency_us"]["p99"] > 180_000
        assert opened["latency_us"]["max"] < 1_000_000
        closed = await measure()
        assert closed["latency_us"]["p99"] < 180_000 < closed["latency_us"]["max"]

    asyncio.run(scenario())


# Servers that are dead, slow or hostile


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"SSH-2.0-x\x1b[2J\r\n")
    await writer.drain()


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 503 Too Busy\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def wrong_key(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
        b"Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
    )
    await writer.drain()


async def no_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    await reader.read()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    await reader.readexactly(10)
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()


async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    await reader.readexactly(10)
    writer.write(b"\x88\x0a\x03\xf0too fast")
    await reader.read()


async def no_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    await writer.drain()
    await reader.readexactly(262)
    writer.write_eof()
    await reader.read()


async def frames(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    await reader.readexactly(10)
    writer.write(b"\xff\xff\xff\xff")
    await reader.read()


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await accept(reader, writer)
    while True:
        writer.write(b"\x82\x7e\x40\x00" + bytes(0x4000))
        await writer.drain()


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        (garbage, "failed the handshake: "),
        (refuse, "refused the handshake: HTTP 503 Too Busy"),
        (hang_up, "failed the handshake: The connection was closed"),
        (wrong_key, "failed the handshake: "),
        (be_silent, "timed out: opening handshake"),
        (no_answer, "the server does not echo: no answer in 0.5 s"),
        (reset, "connection lost: connection reset by peer"),
        (close, "closed: 1008 (policy violation): too fast"),
        (no_close, "connection lost: ended without a close frame"),
        (frames, "broke the protocol: "),
        (flood, "the server does not echo: what it sends is not"),
    ],
)
def test_a_hostile_server(
    manner: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    said: str,
) -> None:
    async def scenario() -> None:
        async with scripted(manner) as url:
            done = await bench(url, "--timeout", "0.5", "--duration", "0.5")
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("pywscore: error: ")
        assert said in done.err
        assert done.err.count("\n") == 1
        assert "\x1b" not in done.err

    asyncio.run(scenario())


def test_errors_by_kind() -> None:
    """Some connections go well, others don't: the figures are of all."""

    async def scenario() -> None:
        count = 0

        async def picky(ws: pywscore.ServerConnection) -> None:
            nonlocal count
            count += 1
            number = count
            if number % 2:
                await ws.recv()
                await ws.close(4000 + number, "no")
            async for message in ws:
                await ws.send(message)

        def third(
            ws: pywscore.ServerConnection, request: pywscore.Request
        ) -> pywscore.Response | None:
            return ws.respond(404, "no") if "2" in request.path else None

        async with serving(picky, process_request=third) as url:
            done = await bench(
                *(f"{url}{{connection}}", "--connections", "5", "--messages", "100"),
                *("--json", "--fail-if", "errors>2"),
            )
        assert done.code == 3
        figures = done.figures
        check_form(figures)
        assert figures["handshakes"] == 4
        assert figures["errors"] == 3
        kinds = {(e["kind"], e["code"]): e["count"] for e in figures["errors_by_kind"]}
        assert kinds == {
            ("handshake", 404): 1,
            ("closed", 4001): 1,
            ("closed", 4003): 1,
        }
        assert figures["lost"] == 2
        assert figures["messages"] == figures["sent"] - 2

    asyncio.run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="a backlog that is full")
def test_a_server_that_does_not_accept() -> None:
    async def scenario() -> None:
        with socket.socket() as listening, socket.socket() as first:
            listening.bind(("127.0.0.1", 0))
            listening.listen(0)
            first.connect(listening.getsockname())
            url = f"ws://127.0.0.1:{listening.getsockname()[1]}/"
            done = await bench(url, "--timeout", "0.3", "--duration", "0.3")
        assert done.code == 1
        assert "timed out: " in done.err

    asyncio.run(scenario())


# How it ends


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("errors>0", 0),
        ("rate<1", 0),
        ("rate < 1000000000", 3),
        ("p99>1ns", 3),
        ("p99.9 > 3600s", 0),
        ("messages!=100", 0),
        ("messages==100", 3),
        ("handshake_p50>=1us", 3),
        ("max<1ns", 0),
        ("handshake_mean<1s", 3),
    ],
)
def test_thresholds(expression: str, code: int) -> None:
    async def scenario() -> None:
        async with serving(Counting()) as url:
            done = await bench(url, "--messages", "100", "--fail-if", expression)
        assert done.code == code
        assert "throughput" in done.out
        said = f"pywscore: --fail-if {expression} (" if code else ""
        assert done.err.startswith(said)
        assert done.err.count("\n") == (1 if code else 0)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("p99", "is not like"),
        ("p99>5", "needs a unit"),
        ("rate>5ms", "has no unit"),
        ("p101>5ms", "no figure"),
        ("p9.9.9>5ms", "no figure"),
        ("speed>5", "no figure"),
    ],
)
def test_thresholds_that_are_none(expression: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        thresholds.threshold(expression)


def test_ctrl_c_shows_what_was_measured() -> None:
    async def scenario() -> None:
        counting = Counting()
        async with serving(counting) as url:
            process = await start(url, "--duration", "60", "--json")
            while counting.messages < 100:
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGINT)
            done = await finish(process)
            assert done.code == 130
            assert done.figures["interrupted"] is True
            assert done.figures["messages"] >= 90
            # Closed in order, or in the midst of a message.
            assert set(counting.codes) == {1000}

    asyncio.run(scenario())


def test_ctrl_c_before_the_first_echo() -> None:
    async def scenario() -> None:
        received = asyncio.Event()

        async def silent(ws: pywscore.ServerConnection) -> None:
            async for _ in ws:
                received.set()

        async with serving(silent) as url:
            process = await start(url)
            await received.wait()
            process.send_signal(signal.SIGINT)
            done = await finish(process)
        assert done.code == 1
        assert done.err == "pywscore: error: interrupted before the first echo\n"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--connections", "many"], 2, "'many' is not a whole number"),
        (["--duration", "0"], 2, "must be above 0"),
        (["--duration", "nan"], 2, "must be above 0"),
        (["--fail-if", "p99"], 2, "is not like"),
        (["--servers", "x"], 2, "there is no server 'x'"),
        (["--rooms", "3"], 1, "a multiple of --rooms"),
        (["--threads", "11"], 1, "more threads than"),
        (["--handshakes", "--rate", "5"], 1, "no --rate"),
        (["--header", "x"], 1, "Name: value"),
        (["--header", "Upgrade: x"], 1, "not to be set by hand"),
    ],
)
def test_wrong_options(options: list[str], code: int, said: str) -> None:
    done = asyncio.run(bench("ws://127.0.0.1:9/", *options))
    assert done.code == code
    assert said in done.err


def test_progress_on_a_terminal() -> None:
    import pty  # not on Windows

    async def scenario(*options: str) -> str:
        ours, theirs = pty.openpty()
        async with serving(Counting()) as url:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "pywscore", "bench", url, *options),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=theirs,
            )
            os.close(theirs)
            assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
        said = b""
        with suppress(OSError), open(ours, "rb", buffering=0) as terminal:
            while data := terminal.read(4096):
                said += data
        return said.decode()

    said = asyncio.run(scenario("--duration", "1.5"))
    shown = [line for line in said.split("\r\x1b[K") if line]
    assert 1 <= len(shown) <= 4
    assert all(re.search(r"\d s +[\d,]+ messages/s  p50 [\d,]+ µs", i) for i in shown)
    assert said.endswith("\r\x1b[K")
    said = asyncio.run(scenario("--ramp", "5", "--connections", "8", "--messages", "8"))
    assert re.search(r"\x1b\[K[1-7] connections open", said)


def test_help_names_every_option() -> None:
    done = asyncio.run(bench("--help"))
    assert done.code == 0
    for word in ("--rate", "--rooms", "--fail-if", "p99.9", "compare", "--servers"):
        assert word in done.out


# Charts

SILENT_SERVER = """
import socket, sys
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
for line in sys.stdin:
    print(0.0, flush=True)
"""


def test_plot(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(Counting()) as url:
            path = str(tmp_path / "latency.svg")
            done = await bench(url, "--messages", "100", "--plot", path)
            assert done.code == 0
            done = await bench(url, "--messages", "1", "--plot", "/nowhere/x.svg")
            assert "cannot write /nowhere/x.svg: no such file" in done.err

    asyncio.run(scenario())
    root = ElementTree.parse(tmp_path / "latency.svg").getroot()
    [line] = root.iter("{http://www.w3.org/2000/svg}polyline")
    heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert heights == sorted(heights, reverse=True)


def test_a_plot_of_nothing_and_of_much() -> None:
    histogram = _core.Histogram()
    assert ElementTree.fromstring(plot.svg("<none>", histogram)) is not None
    histogram.add(1)
    histogram.add(2**63)
    assert ElementTree.fromstring(plot.svg("a & b", histogram)) is not None


def test_png_needs_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    with pytest.raises(CommandError, match="PNG needs cairosvg"):
        plot.save(str(tmp_path / "latency.PNG"), "", _core.Histogram())
    drawn: list[bytes] = []
    library = types.ModuleType("cairosvg")
    library.svg2png = lambda bytestring: drawn.append(bytestring) or b"a picture"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cairosvg", library)
    plot.save(str(tmp_path / "latency.PNG"), "title", _core.Histogram())
    assert (tmp_path / "latency.PNG").read_bytes() == b"a picture"
    assert b"title" in drawn[0]


def test_compare(tmp_path: Path) -> None:
    output = tmp_path / "chart"
    arguments = ["--servers", "pywscore,websockets", "--duration", "0.3"]
    arguments += ["--rounds", "2", "--output", str(output)]
    done = asyncio.run(bench("compare", *arguments))
    assert (done.code, done.err) == (0, "")
    record = json.loads(output.with_suffix(".json").read_text())
    names = [f"pywscore {pywscore.__version__}", "websockets "]
    for server, name in zip(record["servers"], names, strict=True):
        assert server["name"].startswith(name)
        assert server["name"] in done.out
        assert server["server_us"] > 0
        assert len(server["rounds"]) == 2
        for figures in server["rounds"]:
            assert figures.pop("server_us") > 0
            check_form(figures)
            assert figures["errors"] == 0
    assert record["machine"] in done.out
    assert ElementTree.parse(output.with_suffix(".svg")) is not None


def test_compare_leaves_out_what_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "silent.py").write_text(SILENT_SERVER)
    (tmp_path / "broken.py").write_text("print('no port')")

    class Script(compare.Library):
        def command(self, *, compression: bool) -> list[str]:
            return [sys.executable, str(tmp_path / f"{self.module}.py")]

    scripts = {
        module: Script(module=module, distribution=distribution, title=module)
        for module, distribution in (
            *(
                ("silent", "pytest"),
                ("broken", "pytest"),
                ("absent", "no-such-package"),
            ),
        )
    }
    monkeypatch.setattr(compare, "LIBRARIES", compare.LIBRARIES | scripts)
    common = ["--duration", "0.2", "--rounds", "1", "--timeout", "0.2"]
    assert main(["bench", "compare", *common, "--servers", "pywscore"]) == 0
    capsys.readouterr()
    names = "silent,broken,absent,pywscore"
    assert main(["bench", "compare", *common, "--servers", names]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n| ") == 3 and "pywscore" in out  # head, rule, one server
    assert "without silent" in err and "timed out: opening handshake" in err
    assert "without broken" in err and "did not start" in err
    assert "without absent: not installed" in err
    assert main(["bench", "compare", *common, "--servers", "absent"]) == 1
    assert "none of these servers" in capsys.readouterr().err


def test_every_server_of_compare_can_be_started() -> None:
    """Those that are installed, as the tests' own requirements are."""
    names = {"pywscore", "aiohttp", "uvicorn", "websockets"}
    names |= {"pywscore_aiohttp", "pywscore_uvicorn"}
    assert names <= set(compare.LIBRARIES)
    arguments = ["--messages", "20", "--rounds", "1", "--json"]
    done = asyncio.run(bench("compare", *arguments))
    record = json.loads(done.out)
    assert len(record["servers"]) >= len(names)
    for server in record["servers"]:
        assert [each["messages"] for each in server["rounds"]] == [20]


# The histogram


@given(
    st.lists(st.integers(0, 2**45), min_size=1),
    st.floats(0, 100, allow_nan=False),
    st.integers(0, 100),
)
def test_a_percentile_is_that_of_the_values(
    values: list[int], percent: float, split: int
) -> None:
    histogram, other = _core.Histogram(), _core.Histogram()
    for number, value in enumerate(values):
        (histogram if number < split else other).add(value)
    histogram.merge(other)
    ranked = sorted(values)
    exact = ranked[max(-int(-percent * len(values) // 100), 1) - 1]
    got = histogram.percentile(percent)
    if exact < 2**42:
        assert exact <= got <= exact * 1025 / 1024
    else:
        assert got >= 2**42 - 1
    assert (histogram.count, histogram.min) == (len(values), ranked[0])
    assert histogram.max == ranked[-1]
    assert histogram.mean == pytest.approx(sum(values) / len(values))


def test_what_a_histogram_does_not_take() -> None:
    histogram = _core.Histogram()
    assert (histogram.percentile(50), histogram.mean, histogram.max) == (0, 0, 0)
    for value in (-1, 2**64):
        with pytest.raises(OverflowError):
            histogram.add(value)
    for percent in (-0.1, 100.1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 100"):
            histogram.percentile(percent)
    with pytest.raises(TypeError):
        histogram.merge(5)  # type: ignore[arg-type]
    assert histogram.count == 0
