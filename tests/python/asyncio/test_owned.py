"""Arguments whose code runs while a call is made (BOR-2), and threads (LIF-4)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from waiting import until

import pywscore
from pywscore import _core

pytestmark = pytest.mark.threat("BOR-2")


class Truth:
    """Does something when it is asked for its truth."""

    def __init__(self, act: Callable[[], object], truth: bool = True) -> None:
        self.act = act
        self.truth = truth

    def __bool__(self) -> bool:
        self.act()
        return self.truth


@pytest.mark.parametrize("message", [bytearray(b"m" * 200), "m" * 200, b"m" * 200])
@pytest.mark.parametrize("name", ["text", "compress"])
async def test_send_closed_by_an_argument(
    pair: Any, name: str, message: str | bytes | bytearray
) -> None:
    async with pair() as ends:
        coroutine: list[Any] = []
        evil = Truth(lambda: coroutine[0].close(), truth=name == "compress")
        coroutine.append(ends.client.send(message, **{name: evil}))
        with pytest.raises(StopIteration):
            coroutine[0].send(None)
        expected = (
            message
            if isinstance(message, bytes)
            else bytes(message, "utf-8")
            if isinstance(message, str)
            else bytes(message)
        )
        assert await ends.server.recv(decode=False) == expected
        with pytest.raises(RuntimeError, match="cannot reuse"):
            await coroutine[0]


@pytest.mark.parametrize("name", ["text", "compress"])
async def test_send_within_itself(pair: Any, name: str) -> None:
    async with pair() as ends:
        coroutine: list[Any] = []

        def again() -> None:
            with pytest.raises(ValueError, match="already executing"):
                coroutine[0].send(None)
            with pytest.raises(ValueError, match="already executing"):
                coroutine[0].throw(KeyError("no"))

        coroutine.append(ends.client.send(b"once", **{name: Truth(again, False)}))
        await coroutine[0]
        await ends.client.send("last")
        assert [await ends.server.recv() for _ in range(2)] == [b"once", "last"]


async def test_fragments_closed_by_an_argument(pair: Any) -> None:
    """Nothing is sent then, and it is said."""
    async with pair() as ends:
        coroutine: list[Any] = []
        evil = Truth(lambda: coroutine[0].close())
        coroutine.append(ends.client.send(["a", "b"], compress=evil))
        with pytest.raises(RuntimeError, match="closed"):
            await coroutine[0]
        await ends.client.send("whole")
        assert await ends.server.recv() == "whole"


async def test_a_truth_that_raises_loses_nothing(pair: Any) -> None:
    def fail() -> None:
        raise KeyError("no")

    async with pair() as ends:
        await ends.server.send("kept")
        with pytest.raises(KeyError):
            await ends.client.recv(decode=Truth(fail))
        coroutine: list[Any] = []
        coroutine.append(ends.client.recv(Truth(lambda: coroutine[0].close())))
        with pytest.raises(RuntimeError, match="closed"):
            await coroutine[0]
        assert await ends.client.recv() == "kept"
        for name in ("text", "compress"):
            with pytest.raises(KeyError):
                await ends.client.send("no", **{name: Truth(fail)})
        await ends.client.send("yes")
        assert await ends.server.recv() == "yes"


async def test_arguments_given_twice(pair: Any) -> None:
    async with pair() as ends:
        with pytest.raises(TypeError, match="multiple values for 'decode'"):
            ends.client.recv(True, decode=False)
        with pytest.raises(TypeError, match="multiple values for 'text'"):
            ends.client.send("message", True, text=False)


async def test_on_pong_takes_the_next_event(serve: Any, raw_client: Any) -> None:
    """A hook that has the protocol go on: the payload was the listener's already."""

    class Greedy(pywscore.ServerConnection):
        def _on_pong(self, data: bytes) -> None:
            super()._on_pong(data)
            self.protocol.next_event()

    class Listener:
        def on_message(self, ws: Any, message: Any) -> None:
            pass

        def on_pong(self, ws: Any, data: bytes) -> None:
            pongs.put_nowait(data)

    pongs: asyncio.Queue[bytes] = asyncio.Queue()
    async with serve(
        None, "127.0.0.1", 0, listener=Listener, create_connection=Greedy
    ) as server:
        async with raw_client(server) as peer:
            peer.send_frame(10, b"first")
            assert await pongs.get() == b"first"
            peer.send_frame(10, b"second")
            assert await pongs.get() == b"second"
            peer.send_close()
            assert await peer.close_code() == 1000


