"""SharedStats: what several processes have counted together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from pywscore import ServerStats, SharedStats
from pywscore.integrations import metrics
from pywscore.testing import Clock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no flock")

numbers: dict[str, Any] = {it.name: 0 for it in fields(ServerStats)}
ZERO = ServerStats(**numbers | {"close_codes": MappingProxyType({})})
SOME = replace(
    ZERO,
    messages_received=10,
    bytes_queued=7,
    connections=2,
    connections_total=5,
    close_codes=MappingProxyType({1000: 2, 1006: 1}),
    latency=0.1,
    latency_max=0.2,
)
# What it had is gone with a process, what it had counted isn't.
GONE = replace(SOME, bytes_queued=0, connections=0, latency=0.0, latency_max=0.0)

# Another process: counts what SOME has, and waits for its end.
OTHER = """
import asyncio, pickle, sys
import pywscore

async def main():
    async with pywscore.SharedStats(sys.argv[1], interval=0.01) as shared:
        some = pickle.load(sys.stdin.buffer)
        shared.watch(lambda: some)
        shared.stats()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@contextlib.contextmanager
def other_process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", OTHER, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(pickle.dumps(SOME))
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await main

    asyncio.run(bounded())


def test_sums(tmp_path: Path) -> None:
    async def main() -> None:
        async with SharedStats(tmp_path / "new") as shared:
            assert shared.stats() == ZERO
            mine = replace(SOME, latency=0.4, latency_max=0.4, connections=1)

            def own() -> ServerStats:
                return mine

            shared.watch(own)
            shared.watch(own)
            assert shared.stats() == mine
            with other_process(tmp_path / "new"):
                both = shared.stats()
            assert both.messages_received == 20
            assert both.connections == 3
            assert dict(both.close_codes) == {1000: 4, 1006: 2}
            assert both.latency == pytest.approx((0.4 + 2 * 0.1) / 3)
            assert both.latency_max == 0.4

    run(main())


@pytest.mark.parametrize("how", ["leaves", "is killed"])
def test_a_process_that_is_gone(how: str, tmp_path: Path) -> None:
    """Its counters stay, once, whoever looks."""

    async def main() -> None:
        async with SharedStats(tmp_path) as one, SharedStats(tmp_path) as two:
            for times in (1, 2):
                with other_process(tmp_path) as process:
                    assert one.stats().connections == 2
                    assert two.stats().bytes_queued == 7
                    if how == "leaves":
                        assert process.stdin is not None
                        process.stdin.close()
                    else:
                        process.send_signal(signal.SIGKILL)
                    process.wait()
                for shared in (one, two, one):
                    stats = shared.stats()
                    assert stats.messages_received == 10 * times
                    assert replace(
                        stats, messages_received=10, connections_total=5, close_codes={}
                    ) == replace(GONE, close_codes={})
                    assert stats.close_codes[1006] == times
            # Nothing is left of those that are gone.
            assert len(list(tmp_path.iterdir())) == 2 * 2 + 2

    run(main())


def test_what_was_told_is_there_for_others(tmp_path: Path) -> None:
    """Two that are asked one after the other: counters never go down."""

    async def main() -> None:
        count = 0
        async with (
            SharedStats(tmp_path, interval=1000) as one,
            SharedStats(tmp_path, interval=1000) as two,
        ):
            one.watch(lambda: replace(ZERO, messages_sent=count))
            for count in range(5):
                assert one.stats().messages_sent == count
                assert two.stats().messages_sent == count

    run(main())


def test_who_is_never_asked_tells(tmp_path: Path) -> None:
    async def main() -> None:
        async with SharedStats(tmp_path, interval=0.01) as silent:
            async with SharedStats(tmp_path) as asked:
                silent.watch(lambda: SOME)
                while asked.stats() != SOME:
                    await asyncio.sleep(0.01)

    run(main())


def test_what_takes_long_is_told_rarely(tmp_path: Path) -> None:
    """Of many connections, so that it takes 1 % of the time at most."""
    asked: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def stats() -> ServerStats:
            asked.append(loop.time())
            clock.stall(0.02)
            return SOME

        async with (
            Clock() as clock,
            SharedStats(tmp_path, interval=0.5) as shared,
        ):
            shared.watch(stats)
            await clock.advance(0.6)
            assert len(asked) == 1
            await clock.advance(7)
            shared.watch(lambda: SOME)
        gaps = [after - before for before, after in pairwise(asked[:-1])]
        assert len(gaps) == 3 and all(2 < gap < 2.1 for gap in gaps)

    run(main())


def test_killed_between_adding_and_removing(tmp_path: Path) -> None:
    """The one that was added isn't added again."""

    async def main() -> None:
        with other_process(tmp_path) as process:
            pass
        process.wait()
        kept = {
            path: path.read_bytes()
            for path in tmp_path.iterdir()
            if path.name.startswith(f"{process.pid}-")
        }
        assert len(kept) == 2
        async with SharedStats(tmp_path) as shared:
            assert shared.stats() == GONE
            for path, content in kept.items():
                assert not path.exists()
                path.write_bytes(content)
            assert shared.stats() == GONE
            assert not any(path.exists() for path in kept)

    run(main())


def test_mistakes(tmp_path: Path) -> None:
    async def main() -> None:
        for interval in (0, -1, float("nan")):
            with pytest.raises(ValueError, match="interval"):
                SharedStats(tmp_path, interval=interval)
        shared = SharedStats(tmp_path)
        with pytest.raises(RuntimeError):
            shared.stats()
        async with shared:
            with pytest.raises(RuntimeError):
                await shared.__aenter__()
        with pytest.raises(RuntimeError):
            shared.stats()
        assert os.listdir(tmp_path)

    run(main())


def test_what_fails_on_the_way_in_or_out(tmp_path: Path) -> None:
    """It isn't entered then, and leaves nothing."""

    def fails() -> ServerStats:
        raise ZeroDivisionError

    async def main() -> None:
        shared = SharedStats(tmp_path / "in")
        shared.watch(fails)
        with pytest.raises(ZeroDivisionError):
            await shared.__aenter__()
        assert shared._timer is not None and shared._timer.cancelled()
        with pytest.raises(RuntimeError, match="hasn't been entered"):
            shared.stats()
        with pytest.raises(FileNotFoundError):
            async with SharedStats(tmp_path / "out") as shared:
                shutil.rmtree(tmp_path / "out")
        assert shared._timer is not None and shared._timer.cancelled()

    before = os.listdir("/dev/fd")
    run(main())
    assert os.listdir("/dev/fd") == before


def test_metrics_of_the_drop_ins(tmp_path: Path) -> None:
    async def scrape() -> str:
        sent: list[dict[str, Any]] = []

        async def send(event: dict[str, Any]) -> None:
            sent.append(event)

        async def receive() -> None:
            raise AssertionError

        await metrics.asgi({"type": "http", "method": "GET"}, receive, send)
        return str(sent[1]["body"].decode())

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with metrics.shared(tmp_path):
            yield

    async def main() -> None:
        before = metrics.stats().messages_received
        async with lifespan():
            with other_process(tmp_path):
                line = f"\npywscore_messages_received_total {before + 10}\n"
                assert line in await scrape()
            with pytest.raises(RuntimeError):
                async with lifespan():
                    pass
            assert line in await scrape()
        assert f"\npywscore_messages_received_total {before}\n" in await scrape()

    run(main())
