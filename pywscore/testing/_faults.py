"""What can go wrong in one direction between two ends."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from .._numbers import finite, whole_number

__all__ = ["DEFAULTS", "Direction", "Faults", "Split"]

Split = Literal["whole", "bytes", "random"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What happens to the bytes in one direction. Offsets count the bytes sent in that
    direction from the beginning, the opening handshake included.

    Attributes:
        split: ``"whole"`` as they were written, ``"bytes"`` one by one, ``"random"`` in
            random pieces. None: as pytest's ``--ws-split`` says, else whole.
        delay: seconds that each piece takes.
        drop: ranges of offsets, as ``(first, last + 1)``, of bytes that get lost.
        duplicate: ranges of offsets of bytes that come twice.
        end_at: the offset at which this direction ends, as by a half-close; what is
            sent after it gets lost.
        reset_at: the offset at which the connection is reset, for both ends.
    """

    split: Split | None = None
    delay: float = 0.0
    drop: Sequence[tuple[int, int]] = ()
    duplicate: Sequence[tuple[int, int]] = ()
    end_at: int | None = None
    reset_at: int | None = None

    def __post_init__(self) -> None:
        if self.split not in (None, "whole", "bytes", "random"):
            raise ValueError("split must be 'whole', 'bytes' or 'random'")
        seconds = finite("delay", self.delay, "a number of seconds")
        object.__setattr__(self, "delay", seconds)
        for name in ("end_at", "reset_at"):
            if (offset := getattr(self, name)) is not None:
                offset = whole_number(name, offset, 0, sys.maxsize)
                object.__setattr__(self, name, offset)
        for name in ("drop", "duplicate"):
            for offset in chain.from_iterable(getattr(self, name)):
                whole_number(name, offset, 0, sys.maxsize)


@dataclass(slots=True)
class Defaults:
    """What pytest was told."""

    split: Split = "whole"
    seed: int | None = None


DEFAULTS = Defaults()


class Direction:
    """One way of a link.

    Attributes:
        data: all that was sent, before anything happened to it.
    """

    def __init__(
        self,
        sender: str,
        faults: Faults,
        choose: random.Random,
        log: list[tuple[str, bytes]],
    ) -> None:
        self.data = bytearray()
        self._sender = sender
        self._log = log
        self._faults = faults
        self._random = choose
        self._ended = False

    def carry(self, data: bytes) -> tuple[list[bytes], str | None]:
        """The pieces that arrive, and after them ``"end"`` or ``"reset"``."""
        start = len(self.data)
        self.data += data
        self._log.append((self._sender, data))
        if self._ended:
            return [], None
        what = None
        for name, offset in (
            ("end", self._faults.end_at),
            ("reset", self._faults.reset_at),
        ):
            if offset is not None and start + len(data) >= offset:
                data = data[: max(offset - start, 0)]
                what = name
                self._ended = True
        return list(self._split(self._spoil(start, data))), what

    def _spoil(self, start: int, data: bytes) -> bytes:
        if not (self._faults.drop or self._faults.duplicate):
            return data
        out = bytearray()
        for index, byte in enumerate(data, start):
            if not _within(index, self._faults.drop):
                out.append(byte)
            for first, end in self._faults.duplicate:
                if index == end - 1:
                    out += self.data[first:end]
        return bytes(out)

    def _split(self, data: bytes) -> Iterator[bytes]:
        how = self._faults.split or DEFAULTS.split
        if how == "whole":
            if data:
                yield data
            return
        start = 0
        while start < len(data):
            size = 1
            if how == "random":
                size = self._random.choice((1, 1, 2, 3, 7, 50, 1000))
            yield data[start : start + size]
            start += size


def _within(index: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(first <= index < end for first, end in ranges)
