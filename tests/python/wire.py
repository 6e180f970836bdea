"""What the tests of the sans-IO objects share: bytes written and read without pywscore.

Frames, masking, Sec-WebSocket-Accept and the fixtures of tests/c/vectors are done here
in the plainest way, as RFC 6455 has them, so that no expectation is our own output.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pywscore
from pywscore import ClientProtocol, PerMessageDeflate, ServerProtocol

Role = Literal["server", "client"]
ROLES: list[Role] = ["server", "client"]
Protocol = ServerProtocol | ClientProtocol

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

# ---- frames (RFC 6455 §5.2) ----------------------------------------------------------


def mask(payload: bytes, key: bytes) -> bytes:
    """RFC 6455 §5.3."""
    pad = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(pad)).to_bytes(len(payload))


def length_bytes(length: int, masked: bool, form: int | None = None) -> bytes:
    """The length field; `form` (0, 2 or 8 more bytes) overrides the minimal one."""
    if form is None:
        form = 0 if length < 126 else 2 if length < 1 << 16 else 8
    field = {0: length, 2: 126, 8: 127}[form]
    return bytes([masked << 7 | field]) + (length.to_bytes(form) if form else b"")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    to: Role,
    fin: bool = True,
    rsv: int = 0,
    key: bytes = b"\x37\xfa\x21\x3d",
    form: int | None = None,
) -> bytes:
    """A frame as `to` wants it: masked to a server (with the key of §5.7), else not."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    head += length_bytes(len(payload), to == "server", form)
    return head + (key + mask(payload, key) if to == "server" else payload)


def header(opcode: int, length: int, *, to: Role, fin: bool = True) -> bytes:
    """The header alone, with the announced length."""
    head = bytes([fin << 7 | opcode]) + length_bytes(length, to == "server")
    return head + (bytes(4) if to == "server" else b"")


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


def parse(data: bytes, sender: Role) -> list[Frame]:
    """The frames in `data`, which have to be whole and as `sender` must send them."""
    frames = []
    while data:
        fin, rsv, opcode = data[0] >> 7, data[0] >> 4 & 7, data[0] & 15
        masked, length, at = data[1] >> 7, data[1] & 127, 2
        assert masked == (sender == "client"), "RFC 6455 §5.1"
        if length >= 126:
            at = 4 if length == 126 else 10
            length = int.from_bytes(data[2:at])
            assert length > (125 if at == 4 else 65535), "RFC 6455 §5.2: minimal form"
        key = data[at : at + 4] if masked else bytes(4)
        at += 4 * masked
        assert len(data) >= at + length, "a frame is cut"
        frames.append(Frame(opcode, mask(data[at : at + length], key), bool(fin), rsv))
        data = data[at + length :]
    return frames


def close_body(code: int, reason: str = "") -> bytes:
    return code.to_bytes(2) + reason.encode()


# ---- opening handshakes --------------------------------------------------------------

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_for(key: str) -> str:
    """RFC 6455 §4.2.2, item 5."""
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def request(*lines: str, start: str = "GET /chat HTTP/1.1", without: str = "") -> bytes:
    """The request of RFC 6455 §1.2 (least form), with more lines, without some."""
    head = {
        "Host": "server.example.com",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    left_out = {name.lower() for name in without.split()}
    kept = [f"{k}: {v}" for k, v in head.items() if k.lower() not in left_out]
    return "\r\n".join([start, *kept, *lines, "", ""]).encode("iso-8859-1")


def response(
    *lines: str,
    key: str = KEY,
    start: str = "HTTP/1.1 101 Switching Protocols",
    without: str = "",
) -> bytes:
    """The right answer to a request with this key, with more lines, without some."""
    head = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept_for(key),
    }
    left_out = {name.lower() for name in without.split()}
    kept = [f"{k}: {v}" for k, v in head.items() if k.lower() not in left_out]
    return "\r\n".join([start, *kept, *lines, "", ""]).encode("iso-8859-1")


def client(**options: Any) -> ClientProtocol:
    """A client that has sent its request."""
    protocol = ClientProtocol("ws://server.example.com/chat", **options)
    protocol.data_to_send()
    return protocol


def key_of(protocol: ClientProtocol) -> str:
    return protocol.request.headers["Sec-WebSocket-Key"]


DEFLATE = PerMessageDeflate(threshold=0)


def opened(
    role: Role,
    *,
    compression: PerMessageDeflate | None = None,
    extension: str | None = None,
    **options: Any,
) -> Protocol:
    """One end in state OPEN; `extension` is the peer's header, if any.

    With `compression` alone the peer offers, or answers, plain permessage-deflate.
    """
    if extension is None and compression is not None:
        extension = "permessage-deflate"
    lines = [f"Sec-WebSocket-Extensions: {extension}"] if extension else []
    protocol: Protocol
    if role == "server":
        protocol = ServerProtocol(compression=compression, **options)
        protocol.receive_data(request(*lines))
        assert isinstance(protocol.next_event(), pywscore.Request)
        protocol.accept()
        assert protocol.data_to_send().startswith(b"HTTP/1.1 101 ")
    else:
        protocol = client(compression=compression, **options)
        protocol.receive_data(response(*lines, key=key_of(protocol)))
        assert isinstance(protocol.next_event(), pywscore.Response)
    assert protocol.state is pywscore.State.OPEN
    return protocol


