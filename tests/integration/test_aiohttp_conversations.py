"""Conversations in which the peer does right and wrong things.

What a handler, or a client's program, hears of them is the same with aiohttp's classes
and ours, and so are the frames that the peer gets. What may differ is in ``differs()``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import carriers
import pytest
from aiohttp_rig import (
    BINARY,
    CLOSE,
    IS_MODEL,
    OURS,
    PING,
    PONG,
    TEXT,
    THEIRS,
    Kind,
    client_session,
    frame,
    raw_server,
    request,
    run,
    served,
)
from test_aiohttp_calls import frames_of, outcome, state

from pywscore.integrations.aiohttp import ws_connect
from pywscore.integrations.aiohttp._private import ClientWSTimeout

pytestmark = [
    pytest.mark.skipif(not IS_MODEL, reason="compared with the model only"),
    *carriers.by_every,
]

# opcode, payload, and whether it ends the message: by what the peer begins
PEER: dict[str, list[tuple[int, bytes, bool]]] = {
    "nothing": [],
    "text": [(TEXT, b"a", True)],
    "text and close": [(TEXT, b"a", True), (CLOSE, b"\x03\xe8", True)],
    "close and text": [(CLOSE, b"\x03\xe8", True), (TEXT, b"a", True)],
    "close 1000": [(CLOSE, b"\x03\xe8", True)],
    "close 4001": [(CLOSE, b"\x0f\xa1why", True)],
    "close without a code": [(CLOSE, b"", True)],
    "close 1005": [(CLOSE, b"\x03\xed", True)],
    "close 2999": [(CLOSE, b"\x0b\xb7", True)],
    "close 5000": [(CLOSE, b"\x13\x88", True)],
    "close with half a code": [(CLOSE, b"\x03", True)],
    "close without UTF-8": [(CLOSE, b"\x03\xe8\xff", True)],
    "text without UTF-8": [(TEXT, b"\xff", True)],
    "opcode 3": [(3, b"x", True)],
    "opcode 11": [(11, b"x", True)],
    "RSV1": [(0x40 | TEXT, b"x", True)],
    "a continuation": [(0, b"x", True)],
    "a message within a message": [(TEXT, b"x", False), (TEXT, b"y", True)],
    "fragments": [(TEXT, b"x", False), (PING, b"p", True), (0, b"y", True)],
    "empty fragments": [(TEXT, b"", False), (0, b"", True)],
    "half a ping": [(PING, b"p", False)],
    "a long ping": [(PING, b"x" * 126, True)],
    "ping": [(PING, b"p", True)],
    "pong": [(PONG, b"p", True)],
    "a long message": [(BINARY, b"x" * 5000, True)],
}


async def receives(ws: Any, seen: list[Any]) -> None:
    for _ in range(3):
        seen += [await outcome(lambda: ws.receive(0.3)), state(ws)]
    seen += [await outcome(lambda: ws.close(code=4000)), state(ws)]


async def iterates(ws: Any, seen: list[Any]) -> None:
    async def loop() -> None:
        async for message in ws:
            seen.append(message)

    task = asyncio.ensure_future(outcome(loop))
    await asyncio.wait([task], timeout=0.3)
    seen += [task.done(), state(ws)]
    seen += [await outcome(lambda: ws.close(code=4000)), state(ws), await task]


async def closes(ws: Any, seen: list[Any]) -> None:
    await asyncio.sleep(0.05)
    seen += [await outcome(lambda: ws.close(code=4000, message=b"why")), state(ws)]
    seen += [await outcome(lambda: ws.receive()), state(ws)]


async def closes_while_it_receives(ws: Any, seen: list[Any]) -> None:
    task = asyncio.ensure_future(outcome(lambda: ws.receive(1)))
    await asyncio.sleep(0.05)
    seen += [await outcome(lambda: ws.close(code=4000, message=b"why")), state(ws)]
    seen += [await task, await outcome(lambda: ws.receive()), state(ws)]


async def receives_of_a_kind(ws: Any, seen: list[Any]) -> None:
    for method in (ws.receive_str, ws.receive_bytes, ws.receive_json):
        seen.append(await outcome(lambda: method(timeout=0.2)))  # noqa: B023
    seen.append(state(ws))


async def is_cancelled(ws: Any, seen: list[Any]) -> None:
    await asyncio.sleep(0.05)
    task = asyncio.ensure_future(ws.receive())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    seen += [task.cancelled(), state(ws)]
    seen += [await outcome(lambda: ws.close(code=4000)), state(ws)]


PROGRAMS = [
    receives,
    iterates,
    closes,
    closes_while_it_receives,
    receives_of_a_kind,
    is_cancelled,
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"autoclose": False},
    {"autoping": False},
    {"max_msg_size": 1000},
]


def differs(side: str, program: Callable[..., Any], peer: str) -> str:
    """Why, or "" if nothing may differ."""
    if peer == "close 5000":
        return "1002: RFC 6455 §7.4.2 has no such codes"
    if (side, peer) == ("client", "close without a code"):
        return "the one close frame tells; aiohttp waits for a second one"
    if (side, program) == ("client", is_cancelled):
        return "the connection is as before; aiohttp's client takes it for lost"
    if program is closes:
        return "answered when it comes, and an error is told when it is there"
    return ""


def plain(seen: Any) -> Any:
    """Without what is of no consequence: texts of errors, and which of bytes."""
    if isinstance(seen, aiohttp.WebSocketError):
        return "WebSocketError", int(seen.code)
    if isinstance(seen, BaseException):
        return type(seen).__name__
    if isinstance(seen, tuple | list):
        return [plain(each) for each in seen]
    return bytes(seen) if isinstance(seen, bytearray) else seen


def without_reasons(frames: list[Any]) -> list[Any]:
    ours = [code.to_bytes(2, "big") for code in (1002, 1007, 1009)]
    return [(kind, data[:2] if data[:2] in ours else data) for kind, data in frames]


def payload(peer: str, *, mask: bool) -> bytes:
    parts = PEER[peer]
    return b"".join(frame(op, data, fin=fin, mask=mask) for op, data, fin in parts)


async def with_server(kind: Kind, program: Any, peer: str, **options: Any) -> Any:
    seen: list[Any] = []

    async def handler(ws: Any, log: list[Any]) -> None:
        await program(ws, seen)

    async with served(kind, handler, timeout=0.5, **options) as rig:
        async with rig.peer() as client:
            client.send(request())
            await client.reader.readuntil(b"\r\n\r\n")
            client.send(payload(peer, mask=True))
            frames = await frames_of(client.reader, client.writer, masked=False)
            await rig.done.wait()
    return without_reasons(frames), plain(seen)


async def with_client(connect: Any, program: Any, peer: str, **options: Any) -> Any:
    seen: list[Any] = []
    got: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def script(reader: Any, writer: Any) -> None:
        writer.write(payload(peer, mask=False))
        got.set_result(await frames_of(reader, writer, masked=True))

    timeout = ClientWSTimeout(ws_close=0.5)
    async with raw_server(script) as url, client_session() as session:
        async with connect(session, url, timeout=timeout, **options) as ws:
            await program(ws, seen)
        return without_reasons(await got), plain(seen)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: "".join(option))
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
@pytest.mark.parametrize("side", ["server", "client"])
def test_conversations(side: str, program: Any, option: dict[str, Any]) -> None:
    about = {
        "autoclose": ("close", "text without"),
        "autoping": ("ping", "pong", "fragments"),
        "max_msg_size": ("a long",),
    }
    wanted = about.get("".join(option), ("",))
    wrong = []
    for peer in PEER:
        if not any(word in peer for word in wanted):
            continue
        if side == "server":
            both = [
                with_server(kind, program, peer, **option) for kind in (THEIRS, OURS[0])
            ]
        else:
            pair = aiohttp.ClientSession.ws_connect, ws_connect
            both = [with_client(connect, program, peer, **option) for connect in pair]
        theirs, ours = map(run, both)
        if theirs != ours and not differs(side, program, peer):
            wrong.append((peer, theirs, ours))
    assert not wrong
