"""What clients of aiohttp's and uvicorn's drop-in over TLS do: new keys, ends of all
kinds, and what is no TLS."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import shutil
import ssl
from typing import Any

import pytest
from aiohttp_rig import BINARY, CLOSE, close_frame, frame
from carriers import needs_engine
from drop_ins import (
    HEAD,
    DropIn,
    Served,
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
from tls_peer import Files, TLSPeer, s_client, sent_so_far
from waiting import until

pytestmark = needs_engine
openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


# New keys, and who is asked for a certificate late


@openssl
@pytest.mark.threat("TLS-8")
@each_drop_in
@pytest.mark.parametrize("command", ["K", "k"])
def test_new_keys_in_a_frame(drop_in: DropIn, files: Files, command: str) -> None:
    """KeyUpdate with an answer and without (RFC 8446 §4.6.3), twice."""

    async def main() -> None:
        async with drop_in.serve(echo, files) as served:
            async with s_client(served.port, files.ca, HEAD, "-tls1_3") as (in_, out):
                for size in (100, 7000):  # halves that a pipe takes at once
                    data = text("x" * size)
                    await sent_so_far(in_, out, data[: size // 2])
                    in_.write(command.encode() + b"\n")
                    await out.readuntil(b"KEYUPDATE")
                    in_.write(data[size // 2 :])
                    await out.readuntil(answer("x" * size))
                [side] = served.sides
                assert side.is_taken == drop_in.takes

    drop_in.run(main)


@openssl
@pytest.mark.threat("TLS-8")
@each_drop_in
def test_renegotiation_is_refused(drop_in: DropIn, files: Files) -> None:
    """Of TLS 1.2: what came before is there."""
    got: list[Any] = []

    async def main() -> None:
        async with drop_in.serve(lambda side: collect(side, got), files) as served:
            async with s_client(served.port, files.ca, HEAD, "-tls1_2") as (in_, out):
                await sent_so_far(in_, out, text("one"))
                await until(lambda: got == ["one"])
                in_.write(b"R\n")
                with contextlib.suppress(ConnectionError):
                    await in_.drain()
                assert b"no renegotiation" in await out.read()
            await served.gone()
            assert got == ["one", 1006]

    drop_in.run(main)


@each_drop_in
def test_post_handshake_authentication(drop_in: DropIn, files: Files) -> None:
    """RFC 8446 §4.6.2, in the middle of a message of the client's."""
    mine = files.issue("late", "late@example.org")
    got: list[Any] = []

    def tune(context: ssl.SSLContext) -> None:
        context.post_handshake_auth = True
        context.load_verify_locations(files.ca)
        context.verify_mode = ssl.CERT_REQUIRED

    async def handler(side: Side) -> None:
        tls = side.connection.transport.get_extra_info("ssl_object")
        assert await side.receive() == "hello"
        assert tls.getpeercert() is None
        tls.verify_client_post_handshake()
        await side.send("who are you?")
        got.append(await side.receive())
        got.append(tls.getpeercert()["subjectAltName"])
        await collect(side, got)

    async def main() -> None:
        async with drop_in.serve(handler, files, tune=tune) as served:
            client = files.client(certificate=mine)
            client.post_handshake_auth = True
            streams = await asyncio.open_connection("127.0.0.1", served.port)
            peer = TLSPeer(*streams, client)
            await peer.handshake()
            peer.write(HEAD + text("hello"))
            peer.flush()
            await peer.read_until(b"\r\n\r\n")
            message = text("me")
            peer.write(message[:3])
            asked = answer("who are you?")
            assert await peer.read_exactly(len(asked)) == asked
            peer.write(message[3:])
            peer.flush()
            await until(lambda: len(got) == 2)
            assert got == ["me", (("email", "late@example.org"),)]
            peer.writer.close()

    drop_in.run(main)


# Ends


async def said_its_end(peer: TLSPeer) -> None:
    """With close_notify: else TCP's end raises SSLEOFError."""
    with pytest.raises((EOFError, ssl.SSLZeroReturnError)):
        await peer.read_exactly(1)


