"""Why connections failed, in words."""

from __future__ import annotations

import os

from pywscore._shown import escape
from pywscore.cli._common import MAX_ESCAPED, CommandError, describe_close

# enum wsc_load_fault_kind
CONNECT, TLS, HANDSHAKE, CLOSED, LOST, PROTOCOL, TIMEOUT, LOCAL = range(8)
KINDS = (
    *("connect", "tls", "handshake", "closed"),
    *("lost", "protocol", "timeout", "local"),
)


def text_of(kind: int, number: int, text: bytes) -> str:
    """What the system or the peer says, escaped."""
    said = text.decode(errors="replace")
    if kind == CONNECT or (kind == LOST and number):
        return os.strerror(number).lower()
    if kind == LOST:
        return "ended without a close frame"
    if kind == CLOSED:
        return describe_close(number, said)
    return escape(said, limit=MAX_ESCAPED)


def describe(kind: int, number: int, text: bytes) -> str:
    """In one line."""
    said = text_of(kind, number, text)
    match kind:
        case 0:  # CONNECT
            return f"cannot connect: {said}"
        case 1 if number:  # TLS
            return f"certificate refused: {said}"
        case 1:
            return f"TLS failed: {said.lower()}"
        case 2 if number:  # HANDSHAKE
            return f"refused the handshake: HTTP {number} {said}".rstrip()
        case 2:
            return f"failed the handshake: {said}"
        case 3:  # CLOSED
            return f"closed: {said}"
        case 4:  # LOST
            return f"connection lost: {said}"
        case 5:  # PROTOCOL
            return f"broke the protocol: {said}"
        case 6:  # TIMEOUT
            return f"timed out: {said}"
        case _:
            return f"failed here: {said}"


def refused(url: str, kind: int, number: int, text: bytes) -> CommandError:
    """No connection was opened at all, for this reason above all."""
    reason = describe(kind, number, text)
    if kind in (CONNECT, TLS, LOST, TIMEOUT):
        return CommandError(
            f"cannot connect to {url}: {reason.removeprefix('cannot connect: ')}"
        )
    return CommandError(f"{url} {reason}")
