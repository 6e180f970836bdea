"""Fatal alerts of TLS and peers that aren't trusted are errors, and say what is wrong.

Python's own ``ssl`` is the measure: with ``ssl.SSLContext``, on both carriers, and with
``TLSContext`` the exceptions are the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hmac
import logging
import pathlib
import socket
import ssl
import struct
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trustme
from peers import REQUEST, accept_response, frame
from tls_peer import Files, TLSPeer
from waiting import until

from pywscore import ConnectionClosedError

aead = pytest.importorskip(
    "cryptography.hazmat.primitives.ciphers.aead", reason="there is no cryptography"
)

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs the engine"),
    pytest.mark.threat("END-3"),
]

HEAD = REQUEST.format(path="/", extra="").encode()
# RFC 8446 §6, RFC 5246 §7.2; all but close_notify (0) and user_canceled (90), and
# but for those that Python has no names for.
ALERTS = [
    *(10, 20, 21, 22, 30, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 60, 70, 71),
    *(80, 86, 109, 110, 111, 112, 113, 114, 116),
]
UNKNOWN_CA, CERTIFICATE_REQUIRED = 48, 116


class Ours:
    """Settings of our ends, and whether the engine carries them."""

    def __init__(self, files: Files, engine: bool) -> None:
        self.files = files
        self.engine = engine
        self.server = files.server
        self.client = files.client


@pytest.fixture
def ours(environment: Any, files: Files, of_the_carrier: None) -> Ours:
    return Ours(files, environment.carrier != "transport")


def text_of(error: BaseException) -> str:
    """Without the line of CPython's source."""
    return str(error.args[1]).partition(" (_ssl.c:")[0]


def described(error: ssl.SSLError) -> tuple[Any, ...]:
    return type(error), error.args[0], error.library, error.reason, text_of(error)


def plain_alert(alert: int) -> bytes:
    """A record before there are keys."""
    return bytes([21, 3, 3, 0, 2, 2, alert])


@functools.cache
def by_python(alert: int) -> tuple[Any, ...]:
    """What Python raises for it."""
    to_it, from_it = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client = context.wrap_bio(to_it, from_it, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    to_it.write(plain_alert(alert))
    with pytest.raises(ssl.SSLError) as caught:
        client.do_handshake()
    return described(caught.value)


class Server:
    """TLS on memory: asyncio's own servers don't send the alert when they refuse."""

    def __init__(self, context: ssl.SSLContext, reader: Any, writer: Any) -> None:
        self.reader, self.writer = reader, writer
        self._in, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self.out, server_side=True)

    async def request(self) -> str:
        """What the client says after the handshake."""
        while True:
            self._in.write(await self.reader.read(1 << 16))
            try:
                self.tls.do_handshake()
                return self.tls.read(1 << 16).decode()
            except ssl.SSLWantReadError:
                pass
            finally:
                self.writer.write(self.out.read())


# In the handshake


@contextlib.asynccontextmanager
async def server_of(script: Callable[..., Any], **kwargs: Any) -> AsyncIterator[str]:
    server = await asyncio.start_server(script, "127.0.0.1", 0, **kwargs)
    async with server:
        yield f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize("alert", ALERTS)
async def test_handshake_of_a_client(connect: Any, ours: Ours, alert: int) -> None:
    async def script(reader: Any, writer: Any) -> None:
        await reader.read(1 << 16)
        writer.write(plain_alert(alert))
        writer.close()

    async with server_of(script) as uri:
        with pytest.raises(ssl.SSLError) as caught:
            await connect(uri, ssl=ours.client())
    assert described(caught.value) == by_python(alert)


