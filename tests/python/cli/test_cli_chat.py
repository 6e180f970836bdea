"""The chat of the demo, over real connections to one worker or two."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from waiting import until

import pywscore
from pywscore.cli._demo import chat as chat_module
from pywscore.cli._demo import select_subprotocol
from pywscore.cli._demo.chat import (
    HISTORY,
    MAX_BEHIND,
    MAX_MESSAGE_BYTES,
    SUBPROTOCOL,
    Chat,
)
from pywscore.cli._demo.events import (
    MAX_KEY,
    MAX_NAME,
    MAX_TEXT,
    BadMessage,
    Say,
    Typing,
    clean_name,
    clean_text,
    encode,
    line_of,
    read_json,
    read_line,
    read_target,
)
from pywscore.cli._demo.pages import Pages
from pywscore.rooms import PublishError


class Someone:
    """A client of the JSON format."""

    def __init__(self, ws: pywscore.ClientConnection) -> None:
        self.ws = ws
        self.welcome: dict[str, Any] = {}
        self.early: list[dict[str, Any]] = []

    @property
    def name(self) -> str:
        return str(self.welcome["name"])

    @property
    def users(self) -> list[str]:
        return [it["name"] for it in self.welcome["users"]]

    async def say(self, text: str, **fields: Any) -> None:
        await self.ws.send(json.dumps({"type": "message", "text": text, **fields}))

    async def next(self, *kinds: str) -> dict[str, Any]:
        """The next event of one of these kinds."""
        async with asyncio.timeout(5):
            while True:
                event = json.loads(await self.ws.recv())
                if event["type"] in kinds:
                    return dict(event)

    async def sees(self, *names: str) -> None:
        """Wait until these are there, and no others, as far as it was told."""
        ids = {it["id"]: it["name"] for it in self.welcome["users"]}
        for event in self.early:
            self._apply(ids, event)
        async with asyncio.timeout(5):
            while sorted(ids.values()) != sorted(names):
                self._apply(ids, json.loads(await self.ws.recv()))

    def _apply(self, ids: dict[str, str], event: dict[str, Any]) -> None:
        if event["type"] == "join":
            ids[event["id"]] = event["name"]
        elif event["type"] == "leave":
            ids.pop(event["id"], None)

    async def texts(self, count: int) -> list[str]:
        return [(await self.next("message"))["text"] for _ in range(count)]


class Line(Someone):
    """A client of plain lines."""

    async def lines(self, count: int) -> list[Any]:
        async with asyncio.timeout(5):
            return [await self.ws.recv() for _ in range(count)]


class Worker:
    """A chat and its server."""

    def __init__(self, chat: Chat, port: int, clients: Any) -> None:
        self.chat = chat
        self._url = f"ws://127.0.0.1:{port}/ws"
        self._clients = clients

    async def is_told(self, count: int) -> None:
        """Wait until so many people are known to all."""
        room = self.chat.hub.room("lobby")
        async with asyncio.timeout(5):
            while await room.count() != count:
                await asyncio.sleep(0.01)

    async def connect(self, path: str, **arguments: Any) -> pywscore.ClientConnection:
        ws: pywscore.ClientConnection = await self._clients.enter_async_context(
            pywscore.connect(self._url + path, proxy=None, close_timeout=1, **arguments)
        )
        return ws

    async def enter(self, path: str, **arguments: Any) -> Someone:
        ws = await self.connect(path, subprotocols=[SUBPROTOCOL], **arguments)
        someone = Someone(ws)
        async with asyncio.timeout(5):
            while not someone.welcome:
                event = json.loads(await ws.recv())
                if event["type"] == "welcome":
                    someone.welcome = event
                else:
                    someone.early.append(event)
        return someone

    async def enter_line(self, path: str) -> tuple[Line, list[str]]:
        line = Line(await self.connect(path))
        [first] = await line.lines(1)
        return line, first.split("\n")


@contextlib.asynccontextmanager
async def working(url: str = "memory://", **arguments: Any) -> AsyncIterator[Worker]:
    chat = Chat(url)
    arguments = {"write_limit": MAX_BEHIND, "close_timeout": 1, **arguments}
    async with (
        chat.lifespan(),
        pywscore.serve(
            chat.handle,
            "127.0.0.1",
            0,
            subprotocols=[SUBPROTOCOL],
            select_subprotocol=select_subprotocol,
            max_size=MAX_MESSAGE_BYTES,
            **arguments,
        ) as server,
        contextlib.AsyncExitStack() as clients,
    ):
        yield Worker(chat, server.sockets[0].getsockname()[1], clients)


def scenario(test: Callable[[Worker], Awaitable[None]], **arguments: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), working(**arguments) as worker:
            await test(worker)

    asyncio.run(main())


def two_workers(test: Callable[[Worker, Worker], Awaitable[None]]) -> None:
    """Joined by a hub's memory, where Redis would be."""

    async def main() -> None:
        url = "memory://chat"
        async with asyncio.timeout(30), working(url) as one, working(url) as two:
            await test(one, two)

    asyncio.run(main())


