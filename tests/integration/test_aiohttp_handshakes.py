"""Handshakes that aiohttp answers one way or another are answered the same way.

Each row is a request to a server, or a server's answer to a client. What may differ is
in ``DIFFERS``, each with its reason.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import aiohttp
import carriers
import pytest
from aiohttp_rig import (
    IS_MODEL,
    KEY,
    OURS,
    TEXT,
    THEIRS,
    Kind,
    client_session,
    echo,
    frame,
    run,
    served,
)

from pywscore import _core
from pywscore.integrations.aiohttp import ws_connect

pytestmark = [
    pytest.mark.skipif(not IS_MODEL, reason="compared with the model only"),
    *carriers.by_every,
]

DIFFERS = {
    "HTTP/1.0": "505: nobody can tell whether a proxy keeps such a connection",
    "a length": "400: what follows may be a body for a proxy, and frames for us",
    "chunked": "400: as above",
    "a parameter twice": "no compression: RFC 7692 §7.1 has it declined",
    "quoted bits": "compressed: RFC 6455 §9.1 allows quotes",
    "second line of subprotocols": "chosen from: RFC 6455 §11.3.4 allows it",
    "upgrade is one of": "accepted: RFC 6455 §4.1 has a list of tokens",
}
RSV1 = 0x40
OFFER = "Sec-WebSocket-Extensions: "
PROTOCOL = "Sec-WebSocket-Protocol: "

# name, lines that take the place of others or are added, the first line
REQUESTS: list[tuple[str, list[str], str]] = [
    ("plain", [], ""),
    ("lower case", ["upgrade: WEBSOCKET", "connection: UPGRADE"], ""),
    ("keep-alive, Upgrade", ["Connection: keep-alive, Upgrade"], ""),
    ("no upgrade", ["Upgrade: "], ""),
    ("another upgrade", ["Upgrade: h2c"], ""),
    ("two upgrades", ["Upgrade: h2c, websocket"], ""),
    ("no connection", ["Connection: close"], ""),
    ("version 8", ["Sec-WebSocket-Version: 8"], ""),
    ("version 7", ["Sec-WebSocket-Version: 7"], ""),
    ("version 0", ["Sec-WebSocket-Version: 0"], ""),
    ("version 14", ["Sec-WebSocket-Version: 14"], ""),
    ("version 13, 8", ["Sec-WebSocket-Version: 13, 8"], ""),
    ("no version", ["Sec-WebSocket-Version: "], ""),
    ("no key", ["Sec-WebSocket-Key: "], ""),
    ("short key", ["Sec-WebSocket-Key: abcd"], ""),
    ("long key", ["Sec-WebSocket-Key: " + "A" * 44], ""),
    ("key without padding", ["Sec-WebSocket-Key: " + "A" * 22], ""),
    ("key with much padding", ["Sec-WebSocket-Key: " + "A" * 22 + "==="], ""),
    ("key with bits to spare", ["Sec-WebSocket-Key: " + "B" * 22 + "=="], ""),
    ("key with strange letters", ["Sec-WebSocket-Key: *" + "B" * 22 + "=="], ""),
    ("POST", [], "POST / HTTP/1.1"),
    ("HTTP/1.0", [], "GET / HTTP/1.0"),
    ("no length", ["Content-Length: 0"], ""),
    ("a length", ["Content-Length: 5"], ""),
    ("chunked", ["Transfer-Encoding: chunked"], ""),
    ("an origin", ["Origin: null"], ""),
    ("two origins", ["Origin: a", "+Origin: b"], ""),
    ("a subprotocol", [PROTOCOL + "chat"], ""),
    ("an unknown one", [PROTOCOL + "other"], ""),
    ("the second", [PROTOCOL + "other, chat"], ""),
    ("its case", [PROTOCOL + "Chat"], ""),
    ("repeated", [PROTOCOL + "chat, chat"], ""),
    ("no token", [PROTOCOL + "a b, chat"], ""),
    ("no token that is known", [PROTOCOL + "a/b"], ""),
    ("with a quote", [PROTOCOL + '"chat"'], ""),
    ("empty", [PROTOCOL], ""),
    ("commas", [PROTOCOL + ",,chat,"], ""),
    ("second line of subprotocols", [PROTOCOL + "x", "+" + PROTOCOL + "chat"], ""),
    ("many", [PROTOCOL + ", ".join(f"p{i}" for i in range(200)) + ", chat"], ""),
    ("an extension", [OFFER + "permessage-deflate"], ""),
    ("as browsers", [OFFER + "permessage-deflate; client_max_window_bits"], ""),
    ("with bits", [OFFER + "permessage-deflate; server_max_window_bits=10"], ""),
    ("8 bits", [OFFER + "permessage-deflate; server_max_window_bits=8"], ""),
    ("16 bits", [OFFER + "permessage-deflate; server_max_window_bits=16"], ""),
    ("quoted bits", [OFFER + 'permessage-deflate; server_max_window_bits="10"'], ""),
    ("no takeover", [OFFER + "permessage-deflate; server_no_context_takeover"], ""),
    ("a fallback", [OFFER + "permessage-deflate; x=1, permessage-deflate"], ""),
    ("an unknown parameter", [OFFER + "permessage-deflate; x=1"], ""),
    ("another extension", [OFFER + "x-foo; bar"], ""),
    ("both", [OFFER + "x-foo, permessage-deflate"], ""),
    ("no token, offered", [OFFER + "foo bar, permessage-deflate"], ""),
    ("half", [OFFER + "permessage-deflate; ="], ""),
    ("a semicolon", [OFFER + "permessage-deflate;"], ""),
    ("of nothing", [OFFER + ";;;,,,"], ""),
    (
        "a parameter twice",
        [
            OFFER + "permessage-deflate; server_no_context_takeover; "
            "server_no_context_takeover"
        ],
        "",
    ),
    ("bytes in a header", ["X-Name: Übung"], ""),
]


def request(lines: list[str], first: str) -> bytes:
    head = {
        "host": "Host: localhost",
        "upgrade": "Upgrade: websocket",
        "connection": "Connection: Upgrade",
        "sec-websocket-key": f"Sec-WebSocket-Key: {KEY}",
        "sec-websocket-version": "Sec-WebSocket-Version: 13",
    }
    for line in lines:
        head[line.partition(":")[0].lower()] = line.removeprefix("+")
    text = "\r\n".join([first or "GET / HTTP/1.1", *head.values(), "", ""])
    return text.encode("latin-1")


async def answer(kind: Kind, data: bytes, **options: Any) -> dict[str, Any]:
    """What a server of this kind answers, as far as a client can tell."""
    async with served(kind, echo, protocols=["chat", "a/b"], **options) as rig:
        async with rig.peer() as peer:
            peer.send(data)
            head = (await peer.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = head.lower().split("\r\n")
            result: dict[str, Any] = {"status": int(head.split()[1])}
            if result["status"] != 101:
                return result
            for line in head.split("\r\n")[1:]:
                name, _, value = line.partition(": ")
                name = name.lower()
                if name in ("sec-websocket-accept", "sec-websocket-protocol"):
                    result[name] = value
                elif name == "sec-websocket-extensions":
                    result[name] = value.split(";")[0]
                    result["forgets"] = "server_no_context_takeover" in value
            assert "upgrade: websocket" in lines and "connection: upgrade" in lines
            peer.send(frame(TEXT, b"hello"))
            opcode, payload = await peer.frame()
            if opcode == RSV1 | TEXT:
                payload = zlib.decompressobj(-15).decompress(payload)
            assert (opcode & 0x0F, payload) == (TEXT, b"hello")
            await rig.opened.wait()
            result["ws_protocol"] = rig.ws.ws_protocol
            result["compress"] = bool(rig.ws.compress)
            return result


@pytest.mark.parametrize(
    ("name", "lines", "first"), REQUESTS, ids=lambda v: str(v)[:24]
)
def test_requests(name: str, lines: list[str], first: str) -> None:
    data = request(lines, first)
    theirs, ours = (run(answer(kind, data)) for kind in (THEIRS, OURS[0]))
    assert (theirs != ours) is (name in DIFFERS), (theirs, ours)


async def accepted(
    connect: Any, lines: list[str], options: dict[str, Any]
) -> dict[str, Any]:
    """What a client makes of a server's answer."""
    asked: list[str] = []

    async def script(reader: Any, writer: Any) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        asked.extend(head.split("\r\n")[1:-2])
        pairs = dict(line.split(": ", 1) for line in asked)
        answer = {
            "upgrade": "Upgrade: websocket",
            "connection": "Connection: Upgrade",
            "sec-websocket-accept": "Sec-WebSocket-Accept: "
            + _core.accept_key(pairs["Sec-WebSocket-Key"]),
        }
        for line in lines:
            answer[line.partition(":")[0].lower()] = line.removeprefix("+")
        text = "\r\n".join(["HTTP/1.1 101 Yes", *answer.values(), "", ""])
        writer.write(text.encode() + b"\x81\x05hello\x88\x02\x03\xe8")
        await reader.read()

    async def serve(reader: Any, writer: Any) -> None:
        try:
            await script(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the end of the test, at the latest
        finally:
            writer.close()

    server = await asyncio.start_server(
        serve, "127.0.0.1", 0, ssl=carriers.server_tls()
    )
    result: dict[str, Any] = {}
    async with server, client_session() as session:
        url = carriers.uri("http", server.sockets[0].getsockname()[1])
        try:
            async with connect(session, url, **options) as ws:
                result["protocol"] = ws.protocol
                result["compress"] = bool(ws.compress)
                result["first"] = await ws.receive()
                result["second"] = await ws.receive()
        except Exception as exc:
            result["exception"] = type(exc)
            if isinstance(exc, aiohttp.WSServerHandshakeError):
                result["status"] = exc.status
                if not options.get("compress"):
                    result["message"] = exc.message
    result["asked"] = sorted(
        sorted(line.split("; "))
        for line in asked
        if not line.lower().startswith(("sec-websocket-key", "host"))
    )
    return result


DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
# name, lines of the answer, arguments of ws_connect()
ANSWERS: list[tuple[str, list[str], dict[str, Any]]] = [
    ("plain", [], {}),
    ("lower case", ["upgrade: WebSocket", "connection: upgrade"], {}),
    ("no upgrade", ["Upgrade: h2c"], {}),
    ("upgrade is one of", ["Connection: keep-alive, Upgrade"], {}),
    ("no connection", ["Connection: close"], {}),
    ("wrong challenge", ["Sec-WebSocket-Accept: abc"], {}),
    ("no challenge", ["Sec-WebSocket-Accept: "], {}),
    ("a subprotocol", [PROTOCOL + "chat"], {"protocols": ["chat", "b"]}),
    ("none of it", [], {"protocols": ["chat"]}),
    ("another one", [PROTOCOL + "other"], {"protocols": ["chat"]}),
    ("unasked", [PROTOCOL + "other"], {}),
    ("several", [PROTOCOL + "other, chat"], {"protocols": ["chat"]}),
    ("strange ones", [PROTOCOL + "a b"], {"protocols": ["a b", "c/d", "é"]}),
    ("repeated ones", [PROTOCOL + "a"], {"protocols": ["a", "a"]}),
    ("a str of them", [PROTOCOL + "a"], {"protocols": "ab"}),
    (
        "own header",
        [PROTOCOL + "mine"],
        {"headers": {"Sec-WebSocket-Protocol": "mine"}},
    ),
    (
        "own header and argument",
        [PROTOCOL + "mine"],
        {"headers": {"Sec-WebSocket-Protocol": "mine"}, "protocols": ["chat"]},
    ),
    ("own version", [], {"headers": {"Sec-WebSocket-Version": "8"}}),
    ("own key", [], {"headers": {"Sec-WebSocket-Key": "mine"}}),
    ("own upgrade", [], {"headers": {"Upgrade": "WebSocket", "connection": "upgrade"}}),
    (
        "own extension",
        ["Sec-WebSocket-Extensions: x-foo"],
        {"headers": {OFFER[:-2]: "x-foo"}},
    ),
    ("own extension, no answer", [], {"headers": {OFFER[:-2]: "permessage-deflate"}}),
    ("deflate", [DEFLATE], {"compress": 15}),
    ("deflate, 10 bits", [DEFLATE + "; server_max_window_bits=10"], {"compress": 10}),
    ("deflate, theirs", [DEFLATE + "; client_max_window_bits=10"], {"compress": 15}),
    (
        "deflate, no takeover",
        [DEFLATE + "; client_no_context_takeover"],
        {"compress": 15},
    ),
    ("deflate, declined", [], {"compress": 15}),
    ("deflate, unasked", [DEFLATE], {}),
    ("deflate, 16 bits", [DEFLATE + "; client_max_window_bits=16"], {"compress": 15}),
    ("deflate, unknown", [DEFLATE + "; x=1"], {"compress": 15}),
    ("deflate, malformed", [DEFLATE + "; ="], {"compress": 15}),
    ("another extension", ["Sec-WebSocket-Extensions: x-foo"], {"compress": 15}),
    ("unasked extension", ["Sec-WebSocket-Extensions: x-foo"], {}),
    ("too many bits", [], {"compress": 16}),
    ("an origin", [], {"origin": "http://example.org"}),
    ("a method", [], {"method": "POST"}),
    ("parameters", [], {"params": {"a": "b"}}),
]


@pytest.mark.parametrize(
    ("name", "lines", "options"), ANSWERS, ids=lambda v: str(v)[:24]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_answers(name: str, lines: list[str], options: dict[str, Any]) -> None:
    theirs, ours = (
        run(accepted(connect, lines, options))
        for connect in (aiohttp.ClientSession.ws_connect, ws_connect)
    )
    assert (theirs != ours) is (name in DIFFERS), (theirs, ours)


# Headers of a handler's response
VALUES = [
    "plain",
    "é",
    "€😀",
    "a\tb",
    " spaces ",
    "",
    "\udc80",
    "1\r\n2",
    "1\n2",
    "1\r2",
    "1\x002",
    "a\x01b",
]


async def responded(kind: Kind, value: str) -> Any:
    async def signal(request: Any, response: Any) -> None:
        response.headers["X-Value"] = value

    async with served(kind, echo, signal=signal) as rig, rig.peer() as peer:
        peer.send(request([], ""))
        try:
            head = await peer.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as exc:
            return len(exc.partial)
        lines = [line for line in head.split(b"\r\n") if line.startswith(b"X-Value")]
        return head.split()[1], [line.split(b":")[1].strip() for line in lines]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_values_of_headers(value: str) -> None:
    theirs, ours = (run(responded(kind, value)) for kind in (THEIRS, OURS[0]))
    assert (theirs != ours) is (value in DIFFERS), (theirs, ours)