def refusing(files: Files, why: str) -> ssl.SSLContext:
    context = files.python_server()
    if why in ("certificate required", "unknown ca", "certificate required by 1.2"):
        context.load_verify_locations(files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if why in ("handshake failure", "certificate required by 1.2"):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if why == "handshake failure":
        context.set_ciphers("AES256-SHA")  # no key exchange that a client offers
        context.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384")  # of another key
    if why == "protocol version":
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    if why == "unrecognized name":
        context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("certificate required", "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        ("certificate required by 1.2", "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        ("unknown ca", "TLSV1_ALERT_UNKNOWN_CA"),
        ("handshake failure", "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        ("protocol version", "TLSV1_ALERT_PROTOCOL_VERSION"),
        ("unrecognized name", "TLSV1_UNRECOGNIZED_NAME"),
    ],
)
async def test_servers_that_refuse(
    connect: Any,
    ours: Ours,
    files: Files,
    tmp_path: pathlib.Path,
    why: str,
    reason: str,
) -> None:
    """With TLS 1.3 they look at a client's certificate when the client is done."""
    mine = None
    if why == "unknown ca":
        mine = tmp_path / "mine.pem"
        made = trustme.CA().issue_cert("me@example.org")
        made.private_key_and_cert_chain_pem.write_to_path(mine)

    async def script(reader: Any, writer: Any) -> None:
        with pytest.raises(ssl.SSLError):
            await Server(refusing(files, why), reader, writer).request()
        writer.close()

    async with server_of(script) as uri:
        with pytest.raises(ssl.SSLError) as caught:
            await connect(
                uri, ssl=ours.client(certificate=mine), server_hostname="localhost"
            )
    error = caught.value
    assert (error.library, error.reason) == ("SSL", reason)
    assert text_of(error).startswith(f"[SSL: {reason}] ")


@pytest.mark.parametrize("why", ["name", "address", "authority", "itself", "expired"])
async def test_servers_that_are_not_trusted(
    connect: Any, ours: Ours, files: Files, tmp_path: pathlib.Path, why: str
) -> None:
    context = files.python_server()
    authority = trustme.CA()
    if why == "authority":
        authority.issue_cert("localhost").configure_cert(context)
    elif why == "itself":
        path = tmp_path / "self.pem"
        authority.private_key_pem.write_to_path(path)
        authority.cert_pem.write_to_path(path, append=True)
        context.load_cert_chain(path)
    elif why == "expired":
        context.load_cert_chain(files.expired("localhost"))
    name = {"name": "other.example", "address": "127.0.0.9"}.get(why, "localhost")
    code = {"name": 62, "address": 64, "authority": 20, "itself": 18, "expired": 10}

    async def script(reader: Any, writer: Any) -> None:
        writer.close()

    async with server_of(script, ssl=context) as uri:
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            await connect(uri, ssl=ours.client(), server_hostname=name)
    error = caught.value
    assert (error.library, error.reason) == ("SSL", "CERTIFICATE_VERIFY_FAILED")
    assert error.verify_code == code[why]
    assert text_of(error) == (
        f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
        f"{error.verify_message}"
    )


@pytest.mark.threat("SEC-1")
@pytest.mark.parametrize("said", [None, ""])
async def test_a_name_is_always_checked(
    connect: Any, ours: Ours, files: Files, said: str | None
) -> None:
    """It is the URL's for those who say none; asyncio takes "" for no check at all."""
    if said == "" and ours.files.kind == "SSLContext":
        pytest.skip("elsewhere: asyncio's own meaning")
    context = files.python_server()
    context.load_cert_chain(files.issue("elsewhere", "example.org"))

    async def script(reader: Any, writer: Any) -> None:
        writer.close()

    async with server_of(script, ssl=context) as uri:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(uri, ssl=ours.client(), server_hostname=said)


async def test_servers_that_end(connect: Any, ours: Ours) -> None:
    async def script(reader: Any, writer: Any) -> None:
        await reader.read(1 << 16)
        writer.close()

    async with server_of(script) as uri:
        with pytest.raises(OSError) as caught:
            await connect(uri, ssl=ours.client())
    if ours.engine:
        assert isinstance(caught.value, ssl.SSLEOFError)


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "[SSL: HTTP_REQUEST] http request"),
        (b"\x16\x03\x01", None),
        (None, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca"),
    ],
    ids=["http", "end", "untrusted"],
)
async def test_handshake_of_a_server(
    serve: Any,
    echo: Any,
    ours: Ours,
    files: Files,
    caplog: pytest.LogCaptureFixture,
    first: bytes | None,
    said: str | None,
) -> None:
    """One line each, as long as they aren't too many (LimitedLogger)."""
    caplog.set_level(logging.INFO, "pywscore.server")
    async with serve(echo, "127.0.0.1", 0, ssl=ours.server()) as server:
        await asyncio.sleep(0)
        caplog.clear()
        for _ in range(3):
            peer = await TLSPeer.open(server, ssl.create_default_context())
            if first is None:
                with contextlib.suppress(ssl.SSLCertVerificationError):
                    await peer.handshake()
                peer.flush()
            else:
                peer.writer.write(first)
                peer.writer.write_eof()
            await peer.drain()
            peer.writer.close()
        await until(lambda: not server.connections)
    lines = [line for line in caplog.messages if line.startswith("TLS failed: ")]
    if not ours.engine:
        assert not lines
        return
    assert len(lines) == 3
    if said is None:
        said = {
            "TLSContext": "connection closed during the TLS handshake",
            "SSLContext": "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in "
            "violation of protocol",
        }[files.kind]
    assert lines[0].partition(" (_ssl.c:")[0] == f"TLS failed: {said}"


