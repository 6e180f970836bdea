"""The numbers of RFC 6455 that have names."""

import enum

__all__ = ["CLOSE_CODE_EXPLANATIONS", "CloseCode", "Opcode", "Side", "State"]


class State(enum.IntEnum):
    """Where a connection is (RFC 6455 §4.1, §7.1)."""

    CONNECTING, OPEN, CLOSING, CLOSED = range(4)


class Side(enum.IntEnum):
    """Which end of a connection (RFC 6455 §1.2)."""

    SERVER, CLIENT = range(2)


class Opcode(enum.IntEnum):
    """What a frame is (RFC 6455 §5.2)."""

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
