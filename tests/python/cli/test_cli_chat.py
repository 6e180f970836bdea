"""The chat's logic with made-up connections, then over real ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Any

import pytest

import pywscore
from pywscore.cli._demo import chat as chat_module
from pywscore.cli._demo import select_subprotocol
from pywscore.cli._demo.chat import (
    HISTORY,
    MAX_BEHIND,
    MAX_EMPTY_HISTORY,
    MAX_HISTORY,
    MAX_MESSAGE_BYTES,
    SUBPROTOCOL,
    Chat,
    Member,
    Room,
    TokenBucket,
)
from pywscore.cli._demo.events import (
    MAX_NAME,
    MAX_TEXT,
    BadMessage,
    Say,
    Typing,
    clean_name,
    clean_text,
    read_json,
    read_line,
    read_target,
)


class FakeConnection:
    """Records what it is told; may be full, or broken."""

    def __init__(self, *, subprotocol: str | None = SUBPROTOCOL) -> None:
        self.subprotocol = subprotocol
        self.told: list[str] = []
        self.full = False
        self.broken = False
        self.closed: tuple[int, str] | None = None

    def send_nowait(self, message: str) -> bool:
        if self.broken:
            raise RuntimeError("broken")
        self.told.append(message)
        return not self.full

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed = (code, reason)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(message) for message in self.told]

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]


def join(room: Room, name: str, **options: Any) -> tuple[Member, FakeConnection]:
    ws = FakeConnection(**options)
    member = Member(ws, name)  # type: ignore[arg-type]
    room.join(member, "server")
    return member, ws


def test_everybody_in_the_room_is_told() -> None:
    room = Room("tea", clock=lambda: 1000.5)
    ann, ann_ws = join(room, "Ann")
    _, bob_ws = join(room, "Bob")
    room.typing(ann, active=True)
    room.say(ann, "hello")
    room.leave(ann)
    assert ann_ws.kinds() == ["welcome", "join", "message"]
    assert bob_ws.events[0] == {
        "type": "welcome",
        "name": "Bob",
        "room": "tea",
        "users": ["Ann", "Bob"],
        "history": [],
        "server": "server",
    }
    assert bob_ws.events[1:] == [
        {"type": "typing", "name": "Ann", "active": True},
        {"type": "message", "id": 1, "name": "Ann", "text": "hello", "time": 1000.5},
        {"type": "leave", "name": "Ann", "time": 1000.5},
    ]


def test_plain_lines_are_those_of_the_tutorial() -> None:
    room = Room("tea")
    ann, ann_ws = join(room, "Ann", subprotocol=None)
    room.say(ann, "hello")
    bob, bob_ws = join(room, "Bob", subprotocol=None)
    room.typing(bob, active=True)
    room.leave(bob)
    assert ann_ws.told == [
        "* you are Ann in tea, alone",
        "Ann: hello",
        "* Bob joined",
        "* Bob left",
    ]
    assert bob_ws.told == ["Ann: hello\n* you are Bob in tea, with Ann"]


def test_names_are_distinct() -> None:
    room = Room("tea")
    names = [join(room, name)[0].name for name in ("Ann", "Ann", "ANN", "Bob")]
    assert names == ["Ann", "Ann (2)", "ANN (3)", "Bob"]
    room.leave(room.members["ann (2)"])
    assert join(room, "Ann")[0].name == "Ann (2)"


def test_leaving_twice_tells_once() -> None:
    room = Room("tea")
    _, ann_ws = join(room, "Ann")
    bob, _ = join(room, "Bob")
    room.leave(bob)
    join(room, "Bob")
    room.leave(bob)  # not the Bob who is there now
    assert "bob" in room.members
    assert ann_ws.kinds() == ["welcome", "join", "leave", "join"]


def test_history_is_bounded() -> None:
    room = Room("tea")
    ann, _ = join(room, "Ann")
    for number in range(60):
        room.say(ann, str(number))
    _, ws = join(room, "Bob")
    said = [message["text"] for message in ws.events[0]["history"]]
    assert said == [str(number) for number in range(10, 60)]


def test_a_broken_member_does_not_disturb_the_others() -> None:
    async def scenario() -> None:
        room = Room("tea")
        ann, ann_ws = join(room, "Ann")
        _, broken_ws = join(room, "Broken")
        _, bob_ws = join(room, "Bob")
        broken_ws.broken = True
        room.say(ann, "hello")
        await asyncio.sleep(0)
        for ws in (ann_ws, bob_ws):
            assert ws.kinds()[-2:] == ["message", "leave"]
        assert list(room.members) == ["ann", "bob"]
        assert broken_ws.closed == (1013, "too slow")

    asyncio.run(scenario())


def test_a_slow_member_is_let_go_and_memory_stays_bounded() -> None:
    async def scenario() -> None:
        room = Room("tea")
        ann, ann_ws = join(room, "Ann")
        _, slow_ws = join(room, "Slow")
        slow_ws.full = True
        for _ in range(200):
            room.typing(ann, active=True)
            room.say(ann, "x" * MAX_TEXT)
        await asyncio.sleep(0)
        assert slow_ws.closed == (1013, "too slow")
        assert sum(map(len, slow_ws.told)) <= MAX_BEHIND + 2 * MAX_TEXT
        assert slow_ws.kinds().count("typing") == 1  # the rest can wait for ever
        assert ann_ws.kinds().count("message") == 200

    asyncio.run(scenario())


@pytest.mark.threat("SLW-3")
def test_all_slow_members_are_let_go_at_once() -> None:
    """Nothing of that is in the handler of the one who speaks, each is told once."""

    async def scenario() -> None:
        room = Room("tea")
        ann, ann_ws = join(room, "Ann")
        slow = [join(room, f"m{number}")[1] for number in range(499)]
        closes = 0

        async def close(*args: Any) -> None:
            nonlocal closes
            closes += 1

        for ws in slow:
            ws.full, ws.close = True, close  # type: ignore[method-assign]
        for _ in range(100):
            room.say(ann, "x" * MAX_TEXT)
        await asyncio.sleep(0)
        assert list(room.members) == ["ann"]
        assert closes == 499
        kinds = ann_ws.kinds()
        assert (kinds.count("leave"), kinds.count("message")) == (499, 100)

    asyncio.run(scenario())


def test_dropped_twice_is_closed_once() -> None:
    async def scenario() -> None:
        room = Room("tea")
        ann, ann_ws = join(room, "Ann")
        room.drop(ann)
        room.drop(ann)
        assert len(room._closing) == 1
        await asyncio.sleep(0)
        assert ann_ws.closed == (1013, "too slow")

    asyncio.run(scenario())


def test_a_member_that_catches_up_stays() -> None:
    room = Room("tea")
    ann, _ = join(room, "Ann")
    bob, bob_ws = join(room, "Bob")
    for _ in range(100):
        bob_ws.full = True
        for _ in range(20):
            room.say(ann, "x" * MAX_TEXT)
        bob_ws.full = False
        room.say(ann, "y")
    assert bob.behind == 0 and bob_ws.closed is None


def test_rate_limit() -> None:
    now = [0.0]
    bucket = TokenBucket(20, clock=lambda: now[0])
    assert sum(bucket.take() for _ in range(100)) == 20
    now[0] = 0.5
    assert sum(bucket.take() for _ in range(100)) == 10
    now[0] = 100
    assert sum(bucket.take() for _ in range(100)) == 20


def test_complaints_are_rationed() -> None:
    now = [0.0]
    ws = FakeConnection()
    member = Member(ws, "Ann", clock=lambda: now[0])  # type: ignore[arg-type]
    for _ in range(100):
        assert member.complain("rate", "Too many messages.")
    assert ws.kinds() == ["error"]
    now[0] = 1.0
    assert member.complain("rate", "Too many messages.")
    assert ws.kinds() == ["error", "error"]


def test_rooms_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_module, "MAX_ROOMS", 3)
    chat = Chat()
    rooms = [chat.room(name) for name in "abc"]
    assert rooms[0] is not None and rooms[1] is not None and rooms[2] is not None
    join(rooms[0], "Ann")
    assert chat.room("b") is rooms[1]
    assert chat.room("d") is not None  # in the place of c, empty and least used
    assert chat.room("b") is rooms[1]
    for name in ("b", "d"):
        room = chat.room(name)
        assert room is not None
        join(room, "Ann")
    assert chat.room("e") is None


def test_history_is_bounded_in_memory() -> None:
    """Whoever comes and goes, in however many rooms."""
    chat = Chat()
    for number in range(1500):
        room = chat.room(str(number))
        assert room is not None
        member, _ = join(room, "Ann")
        if number % 5 == 0:
            for _ in range(HISTORY):
                room.say(member, "\U0001f375" * MAX_TEXT + str(number))
        else:
            room.say(member, "hello")
        assert room.history_size <= MAX_HISTORY
        room.leave(member)
    kept = [room for room in chat._rooms.values() if room.history]
    size = sum(sys.getsizeof(it["text"]) for room in kept for it in room.history)
    assert size <= MAX_EMPTY_HISTORY + MAX_HISTORY
    assert "1499" in chat._rooms  # the oldest go first
    room = chat.room("1495")
    assert room is not None and room.history[-1]["text"].endswith("1495")


# What str.splitlines() knows, and other control characters.
BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85"]
BREAKS += ["\u2028", "\u2029", "\0", "\b", "\x1b", "\x7f", "\x9b", "\t"]


@pytest.mark.threat("LOG-2")
@pytest.mark.parametrize("character", BREAKS)
def test_nobody_speaks_for_others_in_plain_lines(character: str) -> None:
    room = Room("tea")
    ann, _ = join(room, "Ann")
    _, plain = join(room, "Plain", subprotocol=None)
    said = f"hi{character}Bob: I owe Ann 100{character}"
    for text in (said, clean_text(said)):
        room.say(ann, text)
    _, late = join(room, "Late", subprotocol=None)
    *history, here = late.told[0].split("\n")
    assert here.startswith("* you are Late")
    for line in (*history, *plain.told):
        assert line.startswith(("Ann: hi", "* "))
        assert len(line.splitlines()) == 1 and line.isprintable()


@pytest.mark.parametrize("name", ["Bob: hi", "* Bob left", "Bob:", "*:"])
def test_names_do_not_look_like_lines(name: str) -> None:
    assert not set(clean_name(name)) & set(":*")


@pytest.mark.parametrize(
    ("path", "name", "room"),
    [
        ("/ws/Ann", "Ann", "lobby"),
        ("/ws/", "Anonymous", "lobby"),
        ("/ws", "Anonymous", "lobby"),
        ("/ws/J%C3%BCrgen%20%20M?room=t%20a", "Jürgen M", "t a"),
        ("/ws/a%2Fb", "a/b", "lobby"),
        ("/ws/%20%E2%80%AE%0A?room=%00", "Anonymous", "lobby"),
        ("/ws/Ann?" + "x=1&" * 20, "Ann", "lobby"),
        ("/ws/%FF", "\ufffd", "lobby"),
    ],
)
def test_name_and_room_from_the_path(path: str, name: str, room: str) -> None:
    assert read_target(path) == (name, room)


def test_long_names_are_refused() -> None:
    assert read_target("/ws/" + "x" * MAX_NAME)[0] == "x" * MAX_NAME
    for path in ("/ws/" + "x" * (MAX_NAME + 1), "/ws/a?room=" + "x" * 41):
        with pytest.raises(BadMessage, match="at most 40"):
            read_target(path)


def test_names_have_nothing_invisible() -> None:
    assert clean_name(" A\u200bn\u202en\x1b \t b ") == "Ann b"
    assert clean_name("e\u0301") == "é"


def test_texts_are_cleaned() -> None:
    assert clean_text(" a\r\nb\tc\x1b[2J\x00 ") == "a\nb\tc[2J"
    assert clean_text("x\ud800") == "x?"
    assert clean_text("x" * MAX_TEXT)
    with pytest.raises(BadMessage, match="at most 4,000"):
        clean_text("x" * (MAX_TEXT + 1))


def test_messages_are_read() -> None:
    assert read_json('{"type":"message","text":" hi "}') == Say("hi")
    assert read_json('{"type":"typing","active":true,"more":1}') == Typing(True)
    assert read_line("hi") == Say("hi")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hi",
        "[]",
        "null",
        '{"type":"message"}',
        '{"type":"message","text":1}',
        '{"type":"typing","active":"yes"}',
        '{"type":"welcome"}',
        "[" * MAX_MESSAGE_BYTES,
        "1" * MAX_MESSAGE_BYTES,
        b'{"type":"message","text":"hi"}',
    ],
)
def test_what_is_not_understood_is_refused(message: str | bytes) -> None:
    with pytest.raises(BadMessage):
        read_json(message)


async def next_event(ws: pywscore.Connection, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while True:
            event = json.loads(await ws.recv())
            if event["type"] == kind:
                return dict(event)


async def drain(ws: pywscore.Connection) -> None:
    with contextlib.suppress(pywscore.ConnectionClosed):
        while True:
            await ws.recv()


def test_over_the_wire() -> None:
    async def scenario() -> None:
        async with pywscore.serve(
            Chat().handle,
            "127.0.0.1",
            0,
            subprotocols=[SUBPROTOCOL],
            select_subprotocol=select_subprotocol,
        ) as server:
            port = server.sockets[0].getsockname()[1]
            base = f"ws://127.0.0.1:{port}/ws"
            async with (
                pywscore.connect(f"{base}/Ann", subprotocols=[SUBPROTOCOL]) as ann,
                pywscore.connect(f"{base}/Bob") as bob,
                pywscore.connect(f"{base}/Eve?room=x") as eve,
            ):
                assert (await next_event(ann, "welcome"))["name"] == "Ann"
                assert await bob.recv() == "* you are Bob in lobby, with Ann"
                assert await eve.recv() == "* you are Eve in x, alone"
                assert (await next_event(ann, "join"))["name"] == "Bob"

                await bob.send("hello")
                assert await bob.recv() == "Bob: hello"
                assert (await next_event(ann, "message"))["text"] == "hello"
                await ann.send('{"type":"message","text":"\\ud800 hi"}')
                assert await bob.recv() == "Ann: ? hi"

                # Too fast: one complaint, and the connection stays. Bob reads on:
                # a closing handshake behind a full queue would have to wait.
                draining = asyncio.create_task(drain(bob))
                for number in range(40):
                    await ann.send(json.dumps({"type": "message", "text": str(number)}))
                assert (await next_event(ann, "error"))["code"] == "rate"

                await bob.close()
                await draining
                assert (await next_event(ann, "leave"))["name"] == "Bob"

                async with pywscore.connect(f"{base}/{'x' * 41}") as long:
                    with pytest.raises(pywscore.ConnectionClosed):
                        await long.recv()
                    assert long.close_code == 1008
                    assert long.close_reason == "A name has at most 40 characters."

    asyncio.run(asyncio.wait_for(scenario(), 30))
