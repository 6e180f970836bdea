"""ssl.SSLContext on the engine: its settings, its callbacks, and what they may do."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pathlib
import shutil
import ssl
import sys
from typing import Any

import pytest
from peers import REQUEST, accept_response, frame
from programs import free_port
from tls_peer import Files, TLSPeer, exchange
from waiting import until

import pywscore
from pywscore.asyncio import _default_tls

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs the engine"),
    pytest.mark.usefixtures("only_auto"),
]
KINDS = ["SSLContext"]

HEAD = REQUEST.format(path="/", extra="").encode()
MIB = 1 << 20
# A long run takes 10,000, and PYWSCORE_TEST_TIMEOUT=600.
CONNECTIONS = int(os.environ.get("PYWSCORE_HANDSHAKES", "1000"))


def is_on_engine(ws: Any) -> bool:
    return type(ws.transport).__name__ == "EngineTransport"


# What carries it


@pytest.mark.parametrize("carrier", ["auto", "engine"])
async def test_the_engine_carries_it(
    uri_of: Any, echo: Any, files: Files, carrier: Any
) -> None:
    options: dict[str, Any] = {"carrier": carrier, "max_size": 2 * MIB}
    async with pywscore.serve(
        echo, "127.0.0.1", 0, ssl=files.server(), **options
    ) as server:
        uri = uri_of(server, scheme="wss")
        async with pywscore.connect(
            uri, ssl=files.client(), proxy=None, **options
        ) as ws:
            await exchange(ws)
            (there,) = server.connections
            assert is_on_engine(ws) and is_on_engine(there)


async def test_wss_without_ssl(
    serve: Any,
    connect: Any,
    uri_of: Any,
    echo: Any,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Trusts what ``ssl.create_default_context()`` does at the time."""
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        uri = uri_of(server, scheme="wss")
        for tls in ({}, {"ssl": True}):
            monkeypatch.delenv("SSL_CERT_FILE", raising=False)
            with pytest.raises(ssl.SSLCertVerificationError) as caught:
                await connect(uri, **tls)
            assert caught.value.verify_code == 20
            monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
            async with connect(uri, **tls) as ws:
                await ws.send("x")
                assert await ws.recv() == "x" and is_on_engine(ws)
                context = ws.transport.get_extra_info("sslcontext")
            async with connect(uri, **tls) as ws:
                assert ws.transport.get_extra_info("sslcontext") is context


