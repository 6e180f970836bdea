"""Where a Redis is, and how to connect: one server, Sentinels, or a cluster."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis.asyncio
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

__all__ = ["Target"]

SENTINEL_PORT = 26379
PORT = 6379


class Target(ABC):
    """``str()`` of it names the place, without a password."""

    @abstractmethod
    def client(self, timeout: float) -> Any:
        """A client for commands. It tries nothing twice: what is lost is known."""

    @abstractmethod
    async def feed(self, timeout: float) -> tuple[Any, Any]:
        """A client, and a connection of it that isn't made yet, whose replies have no
        time limit."""

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


def _login(parts: SplitResult) -> dict[str, Any]:
    return {
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        **({"ssl": True} if parts.scheme.startswith("rediss") else {}),
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

    def client(self, timeout: float) -> Any:
        return redis.asyncio.Redis.from_url(self._url, **_options(timeout))

    async def feed(self, timeout: float) -> tuple[Any, Any]:
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
        }

    def __str__(self) -> str:
        return f"Redis {self._service!r} by Sentinels {_shown(self._hosts)}"

    def client(self, timeout: float) -> Any:
        return self._sentinel(timeout).master_for(self._service)

    async def feed(self, timeout: float) -> tuple[Any, Any]:
        return _feed_of(self._sentinel(None).master_for(self._service))

    def _sentinel(self, timeout: float | None) -> Any:
        options = {**_options(timeout), **self._login}
        return Sentinel(  # type: ignore[no-untyped-call]
            self._hosts,
            sentinel_kwargs={**_options(3.0), **self._sentinel_login},
            **options,
        )


class _Cluster(Target):
    """``redis+cluster://user:password@host:port,host:port``. What one of its nodes
    publishes reaches all of them, so one connection hears everything."""

    def __init__(self, parts: SplitResult) -> None:
        self._hosts = _hosts(parts, PORT)
        self._login = _login(parts)

    def __str__(self) -> str:
        return f"Redis Cluster at {_shown(self._hosts)}"

    def client(self, timeout: float) -> Any:
        return RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in self._hosts],
            **{**_options(timeout), **self._login},
        )

    async def feed(self, timeout: float) -> tuple[Any, Any]:
        cluster = self.client(timeout)
        try:
            await cluster.initialize()
            node = random.choice(cluster.get_primaries())
        finally:
            await cluster.aclose()
        return _feed_of(
            redis.asyncio.Redis(
                host=node.host, port=node.port, **{**_options(None), **self._login}
            )
        )
