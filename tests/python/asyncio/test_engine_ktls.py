"""TLSContext with ktls=True where the kernel does its part; `./dev vm` boots one."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import shutil
import socket
import ssl
import threading
import time
from typing import Any

import pytest
from conftest import REQUEST, frame
from tls_peer import Files, TLSPeer

import pywscore
from pywscore import ConnectionClosed

STATISTICS = pathlib.Path("/proc/net/tls_stat")
pytestmark = pytest.mark.skipif(
    not STATISTICS.exists(), reason="needs Linux with the tls module (modprobe tls)"
)

HEAD = REQUEST.format(path="/", extra="").encode()
MESSAGES = ["text", b"", b"x", b"y" * 16384, b"z" * 16385, bytes(range(256)) * 4096]
OPTIONS: dict[str, Any] = {"compression": None, "max_size": 1 << 21}
TCP_ULP = 31  # <linux/tcp.h>
# What is received with TLS 1.3 is handed over since 3.2.
RECEIVES_1_3 = ssl.OPENSSL_VERSION_INFO >= (3, 2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"), ktls=True)


@pytest.fixture(autouse=True)
def only_auto(environment: Any) -> None:
    if environment.carrier == "transport":
        pytest.skip("the engine only")


def limited(context: ssl.SSLContext, version: str, ciphers: str) -> ssl.SSLContext:
    context.maximum_version = ssl.TLSVersion[version]
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def statistics() -> dict[str, int]:
    lines = (line.split() for line in STATISTICS.read_text().splitlines())
    return {name: int(value) for name, value in lines}


async def exchange(ws: Any) -> None:
    for message in MESSAGES:
        await ws.send(message)
        assert await ws.recv() == message


def check_carried(ws: Any, before: dict[str, int], receives: bool) -> None:
    """By the kernel, says OpenSSL, and so says the kernel."""
    assert ws.transport.get_extra_info("ktls") == (True, receives)
    sock = ws.transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, TCP_ULP, 16).startswith(b"tls\0")
    now = statistics()
    assert now["TlsTxSw"] > before["TlsTxSw"]
    assert (now["TlsRxSw"] > before["TlsRxSw"]) == receives
    assert now["TlsDecryptError"] == before["TlsDecryptError"]


VERSIONS = pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        ("TLSv1_3", ""),
        ("TLSv1_2", "ECDHE+AESGCM"),
        ("TLSv1_2", "ECDHE+CHACHA20"),
    ],
    ids=["1.3", "1.2-gcm", "1.2-chacha"],
)


def receives(version: str) -> bool:
    return version == "TLSv1_2" or RECEIVES_1_3


@VERSIONS
@pytest.mark.parametrize("client", ["pywscore", "websockets"])
async def test_server(
    serve: Any,
    uri_of: Any,
    echo: Any,
    files: Files,
    version: str,
    ciphers: str,
    client: str,
) -> None:
    """Its clients are on Python's ssl."""
    package = pytest.importorskip(client)
    tls = limited(files.python_client(), version, ciphers)
    before = statistics()
    async with serve(echo, "127.0.0.1", 0, ssl=files.server(), **OPTIONS) as server:
        uri = uri_of(server, scheme="wss")
        async with package.connect(uri, ssl=tls, proxy=None, **OPTIONS) as ws:
            (there,) = server.connections
            await exchange(ws)
            check_carried(there, before, receives(version))
        await there.wait_closed()
        assert (ws.close_code, there.close_code) == (1000, 1000)


@VERSIONS
async def test_client(
    connect: Any, uri_of: Any, echo: Any, files: Files, version: str, ciphers: str
) -> None:
    """Its second visit has a ticket, which comes after the handshake with TLS 1.3."""
    tls = limited(files.python_server(), version, ciphers)
    ours = files.client()
    async with pywscore.serve(echo, "127.0.0.1", 0, ssl=tls, **OPTIONS) as server:
        for visit in range(2):
            before = statistics()
            uri = uri_of(server, scheme="wss")
            async with connect(uri, ssl=ours, **OPTIONS) as ws:
                await exchange(ws)
                check_carried(ws, before, receives(version))
                assert ws.transport.get_extra_info("session_reused") == (visit > 0)
            assert ws.close_code == 1000