def pair(
    compression: PerMessageDeflate | None = None,
    *,
    server: PerMessageDeflate | None = None,
    client: PerMessageDeflate | None = None,
    **options: Any,
) -> dict[Role, Protocol]:
    """Both ends of one connection, connected through their own handshakes."""
    one = ServerProtocol(compression=server or compression, **options)
    other = ClientProtocol("ws://x/", compression=client or compression, **options)
    one.receive_data(other.data_to_send())
    assert isinstance(one.next_event(), pywscore.Request)
    one.accept()
    other.receive_data(one.data_to_send())
    assert isinstance(other.next_event(), pywscore.Response), other.handshake_exception
    return {"server": one, "client": other}


# ---- payloads of permessage-deflate --------------------------------------------------


def deflate_extension(bits: int, no_context_takeover: bool) -> str:
    """What is agreed on for the server's direction."""
    extension = f"permessage-deflate; server_max_window_bits={bits}"
    return extension + "; server_no_context_takeover" * no_context_takeover


class Deflater:
    """The payloads that a server sends (RFC 7692 §7.2.1)."""

    def __init__(
        self,
        *,
        window_bits: int = 15,
        level: int = -1,
        mem_level: int = 8,
        no_context_takeover: bool = False,
    ) -> None:
        settings = PerMessageDeflate(level=level, mem_level=mem_level, threshold=0)
        extension = deflate_extension(window_bits, no_context_takeover)
        self.server = opened("server", compression=settings, extension=extension)
        self.opcode = BINARY

    def compress(self, data: Any, *, fin: bool = True) -> bytes:
        if self.opcode == BINARY:
            self.server.send_binary(data, fin=fin)
        else:
            self.server.send_continuation(data, fin=fin)
        rsv = 4 if self.opcode == BINARY else 0
        [sent] = parse(self.server.data_to_send(), "server")
        assert (sent.opcode, sent.rsv, sent.fin) == (self.opcode, rsv, fin)
        self.opcode = BINARY if fin else CONT
        return sent.payload


class Inflater:
    """What a client makes of them (§7.2.2): each message as a whole."""

    def __init__(
        self,
        *,
        window_bits: int = 15,
        no_context_takeover: bool = False,
        max_size: int | None = None,
    ) -> None:
        extension = deflate_extension(window_bits, no_context_takeover)
        self.client = opened(
            "client", compression=DEFLATE, extension=extension, max_size=max_size
        )
        self.opcode = BINARY

    def decompress(self, payload: bytes, *, fin: bool = True) -> bytes:
        rsv = 4 if self.opcode == BINARY else 0
        self.opcode = BINARY if fin else CONT
        opcode = BINARY if rsv else CONT
        self.client.receive_data(frame(opcode, payload, to="client", fin=fin, rsv=rsv))
        event = self.client.next_event()
        if self.client.error is not None:
            raise self.client.error
        if not fin:
            assert event is None
            return b""
        assert isinstance(event, pywscore.BinaryMessage) and event.compressed
        return event.data


# ---- feeding in pieces ---------------------------------------------------------------

SEED = int(os.environ.get("PYWSCORE_SEED", random.SystemRandom().getrandbits(32)))


def splits(data: bytes, rounds: int = 4) -> Iterator[tuple[str, list[bytes]]]:
    """`data` whole, byte by byte, and in random pieces; each with how it was cut."""
    yield "whole", [data] if data else []
    yield "byte by byte", [data[i : i + 1] for i in range(len(data))]
    for number in range(rounds):
        rng = random.Random(SEED + number)
        count = rng.randint(1, max(1, min(8, len(data) - 1)))
        cuts = sorted(rng.sample(range(1, max(2, len(data))), count)) if data else []
        edges = [0, *cuts, len(data)]
        pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
        yield f"PYWSCORE_SEED={SEED} (+{number})", [piece for piece in pieces if piece]


@dataclass
class Outcome:
    """What one end made of its input; comparable between runs."""

    events: list[Any]
    sent: list[Frame]
    state: pywscore.State
    end: bool
    error: str | None
    close_code: int | None

    @property
    def close_sent(self) -> int | None:
        """The code of the one close frame that was sent, 1005 for an empty one."""
        closes = [f.payload for f in self.sent if f.opcode == CLOSE]
        assert len(closes) <= 1, "RFC 6455 §5.5.1: one close frame"
        if not closes:
            return None
        assert self.sent[-1].opcode == CLOSE, "RFC 6455 §5.5.1: nothing after it"
        return int.from_bytes(closes[0][:2]) if closes[0] else 1005


