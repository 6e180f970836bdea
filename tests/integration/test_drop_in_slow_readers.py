"""Slow readers, and clients that have ended their side, with both drop-ins."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trustme
from aiohttp_rig import OURS as KINDS
from aiohttp_rig import Kind, served
from aiohttp_rig import run as run_aiohttp
from slow_reader import REQUEST, SlowReader, small_buffers
from uvicorn_servers import Environment, ours, plain, raw

MESSAGE = bytes(200_000)
RATE = 250_000
CLOSE_FRAME = bytes([0x88, 0x82, 0, 0, 0, 0]) + (1000).to_bytes(2)
ACCEPT = {"type": "websocket.accept"}
BY_TLS = pytest.mark.parametrize("by_tls", [False, True], ids=["tcp", "tls"])
# The HTTP class makes no difference once a request is accepted.
LOOPS = pytest.mark.parametrize(
    "environment",
    [Environment("asyncio", "h11"), Environment("uvloop", "httptools")],
    ids=repr,
)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@contextlib.contextmanager
def uvicorn_tls(authority: trustme.CA) -> Iterator[dict[str, str]]:
    certificate = authority.issue_cert("localhost")
    with (
        certificate.private_key_pem.tempfile() as key,
        certificate.cert_chain_pems[0].tempfile() as chain,
    ):
        yield {"ssl_keyfile": key, "ssl_certfile": chain}


async def read(reader: SlowReader, peer_closes: bool) -> list[int]:
    """The opcodes of all frames that are whole, and the message is."""
    await reader.connect()
    if peer_closes:
        reader.send(CLOSE_FRAME)
    outcome = await reader.read(answer=not peer_closes)
    assert reader.tls is not None or outcome.end is None
    assert (2, len(MESSAGE)) in outcome.frames
    return [opcode for opcode, _ in outcome.frames]


# aiohttp --------------------------------------------------------------------------


async def do_close(ws: Any) -> None:
    await ws.close()


async def do_return(ws: Any) -> None:
    pass


async def do_fail(ws: Any) -> None:
    raise RuntimeError


async def do_cancel(ws: Any) -> None:
    closing = asyncio.create_task(ws.close())
    await asyncio.sleep(0.01)
    closing.cancel()
    await asyncio.wait([closing])


async def do_close_elsewhere(ws: Any) -> None:
    receiving = asyncio.create_task(ws.receive())
    await asyncio.sleep(0)
    await ws.close()
    await receiving


async def do_receive(ws: Any) -> None:
    async for _ in ws:
        pass


async def do_close_transport(ws: Any) -> None:
    ws._req.transport.close()


AIOHTTP_ENDS = {
    "close": (do_close, [2, 8]),
    "return": (do_return, [2, 8]),
    "fail": (do_fail, [2, 8]),
    "cancel": (do_cancel, [2, 8]),
    "receive in another task": (do_close_elsewhere, [2, 8]),
    "peer closes": (do_receive, [2, 8]),
    "close the transport": (do_close_transport, [2, 8]),
}


@pytest.mark.threat("END-1")
@BY_TLS
@pytest.mark.parametrize("end", AIOHTTP_ENDS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_aiohttp(
    kind: Kind,
    end: str,
    by_tls: bool,
    authority: trustme.CA,
    client_tls: ssl.SSLContext,
) -> None:
    if by_tls and str(kind) == "ours-auto-uvloop":
        pytest.skip("elsewhere: the same")
    action, expected = AIOHTTP_ENDS[end]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)

    async def handler(ws: Any, log: list[Any]) -> None:
        # Not waited for: more is to be left than the water mark.
        ws._connection.send_nowait(MESSAGE)
        await action(ws)

    async def main() -> None:
        async with served(
            kind,
            handler,
            timeout=0.2,
            compress=False,
            ssl=context if by_tls else None,
        ) as rig:
            for site in rig.runner.sites:
                small_buffers(site._server.sockets[0])  # type: ignore[attr-defined]
            reader = SlowReader(rig.port, RATE, client_tls if by_tls else None)
            assert await read(reader, end == "peer closes") == expected

    run_aiohttp(main(), kind.loop)


# uvicorn --------------------------------------------------------------------------


@pytest.mark.threat("END-1")
@BY_TLS
@pytest.mark.parametrize(
    "end", ["close", "return", "fail", "peer closes", "shutdown", "late shutdown"]
)
@LOOPS
def test_uvicorn(
    environment: Environment,
    end: str,
    by_tls: bool,
    authority: trustme.CA,
    client_tls: ssl.SSLContext,
) -> None:
    """At shutdown, a client has a second to do something: it takes what it is sent."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        sending = asyncio.create_task(
            send({"type": "websocket.send", "bytes": MESSAGE})
        )
        await asyncio.sleep(0)
        if end == "close" or end == "late shutdown":
            await send({"type": "websocket.close", "code": 1000})
        elif end == "fail":
            raise RuntimeError
        elif end != "return":
            while (await receive())["type"] != "websocket.disconnect":
                pass
        await asyncio.wait([sending])

    async def main() -> None:
        tls = uvicorn_tls(authority) if by_tls else contextlib.nullcontext({})
        with tls as options:
            async with environment.serve(app, **options) as served:
                small_buffers(served.server.servers[0].sockets[0])
                reader = SlowReader(served.port, RATE, client_tls if by_tls else None)
                reading = asyncio.create_task(read(reader, end == "peer closes"))
                if end.endswith("shutdown"):
                    await asyncio.sleep(0.2)
                    await served.stop()
                assert await reading == [2, 8]

    environment.run(main)


