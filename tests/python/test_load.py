"""The load generator's objects, as the command line uses them."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pywscore import _core

pytestmark = pytest.mark.skipif(
    not hasattr(_core, "Load"), reason="there is no engine here"
)

OPENING, READY, RUNNING, DRAINING, CLOSING, OVER = range(6)
TIMED_OUT = 6
SETTINGS: dict[str, Any] = {
    "address": b"127.0.0.1",
    "port": 9,
    "target": b"/",
    "payload": b"x" * 20,
    "tls": None,
    "server_name": b"localhost",
    "headers": ((b"Host", b"localhost"),),
    "subprotocols": (),
    "compression": False,
    "text": False,
    "connections": 4,
    "first_room": 0,
    "room_size": 1,
    "depth": 1,
    "rate": 0.0,
    "messages": 100,
    "duration": 0.0,
    "ramp": 0.0,
    "opening_max": 4,
    "timeout": 60.0,
    "handshakes": False,
    "spin": False,
    "max_size": 1 << 20,
}


@contextlib.contextmanager
def mute_server() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_it_is_of_one_thread_at_a_time() -> None:
    with mute_server() as port:
        load = _core.Load(**SETTINGS | {"port": port})
        running = threading.Event()

        def run() -> None:
            running.set()
            while running.is_set():
                load.run(0.2)

        thread = threading.Thread(target=run)
        thread.start()
        running.wait()
        refused = set()
        while len(refused) < 5:
            for name in ("figures", "faults", "latencies", "openings", "start"):
                try:
                    getattr(load, name)()
                except RuntimeError as error:
                    assert str(error) == "it is running in another thread"
                    refused.add(name)
        running.clear()
        thread.join()
        assert load.figures()["phase"] == OPENING
        load.stop()
        while load.run(1) != OVER:
            pass
        assert load.faults() == []


def test_threads_at_once() -> None:
    """Each has a load of its own, and all of them one histogram."""
    shared = _core.Histogram()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            load = _core.Load(**SETTINGS | {"port": port, "timeout": 0.2})
            while load.run(0.05) != OVER:
                shared.merge(load.openings())
                shared.add(1)
            assert [row[:3] for row in load.faults()] == [(TIMED_OUT, 1, 4)]
            for _ in range(1000):
                shared.add(2)
                shared.percentile(50)
        except BaseException as error:
            errors.append(error)

    with mute_server() as port:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    assert shared.count >= 4000
    assert (shared.min, shared.max) == (1, 2)


def test_a_load_that_is_forgotten_closes_its_sockets() -> None:
    def lowest_free() -> int:
        with socket.socket() as probe:
            return probe.fileno()

    with mute_server() as port:
        before = lowest_free()
        load = _core.Load(**SETTINGS | {"port": port})
        load.run(0.1)
        assert lowest_free() > before
        del load
        gc.collect()
        assert lowest_free() == before


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("address", "127.0.0.1", TypeError),
        ("address", b"localhost", ValueError),
        ("port", 65536, ValueError),
        ("port", -1, ValueError),
        ("connections", 0, ValueError),
        ("connections", 2**40, MemoryError),
        ("room_size", 3, ValueError),
        ("depth", 0, ValueError),
        ("rate", -1.0, ValueError),
        ("rate", float("nan"), ValueError),
        ("messages", 0, ValueError),
        ("headers", [(b"Host", b"x")], TypeError),
        ("headers", (b"Host",), TypeError),
        ("headers", ((b"Host", "x"),), TypeError),
        ("subprotocols", ("x",), TypeError),
        ("tls", "TLS", TypeError),
    ],
)
def test_wrong_settings(name: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        _core.Load(**SETTINGS | {name: value})


def test_a_request_that_cannot_be_written() -> None:
    """It is our own mistake, and said so."""
    with mute_server() as port:
        load = _core.Load(**SETTINGS | {"port": port, "target": b"/a b"})
        while load.run(1) != OVER:
            pass
        [(kind, _, count, text)] = load.faults()
    assert (kind, count, text) == (7, 4, b"WSC_ERR_INVALID_ARGUMENT")
