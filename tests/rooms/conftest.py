"""Coroutine functions are tests here, and hubs are joined by each kind of broker."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import coroutines
import pytest
import servers
from nodes import Hubs, hubs_of, needs_redis, serving

from pywscore.rooms._log import log

BROKERS = ["memory", "redis", "several", "sentinel", "cluster"]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    return coroutines.run(pyfuncitem)


@pytest.fixture(autouse=True)
def _lines_of_its_own() -> None:
    """Of the log, which has so many a second."""
    log._second = -1


@pytest.fixture(scope="session")
def redis() -> Iterator[servers.Redis]:
    """One that no test harms."""
    needs_redis()
    with servers.Redis() as server:
        yield server


@pytest.fixture(scope="session")
def second_redis() -> Iterator[servers.Redis]:
    needs_redis()
    with servers.Redis() as server:
        yield server


@pytest.fixture(scope="session")
def sentinel() -> Iterator[str]:
    needs_redis()
    with servers.with_sentinel() as (_, _, sentinel):
        yield sentinel.url


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    needs_redis()
    with servers.cluster() as url:
        yield url


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str | list[str]:
    """What a Hub takes."""
    match request.param:
        case "memory":
            return f"memory://{secrets.token_hex(4)}"
        case "redis":
            return str(request.getfixturevalue("redis").url)
        case "several":
            names = ("redis", "second_redis")
            return [request.getfixturevalue(name).url for name in names]
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def hubs(broker: str | list[str]) -> Hubs:
    return lambda count=2, **arguments: hubs_of(broker, count, **arguments)


@pytest.fixture(name="serving")
def _serving() -> Any:
    return serving


@pytest.fixture(name="hubs_of")
def _hubs_of() -> Any:
    return hubs_of
