"""What TLS has to say of its own in the middle of a connection's messages."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from peers import REQUEST, frame
from tls_peer import Files, s_client, sent_so_far
from waiting import until

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs the engine"),
    pytest.mark.usefixtures("of_the_carrier"),
]

HEAD = REQUEST.format(path="/", extra="").encode()
openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")


@openssl
@pytest.mark.threat("TLS-8")
@pytest.mark.parametrize("command", ["K", "k"])
async def test_new_keys_in_a_frame(
    serve: Any, echo: Any, files: Files, command: str
) -> None:
    """KeyUpdate with an answer and without (RFC 8446 §4.6.3), twice."""
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        async with s_client(server, files.ca, HEAD, "-tls1_3") as (stdin, stdout):
            for size in (100, 7000):  # halves that a pipe takes at once
                data = frame(1, b"x" * size, mask=True)
                await sent_so_far(stdin, stdout, data[: size // 2])
                stdin.write(command.encode() + b"\n")
                await stdout.readuntil(b"KEYUPDATE")
                stdin.write(data[size // 2 :])
                await stdout.readuntil(frame(1, b"x" * size, mask=False))


@openssl
@pytest.mark.threat("TLS-8")
async def test_renegotiation_is_refused(serve: Any, files: Files) -> None:
    """Of TLS 1.2: what came before is there, and others are served."""
    got: list[Any] = []

    async def handler(ws: Any) -> None:
        async for message in ws:
            got.append(message)
            await ws.send(message)

    async with serve(
        handler, "127.0.0.1", 0, ssl=files.server(), ping_interval=None
    ) as server:
        async with s_client(server, files.ca, HEAD, "-tls1_2") as (stdin, stdout):
            stdin.write(frame(1, b"one", mask=True))
            await stdout.readuntil(b"one")
            stdin.write(b"R\n")
            with contextlib.suppress(ConnectionError):
                await stdin.drain()
            assert b"no renegotiation" in await stdout.read()
        assert got == ["one"]
        async with s_client(server, files.ca, HEAD, "-tls1_2") as (stdin, stdout):
            stdin.write(frame(1, b"two", mask=True))
            await stdout.readuntil(b"two")


async def test_post_handshake_authentication(
    serve: Any, connect: Any, uri_of: Any, files: Files
) -> None:
    """RFC 8446 §4.6.2, in the middle of a message of the client's."""
    if files.kind != "SSLContext":
        pytest.skip("elsewhere: TLSContext asks for certificates in the handshake")

    async def handler(ws: Any) -> None:
        tls = ws.transport.get_extra_info("ssl_object")
        assert await ws.recv() == "hello"
        assert tls.getpeercert() is None
        tls.verify_client_post_handshake()
        await ws.send("who are you?")
        assert len(await ws.recv()) == 100_000
        await ws.send(str(tls.getpeercert()["subjectAltName"]))

    async def parts() -> AsyncIterator[bytes]:
        yield bytes(50_000)
        assert await ws.recv() == "who are you?"
        yield bytes(50_000)

    mine = files.issue("late", "late@example.org")
    context, client = files.server(), files.client(certificate=mine)
    for each in (context, client):
        each.post_handshake_auth = True
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_mode = ssl.CERT_OPTIONAL
    async with serve(handler, "127.0.0.1", 0, ssl=context) as server:
        async with connect(uri_of(server, scheme="wss"), ssl=client) as ws:
            await ws.send("hello")
            await ws.send(parts())
            assert "late@example.org" in await ws.recv()


async def test_nobody_is_there_late(
    serve: Any, connect: Any, uri_of: Any, files: Files
) -> None:
    """Who has no certificate when it is asked for one is refused."""
    if files.kind != "SSLContext":
        pytest.skip("elsewhere: TLSContext asks for certificates in the handshake")
    ended: list[Any] = []

    async def handler(ws: Any) -> None:
        ws.transport.get_extra_info("ssl_object").verify_client_post_handshake()
        await ws.send("who are you?")
        await ws.wait_closed()
        ended.append(ws.close_code)

    context, client = files.server(), files.client()
    for each in (context, client):
        each.post_handshake_auth = True
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    async with serve(handler, "127.0.0.1", 0, ssl=context) as server:
        async with connect(uri_of(server, scheme="wss"), ssl=client) as ws:
            assert await ws.recv() == "who are you?"
            await ws.send("nobody")
            await ws.wait_closed()
            assert ws.close_code == 1006
        await until(lambda: ended == [1006])
