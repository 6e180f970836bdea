"""Publishing: what is published at the same time is one call of the script."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError, ResponseError

from .._broker import NOWHERE, Place, Publication
from .._errors import HubError, PublishError
from .._pipeline import Calls, fail
from .keys import key_of, partition_of
from .reasons import PASSING, RedisError
from .scripts import run, script

__all__ = ["Publisher"]

# Redis does nothing else meanwhile.
MAX_MESSAGES = 64
MAX_BYTES = 256 << 10
MAX_WAITING = 64 << 20
IDEMPOTENT_FOR = 300
TIMEOUT = 6.0
MAX_DELAY = 2.0
AGAIN, ONCE = 1, 2
MAY_BE_THERE = (
    "the connection broke, and so much was published since that nobody knows if this "
    "was: an idempotency_key would tell"
)
# Rooms of which is known what stands where, from before something is published.
MAX_RUNS = 1000

# Whether it is tried again, and a place that was there before it was tried first.
Asked = tuple[Publication, bool, Place, asyncio.Future[Place]]


class Run(NamedTuple):
    """Messages of a room that were acknowledged, one after the other."""

    epoch: str
    first: int
    last: int


class Publisher:
    """
    Args:
        calls: gives commands.
        prefix: of all keys and channels.
        apart: rooms of different partitions can't be in one call.
        say: the words for what went wrong.

    Attributes:
        calls, prefix: as given.
        closed: nothing is tried again.
    """

    def __init__(
        self,
        calls: Calls,
        prefix: str,
        apart: bool,
        say: Callable[[BaseException], str],
    ) -> None:
        self.calls = calls
        self.prefix = prefix
        self.closed = False
        self._apart = apart
        self._say = say
        self._open: dict[int, Batch] = {}  # those that aren't sent yet, by partition
        self._size = 0  # of what isn't acknowledged
        self._runs: dict[str, Run] = {}  # by room
        self._pauses: dict[float, asyncio.Event] = {}

    async def publish(self, publication: Publication) -> Place | None:
        """
        Raises:
            PublishError: if it isn't acknowledged after some attempts, or so much waits
                for Redis that no more is taken.
        """
        if self._size > MAX_WAITING:
            raise PublishError(f"{self._size >> 20} MiB wait for Redis")
        size = len(publication.body)
        self._size += size
        try:
            if publication.history:
                run = self._runs.get(publication.room)
                before = NOWHERE if run is None else Place(run.epoch, run.last)
                place: Place = await self._tried(
                    lambda again: self._keep(publication, again, before)
                )
                self._remember(publication.room, place)
                return place
            await self._publish_live(publication)
            return None
        finally:
            self._size -= size

    def _remember(self, room: str, place: Place) -> None:
        run = self._runs.pop(room, None)
        if run is None or run.epoch != place.epoch or place.offset > run.last + 1:
            run = Run(place.epoch, place.offset, place.offset)
        elif place.offset == run.last + 1:
            run = run._replace(last=place.offset)
        self._runs[room] = run
        if len(self._runs) > MAX_RUNS:
            del self._runs[next(iter(self._runs))]

    def known_since(self, room: str, before: Place) -> Place:
        """The last place up to which all messages after `before` are known to be
        others than one that isn't acknowledged."""
        run = self._runs.get(room)
        if run is None or before.epoch not in ("", run.epoch):
            return before
        follows = run.first <= before.offset + 1 <= run.last + 1
        return Place(run.epoch, run.last) if follows else before

    def _keep(
        self, publication: Publication, again: bool, before: Place
    ) -> asyncio.Future[Place]:
        partition = partition_of(publication.room) if self._apart else 0
        batch = self._open.get(partition)
        if batch is None or batch.is_full:
            batch = self._open[partition] = Batch(self, partition)
            self.calls.put(batch.command, batch)
        future = asyncio.get_running_loop().create_future()
        batch.add((publication, again, before, future))
        return future

    def close(self, batch: Batch) -> None:
        """Nothing more is to be added to it."""
        if self._open.get(batch.partition) is batch:
            del self._open[batch.partition]

    async def _publish_live(self, publication: Publication) -> None:
        channel = key_of(self.prefix, publication.room, "c")
        live = b"m- 0 %s %s" % (publication.tag.encode(), publication.body)
        calls = self.calls
        if publication.idempotency_key is None:
            await self._tried(lambda again: calls.call("PUBLISH", channel, live), 1)
            return
        keys = [once_key(self.prefix, publication)]
        arguments = [channel, live, IDEMPOTENT_FOR]
        await self._tried(lambda again: run(calls, "publish_once", keys, arguments))

    async def _tried(
        self, attempt: Callable[[bool], Awaitable[Any]], attempts: int = 8
    ) -> Any:
        """Redis's answer, after some attempts if it is away for a moment."""
        end = time.monotonic() + TIMEOUT
        delay = 0.05
        for number in range(attempts):
            try:
                return await attempt(number > 0)
            except PASSING as exc:
                if number + 1 == attempts or time.monotonic() + delay > end:
                    raise PublishError(self._say(exc)) from exc
            except RedisError as exc:
                raise PublishError(self._say(exc)) from exc
            except HubError as exc:
                raise PublishError(str(exc)) from None
            await self._pause(delay)
            delay = min(2 * delay, MAX_DELAY)
            if self.closed:
                raise PublishError("the hub is closed")
        raise AssertionError("there is a last attempt")

    async def _pause(self, delay: float) -> None:
        """For all who begin to wait for so long meanwhile: what is tried again together
        is one call, in its order."""
        pause = self._pauses.get(delay)
        if pause is None:
            pause = self._pauses[delay] = asyncio.Event()
            seconds = delay * random.uniform(0.5, 1)
            asyncio.get_running_loop().call_later(seconds, self._end_pause, delay)
        await pause.wait()

    def _end_pause(self, delay: float) -> None:
        self._pauses.pop(delay).set()


