"""Small functions, with the names they have in ``websockets.utils``."""

from __future__ import annotations

import base64
import secrets
import socket

from ._core import accept_key, apply_mask

__all__ = ["accept_key", "apply_mask", "generate_key", "get_socket_name"]

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What is hashed together with the key (RFC 6455 §1.3)."""


def generate_key() -> str:
    """A random Sec-WebSocket-Key (RFC 6455 §4.1, item 7 of the request)."""
    return base64.b64encode(secrets.token_bytes(16)).decode()


def get_socket_name(sock: socket.socket) -> str:
    """Where a socket listens, for people.

    Args:
        sock: the socket.

    Raises:
        ValueError: if it is neither of TCP nor a Unix socket.
    """
    name = sock.getsockname()
    if sock.family == socket.AF_INET:
        return f"{name[0]}:{name[1]}"
    if sock.family == socket.AF_INET6:
        return f"[{name[0]}]:{name[1]}"
    if sock.family == getattr(socket, "AF_UNIX", None):
        return str(name)
    raise ValueError(f"unsupported socket family: {sock.family}")
