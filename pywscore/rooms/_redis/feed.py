"""What nodes say to each other: one connection with all subscriptions."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from typing import Any

from redis import exceptions as errors

from .._broker import Node, Place, Report
from .._errors import HubClosed, HubError
from .._log import log
from .reasons import PASSING, RedisError, reason
from .target import Target

__all__ = ["Feed", "pack_report"]

logger = logging.getLogger("pywscore.rooms")

SUBSCRIBE_AT_ONCE = 512
REPLY_TIMEOUT = 3.0
SILENCE = 5.0
MAX_DELAY = 0.5


class Feed:
    """The one connection that has subscriptions, made anew whenever it is lost.

    Args:
        target: where Redis is.
        node: whom to tell.
        rooms: those that are wanted, by channel.
        probe_channel: a channel of this node alone.
        probe: publishes something on that.

    Attributes:
        up: set while messages come.
        why, cause: what went wrong last.
    """

    def __init__(
        self,
        target: Target,
        node: Node,
        rooms: Mapping[str, str],
        probe_channel: str,
        probe: Callable[[], Awaitable[object]],
    ) -> None:
        self._target = target
        self._node = node
        self._rooms = rooms
        self._probe_channel = probe_channel
        self._send_probe = probe
        self.up = asyncio.Event()
        self.why = ""
        self.cause: BaseException | None = None
        self._connection: Any = None
        self._subscribed: set[str] = set()
        # By channel, with the name that rooms have, too.
        self._waiting: dict[str, tuple[str, list[asyncio.Future[None]]]] = {}
        self._limit: asyncio.Timeout | None = None
        self._heard = 0.0
        self._probed = 0.0
        self._probes: set[asyncio.Task[None]] = set()
        self._commands_fail = False
        self._listens = False

    async def run(self) -> None:
        delay = 0.02
        while True:
            try:
                await self._listen()
            except Exception as exc:
                if not isinstance(exc, (*PASSING, RedisError)):
                    logger.exception("listening failed, and begins again")
                if self._listens:
                    delay = 0.02
                self._listens = False
                self.why, self.cause = reason(exc), exc
                self._tell()
            await asyncio.sleep(delay * random.uniform(0.5, 1))
            delay = min(2 * delay, MAX_DELAY)

    def close(self) -> None:
        self.up.clear()
        for _, futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(HubClosed("the hub is closed"))
                    future.exception()
        self._waiting.clear()

    async def subscribe(self, channels: Collection[str]) -> None:
        """Until they are subscribed, however long that takes."""
        missing = [name for name in channels if name not in self._subscribed]
        loop = asyncio.get_running_loop()
        futures = []
        for name in missing:
            future = loop.create_future()
            self._waiting.setdefault(name, (name, []))[1].append(future)
            futures.append(future)
        await self._send("SUBSCRIBE", missing)
        for future in futures:
            await future

    async def unsubscribe(self, channels: Collection[str]) -> None:
        # Who hasn't been answered yet is subscribed then, and unsubscribed later: what
        # is sent twice in between would have answers that can't be told apart.
        channels = [name for name in channels if name in self._subscribed]
        self._subscribed.difference_update(channels)
        await self._send("UNSUBSCRIBE", channels)

    def fail(self, exc: BaseException) -> None:
        """Commands don't get through."""
        self.why, self.cause = reason(exc), exc
        self._commands_fail = True
        self._tell()

    def recover(self) -> None:
        """Commands get through."""
        self._commands_fail = False
        self._tell()

    def listen_up(self) -> None:
        """Now and then: a connection that has been silent has to bring what we say to
        ourselves, or else it is deaf."""
        self._drop_unwanted()
        now = time.monotonic()
        if not self._listens or now - self._heard < SILENCE:
            self._probed = 0.0
        elif not self._probed:
            self._probed = now
            self._start(self._probe())
        elif now - self._probed > SILENCE and self._limit is not None:
            self._limit.reschedule(0)

    def _drop_unwanted(self) -> None:
        wanted = self._rooms
        if self._listens and len(self._subscribed) > len(wanted) + 1:
            self._start(
                self.unsubscribe(
                    self._subscribed - wanted.keys() - {self._probe_channel}
                )
            )

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._probes.add(task)
        task.add_done_callback(self._probes.discard)

    async def _probe(self) -> None:
        try:
            await self._send_probe()
        except (*PASSING, RedisError, HubError):
            pass  # what isn't heard is what counts

    def _tell(self) -> None:
        up = self._listens and not self._commands_fail
        if up == self.up.is_set():
            return
        (self.up.set if up else self.up.clear)()
        self._node.on_state(up, "" if up else f"{self._target}: {self.why}")

    async def _send(self, command: str, channels: Collection[str]) -> None:
        names = list(channels)
        for start in range(0, len(names), SUBSCRIBE_AT_ONCE):
            connection = self._connection
            if connection is None or not connection.is_connected:
                return  # the next one has them all
            try:
                await connection.send_command(
                    command, *names[start : start + SUBSCRIBE_AT_ONCE]
                )
            except (*PASSING, RedisError):
                return

    async def _listen(self) -> None:
        client, connection = await self._target.feed()
        self._subscribed.clear()
        try:
            async with asyncio.timeout(REPLY_TIMEOUT) as limit:
                await connection.connect()
                await connection.send_command("SUBSCRIBE", self._probe_channel)
                self._connection = connection
                await self._resubscribe(connection, limit)
            async with asyncio.timeout(None) as self._limit:
                self._listens = True
                self._heard = time.monotonic()
                self._tell()
                while True:
                    self._on_push(await connection.read_response())
        except TimeoutError as exc:
            raise errors.TimeoutError("nothing is heard of it") from exc
        finally:
            self._connection = self._limit = None
            await connection.disconnect(nowait=True)
            await client.aclose()

    async def _resubscribe(self, connection: Any, limit: asyncio.Timeout) -> None:
        """All that is wanted, within a time for the replies to one command."""
        rest = {self._probe_channel, *self._rooms}
        await self._send("SUBSCRIBE", list(self._rooms))
        while rest:
            name = self._on_push(await connection.read_response())
            rest.discard(name)
            if len(rest) % SUBSCRIBE_AT_ONCE == 0:
                limit.reschedule(asyncio.get_running_loop().time() + REPLY_TIMEOUT)
        known = self._subscribed
        self._subscribed = {name for name in self._rooms if name in known} | known

    def _on_push(self, push: Any) -> str:
        """The channel that it is of."""
        self._heard = time.monotonic()
        kind, name = push[0], push[1].decode()
        if kind == b"message":
            room = self._rooms.get(name)
            if room is not None:
                self._on_message(room, push[2])
        elif kind == b"subscribe":
            same, futures = self._waiting.pop(name, (name, []))
            self._subscribed.add(same)
            for future in futures:
                if not future.done():
                    future.set_result(None)
        return str(name)

    def _on_message(self, room: str, data: bytes) -> None:
        try:
            if data[:1] == b"r":
                report = unpack_report(room, data[1:])
            else:
                epoch, offset, tag, body = data[1:].split(b" ", 3)
                place = Place(epoch.decode(), int(offset), tag.decode())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            text = "what isn't ours is published in room %.100r"
            log.log(logging.WARNING, text, room)
            return
        try:
            if data[:1] == b"r":
                self._node.on_report(report)
            else:
                self._node.on_message(room, place if place.offset else None, body)
        except Exception as exc:  # one message less, and no deaf node
            text = "a message of room %.100r failed"
            log.log(logging.ERROR, text, room, exc_info=exc)


def pack_report(report: Report) -> str:
    joined = report.joined
    return json.dumps(
        {
            "n": report.node,
            "c": report.count,
            "j": joined and {key: user.decode() for key, user in joined.items()},
            "l": list(report.left),
            "w": report.whole,
        }
    )


def unpack_report(room: str, packed: bytes) -> Report:
    """Raises:
    ValueError, KeyError, TypeError, AttributeError, RecursionError: if it isn't one.
    """
    it = json.loads(packed)
    joined = it["j"]
    for user in (joined or {}).values():
        json.loads(user)  # it is read where that must not fail
    return Report(
        room,
        str(it["n"]),
        int(it["c"]),
        joined and {key: user.encode() for key, user in joined.items()},
        list(it["l"]),
        bool(it["w"]),
    )