def feed(protocol: Protocol, pieces: Iterable[bytes]) -> Outcome:
    role: Role = "server" if protocol.is_server else "client"
    events: list[Any] = []
    sent = b""
    for piece in pieces:
        protocol.receive_data(piece)
        events += protocol.events()
        sent += protocol.data_to_send()
    events += protocol.events()
    sent += protocol.data_to_send()
    error = protocol.error
    return Outcome(
        events,
        parse(sent, role),
        protocol.state,
        protocol.close_expected,
        None if error is None else type(error).__name__,
        protocol.close_code,
    )


def outcome_of(make: Callable[[], Protocol], data: bytes, rounds: int = 4) -> Outcome:
    """The outcome of `data`, which is the same however it is cut."""
    first = None
    for how, pieces in splits(data, rounds):
        print(how)
        outcome = feed(make(), pieces)
        if first is None:
            first = outcome
        assert outcome == first, how
    assert first is not None
    return first


def assert_fails(outcome: Outcome, code: int, events: list[Any] | None = None) -> None:
    """The connection was failed: a close frame with `code`, then the end of TCP."""
    assert outcome.close_sent == code
    assert outcome.events == (events or [])
    assert outcome.state is pywscore.State.CLOSING
    assert outcome.end
    assert outcome.error == {
        1002: "ProtocolError",
        1007: "UnicodeDecodeError",
        1008: "ProtocolError",
        1009: "PayloadTooBig",
    }.get(code)


def assert_linear(cpu: Callable[[int], float], size: int) -> float:
    """Twice the size takes at most 2.2 times the time, which is given back."""
    for last in (False, False, False, True):  # others use the processor too
        one, two = cpu(size), cpu(2 * size)
        if last or two <= 2.2 * one:
            break
    assert two <= 2.2 * one
    return two


# ---- fresh processes -----------------------------------------------------------------

PRELUDE = """
import gc, os, sys, time, tracemalloc
sys.path.insert(0, {folder!r})
from wire import *

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def peak():
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024

def reset_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
"""


def run_fresh(code: str, timeout: float = 100, **env: str) -> str:
    """Run code that has this module's names in a new process; what it prints."""
    prelude = PRELUDE.format(folder=str(Path(__file__).parent))
    answer = subprocess.run(
        [sys.executable, "-c", prelude + code],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | env,
    )
    assert answer.returncode == 0, f"{answer.returncode}: {answer.stderr[-4000:]}"
    return answer.stdout


# ---- tests/c/vectors -----------------------------------------------------------------

VECTORS = Path(__file__).resolve().parents[1] / "c" / "vectors"
_ESCAPE = re.compile(
    rb"\\(?:([rnt0\\])|x([0-9A-Fa-f]{2})|\{([0-9]+)\*((?:[^\\}]|\\[rnt0\\]|"
    rb"\\x[0-9A-Fa-f]{2})*)\})"
)
_SIMPLE = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


def unescape(text: bytes) -> bytes:
    def decode(match: re.Match[bytes]) -> bytes:
        simple, hexadecimal, count, repeated = match.groups()
        if simple is not None:
            return _SIMPLE[simple]
        if hexadecimal is not None:
            return bytes.fromhex(hexadecimal.decode())
        return int(count) * unescape(repeated)

    return _ESCAPE.sub(decode, text)


@dataclass(frozen=True)
class Vector:
    name: str
    blocks: dict[str, list[bytes]]

    def bytes_of(self, block: str) -> bytes:
        data = b""
        for line in self.blocks[block]:
            bare = line.endswith(b"\\") and not line.endswith(b"\\\\")
            data += unescape(line[:-1]) if bare else unescape(line) + b"\r\n"
        return data

    def fields(self, block: str) -> list[tuple[str, bytes]]:
        result = []
        for line in self.blocks.get(block, []):
            name, _, value = line.partition(b":")
            result.append((name.decode(), unescape(value.removeprefix(b" "))))
        return result

    def all(self, block: str, key: str) -> list[bytes]:
        return [value for name, value in self.fields(block) if name == key]

    def get(self, block: str, key: str) -> str | None:
        values = self.all(block, key)
        return values[0].decode() if values else None


def vectors(name: str) -> list[Vector]:
    """The cases of tests/c/vectors/<name>.md; README.md there says what they mean."""
    cases: list[Vector] = []
    block: list[bytes] | None = None
    for line in (VECTORS / f"{name}.md").read_bytes().split(b"\n"):
        if block is not None:
            if line == b"```":
                block = None
            else:
                block.append(line)
        elif line.startswith(b"## "):
            cases.append(Vector(line[3:].decode(), {}))
        elif line.startswith(b"```"):
            block = cases[-1].blocks.setdefault(line[3:].decode(), [])
    assert cases and block is None
    return cases
