"""aiohttp's and uvicorn's drop-in over TLS, which the engine takes over from asyncio's
own loop and leaves to uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pathlib
import socket
import ssl
import subprocess
import sys
from typing import Any

import aiohttp_rig
import carriers
import pytest
import uvicorn_servers
from aiohttp_rig import BINARY, CLOSE, OURS, PING, PONG, TEXT, close_frame, frame
from carriers import needs_engine
from drop_ins import (
    HEAD,
    DropIn,
    Side,
    answer,
    collect,
    each_drop_in,
    each_taking,
    echo,
    echoes,
    reset,
    text,
)
from tls_peer import Files
from waiting import until

import pywscore
from pywscore import _core

pytestmark = needs_engine

MIB = 1 << 20
IDLE = 300
# An idle one takes 30 KiB in aiohttp, 27 in uvicorn.
MOST_KIB = 34


# What carries it


async def echo_of_aiohttp(ws: Any, log: list[Any]) -> None:
    log.append(ws._connection.transport)
    await aiohttp_rig.echo(ws, log)


def test_what_the_suites_run_over() -> None:
    """Their kinds and environments that are marked so are over TLS, taken over."""
    taken: list[Any] = []

    async def of_aiohttp(kind: Any) -> None:
        async with aiohttp_rig.served(kind, echo_of_aiohttp) as rig:
            async with rig.open_peer() as peer:
                peer.send(text("hi"))
                assert await peer.frame() == (TEXT, b"hi")
                taken.extend(rig.log)

    async def of_uvicorn() -> None:
        async with environment.serve(app) as served:
            async with uvicorn_servers.raw(served.port) as client:
                await client.open()
                taken.append(served.protocol.transport)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    [kind] = aiohttp_rig.over_tls(OURS[:1])
    with carriers.over(kind.tls):
        aiohttp_rig.run(of_aiohttp(kind))
    environment = uvicorn_servers.OVER_TLS[0]
    environment.run(of_uvicorn)
    for transport in taken:
        assert isinstance(transport, _core.EngineTransport)
        assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
    assert len(taken) == 2


@each_drop_in
def test_carried_by_the_engine(drop_in: DropIn, files: Files) -> None:
    async def main() -> None:
        async with drop_in.serve(echo, files) as served:
            peer = await served.open(files)
            await echoes(peer, "hi")
            [side] = served.sides
            assert side.is_taken == drop_in.takes
            peer.writer.close()

    drop_in.run(main)


@pytest.mark.parametrize("name", ["aiohttp", "uvicorn"])
def test_carrier_transport(name: str, files: Files) -> None:
    drop_in = DropIn(name, "asyncio", carrier="transport")

    async def main() -> None:
        async with drop_in.serve(echo, files) as served:
            peer = await served.open(files)
            await echoes(peer, "hi")
            [side] = served.sides
            assert not side.is_taken
            peer.writer.close()

    drop_in.run(main)


@each_taking
def test_engine_refuses(
    drop_in: DropIn, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the system has no more watches: the transport is as it was."""

    def no_transport(*args: Any) -> Any:
        raise OSError(28, "No space left on device")

    async def main() -> None:
        async with drop_in.serve(echo, files) as served:
            with monkeypatch.context() as patch:
                patch.setattr("pywscore.asyncio._engine.EngineTransport", no_transport)
                peer = await served.open(files)
            await echoes(peer, "hi")
            [side] = served.sides
            assert not side.is_taken
            peer.writer.close()

    drop_in.run(main)


@each_drop_in
def test_what_is_known_of_tls(drop_in: DropIn, files: Files) -> None:
    mine = files.issue("me", "me@example.org")
    before: list[Any] = []

    async def look(transport: Any) -> None:
        before.append(transport)

    async def main() -> None:
        async with drop_in.serve(echo, files, client_ca=True, before=look) as served:
            peer = await served.open(files, certificate=mine)
            [side], [old] = served.sides, before
            for transport in (side.connection.transport, side.transport, old):
                get = transport.get_extra_info
                assert get("peername") == peer.writer.get_extra_info("sockname")
                assert get("sockname") == peer.writer.get_extra_info("peername")
                assert get("ssl_object").version() == "TLSv1.3"
                assert type(get("sslcontext")) is ssl.SSLContext
                assert get("cipher") == peer.ssl.cipher()
                names = get("peercert")["subjectAltName"]
                assert names == (("email", "me@example.org"),)
            assert (old is side.connection.transport) == (not drop_in.takes)
            await echoes(peer, "me")
            peer.writer.close()

    drop_in.run(main)


# What comes


