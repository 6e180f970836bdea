"""Over Redis: what goes wrong with it and is said of it, and what hubs leave there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from blocks import block
from faults import Proxy
from nodes import hubs_of, needs_redis, serving
from servers import Redis, cluster_nodes, cluster_url, free_port
from waiting import until

from pywscore.rooms import Gap, Hub, HubError, HubState, Joined, Left, PublishError

pytestmark = pytest.mark.external


@pytest.mark.threat("BRK-6")
async def test_no_redis() -> None:
    needs_redis()
    hub = Hub(f"redis://user:secret@127.0.0.1:{free_port()}", connect_timeout=0.3)
    began = time.monotonic()
    with pytest.raises(HubError, match=r"127\.0\.0\.1:\d+ isn't there") as info:
        await hub.open()
    assert time.monotonic() - began < 2
    assert "secret" not in f"{info.value}{info.value.__cause__}"
    assert isinstance(info.value.__cause__, ConnectionError | Exception)
    assert hub.state is HubState.CLOSED


async def test_redis_that_comes_later() -> None:
    needs_redis()
    with contextlib.ExitStack() as stack:
        server = Redis()
        async with asyncio.TaskGroup() as tasks:
            hub = Hub(server.url)
            opening = tasks.create_task(hub.open())
            await asyncio.sleep(0.2)
            assert hub.state is HubState.CONNECTING and not hub.healthy()
            await asyncio.to_thread(stack.enter_context, server)
            await opening
            assert hub.healthy()
            await hub.close()


@pytest.mark.threat("BRK-6")
async def test_a_wrong_password() -> None:
    needs_redis()
    with Redis("--requirepass", "right") as server:
        server_url = f"redis://:wrong-secret@127.0.0.1:{server.port}"
        with pytest.raises(HubError, match="refuses the user or password") as info:
            await Hub(server_url).open()
        assert "wrong-secret" not in str(info.value)
        async with Hub(server_url.replace("wrong-secret", "right")) as hub:
            await hub.room("lobby").publish("x")


@pytest.mark.threat("BRK-5")
async def test_no_permission(redis: Redis) -> None:
    """The rights that docs/rooms.md lists are enough, and less is said."""
    prefix = f"acl-{secrets.token_hex(4)}"
    _, _, listed = block("docs/rooms.md", "Permissions").partition(" rooms ")
    rights = ["reset", *listed.replace("pywscore", prefix).split()]
    assert redis.say("ACL", "SETUSER", prefix, *rights).startswith(b"+OK")
    url = f"redis://{prefix}:password@127.0.0.1:{redis.port}"
    async with hubs_of_prefix(url, prefix) as hub, serving() as server:
        room = hub.room("lobby", history=10)
        client = await server.client()
        await room.join(client.server, user="ada", since="")
        await room.publish("x", idempotency_key="k")
        await hub.room("live").publish("x", idempotency_key="k")
        assert await client.recv() == "x"
        await room.history()
        await until_members(room, ["ada"])
        redis.say("ACL", "SETUSER", prefix, "-xadd")
        with pytest.raises(PublishError, match="NOPERM"):
            await room.publish("y")
    redis.say("ACL", "SETUSER", prefix, "-evalsha", "-eval")
    with pytest.raises(HubError, match="NOPERM"):
        await Hub(url, prefix=prefix).open()
    redis.say("ACL", "DELUSER", prefix)


@contextlib.asynccontextmanager
async def hubs_of_prefix(url: str, prefix: str) -> Any:
    async with Hub(url, prefix=prefix) as hub:
        yield hub


async def until_members(room: Any, members: list[Any]) -> None:
    async with asyncio.timeout(5):
        while await room.members() != members:
            await asyncio.sleep(0.02)


async def test_a_full_redis() -> None:
    needs_redis()
    with Redis() as server:
        async with Hub(server.url) as hub:
            room = hub.room("lobby", history=10)
            await room.publish("x")
            server.say("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(PublishError, match=r"full \(OOM"):
                await room.publish("y")
            server.say("CONFIG", "SET", "maxmemory", "0")
            await room.publish("z")
            assert [it.data for it in await room.history()] == ["x", "z"]


async def test_a_replica() -> None:
    needs_redis()
    with Redis() as master, Redis("--replicaof", f"127.0.0.1 {master.port}") as replica:
        end = time.monotonic() + 10
        while b"master_link_status:up" not in replica.say("INFO", "replication"):
            assert time.monotonic() < end
        with pytest.raises(HubError, match="read-only replica"):
            await Hub(replica.url, connect_timeout=1).open()


@pytest.mark.threat("RMS-3", "BRK-2")
async def test_redis_that_dies(caplog: pytest.LogCaptureFixture) -> None:
    """One warning per change of state; publishing raises; all goes on by itself."""
    needs_redis()
    caplog.set_level(logging.INFO, "pywscore.rooms")

    def told(event: Any) -> str | None:
        return f"gap {event.count}" if isinstance(event, Gap) else None

    with Redis() as server:
        async with hubs_of(server.url, 2) as nodes, serving() as clients:
            kept = nodes[0].room("kept", history=10, notice=told)
            live = nodes[0].room("live", notice=told)
            one, two = await clients.clients(2)
            await kept.join(one.server)
            await live.join(two.server)
            await kept.publish("before")
            assert await one.recv() == "before"
            server.kill()
            await until(lambda: not any(hub.healthy() for hub in nodes))
            assert all(hub.state is HubState.DOWN for hub in nodes)
            with pytest.raises(PublishError, match="127"):
                await live.publish("lost")
            await asyncio.to_thread(server.start)
            await until(lambda: all(hub.healthy() for hub in nodes), 10)
            # It has forgotten everything: that is said.
            assert await one.recv() == "gap None"
            assert await two.recv() == "gap None"
            for room, client in ((kept, one), (live, two)):
                await (
                    nodes[1]
                    .room(room.name, history=room._options.history)
                    .publish("after")
                )
                assert await client.recv() == "after"
            assert nodes[0].stats().reconnects == 1
    said = [it.getMessage() for it in caplog.records if it.levelname == "WARNING"]
    assert len([text for text in said if "cut off" in text]) == 2
    assert len([text for text in said if "joined again" in text]) == 2


async def test_no_cluster() -> None:
    needs_redis()
    hub = Hub(f"redis+cluster://127.0.0.1:{free_port()}", connect_timeout=0.3)
    with pytest.raises(HubError, match=r"127\.0\.0\.1:\d+ isn't there"):
        await hub.open()


@pytest.mark.threat("BRK-2")
async def test_a_cluster_that_dies() -> None:
    """All of it at once; it goes on by itself when that is back."""
    needs_redis()
    with cluster_nodes() as servers:
        async with hubs_of(cluster_url(servers), 1) as [hub], serving() as clients:
            room = hub.room("lobby")
            client = await clients.client()
            await room.join(client.server)
            for server in servers:
                server.kill()
            await until(lambda: hub.state is HubState.DOWN, 10)
            with pytest.raises(PublishError):
                await room.publish("lost")
            await asyncio.sleep(1)  # it tries again in vain
            for server in servers:
                await asyncio.to_thread(server.start)
            await until(hub.healthy, 20)
            while True:
                with contextlib.suppress(PublishError):
                    await room.publish("after")
                    break
            assert await client.recv(10) == "after"


@pytest.mark.threat("RMS-1", "RMS-8")
async def test_a_connection_that_is_deaf() -> None:
    """Half open: nothing comes, nothing fails. It is found in 10 seconds."""
    needs_redis()
    with Redis() as server:
        proxy = Proxy(server.port)
        async with (
            proxy.running(),
            hubs_of(proxy.url, 1) as [hub],
            serving() as clients,
        ):
            room = hub.room("lobby", history=10)
            client = await clients.client()
            await room.join(client.server)
            await room.publish("before")
            assert await client.recv() == "before"
            # The subscription is lost on its way, commands get through.
            began = time.monotonic()
            server.say("CLIENT", "NO-EVICT", "on")
            for writer in list(proxy._writers):
                await_deaf(proxy, writer)
            await room_publish_directly(server, hub, "missed")
            assert await client.recv(20) == "missed"
            assert time.monotonic() - began < 15
            await until(hub.healthy)
            assert hub.stats().reconnects == 1  # it was said


def await_deaf(proxy: Proxy, writer: Any) -> None:
    writer.write = lambda data: None


async def room_publish_directly(server: Redis, hub: Hub, text: str) -> None:
    async with Hub(server.url, prefix=hub._node.broker._prefix) as other:
        await other.room("lobby", history=10).publish(text)


NODE = """
import asyncio, sys
import pywscore
from pywscore.rooms import Hub