# When the connection is open


def expanded(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 §7.1), of no more than a hash."""
    label = b"tls13 " + label
    info = struct.pack(">HB", size, len(label)) + label + b"\0\1"
    return hmac.digest(secret, info, "sha384")[:size]


class Keys:
    """Of what Python's ``ssl`` sends with TLS 1.3, so that a test can send alerts."""

    def __init__(self, context: ssl.SSLContext, folder: pathlib.Path) -> None:
        self.log = folder / "keys.txt"
        context.keylog_filename = str(self.log)

    def alert(self, who: str, alert: int, number: int) -> bytes:
        """As the record after ``number`` of them."""
        words = (line.split() for line in self.log.read_text().splitlines())
        (secret,) = (
            bytes.fromhex(line[2])
            for line in words
            if line[:1] == [f"{who}_TRAFFIC_SECRET_0"]
        )
        key, iv = expanded(secret, b"key", 32), expanded(secret, b"iv", 12)
        nonce = (int.from_bytes(iv) ^ number).to_bytes(12)
        head = bytes([23, 3, 3, 0, 3 + 16])
        sealed = aead.AESGCM(key).encrypt(nonce, bytes([2, alert, 21]), head)
        return head + sealed


def check_lost(ws: Any, error: BaseException, alert: int) -> None:
    assert isinstance(error, ConnectionClosedError)
    assert ws.close_code == 1006
    assert isinstance(error.__cause__, ssl.SSLError)
    assert described(error.__cause__) == by_python(alert)


@pytest.mark.parametrize("alert", ALERTS)
async def test_open_server(
    serve: Any, ours: Ours, files: Files, tmp_path: pathlib.Path, alert: int
) -> None:
    """What came before it is there first: in the same segment, but for asyncio."""
    got: list[Any] = []
    ended = asyncio.get_running_loop().create_future()

    async def handler(ws: Any) -> None:
        try:
            while True:
                got.append(await ws.recv())
        except ConnectionClosedError as exc:
            ended.set_result((ws, exc))

    context = files.python_client()
    keys = Keys(context, tmp_path)
    async with serve(handler, "127.0.0.1", 0, ssl=ours.server()) as server:
        peer = await TLSPeer.open(server, context)
        await peer.handshake()
        assert peer.ssl.cipher()[0] == "TLS_AES_256_GCM_SHA384"
        peer.write(HEAD)
        peer.flush()
        await peer.read_until(b"\r\n\r\n")
        peer.write(frame(1, b"first", mask=True))
        data = peer.encrypted()
        if not ours.engine:
            peer.writer.write(data)
            data = b""
            await asyncio.sleep(0.02)
        peer.writer.write(data + keys.alert("CLIENT", alert, 2))
        ws, error = await asyncio.wait_for(ended, 5)
        peer.writer.close()
    check_lost(ws, error, alert)
    assert got == ["first"]


