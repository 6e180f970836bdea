"""A peer that does what the test says, byte by byte."""

from __future__ import annotations

import asyncio

import pywscore

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
    """A frame as RFC 6455 §5.2 has it; the masking key is zero."""
    length = len(payload)
    if length < 126:
        size = bytes([length | mask << 7])
    elif length < 1 << 16:
        size = bytes([126 | mask << 7]) + length.to_bytes(2)
    else:
        size = bytes([127 | mask << 7]) + length.to_bytes(8)
    return bytes([opcode | fin << 7]) + size + bytes(4 * mask) + payload


class RawPeer:
    """The other end as bytes."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mask: bool
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.mask = mask

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode("iso-8859-1")

    def send(self, opcode: int, payload: bytes = b"", fin: bool = True) -> None:
        self.writer.write(frame(opcode, payload, fin=fin, mask=self.mask))

    def send_close(self, code: int = 1000) -> None:
        self.send(8, code.to_bytes(2))

    async def receive(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame."""
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(
                await self.reader.readexactly(2 << (length - 126) * 2)
            )
        key = await self.reader.readexactly(4) if second >> 7 else bytes(4)
        payload = await self.reader.readexactly(length)
        mask = (key * (length // 4 + 1))[:length]
        return first & 0xF, bytes(a ^ b for a, b in zip(payload, mask, strict=True))

    async def close_code(self) -> int:
        """The code of the close frame, whatever comes before."""
        while True:
            opcode, payload = await self.receive()
            if opcode == 8:
                return int.from_bytes(payload[:2]) if payload else 1005


def accept_response(head: str, extra: str = "") -> bytes:
    """The right answer to a request (RFC 6455 §4.2.2)."""
    key = head.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
    accept = pywscore.accept_key(key)
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{extra}\r\n"
    ).encode()
