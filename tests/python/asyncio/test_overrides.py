"""Subclasses that override what ``websockets`` has: honoured, or refused when made."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
import websockets.asyncio.client
import websockets.asyncio.server
import websockets.client
import websockets.server

import pywscore
from pywscore import Headers, InvalidStatus, SecurityError, parse_uri
from pywscore._overrides import ABSENT

pytestmark = pytest.mark.threat("RED-1")

PAIRS: list[tuple[type, type]] = [
    (websockets.asyncio.client.connect, pywscore.connect),
    (websockets.asyncio.client.ClientConnection, pywscore.ClientConnection),
    (websockets.asyncio.server.ServerConnection, pywscore.ServerConnection),
    (websockets.asyncio.server.Server, pywscore.Server),
    (websockets.client.ClientProtocol, pywscore.ClientProtocol),
    (websockets.server.ServerProtocol, pywscore.ServerProtocol),
]
KEYS = {"Authorization": "Bearer k1", "X-Api-Key": "k2", "Cookie": "k=3"}


def names_of(cls: type) -> set[str]:
    """What can be overridden: what websockets' classes have, and Python's don't."""
    return {
        name
        for base in cls.__mro__
        if base.__module__.startswith("websockets.")
        for name in vars(base)
        if not (name.startswith("__") and name.endswith("__"))
    }


def absent(ours: type) -> set[str]:
    return {
        name for base in ours.__mro__ for name in ABSENT.get(base.__name__, frozenset())
    }


@pytest.mark.parametrize(("theirs", "ours"), PAIRS)
def test_table(theirs: type, ours: type) -> None:
    missing = {name for name in names_of(theirs) if not hasattr(ours, name)}
    assert missing == absent(ours)


@pytest.mark.parametrize(
    ("ours", "name"),
    [(ours, name) for _, ours in PAIRS for name in sorted(absent(ours))],
)
def test_refused(ours: Any, name: str) -> None:
    def method(self: Any) -> None: ...

    with pytest.raises(TypeError, match=rf"Mine\.{name} would never be used"):
        type("Mine", (ours,), {name: method})
    with pytest.raises(TypeError, match=name):
        type("Mine", (ours,), {name: property(method)})
    mixin = type("Mixin", (), {name: method})
    for bases in ((mixin, ours), (ours, mixin)):
        with pytest.raises(TypeError, match=name):
            type("Mine", bases, {})
    middle = type("Middle", (ours,), {})
    with pytest.raises(TypeError, match=name):
        type("Mine", (middle,), {name: None})


@pytest.mark.parametrize("ours", [pair[1] for pair in PAIRS])
def test_other_names_are_free(ours: Any) -> None:
    mine = type("Mine", (ours,), {"user": None, "_keep": 1, "check": lambda self: 1})
    assert type("Later", (mine,), {"check": 2}).check == 2


def test_classes_of_ours_that_have_the_name() -> None:
    """uvicorn's calls data_received()."""
    uvicorn = pytest.importorskip("pywscore.integrations.uvicorn")

    class Mine(uvicorn.WebSocketProtocol):  # type: ignore[misc, name-defined]
        def data_received(self, data: bytes) -> None: ...

    with pytest.raises(TypeError, match="keepalive"):
        type("Mine", (uvicorn.WebSocketProtocol,), {"keepalive": 1})


# recv() and iteration


async def test_own_recv_is_iterated(connect: Any, serve: Any, uri_of: Any) -> None:
    got: list[Any] = []

    class Loud:
        async def recv(self, decode: bool | None = None) -> Any:
            return (await super().recv(decode)).upper()  # type: ignore[misc]

    class Server(Loud, pywscore.ServerConnection):  # type: ignore[misc]
        pass

    class Client(Loud, pywscore.ClientConnection):  # type: ignore[misc]
        pass

    class Later(Client):
        pass

    async def handler(ws: Any) -> None:
        async for message in ws:
            got.append(message)
            await ws.send("answer")
        got.append("end")

    async with serve(handler, "127.0.0.1", 0, create_connection=Server) as server:
        async with connect(uri_of(server), create_connection=Later) as ws:
            await ws.send("one")
            async for message in ws:
                assert message == "ANSWER"
                break
    assert got == ["ONE", "end"]


# close() and ping()