@pytest.mark.parametrize("alert", [UNKNOWN_CA, CERTIFICATE_REQUIRED, 20, 80])
@pytest.mark.parametrize("phase", ["request", "open"])
async def test_open_client(
    connect: Any,
    ours: Ours,
    files: Files,
    tmp_path: pathlib.Path,
    alert: int,
    phase: str,
) -> None:
    context = files.python_server()
    context.num_tickets = 0
    keys = Keys(context, tmp_path)

    async def script(reader: Any, writer: Any) -> None:
        server = Server(context, reader, writer)
        head = await server.request()
        if phase == "open":
            server.tls.write(accept_response(head) + frame(1, b"first", mask=False))
            writer.write(server.out.read())
            if not ours.engine:
                await asyncio.sleep(0.02)
        writer.write(keys.alert("SERVER", alert, phase == "open"))
        await reader.read(1 << 16)
        writer.close()

    async with server_of(script) as uri:
        if phase == "request":
            with pytest.raises(ssl.SSLError) as caught:
                await connect(uri, ssl=ours.client())
            assert described(caught.value) == by_python(alert)
            return
        async with connect(uri, ssl=ours.client()) as ws:
            assert await ws.recv() == "first"
            with pytest.raises(ConnectionClosedError) as lost:
                await ws.recv()
            check_lost(ws, lost.value, alert)
            with pytest.raises(ConnectionClosedError) as lost:
                await ws.send("late")
            check_lost(ws, lost.value, alert)


async def test_alert_before_a_write_that_fails(
    connect: Any, ours: Ours, files: Files, tmp_path: pathlib.Path
) -> None:
    """It says more than EPIPE, though nobody has read it yet."""
    if not ours.engine:
        pytest.skip("elsewhere: the loop's own TLS")
    context = files.python_server()
    context.num_tickets = 0
    keys = Keys(context, tmp_path)
    go_on, gone = asyncio.Event(), asyncio.Event()

    async def script(reader: Any, writer: Any) -> None:
        server = Server(context, reader, writer)
        server.tls.write(accept_response(await server.request()))
        writer.write(server.out.read())
        await go_on.wait()
        writer.write(keys.alert("SERVER", UNKNOWN_CA, 1))
        await writer.drain()
        writer.transport.abort()
        gone.set()

    async with server_of(script) as uri:
        async with connect(uri, ssl=ours.client()) as ws:
            ws.transport.pause_reading()
            go_on.set()
            await gone.wait()
            with pytest.raises(ConnectionClosedError) as lost:
                while True:
                    await ws.send("late")
                    await asyncio.sleep(0.01)
            check_lost(ws, lost.value, UNKNOWN_CA)


@pytest.mark.parametrize("ending", ["changed", "notify", "abrupt", "reset"])
async def test_other_ends(serve: Any, ours: Ours, files: Files, ending: str) -> None:
    """A record that was changed, and ends without a close frame."""
    ended = asyncio.get_running_loop().create_future()

    async def handler(ws: Any) -> None:
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.recv()
        ended.set_result((ws, caught.value))

    async with serve(handler, "127.0.0.1", 0, ssl=ours.server()) as server:
        peer = await TLSPeer.open(server, files.python_client())
        await peer.handshake()
        peer.write(HEAD)
        peer.flush()
        await peer.read_until(b"\r\n\r\n")
        if ending == "changed":
            peer.write(frame(1, b"text", mask=True))
            data = bytearray(peer.encrypted())
            data[-1] ^= 1
            peer.writer.write(data)
        elif ending == "reset":
            linger = struct.pack("ii", 1, 0)
            sock = peer.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            peer.writer.transport.abort()
        else:
            if ending == "notify":
                with pytest.raises(ssl.SSLWantReadError):
                    peer.ssl.unwrap()
                peer.flush()
            peer.writer.write_eof()
        ws, error = await asyncio.wait_for(ended, 5)
        if ending == "changed" and ours.engine:
            assert isinstance(await peer.drain(), ssl.SSLError)  # bad_record_mac
        peer.writer.close()
    assert ws.close_code == 1006
    if ending == "changed":
        assert isinstance(error.__cause__, ssl.SSLError)
        assert error.__cause__.reason in (
            "DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
            "RECORD_LAYER_FAILURE",  # of OpenSSL 3.6
        )
    elif ending == "reset":
        assert isinstance(error.__cause__, ConnectionResetError)
    else:
        assert error.__cause__ is None