@pytest.mark.threat("TLS-4")
@each_drop_in
def test_nothing_of_the_old_transport_ends_it(drop_in: DropIn, files: Files) -> None:
    old: list[Any] = []

    async def look(transport: Any) -> None:
        old.append(transport)

    async def main() -> None:
        async with drop_in.serve(echo, files, before=look) as served:
            peer = await served.open(files)
            for number in range(3):
                await echoes(peer, str(number))
                await asyncio.sleep(0)
            if drop_in.takes:
                old[0].write(b"lost")
                old[0].close()
                old[0].abort()
            old.clear()
            gc.collect()
            await asyncio.sleep(0.02)
            await echoes(peer, "still there")
            assert served.count() == 1
            peer.writer.close()

    drop_in.run(main)


@pytest.mark.threat("TLS-4", "END-1")
@each_drop_in
def test_server_closes(drop_in: DropIn, files: Files) -> None:
    async def handler(side: Side) -> None:
        await side.send("last")
        await side.close()

    async def main() -> None:
        async with drop_in.serve(handler, files) as served:
            peer = await served.open(files)
            assert await peer.read_exactly(6) == answer("last")
            assert (await peer.read_exactly(4))[:2] == b"\x88\x02"
            peer.write(close_frame(1000))
            peer.flush()
            await said_its_end(peer)
            peer.writer.close()
            await served.gone()

    drop_in.run(main)


PEERS_ENDS = ["close", "close and fin", "close_notify", "fin", "rst", "changed", "cut"]


@pytest.mark.threat("TLS-4", "END-3", "OVL-4")
@each_drop_in
@pytest.mark.parametrize("end", PEERS_ENDS)
def test_client_ends(drop_in: DropIn, files: Files, end: str) -> None:
    got: list[Any] = []

    async def main() -> None:
        async with drop_in.serve(lambda side: collect(side, got), files) as served:
            peer = await served.open(files)
            peer.write(text("last"))
            peer.flush()
            await until(lambda: got == ["last"])
            if end.startswith("close "):
                peer.write(close_frame(1001, b"bye"))
            elif end == "close":
                peer.write(close_frame(1001))
            elif end == "close_notify":
                with contextlib.suppress(ssl.SSLError):
                    peer.ssl.unwrap()
            else:
                peer.write(text("never"))
            data = bytearray(peer.encrypted())
            if end == "changed":
                data[-1] ^= 1
            if end in ("fin", "rst"):
                data.clear()
            peer.writer.write(data[:-5] if end == "cut" else data)
            if end in ("close and fin", "fin", "cut"):
                peer.writer.write_eof()
            if end == "rst":
                reset(peer)
            elif end.startswith("close") and end != "close_notify":
                first, length = await peer.read_exactly(2)
                assert first == 0x80 | CLOSE
                await peer.read_exactly(length)
                await said_its_end(peer)
                peer.writer.close()  # uvloop's TLS waits for the answer
            elif end == "changed" and drop_in.takes:
                assert "BAD_RECORD_MAC" in str(await peer.drain())
            await until(lambda: len(got) == 2)
            assert got[1] == (1001 if end in ("close", "close and fin") else 1006)
            await served.gone()
            peer.writer.close()

    drop_in.run(main)


@pytest.mark.threat("DED-7")
@each_drop_in
def test_shutdown(drop_in: DropIn, files: Files) -> None:
    """Connections at each stage end, and the server doesn't wait for longer."""

    async def hold(transport: Any) -> None:
        if len(served.sides) == 2:  # the third
            await asyncio.sleep(0.1)

    async def main() -> None:
        nonlocal served
        async with drop_in.serve(echo, files, before=hold) as served:
            idle, busy = await served.open(files), await served.open(files)
            busy.write(frame(BINARY, bytes(3 << 20)))
            busy.flush()
            opening = await served.connect(files)
            opening.write(HEAD)
            opening.flush()
            await until(lambda: served.count() >= 3)
            stopping = asyncio.create_task(served.stop())
            first, length = await idle.read_exactly(2)
            assert first == 0x80 | CLOSE
            payload = await idle.read_exactly(length)
            code = 1001 if drop_in.name == "aiohttp" else 1012
            assert payload[:2] == code.to_bytes(2)
            idle.write(close_frame(1000))
            idle.flush()
            await said_its_end(idle)
            async with asyncio.timeout(10):
                await asyncio.gather(stopping, busy.drain(), opening.drain())
            assert served.count() == 0
            for peer in (idle, busy, opening):
                peer.writer.close()

    served: Any = None
    drop_in.run(main)


