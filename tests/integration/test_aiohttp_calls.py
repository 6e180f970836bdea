"""Each method, with arguments of all kinds: aiohttp's classes and ours do the same.

What comes of a call is its result or the class of its exception, the frames that the
peer gets, and what the object says of its state. What may differ is in ``DIFFERS``,
each with its reason.
"""

from __future__ import annotations

import array
import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import carriers
import pytest
from aiohttp import WSMsgType
from aiohttp_rig import (
    CLOSE,
    IS_MODEL,
    OURS,
    THEIRS,
    Kind,
    client_session,
    frame,
    raw_server,
    run,
    served,
)

from pywscore.integrations.aiohttp import ws_connect
from pywscore.integrations.aiohttp._private import ClientWSTimeout

pytestmark = [
    pytest.mark.skipif(not IS_MODEL, reason="compared with the model only"),
    *carriers.by_both,
]

NO_CODE = "left out: RFC 6455 §7.4 has it in no close frame"
TOO_LONG = "refused or cut: RFC 6455 §5.5 has at most 125 bytes in a control frame"
NO_FRAME = "refused: the peer would have to fail the connection"
WRONG_TYPE = "closes properly, where aiohttp cuts the connection"
FIRST = "which of two mistakes is told of"
DIFFERS = {
    "send_bytes(wide)": "sent whole; aiohttp sends half of it, and breaks the framing",
    "send_bytes(holes)-client": "refused, as by aiohttp's server",
    "send_frame(b'\\xff'1, TEXT)": "refused: RFC 6455 §5.6 has UTF-8 in text",
    "send_frame(x, 3)": NO_FRAME,
    "send_frame(x, CONTINUATION)": NO_FRAME,
    "send_frame(x, ERROR)": "ValueError; aiohttp's is struct.error",
    "send_frame(x, CLOSE)": "one close frame: RFC 6455 §5.5.1",
    "receive(x)": "TypeError, and the connection stays",
    **{f"close(code={code})": NO_CODE for code in (0, 1, 999, 1004, 1005, 1006)},
    **{f"close(code={code})": NO_CODE for code in (1015, 1016, 2999, True)},
    **{f"close(code={code})": NO_CODE for code in (5000, 65535, 65536, -1)},
    **{f"close(code={code!r})": WRONG_TYPE for code in ("1000", None, 1000.0)},
    **{f"close(message={message})": WRONG_TYPE for message in (None, 5)},
    **{f"send_frame(b'xxxxxxxxxx126, {kind})": TOO_LONG for kind in ("PING", "PONG")},
    **{f"{name}(b'xxxxxxxxxx)": TOO_LONG for name in ("ping", "pong")},
    "close(message=b'\\xff')": "left out: RFC 6455 §5.5.1 has UTF-8 in a reason",
    "close(message='\\xe9\\xe9\\xe)": TOO_LONG,
    "close(message=b'xxxxxxxxxx)": TOO_LONG,
}
DIFFERS_CLOSED = {
    "send_str('\\ud800')": FIRST,
    **{f"send_frame('x'1, {kind})": FIRST for kind in ("TEXT", "BINARY")},
    **{f"send_frame('x'1, {kind})": FIRST for kind in ("PING", "PONG")},
    **{f"send_frame(None0, {kind})": FIRST for kind in ("TEXT", "BINARY")},
    **{f"{name}('\\xe9')": FIRST for name in ("ping", "pong")},
}


class Text(str):
    pass


class Bytes(bytes):
    pass


WIDE = memoryview(array.array("I", [1, 2]))


def shown(value: Any) -> str:
    return "memoryview" if isinstance(value, memoryview) else ascii(value)[:12]


HOLES = memoryview(b"abcdef")[::2]

