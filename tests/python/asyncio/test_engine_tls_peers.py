"""TLS against peers that go wrong, on purpose or not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import pathlib
import socket
import ssl
import struct
import sys
import time
from typing import Any

import pytest
import trustme
from peers import ACCEPT, REQUEST, frame
from tls_peer import Files, TLSPeer, engine_only, tls_context
from waiting import until

import pywscore
from pywscore import ConnectionClosedError, TLSContext

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs the engine"),
    pytest.mark.usefixtures("of_the_carrier"),
]

HEAD = REQUEST.format(path="/", extra="").encode()
# Complete handshakes of test_handshakes_leave_nothing, half of them with TLS 1.2. A
# long run takes 10,000, and PYWSCORE_TEST_TIMEOUT=120.
HANDSHAKES = int(os.environ.get("PYWSCORE_HANDSHAKES", "1000"))
IDLE = 300
# A MemoryBIO keeps the memory of the most that it held.
MOST_KIB = {
    ("TLSContext", 200): 24,
    ("TLSContext", 16000): 40,
    ("SSLContext", 200): 26,
    ("SSLContext", 16000): 84,
}


async def upgraded(server: Any, files: Files) -> TLSPeer:
    peer = await TLSPeer.open(server, files.python_client())
    await peer.handshake()
    peer.write(HEAD)
    peer.flush()
    assert ACCEPT in (await peer.read_until(b"\r\n\r\n")).decode()
    return peer


def resident() -> int:
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


# Records


@pytest.mark.threat("TLS-3")
@pytest.mark.parametrize("size", [1, 3, 50, 16384])
async def test_records_of_any_size(serve: Any, files: Files, size: int) -> None:
    """Records of one byte, many frames in a record, a frame over many records."""
    payloads = [b"", b"a", b"b" * 125, b"c" * 126, b"d" * 3000]
    sent = b"".join(frame(2, payload, mask=True) for payload in payloads)
    sent += frame(1, b"in ", fin=False, mask=True) + frame(9, b"ping", mask=True)
    sent += frame(0, b"parts", mask=True) + frame(8, b"\x03\xe8bye", mask=True)
    got: list[Any] = []

    async def handler(ws: Any) -> None:
        async for message in ws:
            got.append(message)
        await ws.wait_closed()
        got.append((ws.close_code, ws.close_reason))

    async with serve(handler, "127.0.0.1", 0, ssl=files.server()) as server:
        peer = await TLSPeer.open(server, files.python_client())
        await peer.handshake()
        for data in (HEAD, sent):
            for start in range(0, len(data), size):
                peer.write(data[start : start + size])
            peer.flush()
        await peer.read_until(b"\r\n\r\n")
        expected = frame(10, b"ping", mask=False)
        expected += frame(8, b"\x03\xe8bye", mask=False)
        assert await peer.read_exactly(len(expected)) == expected
        assert await peer.drain() is None
        peer.writer.close()
    assert got == [*payloads, "in parts", (1000, "bye")]


@pytest.mark.threat("TLS-3")
async def test_a_message_over_records_over_reads(
    serve: Any, echo: Any, files: Files
) -> None:
    sent = frame(2, bytes(range(256)) * 4, mask=True)
    async with serve(
        echo, "127.0.0.1", 0, ssl=files.server(), compression=None
    ) as server:
        peer = await upgraded(server, files)
        peer.writer.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        for start in range(0, len(sent), 200):
            peer.write(sent[start : start + 200])
        data = peer.encrypted()
        for start in range(0, len(data), 7):
            peer.writer.write(data[start : start + 7])
            await asyncio.sleep(0)
        expected = frame(2, bytes(range(256)) * 4, mask=False)
        assert await peer.read_exactly(len(expected)) == expected
        peer.writer.close()


# Ends


@pytest.mark.threat("TLS-4")
@pytest.mark.parametrize("notify", [False, True])
async def test_end_after_the_close_frame(
    serve: Any, files: Files, notify: bool
) -> None:
    """The peer's code counts, with close_notify or without."""
    ended = asyncio.get_running_loop().create_future()

    async def handler(ws: Any) -> None:
        async for _ in ws:
            pass
        ended.set_result(ws)

    async with serve(handler, "127.0.0.1", 0, ssl=files.server()) as server:
        peer = await upgraded(server, files)
        peer.write(frame(8, b"\x03\xe8bye", mask=True))
        if notify:
            with pytest.raises(ssl.SSLWantReadError):
                peer.ssl.unwrap()
        peer.flush()
        peer.writer.write_eof()
        ws = await asyncio.wait_for(ended, 5)
        await ws.wait_closed()
        assert (ws.close_code, ws.close_reason) == (1000, "bye")
        assert await peer.drain() is None
        peer.writer.close()


