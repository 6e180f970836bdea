"""ssl.SSLContext on the engine: its settings, its callbacks, and what they may do."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import pathlib
import shutil
import ssl
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from nesting import NestingLoop
from peers import REQUEST, accept_response, frame
from programs import free_port
from tls_peer import Files, TLSPeer
from waiting import until

import pywscore
from pywscore import ConnectionClosedError
from pywscore.asyncio import _default_tls

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs the engine")

HEAD = REQUEST.format(path="/", extra="").encode()
MIB = 1 << 20
# A long run takes 10,000, and PYWSCORE_TEST_TIMEOUT=600.
CONNECTIONS = int(os.environ.get("PYWSCORE_HANDSHAKES", "500"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"), "SSLContext")


@pytest.fixture(autouse=True)
def only_auto(request: pytest.FixtureRequest) -> None:
    if "environment" not in request.fixturenames:
        return
    if request.getfixturevalue("environment").carrier == "transport":
        pytest.skip("elsewhere: the engine only")


def is_on_engine(ws: Any) -> bool:
    return type(ws.transport).__name__ == "EngineTransport"


async def exchange(ws: Any) -> None:
    for message in ("text", b"x" * 300, b"y" * MIB):
        await ws.send(message)
        assert await ws.recv() == message


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


async def test_post_handshake_authentication(
    serve: Any, connect: Any, uri_of: Any, files: Files
) -> None:
    async def handler(ws: Any) -> None:
        tls = ws.transport.get_extra_info("ssl_object")
        assert tls.getpeercert() is None
        tls.verify_client_post_handshake()
        await ws.send("who are you?")
        await ws.recv()
        await ws.send(str(tls.getpeercert()["subjectAltName"]))

    mine = files.issue("late", "late@example.org")
    context, client = files.server(), files.client(certificate=mine)
    for each in (context, client):
        each.post_handshake_auth = True
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_mode = ssl.CERT_OPTIONAL
    async with serve(handler, "127.0.0.1", 0, ssl=context) as server:
        async with connect(uri_of(server, scheme="wss"), ssl=client) as ws:
            assert await ws.recv() == "who are you?"
            await ws.send("me")
            assert "late@example.org" in await ws.recv()


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


# Classes and callbacks that do anything


class Purpose(Exception):
    """Raised on purpose."""


class Odd(BaseException):
    """The same, and no Exception."""


def hooked(context: ssl.SSLContext, method: str, act: Callable[[], Any]) -> Any:
    """``context`` with SSLObjects that call ``act`` in ``method``, once it was called:
    a list that says how often."""
    calls: list[Any] = []

    class Hooked(ssl.SSLObject):
        pass

    def call(self: Any, *args: Any) -> Any:
        result = getattr(ssl.SSLObject, method)(self, *args)
        calls.append(result)
        act()
        return result

    setattr(Hooked, method, call)
    context.sslobject_class = Hooked
    return calls


async def test_methods_of_a_subclass_are_called(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    context, client = files.server(), files.client()
    read = hooked(context, "read", lambda: None)
    written = hooked(client, "write", lambda: None)
    async with serve(
        echo, "127.0.0.1", 0, ssl=context, max_size=2 * MIB, compression=None
    ) as server:
        uri = uri_of(server, scheme="wss")
        async with connect(uri, ssl=client, max_size=2 * MIB, compression=None) as ws:
            await exchange(ws)
    assert sum(read) == sum(written) > MIB
    assert max(written) == 16384


def act_on(ws: Any, action: str) -> Any:
    if action == "raise":
        raise Purpose
    if action == "odd":
        raise Odd
    if action == "abort":
        ws.transport.abort()
    elif action == "close":
        ws.transport.close()
    elif action == "send":
        ws.send_nowait(b"z" * 100_000)
    elif action == "collect":
        gc.collect()
    return None


ACTIONS = ["raise", "odd", "abort", "close", "send", "collect"]


@pytest.mark.threat("LIF-1")
@pytest.mark.parametrize("method", ["read", "write"])
@pytest.mark.parametrize("action", ACTIONS)
async def test_what_happens_in_read_and_write(
    serve: Any, connect: Any, uri_of: Any, files: Files, method: str, action: str
) -> None:
    """In the middle of a conversation; the server serves others afterwards."""
    chosen: list[Any] = []
    ended: list[Any] = []

    async def handler(ws: Any) -> None:
        tls = ws.transport.get_extra_info("ssl_object")
        try:
            async for message in ws:
                if message == "now":
                    chosen.append((ws, tls))
                await ws.send(message)
            ended.append(None)
        except ConnectionClosedError as exc:
            ended.append(exc.__cause__)

    def act() -> None:
        if chosen:
            ws, _ = chosen.pop()
            act_on(ws, action)

    context = files.server()
    hooked(context, method, act)
    async with serve(handler, "127.0.0.1", 0, ssl=context, close_timeout=1) as server:
        uri = uri_of(server, scheme="wss")
        async with connect(uri, ssl=files.client(), close_timeout=1) as ws:
            await ws.send("before")
            assert await ws.recv() == "before"
            got = []
            with contextlib.suppress(ConnectionClosedError):
                for message in ("now", "after"):
                    await ws.send(message)
                    while message not in got:
                        got.append(await ws.recv())
        if action in ("send", "collect"):
            sent = [b"z" * 100_000] if action == "send" else []
            assert sorted(got, key=len) == ["now", "after", *sent]
        else:
            assert "after" not in got
        async with connect(uri, ssl=files.client()) as other:
            await other.send("still")
            assert await other.recv() == "still"
    assert not chosen
    if action == "raise":
        assert isinstance(ended[0], Purpose)
    if action == "odd":
        assert isinstance(ended[0], RuntimeError)
        assert isinstance(ended[0].__cause__, Odd)


@pytest.mark.threat("LIF-1")
@pytest.mark.parametrize("action", ["raise", "odd", "abort", "close", "shutdown"])
@pytest.mark.parametrize("place", ["sni", "do_handshake", "wrap_bio"])
async def test_what_happens_in_a_handshake(
    serve: Any,
    connect: Any,
    uri_of: Any,
    echo: Any,
    files: Files,
    action: str,
    place: str,
) -> None:
    """Of a server; it accepts others afterwards, and leaves nothing behind."""
    armed = [True]
    servers: list[Any] = []
    seen: list[Any] = []
    loop = asyncio.get_running_loop()
    problems: list[Any] = []
    handler = loop._exception_handler  # type: ignore[attr-defined]
    loop.set_exception_handler(lambda _, context: problems.append(context))

    def act() -> None:
        if not armed:
            return
        armed.clear()
        (server,) = servers
        if action == "shutdown":
            server.close()
            return
        seen.extend(map(weakref.ref, server._all))
        if not seen or action in ("raise", "odd"):
            act_on(None, action if seen else "raise")
        else:
            act_on(seen[0](), action)

    context = files.server()
    if place == "sni":
        context.sni_callback = lambda *_: act()
    elif place == "do_handshake":
        hooked(context, "do_handshake", act)
    else:

        class Wrapping(ssl.SSLContext):
            def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
                act()
                return super().wrap_bio(*args, **kwargs)

        context = Wrapping(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.chain)
    unraisable: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        # Records of a log have the connection that they are of.
        async with serve(
            echo, "127.0.0.1", 0, ssl=context, logger=logging.Logger("nobody's")
        ) as server:
            servers.append(server)
            uri = uri_of(server, scheme="wss")
            with contextlib.suppress(OSError, pywscore.InvalidHandshake):
                await connect(uri, ssl=files.client(), open_timeout=2)
            assert not armed
            if action != "shutdown":
                async with connect(uri, ssl=files.client()) as ws:
                    await ws.send("still")
                    assert await ws.recv() == "still"
                await until(lambda: not server._all)
    finally:
        sys.unraisablehook = hook
        loop.set_exception_handler(handler)
    unraisable.clear()
    # What can't get a connection is the loop's to report, as in asyncio.
    assert [type(it["exception"]) for it in problems] == (
        [Purpose] if place == "wrap_bio" and action != "shutdown" else []
    )
    problems.clear()
    gc.collect()
    assert [ref() for ref in seen if ref() is not None] == []


@pytest.mark.parametrize("action", ["raise", "odd", "abort"])
async def test_what_happens_in_a_clients_handshake(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files, action: str
) -> None:
    client = files.client()
    count = 0

    def act() -> None:
        nonlocal count
        count += 1
        if action == "abort":
            raise ConnectionAbortedError
        act_on(None, action)

    hooked(client, "do_handshake", act)
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        expected = {
            "raise": Purpose,
            "odd": RuntimeError,
            "abort": (ConnectionAbortedError, pywscore.InvalidMessage),
        }
        with pytest.raises(expected[action]):
            await connect(uri_of(server, scheme="wss"), ssl=client)
    assert count == 1


@pytest.mark.parametrize("answer", ["too much", "nothing"])
@pytest.mark.parametrize("method", ["read", "write"])
async def test_sizes_that_are_not_true(
    serve: Any,
    connect: Any,
    uri_of: Any,
    echo: Any,
    files: Files,
    answer: Any,
    method: str,
) -> None:
    """Of a subclass: more than there was, or less than could be."""

    class Lying(ssl.SSLObject):
        def read(self, *args: Any) -> Any:
            got = super().read(*args)
            return got if method != "read" else 1 << 40 if answer[0] == "t" else -3

        def write(self, *args: Any) -> Any:
            done = super().write(*args)
            return done if method != "write" else 1 << 40 if answer[0] == "t" else 0

    context = files.server()
    context.sslobject_class = Lying
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        with pytest.raises((pywscore.InvalidMessage, ConnectionClosedError)):
            async with connect(uri_of(server, scheme="wss"), ssl=files.client()) as ws:
                await ws.recv()


async def test_a_write_that_takes_a_part(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    class Slow(ssl.SSLObject):
        def write(self, data: Any) -> int:
            return super().write(data[:1000])

    client = files.client()
    client.sslobject_class = Slow
    async with serve(
        echo, "127.0.0.1", 0, ssl=files.server(), max_size=2 * MIB
    ) as server:
        async with connect(
            uri_of(server, scheme="wss"), ssl=client, max_size=2 * MIB
        ) as ws:
            await exchange(ws)


@pytest.mark.threat("BOR-2")
def test_a_loop_inside_of_callbacks(files: Files) -> None:
    """It serves the other connections, in memory that nobody else reads from:
    handshakes and messages of several clients, in each other's calls."""
    nested = 0

    async def echo(ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    async def client(uri: str, number: int) -> None:
        tls = files.client()
        for _ in range(3):
            async with pywscore.connect(
                uri, ssl=tls, proxy=None, compression=None
            ) as ws:
                for size in (5, 300, 20_000, 300_000):
                    sent = [bytes([number]) * (size + i) for i in range(3)]
                    for message in sent:
                        await ws.send(message)
                    for message in sent:
                        assert await ws.recv() == message

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        depth = 0

        def nest() -> None:
            nonlocal depth, nested
            if depth < 3:
                depth += 1
                nested += 1
                loop.nest(2)
                depth -= 1

        context = files.server()
        context.sni_callback = lambda *_: nest()
        hooked(context, "read", nest)
        async with pywscore.serve(echo, "127.0.0.1", 0, ssl=context) as server:
            uri = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            async with asyncio.timeout(20):
                await asyncio.gather(*(client(uri, number) for number in range(4)))

    with asyncio.Runner(loop_factory=NestingLoop) as runner:
        runner.run(main())
    assert nested > 50


# What the other end does


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
@pytest.mark.threat("TLS-8")
@pytest.mark.parametrize("command", ["K", "k", "R"])
async def test_new_keys_and_renegotiation(
    serve: Any, files: Files, command: str
) -> None:
    """KeyUpdate with an answer and without (RFC 8446 §4.6.3); TLS 1.2's renegotiation
    is refused, as OpenSSL does."""
    got: list[Any] = []
    ended = asyncio.get_running_loop().create_future()

    async def handler(ws: Any) -> None:
        async for message in ws:
            got.append(message)
            await ws.send(message)
        ended.set_result(None)

    version = "-tls1_2" if command == "R" else "-tls1_3"
    async with serve(
        handler, "127.0.0.1", 0, ssl=files.server(), ping_interval=None
    ) as server:
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", version),
            *("-CAfile", str(files.ca), "-servername", "localhost"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(HEAD)
        await process.stdout.readuntil(b"Sec-WebSocket-Accept")
        process.stdin.write(frame(1, b"one", mask=True))
        await until(lambda: got == ["one"])
        process.stdin.write(command.encode() + b"\n")
        await process.stdin.drain()
        await asyncio.sleep(0.1)
        process.stdin.write(frame(1, b"two", mask=True))
        if command == "R":
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()
            output = (await process.stdout.read()).decode(errors="replace")
            assert "no renegotiation" in output
            await process.wait()
            return
        await until(lambda: got == ["one", "two"])
        await process.stdout.readuntil(b"two")
        process.stdin.close()
        await process.wait()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
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
