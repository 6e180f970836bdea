"""TLS of both kinds of settings: in the engine, and with transports."""

from __future__ import annotations

import asyncio
import gc
import os
import pathlib
import socket
import ssl
import struct
import sys
import time
from typing import Any

import pytest
from tls_peer import Files, engine_only, tls_context
from waiting import until

import pywscore
from pywscore import ConnectionClosedError, TLSContext

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs the engine"),
    pytest.mark.usefixtures("of_the_carrier"),
]


MESSAGES: list[Any] = ["text", b"", b"x" * 16384, b"y" * 900_000, ["a", "b"]]


async def exchange(ws: Any) -> None:
    for message in MESSAGES:
        await ws.send(message)
        expected = "ab" if isinstance(message, list) else message
        assert await ws.recv() == expected


@pytest.mark.parametrize("ends", ["both", "server", "client"])
async def test_echo(
    serve: Any, uri_of: Any, echo: Any, files: Files, ends: str
) -> None:
    ours, theirs = files.server(), files.client()
    server_tls = ours if ends != "client" else files.python_server()
    client_tls = theirs if ends != "server" else files.python_client()
    async with serve(echo, "127.0.0.1", 0, ssl=server_tls) as server:
        uri = uri_of(server, scheme="wss")
        async with pywscore.connect(uri, ssl=client_tls, proxy=None) as ws:
            await exchange(ws)
            if ends == "both":
                cipher = ws.transport.get_extra_info("cipher")
                assert cipher[1:] == ("TLSv1.3", 256)
                tls = ws.transport.get_extra_info("ssl_object")
                assert tls.cipher() == cipher and tls.version() == "TLSv1.3"
                assert tls.compression() is None and not tls.server_side
                der = tls.getpeercert(binary_form=True)
                assert ssl.DER_cert_to_PEM_cert(der) in files.chain.read_text()
                if files.kind == "TLSContext":
                    assert ws.transport.get_extra_info("alpn") == "http/1.1"
                    assert ws.transport.get_extra_info("peercert_der") == der
                    assert tls.selected_alpn_protocol() == "http/1.1"
                    with pytest.raises(ValueError, match="binary_form"):
                        tls.getpeercert()
                else:
                    assert isinstance(tls, ssl.SSLObject)
                    assert ws.transport.get_extra_info("sslcontext") is theirs
                    named = ws.transport.get_extra_info("peercert")
                    assert ("DNS", "localhost") in named["subjectAltName"]
                (there,) = server.connections
                theirs = there.transport.get_extra_info("ssl_object")
                assert theirs.server_side and theirs.getpeercert() is None
        assert ws.close_code == 1000
        if ends == "both":
            assert ws.transport.get_extra_info("ssl_object") is tls
            assert tls.cipher() == cipher


async def test_websockets_as_client(
    serve: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    websockets = pytest.importorskip("websockets")
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        uri = uri_of(server, scheme="wss")
        async with websockets.connect(uri, ssl=files.python_client(), proxy=None) as ws:
            await exchange(ws)
        assert ws.close_code == 1000


async def test_broadcast(serve: Any, uri_of: Any, files: Files) -> None:
    """Shared frames, larger than a record and more than the socket takes at once."""

    async def nothing(ws: Any) -> None:
        await ws.wait_closed()

    payload = os.urandom(300_000)
    sent = [m for n in range(30) for m in (payload + bytes([n]), bytes(n), "a" * 5000)]
    everything = {"compression": None, "write_limit": 1 << 26}
    async with serve(
        nothing, "127.0.0.1", 0, ssl=files.server(), **everything
    ) as server:
        uri = uri_of(server, scheme="wss")
        options: dict[str, Any] = {"ssl": files.client(), "proxy": None}
        async with (
            pywscore.connect(uri, **options) as ws,
            pywscore.connect(uri, **options) as other,
        ):
            while len(server.connections) < 2:
                await asyncio.sleep(0.001)
            for message in sent:
                pywscore.broadcast(server.connections, message)
            for end in (ws, other):
                for message in sent:
                    assert await end.recv() == message


@pytest.mark.threat("TLS-9", "SLW-1")
async def test_much_in_both_directions(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        uri = uri_of(server, scheme="wss")
        async with connect(uri, ssl=files.client(), compression=None) as ws:
            count = 40
            payload = os.urandom(300_000)

            async def send() -> None:
                for number in range(count):
                    await ws.send(payload + bytes([number]))

            task = asyncio.create_task(send())
            for number in range(count):
                await asyncio.sleep(0.002)
                assert await ws.recv() == payload + bytes([number])
            await task


@pytest.mark.threat("TLS-3")
@pytest.mark.parametrize("step", [1, 2, 7])
async def test_records_cut(
    serve: Any, connect: Any, files: Files, echo: Any, step: int
) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        port = server.sockets[0].getsockname()[1]

        async def pump(reader: Any, writer: Any) -> None:
            try:
                while data := await reader.read(4096):
                    for i in range(0, len(data), step):
                        writer.write(data[i : i + step])
                        await asyncio.sleep(0)
            finally:
                writer.close()

        async def proxy(reader: Any, writer: Any) -> None:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
            sock = to_writer.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer))

        between = await asyncio.start_server(proxy, "127.0.0.1", 0)
        uri = f"wss://127.0.0.1:{between.sockets[0].getsockname()[1]}/"
        async with connect(uri, ssl=files.client()) as ws:
            for message in ("one", b"z" * 5000):
                await ws.send(message)
                assert await ws.recv() == message
        assert ws.close_code == 1000
        between.close()