@pytest.mark.threat("TLS-4")
@pytest.mark.parametrize("who", ["server", "client"])
async def test_our_end_is_said(serve: Any, files: Files, who: str) -> None:
    """With close_notify, whoever begins the closing handshake."""

    async def handler(ws: Any) -> None:
        if who == "client":
            await ws.wait_closed()

    async with serve(handler, "127.0.0.1", 0, ssl=files.server()) as server:
        peer = await upgraded(server, files)
        closing = frame(8, b"\x03\xe8", mask=False)
        if who == "server":
            assert await peer.read_exactly(len(closing)) == closing
        peer.write(frame(8, b"\x03\xe8", mask=True))
        peer.flush()
        if who == "client":
            assert await peer.read_exactly(len(closing)) == closing
        # The end of TLS, and not only of TCP, which raises SSLEOFError.
        with pytest.raises((EOFError, ssl.SSLZeroReturnError)):
            await peer.read_exactly(1)
        peer.writer.close()


@pytest.mark.threat("TLS-4")
@engine_only
async def test_record_that_was_changed(serve: Any, files: Files) -> None:
    got: list[Any] = []
    ended = asyncio.get_running_loop().create_future()

    async def handler(ws: Any) -> None:
        with contextlib.suppress(ConnectionClosedError):
            async for message in ws:
                got.append(message)
        ended.set_result(ws.close_code)

    async with serve(handler, "127.0.0.1", 0, ssl=files.server()) as server:
        peer = await upgraded(server, files)
        peer.write(frame(1, b"first", mask=True))
        peer.flush()
        await asyncio.sleep(0.02)
        peer.write(frame(1, b"second", mask=True))
        data = bytearray(peer.encrypted())
        data[-1] ^= 1
        peer.writer.write(data)
        assert await asyncio.wait_for(ended, 5) == 1006
        assert got == ["first"]
        assert isinstance(await peer.drain(), ssl.SSLError)  # bad_record_mac
        peer.writer.close()


@pytest.mark.threat("TLS-4")
async def test_server_that_ends_without_close_notify(
    connect: Any, files: Files
) -> None:
    async def script(reader: Any, writer: Any) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = head.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
        accept = pywscore.accept_key(key)
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
            b"\x81\x03all\x81\x05hal"
        )
        await writer.drain()
        # The TCP socket alone.
        sock = writer.get_extra_info("socket")
        fd = os.dup(sock.fileno())
        with socket.socket(fileno=fd) as raw:
            raw.shutdown(socket.SHUT_RDWR)
        writer.transport.abort()

    server = await asyncio.start_server(
        script, "127.0.0.1", 0, ssl=files.python_server()
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"wss://127.0.0.1:{port}/", ssl=files.client()) as ws:
            assert await ws.recv() == "all"
            with pytest.raises(ConnectionClosedError):
                await ws.recv()
            assert ws.close_code == 1006


# Handshakes


