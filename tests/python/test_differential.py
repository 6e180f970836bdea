"""The same frames to pywscore, websockets' sans-IO protocol, and wsproto.

Events and the close code that is answered are compared; where they differ, the reason
has to be one of DIFFERENCES. PYWSCORE_DIFFERENTIAL sets the number of programs.
"""

from __future__ import annotations

import collections
import os
import random
import zlib
from dataclasses import dataclass, field
from typing import Any

import pytest
import websockets.client
import websockets.extensions.permessage_deflate
import websockets.frames
import websockets.protocol
import websockets.server
import wsproto.connection
import wsproto.events
import wsproto.extensions
import wsproto.utilities
from wire import (
    BINARY,
    CLOSE,
    CONT,
    DEFLATE,
    PING,
    PONG,
    ROLES,
    SEED,
    TEXT,
    Role,
    close_body,
    feed,
    frame,
    opened,
)

import pywscore

PROGRAMS = int(os.environ.get("PYWSCORE_DIFFERENTIAL", "2000"))
LIMIT = 4000

# Why an outcome may differ, and who is meant. Each is decided by `why` below.
DIFFERENCES = {
    "a length that is not minimal": "websockets reads it; RFC 6455 §5.2: MUST",
    "text that fails at its first bad byte": "websockets looks at whole messages; §8.1",
    "a close frame inside a message": "websockets answers 1002; RFC 6455 §5.4",
    "compressed data that is cut or corrupt": "websockets and wsproto read what zlib "
    "gives up to then; wsproto answers 1007; RFC 7692 §7.2.2 says nothing",
    "close code 1014": "wsproto doesn't know it; it is registered with IANA",
    "a close frame with two faults": "websockets looks at the reason first; RFC 6455 "
    "says nothing of the order",
    "a message above the limit": "wsproto has none; websockets counts frames as they "
    "end, so that it may find another fault first",
}


@dataclass
class Program:
    """Frames, and what is unusual about them."""

    deflate: bool
    data: bytes = b""
    text: str = ""
    odd: set[str] = field(default_factory=set)


TEXTS = [b"", b"abc", "é€😀".encode(), b"x" * 130, "€".encode() * 50]
BAD_TEXTS = [b"\xff", b"ab\xc3\x28", b"\xed\xa0\x80", b"\xe2\x82", b"\xf4\x90\x80\x80x"]
CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1011, 1012, 1013, 1014, 3000, 4999]
BAD_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535]