CALLS: dict[str, Callable[[Any], Any]] = {
    f"send_str({shown(value)})": lambda ws, value=value: ws.send_str(value)
    for value in ("", "é", Text("t"), b"b", bytearray(b"b"), None, 5, "\ud800")
}
CALLS |= {
    f"send_bytes({shown(value)})": lambda ws, value=value: ws.send_bytes(value)
    for value in (b"", Bytes(b"b"), bytearray(b"a"), memoryview(b"m"), "s", None, 5)
}
CALLS |= {
    "send_bytes(wide)": lambda ws: ws.send_bytes(WIDE),
    "send_bytes(holes)": lambda ws: ws.send_bytes(HOLES),
    "send_bytes(array)": lambda ws: ws.send_bytes(array.array("B", b"ab")),
    "send_str()": lambda ws: ws.send_str(),
    "send_str(x, None)": lambda ws: ws.send_str("x", None),
    "send_str(x, compress=9)": lambda ws: ws.send_str("x", compress=0),
    "send_str(data=)": lambda ws: ws.send_str(data="x"),
    "send_str(x, foo=)": lambda ws: ws.send_str("x", foo=1),
    "send_bytes(data=)": lambda ws: ws.send_bytes(data=b"x", compress=None),
    "send_json(object)": lambda ws: ws.send_json(object()),
    "send_json(nan)": lambda ws: ws.send_json(float("nan")),
    "send_json(bytes)": lambda ws: ws.send_json([], dumps=lambda data: b"x"),
    "send_json_bytes(str)": lambda ws: ws.send_json_bytes([], dumps=str),
    "send_json_bytes()": lambda ws: ws.send_json_bytes([]),
}
for name, opcode in (("TEXT", 1), ("BINARY", 2), ("PING", 9), ("PONG", 10)):
    for value in (b"x", "x", bytearray(b"x"), None, b"x" * 125, b"x" * 126, b"\xff"):
        CALLS[f"send_frame({shown(value)}{len(value or '')}, {name})"] = (
            lambda ws, value=value, opcode=opcode: ws.send_frame(
                value, WSMsgType(opcode)
            )
        )
CALLS |= {
    "send_frame(x, 1)": lambda ws: ws.send_frame(b"x", 1),
    "send_frame(x, 3)": lambda ws: ws.send_frame(b"x", 3),
    "send_frame(x, CONTINUATION)": lambda ws: ws.send_frame(
        b"x", WSMsgType.CONTINUATION
    ),
    "send_frame(x, CLOSE)": lambda ws: ws.send_frame(b"\x0f\xa0why", WSMsgType.CLOSE),
    "send_frame(x, ERROR)": lambda ws: ws.send_frame(b"x", WSMsgType.ERROR),
}
for method in ("ping", "pong"):
    for value in (b"", "é", None, 5, bytearray(b"b"), memoryview(b"m"), b"x" * 126):
        CALLS[f"{method}({shown(value)})"] = lambda ws, method=method, value=value: (
            getattr(ws, method)(value)
        )
    CALLS[f"{method}()"] = lambda ws, method=method: getattr(ws, method)()
for code in (
    *(0, 1, 999, 1000, 1001, 1004, 1005, 1006, 1007, 1012, 1014, 1015, 1016, 2999),
    *(3000, 4999, 5000, 65535, 65536, -1, "1000", None, 1000.0, True),
):
    CALLS[f"close(code={code!r})"] = lambda ws, code=code: ws.close(code=code)
for value in (b"why", "why", "é" * 70, b"x" * 124, b"\xff", None, 5):
    CALLS[f"close(message={shown(value)})"] = lambda ws, value=value: ws.close(
        message=value
    )
CALLS |= {
    "close(4000, x)": lambda ws: ws.close(4000, b"x"),
    "receive(timeout=0.01)": lambda ws: ws.receive(timeout=0.01),
    "receive(0.01)": lambda ws: ws.receive(0.01),
    "receive(x)": lambda ws: ws.receive("x"),
    "receive(-1)": lambda ws: ws.receive(-1),
    "receive(a, b)": lambda ws: ws.receive(0.1, 0.1),
    "receive_str(0.01)": lambda ws: ws.receive_str(0.01),
    "receive_str(timeout=0.01)": lambda ws: ws.receive_str(timeout=0.01),
    "receive_bytes(timeout=0.01)": lambda ws: ws.receive_bytes(timeout=0.01),
    "receive_json(timeout=0.01)": lambda ws: ws.receive_json(timeout=0.01),
    "get_extra_info(nothing)": lambda ws: ws.get_extra_info("nothing", 7),
}


