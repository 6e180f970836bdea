"""Requests that don't come, or never end, with the class for uvicorn's ``--http``."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import time
from collections.abc import Iterator
from typing import Any

import pytest
from uvicorn_servers import OURS, Environment, RawClient, frame, raw, request

from pywscore.integrations.uvicorn import BoundedHead, HTTPProtocol, bounded

TIMEOUT = 0.3
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"

CLASSES = {
    "httptools": (
        "httptools",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol",
    ),
    "h11": ("h11", "uvicorn.protocols.http.h11_impl:H11Protocol"),
    "zttp": ("zttp", "uvicorn.protocols.http.zttp_impl:ZttpProtocol"),
}


def environments() -> Iterator[Any]:
    for name, (needed, where) in CLASSES.items():
        if importlib.util.find_spec(needed):
            module, _, attribute = where.partition(":")
            base = getattr(importlib.import_module(module), attribute)
            cls = type("Impatient", (bounded(base),), {"head_timeout": TIMEOUT})
            yield pytest.param(Environment("asyncio", cls), id=name)  # type: ignore[arg-type]


every = pytest.mark.parametrize("environment", list(environments()))


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({**event, "type": "websocket.send"})
        return
    length = 0
    more = scope["path"] != "/early"
    while more:
        event = await receive()
        length += len(event["body"])
        more = event["more_body"]
    body = b"%d" % length
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_answer(client: RawClient) -> tuple[int, bytes]:
    status, headers = await client.read_head()
    length = int(dict(headers)["content-length"])
    return status, await client.reader.readexactly(length)


async def end(client: RawClient) -> bytes:
    """What still comes; a reset counts as an end."""
    try:
        return await client.reader.read()
    except ConnectionResetError:
        return b""


@every
@pytest.mark.threat("HSK-8")
def test_nothing_comes(environment: Environment) -> None:
    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            before = time.monotonic()
            assert await end(client) == b""
            assert TIMEOUT - 0.05 <= time.monotonic() - before < TIMEOUT + 1
            assert not served.server.server_state.connections

    environment.run(main)


@every
@pytest.mark.threat("HSK-3")
@pytest.mark.threat("HSK-8")
@pytest.mark.parametrize("head", [GET, request()[:-2], b"G"])
def test_half_a_head(environment: Environment, head: bytes) -> None:
    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            before = time.monotonic()
            client.writer.write(head)
            status, headers = await client.read_head()
            assert status == 408
            assert ("connection", "close") in headers
            assert any(name == "date" for name, _ in headers)
            assert await end(client) == b"Request Timeout"
            assert TIMEOUT - 0.05 <= time.monotonic() - before < TIMEOUT + 1
            await asyncio.sleep(0)
            assert not served.server.server_state.connections

    environment.run(main)


@every
@pytest.mark.threat("HSK-8")
def test_dripping_head(environment: Environment) -> None:
    """The time is one for the whole head, not for each byte."""

    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            before = time.monotonic()

            async def drip() -> None:
                for byte in request():
                    client.writer.write(bytes([byte]))
                    await asyncio.sleep(0.02)

            dripping = asyncio.create_task(drip())
            assert (await client.read_head())[0] == 408
            assert time.monotonic() - before < TIMEOUT + 1
            dripping.cancel()

    environment.run(main)


@every
@pytest.mark.threat("HSK-3")
def test_body_of_an_upgrade_never_comes(environment: Environment) -> None:
    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            client.writer.write(request("Content-Length: 5"))
            status, _ = await client.read_head()
            assert status in (400, 408)
            await end(client)

    environment.run(main)


@every
@pytest.mark.threat("HSK-3")
def test_endless_head(environment: Environment) -> None:
    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            client.writer.write(GET)
            sent = 0
            try:
                while sent < 1_000_000:
                    client.writer.write(b"X: " + b"a" * 4000 + b"\r\n")
                    sent += 4005
                    await client.writer.drain()
                    await asyncio.sleep(0)
                    if not served.server.server_state.connections:
                        break
            except ConnectionError:
                pass
            assert sent < 200_000
            try:
                status, _ = await client.read_head()
            except ConnectionResetError:
                pass  # our last lines met a socket that was closed
            else:
                assert status in (400, 431)

    environment.run(main)


@every
@pytest.mark.threat("HSK-8")
def test_half_a_second_head(environment: Environment) -> None:
    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            for head in (GET + b"\r\n", POST + b"Content-Length: 3\r\n\r\nabc"):
                client.writer.write(head)
                assert (await read_answer(client))[0] == 200
            # Between requests uvicorn's own clock runs, of 5 seconds.
            await asyncio.sleep(TIMEOUT + 0.1)
            client.writer.write(GET)
            assert (await client.read_head())[0] == 408
            await end(client)

    environment.run(main)


@every
def test_body_has_its_time(environment: Environment) -> None:
    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            client.writer.write(GET)
            await asyncio.sleep(0.01)
            client.writer.write(b"Content-Length: 100000\r\n\r\n")
            for _ in range(10):
                await asyncio.sleep(TIMEOUT / 8)
                client.writer.write(b"x" * 10_000)
            assert await read_answer(client) == (200, b"100000")

    environment.run(main)


@every
@pytest.mark.threat("HSK-8")
def test_body_after_an_early_answer(environment: Environment) -> None:
    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            head = POST.replace(b"/ ", b"/early ")
            client.writer.write(head + b"Content-Length: 100000\r\n\r\n")
            assert await read_answer(client) == (200, b"0")
            for _ in range(10):
                await asyncio.sleep(TIMEOUT / 8)
                client.writer.write(b"x" * 10_000)
            client.writer.write(GET + b"\r\n")
            assert await read_answer(client) == (200, b"0")
            client.writer.write(GET)
            assert (await client.read_head())[0] == 408

    environment.run(main)


@every
def test_websocket_has_its_time(environment: Environment) -> None:
    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            client.writer.write(request()[:40])
            await asyncio.sleep(0.01)
            client.writer.write(request()[40:])
            assert (await client.read_head())[0] == 101
            await asyncio.sleep(TIMEOUT + 0.1)
            client.writer.write(frame(1, b"hi"))
            assert await client.read_frame() == (1, b"hi")
            [protocol] = served.server.server_state.connections
            assert not isinstance(protocol, BoundedHead)

    environment.run(main)


def test_names_for_the_command_line() -> None:
    http: Any = "pywscore.integrations.uvicorn:HTTPProtocol"
    environment = Environment("asyncio", http, OURS)

    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            assert served.server.config.http_protocol_class is HTTPProtocol
            assert HTTPProtocol.head_timeout == 10
            await client.open()

    environment.run(main)