def program(rng: random.Random, role: Role) -> Program:
    result = Program(deflate=rng.random() < 0.4)
    state = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    size = 0
    kind: int | None = None  # of the message that has begun
    for _ in range(rng.randrange(1, 8)):
        choice = rng.random()
        fin, rsv, to, form = rng.random() < 0.65, 0, role, None
        broken = False
        if choice < 0.55:
            opcode = CONT if kind is not None else rng.choice([TEXT, TEXT, BINARY])
            if rng.random() < 0.05:
                opcode = rng.choice([CONT, TEXT, BINARY])
        else:
            opcode = rng.choice([PING, PONG, PING, CLOSE])
            fin = rng.random() < 0.97
        if rng.random() < 0.03:
            opcode = rng.randrange(16)
        if opcode >= 8:
            payload = rng.randbytes(rng.choice([0, 1, 10, 125]))
            if opcode == CLOSE:
                payload = b""
                if rng.random() < 0.8:
                    code = rng.choice(CODES if rng.random() < 0.7 else BAD_CODES)
                    if code == 1014:
                        result.odd.add("close code 1014")
                    payload = close_body(code) + rng.choice(TEXTS)[:60]
                    if rng.random() < 0.1:
                        payload = rng.choice([b"\x03", payload + b"\xff"])
                        result.odd.add("a close frame with two faults")
                if kind is not None:
                    result.odd.add("a close frame inside a message")
        else:
            text = (opcode if kind is None else kind) == TEXT
            payload = rng.choice(TEXTS) if text else rng.randbytes(rng.randrange(300))
            if rng.random() < 0.08:
                payload += rng.choice(BAD_TEXTS)
                result.odd.add("text that fails at its first bad byte")
            if rng.random() < 0.04:
                payload += bytes(rng.choice([500, 3000, 5000]))
            size = len(payload) + (0 if kind is None else size)
            if size > LIMIT - 300:
                result.odd.add("a message above the limit")
            if kind is None and result.deflate and rng.random() < 0.6:
                rsv, fin = 4, True
                payload = state.compress(payload) + state.flush(zlib.Z_SYNC_FLUSH)
                payload = payload[:-4]
                if rng.random() < 0.1:
                    cut = rng.randrange(len(payload))
                    payload = rng.choice(
                        [payload[:cut], payload[:cut] + b"\xff" + payload[cut + 1 :]]
                    )
                    broken = True
        if rng.random() < 0.02:
            rsv, broken = rng.randrange(1, 8), True
        if rng.random() < 0.02:
            to = "client" if role == "server" else "server"
        if rng.random() < 0.03 and len(payload) < 1 << 16:
            form = rng.choice([2, 8])
            minimal = 0 if len(payload) < 126 else 2
            if form != minimal:
                result.odd.add("a length that is not minimal")
        result.data += frame(
            opcode, payload, to=to, fin=fin, rsv=rsv, form=form, key=rng.randbytes(4)
        )
        result.text += f"\n  {opcode=} {fin=} {rsv=} {to=} {form=} {payload[:40]!r}"
        if broken:
            # What the peers make of anything after it depends on their inflater.
            result.odd.add("compressed data that is cut or corrupt")
            break
        if opcode < 8:
            kind = None if fin else (kind if opcode == CONT else opcode)
    return result


Result = tuple[list[Any], int | None]


def ours(role: Role, item: Program, pieces: list[bytes]) -> Result:
    protocol = opened(
        role, compression=DEFLATE if item.deflate else None, max_size=LIMIT
    )
    outcome = feed(protocol, pieces)
    events: list[Any] = []
    for event in outcome.events:
        match event:
            case pywscore.Close(code, reason):
                events.append(("close", code, reason))
            case _:
                kind = {"TextMessage": "text", "BinaryMessage": "binary"}
                name = type(event).__name__
                events.append((kind.get(name, name.lower()), event.data))
    return events, outcome.close_sent


def theirs_websockets(role: Role, item: Program, pieces: list[bytes]) -> Result:
    factory = (
        websockets.server.ServerProtocol
        if role == "server"
        else lambda **options: websockets.client.ClientProtocol(
            websockets.parse_uri("ws://x/")
            if hasattr(websockets, "parse_uri")
            else None,  # type: ignore[arg-type]
            **options,
        )
    )
    protocol: Any = factory(state=websockets.protocol.OPEN, max_size=LIMIT)
    if item.deflate:
        protocol.extensions = [
            websockets.extensions.permessage_deflate.PerMessageDeflate(
                False, False, 15, 15
            )
        ]
    events: list[Any] = []
    parts: list[bytes] = []
    kind = ""
    for piece in pieces:
        protocol.receive_data(piece)
        for received in protocol.events_received():
            data = bytes(received.data)
            name = received.opcode.name.lower()
            if name in ("ping", "pong"):
                events.append((name, data))
            elif name == "close":
                closed = protocol.close_rcvd
                events.append(("close", closed.code, closed.reason))
            else:
                if name != "cont":
                    kind, parts = name, []
                parts.append(data)
                if received.fin:
                    message: Any = b"".join(parts)
                    if kind == "text":
                        try:
                            message = message.decode()
                        except UnicodeDecodeError:
                            # As websockets.asyncio.connection does it.
                            return events, 1007
                    events.append((kind, message))
    sent = protocol.close_sent
    return events, None if sent is None else int(sent.code)