async def main():
    accepted = asyncio.Queue()

    async def handler(ws):
        accepted.put_nowait(ws)
        await ws.wait_closed()

    async with Hub(sys.argv[1], prefix=sys.argv[2]) as hub:
        async with pywscore.serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with pywscore.connect(f"ws://127.0.0.1:{port}", proxy=None):
                await hub.room("lobby").join(await accepted.get(), user="ghost")
                await asyncio.sleep(0.5)
                print("joined", flush=True)
                await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.threat("RMS-6")
async def test_ghosts(redis: Redis, number: signal.Signals) -> None:
    """The users of a node that is gone are gone in ten seconds, and their leaving is
    an event; one that comes back brings them back."""
    prefix = f"ghosts-{secrets.token_hex(4)}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", NODE, redis.url, prefix), stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"joined\n"
        async with Hub(redis.url, prefix=prefix) as hub:
            room = hub.room("lobby")
            events: list[Any] = []

            async def watch() -> None:
                async for event in room:
                    events.append(event)

            watching = asyncio.create_task(watch())
            await until_members(room, ["ghost"])
            await until(lambda: hub.stats().rooms == 1)
            await asyncio.sleep(0.2)
            process.send_signal(number)
            began = time.monotonic()
            async with asyncio.timeout(15):
                while await room.members():
                    await asyncio.sleep(0.1)
            assert time.monotonic() - began < 10
            await until(lambda: Left("lobby", "ghost", 0) in events, 5)
            assert time.monotonic() - began < 11
            if number is signal.SIGSTOP:
                process.send_signal(signal.SIGCONT)
                await until(lambda: events[-1] == Joined("lobby", "ghost", 1), 15)
                await until_members(room, ["ghost"])
            watching.cancel()
            await asyncio.wait([watching])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        await process.wait()