async def test_resumption(serve: Any, echo: Any, files: Files) -> None:
    context = files.python_client()
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        port = server.sockets[0].getsockname()[1]

        def visit(session: Any) -> tuple[bool, Any]:
            with socket.create_connection(("127.0.0.1", port)) as raw:
                with context.wrap_socket(
                    raw, server_hostname="localhost", session=session
                ) as sock:
                    sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    sock.recv(1000)
                    return bool(sock.session_reused), sock.session

        reused, session = await asyncio.to_thread(visit, None)
        assert not reused
        reused, _ = await asyncio.to_thread(visit, session)
        assert reused


@tls_context
async def test_one_ticket(serve: Any, echo: Any, files: Files) -> None:
    """With each connection, for the one in its place."""
    context: Any = files.python_client()
    said: list[Any] = []
    context._msg_callback = lambda *of: said.append((of[1], of[4]))
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        port = server.sockets[0].getsockname()[1]

        def visit() -> None:
            with socket.create_connection(("127.0.0.1", port)) as raw:
                with context.wrap_socket(raw, server_hostname="localhost") as sock:
                    sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    assert sock.recv(1000)

        await asyncio.to_thread(visit)
    ticket = ssl._TLSMessageType.NEWSESSION_TICKET  # type: ignore[attr-defined]
    assert said.count(("read", ticket)) == 1


@tls_context
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
async def test_resumption_by_clients(
    serve: Any, connect: Any, echo: Any, files: Files, version: str
) -> None:
    theirs = files.python_server()
    if version == "TLSv1.2":
        theirs.maximum_version = ssl.TLSVersion.TLSv1_2
    ours = [theirs] if version == "TLSv1.2" else [theirs, files.server()]
    for context in ours:
        client = files.client()
        async with serve(echo, "127.0.0.1", 0, ssl=context, carrier="auto") as server:
            port = server.sockets[0].getsockname()[1]

            async def visit(name: str, tls: TLSContext, port: int = port) -> bool:
                uri = f"wss://127.0.0.1:{port}/"
                async with connect(uri, ssl=tls, server_hostname=name) as ws:
                    await ws.send("the tickets come before the echo")
                    await ws.recv()
                    info = ws.transport.get_extra_info("ssl_object")
                    assert info.version() == version
                    assert info.getpeercert(binary_form=True)
                    assert info.session_reused == ws.transport.get_extra_info(
                        "session_reused"
                    )
                    return bool(info.session_reused)

            assert not await visit("localhost", client)
            assert await visit("localhost", client)
            assert await visit("localhost", client)
            # Another name, other settings, or files read again: no.
            assert not await visit("127.0.0.1", client)
            assert not await visit("localhost", files.client())
            client.reload()
            assert not await visit("localhost", client)


