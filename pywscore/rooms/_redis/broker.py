"""Rooms over Redis: live by Pub/Sub, truth in streams, both by one script. What it
keeps there is in keys.py."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import Any

from redis.exceptions import AuthenticationError

from .._broker import NOWHERE, Broker, Entry, Node, Place, Publication, Reading, Report
from .._errors import HubClosed, HubError, PublishError
from .._pipeline import Calls
from .feed import Feed, pack_report
from .keys import key_of
from .publisher import Publisher
from .reasons import PASSING, RedisError, reason
from .scripts import run
from .target import Target

__all__ = ["RedisBroker"]

logger = logging.getLogger("pywscore.rooms")

OLDEST = (6, 2)
PRESENCE_TTL = 86_400
COMMAND_TIMEOUT = 3.0
BEAT = 2.0
BEAT_IN_NEED = 0.5
DEAD_AFTER = 7
MAX_DELAY = 2.0


class RedisBroker(Broker):
    """One Redis, one with Sentinels, or one cluster.

    Args:
        target: where that is.
        prefix: what all keys and channels begin with.
    """

    brings_many = True

    def __init__(self, target: Target, prefix: str) -> None:
        self._target = target
        self._prefix = prefix
        self._name = ""
        self._commands: Calls | None = None
        self._publisher: Publisher | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted: dict[str, str] = {}  # rooms by channel
        self._feed: Feed | None = None

    # What a hub calls

    async def open(self, node: Node, name: str, timeout: float) -> None:
        self._name = name
        self._wanted.clear()
        commands = self._commands = self._target.commands(COMMAND_TIMEOUT)
        self._publisher = Publisher(
            commands, self._prefix, self._target.has_slots, self._say
        )
        probe = f"{self._prefix}.probe.{name}"
        feed = self._feed = Feed(
            *(self._target, node, self._wanted, probe),
            lambda: self._call("PUBLISH", probe, b"?"),
        )
        try:
            async with asyncio.timeout(timeout):
                await self._connect(feed)
                self._tasks = [
                    asyncio.create_task(feed.run()),
                    asyncio.create_task(self._beat(feed, node)),
                ]
                await feed.up.wait()
        except TimeoutError:
            await self.close()
            why = feed.why or "no answer"
            raise HubError(
                f"{self._target} isn't there: {why} (for {timeout:g} s)"
            ) from feed.cause
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                await asyncio.wait(tasks)
                await self._say_goodbye()
        finally:
            if self._feed is not None:
                self._feed.close()
            if self._publisher is not None:
                self._publisher.closed = True
            commands, self._commands, self._publisher = self._commands, None, None
            if commands is not None:
                await commands.close(HubClosed("the hub is closed"))

    async def _say_goodbye(self) -> None:
        try:
            async with asyncio.timeout(1):
                await self._call("ZREM", f"{self._prefix}.nodes", self._name)
        except (*PASSING, RedisError, HubError):
            pass  # others see that it is gone

    async def publish(self, publication: Publication) -> Place | None:
        if self._publisher is None:
            raise PublishError("the hub isn't open")
        return await self._publisher.publish(publication)

    async def subscribe(self, rooms: Collection[str]) -> None:
        channels = {self._key(room, "c"): room for room in rooms}
        self._wanted.update(channels)
        await self._listening().subscribe(channels)

    async def unsubscribe(self, rooms: Collection[str]) -> None:
        channels = [self._key(room, "c") for room in rooms]
        for channel in channels:
            self._wanted.pop(channel, None)
        await self._listening().unsubscribe(channels)

    async def read(self, room: str, after: Place | None, limit: int) -> Reading:
        place = Place("", -1) if after is None else after
        reply = await self._checked(
            self._run(
                "read",
                [self._key(room, "s"), self._key(room, "m")],
                [
                    *(place.epoch, place.offset, place.tag.encode(), limit),
                    secrets.token_hex(8).encode(),
                ],
            )
        )
        epoch, offset, tag, missing, continued, flat = reply
        entries = [
            Entry(int(flat[i]), _text(flat[i + 1]), flat[i + 2])
            for i in range(0, len(flat), 3)
        ]
        top = NOWHERE
        if epoch:
            top = Place(_text(epoch), int(offset), _text(tag))
        return Reading(top, entries, int(missing), bool(continued))

    async def announce(self, reports: Iterable[tuple[Report, bytes]]) -> None:
        calls = [
            self._run(
                "announce",
                [self._key(report.room, "p")],
                [
                    *(self._key(report.room, "c"), report.node, packed),
                    *(PRESENCE_TTL, pack_report(report).encode()),
                ],
            )
            for report, packed in reports
        ]
        await self._checked(_all(calls))

    async def present(self, room: str) -> Mapping[str, bytes]:
        key = self._key(room, "p")
        known, (_, alive) = await self._checked(
            _all([self._call("HGETALL", key), self._nodes("")])
        )
        if isinstance(known, list):  # redis-py's cluster has made a dict of it
            known = dict(zip(known[::2], known[1::2], strict=True))
        by_node = {_text(node): packed for node, packed in known.items()}
        living = {_text(node) for node in alive}
        if dead := [node for node in by_node if node not in living]:
            await self._checked(self._call("HDEL", key, *dead))
        return {node: by_node[node] for node in by_node if node in living}

    # Commands

    def _key(self, room: str, kind: str) -> str:
        return key_of(self._prefix, room, kind)

    async def _call(self, *command: Any) -> Any:
        return await self._calls().call(*command)

    async def _run(
        self, name: str, keys: Sequence[str | bytes], arguments: Sequence[Any]
    ) -> Any:
        return await run(self._calls(), name, keys, arguments)

    def _calls(self) -> Calls:
        if self._commands is None:
            raise HubClosed("the hub isn't open")
        return self._commands

    def _nodes(self, name: str) -> Awaitable[Any]:
        return self._run("nodes", [f"{self._prefix}.nodes"], [name, DEAD_AFTER])

    async def _checked(self, awaitable: Awaitable[Any]) -> Any:
        try:
            return await awaitable
        except (*PASSING, RedisError) as exc:
            raise HubError(self._say(exc)) from exc

    def _say(self, exc: BaseException) -> str:
        return f"{self._target}: {reason(exc)}"

    # Life

    def _listening(self) -> Feed:
        if self._feed is None or self._commands is None:
            raise HubClosed("the hub isn't open")
        return self._feed

    async def _connect(self, feed: Feed) -> None:
        """Until it is there; HubError if waiting is no use."""
        delay = 0.05
        while True:
            try:
                info = await self._call("INFO", "server")
                break
            except AuthenticationError as exc:
                raise HubError(self._say(exc)) from exc
            except PASSING as exc:
                feed.why, feed.cause = reason(exc), exc
            except RedisError as exc:
                raise HubError(self._say(exc)) from exc
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_DELAY)
        version = _version(info)
        if tuple(map(int, version.split(".")[:2])) < OLDEST:
            needed = ".".join(map(str, OLDEST))
            raise HubError(f"{self._target} has version {version}; {needed} is needed")
        await self._checked(self._nodes(self._name))

    async def _beat(self, feed: Feed, node: Node) -> None:
        while True:
            beat = BEAT
            try:
                was_dead, alive = await self._nodes(self._name)
            except (*PASSING, RedisError, HubError) as exc:
                feed.fail(exc)
                beat = BEAT_IN_NEED * random.uniform(0.5, 1)
            else:
                feed.recover()
                try:
                    node.on_nodes([_text(name) for name in alive])
                    if was_dead:
                        node.on_forgotten()
                except Exception:  # whatever it is, this goes on
                    logger.exception("what a node said of others failed")
            feed.listen_up()
            await asyncio.sleep(beat)


def _text(data: bytes) -> str:
    """Whatever others have put there."""
    return data.decode(errors="replace")


def _version(info: Any) -> str:
    """Of a server's answer, or of those of a cluster's nodes, which redis-py has
    read."""
    if isinstance(info, bytes):
        return info.decode().partition("redis_version:")[2].partition("\r\n")[0]
    if "redis_version" not in info:
        info = next(iter(info.values()))
    return str(info["redis_version"])


async def _all(calls: Iterable[Awaitable[Any]]) -> list[Any]:
    """Their results; the first exception after all have ended."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
