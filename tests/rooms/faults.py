"""What can happen to Redis and to the way to it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from servers import Redis


class Proxy:
    """TCP between a hub and its Redis, which can be harmed."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._drops_answers = False
        self._refuses = False
        self._delay = 0.0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._flows.set()
            self.cut()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        try:
            redis_reader, redis_writer = await asyncio.open_connection(
                "127.0.0.1", self.target
            )
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, redis_writer}
        await asyncio.gather(
            self._pipe(reader, redis_writer, answers=False),
            self._pipe(redis_reader, writer, answers=True),
        )
        self._writers -= {writer, redis_writer}

    async def _pipe(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        answers: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._flows.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                if not (answers and self._drops_answers):
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()

    def cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        self._refuses = True
        self.cut()
        yield
        self._refuses = False

    async def stall(self, seconds: float) -> None:
        """Half open: nothing goes either way."""
        self._flows.clear()
        await asyncio.sleep(seconds)
        self._flows.set()

    async def drop_answers(self, seconds: float) -> None:
        """What is asked arrives; the answers, and messages, don't."""
        self._drops_answers = True
        await asyncio.sleep(seconds)
        self._drops_answers = False
        self.cut()

    async def slow_down(self, seconds: float) -> None:
        self._delay = 0.02
        await asyncio.sleep(seconds)
        self._delay = 0.0


def all_faults(
    redis: Redis, proxy: Proxy, choose: random.Random
) -> list[Callable[[], Awaitable[object]]]:
    """Each does harm and mends it, as far as that isn't the hub's to do."""

    async def say(*words: str) -> None:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(redis.say, *words)

    async def cut() -> None:
        proxy.cut()

    async def refuse() -> None:
        proxy._refuses = True
        proxy.cut()
        await asyncio.sleep(choose.uniform(0.05, 0.3))
        proxy._refuses = False

    async def stop() -> None:
        redis.send_signal(signal.SIGSTOP)
        await asyncio.sleep(choose.uniform(0.05, 0.4))
        redis.send_signal(signal.SIGCONT)

    async def kill_clients() -> None:
        await say("CLIENT", "KILL", "TYPE", choose.choice(["normal", "pubsub"]))

    async def small_buffers() -> None:
        value = "pubsub 1kb 1kb 1"
        await say("CONFIG", "SET", "client-output-buffer-limit", value)
        await asyncio.sleep(choose.uniform(0.05, 0.2))
        value = "pubsub 32mb 8mb 60"
        await say("CONFIG", "SET", "client-output-buffer-limit", value)

    async def sleep() -> None:
        await say("DEBUG", "SLEEP", f"{choose.uniform(0.05, 0.4):.2f}")

    async def forget_scripts() -> None:
        await say("SCRIPT", "FLUSH")

    async def stall() -> None:
        await proxy.stall(choose.uniform(0.05, 0.4))

    async def drop_answers() -> None:
        await proxy.drop_answers(choose.uniform(0.05, 0.3))

    async def slow_down() -> None:
        await proxy.slow_down(choose.uniform(0.05, 0.3))

    async def full() -> None:
        await say("CONFIG", "SET", "maxmemory", "1")
        await asyncio.sleep(choose.uniform(0.02, 0.1))
        await say("CONFIG", "SET", "maxmemory", "0")

    async def kill() -> None:
        """It has what it acknowledged: `appendonly yes`."""
        redis.kill()
        await asyncio.sleep(choose.uniform(0.0, 0.2))
        await asyncio.to_thread(redis.start)

    return [
        *(kill, cut, refuse, stop, kill_clients, small_buffers, sleep, forget_scripts),
        *(stall, drop_answers, slow_down, full),
    ]