@tls_context
async def test_server_names_and_reload(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    first = files.issue("first", "one.example")
    context = TLSContext.server(first)
    context.add_certificate(
        "*.b.example", TLSContext.server(files.issue("second", "x.b.example"))
    )
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        uri = uri_of(server, scheme="wss")

        async def visit(name: str) -> None:
            async with connect(uri, ssl=files.client(), server_hostname=name):
                pass

        await visit("one.example")
        await visit("x.b.example")
        with pytest.raises(ssl.SSLError):
            await visit("three.example")
        files.issue("first", "three.example")
        await visit("one.example")
        context.reload()
        await visit("three.example")
        await visit("x.b.example")
        first.write_text("nonsense")
        with pytest.raises(ValueError):
            context.reload()
        await visit("three.example")


@engine_only
async def test_client_certificates(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    mine = files.issue("client", "somebody@example.org")
    for demand, without in (("required", False), ("optional", True)):
        context = files.server(client_ca=files.ca, client_certificates=demand)
        async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
            uri = uri_of(server, scheme="wss")
            async with connect(uri, ssl=files.client(certificate=mine)) as ws:
                await ws.send("x")
                (there,) = server.connections
                tls = there.transport.get_extra_info("ssl_object")
                assert tls.getpeercert(binary_form=True)
            if without:
                async with connect(uri, ssl=files.client()):
                    pass
            else:
                with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
                    await connect(uri, ssl=files.client())


@pytest.mark.threat("TLS-8")
@pytest.mark.parametrize("why", ["name", "address", "authority", "expired"])
async def test_server_not_trusted(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files, why: str
) -> None:
    context, client = files.server(), files.client()
    name = {"name": "other.example", "address": "127.0.0.9"}.get(why, "localhost")
    if why == "authority":
        client = files.client(trusting=False)
    if why == "expired":
        context = files.server(files.expired("localhost"))
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        with pytest.raises(ssl.SSLError, match="certificate verify failed: "):
            await connect(
                uri_of(server, scheme="wss"), ssl=client, server_hostname=name
            )


@pytest.mark.threat("TLS-8")
async def test_old_versions(serve: Any, echo: Any, files: Files) -> None:
    context = files.python_client()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        host, port = server.sockets[0].getsockname()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(
                host, port, ssl=context, server_hostname="localhost"
            )


@pytest.mark.threat("TLS-2")
async def test_plain_to_tls_and_back(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        start = time.monotonic()
        with pytest.raises((pywscore.InvalidMessage, OSError)):
            await connect(uri_of(server))
        assert time.monotonic() - start < 0.5
    async with serve(echo, "127.0.0.1", 0) as server:
        with pytest.raises(OSError):
            await connect(uri_of(server, scheme="wss"), ssl=files.client())


@pytest.mark.threat("HSK-8", "TLS-1")
@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_handshake_that_stalls(
    serve: Any, echo: Any, files: Files, sent: bytes
) -> None:
    async with serve(
        echo, "127.0.0.1", 0, ssl=files.server(), open_timeout=0.5
    ) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        start = time.monotonic()
        writer.write(sent)
        try:
            assert await reader.read() == b""
        except ConnectionError:
            pass
        assert 0.4 < time.monotonic() - start < 0.9
        writer.close()


@pytest.mark.threat("TLS-4")
async def test_end_without_close_notify(serve: Any, files: Files) -> None:
    ended = asyncio.get_running_loop().create_future()

    async def handler(ws: Any) -> None:
        try:
            await ws.recv()
        except ConnectionClosedError:
            ended.set_result(ws.close_code)
        else:
            ended.set_result("a message")

    async with serve(handler, "127.0.0.1", 0, ssl=files.server()) as server:
        port = server.sockets[0].getsockname()[1]

        def visit() -> None:
            raw = socket.create_connection(("127.0.0.1", port))
            context = files.python_client()
            sock = context.wrap_socket(raw, server_hostname="localhost")
            sock.sendall(
                b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert sock.recv(1000).startswith(b"HTTP/1.1 101 ")
            sock.sendall(b"\x81\x85\0\0\0\0hel")  # 3 of 5 bytes
            sock.close()  # without unwrap()

        await asyncio.to_thread(visit)
        assert await asyncio.wait_for(ended, 5) == 1006


@pytest.mark.slow  # resident memory says nothing under the sanitizers
@pytest.mark.threat("TLS-6")
async def test_failed_handshakes_leave_nothing(
    serve: Any, echo: Any, files: Files
) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def resident() -> int:
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096

    def reset(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        address = server.sockets[0].getsockname()

        def fail(count: int) -> None:
            for number in range(count):
                with socket.create_connection(address) as sock:
                    if number % 3:
                        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                        try:
                            sock.recv(100)
                        except ConnectionError:
                            pass
                    else:
                        sock.sendall(b"\x16\x03\x01\x02\x00\x01")
                        reset(sock)

        gc.disable()
        try:
            await asyncio.to_thread(fail, 200)
            await asyncio.sleep(0.05)
            before = descriptors(), resident()
            await asyncio.to_thread(fail, 1000)
            await until(lambda: descriptors() <= before[0])
            assert resident() - before[1] < 2 << 20
        finally:
            gc.enable()


@tls_context
async def test_arguments(files: Files, echo: Any) -> None:
    with pytest.raises(ValueError, match="transport"):
        pywscore.serve(echo, "127.0.0.1", 0, ssl=files.server(), carrier="transport")
    with pytest.raises(ValueError, match="transport"):
        pywscore.connect("wss://a/", ssl=files.client(), carrier="transport")
    with pytest.raises(ValueError, match="server"):
        pywscore.serve(echo, "127.0.0.1", 0, ssl=files.client())
    with pytest.raises(ValueError, match="client"):
        pywscore.connect("wss://a/", ssl=files.server())
    with pytest.raises(FileNotFoundError):
        TLSContext.server("/does/not/exist.pem")
    with pytest.raises(ValueError):
        TLSContext.server(files.ca)
    with pytest.raises(ValueError):
        files.server(ciphers="NOTHING")
