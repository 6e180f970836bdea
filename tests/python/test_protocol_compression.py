"""permessage-deflate on a connection (RFC 7692): hostile input, limits, parameters."""

from __future__ import annotations

import random
import time
import zlib
from typing import Any

import pytest
from wire import (
    BINARY,
    CONT,
    DEFLATE,
    PING,
    ROLES,
    SEED,
    TEXT,
    Frame,
    Role,
    assert_fails,
    assert_linear,
    client,
    feed,
    frame,
    key_of,
    opened,
    outcome_of,
    pair,
    parse,
    response,
)

import pywscore
from pywscore import BinaryMessage, PerMessageDeflate, Ping, State, TextMessage

both_roles = pytest.mark.parametrize("role", ROLES)
TAIL = b"\x00\x00\xff\xff"


def deflated(
    data: bytes,
    bits: int = 15,
    level: int = 9,
    mem_level: int = 9,
    strategy: int = zlib.Z_DEFAULT_STRATEGY,
    dictionary: bytes = b"",
) -> bytes:
    """The payload of a message, by the plain zlib."""
    extra = (dictionary,) if dictionary else ()
    state = zlib.compressobj(level, zlib.DEFLATED, -bits, mem_level, strategy, *extra)
    payload = state.compress(data) + state.flush(zlib.Z_SYNC_FLUSH)
    return payload.removesuffix(TAIL)


def deflate_end(role: Role, **options: Any) -> Any:
    return opened(role, compression=DEFLATE, **options)


# ---- limits --------------------------------------------------------------------------


@both_roles
@pytest.mark.threat("INF-2")
def test_limit_counts_inflated_bytes(role: Role) -> None:
    payload = deflated(bytes(4096))
    assert len(payload) < 30
    whole = frame(BINARY, payload, to=role, rsv=4)
    parts = frame(BINARY, payload[:5], to=role, rsv=4, fin=False)
    parts += frame(CONT, payload[5:], to=role)
    for limit in [*range(1, 4096, 37), 127, 128, 4094, 4095]:
        for data in (whole, parts):
            assert_fails(feed(deflate_end(role, max_size=limit), [data]), 1009)
    for data in (whole, parts):
        outcome = outcome_of(lambda: deflate_end(role, max_size=4096), data)
        assert outcome.events == [BinaryMessage(bytes(4096), compressed=True)]


STRATEGIES = [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY]
STRATEGIES += [zlib.Z_RLE, zlib.Z_FIXED]


@both_roles
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.threat("INF-3", "INF-4")
def test_exactly_the_limit(role: Role, strategy: int) -> None:
    rng = random.Random(SEED)
    print(f"PYWSCORE_SEED={SEED}")
    limit = 40_000
    for mem_level in range(1, 10):
        for data in (bytes(limit), rng.randbytes(limit)):
            for extra in (0, 1):
                payload = deflated(data + bytes(extra), 15, 6, mem_level, strategy)
                wire = frame(BINARY, payload, to=role, rsv=4)
                outcome = feed(deflate_end(role, max_size=limit), [wire])
                if extra:
                    assert_fails(outcome, 1009)
                else:
                    assert outcome.events == [BinaryMessage(data, compressed=True)]