async def test_both_ends(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    before = statistics()
    async with serve(echo, "127.0.0.1", 0, ssl=files.server(), **OPTIONS) as server:
        uri = uri_of(server, scheme="wss")
        async with connect(uri, ssl=files.client(), **OPTIONS) as ws:
            (there,) = server.connections
            await exchange(ws)
            check_carried(ws, before, RECEIVES_1_3)
            check_carried(there, before, RECEIVES_1_3)
    assert ws.close_code == 1000


# Ends


@pytest.mark.threat("DED-5", "TLS-4")
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_the_end_loses_nothing(serve: Any, files: Files, version: str) -> None:
    """The kernel keeps what TCP has no room for, and drops it with the socket."""
    queued = threading.Event()
    size = 0

    async def handler(ws: Any) -> None:
        for _ in range(size // 1000):
            ws.send_nowait(bytes(1000))
        queued.set()
        await ws.close()

    def late_reader(address: Any) -> bytes:
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 5000)
            raw.connect(address)
            context = limited(files.python_client(), version, "")
            with context.wrap_socket(raw, server_hostname="localhost") as sock:
                sock.sendall(HEAD)
                assert queued.wait(10)
                sock.sendall(frame(8, b"\x03\xe8", mask=True))
                time.sleep(0.1)
                got = b""
                while data := sock.recv(1 << 16):
                    got += data
                return got.partition(b"\r\n\r\n")[2]

    async with serve(
        handler, "127.0.0.1", 0, ssl=files.server(), write_limit=1 << 20, **OPTIONS
    ) as server:
        listening = server.sockets[0]
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20000)
        # Some of them are what both buffers have room for, and a bit more.
        for size in range(40000, 60000, 1000):
            queued.clear()
            got = await asyncio.to_thread(late_reader, listening.getsockname())
            expected = frame(2, bytes(1000), mask=False) * (size // 1000)
            assert len(got) == len(expected) + 4, size
            assert got == expected + frame(8, b"\x03\xe8", mask=False)


async def upgraded(server: Any, files: Files, version: str) -> TLSPeer:
    context = limited(files.python_client(), version, "")
    peer = await TLSPeer.open(server, context)
    await peer.handshake()
    peer.write(HEAD)
    peer.flush()
    await peer.read_until(b"\r\n\r\n")
    return peer


@pytest.mark.threat("TLS-4")
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("how", ["notify", "abrupt", "changed"])
async def test_ends_of_peers(serve: Any, files: Files, version: str, how: str) -> None:
    """With close_notify, without, and with a record that was changed."""
    got: list[Any] = []
    ended = asyncio.get_running_loop().create_future()

    async def handler(ws: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in ws:
                got.append(message)
        ended.set_result(ws.close_code)

    errors = statistics()["TlsDecryptError"]
    async with serve(handler, "127.0.0.1", 0, ssl=files.server()) as server:
        peer = await upgraded(server, files, version)
        peer.write(frame(1, b"first", mask=True))
        peer.flush()
        while not got:
            await asyncio.sleep(0.001)
        if how == "changed":
            peer.write(frame(1, b"second", mask=True))
            data = bytearray(peer.encrypted())
            data[-1] ^= 1
            peer.writer.write(data)
        else:
            peer.write(frame(8, b"\x03\xe8", mask=True))
            if how == "notify":
                with pytest.raises(ssl.SSLWantReadError):
                    peer.ssl.unwrap()
            peer.flush()
            peer.writer.write_eof()
        code = await asyncio.wait_for(ended, 5)
        # After an error the kernel sends no alert any more.
        assert await peer.drain() is None or how == "changed"
        peer.writer.close()
    assert (code, got) == (1006 if how == "changed" else 1000, ["first"])
    wrong = how == "changed" and receives(version)
    assert statistics()["TlsDecryptError"] - errors == wrong


# Handshakes after the handshake


@pytest.mark.external
@pytest.mark.threat("TLS-8")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize(
    ("version", "command", "goes_on"),
    [
        ("1_3", "k", not RECEIVES_1_3),  # KeyUpdate
        ("1_3", "K", False),  # KeyUpdate that asks for ours
        ("1_2", "R", False),  # renegotiation
    ],
    ids=["theirs", "both", "renegotiation"],
)
async def test_new_keys(
    serve: Any, files: Files, version: str, command: str, goes_on: bool
) -> None:
    """OpenSSL can't give the kernel others: that ends the connection, and at once."""
    got: asyncio.Queue[Any] = asyncio.Queue()

    async def handler(ws: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in ws:
                got.put_nowait(message)
                await ws.send(message)
        got.put_nowait(ws.close_code)

    async with serve(handler, "127.0.0.1", 0, ssl=files.server()) as server:
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *("openssl", "s_client", f"-tls{version}", "-CAfile", str(files.ca)),
            *("-connect", f"127.0.0.1:{port}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(HEAD)
        await process.stdout.readuntil(b"HTTP/1.1 101 ")
        process.stdin.write(frame(1, b"before", mask=True))
        assert await asyncio.wait_for(got.get(), 5) == "before"
        # A command is what begins a read of the input.
        process.stdin.write(command.encode() + b"\n")
        await asyncio.sleep(0.2)
        process.stdin.write(frame(1, b"after", mask=True))
        found = [await asyncio.wait_for(got.get(), 5)]
        if goes_on:
            process.stdin.write(frame(8, b"\x03\xe8", mask=True))
        while not isinstance(found[-1], int):
            found.append(await asyncio.wait_for(got.get(), 5))
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.communicate()
    if goes_on:
        assert found == ["after", 1000]
    else:
        assert found[-1] == 1006 and found[:-1] in ([], ["after"])