@pytest.mark.parametrize("ends", ["returns", "raises", "server"])
async def test_own_close_is_called(
    connect: Any, serve: Any, uri_of: Any, ends: str
) -> None:
    calls: list[Any] = []
    opened = asyncio.Event()

    class Polite(pywscore.ServerConnection):
        async def close(self, *args: Any) -> None:  # type: ignore[override]
            calls.append(args)
            await self.send("goodbye")
            await super().close(*args)

    async def handler(ws: Any) -> None:
        opened.set()
        if ends == "server":
            await ws.wait_closed()
        if ends == "raises":
            raise ValueError

    async with serve(handler, "127.0.0.1", 0, create_connection=Polite) as server:
        async with connect(uri_of(server)) as ws:
            await opened.wait()
            if ends == "server":
                server.close(reason="bye")
            assert await ws.recv() == "goodbye"
            await ws.wait_closed()
    assert ws.close_code == {"returns": 1000, "raises": 1011, "server": 1001}[ends]
    assert calls[0] == {"returns": (), "raises": (1011,), "server": (1001, "bye")}[ends]


async def test_own_close_that_raises(
    connect: Any, serve: Any, uri_of: Any, caplog: Any
) -> None:
    class Broken(pywscore.ServerConnection):
        async def close(self) -> None:  # type: ignore[override]
            raise ValueError("broken")

    async def handler(ws: Any) -> None: ...

    async with serve(handler, "127.0.0.1", 0, create_connection=Broken) as server:
        async with connect(uri_of(server)) as ws:
            await ws.wait_closed()
    assert ws.close_code == 1000 and "close() failed" in caplog.text


async def test_own_close_may_keep_it_open(
    connect: Any, serve: Any, uri_of: Any
) -> None:
    kept: list[Any] = []

    class Pooled(pywscore.ServerConnection):
        async def close(self, *args: Any) -> None:  # type: ignore[override]
            kept.append(self)

    async def handler(ws: Any) -> None: ...

    async with serve(handler, "127.0.0.1", 0, create_connection=Pooled) as server:
        async with connect(uri_of(server)) as ws:
            while not kept:
                await asyncio.sleep(0.01)
            await kept[0].send("still here")
            assert await ws.recv() == "still here"


async def test_own_ping_is_the_keepalive(connect: Any, serve: Any, uri_of: Any) -> None:
    pings: list[float] = []

    class Counting(pywscore.ClientConnection):
        async def ping(self, data: Any = None) -> Any:
            pong = await super().ping(b"mine %d" % len(pings))
            pings.append(0)
            return pong

    async def handler(ws: Any) -> None:
        await ws.wait_closed()

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(
            uri_of(server),
            create_connection=Counting,
            ping_interval=0.02,
            ping_timeout=0.5,
        ) as ws:
            while len(pings) < 4:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.6)  # its pongs count: no timeout
            assert ws.state is pywscore.State.OPEN and ws.latency > 0


async def test_own_ping_that_raises(
    connect: Any, serve: Any, uri_of: Any, caplog: Any
) -> None:
    class Broken(pywscore.ClientConnection):
        async def ping(self, data: Any = None) -> Any:
            raise ValueError("broken")

    async def handler(ws: Any) -> None:
        await ws.wait_closed()

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(
            uri_of(server),
            create_connection=Broken,
            ping_interval=0.02,
            ping_timeout=0.1,
        ) as ws:
            await ws.wait_closed()
    assert "keepalive ping failed" in caplog.text
    assert ws.protocol.close_sent.code == 1011


async def test_nothing_is_paid_for_it(pair: Any) -> None:
    async with pair() as ends:
        for ws in (ends.client, ends.server):
            assert aiter(ws) is ws
            assert not ws._closes_by_hand