class Batch:
    """One call of the script for many who wait for it: what receives its answer."""

    __slots__ = ("_count", "_publisher", "_rooms", "_sent", "_size", "partition")

    def __init__(self, publisher: Publisher, partition: int) -> None:
        self.partition = partition
        self._publisher = publisher
        self._rooms: dict[str, list[Asked]] = {}
        self._count = self._size = 0
        self._sent: list[Asked] = []

    @property
    def is_full(self) -> bool:
        return self._count >= MAX_MESSAGES or self._size >= MAX_BYTES

    def add(self, asked: Asked) -> None:
        publication = asked[0]
        self._rooms.setdefault(publication.room, []).append(asked)
        self._count += 1
        self._size += len(publication.body)

    def command(self) -> list[Any]:
        self._publisher.close(self)
        return self._command("EVALSHA", script("publish")[1])

    def _command(self, word: str, named: str) -> list[Any]:
        prefix = self._publisher.prefix
        keys: list[str | bytes] = []
        arguments: list[Any] = [IDEMPOTENT_FOR]
        self._sent = []
        for room, asked in self._rooms.items():
            first = asked[0][0]
            keys += key_of(prefix, room, "s"), key_of(prefix, room, "m")
            arguments += key_of(prefix, room, "c"), first.history
            some_again = any(again for _, again, *_ in asked)
            arguments += max(1, round(first.ttl)), int(some_again), len(asked)
            for publication, again, before, _ in asked:
                how = AGAIN if again else 0
                if publication.idempotency_key is not None:
                    how += ONCE
                    keys.append(once_key(prefix, publication))
                arguments += publication.body, publication.tag.encode(), how
                if again:
                    known = self._publisher.known_since(room, before)
                    arguments += known.epoch.encode(), known.offset
            self._sent += asked
        return [word, named, len(keys), *keys, *arguments]

    def done(self) -> bool:
        return all(
            future.done() for them in self._rooms.values() for *_, future in them
        )

    def set_result(self, result: bytes, /) -> None:
        try:
            words = iter(result.decode().split())
            found = zip(words, map(int, words), words, strict=True)
            places = [Place(*it) for it in found]
            sent = list(zip(self._sent, places, strict=True))
        except ValueError:  # by what others have put there
            self.set_exception(ResponseError("what isn't ours is in the room"))
            return
        for (*_, future), place in sent:
            if future.done():
                pass
            elif place.epoch == "?":
                future.set_exception(PublishError(MAY_BE_THERE))
            else:
                future.set_result(place)

    def set_exception(self, exception: Exception, /) -> None:
        self._publisher.close(self)
        refused = isinstance(exception, ResponseError)
        if isinstance(exception, NoScriptError):
            text = script("publish")[0]
            self._publisher.calls.put(lambda: self._command("EVAL", text), self)
        elif refused and not isinstance(exception, PASSING) and self._count > 1:
            self._try_each()
        else:
            for them in self._rooms.values():
                for *_, future in them:
                    fail(future, exception)

    def _try_each(self) -> None:
        """It may be one of them that is refused; others may be there already."""
        for publication, _, before, future in self._sent:
            if not future.done():
                alone = Batch(self._publisher, self.partition)
                alone.add((publication, True, before, future))
                self._publisher.calls.put(alone.command, alone)


def once_key(prefix: str, publication: Publication) -> bytes:
    key = key_of(prefix, publication.room, "i")
    return f"{key}.{publication.idempotency_key}".encode()