@both_roles
@pytest.mark.threat("INF-3", "INF-14")
def test_wire_bytes_of_a_compressed_message(role: Role) -> None:
    """What brings no output is bounded too."""
    limit = 8000
    most = limit + limit // 8 + 1024
    empty = b"\x00" + TAIL  # an empty stored block
    for size, ok in ((most, True), (most + 1, False)):
        blocks = empty * (size // 5)
        rest = size - len(blocks)
        data = frame(BINARY, blocks, to=role, rsv=4, fin=False)
        data += frame(CONT, bytes(rest), to=role, fin=False)
        outcome = feed(deflate_end(role, max_size=limit), [data])
        if ok:
            assert outcome.state is State.OPEN and outcome.events == []
        else:
            assert_fails(outcome, 1009)


def cpu_seconds(make: Any, data: bytes) -> float:
    best = 1e9
    for _ in range(5):
        protocol = make()
        start = time.process_time()
        protocol.receive_data(data)
        list(protocol.events())
        best = min(best, time.process_time() - start)
        assert protocol.state is State.OPEN
    return best


@both_roles
@pytest.mark.slow
@pytest.mark.threat("INF-14")
def test_work_without_output_is_linear(role: Role) -> None:
    empty = b"\x00" + TAIL

    def one_message(size: int) -> float:
        data = frame(BINARY, empty * size + b"\x00", to=role, rsv=4)
        return cpu_seconds(lambda: deflate_end(role), data)

    def many_messages(count: int) -> float:
        data = frame(BINARY, empty + b"\x00", to=role, rsv=4) * count
        return cpu_seconds(lambda: deflate_end(role), data)

    two = assert_linear(one_message, 90_000)
    assert two / 900_000 < 10e-9  # 5 ns a byte on an ordinary machine
    assert_linear(many_messages, 20_000)


@both_roles
@pytest.mark.threat("INF-5")
def test_no_ratio_is_too_good(role: Role) -> None:
    """Long matches in the previous message are what takeover is for."""
    state = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    block = random.Random(SEED).randbytes(30_000)
    data = b""
    for _ in range(20):
        payload = state.compress(block) + state.flush(zlib.Z_SYNC_FLUSH)
        data += frame(BINARY, payload.removesuffix(TAIL), to=role, rsv=4)
    assert len(data) < 40_000
    outcome = outcome_of(lambda: deflate_end(role), data, 2)
    assert [event.data for event in outcome.events] == 20 * [block]


# ---- hostile and unusual streams -----------------------------------------------------


@both_roles
@pytest.mark.threat("INF-10")
def test_empty_frames(role: Role) -> None:
    hello = bytes.fromhex("f248cdc9c90700")

    def first(payload: bytes, fin: bool = False) -> bytes:
        return frame(TEXT, payload, to=role, rsv=4, fin=fin)

    def more(payload: bytes, fin: bool = False) -> bytes:
        return frame(CONT, payload, to=role, fin=fin)

    table = [
        (first(b"", True), ""),
        (first(b"\x00", True), ""),
        (first(b"") + more(b"", True), ""),
        (first(b"") + more(hello, True), "Hello"),
        (first(hello) + more(b"", True), "Hello"),
        (
            first(b"")
            + more(b"")
            + more(hello[:3])
            + more(b"")
            + more(hello[3:], True),
            "Hello",
        ),
    ]
    for data, text in table:
        outcome = outcome_of(lambda: deflate_end(role), 2 * data, 2)
        # The second time the same bytes are read with a window before them.
        assert outcome.events == 2 * [TextMessage(text, compressed=True)]


@both_roles
@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.threat("INF-10")
def test_message_that_ends_inside_a_block(role: Role, size: int) -> None:
    """RFC 7692 §7.2.1 ends a message at a block's boundary."""
    hello = bytes.fromhex("f248cdc9c90700")
    wrong = frame(TEXT, hello[:size], to=role, rsv=4)
    assert_fails(outcome_of(lambda: deflate_end(role), wrong), 1002)


@both_roles
@pytest.mark.threat("INF-13")
def test_final_blocks(role: Role) -> None:
    """RFC 7692 §7.2.3.4: BFINAL in the middle and at the end, with takeover."""
    rng = random.Random(SEED)
    words = [rng.randbytes(9) for _ in range(40)]
    history = b""
    wire, expected = b"", []
    for number in range(12):
        text = b"".join(rng.choices(words, k=300))
        half = len(text) // 2
        payload = b""
        for place, part in enumerate((text[:half], text[half:])):
            extra = (history[-32768:],) if history else ()
            state = zlib.compressobj(9, zlib.DEFLATED, -15, 9, 0, *extra)
            final = (number >> place) % 2
            payload += state.compress(part)
            payload += state.flush(zlib.Z_FINISH if final else zlib.Z_SYNC_FLUSH)
            history += part
        payload = payload + b"\x00" if final else payload.removesuffix(TAIL)
        cut = rng.randrange(len(payload))
        wire += frame(BINARY, payload[:cut], to=role, rsv=4, fin=False)
        wire += frame(PING, b"", to=role) + frame(CONT, payload[cut:], to=role)
        expected += [Ping(b""), BinaryMessage(text, compressed=True)]
    assert outcome_of(lambda: deflate_end(role), wire, 6).events == expected


@both_roles
@pytest.mark.threat("INF-16")
def test_corrupt_data(role: Role) -> None:
    table = [
        b"\x06",  # block type 3
        b"\xff" * 10,
        b"\x00\x05\x00\xfa\xfeHello\x00",  # a stored block whose lengths don't match
        b"\xf2\x00\x11\x00\x00",  # a distance before the first byte
        b"\x04\x00\xfe\xff",  # dynamic codes that are none
        b"\x00\x05\x00\xfa\xffHel",  # a stored block that is cut
    ]
    for payload in table:
        wrong = frame(BINARY, payload, to=role, rsv=4)
        after = frame(PING, b"", to=role)
        assert_fails(outcome_of(lambda: deflate_end(role), wrong + after), 1002)


@pytest.mark.threat("INF-16")
def test_random_data_against_zlib() -> None:
    print(f"PYWSCORE_SEED={SEED}")
    rng = random.Random(SEED)
    counts = {True: 0, False: 0}
    for _ in range(3000):
        payload = bytearray(deflated(rng.randbytes(6) * rng.randrange(1, 30)))
        for _ in range(rng.choice([0, 1, 2, 50])):
            payload[rng.randrange(len(payload))] = rng.randrange(256)
        plain = zlib.decompressobj(-15)
        try:
            data = plain.decompress(bytes(payload) + TAIL)
            ended = plain.eof
        except zlib.error:
            data, ended = None, False
        if ended:
            continue  # what follows a final block is a matter of its own
        wire = frame(BINARY, bytes(payload), to="server", rsv=4)
        outcome = feed(deflate_end("server"), [wire])
        counts[data is None] += 1
        if data is None:
            assert_fails(outcome, 1002)
        elif outcome.error is None:
            assert outcome.events == [BinaryMessage(data, compressed=True)]
        else:
            # zlib doesn't say that it stopped inside a block.
            assert_fails(outcome, 1002)
    assert min(counts.values()) > 100


@both_roles
def test_text_is_checked_after_inflating(role: Role) -> None:
    """RFC 6455 §8.1 holds for what the message is, RFC 7692 §6.2."""
    for text in (b"ok\xff", b"x" * 5000 + b"\xed\xa0\x80", "é".encode()[:1]):
        wrong = frame(TEXT, deflated(text), to=role, rsv=4)
        assert_fails(outcome_of(lambda: deflate_end(role), wrong, 2), 1007)
    early = frame(TEXT, deflated(b"\xff" + bytes(100)), to=role, rsv=4, fin=False)
    assert_fails(feed(deflate_end(role), [early]), 1007)


# ---- parameters ----------------------------------------------------------------------


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("bits", range(8, 16))
@pytest.mark.threat("INF-7")
def test_window_bits_both_ways(bits: int, takeover: bool) -> None:
    """A thousand messages each way, with every window."""
    limited = PerMessageDeflate(
        server_max_window_bits=max(bits, 9),
        client_max_window_bits=bits,
        server_no_context_takeover=not takeover,
        client_no_context_takeover=not takeover,
        threshold=0,
    )
    ends = pair(server=limited, client=PerMessageDeflate(threshold=0))
    agreed = ends["server"].compression
    assert agreed is not None
    assert agreed.client_max_window_bits == bits
    assert agreed.server_max_window_bits == max(bits, 9)
    assert ends["client"].compression == agreed
    rng = random.Random(SEED)
    words = [rng.randbytes(20) for _ in range(100)]
    plain = {
        "server": zlib.decompressobj(-max(bits, 9)),
        "client": zlib.decompressobj(-max(bits, 9)),
    }
    for sender, receiver in (("server", "client"), ("client", "server")):
        one, other = ends[sender], ends[receiver]  # type: ignore[index]
        messages = [b"".join(rng.choices(words, k=rng.randrange(60)))]
        messages += [b"".join(rng.choices(words, k=5)) for _ in range(999)]
        for message in messages:
            one.send_binary(message)
        data = one.data_to_send()
        compressed = not (bits == 8 and sender == "client")
        other.receive_data(data)
        events = list(other.events())
        assert [event.data for event in events] == messages
        assert {event.compressed for event in events} == {compressed}
        for sent, message in zip(
            parse(data, sender),  # type: ignore[arg-type]
            messages,
            strict=True,
        ):
            if not compressed:
                assert sent.payload == message  # never raw deflate with 8 bits
                continue
            # Nothing is farther away than the window that was agreed on.
            if not takeover:
                plain[sender] = zlib.decompressobj(-max(bits, 9))
            assert plain[sender].decompress(sent.payload + TAIL) == message


@pytest.mark.threat("INF-7", "INF-6")
def test_server_window_of_8_is_declined() -> None:
    protocol = opened(
        "server",
        compression=DEFLATE,
        extension="permessage-deflate; server_max_window_bits=8",
    )
    assert protocol.compression is None
    wrong = frame(TEXT, b"\x00", to="server", rsv=4)
    assert_fails(feed(protocol, [wrong]), 1002)
    protocol = opened(
        "server",
        compression=DEFLATE,
        extension="permessage-deflate; server_max_window_bits=8, permessage-deflate",
    )
    assert protocol.compression is not None


@pytest.mark.threat("INF-7")
def test_server_that_compresses_with_8_bits() -> None:
    """A client may ask for it, and reads it."""
    settings = PerMessageDeflate(server_max_window_bits=8, threshold=0)
    protocol = client(compression=settings)
    assert (
        "server_max_window_bits=8"
        in protocol.request.headers["Sec-WebSocket-Extensions"]
    )
    line = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8"
    protocol.receive_data(response(line, key=key_of(protocol)))
    assert isinstance(protocol.next_event(), pywscore.Response)
    message = bytes(range(200)) + bytes(range(50))
    wire = frame(BINARY, deflated(message, 9), to="client", rsv=4)
    assert [event.data for event in feed(protocol, [wire]).events] == [message]


@both_roles
def test_no_context_takeover_of_the_peer(role: Role) -> None:
    """RFC 7692 §7.1.1: each message has a window of its own."""
    no_takeover = PerMessageDeflate(
        server_no_context_takeover=True, client_no_context_takeover=True, threshold=0
    )
    both = "server_no_context_takeover; client_no_context_takeover"
    make = lambda: opened(  # noqa: E731
        role, compression=no_takeover, extension=f"permessage-deflate; {both}"
    )
    hello = frame(TEXT, bytes.fromhex("f248cdc9c90700"), to=role, rsv=4)
    outcome = outcome_of(make, 3 * hello)
    assert outcome.events == 3 * [TextMessage("Hello", compressed=True)]
    # With a reference to the message before it:
    again = frame(TEXT, bytes.fromhex("f200110000"), to=role, rsv=4)
    outcome = feed(make(), [hello + again])
    assert_fails(outcome, 1002, [TextMessage("Hello", compressed=True)])
    protocol = make()
    for _ in range(3):
        protocol.send_text("Hello")
    assert {f.payload.hex() for f in parse(protocol.data_to_send(), role)} == {
        "f248cdc9c90700"
    }


@both_roles
def test_uncompressed_messages_remain_possible(role: Role) -> None:
    """RFC 7692 §6: compression is a matter of each message."""
    protocol = deflate_end(role)
    data = frame(TEXT, b"plain", to=role)
    data += frame(TEXT, bytes.fromhex("f248cdc9c90700"), to=role, rsv=4)
    outcome = feed(protocol, [data])
    assert outcome.events == [
        TextMessage("plain"),
        TextMessage("Hello", compressed=True),
    ]


@both_roles
@pytest.mark.threat("INF-17")
def test_switch_and_threshold(role: Role) -> None:
    settings = PerMessageDeflate(threshold=100)
    protocol = opened(role, compression=settings)
    protocol.send_text("x" * 99)
    protocol.send_text("x" * 100)
    protocol.send_text("y", compress=True)
    protocol.send_text("z" * 1000, compress=False)
    protocol.send_binary(b"x", fin=False)
    protocol.send_continuation(b"x")
    protocol.send_binary(b"x", fin=False, compress=False)
    protocol.send_continuation(b"x")
    protocol.send_ping(b"p" * 125)
    rsv = [sent.rsv for sent in parse(protocol.data_to_send(), role)]
    # RFC 7692 §6.1: RSV1 on the first fragment only, never on control frames.
    assert rsv == [0, 4, 4, 0, 4, 0, 0, 0, 0]
    plain = opened(role)
    plain.send_text("x" * 1000, compress=True)
    assert parse(plain.data_to_send(), role) == [Frame(TEXT, b"x" * 1000)]


@pytest.mark.threat("INF-17")
def test_what_is_sent_plain_does_not_enter_the_window() -> None:
    secret = random.Random(SEED).randbytes(40).hex()
    one, other = deflate_end("server"), deflate_end("server")
    for protocol in (one, other):
        protocol.send_text("public " * 20)
    one.send_text(secret, compress=False)
    assert one.data_to_send().endswith(secret.encode())
    other.data_to_send()
    for protocol in (one, other):
        protocol.send_text(secret[:20] + " guess")
    assert one.data_to_send() == other.data_to_send()


def test_settings_of_an_end() -> None:
    for wrong in (
        {"server_max_window_bits": 7},
        {"client_max_window_bits": 16},
        {"level": 10},
        {"mem_level": 0},
        {"threshold": -1},
    ):
        with pytest.raises(ValueError):
            PerMessageDeflate(**wrong)
    protocol = deflate_end("server")
    assert protocol.compression is protocol.compression
    assert isinstance(protocol.compression, PerMessageDeflate)
    assert opened("server").compression is None


@both_roles
@pytest.mark.threat("INF-9")
def test_zlib_is_recent_enough(role: Role) -> None:
    """The one in use; older ones refuse the import (tests/c checks the comparison)."""
    version = tuple(map(int, zlib.ZLIB_RUNTIME_VERSION.split(".")[:3]))
    if version >= (1, 2, 13):
        assert deflate_end(role).compression is not None