@pytest.mark.parametrize("place", ["class", "object"])
async def test_what_is_replaced_later(
    connect: Any,
    serve: Any,
    uri_of: Any,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As tools do that watch what goes on: not in a subclass."""
    calls: list[str] = []

    def replace(where: Any, name: str) -> None:
        method = getattr(where, name)

        async def watching(*args: Any) -> Any:
            calls.append(name)
            return await method(*args)

        monkeypatch.setattr(where, name, watching)

    async def handler(ws: Any) -> None:
        if place == "object":
            for name in names:
                replace(ws, name)
        async for message in ws:
            await ws.send(message)

    names = ("recv", "ping", "close")
    if place == "class":
        for name in names:
            replace(pywscore.ServerConnection, name)
    async with serve(handler, "127.0.0.1", 0, ping_interval=0.02) as server:
        async with connect(uri_of(server)) as ws:
            await ws.send("x")
            assert await ws.recv() == "x"
            while "ping" not in calls:
                await asyncio.sleep(0.01)
    assert {*calls} == {*names}


async def test_settings_are_there(connect: Any, serve: Any, uri_of: Any) -> None:
    async def handler(ws: Any) -> None:
        await ws.wait_closed()

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(uri_of(server), ping_interval=7, close_timeout=5) as ws:
            assert (ws.ping_interval, ws.ping_timeout, ws.close_timeout) == (7, 20, 5)
            ws.close_timeout = 1
            assert ws.close_timeout == 1
            assert [each.name for each in ws.protocol.extensions] == [
                "permessage-deflate"
            ]
            assert ws.protocol.close_rcvd is None and ws.protocol.close_sent is None
    assert ws.protocol.close_rcvd == ws.protocol.close_sent == pywscore.Close(1000)
    assert ws.protocol.close_rcvd_then_sent is False


# process_redirect()


class Origins:
    """Two servers: ``here`` answers with a redirect to what ``target`` says."""

    here: str
    there: str
    target: str = ""
    heads: list[str]

    def head_there(self) -> str:
        [head] = [head for head in self.heads if "/there" in head.split("\r\n")[0]]
        return head


@pytest.fixture
def origins(raw_server: Any, accept_response: Any) -> Any:
    @contextlib.asynccontextmanager
    async def origins() -> Any:
        both = Origins()
        both.heads = []

        async def script(peer: Any, head: str) -> None:
            both.heads.append(head)
            if "/there" in head.split("\r\n")[0]:
                peer.writer.write(accept_response(head))
                peer.send_close(await peer.close_code())
                return
            peer.writer.write(
                f"HTTP/1.1 302 Found\r\nLocation: {both.target}\r\n"
                "Content-Length: 0\r\n\r\n".encode()
            )

        async with raw_server(script) as there, raw_server(script) as here:
            both.here, both.there = here, there + "there"
            both.target = both.there
            yield both

    return origins


def secrets_in(head: str) -> list[str]:
    return [name for name, value in KEYS.items() if f"{name}: {value}\r\n" in head]


async def test_key_stays_on_its_origin(origins: Any, connect: Any) -> None:
    """As openai's client does it."""

    class SameOrigin(pywscore.connect):
        def process_redirect(self, exc: Exception) -> Exception | str:
            new = super().process_redirect(exc)
            if isinstance(new, str) and (
                parse_uri(self.uri).origin != parse_uri(new).origin
            ):
                return SecurityError("not to another origin")
            return new

    carrier = connect.keywords["carrier"]
    async with origins() as both:
        opening = SameOrigin(
            both.here, additional_headers=KEYS, proxy=None, carrier=carrier
        )
        with pytest.raises(SecurityError, match="not to another origin") as caught:
            await opening
        assert isinstance(caught.value.__cause__, InvalidStatus)
        assert len(both.heads) == 1
        both.target = "/there"  # the same origin
        async with opening:
            pass
        assert secrets_in(both.head_there()) == list(KEYS)
        assert opening.uri == both.here and opening.additional_headers == Headers(KEYS)


@pytest.mark.parametrize("target", ["/there", "there", "./there?x=1", "x/../there"])
async def test_relative_redirects_keep_the_credentials(
    origins: Any, connect: Any, target: str
) -> None:
    async with origins() as both:
        both.target = target
        uri = both.here.replace("ws://", "ws://user:p%40ss@")
        async with connect(uri):
            assert "Authorization: Basic dXNlcjpwQHNz" in both.head_there()


async def test_nothing_goes_to_another_origin(origins: Any, connect: Any) -> None:
    async with origins() as both:
        uri = both.here.replace("//", "//user:pass@")
        async with connect(uri, additional_headers=KEYS | {"Host": "by.hand"}):
            pass
        head = both.head_there()
        assert secrets_in(head) == [] and "uthorization" not in head
        assert "by.hand" not in head


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_another_port_or_name_is_another_origin(
    origins: Any, connect: Any, host: str
) -> None:
    async with origins() as both:
        both.target = both.there.replace("127.0.0.1", host)
        if host == "localhost":
            both.target = both.here.replace("127.0.0.1", host) + "there"
        async with connect(both.here, additional_headers=KEYS):
            pass
        assert secrets_in(both.head_there()) == []


async def test_there_and_back(origins: Any, connect: Any) -> None:
    async with origins() as both:
        first, second = both.here, both.there.removesuffix("there")
        both.target = second + "2"

        class Watching(pywscore.connect):
            def process_redirect(self, exc: Exception) -> Exception | str:
                new = super().process_redirect(exc)
                both.target = first + "there"
                return new

        async with Watching(first, additional_headers=KEYS, proxy=None):
            pass
        assert len(both.heads) == 3 and secrets_in(both.head_there()) == []


class OwnAnswer(pywscore.connect):
    """Says where to, and nothing about headers."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        assert isinstance(exc, InvalidStatus)
        return exc.response.headers["Location"]


class KeepsBefore(pywscore.connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        headers = self.additional_headers
        new = super().process_redirect(exc)
        self.additional_headers = headers
        return new


class OtherKey(pywscore.connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        new = super().process_redirect(exc)
        self.additional_headers = {"X-Api-Key": "k2"}
        return new


@pytest.mark.parametrize(
    ("cls", "sent"),
    [(OwnAnswer, []), (KeepsBefore, list(KEYS)), (OtherKey, ["X-Api-Key"])],
)
async def test_word_of_the_hook(
    origins: Any, connect: Any, cls: Any, sent: list[str]
) -> None:
    async with origins() as both:
        opening = cls(
            both.here,
            additional_headers=KEYS,
            proxy=None,
            carrier=connect.keywords["carrier"],
        )
        for _ in range(2):  # what it says is for one try
            both.heads.clear()
            async with opening:
                pass
            assert secrets_in(both.head_there()) == sent
            assert secrets_in(both.heads[0]) == list(KEYS)


async def test_every_failure_is_shown_to_the_hook(
    raw_server: Any, connect: Any
) -> None:
    answers = [
        b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ]

    async def script(peer: Any, head: str) -> None:
        peer.writer.write(answers[0])

    seen: list[Exception] = []

    class Watching(pywscore.connect):
        def process_redirect(self, exc: Exception) -> Exception | str:
            seen.append(exc)
            return super().process_redirect(exc)

    async with raw_server(script) as uri:
        while answers:
            with pytest.raises(pywscore.InvalidHandshake) as caught:
                await Watching(uri, proxy=None, carrier=connect.keywords["carrier"])
            assert seen.pop() is caught.value
            del answers[0]


class Raises(pywscore.connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        raise KeyError("mine")


class ReturnsNothing(pywscore.connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        return None  # type: ignore[return-value]


class ReturnsNonsense(pywscore.connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        return "http://h/"


@pytest.mark.parametrize(
    ("cls", "error"),
    [
        (Raises, KeyError),
        (ReturnsNothing, TypeError),
        (ReturnsNonsense, pywscore.InvalidURI),
    ],
)
async def test_hooks_that_fail(
    origins: Any, connect: Any, cls: Any, error: type[Exception]
) -> None:
    async with origins() as both:
        opening = cls(
            both.here,
            additional_headers=KEYS,
            proxy=None,
            carrier=connect.keywords["carrier"],
        )
        with pytest.raises(error):
            await opening
        assert len(both.heads) == 1
        assert opening.uri == both.here and opening.additional_headers == Headers(KEYS)


async def test_two_tries_at_once(origins: Any, connect: Any) -> None:
    async with origins() as both:
        opening = connect(both.here, additional_headers=KEYS)

        async def once() -> None:
            ws = await opening
            await ws.close()

        await asyncio.gather(*(once() for _ in range(5)))
        firsts = [head for head in both.heads if head.startswith("GET / ")]
        assert [secrets_in(head) for head in firsts] == [list(KEYS)] * 5
        others = [head for head in both.heads if head.startswith("GET /there ")]
        assert [secrets_in(head) for head in others] == [[]] * 5