def test_everybody_in_the_room_is_told() -> None:
    async def test(worker: Worker) -> None:
        ann = await worker.enter("/Ann?room=tea")
        bob = await worker.enter("/Bob?room=tea")
        eve = await worker.enter("/Eve?room=coffee")
        assert bob.welcome["room"] == "tea"
        await bob.sees("Ann", "Bob")
        await ann.ws.send('{"type":"typing","active":true}')
        typing = {"type": "typing", "name": "Ann", "active": True}
        assert await bob.next("typing", "message") == typing
        await ann.say("hello")
        for each in (ann, bob):
            event = await each.next("typing", "message")
            # Ann isn't told that she is typing.
            assert event.keys() == {"type", "id", "name", "text", "time"}
            assert (event["name"], event["text"]) == ("Ann", "hello")
            assert event["id"].endswith("-1")
        await ann.ws.close()
        gone = await bob.next("leave")
        assert (gone["id"], gone["name"]) == (ann.welcome["users"][-1]["id"], "Ann")
        assert eve.users == ["Eve"]
        await eve.say("alone")
        assert await eve.texts(1) == ["alone"]

    scenario(test)


def test_plain_lines_are_those_of_the_tutorial() -> None:
    async def test(worker: Worker) -> None:
        ann, said = await worker.enter_line("/Ann?room=tea")
        assert said == ["* you are Ann in tea, alone"]
        await ann.ws.send("hello")
        assert await ann.lines(1) == ["Ann: hello"]
        bob, said = await worker.enter_line("/Bob?room=tea")
        assert said == ["Ann: hello", "* you are Bob in tea, with Ann"]
        assert await ann.lines(1) == ["* Bob joined"]
        await bob.ws.close()
        assert await ann.lines(1) == ["* Bob left"]
        # Who is typing is not for them.
        eve = await worker.enter("/Eve?room=tea")
        await eve.ws.send('{"type":"typing","active":true}')
        await eve.say("hi")
        assert await ann.lines(2) in (
            ["* Eve joined", "Eve: hi"],
            ["Eve: hi", "* Eve joined"],  # joins are told by and by
        )

    scenario(test)


def test_names_are_distinct() -> None:
    async def test(worker: Worker) -> None:
        asked = ("Ann", "Ann", "ANN", "Bob")
        people = [await worker.enter(f"/{name}") for name in asked]
        names = [each.name for each in people]
        assert names == ["Ann", "Ann (2)", "ANN (3)", "Bob"]
        await people[-1].sees(*names)
        await people[1].ws.close()
        assert (await worker.enter("/Ann")).name == "Ann (2)"
        # At the same time, too.
        several = await asyncio.gather(*(worker.enter("/Ann") for _ in range(10)))
        assert len({each.name for each in several}) == 10

    scenario(test)


