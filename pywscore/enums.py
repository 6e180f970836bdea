"""The numbers of RFC 6455 that have names."""

import enum

__all__ = ["CLOSE_CODE_EXPLANATIONS", "CloseCode", "Opcode", "Side", "State"]


class State(enum.IntEnum):
    """Where a connection is (RFC 6455 §4.1, §7.1).

    Attributes:
        CONNECTING: in the opening handshake.
        OPEN: after it.
        CLOSING: in the closing handshake, or failed.
        CLOSED: TCP is gone.
    """

    CONNECTING, OPEN, CLOSING, CLOSED = range(4)


class Side(enum.IntEnum):
    """Which end of a connection (RFC 6455 §1.2).

    Attributes:
        SERVER: the one that accepted it.
        CLIENT: the one that made it.
    """

    SERVER, CLIENT = range(2)


class Opcode(enum.IntEnum):
    """What a frame is (RFC 6455 §5.2).

    Attributes:
        CONT: a fragment after the first (§5.4).
        TEXT: a text message, or its first fragment (§5.6).
        BINARY: a binary message, or its first fragment (§5.6).
        CLOSE: of the closing handshake (§5.5.1).
        PING: asks for a pong (§5.5.2).
        PONG: answers a ping, or nothing (§5.5.3).
    """

    CONT = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA

    @property
    def is_control(self) -> bool:
        """Close, ping or pong (RFC 6455 §5.5)."""
        return bool(self & 0x8)


class CloseCode(enum.IntEnum):
    """Why a connection was closed (RFC 6455 §7.4.1 and the IANA registry).

    1005, 1006 and 1015 never travel in a frame.

    Attributes:
        NORMAL_CLOSURE: 1000, what it was for is done.
        GOING_AWAY: 1001, a server goes down, or a browser leaves the page.
        PROTOCOL_ERROR: 1002, a frame that RFC 6455 forbids.
        UNSUPPORTED_DATA: 1003, a type of message that can't be taken.
        NO_STATUS_RCVD: 1005, an empty close frame came.
        ABNORMAL_CLOSURE: 1006, TCP ended without a close frame.
        INVALID_DATA: 1007, a text message that isn't UTF-8.
        POLICY_VIOLATION: 1008, a message against a policy.
        MESSAGE_TOO_BIG: 1009, a message beyond the limit.
        MANDATORY_EXTENSION: 1010, a client needs an extension that wasn't agreed.
        INTERNAL_ERROR: 1011, this end can't go on.
        SERVICE_RESTART: 1012, the server restarts.
        TRY_AGAIN_LATER: 1013, the server is overloaded.
        BAD_GATEWAY: 1014, a gateway got an invalid response.
        TLS_HANDSHAKE: 1015, TLS failed.
    """

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RCVD = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


CLOSE_CODE_EXPLANATIONS: dict[int, str] = {
    **{code: code.name.replace("_", " ").lower() for code in CloseCode},
    # As in the messages of ``websockets``, which people search their logs for. The
    # others are called as in the IANA registry.
    CloseCode.NORMAL_CLOSURE: "OK",
    CloseCode.NO_STATUS_RCVD: "no status received [internal]",
    CloseCode.ABNORMAL_CLOSURE: "abnormal closure [internal]",
    CloseCode.INVALID_DATA: "invalid frame payload data",
    CloseCode.TLS_HANDSHAKE: "TLS handshake failure [internal]",
}
"""What the registered close codes stand for."""


def explain(code: int) -> str:
    """What a close code stands for, for people."""
    if 3000 <= code < 4000:
        return "registered"
    if 4000 <= code < 5000:
        return "private use"
    return CLOSE_CODE_EXPLANATIONS.get(code, "unknown")