async def outcome(call: Callable[[], Any]) -> Any:
    """The result, or the classes of the exception that programs look for."""
    known = (
        *(TypeError, ValueError, RuntimeError, TimeoutError, AttributeError),
        *(ConnectionResetError, aiohttp.ClientError, OSError, Exception),
    )
    try:
        result = call()
        if asyncio.iscoroutine(result):
            result = await result
    except Exception as exc:
        return [cls.__name__ for cls in known if isinstance(exc, cls)]
    return result


def state(ws: Any) -> Any:
    return ws.closed, ws.close_code, type(ws.exception()).__name__


async def frames_of(reader: Any, writer: Any, *, masked: bool) -> list[Any]:
    """The frames that come until the end of TCP; a close frame is answered."""
    frames: list[Any] = []
    try:
        while True:
            head = await reader.readexactly(2)
            size = head[1] & 0x7F
            if size == 126:
                size = int.from_bytes(await reader.readexactly(2), "big")
            key = await reader.readexactly(4 if masked else 0)
            payload = await reader.readexactly(size)
            if masked:
                payload = bytes(b ^ key[i % 4] for i, b in enumerate(payload))
            frames.append((head[0], payload))
            if head[0] & 0x0F == CLOSE and frames.count(frames[-1]) == 1:
                writer.write(frame(CLOSE, b"\x0f\xa1", mask=not masked))
    except (asyncio.IncompleteReadError, ConnectionError):
        return frames


async def of_server(kind: Kind, act: Callable[[Any], Any]) -> Any:
    result: list[Any] = []

    async def handler(ws: Any, log: list[Any]) -> None:
        await act(ws, result)

    async with served(kind, handler, timeout=5) as rig, rig.open_peer() as peer:
        frames = await frames_of(peer.reader, peer.writer, masked=False)
        await rig.done.wait()
        return frames, result


async def of_client(connect: Any, act: Callable[[Any], Any]) -> Any:
    result: list[Any] = []
    frames: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def script(reader: Any, writer: Any) -> None:
        frames.set_result(await frames_of(reader, writer, masked=True))

    async with raw_server(script) as url, client_session() as session:
        timeout = ClientWSTimeout(ws_close=5)
        async with connect(session, url, timeout=timeout) as ws:
            await act(ws, result)
        return await frames, result


def compare(
    name: str, act: Callable[[Any, list[Any]], Any], side: str, differs: dict[str, str]
) -> None:
    if side == "server":
        results = [run(of_server(kind, act)) for kind in (THEIRS, OURS[0])]
    else:
        pair = aiohttp.ClientSession.ws_connect, ws_connect
        results = [run(of_client(connect, act)) for connect in pair]
    theirs, ours = results
    if name in differs or f"{name}-{side}" in differs:
        assert theirs != ours, "no longer differs"
    else:
        assert theirs == ours


sides = pytest.mark.parametrize("side", ["server", "client"])


@sides
@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str, side: str) -> None:
    async def act(ws: Any, result: list[Any]) -> None:
        result.append(await outcome(lambda: CALLS[name](ws)))
        result.append(state(ws))
        result.append(await outcome(lambda: ws.close(code=4000)))
        result.append(state(ws))

    compare(name, act, side, DIFFERS)


@sides
@pytest.mark.parametrize("name", CALLS)
def test_calls_after_close(name: str, side: str) -> None:
    async def act(ws: Any, result: list[Any]) -> None:
        result.append(await outcome(lambda: ws.close(code=4000, message=b"why")))
        result.append(state(ws))
        result.append(await outcome(lambda: CALLS[name](ws)))
        result.append(state(ws))

    compare(name, act, side, DIFFERS_CLOSED)