def test_two_workers_have_the_same_rooms() -> None:
    async def test(one: Worker, two: Worker) -> None:
        ann = await one.enter("/Ann")
        await until(lambda: two.chat.hub.stats().nodes == 2)
        await ann.say("first")
        await ann.texts(1)
        await two.is_told(1)
        bob = await two.enter("/Bob")
        twin = await two.enter("/Ann")
        assert twin.name == "Ann (2)" and bob.users == ["Ann", "Bob"]
        await bob.sees("Ann", "Ann (2)", "Bob")
        assert (await ann.next("join"))["name"] in {"Ann", "Bob"}
        await bob.say("second")
        for each in (ann, bob):
            while await each.texts(1) != ["second"]:
                pass
        await bob.ws.send('{"type":"typing","active":true}')
        assert (await ann.next("typing"))["name"] == "Bob"
        await bob.ws.close()
        assert (await ann.next("leave"))["name"] == "Bob"

    two_workers(test)


def test_coming_back() -> None:
    """What was missed comes, and nothing else; the name is the same."""

    async def test(one: Worker, two: Worker) -> None:
        ann = await one.enter("/Ann?key=mine")
        for number in range(4):
            await ann.say(str(number))
        last = [await ann.next("message") for _ in range(2)][-1]["id"]
        await two.is_told(1)
        # As far as others know she is still there.
        again = await two.enter(f"/Ann?key=mine&since={last}")
        assert again.name == "Ann" and again.early == [
            it for it in again.early if it["type"] == "message"
        ]
        early = [it["text"] for it in again.early]
        assert early + await again.texts(2 - len(early)) == ["2", "3"]
        # The one who is gone is another one by id.
        await ann.ws.close()
        gone = await again.next("leave")
        assert gone["name"] == "Ann" and gone["id"] != again.welcome["users"][-1]["id"]
        # Whoever has another key is somebody else.
        assert (await one.enter("/Ann?key=other")).name == "Ann (2)"
        # Too late for some: that is said, before what is left.
        bob = await one.enter("/Bob")
        for number in range(HISTORY + 10):
            await chat_say(one, str(number))
        late = await one.enter(f"/Late?since={last}")
        event = (*late.early, await late.next("gap"))[0]
        assert event == {"type": "gap", "count": 12}
        assert await late.texts(HISTORY) == [str(n) for n in range(10, HISTORY + 10)]
        assert "gap" not in [it["type"] for it in bob.early]

    async def chat_say(worker: Worker, text: str) -> None:
        message = encode("message", name="Ann", text=text, time=0.0)
        await worker.chat.rooms["lobby"].messages.publish(message)

    two_workers(test)


def test_what_is_said_again_is_said_once() -> None:
    async def test(worker: Worker) -> None:
        ann, bob = await worker.enter("/Ann?key=a"), await worker.enter("/Bob?key=b")
        for text in ("one", "two"):
            await ann.say(text, key="k1")
        await ann.say("three", key="k2")
        assert (await bob.next("message"))["key"] == "k1"
        # Another one's key is another key.
        await bob.say("mine", key="k2")
        assert await bob.texts(2) == ["three", "mine"]

    scenario(test)


def test_history_is_bounded() -> None:
    async def test(worker: Worker) -> None:
        ann = await worker.enter("/Ann")
        room = worker.chat.rooms["lobby"].messages
        for number in range(60):
            message = encode("message", name="Ann", text=str(number), time=0.0)
            await room.publish(message)
        await ann.texts(60)
        bob = await worker.enter("/Bob")
        said = [it["text"] for it in bob.early if it["type"] == "message"]
        said += await bob.texts(HISTORY - len(said))
        assert said == [str(number) for number in range(10, 60)]

    scenario(test)


@pytest.mark.threat("SLW-3")
@pytest.mark.parametrize("subprotocols", [[SUBPROTOCOL], None])
def test_slow_members_are_let_go(subprotocols: list[str] | None) -> None:
    """All at once, and nothing of that is in the way of those who read."""

    async def test(worker: Worker) -> None:
        arguments = {"subprotocols": subprotocols, "compression": None, "max_queue": 1}
        slow = [await worker.connect(f"/m{n}", **arguments) for n in range(10)]
        for ws in slow:
            await ws.recv()  # it is there
            ws.transport.pause_reading()
        ann = await worker.enter("/Ann")
        events: list[dict[str, Any]] = []

        async def read() -> None:
            async for message in ann.ws:
                events.append(json.loads(message))

        def told(kind: str) -> int:
            return len([it for it in events if it["type"] == kind])

        reading = asyncio.create_task(read())
        room = worker.chat.rooms["lobby"].messages
        message = encode("message", name="Ann", text="x" * MAX_TEXT, time=0.0)
        said = 0
        await until(lambda: told("join") >= 1)  # all are told of by now
        while await room.count() > 1:
            assert said < 10_000
            await room.publish(message)
            said += 1
            while told("message") < said:
                await asyncio.sleep(0)
        await until(lambda: told("leave") == 10)
        for ws in slow:
            ws.transport.resume_reading()
            with contextlib.suppress(pywscore.ConnectionClosed):
                while True:
                    await ws.recv()
            assert ws.close_code == 1013
        reading.cancel()

    scenario(test, close_timeout=20)


