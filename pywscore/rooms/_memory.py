"""Rooms of one process, with nothing to install."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice

from ._broker import NOWHERE, Broker, Entry, Node, Place, Publication, Reading, Report
from ._errors import HubClosed, HubError

__all__ = ["MemoryBroker"]

IDEMPOTENT_FOR = 300.0
# What all histories may take together, by bodies and about what objects add to them.
MAX_BYTES = 64 << 20
OF_HISTORY = 1024
OF_ENTRY = 256
OF_KEY = 384


class _History:
    """The messages of one room that are kept."""

    __slots__ = (
        *("entries", "epoch", "expires", "known", "known_size", "offset", "size"),
        "tag",
    )

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(8)
        self.offset = 0
        self.tag = ""
        self.entries: deque[Entry] = deque()
        self.size = OF_HISTORY
        self.expires = 0.0
        self.known: dict[str, tuple[float, Place | None]] = {}
        self.known_size = 0

    def add(self, publication: Publication) -> Place:
        self.offset += 1
        self.tag = publication.tag
        self.entries.append(Entry(self.offset, self.tag, publication.body))
        self.size += len(publication.body) + OF_ENTRY
        while len(self.entries) > publication.history:
            self.size -= len(self.entries.popleft().body) + OF_ENTRY
        return Place(self.epoch, self.offset, self.tag)

    def know(self, key: str, place: Place | None, until: float) -> None:
        """Until then, what is published with the key is what is at that place."""
        self.known[key] = until, place
        self._known_more(len(key) + OF_KEY)

    def forget_keys(self, now: float) -> None:
        """Those whose time is over, and the oldest of too many."""
        while self.known:
            key = next(iter(self.known))
            if self.known[key][0] > now and self.known_size <= MAX_BYTES:
                return
            del self.known[key]
            self._known_more(-len(key) - OF_KEY)

    def _known_more(self, size: int) -> None:
        self.known_size += size
        self.size += size

    def read(self, after: Place | None, limit: int) -> Reading:
        top = Place(self.epoch, self.offset, self.tag)
        continued = after is None or after.epoch == self.epoch
        oldest = self.entries[0].offset if self.entries else self.offset + 1
        begins = after is None or not (continued or after.offset == 0)
        start = oldest - 1 if after is None or begins else after.offset
        skip = max(start - oldest + 1, 0)
        entries = list(islice(self.entries, skip, skip + limit))
        return Reading(top, entries, max(oldest - 1 - start, 0), continued)


class _Shared:
    """What all hubs with one URL share: histories, nodes and who is where."""

    def __init__(self) -> None:
        self.nodes: dict[str, tuple[Node, set[str]]] = {}
        self.histories: OrderedDict[str, _History] = OrderedDict()
        self.size = 0  # of them
        self.members: dict[str, dict[str, bytes]] = {}

    def history(self, room: str) -> _History:
        """Of a room in which something is published now."""
        history = self.histories.get(room)
        if history is None:
            history = self.histories[room] = _History()
            self.size += history.size
        self.histories.move_to_end(room)
        return history

    def forget_old(self, now: float) -> None:
        """The room without a new message for longest is first, if all have the same
        ttl; with others some are kept for longer."""
        while self.histories and next(iter(self.histories.values())).expires <= now:
            self._forget_first()

    def forget_above(self, most: int) -> None:
        """Down to so many bytes: rooms without a new message for longest go first, the
        last one stays."""
        while self.size > most and len(self.histories) > 1:
            self._forget_first()

    def _forget_first(self) -> None:
        _, history = self.histories.popitem(last=False)
        self.size -= history.size


_shared: dict[tuple[asyncio.AbstractEventLoop, str], _Shared] = {}


class MemoryBroker(Broker):
    """Hubs of one loop with the same ``memory://name`` are nodes of the same rooms;
    with ``memory://`` each is alone."""

    def __init__(
        self, name: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shared_as = name
        self._clock = clock
        self._shared = _Shared()
        self._rooms: set[str] = set()
        self._name = ""
        self._opened = False

    async def open(self, node: Node, name: str, timeout: float) -> None:
        if self._shared_as:
            key = (asyncio.get_running_loop(), self._shared_as)
            self._shared = _shared.setdefault(key, self._shared)
        if name in self._shared.nodes:
            raise HubError(f"there is a node of the name {name!r} already")
        self._name, self._opened = name, True
        self._shared.nodes[name] = node, self._rooms
        node.on_state(True, "")
        self._tell_nodes()

    async def close(self) -> None:
        if not self._opened:
            return
        self._opened = False
        shared = self._shared
        del shared.nodes[self._name]
        for room, known in list(shared.members.items()):
            if known.pop(self._name, None) is not None and not known:
                del shared.members[room]
        self._tell_nodes()
        if self._shared_as and not shared.nodes:
            _shared.pop((asyncio.get_running_loop(), self._shared_as), None)

    async def publish(self, publication: Publication) -> Place | None:
        self._check()
        now = self._clock()
        room = publication.room
        self._shared.forget_old(now)
        key = publication.idempotency_key
        history: _History | None = None
        if publication.history or key is not None:
            history = self._shared.history(room)
            history.expires = now + publication.ttl
        place = None
        if history is not None:
            before = history.size
            history.forget_keys(now)
            if key is not None and key in history.known:
                self._shared.size += history.size - before
                return history.known[key][1]
            if publication.history:
                place = history.add(publication)
            if key is not None:
                history.know(key, place, now + IDEMPOTENT_FOR)
            self._shared.size += history.size - before
            self._shared.forget_above(MAX_BYTES)
        for node, rooms in list(self._shared.nodes.values()):
            if room in rooms:
                node.on_message(room, place, publication.body)
        return place

    async def subscribe(self, rooms: Collection[str]) -> None:
        self._check()
        self._rooms.update(rooms)

    async def unsubscribe(self, rooms: Collection[str]) -> None:
        self._rooms.difference_update(rooms)

    async def read(self, room: str, after: Place | None, limit: int) -> Reading:
        self._check()
        self._shared.forget_old(self._clock())
        history = self._shared.histories.get(room)
        if history is None:
            continued = after is None or after.offset == 0
            return Reading(NOWHERE, [], 0, continued)
        return history.read(after, limit)

    async def announce(self, reports: Iterable[tuple[Report, bytes]]) -> None:
        self._check()
        for report, packed in reports:
            known = self._shared.members.setdefault(report.room, {})
            if packed:
                known[report.node] = packed
            else:
                known.pop(report.node, None)
                if not known:
                    del self._shared.members[report.room]
            for node, rooms in list(self._shared.nodes.values()):
                if report.room in rooms:
                    node.on_report(report)

    async def present(self, room: str) -> Mapping[str, bytes]:
        self._check()
        return dict(self._shared.members.get(room, {}))

    def _check(self) -> None:
        if not self._opened:
            raise HubClosed("the hub isn't open")

    def _tell_nodes(self) -> None:
        alive = list(self._shared.nodes)
        for node, _ in list(self._shared.nodes.values()):
            node.on_nodes(alive)
