"""Frames in words, as ``websockets`` writes them to its log."""

from __future__ import annotations

import codecs
import re

from ..enums import Opcode, explain
from ..frames import EXTERNAL_CLOSE_CODES

MAX_SHOWN = 75
"""Characters of a payload; a multiple of 3."""

_IS_TEXT = {Opcode.TEXT: True, Opcode.BINARY: False, Opcode.CLOSE: True}
_CUT = MAX_SHOWN // 3 - 1

_is_printable = re.compile(rb"[\t\n\v\f\r -~]*").fullmatch
_begin_of_rest = re.compile(rb"[\x80-\xbf]{0,3}").match
_decoder = codecs.getincrementaldecoder("utf-8")


def frame_text(opcode: int, fin: bool, length: int, payload: bytes) -> str:
    """One line of printable characters.

    Args:
        opcode: a valid one.
        fin: whether the frame ends its message.
        length: of the payload.
        payload: all of it, or if it has more than 300 bytes, its first 200 and its last
            100.
    """
    kind = Opcode(opcode)
    if not payload:
        shown, is_text = "''", _IS_TEXT.get(kind)
    elif kind is Opcode.CLOSE:
        shown, is_text = _close_text(payload)
    elif kind.is_control:
        # Not as UTF-8: four random bytes are that too often.
        is_text = _is_printable(payload) is not None
        shown = repr(payload.decode("ascii")) if is_text else payload.hex(" ")
    else:
        shown, is_text = _data_text(kind, fin, length, payload)
    if len(shown) > MAX_SHOWN:
        shown = f"{shown[: 2 * _CUT]}...{shown[-_CUT:]}"
    notes = [f"{length} byte{'' if length == 1 else 's'}"]
    if is_text != _IS_TEXT.get(kind):
        notes.insert(0, "text" if is_text else "binary")
    if not fin:
        notes.append("continued")
    return f"{kind.name} {shown} [{', '.join(notes)}]"


def escaped(text: str) -> str:
    """``text`` with escapes for what isn't printable, as in a literal."""
    return text if text.isprintable() else repr(text)[1:-1]


def close_text(code: int, reason: str) -> str:
    """A close code, what it stands for, and the reason."""
    return f"{code:d} ({explain(code)}) {escaped(reason)}".rstrip()


def _close_text(payload: bytes) -> tuple[str, bool]:
    code = int.from_bytes(payload[:2], "big")
    known = 3000 <= code < 5000 or code in EXTERNAL_CLOSE_CODES
    try:
        if len(payload) > 1 and known:
            return close_text(code, payload[2:].decode()), True
    except UnicodeDecodeError:
        pass
    return payload.hex(" "), False


def _data_text(
    kind: Opcode, fin: bool, length: int, payload: bytes
) -> tuple[str, bool]:
    # Binary frames often have text, too. Fragments may begin and end within a code
    # point, and so may both parts of a long payload.
    if length == len(payload):
        is_text = _is_text(payload, kind is not Opcode.CONT, fin)
    else:
        is_text = _is_text(payload[:200], kind is not Opcode.CONT, False) and _is_text(
            payload[200:], False, fin
        )
    if is_text:
        return repr(payload.decode(errors="replace")), True
    if len(payload) > MAX_SHOWN // 3:
        payload = payload[:16] + bytes(2) + payload[-8:]  # the middle is cut out
    return payload.hex(" "), False


def _is_text(data: bytes, begins: bool, ends: bool) -> bool:
    rest = None if begins else _begin_of_rest(data)
    try:
        text = _decoder().decode(data[rest.end() if rest else 0 :], ends)
    except UnicodeDecodeError:
        return False
    return "\\x" not in repr(text)  # control characters
