"""Opening handshakes as bytes, and frames."""

from __future__ import annotations

import pywscore
from pywscore.testing import Frame, ScriptedPeer
from pywscore.testing._frames import frame_bytes

REQUEST = (
    "GET {path} HTTP/1.1\r\n"
    "Host: 127.0.0.1\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "{extra}\r\n"
)
# RFC 6455 §1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool) -> bytes:
    """With a masking key of zeros."""
    return frame_bytes(Frame(opcode, payload, fin), client=mask, mask="zero")


async def head_of(peer: ScriptedPeer) -> str:
    return (await peer.reader.readuntil(b"\r\n\r\n")).decode("iso-8859-1")


def accept_response(head: str, extra: str = "") -> bytes:
    """The right answer to a request (RFC 6455 §4.2.2)."""
    key = head.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
    accept = pywscore.accept_key(key)
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{extra}\r\n"
    ).encode()