@pytest.mark.threat("BRK-5")
async def test_keys_of_others_are_safe() -> None:
    """All keys and channels begin with the prefix, whatever rooms are called."""
    needs_redis()
    with Redis() as server:
        server.say("SET", "lobby", "theirs")
        watch = await asyncio.create_subprocess_exec(
            *("redis-cli", "-p", str(server.port), "MONITOR"), stdout=subprocess.PIPE
        )
        assert watch.stdout is not None
        await watch.stdout.readline()
        async with Hub(server.url, prefix="mine") as hub, serving() as clients:
            for name in ("lobby", "*", "a b", "{x}", "é\n", "a.b", "x" * 200):
                room = hub.room(name, history=3)
                client = await clients.client()
                await room.join(client.server, user=1, since="")
                await room.publish("x", idempotency_key="{y}")
                assert await client.recv() == "x"
                assert len(await room.history()) == 1
                await until_members(room, [1])
        keys = server.say("KEYS", "*")
        watch.terminate()
        lines = (await watch.stdout.read()).decode("utf-8", "replace").splitlines()
        assert b"\r\nlobby\r\n" in keys
        names = [it for it in keys.split(b"\r\n") if it and it[:1] not in b"*$"]
        assert all(it.startswith(b"mine.") or it == b"lobby" for it in names), names
        touched = [line for line in lines if "lua" in line or "SUBSCRIBE" in line]
        assert len(touched) > 50
        for line in touched:
            words = line.split('"')[1::2]
            if words[0].upper() not in ("TIME",):
                assert words[1].startswith("mine."), line


async def test_rest_is_quiet(redis: Redis) -> None:
    """At rest a node writes less than once a second, and nothing for its rooms."""
    async with hubs_of(redis.url, 1) as [hub], serving() as clients:
        for name in range(20):
            client = await clients.client()
            await hub.room(f"{name}", history=5).join(client.server, user=name)
        await asyncio.sleep(1)
        before = int(
            redis.say("INFO", "stats").split(b"total_writes_processed")[0][:0] or 0
        )
        calls = count_commands(redis)
        await asyncio.sleep(4)
        after = count_commands(redis)
        writes = sum(
            after[it] - calls.get(it, 0) for it in after if it in ("zadd", "hset")
        )
        assert before == 0 and writes <= 4, (calls, after)
        assert after.get("hset", 0) == calls.get("hset", 0)


def count_commands(server: Redis) -> dict[str, int]:
    text = server.say("INFO", "commandstats").decode()
    return {
        line.split(":")[0].removeprefix("cmdstat_"): int(
            line.split("calls=")[1].split(",")[0]
        )
        for line in text.splitlines()
        if line.startswith("cmdstat_")
    }
