"""permessage-deflate payloads, against zlib and the examples of RFC 7692."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest
from wire import SEED, Deflater, Inflater, run_fresh

import pywscore

TAIL = b"\x00\x00\xff\xff"  # RFC 7692 §7.2.1
WORDS = [b"alpha", b"beta", b"gamma", b"delta", b" ", b"{", b"}", b":", b"\xff\x00"]


def messages(count: int) -> list[bytes]:
    rng = random.Random(SEED)
    print(f"PYWSCORE_SEED={SEED}")
    sizes = [0, 1, 2, 30, 1000, 20_000]
    return [b"".join(rng.choices(WORDS, k=rng.choice(sizes))) for _ in range(count)] + [
        b"",
        b"\0" * 100_000,
        rng.randbytes(50_000),
    ]


@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize("no_context_takeover", [False, True])
def test_deflater_against_zlib(bits: int, no_context_takeover: bool) -> None:
    """RFC 7692 §7.2.2, by the plain zlib."""
    deflater = Deflater(window_bits=bits, no_context_takeover=no_context_takeover)
    inflate = zlib.decompressobj(-bits)
    for message in messages(20):
        payload = deflater.compress(message)
        if message:
            assert not payload.endswith(TAIL)
        if no_context_takeover:
            inflate = zlib.decompressobj(-bits)
        assert inflate.decompress(payload + TAIL) == message


@pytest.mark.parametrize("bits", range(8, 16))
@pytest.mark.parametrize("no_context_takeover", [False, True])
@pytest.mark.threat("INF-7")
def test_inflater_against_zlib(bits: int, no_context_takeover: bool) -> None:
    inflater = Inflater(window_bits=bits, no_context_takeover=no_context_takeover)
    deflate = zlib.compressobj(wbits=-max(bits, 9))
    for message in messages(20):
        if no_context_takeover or bits == 8:
            deflate = zlib.compressobj(wbits=-max(bits, 9))
        if bits == 8:
            message = message[:256]  # no distance is above the window then
        payload = deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH)
        assert inflater.decompress(payload.removesuffix(TAIL)) == message


@pytest.mark.parametrize("level", range(-1, 10))
@pytest.mark.parametrize("mem_level", [1, 5, 8, 9])
def test_levels(level: int, mem_level: int) -> None:
    deflater = Deflater(level=level, mem_level=mem_level)
    inflater = Inflater()
    for message in messages(5):
        assert inflater.decompress(deflater.compress(message)) == message
    small = Deflater(level=9).compress(b"a" * 10_000)
    assert len(small) < 60 and len(Deflater(level=0).compress(b"a" * 10_000)) > 10_000


def test_fragments() -> None:
    """RFC 7692 §6.1: a message may be cut anywhere."""
    deflater, inflater = Deflater(), Inflater()
    rng = random.Random(SEED)
    for message in messages(10):
        cuts = sorted(rng.randrange(len(message) + 1) for _ in range(4))
        parts = [message[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
        payloads = [deflater.compress(part, fin=False) for part in parts[:-1]]
        payloads.append(deflater.compress(parts[-1]))
        whole = b"".join(payloads)
        assert inflater.decompress(whole) == message
    deflater, inflater = Deflater(), Inflater()
    for message in messages(10):
        whole = deflater.compress(message)
        result = b"".join(
            inflater.decompress(whole[i : i + 7], fin=False)
            for i in range(0, len(whole), 7)
        )
        assert result + inflater.decompress(b"") == message


def test_the_examples_of_the_rfc() -> None:
    """RFC 7692 §7.2.3."""
    hello = bytes.fromhex("f248cdc9c90700")
    assert Inflater().decompress(hello) == b"Hello"
    assert Deflater().compress(b"Hello") == hello
    takeover = Inflater()
    assert takeover.decompress(hello) == b"Hello"
    assert takeover.decompress(bytes.fromhex("f200110000")) == b"Hello"
    stored = bytes.fromhex("000500faff48656c6c6f00")
    assert Inflater().decompress(stored) == b"Hello"
    final = bytes.fromhex("f348cdc9c9070000")
    assert Inflater().decompress(final) == b"Hello"
    two = bytes.fromhex("f248050000 00ffff cac9c90700")
    assert Inflater().decompress(two) == b"Hello"
    assert Inflater().decompress(b"\x00") == b"" == Inflater().decompress(b"")
    assert Deflater().compress(b"") == b"\x00"


@pytest.mark.threat("INF-2", "INF-3")
def test_limit() -> None:
    for size in (0, 1, 100, 1023, 1024, 1025, 4096, 70_000):
        for message in (bytes(size), random.Random(SEED).randbytes(size)):
            payload = Deflater().compress(message)
            assert Inflater(max_size=size).decompress(payload) == message
            for smaller in {0, size // 2, size - 1} - {-1, size}:
                with pytest.raises(pywscore.PayloadTooBig):
                    Inflater(max_size=smaller).decompress(payload)


@pytest.mark.parametrize(
    "payload",
    [b"\xff", b"\x06", b"\x05\x00", b"\x00\x05\x00\x00\x00Hello", b"\xf2\x48\xcd"],
)
@pytest.mark.threat("INF-10", "INF-16")
def test_what_is_not_deflate(payload: bytes) -> None:
    with pytest.raises(pywscore.ProtocolError):
        Inflater().decompress(payload)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_buffers(kind: Any) -> None:
    payload = Deflater().compress(kind(b"Hello"))
    assert Inflater().decompress(payload) == b"Hello"


@pytest.mark.slow  # resident memory says nothing under the sanitizers
@pytest.mark.threat("INF-12")
def test_memory_is_given_back() -> None:
    code = """
def round():
    for _ in range(300):
        deflater, inflater = Deflater(), Inflater()
        assert inflater.decompress(deflater.compress(b"x" * 5000)) == b"x" * 5000
round()
before = resident()
for _ in range(5):
    round()
print(resident() - before)
"""
    assert int(run_fresh(code)) < 1 << 20
