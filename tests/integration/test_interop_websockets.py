"""Both ends against those of websockets, with each parameter of compression."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
import websockets.asyncio.client
import websockets.asyncio.server
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

import pywscore
from pywscore import PerMessageDeflate

MIB = 1 << 20
MESSAGES: list[Any] = ["", "é€😀", b"", bytes(range(256)), "a" * 70_000, b"\xff" * 126]
CLOSES = [(1000, ""), (1000, "bye"), (1001, "é" * 61), (3000, "x"), (4999, "x" * 123)]


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await coroutine

    return asyncio.run(bounded())


async def echo(ws: Any) -> None:
    async for message in ws:
        if isinstance(message, str) and message.startswith("close "):
            code, _, reason = message[6:].partition(" ")
            await ws.close(int(code), reason)
        else:
            await ws.send(message)


async def converse(ws: Any) -> None:
    for message in MESSAGES:
        await ws.send(message)
        received = await ws.recv()
        assert received == message and type(received) is type(message)
    await ws.send(["in ", "", "é", " fragments"])
    assert await ws.recv() == "in é fragments"

    async def parts() -> AsyncIterator[bytes]:
        for part in (b"a", b"", b"b" * 1000):
            yield part

    await ws.send(parts())
    assert await ws.recv() == b"a" + b"b" * 1000
    for data in (b"", b"p" * 125, "é"):
        assert await (await ws.ping(data)) < 10
    await ws.pong(b"unasked")


def uri_of(server: Any) -> str:
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def our_server(**options: Any) -> Any:
    return pywscore.serve(echo, "127.0.0.1", 0, **options)


def their_server(**options: Any) -> Any:
    return websockets.asyncio.server.serve(echo, "127.0.0.1", 0, **options)


def our_client(uri: str, **options: Any) -> Any:
    return pywscore.connect(uri, proxy=None, **options)


def their_client(uri: str, **options: Any) -> Any:
    return websockets.asyncio.client.connect(uri, proxy=None, **options)


PAIRS = {
    "our server": (our_server, their_client),
    "their server": (their_server, our_client),
}
both_ways = pytest.mark.parametrize(("serve", "connect"), PAIRS.values(), ids=PAIRS)


@both_ways
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_messages(serve: Any, connect: Any, compression: str | None) -> None:
    async def main() -> None:
        async with serve(compression=compression) as server:
            async with connect(uri_of(server), compression=compression) as ws:
                await converse(ws)
            assert (ws.close_code, ws.close_reason) == (1000, "")

    run(main())


@both_ways
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_large_and_many(serve: Any, connect: Any, compression: str | None) -> None:
    async def main() -> None:
        async with serve(compression=compression) as server:
            async with connect(uri_of(server), compression=compression) as ws:
                for message in (
                    bytes(MIB),
                    bytes(range(256)) * (MIB // 256),
                    "x" * MIB,
                ):
                    await ws.send(message)
                    assert await ws.recv() == message

                async def send() -> None:
                    for number in range(1000):
                        await ws.send(f"{number} " * (number % 20))

                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(send())
                    for number in range(1000):
                        assert await ws.recv() == f"{number} " * (number % 20)

    run(main())


@both_ways
def test_too_big(serve: Any, connect: Any) -> None:
    async def main() -> None:
        async with serve(max_size=1000) as server:
            async with connect(uri_of(server)) as ws:
                await ws.send("x" * 1000)
                assert await ws.recv() == "x" * 1000
                await ws.send("x" * 1001)
                with pytest.raises(
                    (pywscore.ConnectionClosedError, websockets.ConnectionClosedError)
                ):
                    await ws.recv()
                assert ws.close_code == 1009

    run(main())


@both_ways
@pytest.mark.parametrize(("code", "reason"), CLOSES)
def test_closes(serve: Any, connect: Any, code: int, reason: str) -> None:
    async def main() -> None:
        async with serve() as server:
            async with connect(uri_of(server)) as ws:  # the server closes
                await ws.send(f"close {code} {reason}")
                with pytest.raises(
                    (pywscore.ConnectionClosed, websockets.ConnectionClosed)
                ):
                    await ws.recv()
                assert (ws.close_code, ws.close_reason) == (code, reason)
            async with connect(uri_of(server)) as ws:  # the client closes
                await ws.close(code, reason)
                assert (ws.close_code, ws.close_reason) == (code, reason)

    run(main())


@both_ways
def test_subprotocols(serve: Any, connect: Any) -> None:
    async def main() -> None:
        async with serve(subprotocols=["chat", "superchat"]) as server:
            async with connect(uri_of(server), subprotocols=["x", "superchat"]) as ws:
                assert ws.subprotocol == "superchat"
                await converse(ws)

    run(main())


PARAMETERS = [
    *((bits, 15, False, False) for bits in range(9, 16)),
    *((15, bits, False, False) for bits in range(9, 16)),
    *((12, 9, one, other) for one, other in itertools.product([False, True], repeat=2)),
]


def settings(parameters: tuple[int, int, bool, bool]) -> dict[str, Any]:
    server_bits, client_bits, server_once, client_once = parameters
    return {
        "server_max_window_bits": server_bits,
        "client_max_window_bits": client_bits,
        "server_no_context_takeover": server_once,
        "client_no_context_takeover": client_once,
    }


async def compressed_conversation(ws: Any) -> None:
    text = "".join(f"line {number}: {number * 7919}\n" for number in range(4000))
    for message in (text, text[::-1], text, "short", text.encode(), "", text):
        await ws.send(message)
        assert await ws.recv() == message
    await ws.send([text, text, ""])
    assert await ws.recv() == 2 * text


@pytest.mark.parametrize("asks", ["server", "client"])
@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.threat("INF-7")
def test_parameters_with_our_server(
    parameters: tuple[int, int, bool, bool], asks: str
) -> None:
    async def main() -> None:
        wanted = settings(parameters)
        ours = PerMessageDeflate(threshold=0, **(wanted if asks == "server" else {}))
        theirs = ClientPerMessageDeflateFactory(**(wanted if asks == "client" else {}))
        async with our_server(compression=ours) as server:
            async with their_client(
                uri_of(server), compression=None, extensions=[theirs]
            ) as ws:
                (agreed,) = ws.protocol.extensions
                assert agreed.remote_max_window_bits == parameters[0]
                assert agreed.remote_no_context_takeover == parameters[2]
                if asks == "server":
                    assert agreed.local_max_window_bits == parameters[1]
                    assert agreed.local_no_context_takeover == parameters[3]
                await compressed_conversation(ws)

    run(main())


@pytest.mark.parametrize("asks", ["server", "client"])
@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.threat("INF-7")
def test_parameters_with_our_client(
    parameters: tuple[int, int, bool, bool], asks: str
) -> None:
    async def main() -> None:
        wanted = settings(parameters)
        ours = PerMessageDeflate(threshold=0, **(wanted if asks == "client" else {}))
        theirs = ServerPerMessageDeflateFactory(**(wanted if asks == "server" else {}))
        async with their_server(compression=None, extensions=[theirs]) as server:
            async with our_client(uri_of(server), compression=ours) as ws:
                agreed = ws.protocol.compression
                assert agreed is not None
                assert agreed.server_max_window_bits == parameters[0]
                assert agreed.server_no_context_takeover == parameters[2]
                if asks == "server":
                    assert agreed.client_max_window_bits == parameters[1]
                    assert agreed.client_no_context_takeover == parameters[3]
                await compressed_conversation(ws)

    run(main())


@both_ways
@pytest.mark.parametrize(("ours", "theirs"), [(None, "deflate"), ("deflate", None)])
def test_compression_of_one_end_only(
    serve: Any, connect: Any, ours: Any, theirs: Any
) -> None:
    async def main() -> None:
        server_has, client_has = (
            (ours, theirs) if serve is our_server else (theirs, ours)
        )
        async with serve(compression=server_has) as server:
            async with connect(uri_of(server), compression=client_has) as ws:
                await converse(ws)

    run(main())
