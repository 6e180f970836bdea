"""A peer says byte by byte what a script tells, to a server or a client under test.

A line is a step::

    # what follows # is for readers
    send text "hello"
    expect text "hello"
    send ping "x"
    expect pong "x"
    send text "in " fin=0
    send continuation "two frames"
    send text "not masked" mask=none
    send half binary 00 01 02 03
    pause 0.1
    send rest
    send bytes 81 85 00
    expect close 1002
    expect end

``send`` and ``expect`` take ``text``, ``binary``, ``continuation``, ``ping``,
``pong``, ``close`` or ``opcode=N``; then a JSON string, bytes in hexadecimal, or a
close code and perhaps a JSON string; then options: ``fin=0``, ``rsv=N``, and for
``send`` ``mask=none``, ``mask=wrong`` (one from a server, none from a client) or
``mask=zero``.
``expect`` without a payload takes any, with a close code alone any reason.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from ._frames import NAMES, OPCODES, Frame, Mask

__all__ = ["ScriptError", "Step", "parse_script", "shown_frame"]


class ScriptError(AssertionError):
    """Something else came than the script expects, or a line of it can't be read."""


@dataclass(frozen=True, slots=True)
class Step:
    """A line.

    Attributes:
        number: of the line, from 1.
        verb: ``send``, ``half``, ``rest``, ``bytes``, ``expect``, ``expect end``,
            ``expect reset``, ``expect nothing``, ``pause``, ``end`` or ``reset``.
        frame: what is sent or expected.
        mask: of what is sent.
        any_payload: the frame's isn't looked at.
        data: of ``bytes``.
        seconds: of ``pause`` and ``expect nothing``.
    """

    number: int
    verb: str
    frame: Frame = field(default_factory=lambda: Frame(0))
    mask: Mask = "right"
    any_payload: bool = False
    data: bytes = b""
    seconds: float = 0.0


_split = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s"]+').findall
_without_comment = re.compile(r'^((?:"(?:[^"\\]|\\.)*"|[^"#])*)#.*$').sub


def parse_script(text: str) -> list[Step]:
    """The steps of a script.

    Args:
        text: the script.

    Raises:
        ScriptError: for a line that isn't a step.
    """
    steps = []
    for number, line in enumerate(text.splitlines(), 1):
        words = _split(_without_comment(r"\1", line))
        if not words:
            continue
        try:
            steps.append(_step(number, words))
        except (ValueError, LookupError, OverflowError) as exc:
            raise ScriptError(f"line {number}: {line.strip()}: {exc}") from None
    return steps


def _step(number: int, words: list[str]) -> Step:
    match words:
        case ["pause", seconds]:
            return Step(number, "pause", seconds=_seconds(seconds))
        case ["end" | "reset" as verb]:
            return Step(number, verb)
        case ["send", "rest"]:
            return Step(number, "rest")
        case ["send", "bytes", *hexadecimal]:
            return Step(number, "bytes", data=bytes.fromhex("".join(hexadecimal)))
        case ["send", "half", *rest]:
            return _frame_step(number, "half", rest)
        case ["send", *rest]:
            return _frame_step(number, "send", rest)
        case ["expect", "end" | "reset" as what]:
            return Step(number, f"expect {what}")
        case ["expect", "nothing", seconds]:
            return Step(number, "expect nothing", seconds=_seconds(seconds))
        case ["expect", *rest]:
            return _frame_step(number, "expect", rest)
    raise ValueError("no such step")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError("no such time")
    return seconds


def _frame_step(number: int, verb: str, words: list[str]) -> Step:
    opcode, fin, rsv, mask = -1, True, 0, "right"
    payload: list[str] = []
    for word in words:
        name, _, value = word.partition("=")
        if word.startswith('"') or not value:
            if word in OPCODES and opcode < 0:
                opcode = OPCODES[word]
            else:
                payload.append(word)
        elif name == "opcode":
            opcode = int(value)
        elif name == "fin":
            fin = value != "0"
        elif name == "rsv":
            rsv = int(value)
        elif name == "mask" and value in ("none", "wrong", "zero"):
            mask = value
        else:
            raise ValueError(f"no such option: {word}")
    if not 0 <= opcode < 16 or not 0 <= rsv < 8:
        raise ValueError("it has no kind of frame")
    frame = Frame(opcode, _payload(opcode, payload), fin, rsv)
    return Step(number, verb, frame, cast(Mask, mask), any_payload=not payload)


def _payload(opcode: int, words: list[str]) -> bytes:
    if (
        opcode == OPCODES["close"]
        and words
        and words[0].isdigit()
        and len(words[0]) > 2
    ):
        code, *reason = words
        text = json.loads(reason[0]) if reason else ""
        return int(code).to_bytes(2, "big") + str(text).encode()
    if len(words) == 1 and words[0].startswith('"'):
        return str(json.loads(words[0])).encode("utf-8", "surrogatepass")
    return bytes.fromhex("".join(words))


def shown_frame(frame: Frame) -> str:
    """A frame as a script has it."""
    name = NAMES.get(frame.opcode, f"opcode={frame.opcode}")
    words = [name, *_shown_payload(frame)]
    words += [] if frame.fin else ["fin=0"]
    words += [f"rsv={frame.rsv}"] if frame.rsv else []
    return " ".join(words)


def _shown_payload(frame: Frame) -> Iterator[str]:
    payload = frame.payload
    if not payload:
        if frame.opcode not in (OPCODES["close"], OPCODES["ping"], OPCODES["pong"]):
            yield '""'
        return
    try:
        if frame.opcode == OPCODES["binary"] or frame.rsv:
            raise ValueError
        if frame.opcode != OPCODES["close"]:
            yield json.dumps(payload.decode(), ensure_ascii=True)
            return
        code, reason = int.from_bytes(payload[:2], "big"), payload[2:].decode()
        if len(payload) < 2 or code < 100:  # which would be bytes
            raise ValueError
        yield str(code)
        if reason:
            yield json.dumps(reason, ensure_ascii=True)
    except ValueError:
        yield payload.hex(" ")
