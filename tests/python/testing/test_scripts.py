"""Peers that do as a script says, with servers and clients of several libraries."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import websockets

import pywscore
from pywscore.testing import (
    FaultyLink,
    ScriptedPeer,
    ScriptError,
    connected,
    parse_script,
    record,
    scripted_server,
)
from pywscore.testing._frames import Frame
from pywscore.testing._script import shown_frame


def run(main: Callable[[], Awaitable[Any]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await main()

    asyncio.run(limited())


async def echo(ws: Any) -> None:
    async for message in ws:
        await ws.send(message)


SERVERS = {"pywscore": pywscore.serve, "websockets": websockets.serve}
CLIENTS = {"pywscore": pywscore.connect, "websockets": websockets.connect}

RIGHT = r"""
send text "hello"        # a # in a comment
expect text "hello"
send text "quoted \" # \u00e9"
expect text "quoted \" # \u00e9"
send binary 00 01 ff
expect binary 00 01 ff
send text "in " fin=0
send ping "between"
expect pong "between"
send continuation "two"
expect text "in two"
send half text "half"
expect nothing 0.05
send rest
expect text "half"
send text "zero" mask=zero
expect text
send pong "nobody asked"
send bytes 81 80 00 00 00 00
expect text ""
send close 1000 "bye"
expect close 1000
expect end
"""

WRONG = {
    "unmasked": ('send text "x" mask=none', 1002),
    "a server's mask": ('send text "x" mask=wrong', 1002),
    "reserved bit": ('send text "x" rsv=4', 1002),
    "reserved opcode": ('send opcode=3 "x"', 1002),
    "continuation first": ('send continuation "x"', 1002),
    "message within a message": ('send text "a" fin=0\nsend text "b"', 1002),
    "fragmented ping": ('send ping "x" fin=0', 1002),
    "ping of 126": (f'send ping "{"x" * 126}"', 1002),
    "not UTF-8": ("send text ff", 1007),
    "close code 1005": ("send close 1005", 1002),
    "half a close code": ("send close 03", 1002),
    "too big": (f"send binary {'00' * 2000}", 1009),
}


@pytest.mark.parametrize("library", SERVERS)
def test_what_is_right(library: str) -> None:
    async def main() -> None:
        async with SERVERS[library](echo, "127.0.0.1", 0, compression=None) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with await ScriptedPeer.connect(f"ws://127.0.0.1:{port}/") as peer:
                await peer.run(RIGHT)

    run(main)


@pytest.mark.parametrize("library", SERVERS)
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong(library: str, name: str) -> None:
    script, code = WRONG[name]

    async def main() -> None:
        async with SERVERS[library](
            echo, "127.0.0.1", 0, compression=None, max_size=1000
        ) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with await ScriptedPeer.connect(f"ws://127.0.0.1:{port}/") as peer:
                await peer.run(f"{script}\nexpect close {code}\nend\nexpect end")

    run(main)


@pytest.mark.parametrize("library", CLIENTS)
def test_a_client(library: str) -> None:
    script = """
    send text "welcome"
    expect text "hi"
    send half binary 00 01 02 03
    pause 0.01
    send rest
    expect close 1000
    send close 1000
    end
    expect end
    """

    async def main() -> None:
        async with scripted_server(script) as uri:
            async with CLIENTS[library](uri, compression=None) as ws:
                assert await ws.recv() == "welcome"
                await ws.send("hi")
                assert await ws.recv() == b"\0\1\2\3"

    run(main)


@pytest.mark.parametrize("library", CLIENTS)
def test_a_client_of_a_bad_server(library: str) -> None:
    async def main() -> None:
        async with scripted_server(
            'send text "x" mask=wrong\nexpect close 1002'
        ) as uri:
            async with CLIENTS[library](uri, compression=None) as ws:
                with pytest.raises(Exception, match="1002"):
                    await ws.recv()
        async with scripted_server('send text "x"\nreset') as uri:
            async with CLIENTS[library](uri, compression=None) as ws:
                with pytest.raises(Exception, match="close frame"):
                    while True:
                        await ws.recv()

    run(main)


def test_a_script_for_each_connection() -> None:
    async def main() -> None:
        async with scripted_server(
            'send text "1"', 'send text "2"', subprotocol="chat"
        ) as uri:
            for expected in "122":
                async with pywscore.connect(
                    uri, proxy=None, subprotocols=["chat"], close_timeout=0.1
                ) as ws:
                    assert await ws.recv() == expected
                    assert ws.subprotocol == "chat"

    run(main)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ('expect text "other"', 'line 1: expected text "other", got text "hello"'),
        ("\nexpect binary", 'line 2: expected binary "", got text "hello"'),
        ("expect text\nexpect end", "line 2: expected end, nothing came in 0.2 s"),
        ("expect nothing 1", 'line 1: expected nothing, got text "hello"'),
        ("expect text\nexpect ping", "line 2: expected ping, nothing came"),
        ("expect end", 'line 1: expected the end, got text "hello"'),
        (
            'send text "x"\nexpect text\nexpect text "y"\nsend close 1000\n'
            "expect close\nexpect text",
            "line 3",
        ),
        ("send close 1000\nexpect text\nexpect close\nexpect text", "line 4: .*ended"),
    ],
)
def test_what_fails(script: str, problem: str) -> None:
    async def hello(ws: Any) -> None:
        await ws.send("hello")
        await echo(ws)

    async def main() -> None:
        async with pywscore.serve(hello, "127.0.0.1", 0, close_timeout=0.1) as server:
            port = server.sockets[0].getsockname()[1]
            uri = f"ws://127.0.0.1:{port}/"
            async with await ScriptedPeer.connect(uri, timeout=0.2) as peer:
                with pytest.raises(ScriptError, match=problem):
                    await peer.run(script)

    run(main)


def test_a_server_tells_of_its_script() -> None:
    async def main() -> None:
        with pytest.raises(
            ScriptError, match='line 1: expected text "a", got text "b"'
        ):
            async with scripted_server('expect text "a"') as uri:
                async with pywscore.connect(uri, proxy=None, close_timeout=0.1) as ws:
                    await ws.send("b")
        with pytest.raises(ScriptError, match=r"wasn't at its end|nothing came"):
            async with scripted_server("expect text\nexpect text", timeout=0.1) as uri:
                async with pywscore.connect(uri, proxy=None, close_timeout=0.1) as ws:
                    await ws.send("b")
                    await asyncio.sleep(0.3)

    run(main)


def test_a_refusal() -> None:
    async def main() -> None:
        async with pywscore.serve(
            echo, "127.0.0.1", 0, process_request=lambda ws, _: ws.respond(404, "no")
        ) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(ScriptError, match="404"):
                await ScriptedPeer.connect(f"ws://127.0.0.1:{port}/")

    run(main)


@pytest.mark.parametrize(
    "line",
    [
        "sent text",
        "send",
        "send text x y",
        "send text color=red",
        "send text rsv=8",
        "send opcode=16",
        "expect",
        "pause long",
        'send text "unfinished',
        "send text mask=maybe",
        "send close 99999",
        "pause nan",
        "pause inf",
        "pause -1",
        "expect nothing nan",
    ],
)
def test_lines_that_are_no_steps(line: str) -> None:
    with pytest.raises(ScriptError, match="line 2: "):
        parse_script(f"pause 0\n{line}")


BYTES = [*b' a9"#\\', *b"\n\x00\xff", *"é".encode(), 3, 0xE8]


@pytest.mark.parametrize("seed", range(4))
def test_any_frame_is_read_as_it_is_shown(seed: int) -> None:
    choose = random.Random(seed)
    for _ in range(3000):
        payload = bytes(choose.choices(BYTES, k=choose.choice([0, 1, 2, 3, 5])))
        opcode, fin = (
            choose.choice([0, 1, 2, 8, 8, 9, 10, 3, 15]),
            choose.random() < 0.5,
        )
        frame = Frame(opcode, payload, fin, choose.choice([0, 0, 4, 7]))
        [step] = parse_script(f"expect {shown_frame(frame)}")
        assert step.frame == frame and not (payload and step.any_payload)


def test_a_record_is_done_again() -> None:
    async def main() -> None:
        link = FaultyLink()
        async with connected(link=link, client={"compression": None}) as (
            client,
            server,
        ):
            for message in ("text", b"\0\1", "é" * 200):
                await client.send(message)
                await server.send(await server.recv())
                await client.recv()
            await client.close()
        script = record(link)
        async with pywscore.serve(echo, "127.0.0.1", 0) as running:
            port = running.sockets[0].getsockname()[1]
            async with await ScriptedPeer.connect(f"ws://127.0.0.1:{port}/") as peer:
                await peer.run(script)

    run(main)


def test_step_by_step() -> None:
    """Without a script."""

    async def main() -> None:
        async with pywscore.serve(echo, "127.0.0.1", 0, compression=None) as server:
            port = server.sockets[0].getsockname()[1]
            uri = f"ws://127.0.0.1:{port}/"
            async with await ScriptedPeer.connect(uri) as peer:
                for size in (0, 1, 125, 126, 65535, 65536, 200_000):
                    payload = random.randbytes(size)
                    peer.send_frame(2, payload)
                    assert await peer.receive() == Frame(2, payload)
                peer.send_frame(1, b"two ", fin=False)
                peer.send_frame(0, b"parts")
                assert await peer.receive() == Frame(1, b"two parts")
                peer.send_close(4000, "why")
                assert await peer.close_code() == 4000
                assert await peer.reader.read() == b""
            async with await ScriptedPeer.connect(uri) as peer:
                peer.send_frame(8)
                assert await peer.close_code() == 1005
            async with await ScriptedPeer.connect(uri) as peer:
                peer.writer.write_eof()
                assert await peer.close_code() == 1006

    run(main)
