"""What is in frames, with the names it has in ``websockets.frames``.

Frames themselves are written and read in C.
"""

from ._core import Close
from .enums import CLOSE_CODE_EXPLANATIONS, CloseCode, Opcode

__all__ = ["CLOSE_CODE_EXPLANATIONS", "Close", "CloseCode", "Opcode"]

CONT, TEXT, BINARY, CLOSE, PING, PONG = Opcode
DATA_OPCODES = CONT, TEXT, BINARY
CTRL_OPCODES = CLOSE, PING, PONG

OK_CLOSE_CODES = {
    CloseCode.NORMAL_CLOSURE,
    CloseCode.GOING_AWAY,
    CloseCode.NO_STATUS_RCVD,
}
"""With these a connection ends by ConnectionClosedOK."""

EXTERNAL_CLOSE_CODES = set(CloseCode) - {
    CloseCode.NO_STATUS_RCVD,
    CloseCode.ABNORMAL_CLOSURE,
    CloseCode.TLS_HANDSHAKE,
}
"""Those that may be in a frame (RFC 6455 §7.4.1)."""