def test_too_fast() -> None:
    """One complaint a second, and the connection stays."""

    async def test(worker: Worker) -> None:
        ann = await worker.enter("/Ann")
        began = time.monotonic()
        for number in range(60):
            await ann.say(str(number))

        async def insist() -> None:
            while True:
                await ann.say("end")
                await asyncio.sleep(0.02)

        insisting = asyncio.create_task(insist())
        events: list[dict[str, Any]] = []
        while not events or events[-1].get("text") != "end":
            events.append(await ann.next("message", "error"))
        insisting.cancel()
        complaints = [it for it in events if it["type"] == "error"]
        seconds = time.monotonic() - began
        assert {it["code"] for it in complaints} == {"rate"}
        assert len(complaints) <= seconds + 1
        assert len(events) - len(complaints) <= 20 * (seconds + 1)

    scenario(test)


def test_complaints_are_rationed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(chat_module.time, "monotonic", lambda: now[0])

    async def test(worker: Worker) -> None:
        ann = await worker.enter("/Ann")
        for _ in range(50):
            await ann.ws.send("nonsense")
        await ann.say("end")
        kinds = [(await ann.next("error", "message"))["type"] for _ in range(2)]
        assert kinds == ["error", "message"]
        now[0] += 1
        await ann.ws.send("nonsense")
        assert (await ann.next("error", "message"))["code"] == "bad-message"
        bob, _ = await worker.enter_line("/Bob")
        await bob.ws.send("x" * (MAX_TEXT + 1))
        assert await bob.lines(1) == ["* A message has at most 4,000 characters."]

    scenario(test)


def test_rooms_and_members_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_module, "MAX_ROOMS", 2)
    monkeypatch.setattr(chat_module, "MAX_MEMBERS", 2)

    async def refused(worker: Worker, path: str) -> str | None:
        ws = await worker.connect(path)
        with pytest.raises(pywscore.ConnectionClosed):
            await ws.recv()
        assert ws.close_code == 1013
        return ws.close_reason

    async def test(worker: Worker) -> None:
        ann = await worker.enter("/Ann?room=a")
        await worker.enter("/Ann?room=b")
        assert await refused(worker, "/Bob?room=c") == "There are too many rooms."
        await worker.enter("/Bob?room=a")
        assert await refused(worker, "/Eve?room=a") == "The room is full."
        await ann.ws.close()
        await until(lambda: len(worker.chat.rooms["a"].people) == 1)
        await worker.enter("/Eve?room=a")
        assert worker.chat.rooms.keys() == {"a", "b"}

    scenario(test)


def test_rooms_that_all_have_left_are_forgotten() -> None:
    async def test(worker: Worker) -> None:
        for number in range(3):
            someone = await worker.enter(f"/Ann?room={number}")
            await someone.say("hello")
            await someone.texts(1)
            await someone.ws.close()
        await until(lambda: not worker.chat.rooms)
        # What was said is there.
        again = await worker.enter("/Ann?room=1")
        assert len(again.early) + len(await again.texts(1 - len(again.early))) == 1

    scenario(test)