async def test_default_context_is_made_anew(
    files: Files, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(files.ca.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    first = _default_tls.default_context()
    assert _default_tls.default_context() is first
    assert len(first.get_ca_certs()) == 1
    path.write_bytes(files.ca.read_bytes() + files.chain.read_bytes())
    second = _default_tls.default_context()
    assert second is not first
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    monkeypatch.setattr(ssl, "create_default_context", lambda: other)
    assert _default_tls.default_context() is other


# Settings


async def test_client_certificates(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    mine = files.issue("client", "somebody@example.org")
    context = files.server(client_ca=files.ca)
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        uri = uri_of(server, scheme="wss")
        async with connect(uri, ssl=files.client(certificate=mine)) as ws:
            await ws.send("x")
            assert await ws.recv() == "x"
            (there,) = server.connections
            peer = there.transport.get_extra_info("peercert")
            assert peer["subjectAltName"] == (("email", "somebody@example.org"),)
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            await connect(uri, ssl=files.client())


async def test_names_alpn_and_key_log(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files, tmp_path: Any
) -> None:
    other = files.server(files.issue("other", "other.example"))
    context = files.server()
    asked: list[Any] = []

    def choose(tls: Any, name: str | None, _: Any) -> None:
        asked.append(name)
        if name == "other.example":
            tls.context = other

    context.sni_callback = choose
    context.set_alpn_protocols(["http/1.1"])
    client = files.client()
    client.set_alpn_protocols(["http/1.1"])
    client.keylog_filename = str(tmp_path / "keys.txt")
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        uri = uri_of(server, scheme="wss")
        for name in ("other.example", "localhost"):
            async with connect(uri, ssl=client, server_hostname=name) as ws:
                tls = ws.transport.get_extra_info("ssl_object")
                peer = tls.getpeercert()
                assert ("DNS", name) in peer["subjectAltName"]
                (there,) = server.connections
                assert there.transport.get_extra_info("sslcontext") is context
                theirs = there.transport.get_extra_info("ssl_object")
                assert theirs.context is (other if name[0] == "o" else context)
        assert tls.selected_alpn_protocol() == "http/1.1"
    assert asked == ["other.example", "localhost"]
    assert "CLIENT_TRAFFIC_SECRET_0" in (tmp_path / "keys.txt").read_text()


async def test_new_certificate_and_resumption(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    context = files.server(files.issue("before", "before.example"))

    class Resuming(ssl.SSLContext):
        session: ssl.SSLSession | None = None

        def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
            return super().wrap_bio(*args, session=self.session, **kwargs)

    client = Resuming(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(files.ca)
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        uri = uri_of(server, scheme="wss")

        async def visit(name: str) -> bool:
            async with connect(uri, ssl=client, server_hostname=name) as ws:
                await ws.send("tickets come before the echo")
                await ws.recv()
                tls = ws.transport.get_extra_info("ssl_object")
                client.session = tls.session
                return bool(tls.session_reused)

        assert not await visit("before.example")
        assert await visit("before.example")
        client.session = None
        context.load_cert_chain(files.issue("after", "after.example"))
        assert not await visit("after.example")
        with pytest.raises(ssl.SSLCertVerificationError):
            client.session = None
            await visit("before.example")


async def test_contexts_that_wrap_another(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    """As ``truststore`` does: the SSLObject is of another context."""
    inner = files.client()

    class Wrapping(ssl.SSLContext):
        def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
            return inner.wrap_bio(*args, **kwargs)

    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        uri = uri_of(server, scheme="wss")
        wrapping = Wrapping(ssl.PROTOCOL_TLS_CLIENT)
        async with connect(uri, ssl=wrapping, max_size=2 * MIB) as ws:
            await ws.send("x")
            assert await ws.recv() == "x"
            tls = ws.transport.get_extra_info("ssl_object")
            assert tls.context is inner
            assert ws.transport.get_extra_info("sslcontext") is wrapping


async def test_truststore(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    """Its context trusts what the system does, and what it is told."""
    truststore = pytest.importorskip("truststore")
    async with serve(
        echo, "127.0.0.1", 0, ssl=files.server(), max_size=2 * MIB
    ) as server:
        uri = uri_of(server, scheme="wss")
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            await connect(uri, ssl=context)
        assert caught.value.verify_code == 20
        context.load_verify_locations(files.ca)
        async with connect(uri, ssl=context, max_size=2 * MIB) as ws:
            await exchange(ws)
            assert is_on_engine(ws)
            assert ws.transport.get_extra_info("sslcontext") is context


@pytest.mark.parametrize("identity", ["known", "unknown"])
async def test_pre_shared_keys(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files, identity: str
) -> None:
    """Without certificates, by callbacks on both sides."""
    if not hasattr(ssl.SSLContext, "set_psk_server_callback"):
        pytest.skip("since Python 3.13: keys that are shared before")
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_tls.check_hostname = False
    client_tls.verify_mode = ssl.CERT_NONE
    for context in (server_tls, client_tls):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("PSK")
    key = os.urandom(32)
    asked: list[str | None] = []

    def key_of(name: str | None) -> bytes:
        asked.append(name)
        return key if name == "known" else b""

    server_tls.set_psk_server_callback(key_of, "who are you?")
    client_tls.set_psk_client_callback(lambda hint: (identity, key))
    async with serve(echo, "127.0.0.1", 0, ssl=server_tls, max_size=2 * MIB) as server:
        uri = uri_of(server, scheme="wss")
        if identity == "unknown":
            with pytest.raises(ssl.SSLError, match=r"(?i)unknown.psk.identity"):
                await connect(uri, ssl=client_tls)
        else:
            async with connect(uri, ssl=client_tls, max_size=2 * MIB) as ws:
                await exchange(ws)
                tls = ws.transport.get_extra_info("ssl_object")
                assert "PSK" in tls.cipher()[0] and is_on_engine(ws)
        assert asked == [identity]


# Deadlines


@pytest.mark.threat("TLS-1")
@pytest.mark.parametrize("who", ["client", "server"])
async def test_handshake_timeout(
    serve: Any, connect: Any, echo: Any, files: Files, who: str
) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    if who == "server":
        async with serve(
            echo, "127.0.0.1", 0, ssl=files.server(), ssl_handshake_timeout=0.2
        ) as server:
            peer = await TLSPeer.open(server, files.python_client())
            with contextlib.suppress(ConnectionError):
                assert await peer.reader.read() == b""
            peer.writer.close()
    else:

        async def silent(reader: Any, writer: Any) -> None:
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(ConnectionAbortedError, match="longer than"):
                await connect(
                    f"wss://127.0.0.1:{port}/",
                    ssl=files.client(),
                    ssl_handshake_timeout=0.2,
                )
    assert 0.15 < loop.time() - start < 1


# What the other end does


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
@pytest.mark.threat("TLS-8")
@pytest.mark.parametrize(
    ("command", "version"), [("K", "-tls1_3"), ("k", "-tls1_3"), ("r", "-tls1_2")]
)
async def test_new_keys_and_renegotiation_of_a_client(
    connect: Any, files: Files, command: str, version: str
) -> None:
    """A renegotiation that the server asks for is done, as OpenSSL does it: sending
    waits for the server's part meanwhile."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_server", "-accept", f"127.0.0.1:{port}", version),
        *("-cert", str(files.chain), "-key", str(files.chain)),
        *("-cert_chain", str(files.chain)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdin is not None and process.stdout is not None
    await process.stdout.readuntil(b"ACCEPT")
    uri = f"wss://127.0.0.1:{port}/"
    task = asyncio.create_task(
        connect(uri, ssl=files.client(), compression=None).connect()
    )
    head = await process.stdout.readuntil(b"Sec-WebSocket-Version: 13\r\n\r\n")
    process.stdin.write(accept_response(head.decode()))
    ws = await task
    process.stdin.write(frame(1, b"one", mask=False))
    assert await ws.recv() == "one"
    process.stdin.write(command.encode() + b"\n")
    sent = b"".join(b"%06d" % number for number in range(30_000))
    for start in range(0, len(sent), 6000):
        await ws.send(sent[start : start + 6000])
        await asyncio.sleep(0)
    process.stdin.write(frame(1, b"two", mask=False))
    assert await ws.recv() == "two"
    ws.transport.abort()
    process.terminate()
    await process.communicate()


@pytest.mark.slow  # resident memory says nothing under the sanitizers
@pytest.mark.threat("TLS-6")
async def test_many_connections_leave_nothing(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    """Opened, used and closed."""

    def resident() -> int:
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096

    client = files.client()
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        uri = uri_of(server, scheme="wss")

        async def visit(count: int) -> None:
            for _ in range(count):
                async with connect(uri, ssl=client, compression=None) as ws:
                    await ws.send(b"x" * 20_000)
                    assert len(await ws.recv()) == 20_000

        await visit(100)
        gc.collect()
        before = resident(), len(os.listdir("/proc/self/fd"))
        await visit(CONNECTIONS)
        gc.collect()
        await until(lambda: len(os.listdir("/proc/self/fd")) <= before[1])
        assert resident() - before[0] < 512 << 10