# What is no TLS, and who goes at any time


@pytest.fixture
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio's, for a handshake; what it says when it is over, it says at DEBUG."""
    monkeypatch.setattr("asyncio.constants.SSL_HANDSHAKE_TIMEOUT", 0.3)


BAD: dict[str, bytes] = {
    "HTTP": HEAD,
    "zeros": bytes(3000),
    "an old version": b"\x16\x02\x00\x00\x05hello",
    "an empty record": b"\x16\x03\x01\x00\x00",
    "a record that is too long": b"\x16\x03\x01\xff\xff" + bytes(0xFFFF),
    "data": b"\x17\x03\x03\x00\x05hello",
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "nothing": b"",
    "half a ClientHello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
}


@pytest.mark.threat("TLS-1")
@pytest.mark.usefixtures("little_time")
@each_taking
@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_tls(
    drop_in: DropIn, files: Files, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends within asyncio's deadline, which says nothing of it, nor do we."""

    async def main() -> None:
        async with drop_in.serve(echo, files) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(BAD[bad])
            async with asyncio.timeout(3):
                with contextlib.suppress(ConnectionError):
                    await reader.read()
            writer.close()
            await served.gone()
            await echoes(peer := await served.open(files), "good")
            peer.writer.close()

    drop_in.run(main)
    said = [it for it in caplog.records if it.levelno >= logging.WARNING]
    assert said == []


STAGES = [
    *("connected", "half a message", "half a handshake", "secure", "half a request"),
    *("waiting", "open", "half a frame", "half a record"),
]


async def at_stage(served: Served, files: Files, stage: str) -> TLSPeer:
    streams = await asyncio.open_connection("127.0.0.1", served.port)
    peer = TLSPeer(*streams, files.client())
    if stage == "connected":
        return peer
    with pytest.raises(ssl.SSLWantReadError):
        peer.ssl.do_handshake()
    data = peer.encrypted()
    half = len(data) // 2
    peer.writer.write(data[:half])
    if stage == "half a message":
        return peer
    peer.writer.write(data[half:])
    if stage == "half a handshake":
        await peer.reader.read(1)
        return peer
    await peer.handshake()
    if stage == "secure":
        return peer
    peer.write(HEAD[:40] if stage == "half a request" else HEAD)
    peer.flush()
    if stage in ("half a request", "waiting"):
        return peer
    await peer.read_until(b"\r\n\r\n")
    if stage != "open":
        peer.write(text("x" * 100)[:50])
        data = peer.encrypted()
        peer.writer.write(data[: len(data) // 2] if stage == "half a record" else data)
    return peer


@pytest.mark.threat("OVL-4", "TLS-7")
@each_drop_in
@pytest.mark.parametrize("end", ["fin", "rst", "alert"])
@pytest.mark.parametrize("stage", STAGES)
def test_ends_at_each_stage(
    drop_in: DropIn,
    files: Files,
    stage: str,
    end: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A handler has ended then, and its connection; others are served."""
    got: list[Any] = []
    waits = asyncio.Event()

    async def wait(transport: Any) -> None:
        if stage == "waiting":
            await waits.wait()

    async def main() -> None:
        async with drop_in.serve(
            lambda side: collect(side, got), files, before=wait
        ) as served:
            peer = await at_stage(served, files, stage)
            await asyncio.sleep(0.02)
            if end == "alert":
                peer.fail()
                await asyncio.sleep(0.02)
            if end == "rst":
                reset(peer)
            else:
                peer.writer.close()
            await asyncio.sleep(0.02)
            waits.set()
            await served.gone()
            assert got in ([], [1006])
            assert got == [1006] or stage not in STAGES[6:]
            other = await served.open(files)
            other.write(text("last"))
            other.flush()
            await until(lambda: got[-1:] == ["last"])
            other.writer.close()
            await served.gone()

    drop_in.run(main)
    said = [it.name for it in caplog.records if it.levelno >= logging.WARNING]
    # prepare() has raised that nobody is there.
    raised = drop_in.name == "aiohttp" and stage == "waiting"
    assert said == (["aiohttp.server"] if raised else [])