@pytest.mark.threat("TLS-2")
@engine_only
async def test_plain_http_ends_at_once(
    serve: Any, echo: Any, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pywscore.server")
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        await asyncio.sleep(0)
        caplog.clear()
        start = time.monotonic()
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(HEAD)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        assert time.monotonic() - start < 0.05
        writer.close()
        await asyncio.sleep(0.01)
        assert len(caplog.messages) == 1, caplog.messages
        assert not server.connections


@pytest.mark.threat("HSK-8", "TLS-1")
async def test_one_deadline_of_a_server(serve: Any, echo: Any, files: Files) -> None:
    """TCP, then late TLS, then no HTTP."""
    async with serve(
        echo, "127.0.0.1", 0, ssl=files.server(), open_timeout=0.6
    ) as server:
        start = time.monotonic()
        peer = await TLSPeer.open(server, files.python_client())
        await asyncio.sleep(0.4)
        await peer.handshake()
        peer.write(HEAD[:30])
        peer.flush()
        await peer.drain()
        assert 0.5 < time.monotonic() - start < 0.9
        peer.writer.close()


@pytest.mark.threat("HSK-8", "TLS-1")
@pytest.mark.parametrize("silent_after_tls", [False, True])
async def test_one_deadline_of_a_client(
    connect: Any, files: Files, silent_after_tls: bool
) -> None:
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)

    async def serve_it() -> Any:
        sock, _ = await loop.sock_accept(listening)
        if not silent_after_tls:
            return sock
        await asyncio.sleep(0.3)
        tls = files.python_server()
        made = await loop.connect_accepted_socket(asyncio.Protocol, sock, ssl=tls)
        return made[0]

    task = asyncio.create_task(serve_it())
    start = time.monotonic()
    with listening, pytest.raises(TimeoutError):
        await connect(
            f"wss://localhost:{listening.getsockname()[1]}/",
            host="127.0.0.1",
            port=listening.getsockname()[1],
            ssl=files.client(),
            open_timeout=0.5,
        )
    assert 0.4 < time.monotonic() - start < 0.8
    (await task).close()


