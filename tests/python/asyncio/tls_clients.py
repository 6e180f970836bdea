"""Idle TLS clients: python tls_clients.py PORT COUNT SIZE. Says "warm" after the first
20 of them, waits for a line, opens COUNT more, each with one echo of SIZE bytes, says
"idle" and waits for the end of its input."""

from __future__ import annotations

import socket
import ssl
import sys

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
WARM = 20

port, count, size = map(int, sys.argv[1:])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
clients = []


def open_clients(count: int) -> None:
    for _ in range(count):
        sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
        sock.settimeout(10)
        sock.sendall(REQUEST)
        assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")
        sock.sendall(b"\x82\xfe" + size.to_bytes(2) + bytes(4 + size))
        left = 4 + size
        while left:
            left -= len(sock.recv(left))
        clients.append(sock)


open_clients(WARM)
print("warm", flush=True)
sys.stdin.readline()
open_clients(count)
print("idle", flush=True)
sys.stdin.read()