def theirs_wsproto(role: Role, item: Program, pieces: list[bytes]) -> Result:
    extensions = []
    if item.deflate:
        deflate = wsproto.extensions.PerMessageDeflate()
        deflate.finalize("permessage-deflate")
        deflate._enabled = True
        extensions.append(deflate)
    kinds = wsproto.connection.ConnectionType
    connection = wsproto.connection.Connection(
        kinds.SERVER if role == "server" else kinds.CLIENT, extensions
    )
    events: list[Any] = []
    parts: list[Any] = []
    for piece in pieces:
        if connection.state is not wsproto.connection.ConnectionState.OPEN:
            break
        connection.receive_data(piece)
        try:
            for event in connection.events():
                match event:
                    case wsproto.events.Message():
                        parts.append(event.data)
                        if event.message_finished:
                            is_text = isinstance(event, wsproto.events.TextMessage)
                            joined = ("" if is_text else b"").join(parts)
                            events.append(("text" if is_text else "binary", joined))
                            parts = []
                    case wsproto.events.Ping():
                        events.append(("ping", bytes(event.payload)))
                    case wsproto.events.Pong():
                        events.append(("pong", bytes(event.payload)))
                    case wsproto.events.CloseConnection():
                        states = wsproto.connection.ConnectionState
                        if connection.state is states.OPEN:  # it failed
                            return events, int(event.code)
                        events.append(("close", int(event.code), event.reason or ""))
                        return events, int(event.code)
        except wsproto.utilities.RemoteProtocolError as error:
            hint: Any = error.event_hint
            return events, int(hint.code) if hint is not None else 1002
    return events, None


def is_prefix(short: list[Any], long: list[Any]) -> bool:
    return long[: len(short)] == short


def why(item: Program, mine: Result, other: Result, peer: str) -> str | None:
    """The reason for a difference; None if there is no good one."""
    (events, code), (other_events, other_code) = mine, other
    odd = item.odd
    earlier = is_prefix(events, other_events)  # we stopped first
    length, bad_text, inside, broken, unknown, two_faults, big = DIFFERENCES
    if peer == "websockets":
        if length in odd and code == 1002 and earlier:
            return length
        if bad_text in odd and code == 1007 and earlier:
            return bad_text
        if (
            inside in odd
            and other_code == 1002
            and events[: len(other_events)] == (other_events)
        ):
            return inside
        codes = (code, other_code)
        if two_faults in odd and codes == (1002, 1007) and events == other_events:
            return two_faults
    if broken in odd and code in (1002, 1007, 1009) and earlier:
        return broken
    if peer == "wsproto" and unknown in odd and other_code == 1002:
        return unknown
    if big in odd and code == 1009 and earlier:
        return big
    if big in odd and other_code == 1009 and is_prefix(other_events, events):
        return big
    return None


PEERS = {"websockets": theirs_websockets, "wsproto": theirs_wsproto}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.threat("LEN-7", "FRG-5", "FRG-6", "CTL-6", "INF-10")
def test_the_same_programs(role: Role, peer: str) -> None:
    print(f"PYWSCORE_SEED={SEED}")
    rng = random.Random(SEED)
    tally: collections.Counter[str] = collections.Counter()
    for number in range(PROGRAMS // 4):
        item = program(rng, role)
        cut = rng.randrange(len(item.data) + 1)
        pieces = [piece for piece in (item.data[:cut], item.data[cut:]) if piece]
        mine = ours(role, item, pieces)
        other = PEERS[peer](role, item, pieces)
        if mine == other:
            tally["equal"] += 1
            continue
        reason = why(item, mine, other, peer)
        assert reason is not None, (
            f"program {number}: {item.odd}{item.text}\n{item.data.hex()}\n"
            f"pywscore: {mine}\n{peer}: {other}"
        )
        tally[reason] += 1
    print(tally)
    assert tally["equal"] > 0.6 * (PROGRAMS // 4)