async def test_a_failed_listener_hears_of_the_end_only(
    serve: Any, raw_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Listener:
        def on_message(self, ws: Any, message: Any) -> None:
            calls.append(message)
            raise ValueError

        def on_ping(self, ws: Any, data: bytes) -> None:
            calls.append(data)

        on_pong = on_ping

        def on_close(self, ws: Any, code: int, reason: str) -> None:
            calls.append(code)

    calls: list[Any] = []
    async with serve(None, "127.0.0.1", 0, listener=Listener) as server:
        async with raw_client(server) as peer:
            for _ in range(3):
                peer.send_frame(1, b"message")
                peer.send_frame(9, b"ping")
                peer.send_frame(10, b"pong")
            assert await peer.close_code() == 1011
            peer.writer.transport.abort()
        await until(lambda: not server.connections)
    assert calls == ["message", 1006]


# ---- threads -------------------------------------------------------------------------


def elsewhere(function: Callable[[], Any]) -> BaseException | None:
    """What it raises in another thread."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            function()
            raised.append(None)
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0]


@pytest.mark.threat("LIF-4")
async def test_a_protocol_that_has_a_connection(pair: Any) -> None:
    async with pair() as ends:
        for protocol in (ends.client.protocol, ends.server.protocol):
            for act in [
                lambda p: p.receive_data(b"\x88\x80\0\0\0\0"),
                lambda p: p.receive_eof(),
                lambda p: p.next_event(),
                lambda p: p.events(),
                lambda p: p.send_text("no"),
                lambda p: p.send_binary(b"no"),
                lambda p: p.send_continuation(b"no"),
                lambda p: p.send_ping(),
                lambda p: p.send_pong(),
                lambda p: p.send_close(),
                lambda p: p.fail(1011),
                lambda p: p.data_to_send(),
                lambda p: p.buffers_to_send(),
            ]:
                exc = elsewhere(lambda act=act, p=protocol: act(p))
                assert isinstance(exc, RuntimeError) and "thread" in str(exc)
            assert protocol.state is pywscore.State.OPEN
        await ends.client.send("still here")
        assert await ends.server.recv() == "still here"


@pytest.mark.threat("LIF-4")
async def test_handshake_methods_elsewhere(serve: Any, raw_client: Any) -> None:
    raised: list[Any] = []

    def process_request(ws: Any, request: Any) -> None:
        raised.append(elsewhere(ws.protocol.accept))
        raised.append(elsewhere(lambda: ws.protocol.reject(403, "no")))

    async def handler(ws: Any) -> None:
        await ws.wait_closed()

    async with serve(
        handler, "127.0.0.1", 0, process_request=process_request
    ) as server:
        async with raw_client(server):
            pass
    assert [type(exc) for exc in raised] == [RuntimeError, RuntimeError]


async def test_a_protocol_has_one_connection(pair: Any) -> None:
    async with pair() as ends:
        with pytest.raises(ValueError, match="has a connection"):
            _core.Connection(
                ends.client.protocol,
                loop=asyncio.get_running_loop(),
                receive_buffer=_core.ReceiveBuffer(),
                timers=_core.Timers(asyncio.get_running_loop()),
                max_queue=(16, 4),
                write_limit=(1 << 16, 1 << 14),
                ping_interval=None,
                ping_timeout=None,
                idle_timeout=None,
            )


@pytest.mark.threat("LIF-4")
@pytest.mark.skipif(not hasattr(_core, "Engine"), reason="no engine on this system")
async def test_the_engine_elsewhere(serve: Any, connect: Any, uri_of: Any) -> None:
    from pywscore.asyncio._engine import engine_of

    engine = engine_of(asyncio.get_running_loop())
    assert isinstance(elsewhere(engine.ready), RuntimeError)
    assert isinstance(
        elsewhere(lambda: engine.listen(0, lambda fd, error: None)), RuntimeError
    )

    async def handler(ws: Any) -> None:
        await ws.wait_closed()

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(uri_of(server)) as ws:
            if isinstance(ws.transport, _core.EngineTransport):
                exc = elsewhere(lambda: ws.transport.set_write_buffer_limits(high=1))
                assert isinstance(exc, RuntimeError)
                assert ws.transport.get_write_buffer_limits()[1] > 1
