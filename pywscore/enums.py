"""The numbers of RFC 6455 that have names."""

import enum

__all__ = ["CloseCode", "Opcode", "State"]


class State(enum.IntEnum):
    """Where a connection is (RFC 6455 §4.1, §7.1)."""

    CONNECTING, OPEN, CLOSING, CLOSED = range(4)


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
