"""Write the seeds of the fuzz targets: python tests/fuzz/make_corpus.py.

Small and few: what a target needs to get past its first bytes. What fuzzing finds later
is kept beside them under a name of its own.
"""

import zlib
from pathlib import Path

HERE = Path(__file__).parent
KEY = b"\x37\xfa\x21\x3d"


def frame(first: int, payload: bytes, *, masked: bool) -> bytes:
    """One frame in its minimal form, RFC 6455 §5.2."""
    mask = 0x80 if masked else 0
    if len(payload) < 126:
        head = bytes([first, mask | len(payload)])
    elif len(payload) < 65536:
        head = bytes([first, mask | 126]) + len(payload).to_bytes(2, "big")
    else:
        head = bytes([first, mask | 127]) + len(payload).to_bytes(8, "big")
    if not masked:
        return head + payload
    return head + KEY + bytes(b ^ KEY[i % 4] for i, b in enumerate(payload))


def deflated(*messages: bytes, final: bool = False) -> list[bytes]:
    """Payloads of compressed messages with one window, RFC 7692 §7.2.1."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    payloads = []
    for message in messages:
        data = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
        payloads.append(data[:-4])
    if final:
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
        payloads.append(compressor.compress(b"final") + compressor.flush() + b"\0")
    return payloads


TEXT = "café € 😀 ".encode()
HELLO = deflated(b"Hello", b"Hello", b"a" * 5000, final=True)

FRAMES = {
    "messages": [(0x81, b"Hello"), (0x82, bytes(range(200))), (0x81, TEXT)],
    "fragments": [(0x01, b"Hel"), (0x89, b"x"), (0x00, b""), (0x80, b"lo")],
    "code_point_in_pieces": [(0x01, TEXT[:4]), (0x00, TEXT[4:7]), (0x80, TEXT[7:])],
    "pings": [(0x89, b"p" * 125), (0x8A, b""), (0x89, b"")],
    "close": [(0x88, b"\x03\xe8bye"), (0x81, b"late")],
    "empty_close": [(0x88, b"")],
    "close_while_in_message": [(0x01, b"half"), (0x88, b"\x03\xe9")],
    "long_16": [(0x82, b"b" * 126), (0x82, b"c" * 3000)],
    "bad_utf8": [(0x01, b"ok"), (0x80, b"\xed\xa0\x80")],
    "bad_opcode": [(0x83, b"")],
    "bad_close": [(0x88, b"\x03\xed")],
    "text_in_text": [(0x01, b"a"), (0x81, b"b")],
    "empty_fragments": [(0x01, b"")] + [(0x00, b"")] * 40,
}
COMPRESSED = {
    "messages": [(0xC1, payload) for payload in HELLO],
    "fragments": [(0x41, HELLO[0][:3]), (0x89, b"x"), (0x80, HELLO[0][3:])],
    "bomb": [(0xC2, deflated(bytes(200000))[0])],
    "cut": [(0xC1, HELLO[2][:5])],
}


def wire(frames: list[tuple[int, bytes]], *, masked: bool) -> bytes:
    return b"".join(frame(first, data, masked=masked) for first, data in frames)


def frame_seeds() -> dict[str, bytes]:
    seeds = {}
    for client in (0, 1):
        role = "client" if client else "server"
        for name, frames in FRAMES.items():
            data = wire(frames, masked=not client)
            seeds[f"{role}_{name}"] = bytes([7 << 3 | client, 7]) + data
            if name in ("fragments", "code_point_in_pieces"):
                seeds[f"{role}_streaming_{name}"] = (
                    bytes([7 << 3 | 4 | client, 9]) + data
                )
        for name, frames in COMPRESSED.items():
            data = wire(frames, masked=not client)
            seeds[f"{role}_compressed_{name}"] = bytes([6 << 3 | 2 | client, 3]) + data
        for name, length in {"max": 2**63 - 1, "msb": 2**63, "wrap": 2**64 - 4}.items():
            head = bytes([0x82, 0x7F | (0 if client else 0x80)])
            seeds[f"{role}_length_{name}"] = (
                bytes([7 << 3 | client, 1]) + head + length.to_bytes(8, "big") + KEY
            )
    return seeds


def request(*lines: str, start: str = "GET /chat HTTP/1.1") -> bytes:
    return "\r\n".join((start, *lines, "", "")).encode("latin-1")


UPGRADE = ("Host: example.com", "Upgrade: websocket", "Connection: keep-alive, Upgrade")
GOOD = (
    *UPGRADE,
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
OFFER = "Sec-WebSocket-Extensions: permessage-deflate"


def server_seeds() -> dict[str, bytes]:
    hello = frame(0x81, b"Hello", masked=True)
    heads = {
        "plain": request(*GOOD),
        "frames_behind": request(*GOOD) + hello,
        "deflate": request(*GOOD, f"{OFFER}; client_max_window_bits") + hello,
        "two_offers": request(
            *GOOD,
            f"{OFFER}; server_max_window_bits=8, permessage-deflate; "
            'server_no_context_takeover; client_max_window_bits="10"',
        ),
        "two_lines": request(*GOOD, f"{OFFER}; x", OFFER),
        "bad_offer": request(*GOOD, f"{OFFER}; ="),
        "protocols": request(*GOOD, "Sec-WebSocket-Protocol: chat, superchat"),
        "origin": request(*GOOD, "Origin: http://example.com"),
        "version_8": request(*UPGRADE, "Sec-WebSocket-Version: 8"),
        "no_key": request(*UPGRADE, "Sec-WebSocket-Version: 13"),
        "no_upgrade": request("Host: h"),
        "post": request(*GOOD, start="POST / HTTP/1.1"),
        "http_1_0": request(*GOOD, start="GET / HTTP/1.0"),
        "body": request(*GOOD, "Content-Length: 5") + b"later",
        "chunked": request(*GOOD, "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        "folded": request(*GOOD, "X: a", " b"),
        "bare_lf": request(*GOOD).replace(b"\r\n", b"\n"),
        "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "long_line": request(*GOOD, "Cookie: " + "c" * 8200),
    }
    return {name: b"\x01\x05" + head for name, head in heads.items()} | {
        "any_request": b"\x02\x05" + request("Host: h"),
    }


def client_seeds() -> dict[str, bytes]:
    good = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: $ACCEPT",
    )
    start = "HTTP/1.1 101 Switching Protocols"
    hello = frame(0x81, b"Hello", masked=False)
    parameters = "; server_no_context_takeover; client_max_window_bits=12"
    heads = {
        "plain": request(*good, start=start),
        "frames_behind": request(*good, start=start) + hello,
        "deflate": request(*good, OFFER + parameters, start=start) + hello,
        "bits_8": request(*good, f"{OFFER}; client_max_window_bits=8", start=start),
        "bits_16": request(*good, f"{OFFER}; server_max_window_bits=16", start=start),
        "unknown": request(*good, "Sec-WebSocket-Extensions: foo", start=start),
        "protocol": request(*good, "Sec-WebSocket-Protocol: chat", start=start),
        "wrong_accept": request(*good[:2], "Sec-WebSocket-Accept: x", start=start),
        "refused": request("Content-Length: 5", start="HTTP/1.1 403 No") + b"later",
        "refused_chunked": request("Transfer-Encoding: chunked", start="HTTP/1.1 503 x")
        + b"5\r\nlater\r\n0\r\n\r\n",
        "redirect": request("Location: /other", start="HTTP/1.1 302 Found"),
        "no_body": request(start="HTTP/1.1 204 No Content"),
    }
    return {name: b"\x03\x05" + head for name, head in heads.items()}


def inflate_seeds() -> dict[str, bytes]:
    def messages(*payloads: bytes) -> bytes:
        return b"".join(len(p).to_bytes(2, "big") + p for p in payloads)

    start = b"\x0e\xff\xff\x03\x00"
    return {
        "hello": start + messages(*HELLO[:2]),
        "final": start + messages(*HELLO),
        "final_first": start + messages(HELLO[3], HELLO[3], HELLO[0]),
        "no_takeover": b"\x0f\x10\x00\x00\x01" + messages(HELLO[0], HELLO[0]),
        "released": b"\x8e\xff\xff\x00\x00" + messages(*HELLO),
        "limit": b"\x0e\x13\x87\x10\x10" + messages(HELLO[2], HELLO[2]),
        "limit_exact": b"\x0e\x13\x88\x10\x10" + messages(*HELLO[:3]),
        "stored": start + messages(b"\x00\x05\x00\xfa\xffHello\x00"),
        "two_blocks": start
        + messages(b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
        "empty": start + messages(b"\x00", b"", b"\x00"),
        "bad": start + messages(b"\x07"),
        "far": start + messages(b"\x02\x07\x00\x00"),
        "small_window": b"\x00\xff\xff\x03\x01" + messages(*HELLO[:2]),
    }


def roundtrip_seeds() -> dict[str, bytes]:
    def message(what: int, data: bytes) -> bytes:
        data = data[: len(data) // 8 * 8]
        return bytes([what, len(data) // 8]) + data

    body = (TEXT * 40)[:400]
    steps = b"".join(
        message(what, body) for what in (0x30, 0x31, 0x12, 0x13, 0x64, 0x79)
    )
    return {
        "takeover": b"\x00\x30\x06" + steps,
        "no_takeover": b"\x03\x30\x06" + steps,
        "pooled": b"\x07\x00\x51" + steps,
        "small": b"\x00\x00\x09" + steps + message(0x00, b"") + message(0x01, b""),
        "noise": b"\x04\x18\x01"
        + message(0x00, bytes(i * i % 251 for i in range(800))),
    }


def endpoint_seeds() -> dict[str, bytes]:
    talk = bytes([0x00, 0x11, 40, 0x01, 0x10, 200, 0x06, 255, 0x07, 255])
    fragments = bytes([0x00, 0x31, 30, 0x24, 0x00, 0x21, 9, 0x00, 0x01, 7, 0x86, 90])
    close = bytes([0xF8, 0x06, 255, 0x07, 255])
    return {
        "plain": b"\x00" + talk + close,
        "compressed": b"\x01" + talk + fragments + talk + close,
        "no_takeover": b"\x0f" + talk + fragments + close,
        "threshold": b"\x11" + talk + talk,
        "fragments": b"\x00" + fragments + fragments,
        "references": b"\x00" + bytes([0x00, 0xC1, 200, 0x86, 1, 0x86, 255, 0x86, 255]),
        "streaming": b"\x01" + bytes([0x8C, 0x8D]) + fragments + talk,
        "idle": b"\x01" + talk + bytes([0x8A, 0x8B]) + talk,
        "limits": b"\x00" + fragments + bytes([0x0A, 0x17, 0x0B, 0xFF]) + fragments,
        "lowered": b"\x01"
        + bytes([0x01, 0x20, 200, 0x87, 90, 0x0A, 50, 0x01, 0, 9])
        + bytes([0x87, 90]),
        "pings": b"\x00" + bytes([0x84, 0x85, 0x04, 0x86, 255, 0x87, 255] * 5),
        "refused_early": b"\x01" + bytes([0x0E, 0x0F]) + talk + close,
        "refused_late": b"\x01" + bytes([0x9E, 0xCF]) + talk + talk + fragments,
        "fail": b"\x00" + talk + bytes([0xE8, 0x06, 255]) + talk,
        "drop": b"\x00" + talk + bytes([0xD9]) + talk,
        "both_close": b"\x00" + talk + bytes([0xF8, 0xF9, 0x06, 255, 0x07, 255]),
    }


def engine_seeds() -> dict[str, bytes]:
    pair, turns, accept, refuse = b"\x30", b"\x0f", b"\x59", b"\x58"

    def send(side: int, length: int, what: int = 0x10) -> bytes:
        return bytes([0x60 + side, what, length])

    def fault(call: int, which: int, most: int = 0) -> bytes:
        return bytes([0x38, call << 3 | which, most])

    def each(step: int, *arguments: int) -> bytes:
        return b"".join(bytes([step + side, *arguments]) for side in range(4))

    opened = pair + turns * 2
    large = send(0, 250, 0x90) + send(1, 250, 0x90)
    return {
        "echo": b"\x00\x03" + opened + send(0, 40) + send(1, 90, 0x30) + turns,
        "many": b"\x01\x00" + pair * 4 + turns * 2 + each(0x60, 0x11, 80) + turns,
        "large": b"\x00\x3f" + opened + large + turns + large + turns,
        "fragments": b"\x05\x01" + opened + each(0x60, 0x50, 60) * 3 + turns,
        "patient": b"\x02\x01" + opened + each(0xD0) + turns + large + each(0xD0),
        "paused": b"\x04\x01"
        + opened
        + each(0x60, 0x10, 30) * 3
        + b"\x03"
        + each(0xB0)
        + turns
        + each(0xA0)
        + b"\x03"
        + each(0xA0)
        + turns,
        "no_room": b"\x00\x07"
        + opened
        + b"\x40\x03"
        + large
        + turns
        + b"\x40\x40"
        + turns,
        "half_close": b"\x00\x07"
        + opened
        + b"\x40\x03"
        + send(1, 250, 0x90)
        + b"\xb0\xe0\x01"
        + turns
        + b"\x0f",
        "close": b"\x00\x03" + opened + b"\x90\x00" + turns,
        "both_close": b"\x00\x03" + opened + b"\x90\x00\x91\x00" + turns,
        "abort": b"\x00\x03" + opened * 2 + large + b"\x01\xe0\x02\xe3\x03" + turns,
        "broken": b"\x00\x03" + opened * 2 + large + b"\xe0\x04\xe2\x00" + turns,
        "timers": b"\x00\x03"
        + opened * 2
        + b"\xc0\x01\xc1\x41\xc2\x81\xc3\xc1"
        + b"\x50\x20"
        + turns
        + b"\x50\xff"
        + turns,
        "faults": b"\x00\x03"
        + opened
        + b"".join(
            fault(1, i % 2) + fault(2, i % 5, 3) + send(i % 2, 70) + b"\x02"
            for i in range(6)
        ),
        "no_descriptors": b"\x00\x03" + fault(0, 0) + pair + turns + accept + opened,
        "not_accepted": b"\x00\x03" + refuse + pair * 2 + turns + accept + turns,
        "no_memory": b"\x00\x03" + opened + b"\xf0\x01\xf1\x83" + large + pair + turns,
        "left_to_the_engine": b"\x18\x03" + opened * 2 + large + b"\x02",
        "after_fork": b"\x28\x03" + opened * 2 + large + b"\x02",
    }


def text_seeds() -> dict[str, bytes]:
    seeds = {
        "ascii": b"plain ASCII text, long enough for every vector width there is " * 3,
        "mixed": TEXT * 20,
        "edges": "\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff".encode(),
        "cut": b"x" * 63 + b"\xf0\x9f\x98",
    }
    bad = [b"\xc0\xaf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xf0\x8f\xbf\xbf"]
    bad += [b"\xf4\x90\x80\x80", b"\x80", b"\xff"]
    for i, sequence in enumerate(bad):
        seeds[f"bad_{i}"] = b"z" * (13 * i) + sequence + b"z" * 70
    return seeds


def proxy_header_seeds() -> dict[str, bytes]:
    lines = {
        "ipv4": b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443",
        "ipv6": b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 1 65535",
        "unknown": b"PROXY UNKNOWN and so on",
        "bad": b"PROXY TCP4 192.0.2.01 198.51.100.7 65536 443",
    }
    first = b"\r\n\r\n\0\r\nQUIT\n"
    binaries = {
        "2_local": b"\x20\0\0\0",
        "2_ipv4": b"\x21\x11\0\x0c" + bytes(range(12)),
        "2_ipv6": b"\x21\x21\0\x24" + bytes(range(36)),
        "2_unix": b"\x21\x31\0\xd8" + b"/run/s".ljust(216, b"\0"),
        "2_tlv": b"\x21\x11\0\x13" + bytes(range(12)) + b"\x03\0\x04crc!",
        "2_short": b"\x21\x21\0\x0c" + bytes(12),
    }
    return {name: b"\x05" + line + b"\r\nGET" for name, line in lines.items()} | {
        name: b"\x05" + first + rest + b"GET" for name, rest in binaries.items()
    }


def main() -> None:
    targets = {
        "frame": frame_seeds(),
        "handshake_server": server_seeds(),
        "handshake_client": client_seeds(),
        "pmd_inflate": inflate_seeds(),
        "pmd_roundtrip": roundtrip_seeds(),
        "endpoint": endpoint_seeds(),
        "engine": engine_seeds(),
        "proxy_header": proxy_header_seeds(),
        "utf8": {name: b"\x03\x05" + text for name, text in text_seeds().items()},
        "mask": {name: b"\x03\x02" + KEY + text for name, text in text_seeds().items()},
    }
    total = 0
    for target, seeds in targets.items():
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds.items():
            (folder / name).write_bytes(data)
            total += len(data)
        print(f"{target}: {len(seeds)} seeds")
    print(f"{total} bytes")


if __name__ == "__main__":
    main()
