"""A client made of bytes that reads all the time, at a rate."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
PER_SECOND = 50


def small_buffers(listening: Any) -> None:
    """Of the sockets that are accepted: little is in the kernel, most is with us."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)


@dataclass
class Outcome:
    """What came after the head, and how it ended: an exception if not by a FIN."""

    data: bytearray
    end: OSError | None = None

    @property
    def frames(self) -> list[tuple[int, int]]:
        """Opcode and length of each; a frame that was cut isn't there."""
        found, at = [], 0
        while at + 2 <= len(self.data):
            opcode, length = self.data[at] & 0xF, self.data[at + 1]
            at += 2
            if length > 125:
                size = 2 if length == 126 else 8
                length = int.from_bytes(self.data[at : at + size])
                at += size
            if at + length > len(self.data):
                break
            found.append((opcode, length))
            at += length
        return found


class SlowReader:
    """``connect()``, then ``read()`` to the end.

    Args:
        port: on 127.0.0.1.
        rate: bytes a second.
        tls: a client's context.
    """

    def __init__(self, port: int, rate: int, tls: ssl.SSLContext | None = None) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.sock.connect(("127.0.0.1", port))
        self.rate = rate
        self.tls = tls
        self.head = b""

    async def connect(self, request: bytes = REQUEST) -> None:
        await asyncio.to_thread(self._connect, request)

    def _connect(self, request: bytes) -> None:
        self.sock.settimeout(10)
        if self.tls is not None:
            self.sock = self.tls.wrap_socket(self.sock, server_hostname="localhost")
        self.sock.sendall(request)
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self.sock.recv(1)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    async def read(self, *, answer: bool = True, chatter: bytes = b"") -> Outcome:
        """Read to the end; answer a close frame (of two bytes, the last), or not; say
        ``chatter`` between."""
        return await asyncio.to_thread(self._read, answer, chatter)

    def _read(self, answer: bool, chatter: bytes) -> Outcome:
        outcome = Outcome(bytearray())
        started = time.monotonic()
        step = self.rate // PER_SECOND
        with self.sock:
            while True:
                try:
                    data = self.sock.recv(step)
                except OSError as exc:
                    outcome.end = exc
                    break
                if not data:
                    break
                outcome.data += data
                try:
                    if chatter:
                        self.sock.sendall(chatter)
                    if answer and outcome.data[-4:-2] == b"\x88\x02":
                        code = bytes(outcome.data[-2:])
                        self.sock.sendall(b"\x88\x82\0\0\0\0" + code)
                        answer = False
                except OSError:
                    pass  # reading tells
                ahead = len(outcome.data) / self.rate - (time.monotonic() - started)
                if ahead > 0:
                    time.sleep(ahead)
        return outcome
