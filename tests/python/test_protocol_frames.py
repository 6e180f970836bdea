"""Frames that are wrong, and what is answered: lengths, headers, fragments, text."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from typing import Any

import pytest
from wire import (
    BINARY,
    CLOSE,
    CONT,
    DEFLATE,
    PING,
    PONG,
    ROLES,
    TEXT,
    Frame,
    Role,
    assert_fails,
    close_body,
    feed,
    frame,
    header,
    length_bytes,
    opened,
    outcome_of,
    parse,
    splits,
)

import pywscore
from pywscore import BinaryMessage, Close, Ping, Pong, State, TextMessage

both_roles = pytest.mark.parametrize("role", ROLES)
MAX_SIZES = [1 << 20, None]
both_limits = pytest.mark.parametrize("max_size", MAX_SIZES)

# ---- length arithmetic ---------------------------------------------------------------

TOP_BIT = [
    *(1 << 63, (1 << 63) + 1, (1 << 64) - 1, (1 << 64) - 2, (1 << 64) - 4),
    *((1 << 64) - 13, (1 << 64) - 14, (1 << 64) - 15, 0xFFFFFF00FFFFF000),
]


@both_roles
@both_limits
@pytest.mark.parametrize("length", TOP_BIT, ids=hex)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.threat("LEN-1", "LEN-2", "LEN-6")
def test_top_bit_of_the_length(
    role: Role, max_size: int | None, length: int, opcode: int
) -> None:
    head = bytes([0x80 | opcode]) + length_bytes(length, role == "server")
    assert len(head) == 10
    protocol = opened(role, max_size=max_size)
    outcome = feed(protocol, [head[:9]])
    assert outcome.sent == [] and outcome.state is State.OPEN
    # Nine bytes may be anything; the tenth completes the length: no key is waited for.
    assert_fails(outcome_of(lambda: opened(role, max_size=max_size), head), 1002)
    assert_fails(
        outcome_of(lambda: opened(role, max_size=max_size), head + bytes(100)), 1002
    )


TOO_BIG = [(1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 32) + 5, 1 << 30, (1 << 63) - 1]


@both_roles
@pytest.mark.parametrize("length", [(1 << 20) + 1, *TOO_BIG])
@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.threat("LEN-1", "LEN-3")
def test_too_big_is_refused_at_the_header(role: Role, length: int, fin: bool) -> None:
    head = header(BINARY, length, to=role, fin=fin)
    assert_fails(outcome_of(lambda: opened(role), head), 1009)
    fastest = 1.0
    for _ in range(5):
        protocol = opened(role)
        tracemalloc.start()
        start = time.perf_counter()
        protocol.receive_data(head)
        assert protocol.next_event() is None
        fastest = min(fastest, time.perf_counter() - start)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert protocol.close_expected
        assert most < 4096  # the close frame, and nothing of the payload
    assert fastest < 0.001


@both_roles
@pytest.mark.parametrize("length", [(1 << 62) + 1, (1 << 63) - 1])
@pytest.mark.threat("LEN-6", "LEN-3")
def test_no_limit_is_still_a_limit(role: Role, length: int) -> None:
    """`None` is SSIZE_MAX / 2."""
    head = header(BINARY, length, to=role)
    assert_fails(outcome_of(lambda: opened(role, max_size=None), head), 1009)


@both_roles
@pytest.mark.threat("LEN-6")
def test_no_limit_reserves_nothing(role: Role) -> None:
    for length in [1 << 30, 1 << 40, 1 << 61]:
        tracemalloc.start()
        outcome = feed(opened(role, max_size=None), [header(BINARY, length, to=role)])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert outcome.state is State.OPEN and outcome.sent == []
        assert most < 64 << 10


SUMS = [1, 2, 99, 100, 125, 126, 127, 999, 1000, 1001, 4095, 4096, 4097, 8191, 8192]
SUMS += [65535, 65536, 65537, (1 << 20) - 1, 1 << 20]
NEXT = [0, 1, 2, 125, 126, 65535, 65536, (1 << 20) - 1, 1 << 20, (1 << 31) - 1, 1 << 31]
NEXT += [1 << 32, (1 << 32) + 5, (1 << 62) - 1, 1 << 62, (1 << 63) - 100, (1 << 63) - 1]
NEXT += [1 << 63, (1 << 64) - 100, (1 << 64) - 1]


@both_roles
@pytest.mark.parametrize("first", SUMS)
@pytest.mark.threat("LEN-4", "LEN-5", "LEN-2")
def test_sums_of_lengths(role: Role, first: int) -> None:
    start = frame(BINARY, bytes(first), to=role, fin=False)
    for length in NEXT:
        second = header(CONT, length, to=role)
        outcome = feed(opened(role), [start + second])
        if length >= 1 << 63:
            assert_fails(outcome, 1002)
        elif first + length > 1 << 20:
            assert_fails(outcome, 1009)
        elif length == 0:
            assert outcome.events == [BinaryMessage(bytes(first))]
        else:
            assert outcome.events == [] and outcome.state is State.OPEN


@pytest.mark.parametrize("bad", [-1, -(1 << 63), 1 << 62, 1 << 63, 1 << 64])
@both_roles
@pytest.mark.threat("LEN-6")
def test_limits_that_are_none(role: Role, bad: int) -> None:
    with pytest.raises(ValueError):
        opened(role, max_size=bad)


@pytest.mark.parametrize("bad", ["1", 1.0, b"1"])
@both_roles
@pytest.mark.threat("LEN-6")
def test_limits_that_are_no_numbers(role: Role, bad: Any) -> None:
    with pytest.raises(TypeError):
        opened(role, max_size=bad)


@both_roles
@pytest.mark.threat("LEN-6")
def test_limit_of_nothing(role: Role) -> None:
    assert opened(role, max_size=0).max_size == 0
    assert opened(role, max_size=None).max_size is None
    assert opened(role).max_size == 1 << 20
    empty = frame(BINARY, to=role)
    outcome = feed(opened(role, max_size=0), [empty + header(BINARY, 1, to=role)])
    assert_fails(outcome, 1009, [BinaryMessage(b"")])


@both_roles
@both_limits
@pytest.mark.threat("LEN-7", "LEN-6")
def test_16_bit_form(role: Role, max_size: int | None) -> None:
    values = [*range(300), *range(300, 1 << 16, 97), 65534, 65535]
    for value in values:
        head = bytes([0x80 | BINARY]) + length_bytes(value, role == "server", 2)
        outcome = feed(opened(role, max_size=max_size), [head])
        if value < 126:
            assert_fails(outcome, 1002)
        else:
            assert outcome.state is State.OPEN, value


@both_roles
@both_limits
@pytest.mark.threat("LEN-7", "LEN-6")
def test_64_bit_form(role: Role, max_size: int | None) -> None:
    for value in [0, 1, 125, 126, 127, 255, 256, 65534, 65535, 65536, 65537, 1 << 20]:
        head = bytes([0x80 | BINARY]) + length_bytes(value, role == "server", 8)
        outcome = feed(opened(role, max_size=max_size), [head])
        if value < 65536:
            assert_fails(outcome, 1002)
        else:
            assert outcome.state is State.OPEN, value


# ---- the first two bytes -------------------------------------------------------------


def verdict(first: int, second: int, role: Role, deflate: bool, inside: bool) -> bool:
    """RFC 6455 §5.1, §5.2, §5.4, §5.5 and RFC 7692 §6, in one expression each."""
    fin, rsv, opcode = first >> 7, first >> 4 & 7, first & 15
    masked, length = second >> 7, second & 127
    is_control = opcode >= 8
    return (
        opcode in (CONT, TEXT, BINARY, CLOSE, PING, PONG)
        and bool(masked) == (role == "server")
        and rsv in ((0, 4) if deflate and opcode in (TEXT, BINARY) else (0,))
        and (not is_control or (bool(fin) and length <= 125))
        and (is_control or (opcode == CONT) == inside)
    )


@both_roles
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("inside", [False, True], ids=["idle", "in a message"])
@pytest.mark.parametrize("closing", [False, True], ids=["open", "closing"])
@pytest.mark.threat("LEN-8", "CTL-4", "INF-8", "FRG-5")
def test_all_first_bytes(
    role: Role, deflate: bool, inside: bool, closing: bool
) -> None:
    compression = DEFLATE if deflate else None
    start = frame(TEXT, b"x", to=role, fin=False) if inside else b""
    lengths = [0, 1, 2, 125, 126, 127]
    for first, length, bit in itertools.product(range(256), lengths, [0, 128]):
        protocol = opened(role, compression=compression)
        protocol.receive_data(start)
        assert list(protocol.events()) == []
        if closing:
            protocol.send_close(1000)
            protocol.data_to_send()
        protocol.receive_data(bytes([first, bit | length]))
        events = list(protocol.events())
        context = f"{first:02x} {bit | length:02x}"
        if verdict(first, bit | length, role, deflate, inside):
            assert protocol.error is None, context
            assert len(events) <= 1, context
        else:
            assert isinstance(protocol.error, pywscore.ProtocolError), context
            assert events == [] and protocol.close_expected
            sent = protocol.data_to_send()
            assert (sent[:1] == b"\x88") == (not closing), context


@both_roles
@pytest.mark.parametrize("head", ["89fe", "89ff", "88ff", "8afe", "897e", "887f"])
@pytest.mark.threat("LEN-8")
def test_long_control_frames_end_on_two_bytes(role: Role, head: str) -> None:
    assert_fails(outcome_of(lambda: opened(role), bytes.fromhex(head)), 1002)


@pytest.mark.parametrize("payload", [b"", b"secret", b"x" * 70000])
@pytest.mark.threat("CTL-4")
def test_masking_of_the_wrong_end(payload: bytes) -> None:
    """RFC 6455 §5.1; nothing of the payload comes out."""
    for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
        body = payload if opcode < 8 else payload[:125]
        wrong = frame(opcode, body, to="client")
        assert_fails(outcome_of(lambda: opened("server"), wrong, 1), 1002)
        wrong = frame(opcode, body, to="server")
        assert_fails(outcome_of(lambda: opened("client"), wrong, 1), 1002)


@both_roles
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_reserved_opcodes(role: Role, opcode: int) -> None:
    """RFC 6455 §5.2."""
    assert_fails(outcome_of(lambda: opened(role), frame(opcode, b"x", to=role)), 1002)


@both_roles
@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [CONT, TEXT, BINARY, CLOSE, PING, PONG])
@pytest.mark.threat("INF-8")
def test_reserved_bits(role: Role, rsv: int, opcode: int) -> None:
    start = frame(TEXT, b"", to=role, fin=False) if opcode == CONT else b""
    wrong = frame(opcode, b"", to=role, rsv=rsv)
    assert_fails(outcome_of(lambda: opened(role), start + wrong), 1002)
    if rsv != 4 or opcode not in (TEXT, BINARY):
        outcome = outcome_of(lambda: opened(role, compression=DEFLATE), start + wrong)
        assert_fails(outcome, 1002)


@both_roles
def test_what_a_failed_connection_does(role: Role) -> None:
    """RFC 6455 §7.1.7: nothing after the error is answered, read or stored."""
    protocol = opened(role)
    good = frame(TEXT, b"before", to=role)
    outcome = feed(protocol, [good + b"\xff\xff", frame(PING, b"after", to=role)])
    assert_fails(outcome, 1002, [TextMessage("before")])
    assert protocol.close_code is None and protocol.close_received is None
    assert protocol.close_sent is not None and protocol.close_sent.code == 1002
    error = protocol.close_exception
    assert type(error) is pywscore.ConnectionClosedError
    assert isinstance(error.__cause__, pywscore.ProtocolError)
    with pytest.raises(pywscore.InvalidState):
        protocol.send_text("too late")
    protocol.send_close(1000)  # nothing happens
    protocol.receive_data(b"x" * 1000)
    assert protocol.next_event() is None and protocol.data_to_send() == b""
    protocol.receive_eof()
    assert protocol.state is State.CLOSED and protocol.close_code == 1006
    assert isinstance(protocol.error, pywscore.ProtocolError)


# ---- fragments -----------------------------------------------------------------------


@both_roles
@pytest.mark.threat("FRG-2")
def test_empty_fragments_in_a_row(role: Role) -> None:
    start = frame(BINARY, b"", to=role, fin=False)
    empty = frame(CONT, b"", to=role, fin=False)
    last = frame(CONT, b"end", to=role)
    outcome = feed(opened(role), [start + 1024 * empty + last])
    assert outcome.events == [BinaryMessage(b"end")]
    outcome = outcome_of(lambda: opened(role), start + 1024 * empty + empty, 2)
    assert_fails(outcome, 1008)
    one = frame(CONT, b"1", to=role, fin=False)
    outcome = feed(opened(role), [start + 3000 * (one + empty) + last])
    assert outcome.events == [BinaryMessage(3000 * b"1" + b"end")]
    # The count is of one message: the next one starts anew.
    outcome = feed(opened(role), [2 * (start + 1024 * empty + last)])
    assert outcome.events == 2 * [BinaryMessage(b"end")]


@both_roles
@pytest.mark.threat("FRG-5")
def test_control_frames_between_fragments(role: Role) -> None:
    data = (
        frame(TEXT, b"a", to=role, fin=False)
        + frame(PING, b"1", to=role)
        + frame(CONT, b"", to=role, fin=False)
        + frame(PONG, b"2", to=role)
        + frame(CONT, b"b", to=role)
        + frame(BINARY, b"", to=role, fin=False)
        + frame(CONT, b"", to=role)
    )
    outcome = outcome_of(lambda: opened(role), data)
    assert outcome.events == [
        Ping(b"1"),
        Pong(b"2"),
        TextMessage("ab"),
        BinaryMessage(b""),
    ]
    assert outcome.sent == [Frame(PONG, b"1")]


@both_roles
@pytest.mark.parametrize(
    ("opcodes", "fins"),
    [
        ([CONT], [True]),
        ([CONT], [False]),
        ([TEXT, TEXT], [False, True]),
        ([TEXT, BINARY], [False, False]),
        ([TEXT, CONT, CONT], [False, True, True]),
        ([BINARY, CONT, TEXT], [False, False, True]),
    ],
)
@pytest.mark.threat("FRG-5")
def test_fragments_out_of_order(
    role: Role, opcodes: list[int], fins: list[bool]
) -> None:
    frames = [
        frame(opcode, b"x", to=role, fin=fin)
        for opcode, fin in zip(opcodes, fins, strict=True)
    ]
    outcome = outcome_of(lambda: opened(role), b"".join(frames))
    complete = [TextMessage("xx")] if opcodes[:2] == [TEXT, CONT] else []
    assert_fails(outcome, 1002, complete)


@both_roles
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_fragmented_control_frames(role: Role, opcode: int) -> None:
    """RFC 6455 §5.5."""
    wrong = frame(opcode, b"", to=role, fin=False)
    assert_fails(outcome_of(lambda: opened(role), wrong), 1002)


# ---- text ----------------------------------------------------------------------------

# Each kind of bad UTF-8 (RFC 3629 §3, §10), and how many of its bytes may be right.
BAD = [
    ("lone continuation", b"\x80", 0),
    ("lone continuation, last", b"\xbf", 0),
    ("overlong 2", b"\xc0\x80", 0),
    ("overlong 2, last", b"\xc1\xbf", 0),
    ("overlong 3", b"\xe0\x80\x80", 1),
    ("overlong 3, last", b"\xe0\x9f\xbf", 1),
    ("overlong 4", b"\xf0\x80\x80\x80", 1),
    ("overlong 4, last", b"\xf0\x8f\xbf\xbf", 1),
    ("surrogate, first", b"\xed\xa0\x80", 1),
    ("surrogate, last", b"\xed\xbf\xbf", 1),
    ("above U+10FFFF", b"\xf4\x90\x80\x80", 1),
    ("five bytes", b"\xf8\x88\x80\x80\x80", 0),
    ("six bytes", b"\xfc\x84\x80\x80\x80\x80", 0),
    ("never used", b"\xfe", 0),
    ("never used, last", b"\xff", 0),
    ("cut after 1 of 2", b"\xc3\x41", 1),
    ("cut after 1 of 3", b"\xe2\x41", 1),
    ("cut after 2 of 3", b"\xe2\x82\x41", 2),
    ("cut after 3 of 4", b"\xf0\x9f\x98\x41", 3),
    ("lead after lead", b"\xc3\xc3\xa9", 1),
]


@both_roles
@pytest.mark.parametrize(("name", "bad", "good"), BAD, ids=[row[0] for row in BAD])
@pytest.mark.threat("FRG-6")
def test_bad_text_fails_at_the_first_byte_that_is_wrong(
    role: Role, name: str, bad: bytes, good: int
) -> None:
    for offset in (0, 1, 7, 15, 16, 31, 32, 63, 64, 127, 300):
        for filler in (b"a", "é".encode()):
            text = (filler * offset)[:offset] if filler == b"a" else filler * offset
            body = text + bad + b"...and more that never comes"
            wrong = frame(TEXT, body, to=role, fin=False)
            tail = len(body) - len(text) - good - 1
            protocol = opened(role)
            protocol.receive_data(wrong[: -tail - 1])
            assert protocol.next_event() is None
            assert protocol.error is None
            protocol.receive_data(wrong[-tail - 1 : -tail])
            assert protocol.next_event() is None
            assert isinstance(protocol.error, UnicodeDecodeError)
            assert protocol.close_sent == Close(1007, "invalid UTF-8 in a text message")
            assert protocol.close_expected


@both_roles
@pytest.mark.parametrize(("name", "bad", "good"), BAD, ids=[row[0] for row in BAD])
@pytest.mark.threat("FRG-6")
def test_bad_text_over_frames(role: Role, name: str, bad: bytes, good: int) -> None:
    for cut in range(len(bad) + 1):
        data = frame(TEXT, b"ok" + bad[:cut], to=role, fin=False)
        data += frame(CONT, bad[cut:], to=role)
        assert_fails(outcome_of(lambda: opened(role), data, 1), 1007)
        end = frame(TEXT, b"ok" + bad[:good], to=role)
        if good:  # the text ends inside a code point
            assert_fails(outcome_of(lambda: opened(role), end, 1), 1007)
            data = frame(TEXT, bad[:good], to=role, fin=False)
            data += frame(PING, b"p", to=role) + frame(CONT, b"", to=role)
            assert_fails(outcome_of(lambda: opened(role), data, 1), 1007, [Ping(b"p")])


@both_roles
@pytest.mark.threat("FRG-6")
def test_good_text(role: Role) -> None:
    edges = [0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD, 0xFFFF]
    edges += [0x10000, 0x10FFFF]
    text = "".join(map(chr, edges))
    raw = text.encode()
    assert outcome_of(lambda: opened(role), frame(TEXT, raw, to=role)).events == [
        TextMessage(text)
    ]
    for _, pieces in splits(raw):
        data = frame(TEXT, b"", to=role, fin=False)
        data += b"".join(frame(CONT, piece, to=role, fin=False) for piece in pieces)
        data += frame(CONT, b"", to=role)
        assert feed(opened(role), [data]).events == [TextMessage(text)]


@both_roles
@pytest.mark.parametrize(
    "text", ["", "a", "é", "€", "😀", "ascii" * 100, "a" * 4096 + "€", "日本" * 5000]
)
def test_text_of_all_widths(role: Role, text: str) -> None:
    (event,) = feed(opened(role), [frame(TEXT, text.encode(), to=role)]).events
    assert event.data == text and type(event.data) is str
    assert event.data.isascii() == text.isascii()
    assert hash(event.data) == hash(text)
    assert (event.data + "!").encode() == (text + "!").encode()


# ---- pings and closes ----------------------------------------------------------------


@both_roles
@pytest.mark.threat("CTL-2")
def test_pings_of_all_sizes(role: Role) -> None:
    for size in range(126):
        payload = bytes(range(size))
        data = frame(PING, payload, to=role, key=b"\x80\xff\x01\x7f")
        outcome = outcome_of(lambda: opened(role), data, 1)
        assert outcome.events == [Ping(payload)]
        assert outcome.sent == [Frame(PONG, payload)]
        for cut in range(1, len(data)) if size % 25 == 0 else ():
            outcome = feed(opened(role), [data[:cut], data[cut:]])
            assert outcome.sent == [Frame(PONG, payload)]


@both_roles
@pytest.mark.threat("CTL-5")
def test_only_the_newest_ping_is_answered_when_output_waits(role: Role) -> None:
    """RFC 6455 §5.5.3; and the one answer comes without asking twice."""
    protocol = opened(role)
    for number in range(10_000):
        protocol.receive_data(frame(PING, b"%d" % number, to=role))
        assert protocol.next_event() == Ping(b"%d" % number)
    outcome = feed(protocol, [])
    pongs = [sent.payload for sent in outcome.sent]
    assert pongs[-1] == b"9999"
    assert pongs[:-1] == [b"%d" % number for number in range(len(pongs) - 1)]
    assert sum(map(len, pongs)) < 8192
    assert protocol.data_to_send() == b""
    protocol.receive_data(frame(PING, b"again", to=role))
    assert feed(protocol, []).sent == [Frame(PONG, b"again")]


@both_roles
@pytest.mark.parametrize("method", ["data_to_send", "buffers_to_send"])
@pytest.mark.threat("CTL-5")
def test_a_ping_behind_much_output_is_answered_at_once(role: Role, method: str) -> None:
    protocol = opened(role)
    message = bytes(100_000)
    protocol.send_binary(message)
    protocol.receive_data(frame(PING, b"one", to=role) + frame(PING, b"two", to=role))
    assert list(protocol.events()) == [Ping(b"one"), Ping(b"two")]
    sent = getattr(protocol, method)()
    sent = sent if isinstance(sent, bytes) else b"".join(sent)
    assert parse(sent, role) == [Frame(BINARY, message), Frame(PONG, b"two")]
    assert getattr(protocol, method)() in (b"", [])


ON_THE_WIRE = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


@both_roles
@pytest.mark.threat("CTL-6")
def test_all_close_codes(role: Role) -> None:
    """RFC 6455 §7.4.1, §7.4.2."""
    codes = (
        range(65536) if role == "server" else [*range(5100), *range(5100, 65536, 61)]
    )
    for code in codes:
        protocol = opened(role)
        protocol.receive_data(frame(CLOSE, close_body(code), to=role))
        event = protocol.next_event()
        sent = protocol.close_sent
        assert sent is not None and protocol.close_expected
        if code in ON_THE_WIRE:
            assert event == Close(code) and sent.code == code
        else:
            assert event is None and sent.code == 1002, code


@both_roles
@pytest.mark.parametrize(
    ("body", "code", "event"),
    [
        (b"", 1005, Close(1005)),
        (b"\x03", 1002, None),
        (b"\x00", 1002, None),
        (close_body(1000, "bye"), 1000, Close(1000, "bye")),
        (close_body(1000, "é" * 61 + "x"), 1000, Close(1000, "é" * 61 + "x")),
        (close_body(4999, "x" * 123), 4999, Close(4999, "x" * 123)),
        (close_body(1000) + b"\xc3", 1007, None),
        (close_body(1000) + b"ab\xed\xa0\x80", 1007, None),
        (close_body(1000) + b"\xff" * 123, 1007, None),
        (close_body(1000) + b"a\0b", 1000, Close(1000, "a\0b")),
        (close_body(1005), 1002, None),
        (close_body(1006), 1002, None),
        (close_body(1015), 1002, None),
    ],
)
@pytest.mark.threat("CTL-6")
def test_close_bodies(role: Role, body: bytes, code: int, event: Close | None) -> None:
    outcome = outcome_of(lambda: opened(role), frame(CLOSE, body, to=role))
    if event is None:
        assert_fails(outcome, code)
    else:
        assert outcome.events == [event] and outcome.error is None
        assert outcome.sent == [Frame(CLOSE, body)]  # RFC 6455 §5.5.1: an echo
        assert outcome.close_code == code and outcome.end


@both_roles
@pytest.mark.threat("CTL-6")
def test_close_body_of_126_bytes(role: Role) -> None:
    body = close_body(1000, "x" * 124)
    wrong = frame(CLOSE, body, to=role)
    assert_fails(outcome_of(lambda: opened(role), wrong), 1002)


@both_roles
@pytest.mark.threat("CTL-7")
def test_everything_after_a_close_is_discarded(role: Role) -> None:
    after = (
        frame(CLOSE, close_body(1001), to=role)
        + frame(PING, b"x", to=role)
        + frame(TEXT, b"\xff", to=role)
        + frame(PONG, b"", to=role)
        + b"\xff\xff\xff GARBAGE"
    )
    data = frame(CLOSE, close_body(3000, "once"), to=role) + after
    outcome = outcome_of(lambda: opened(role), data)
    assert outcome.events == [Close(3000, "once")]
    assert outcome.sent == [Frame(CLOSE, close_body(3000, "once"))]
    assert outcome.error is None and outcome.end
    closes = frame(CLOSE, close_body(1000), to=role) * 20_000
    outcome = feed(opened(role), [closes, closes])
    assert len(outcome.events) == len(outcome.sent) == 1


@both_roles
@pytest.mark.threat("CTL-7")
def test_close_from_both_sides_at_once(role: Role) -> None:
    protocol = opened(role)
    protocol.send_close(1001, "going")
    assert protocol.state is State.CLOSING and not protocol.close_expected
    # RFC 6455 §5.5.1: the peer may still be in the middle of sending.
    data = frame(TEXT, b"late", to=role) + frame(PING, b"late", to=role)
    data += frame(CLOSE, close_body(1000), to=role) + frame(TEXT, b"never", to=role)
    outcome = feed(protocol, [data])
    assert outcome.events == [TextMessage("late"), Ping(b"late"), Close(1000)]
    assert outcome.sent == [Frame(CLOSE, close_body(1001, "going"))]
    assert protocol.close_received_then_sent is False
    assert protocol.close_expected
    protocol.receive_eof()
    assert protocol.state is State.CLOSED
    assert type(protocol.close_exception) is pywscore.ConnectionClosedOK


@both_roles
def test_end_of_tcp(role: Role) -> None:
    """RFC 6455 §7.1.5: 1006 when no close frame came; half a frame is dropped."""
    for start in (b"", frame(TEXT, b"abc", to=role, fin=False), b"\x81"):
        protocol = opened(role)
        protocol.receive_data(start)
        assert list(protocol.events()) == []
        protocol.receive_eof()
        protocol.receive_eof()
        assert protocol.next_event() is None
        assert protocol.state is State.CLOSED and protocol.close_expected
        assert (protocol.close_code, protocol.close_reason) == (1006, "")
        assert type(protocol.close_exception) is pywscore.ConnectionClosedError
        assert protocol.close_exception.rcvd is None
        assert protocol.data_to_send() == b""
        with pytest.raises(pywscore.InvalidState):
            protocol.send_ping()
        protocol.receive_data(frame(TEXT, b"x", to=role))
        assert protocol.next_event() is None


@both_roles
def test_events_before_the_end_of_tcp(role: Role) -> None:
    """What came before the end is still given out."""
    protocol = opened(role)
    protocol.receive_data(frame(TEXT, b"1", to=role) + frame(TEXT, b"2", to=role))
    protocol.receive_data(frame(TEXT, b"3", to=role))
    protocol.receive_eof()
    assert [event.data for event in protocol.events()] == ["1", "2", "3"]
    assert protocol.next_event() is None
    assert protocol.state is State.CLOSED
