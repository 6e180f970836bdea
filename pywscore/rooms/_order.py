"""The messages of one room, once and in order: what a node has seen of them, and what
it has to read again. Knows no broker and no member."""

from __future__ import annotations

from collections import deque

from ._broker import Entry, Place, Reading

__all__ = ["Order"]

# Messages that wait for those before them; above it they are read again instead.
MAX_HELD = 1024
# What a message that is remembered needs besides its body.
OVERHEAD = 300
# So many characters of an epoch are kept by the one that replaces it.
LINEAGE = 8


class Order:
    """What a node has seen of a room with a history.

    Args:
        keep: how many messages are remembered, for members that come back.
        keep_bytes: how many bytes they may need.

    Attributes:
        place: of the last message that went out; None before the first reading.
        behind: something has to be read, after `place`, and given to ``take()``.
    """

    __slots__ = (
        "_compares",
        "_held",
        "_keep",
        "_keep_bytes",
        "_overflowed",
        "_recent",
        "_size",
        "behind",
        "place",
    )

    def __init__(self, keep: int, keep_bytes: int) -> None:
        self.place: Place | None = None
        self.behind = True
        self._held: list[tuple[Place, bytes]] | None = None
        self._overflowed = False
        self._compares = False
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._recent: deque[Entry] | None = None
        self._size = 0

    def see(self, place: Place, body: bytes) -> Entry | None:
        """A message that was published just now: it, if it goes out now."""
        last = self.place
        if self.behind or last is None:
            self._hold(place, body)
            return None
        # A room that was forgotten, or had no message yet, begins anew with 1.
        anew = place.offset == 1 and place.epoch != last.epoch
        if anew or (place.epoch == last.epoch and place.offset == last.offset + 1):
            return self._go_on(place, body)
        if place.epoch != last.epoch or place.offset > last.offset:
            self.behind = True
            self._hold(place, body)
        elif self._is_another(place):
            self.behind = True
        return None

    def lose_sight(self) -> None:
        """Messages may have passed unseen."""
        self.behind = True
        self._held = None
        self._overflowed = False

    @property
    def held(self) -> int:
        """How many messages wait for those before them."""
        return len(self._held or ())

    def take(self, reading: Reading, held: int) -> tuple[int | None, list[Entry]]:
        """What was read after `place`.

        Args:
            reading: what there is.
            held: how many were held when it was asked for. Those that it doesn't lead
                to aren't there: somebody else has said them.

        Returns:
            How many messages before them are missing, None if that can't be known, and
            the messages that go out now. `behind` says if there is more to be read.
        """
        last, epoch = self.place, reading.top.epoch
        missing: int | None = reading.missing
        entries = reading.entries
        if last is None:
            missing = 0
        elif not reading.continued and last.offset > 0:
            missing, self._compares = None, True
        elif last.epoch == epoch:
            entries = [entry for entry in entries if entry.offset > last.offset]
        if self._compares:
            entries = self._unseen(epoch, entries)
            if entries:  # and so are all after them
                self._forget()
                self._compares = False
        for entry in entries:
            self._remember(entry)
        if reading.entries:
            end = reading.entries[-1]
            self.place = Place(epoch, end.offset, end.tag)
        else:
            self.place = reading.top
        self.behind = self.place.offset < reading.top.offset
        if self.behind:
            return missing, list(entries)
        if self._compares:
            self._compares = False
            self._forget_after(self.place.offset)
        return missing, [*entries, *self._release(held)]

    def since(self, place: Place) -> list[Entry] | None:
        """The messages after a place up to the last one that went out; None if they are
        not all remembered."""
        last = self.place
        if last is None or self.behind or place.epoch != last.epoch:
            return None
        if place.offset >= last.offset:
            return []
        if not self._recent or self._recent[0].offset > place.offset + 1:
            return None
        return [entry for entry in self._recent if entry.offset > place.offset]

    def _go_on(self, place: Place, body: bytes) -> Entry:
        if self.place is not None and place.epoch != self.place.epoch:
            self._forget()
        entry = Entry(place.offset, place.tag, body)
        self.place = place
        self._remember(entry)
        return entry

    def _hold(self, place: Place, body: bytes) -> None:
        if self._held is None:
            self._held = []
        if len(self._held) < MAX_HELD:
            self._held.append((place, body))
        else:
            self._overflowed = True

    def _release(self, known: int) -> list[Entry]:
        held, self._held = self._held or (), None
        again, self._overflowed = self._overflowed, False
        out = []
        for number, (place, body) in enumerate(held):
            if self.place is not None and place.epoch == self.place.epoch:
                if number < known and place.offset > self.place.offset + 1:
                    continue
                entry = self.see(place, body)
                out += [] if entry is None else [entry]
            else:
                # Older than the reading or newer: another one tells.
                again = True
        self.behind = self.behind or again
        return out

    def _is_another(self, place: Place) -> bool:
        return any(
            entry.offset == place.offset and entry.tag != place.tag
            for entry in self._recent or ()
        )

    def _unseen(self, epoch: str, entries: list[Entry]) -> list[Entry]:
        """Those after the last one that is remembered: in a history with a new epoch
        may be messages of the old one. What is older than all that is remembered may
        be one of them, too; that messages may be missing has been said."""
        seen = {entry.tag for entry in self._recent or ()}
        for index in range(len(entries), 0, -1):
            if entries[index - 1].tag in seen:
                return entries[index:]
        last = self.place
        if last is not None and _is_successor(epoch, last.epoch):
            oldest = self._recent[0].offset if self._recent else last.offset + 1
            entries = [entry for entry in entries if entry.offset >= oldest]
        return entries

    def _forget_after(self, offset: int) -> None:
        while self._recent and self._recent[-1].offset > offset:
            self._size -= _size_of(self._recent.pop())

    def _forget(self) -> None:
        self._recent = None
        self._size = 0

    def _remember(self, entry: Entry) -> None:
        if self._recent and entry.offset != self._recent[-1].offset + 1:
            self._forget()
        if self._recent is None:
            self._recent = deque()
        recent = self._recent
        recent.append(entry)
        self._size += _size_of(entry)
        while recent and (len(recent) > self._keep or self._size > self._keep_bytes):
            self._size -= _size_of(recent.popleft())


def _size_of(entry: Entry) -> int:
    return len(entry.body) + OVERHEAD


def _is_successor(epoch: str, other: str) -> bool:
    """Offsets of one go on where those of the other were, or before."""
    return epoch[:LINEAGE] == other[:LINEAGE]
