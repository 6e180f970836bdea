"""Where a Redis is, and how to connect: one server, Sentinels, or a cluster."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis.asyncio
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from .._pipeline import Calls, Pipeline
from .commands import Commands

__all__ = ["Target"]

SENTINEL_PORT = 26379
PORT = 6379


class Target(ABC):
    """``str()`` of it names the place, without a password.

    Attributes:
        has_slots: keys of different partitions may be on different servers.
    """

    has_slots = False

    @abstractmethod
    async def feed(self) -> tuple[Any, Any]:
        """A client, and a connection of it that isn't made yet, whose replies have no
        time limit."""

    def commands(self, timeout: float) -> Calls:
        """What gives commands. It tries nothing twice: what is lost is known."""
        return Commands(self.feed, timeout)

    @staticmethod
    def of(url: str) -> Target:
        """Raises:
        ValueError: if it isn't the URL of a Redis; its text has no password.
        """
        try:
            parts = urlsplit(url)
            _ = parts.hostname if "," in parts.netloc else parts.port
        except ValueError:
            raise ValueError("the hub's URL isn't one") from None
        match parts.scheme:
            case "redis" | "rediss" | "unix":
                return _One(url, parts)
            case "redis+sentinel" | "rediss+sentinel":
                return _Sentinels(parts)
            case "redis+cluster" | "rediss+cluster":
                return _Cluster(parts)
        raise ValueError(
            "the hub's URL must be one of memory://, redis://, rediss://, unix://, "
            f"redis+sentinel:// or redis+cluster://, not {parts.scheme!r}"
        )


def _options(timeout: float | None) -> dict[str, Any]:
    return {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout,
        "socket_connect_timeout": 3.0,
        "health_check_interval": 0,
        "protocol": 2,
    }


def _tls(parts: SplitResult) -> dict[str, Any]:
    return {"ssl": True} if parts.scheme.startswith("rediss") else {}


def _login(parts: SplitResult) -> dict[str, Any]:
    return {
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        **_tls(parts),
    }


def _hosts(parts: SplitResult, port: int) -> list[tuple[str, int]]:
    hosts = []
    for place in parts.netloc.rpartition("@")[2].split(","):
        one = urlsplit(f"//{place}")
        if not one.hostname:
            raise ValueError("a host is missing in the hub's URL")
        hosts.append((one.hostname, one.port or port))
    return hosts


def _shown(hosts: Sequence[tuple[str, int]]) -> str:
    return ",".join(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts
    )


def _feed_of(client: Any) -> tuple[Any, Any]:
    return client, client.connection_pool.make_connection()


class _One(Target):
    def __init__(self, url: str, parts: SplitResult) -> None:
        self._url = url
        if parts.scheme == "unix":
            self._name = f"Redis at {unquote(parts.path)}"
        else:
            self._name = f"Redis at {_shown(_hosts(parts, PORT))}"

    def __str__(self) -> str:
        return self._name

    async def feed(self) -> tuple[Any, Any]:
        return _feed_of(redis.asyncio.Redis.from_url(self._url, **_options(None)))


class _Sentinels(Target):
    """``redis+sentinel://user:password@host:port,host:port/service/db``; a
    ``sentinel_password=`` in the query if they have another one."""

    def __init__(self, parts: SplitResult) -> None:
        self._hosts = _hosts(parts, SENTINEL_PORT)
        self._service, _, db = parts.path.strip("/").partition("/")
        if not self._service or (db and not db.isdigit()):
            raise ValueError(
                "redis+sentinel:// has to end with /service or /service/db"
            )
        query = dict(parse_qsl(parts.query))
        self._login = {**_login(parts), "db": int(db or 0)}
        self._sentinel_login = {
            "username": query.get("sentinel_username"),
            "password": query.get("sentinel_password"),
            **_tls(parts),
        }

    def __str__(self) -> str:
        return f"Redis {self._service!r} by Sentinels {_shown(self._hosts)}"

    async def feed(self) -> tuple[Any, Any]:
        sentinel = _Sentinel(  # type: ignore[no-untyped-call]
            self._hosts,
            sentinel_kwargs={**_options(3.0), **self._sentinel_login},
            **{**_options(None), **self._login},
        )
        client = _Mastered(sentinel.master_for(self._service), sentinel)
        return client, client.client.connection_pool.make_connection()


class _Sentinel(Sentinel):
    async def discover_master(self, service_name: str) -> tuple[str, int]:
        try:
            found: tuple[str, int] = await super().discover_master(service_name)
            return found
        except MasterNotFoundError:
            pass  # its text has the Sentinels' connections, with passwords
        raise MasterNotFoundError(
            "no Sentinel names the master: they are away, refuse the password, or "
            "don't know it"
        )


class _Mastered:
    """A client of a master, and those of its Sentinels."""

    def __init__(self, client: Any, sentinel: Any) -> None:
        self.client = client
        self._sentinel = sentinel

    async def aclose(self) -> None:
        for client in (self.client, *self._sentinel.sentinels):
            await client.aclose()


class _Cluster(Target):
    """``redis+cluster://user:password@host:port,host:port``. What one of its nodes
    publishes reaches all of them, so one connection hears everything."""

    has_slots = True

    def __init__(self, parts: SplitResult) -> None:
        self._hosts = _hosts(parts, PORT)
        self._login = _login(parts)

    def __str__(self) -> str:
        return f"Redis Cluster at {_shown(self._hosts)}"

    def commands(self, timeout: float) -> Calls:
        return _ClusterCommands(lambda: self._client(timeout), timeout)

    def _client(self, timeout: float) -> Any:
        return RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in self._hosts],
            **{**_options(timeout), **self._login},
        )

    async def feed(self) -> tuple[Any, Any]:
        cluster = self._client(3.0)
        try:
            await cluster.initialize()
            node = random.choice(cluster.get_primaries())
        finally:
            await _close(cluster)
        return _feed_of(
            redis.asyncio.Redis(
                host=node.host, port=node.port, **{**_options(None), **self._login}
            )
        )


async def _close(cluster: RedisCluster) -> None:
    """All of its connections, also if who waits for that is cancelled."""
    closing = asyncio.ensure_future(cluster.aclose())
    try:
        await asyncio.shield(closing)
    finally:
        await asyncio.wait([closing])


class _ClusterCommands(Pipeline):
    """redis-py knows which of a cluster's nodes to ask."""

    def __init__(self, client: Callable[[], Any], timeout: float) -> None:
        super().__init__(self._give)
        self._connect = client
        self._client: Any = None
        self._timeout = timeout

    async def close(self, reason: Exception) -> None:
        try:
            await super().close(reason)
        finally:
            if self._client is not None:
                await _close(self._client)

    async def _give(self, commands: Sequence[Sequence[Any]]) -> Sequence[Any]:
        async with asyncio.timeout(self._timeout):
            if self._client is None:
                self._client = self._connect()
            if len(commands) == 1:
                try:
                    return [await self._client.execute_command(*commands[0])]
                except ResponseError as exc:
                    return [exc]
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            results: Sequence[Any] = await pipeline.execute(raise_on_error=False)
            return results
