"""Any split is the same, and both ends of a connection agree, whatever is done."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from wire import (
    BINARY,
    CLOSE,
    CONT,
    DEFLATE,
    PING,
    PONG,
    SEED,
    TEXT,
    Role,
    close_body,
    feed,
    frame,
    opened,
    pair,
    request,
)

import pywscore
from pywscore import (
    BinaryMessage,
    Close,
    InvalidState,
    PerMessageDeflate,
    Ping,
    Pong,
    Request,
    ServerProtocol,
    State,
    TextMessage,
)

# ---- any split is the same -----------------------------------------------------------

payloads = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(str.encode),
    st.sampled_from([b"", b"x" * 126, b"\xc3", b"\xa9", b"\xf0\x9f", b"y" * 5000]),
    st.sampled_from([bytes.fromhex("f248cdc9c90700"), bytes.fromhex("f200110000")]),
)
frames = st.builds(
    lambda opcode, payload, fin, rsv, role: frame(
        opcode,
        payload if opcode < 8 else payload[:125],
        to=role,
        fin=fin or opcode >= 8,
        rsv=rsv if opcode in (TEXT, BINARY) else 0,
    ),
    st.sampled_from([TEXT, BINARY, CONT, CONT, PING, PONG]),
    payloads,
    st.booleans(),
    st.sampled_from([0, 0, 4]),
    st.just("server"),
)
closes = st.builds(
    lambda code, reason: frame(CLOSE, close_body(code, reason), to="server"),
    st.sampled_from([1000, 1001, 1002, 1005, 3000, 5000]),
    st.text(max_size=10),
)
streams = st.lists(
    st.one_of(frames, frames, frames, closes, st.binary(max_size=6)), max_size=8
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(streams, st.data())
def test_any_split_of_frames(data: bytes, draw: st.DataObject) -> None:
    make = lambda: opened("server", compression=DEFLATE, max_size=6000)  # noqa: E731
    whole = feed(make(), [data])
    assert feed(make(), [data[i : i + 1] for i in range(len(data))]) == whole
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=5)))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
    assert feed(make(), pieces) == whole
    if len(data) < 100:
        for cut in range(len(data)):
            assert feed(make(), [data[:cut], data[cut:]]) == whole


LINES = ["X: y", "X y", "Host: z", "Upgrade: h2c", "X: \0", "Origin: o", " folded"]
LINES += ["Sec-WebSocket-Protocol: a,a", "Sec-WebSocket-Extensions: ;"]
lines = st.sampled_from([*LINES, "Content-Length: 1"])


@settings(max_examples=200, deadline=None)
@given(st.lists(lines, max_size=3), st.binary(max_size=10), st.data())
def test_any_split_of_heads(extra: list[str], tail: bytes, draw: st.DataObject) -> None:
    def run(pieces: list[bytes]) -> Any:
        protocol = ServerProtocol()
        events, sent = [], b""
        for piece in pieces:
            protocol.receive_data(piece)
            while (event := protocol.next_event()) is not None:
                events.append(event)
                if isinstance(event, Request):
                    protocol.accept()
            sent += protocol.data_to_send()
        error = protocol.handshake_exception
        return events, sent, protocol.state, type(error), str(error)

    data = request(*extra) + tail
    whole = run([data])
    assert run([data[i : i + 1] for i in range(len(data))]) == whole
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=5)))
    assert (
        run([data[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)])
        == whole
    )


# ---- two ends ------------------------------------------------------------------------

END = {"server": "client", "client": "server"}
roles = st.sampled_from(["server", "client"])
COMPRESSIONS = [
    None,
    PerMessageDeflate(threshold=0),
    PerMessageDeflate(
        server_no_context_takeover=True, client_no_context_takeover=True, threshold=10
    ),
    PerMessageDeflate(
        server_max_window_bits=9, client_max_window_bits=9, mem_level=1, threshold=0
    ),
]


class TwoEnds(RuleBasedStateMachine):
    """Whatever is sent comes out at the other end, in order, up to the close."""

    @initialize(compression=st.sampled_from(COMPRESSIONS))
    def start(self, compression: PerMessageDeflate | None) -> None:
        self.ends: dict[Any, Any] = pair(compression)
        self.wire = {"server": b"", "client": b""}  # on the way from that end
        self.sent: dict[str, list[Any]] = {"server": [], "client": []}
        self.seen: dict[str, list[Any]] = {"server": [], "client": []}
        self.parts: dict[str, tuple[bool, list[Any]] | None] = {
            "server": None,
            "client": None,
        }
        self.closed: dict[str, Close | None] = {"server": None, "client": None}

    def take(self, role: Any) -> None:
        self.wire[role] += self.ends[role].data_to_send()

    def allowed(self, role: Any, call: Any) -> bool:
        """Sending is for the open state; else InvalidState, and nothing is written."""
        end = self.ends[role]
        if end.state is State.OPEN:
            call()
            return True
        self.take(role)
        with pytest.raises(InvalidState):
            call()
        assert end.data_to_send() == b""
        return False

    @rule(
        role=roles,
        data=st.text(max_size=50),
        compress=st.sampled_from([None, True, False]),
    )
    def send_text(self, role: Any, data: str, compress: bool | None) -> None:
        end = self.ends[role]
        if self.parts[role] is None and self.allowed(
            role, lambda: end.send_text(data, compress=compress)
        ):
            self.sent[role].append(("text", data))

    @rule(role=roles, data=st.one_of(st.binary(max_size=50), st.just(b"x" * 70_000)))
    def send_binary(self, role: Any, data: bytes) -> None:
        end = self.ends[role]
        if self.parts[role] is None and self.allowed(
            role, lambda: end.send_binary(data)
        ):
            self.sent[role].append(("binary", data))

    @rule(role=roles, text=st.booleans(), data=st.text(max_size=20), fin=st.booleans())
    def send_fragment(self, role: Any, text: bool, data: str, fin: bool) -> None:
        end, begun = self.ends[role], self.parts[role]
        if begun is not None:
            if self.allowed(role, lambda: end.send_continuation(data, fin=fin)):
                begun[1].append(data)
        else:
            send = end.send_text if text else end.send_binary
            first: Any = data if text else data.encode()
            if not self.allowed(role, lambda: send(first, fin=fin)):
                return
            begun = self.parts[role] = (text, [data])
        if fin and end.state is State.OPEN:
            is_text, parts = begun
            joined = "".join(parts)
            self.sent[role].append(
                ("text", joined) if is_text else ("binary", joined.encode())
            )
            self.parts[role] = None

    @rule(role=roles, data=st.binary(max_size=125))
    def send_ping(self, role: Any, data: bytes) -> None:
        if self.allowed(role, lambda: self.ends[role].send_ping(data)):
            self.sent[role].append(("ping", data))

    @rule(role=roles, code=st.sampled_from([None, 1000, 1001, 4000]))
    def send_close(self, role: Any, code: int | None) -> None:
        end = self.ends[role]
        if end.state is State.OPEN:
            self.closed[role] = Close(1005 if code is None else code)
        end.send_close(code)

    @rule(role=roles, size=st.integers(1, 200))
    def deliver_some(self, role: Any, size: int) -> None:
        self.deliver(role, size)

    @rule(role=roles)
    def deliver_all(self, role: Any) -> None:
        self.take(role)
        self.deliver(role, len(self.wire[role]))

    @rule(role=roles)
    def take_output(self, role: Any) -> None:
        self.take(role)

    def deliver(self, role: Any, size: int) -> None:
        data, self.wire[role] = self.wire[role][:size], self.wire[role][size:]
        receiver = self.ends[END[role]]
        receiver.receive_data(data)
        for event in receiver.events():
            match event:
                case TextMessage(text):
                    self.seen[role].append(("text", text))
                case BinaryMessage(data):
                    self.seen[role].append(("binary", data))
                case Ping(data):
                    self.seen[role].append(("ping", data))
                case Pong(data):
                    assert ("ping", data) in self.sent[END[role]]
                case Close():
                    self.seen[role].append(("close", event.code))
            assert receiver.error is None

    @precondition(lambda self: hasattr(self, "ends"))
    @invariant()
    def what_was_seen_was_sent(self) -> None:
        for role in ("server", "client"):
            seen = [item for item in self.seen[role] if item[0] != "close"]
            assert seen == self.sent[role][: len(seen)]

    def teardown(self) -> None:
        if not hasattr(self, "ends"):
            return
        for _ in range(4):
            for role in ("server", "client"):
                self.take(role)
                self.deliver(role, len(self.wire[role]))
        closing = any(self.closed.values())
        for role in ("server", "client"):
            end = self.ends[role]
            seen = [item for item in self.seen[role] if item[0] != "close"]
            assert seen == self.sent[role]
            assert end.close_expected == closing
            assert end.state is (State.CLOSING if closing else State.OPEN)
            if closing:
                codes = {close.code for close in self.closed.values() if close}
                assert end.close_code in codes
            end.receive_eof()
            assert end.state is State.CLOSED
            error = end.close_exception
            ok = {1000, 1001, 1005}
            content = closing and {error.rcvd.code, error.sent.code} <= ok
            expected = (
                pywscore.ConnectionClosedOK
                if content
                else pywscore.ConnectionClosedError
            )
            assert type(error) is expected


TwoEnds.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestTwoEnds = TwoEnds.TestCase


# ---- sessions, at every single cut ---------------------------------------------------


def session(rng: random.Random, role: Role) -> bytes:
    """A legal one: messages in fragments with control frames between, then a close."""
    data = b""
    for _ in range(rng.randrange(1, 5)):
        text = "".join(rng.choices("aé€😀", k=rng.randrange(12))).encode()
        cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randrange(3)))
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
        for place, part in enumerate(parts):
            if rng.random() < 0.3:
                data += frame(rng.choice([PING, PONG]), rng.randbytes(3), to=role)
            opcode = TEXT if place == 0 else CONT
            data += frame(opcode, part, to=role, fin=place == len(parts) - 1)
    return data + frame(CLOSE, close_body(1000, "é"), to=role)


@pytest.mark.parametrize("role", ["server", "client"])
def test_sessions_at_every_cut(role: Role) -> None:
    print(f"PYWSCORE_SEED={SEED}")
    rng = random.Random(SEED)
    for _ in range(15):
        data = session(rng, role)
        whole = feed(opened(role), [data])
        assert whole.error is None and whole.close_code == 1000
        for cut in range(len(data)):
            assert feed(opened(role), [data[:cut], data[cut:]]) == whole