async def stalled(server: Any, files: Files, step: str) -> TLSPeer:
    """A client in the middle of its handshake."""
    peer = await TLSPeer.open(server, files.python_client())
    if step == "connected":
        return peer
    with pytest.raises(ssl.SSLWantReadError):
        peer.ssl.do_handshake()
    data = peer.encrypted()
    peer.writer.write(data[: len(data) // 2])
    if step == "half a message":
        return peer
    await asyncio.sleep(0.01)
    peer.writer.write(data[len(data) // 2 :])
    if step == "half a handshake":
        await peer._receive()
        return peer
    await peer.handshake()
    sent = {
        "half a request": HEAD[:40],
        "open": HEAD,
        "half a frame": HEAD + frame(1, b"x" * 100, mask=True)[:50],
    }
    if step in sent:
        peer.write(sent[step])
        peer.flush()
    if step in ("open", "half a frame"):
        await peer.read_until(b"\r\n\r\n")
    return peer


STEPS = [
    *("connected", "half a message", "half a handshake", "secure", "half a request"),
    *("open", "half a frame"),
]


@pytest.mark.threat("TLS-7", "OVL-4")
@pytest.mark.parametrize("who", ["server", "client", "reset"])
async def test_end_at_every_step(serve: Any, echo: Any, files: Files, who: str) -> None:
    server = await serve(echo, "127.0.0.1", 0, ssl=files.server(), close_timeout=0.5)
    peers = [await stalled(server, files, step) for step in STEPS]
    await asyncio.sleep(0.02)
    for peer in peers if who != "server" else []:
        if who == "reset":
            linger = struct.pack("ii", 1, 0)
            sock = peer.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        peer.writer.transport.abort()
    if who != "server":
        await until(lambda: not server.connections)
    server.close()
    await asyncio.wait_for(server.wait_closed(), 5)
    for peer in peers:
        await peer.drain()
        peer.writer.close()
    assert not server.connections


@pytest.mark.threat("TLS-7")
async def test_connect_cancelled_in_the_handshake(connect: Any, files: Files) -> None:
    """The server's flight comes in pieces; the client gives up before each of them."""
    context = files.python_server()
    accepted: list[asyncio.StreamWriter] = []
    taken = asyncio.Event()
    share = 0.0

    async def script(reader: Any, writer: Any) -> None:
        accepted.append(writer)
        to_it, from_it = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(to_it, from_it, server_side=True)
        to_it.write(await reader.read(1 << 16))
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        data = from_it.read()
        writer.write(data[: int(len(data) * share)])
        await asyncio.sleep(0.005)
        taken.set()

    server = await asyncio.start_server(script, "127.0.0.1", 0)
    descriptors: list[int] = []
    async with server:
        uri = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

        async def visit() -> None:
            await connect(uri, ssl=files.client())

        for number in range(11):
            share = number / 10
            taken.clear()
            task = asyncio.create_task(visit())
            await asyncio.wait_for(taken.wait(), 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            accepted.pop().close()
            await asyncio.sleep(0.01)
            descriptors.append(len(os.listdir("/proc/self/fd")))
    assert descriptors[-1] <= descriptors[0], descriptors


@pytest.mark.threat("TLS-7")
@engine_only
async def test_server_that_ends_in_the_handshake(connect: Any, files: Files) -> None:
    async def script(reader: Any, writer: Any) -> None:
        await reader.read(1 << 16)
        writer.close()

    server = await asyncio.start_server(script, "127.0.0.1", 0)
    async with server:
        uri = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(ssl.SSLEOFError) as caught:
            await connect(uri, ssl=files.client())
        said = {
            "TLSContext": "connection closed during the TLS handshake",
            "SSLContext": "EOF occurred in violation of protocol",
        }
        assert said[files.kind] in str(caught.value)


@pytest.mark.threat("TLS-8")
@pytest.mark.parametrize("kind", ["none", "another authority's", "expired"])
@engine_only
async def test_client_certificate_refused(
    serve: Any, files: Files, kind: str, tmp_path: pathlib.Path
) -> None:
    called = False

    async def handler(ws: Any) -> None:
        nonlocal called
        called = True

    client = files.python_client()
    if kind == "another authority's":
        path = tmp_path / "wrong.pem"
        trustme.CA().issue_cert(
            "a@b.example"
        ).private_key_and_cert_chain_pem.write_to_path(path)
        client.load_cert_chain(path)
    elif kind == "expired":
        client.load_cert_chain(files.expired("me@b.example"))
    context = files.server(client_ca=files.ca)
    async with serve(handler, "127.0.0.1", 0, ssl=context) as server:
        peer = await TLSPeer.open(server, client)
        # With TLS 1.3 the client is done before the server has looked.
        await peer.handshake()
        peer.write(HEAD)
        peer.flush()
        assert isinstance(await peer.drain(), (ssl.SSLError, ConnectionError))
        peer.writer.close()
        assert not called


@pytest.mark.threat("TLS-8")
@pytest.mark.parametrize("kind", ["itself", "nobody we know", "expired", "name"])
async def test_server_certificate_refused(
    connect: Any, files: Files, kind: str, tmp_path: pathlib.Path
) -> None:
    """By default, and before anything of the request leaves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    client = files.client()
    if kind == "itself":
        path = tmp_path / "self.pem"
        authority.private_key_pem.write_to_path(path)
        authority.cert_pem.write_to_path(path, append=True)
        context.load_cert_chain(path)
    elif kind == "expired":
        context.load_cert_chain(files.expired("localhost"))
    elif kind == "name":
        context.load_cert_chain(files.issue("elsewhere", "example.org"))
    else:
        authority.issue_cert("localhost").configure_cert(context)
        client = files.client(trusting=False)
    heard = b""

    async def script(reader: Any, writer: Any) -> None:
        nonlocal heard
        heard += await reader.read(100)
        writer.close()

    server = await asyncio.start_server(script, "127.0.0.1", 0, ssl=context)
    async with server:
        uri = f"wss://localhost:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(ssl.SSLError, match="certificate verify failed: "):
            await connect(uri, host="127.0.0.1", ssl=client)
    assert heard == b""


@tls_context
async def test_names_have_their_certificates(
    serve: Any, echo: Any, files: Files
) -> None:
    names = {"a.example": "a", "b.example": "b", "*.c.example": "c"}
    context = files.server()
    for name, file in names.items():
        context.add_certificate(name, TLSContext.server(files.issue(file, name)))
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        address = server.sockets[0].getsockname()
        for asked, given in {
            "a.example": "a.example",
            "B.EXAMPLE": "b.example",
            "x.c.example": "*.c.example",
            "c.example": "localhost",
            "x.y.c.example": "localhost",
            "nobody.example": "localhost",
        }.items():
            client = files.python_client()
            client.check_hostname = False
            _, writer = await asyncio.open_connection(
                *address, ssl=client, server_hostname=asked
            )
            found = writer.get_extra_info("peercert")["subjectAltName"]
            assert found[0] == ("DNS", given)
            writer.transport.abort()


@tls_context
async def test_reload_with_live_connections(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    path = files.issue("renewed", "localhost", "127.0.0.1")
    context = TLSContext.server(path)
    client = files.client()
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        uri = uri_of(server, scheme="wss")
        async with connect(uri, ssl=client) as old:
            first = old.transport.get_extra_info("peercert_der")
            for _ in range(3):
                files.issue("renewed", "localhost", "127.0.0.1")
                context.reload()
                gc.collect()
                await old.send("still here")
                assert await old.recv() == "still here"
                async with connect(uri, ssl=client) as new:
                    assert new.transport.get_extra_info("peercert_der") != first
                    # Keys of tickets are the context's.
                    assert not new.transport.get_extra_info("session_reused")


# Figures


@pytest.mark.slow  # resident memory says nothing under the sanitizers
@pytest.mark.threat("TLS-6")
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_handshakes_leave_nothing(
    serve: Any, echo: Any, files: Files, version: str
) -> None:
    """Not even sessions of clients that take no tickets."""
    client = files.python_client()
    client.maximum_version = ssl.TLSVersion[version]
    client.options |= ssl.OP_NO_TICKET

    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        address = server.sockets[0].getsockname()

        def visit(count: int) -> None:
            for _ in range(count):
                with socket.create_connection(address) as raw:
                    with client.wrap_socket(raw, server_hostname="localhost") as sock:
                        sock.sendall(b"no request\r\n\r\n")
                        with contextlib.suppress(OSError):
                            sock.recv(1000)

        gc.disable()
        try:
            await asyncio.to_thread(visit, 300)
            await asyncio.sleep(0.05)
            before = len(os.listdir("/proc/self/fd")), resident()
            await asyncio.to_thread(visit, HANDSHAKES // 2)
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before[0])
            # A session of TLS 1.2 would be 1 KiB or more.
            assert resident() - before[1] < 256 << 10
        finally:
            gc.enable()


async def started(script: str, *args: str) -> Any:
    path = pathlib.Path(__file__).with_name(script)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(path),
        *args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ
        | {"PYTHONPATH": str(pathlib.Path(pywscore.__file__).parents[1])},
    )


@pytest.mark.slow
@pytest.mark.threat("TLS-5")
@pytest.mark.parametrize("size", [200, 16000])
async def test_idle_connections_are_small(
    environment: Any, files: Files, size: int
) -> None:
    """After one echo, at most of a record, which all of OpenSSL's buffers have held; a
    fresh server, so that no memory is there to be used again."""
    if environment.loop != "asyncio":
        pytest.skip("elsewhere: the server's loop is asyncio's")
    server = await started("tls_server.py", files.kind, str(files.chain))
    port = (await server.stdout.readline()).decode().strip()
    clients = await started("tls_clients.py", port, str(IDLE), str(size))

    async def server_resident() -> int:
        server.stdin.write(b"how much?\n")
        return int(await server.stdout.readline())

    # The first of them pay for what all share.
    assert await clients.stdout.readline() == b"warm\n"
    before = await server_resident()
    clients.stdin.write(b"go on\n")
    assert await clients.stdout.readline() == b"idle\n"
    each = (await server_resident() - before) / IDLE
    for process in (clients, server):
        process.stdin.close()
        await process.wait()
    most = MOST_KIB[files.kind, size]
    if ssl.OPENSSL_VERSION_INFO >= (3, 5):
        most += 16  # it keeps 14 KB more for itself (docs/tls.md)
    assert 4 << 10 < each <= most << 10, f"{each / 1024:.1f} KiB a connection"