def test_when_redis_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """People stay, what they say is refused; who comes is asked to come again."""

    async def test(worker: Worker) -> None:
        ann = await worker.enter("/Ann")

        async def fail(*arguments: Any) -> Any:
            raise PublishError("Redis isn't there")

        monkeypatch.setattr(worker.chat.hub._node.broker, "publish", fail)
        monkeypatch.setattr(worker.chat.hub._node.broker, "present", fail)
        await ann.say("hello")
        assert (await ann.next("error"))["code"] == "unavailable"
        ws = await worker.connect("/Bob")
        with pytest.raises(pywscore.ConnectionClosed):
            await ws.recv()
        assert (ws.close_code, ws.close_reason) == (
            1013,
            "The room can't be reached just now.",
        )
        monkeypatch.undo()
        await ann.say("hello")
        assert await ann.texts(1) == ["hello"]

    scenario(test)


def test_health() -> None:
    async def main() -> None:
        chat = Chat()
        pages = Pages([], chat)
        request: Any = pywscore.Request("/healthz", pywscore.Headers())
        ws: Any = None
        response = pages.process_request(ws, request)
        assert response is not None and response.status_code == 503
        async with chat.lifespan():
            response = pages.process_request(ws, request)
            assert response is not None and response.status_code == 200

    asyncio.run(main())


def test_a_worker_that_is_spawned_has_one_chat() -> None:
    chat = Chat("memory://x")
    handle, lifespan, pages = pickle.loads(
        pickle.dumps((chat.handle, chat.lifespan, Pages([], chat)))
    )
    assert handle.__self__.url == "memory://x" and handle.__self__ is not chat
    assert handle.__self__ is lifespan.__self__ is pages._chat


# What str.splitlines() knows, and other control characters.
BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85"]
BREAKS += ["\u2028", "\u2029", "\0", "\b", "\x1b", "\x7f", "\x9b", "\t"]


@pytest.mark.threat("LOG-2")
@pytest.mark.parametrize("character", BREAKS)
def test_nobody_speaks_for_others_in_plain_lines(character: str) -> None:
    async def test(worker: Worker) -> None:
        plain, _ = await worker.enter_line("/Plain")
        ann = await worker.enter("/Ann")
        said = f"hi{character}Bob: I owe Ann 100{character}"
        await ann.say(said)
        await ann.say("end")
        while (line := (await plain.lines(1))[0]) != "Ann: end":
            assert line.startswith(("Ann: hi", "* "))
            assert len(line.splitlines()) == 1 and line.isprintable()
        _, [first, *_, here] = await worker.enter_line("/Late")
        assert here.startswith("* you are Late") and first.startswith("Ann: hi")
        # What wasn't cleaned, too.
        uncleaned = line_of(encode("message", name="Ann", text=said)).text
        assert uncleaned is not None and uncleaned.isprintable()

    scenario(test)


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
    assert read_target(path) == (name, room, "", "")


def test_who_comes_back_says_where_from() -> None:
    target = read_target("/ws/Ann?room=tea&since=ab-12&key=k&more=1")
    assert target == ("Ann", "tea", "ab-12", "k")
    assert len(read_target("/ws/Ann?since=" + "x" * 1000).since) == MAX_KEY


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
    assert read_json('{"type":"message","text":"hi","key":"a1"}') == Say("hi", "a1")
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
        '{"type":"message","text":"hi","key":""}',
        '{"type":"message","text":"hi","key":"a b"}',
        json.dumps({"type": "message", "text": "hi", "key": "x" * 65}),
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


def test_over_the_wire() -> None:
    async def test(worker: Worker) -> None:
        ann = await worker.enter("/Ann")
        bob, said = await worker.enter_line("/Bob")
        assert said == ["* you are Bob in lobby, with Ann"]
        _, said = await worker.enter_line("/Eve?room=x")
        assert said == ["* you are Eve in x, alone"]
        while (await ann.next("join"))["name"] != "Bob":
            pass
        await bob.ws.send("hello")
        assert await bob.lines(1) == ["Bob: hello"]
        assert await ann.texts(1) == ["hello"]
        await ann.ws.send('{"type":"message","text":"\\ud800 hi"}')
        assert await bob.lines(1) == ["Ann: ? hi"]
        await bob.ws.close()
        assert (await ann.next("leave"))["name"] == "Bob"
        long = await worker.connect(f"/{'x' * 41}")
        with pytest.raises(pywscore.ConnectionClosed):
            await long.recv()
        assert long.close_code == 1008
        assert long.close_reason == "A name has at most 40 characters."

    scenario(test)