@each_drop_in
@pytest.mark.parametrize("how", ["one record", "one packet", "cut", "much"])
def test_behind_the_request(drop_in: DropIn, files: Files, how: str) -> None:
    """Frames that didn't wait for the answer."""
    got: list[Any] = []
    count = 6000 if how == "much" else 20
    expected = [f"{number:0>100}" for number in range(count)]
    sent = b"".join(map(text, expected)) + close_frame(1000)

    async def main() -> None:
        async with drop_in.serve(lambda side: collect(side, got), files) as served:
            peer = await served.connect(files)
            if how == "one packet":
                peer.write(HEAD)
                peer.write(sent)
            else:
                data = HEAD + sent
                for start in range(0, len(data), 16384):
                    peer.write(data[start : start + 16384])
            data = peer.encrypted()
            cut = len(data) - 30 if how == "cut" else len(data)
            peer.writer.write(data[:cut])
            if how == "cut":
                await asyncio.sleep(0.05)
                peer.writer.write(data[cut:])
            assert (await peer.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            await until(lambda: len(got) > count)
            assert got == [*expected, 1000]
            peer.writer.close()

    drop_in.run(main)


@each_taking
@pytest.mark.parametrize("end", ["", "close_notify", "fin", "rst"])
def test_what_tls_has_kept(drop_in: DropIn, files: Files, end: str) -> None:
    """Bytes that asyncio's TLS has received and not decrypted, up to half a record."""
    got: list[Any] = []
    paused = asyncio.Event()

    async def pause(transport: Any) -> None:
        transport.pause_reading()
        paused.set()
        await until(lambda: transport.get_read_buffer_size() >= size)

    async def main() -> None:
        nonlocal size
        async with drop_in.serve(
            lambda side: collect(side, got), files, before=pause
        ) as served:
            peer = await served.connect(files)
            peer.write(HEAD)
            peer.flush()
            await paused.wait()
            for message in ("one", "two", "three"):
                peer.write(text(message))
            if end == "close_notify":
                with contextlib.suppress(ssl.SSLError):
                    peer.ssl.unwrap()
            data = peer.encrypted()
            cut = len(data) if end else len(data) - 5
            size = cut
            peer.writer.write(data[:cut])
            if end == "":
                await until(lambda: got == ["one", "two"])
                peer.writer.write(data[cut:])
            await until(lambda: got[:3] == ["one", "two", "three"])
            if end == "fin":
                peer.writer.write_eof()
            elif end == "rst":
                reset(peer)
            if end:
                await until(lambda: got == ["one", "two", "three", 1006])
                await served.gone()
            [side] = served.sides
            assert side.is_taken
            peer.writer.close()

    size = 1
    drop_in.run(main)


@each_taking
@pytest.mark.parametrize("half_closed", [False, True])
def test_what_is_paused_stays_paused(
    drop_in: DropIn, files: Files, half_closed: bool
) -> None:
    """What TLS has kept waits as long as the connection doesn't read, and beyond the
    end of what it sends."""
    may_go = asyncio.Event()
    got: list[Any] = []

    async def pause(transport: Any) -> None:
        transport.pause_reading()
        await until(lambda: transport.get_read_buffer_size() >= 1)

    async def handler(side: Side) -> None:
        side.connection.transport.pause_reading()
        await may_go.wait()
        if half_closed:
            side.connection.transport.write_eof()
        side.connection.transport.resume_reading()
        await collect(side, got)

    async def main() -> None:
        async with drop_in.serve(handler, files, before=pause) as served:
            peer = await served.connect(files)
            peer.write(HEAD)
            peer.flush()
            await asyncio.sleep(0.02)
            peer.write(text("kept"))
            peer.flush()
            await peer.read_until(b"\r\n\r\n")
            await asyncio.sleep(0.05)
            [side] = served.sides
            assert side.is_taken and side.connection.messages_received == 0
            may_go.set()
            await until(lambda: got == ["kept"])
            peer.write(text("sent"))
            peer.flush()
            await until(lambda: got == ["kept", "sent"])
            peer.writer.close()

    drop_in.run(main)


@pytest.mark.threat("TLS-3")
@each_drop_in
@pytest.mark.parametrize("size", [1, 3, 50, 16384])
def test_records_of_any_size(drop_in: DropIn, files: Files, size: int) -> None:
    payloads = [b"", b"a", b"b" * 125, b"c" * 126, b"d" * 3000]
    sent = b"".join(frame(BINARY, payload) for payload in payloads)
    sent += frame(TEXT, b"in ", fin=False) + frame(PING, b"ping")
    sent += frame(0, b"parts") + close_frame(1000, b"bye")
    got: list[Any] = []

    async def main() -> None:
        async with drop_in.serve(lambda side: collect(side, got), files) as served:
            peer = await served.open(files)
            for start in range(0, len(sent), size):
                peer.write(sent[start : start + size])
            peer.flush()
            pong = frame(PONG, b"ping", mask=False)
            assert await peer.read_exactly(len(pong)) == pong
            first, length = await peer.read_exactly(2)
            assert first == 0x80 | CLOSE
            await peer.read_exactly(length)
            assert await peer.drain() is None
            peer.writer.close()
            await served.gone()

    drop_in.run(main)
    assert got == [*payloads, "in parts", 1000]


# What is sent


@each_drop_in
def test_much_that_nobody_reads(drop_in: DropIn, files: Files) -> None:
    """Sending waits, and what was sent comes whole."""
    sent = 0
    message = os.urandom(MIB)
    count = 12

    async def handler(side: Side) -> None:
        nonlocal sent
        for _ in range(count):
            await side.send(message)
            sent += 1
        await side.close()

    async def main() -> None:
        async with drop_in.serve(handler, files) as served:
            peer = await served.open(files)
            reading: Any = peer.writer.transport
            reading.pause_reading()
            last = -1
            while last != sent:
                last = sent
                await asyncio.sleep(0.2)
            assert sent < count
            reading.resume_reading()
            whole = frame(BINARY, message, mask=False)
            for _ in range(count):
                assert await peer.read_exactly(len(whole)) == whole
            peer.write(close_frame(1000))
            peer.flush()
            assert await peer.drain() is None
            peer.writer.close()
            await served.gone()

    drop_in.run(main)


@each_drop_in
def test_much_in_both_directions(drop_in: DropIn, files: Files) -> None:
    async def main() -> None:
        async with drop_in.serve(echo, files) as served:
            async with pywscore.connect(
                f"wss://localhost:{served.port}",
                ssl=files.client(),
                max_size=None,
                compression=None,
            ) as ws:
                messages = [os.urandom(3 * MIB + number) for number in range(4)]

                async def send() -> None:
                    for message in messages:
                        await ws.send(message)

                sending = asyncio.create_task(send())
                for message in messages:
                    assert await ws.recv() == message
                await sending

    drop_in.run(main)


# Figures


@pytest.mark.slow  # resident memory says nothing under the sanitizers
@pytest.mark.threat("TLS-6", "OVL-5")
@each_taking
def test_many_connections(drop_in: DropIn, files: Files) -> None:
    """1,000 opened, used and closed: memory and descriptors are as before."""
    client = files.python_client()

    def visit(port: int, count: int) -> None:
        for number in range(count):
            with (
                socket.create_connection(("127.0.0.1", port)) as raw,
                client.wrap_socket(raw, server_hostname="localhost") as sock,
            ):
                sock.sendall(HEAD + text("hi"))
                got = b""
                while not got.endswith(answer("hi")):
                    got += sock.recv(4096)
                if number % 2:
                    sock.sendall(close_frame(1000))
                    sock.recv(100)

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def main() -> None:
        async with drop_in.serve(echo, files) as served:
            await asyncio.to_thread(visit, served.port, 300)
            await served.gone()
            served.sides.clear()
            gc.collect()
            before = descriptors(), resident("self")
            for _ in range(4):
                await asyncio.to_thread(visit, served.port, 250)
                await served.gone()
                served.sides.clear()
            gc.collect()
            await until(lambda: descriptors() <= before[0])
            assert resident("self") - before[1] < MIB

    drop_in.run(main, within=80)


def resident(pid: int | str) -> int:
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def started(*words: str | pathlib.Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


@pytest.mark.slow
@pytest.mark.threat("TLS-5")
@pytest.mark.parametrize("name", ["aiohttp-asyncio", "uvicorn-asyncio-httptools"])
def test_idle_connections_are_small(name: str) -> None:
    """After one echo, in a server that is a process of its own."""
    here = pathlib.Path(__file__).parent
    with started("-P", here / "drop_ins.py", name) as server:
        assert server.stdout is not None and server.stdin is not None
        port = server.stdout.readline().decode().strip()
        script = here.parent / "python/asyncio/tls_clients.py"
        with started(script, port, str(IDLE), "200") as clients:
            assert clients.stdout is not None and clients.stdin is not None
            # The first of them pay for what all share.
            assert clients.stdout.readline() == b"warm\n"
            before = resident(server.pid)
            clients.stdin.write(b"go on\n")
            clients.stdin.flush()
            assert clients.stdout.readline() == b"idle\n"
            each = (resident(server.pid) - before) / IDLE
            clients.stdin.close()
        server.stdin.close()
    most = MOST_KIB + (16 if ssl.OPENSSL_VERSION_INFO >= (3, 5) else 0)
    assert 4 << 10 < each <= most << 10, f"{each / 1024:.1f} KiB a connection"