STATES = {
    "asking": b"",
    "open": b"",
    "closing": b"",
    "closed": CLOSE_FRAME,
    "failed": b"\x83\x80\0\0\0\0",
    "denied": b"",
    "denying": b"",
}


@pytest.mark.threat("DED-7", "END-1")
@BY_TLS
@pytest.mark.parametrize("state", STATES)
@LOOPS
def test_uvicorn_shutdown_in_every_state(
    environment: Environment,
    state: str,
    by_tls: bool,
    authority: trustme.CA,
    client_tls: ssl.SSLContext,
) -> None:
    """A client that does nothing more, not even end TCP, has a second."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if state == "asking":
            await receive()
            return
        if state in ("denied", "denying"):
            start = {
                "type": "websocket.http.response.start",
                "status": 401,
                "headers": [(b"content-length", b"5")],
            }
            await send(start)
            if state == "denying":
                await receive()
            await send({"type": "websocket.http.response.body", "body": b"never"})
            return
        await send(ACCEPT)
        if state == "closing":
            await send({"type": "websocket.close", "code": 1000})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async def main() -> None:
        tls = uvicorn_tls(authority) if by_tls else contextlib.nullcontext({})
        with tls as options:
            async with environment.serve(app, **options) as served:
                reader = SlowReader(served.port, RATE, client_tls if by_tls else None)
                connecting = asyncio.create_task(reader.connect())
                if state != "asking":
                    await connecting
                else:
                    await asyncio.sleep(0.3)
                if STATES[state]:
                    reader.send(STATES[state])
                await asyncio.sleep(0.1)
                began = time.monotonic()
                await served.stop()
                assert time.monotonic() - began < 2.5
                await connecting
                reader.sock.close()

    environment.run(main)


BAD_HEADERS = {
    "with length": [(b"content-length", b"2"), (b"x-bad", b"a\nb")],
    "without": [(b"x-bad", b"a\nb")],
}


@pytest.mark.threat("END-2")
@pytest.mark.parametrize("headers", BAD_HEADERS)
@pytest.mark.parametrize("goes_on", [False, True])
@ours
def test_denial_that_cannot_be_written(
    environment: Environment, goes_on: bool, headers: str
) -> None:
    """500, also if the application doesn't mind."""
    raised: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        start = {
            "type": "websocket.http.response.start",
            "status": 403,
            "headers": BAD_HEADERS[headers],
        }
        try:
            await send(start)
            await send({"type": "websocket.http.response.body", "body": b"no"})
        except ValueError as exc:
            raised.append(exc)
            if not goes_on:
                raise
            await receive()

    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            client.writer.write(REQUEST)
            assert (await client.read_head())[0] == 500
            await client.reader.read()

    environment.run(main)
    assert len(raised) == 1


@pytest.mark.threat("END-2")
@LOOPS
def test_uvicorn_ends_if_not_even_500_can_be_written(environment: Environment) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"})

    async def main() -> None:
        async with environment.serve(app, headers=[("x-bad", "a\nb")]) as served:
            async with raw(served.port) as client:
                client.writer.write(REQUEST)
                with contextlib.suppress(ConnectionError):
                    assert await client.reader.read() == b""

    environment.run(main)


@pytest.mark.threat("END-2")
@pytest.mark.parametrize("answer", ["accept", "close", "deny", "nothing"])
@plain
def test_uvicorn_answers_who_has_half_closed(
    environment: Environment, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await asyncio.sleep(0.05)
        if answer == "accept":
            await send(ACCEPT)
        elif answer == "close":
            await send({"type": "websocket.close"})
        elif answer == "deny":
            start = {
                "type": "websocket.http.response.start",
                "status": 401,
                "headers": [(b"content-length", b"4")],
            }
            await send(start)
            await asyncio.sleep(0.05)
            await send({"type": "websocket.http.response.body", "body": b"deny"})
        events.append(await receive())

    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            if answer == "nothing":
                from pywscore.integrations.uvicorn import _connection as uvicorn

                options = uvicorn._options_of(served.server.config)
                monkeypatch.setitem(
                    uvicorn._options,
                    served.server.config,
                    type(options)(open_timeout=0.2, log=options.log),
                )
            client.writer.write(REQUEST)
            client.writer.write_eof()
            data = await client.reader.read()
            status = {"accept": b"101", "close": b"403", "deny": b"401"}.get(answer)
            assert data.startswith(b"HTTP/1.1 " + status) if status else not data
            if answer == "deny":
                assert data.endswith(b"deny")

    environment.run(main)
    assert events == [{"type": "websocket.disconnect", "code": 1006}]
