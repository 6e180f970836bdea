"""apply_mask, is_valid_utf8, accept_key, and the name of the SIMD version."""

from __future__ import annotations

import array
import base64
import random
from typing import Any

import pytest
from wire import ACCEPT, KEY, SEED, accept_for, mask

from pywscore._core import accept_key, apply_mask, is_valid_utf8, simd

SIZES = [*range(140), 255, 256, 257, 1000, 4095, 4096, 4097, 65536, 100_003]


def test_mask_is_bytewise_xor() -> None:
    """RFC 6455 §5.3."""
    print(f"PYWSCORE_SEED={SEED}")
    rng = random.Random(SEED)
    for size in SIZES:
        data, key = rng.randbytes(size), rng.randbytes(4)
        masked = apply_mask(data, key)
        assert masked == mask(data, key)
        assert apply_mask(masked, key) == data


def test_mask_at_all_alignments() -> None:
    rng = random.Random(SEED)
    block, key = rng.randbytes(600), rng.randbytes(4)
    view = memoryview(block)
    for start in range(64):
        for size in (0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 500):
            part = view[start : start + size]
            assert apply_mask(part, key) == mask(bytes(part), key)


def test_mask_of_the_rfc() -> None:
    """RFC 6455 §5.7."""
    key = bytes.fromhex("37fa213d")
    assert apply_mask(b"Hello", key) == bytes.fromhex("7f9f4d5158")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_mask_of_buffers(kind: Any) -> None:
    assert apply_mask(kind(b"abcd"), kind(b"\1\2\3\4")) == b"````"
    result = apply_mask(kind(b""), kind(bytes(4)))
    assert result == b"" and type(result) is bytes


@pytest.mark.threat("CTL-1")
def test_wrong_masks() -> None:
    for key in (b"", b"abc", b"abcde", bytes(8)):
        with pytest.raises(ValueError):
            apply_mask(b"x", key)
    for wrong in [
        ("x", bytes(4)),
        (b"x", "abcd"),
        (5, bytes(4)),
        (b"x", 4),
        (None, None),
    ]:
        with pytest.raises(TypeError):
            apply_mask(*wrong)  # type: ignore[arg-type]
    for arguments in [(), (b"x",), (b"x", bytes(4), 1)]:
        with pytest.raises(TypeError):
            apply_mask(*arguments)
    with pytest.raises(TypeError):
        apply_mask(memoryview(bytes(8))[::2], bytes(4))


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.threat("FRG-6")
def test_utf8_of_all_short_sequences() -> None:
    leads = [*range(0, 256, 5), 0x7F, 0x80, 0xBF, *range(0xC0, 0x100)]
    seconds = [0, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF]
    thirds = [0x41, 0x7F, 0x80, 0xBF, 0xC0]
    for a in range(256):
        assert is_valid_utf8(bytes([a])) == is_utf8(bytes([a]))
        for b in range(256):
            assert is_valid_utf8(bytes([a, b])) == is_utf8(bytes([a, b]))
    for a in leads:
        for b in seconds:
            for c in thirds:
                assert is_valid_utf8(bytes([a, b, c])) == is_utf8(bytes([a, b, c]))
                for d in thirds:
                    data = bytes([a, b, c, d])
                    assert is_valid_utf8(data) == is_utf8(data), data


@pytest.mark.threat("FRG-6")
def test_utf8_at_all_offsets() -> None:
    bad = [b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"]
    for filler in ("a", "é", "€", "😀"):
        raw = filler.encode()
        for count in [*range(40), 64, 100]:
            assert is_valid_utf8(count * raw + b"tail")
            for sequence in bad:
                for tail in (b"", b"a" * 3, b"a" * 70):
                    assert not is_valid_utf8(count * raw + sequence + tail)


def test_utf8_of_random_bytes() -> None:
    print(f"PYWSCORE_SEED={SEED}")
    rng = random.Random(SEED)
    for _ in range(3000):
        text = "".join(chr(rng.choice([65, 233, 8364, 128512])) for _ in range(60))
        data = bytearray(text.encode())
        assert is_valid_utf8(data)
        data[rng.randrange(len(data))] = rng.randrange(256)
        assert is_valid_utf8(data) == is_utf8(bytes(data))


def test_utf8_of_buffers() -> None:
    assert is_valid_utf8(b"") and is_valid_utf8(bytearray("é".encode()))
    assert is_valid_utf8(memoryview("xéx".encode())[1:-1])
    assert not is_valid_utf8(memoryview("xéx".encode())[1:-2])
    assert is_valid_utf8(array.array("I", [0x41414141]))
    for wrong in ("text", 5, None):
        with pytest.raises(TypeError):
            is_valid_utf8(wrong)  # type: ignore[arg-type]


def test_accept_key() -> None:
    """RFC 6455 §1.3, §4.2.2."""
    assert accept_key(KEY) == ACCEPT
    rng = random.Random(SEED)
    for _ in range(100):
        key = base64.b64encode(rng.randbytes(16)).decode()
        assert accept_key(key) == accept_for(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        base64.b64encode(bytes(15)).decode(),
        base64.b64encode(bytes(17)).decode(),
        base64.b64encode(bytes(16)).decode().rstrip("="),
        base64.b64encode(bytes(16)).decode() + "=",
        " " + KEY[1:],
        KEY[:-1] + "\0",
        "é" + KEY[2:],
        "-" + KEY[1:],
        KEY + "\r\n",
    ],
)
@pytest.mark.threat("HSK-6")
def test_keys_that_are_none(key: str) -> None:
    with pytest.raises(ValueError):
        accept_key(key)


def test_keys_that_are_no_text() -> None:
    for wrong in (KEY.encode(), 5, None):
        with pytest.raises(TypeError):
            accept_key(wrong)  # type: ignore[arg-type]
    with pytest.raises((ValueError, UnicodeEncodeError)):
        accept_key("\ud800" + KEY[1:])


def test_name_of_simd() -> None:
    assert simd in ("scalar", "sse2", "avx2", "avx512", "neon")
