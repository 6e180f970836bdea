"""Mistakes are said where they are made, with what to do instead."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import logging
import re
import warnings
from decimal import Decimal
from typing import Any, get_type_hints

import pytest
from waiting import until

import pywscore
from pywscore import ConnectionClosed
from pywscore.asyncio._keywords import OF_CLIENTS, OF_SERVERS
from pywscore.asyncio._signatures import ConnectArguments, ServeArguments
from pywscore.asyncio.server import ServerConnection


async def handler(ws: ServerConnection) -> None:
    await ws.wait_closed()


def serve(**arguments: Any) -> Any:
    return pywscore.serve(handler, "127.0.0.1", 0, **arguments)


def connect(**arguments: Any) -> Any:
    return pywscore.connect("ws://127.0.0.1/", **arguments)


BOTH = [serve, connect]
TIMES = ["open_timeout", "ping_interval", "ping_timeout", "close_timeout"]


@pytest.mark.parametrize("function", BOTH)
@pytest.mark.parametrize("name", [*TIMES, "idle_timeout"])
def test_times(function: Any, name: str) -> None:
    for value in ("10", b"1", True, [1], object()):
        with pytest.raises(TypeError, match=f"^{name} must be a number of seconds"):
            function(**{name: value})
    for value in (-1, -0.5, float("nan"), Decimal(-1)):
        with pytest.raises(ValueError, match=f"^{name} must not be negative"):
            function(**{name: value})


@pytest.mark.parametrize("function", BOTH)
@pytest.mark.parametrize("name", ["max_size", "max_queue", "write_limit"])
def test_sizes(function: Any, name: str) -> None:
    for value in ("10", b"1", True, ("1", None), (1, [2])):
        with pytest.raises(TypeError, match=f"^{name} must be a whole number"):
            function(**{name: value})
    for value in ((1, 2, 3), (), -1):
        with pytest.raises(ValueError, match=f"^{name} "):
            function(**{name: value})
    with pytest.raises(TypeError, match="write_limit must be a number of bytes"):
        function(write_limit=None)


NONSENSE = [object(), b"x", 1 + 2j, [object()], {object(): 1}, -1.5]
SERVING = {*get_type_hints(ServeArguments), *OF_SERVERS, "create_connection", "handler"}
SERVING |= {"host", "listener", "port"}
CONNECTING = {*get_type_hints(ConnectArguments), *OF_CLIENTS, "create_connection"}
CONNECTING |= {"listener", "uri"}


@pytest.mark.parametrize(
    ("function", "name"),
    [
        *((pywscore.serve, name) for name in sorted(SERVING - {"path", "unix"})),
        *((pywscore.connect, name) for name in sorted(CONNECTING)),
    ],
)
def test_nonsense_is_refused_by_name(function: Any, name: str) -> None:
    """Each argument, whatever it is: the message says which one is wrong."""
    rest: dict[str, Any] = {"uri": "wss://h/"}
    if function is pywscore.serve:
        rest = {"host": "127.0.0.1", "port": 0, "handler": handler}
    for value in NONSENSE:
        if name in ("path", "proxy_path") and value == b"x":
            continue
        with pytest.raises((TypeError, ValueError), match=rf"\b{name}\b"):
            function(**rest | {name: value})


@pytest.mark.parametrize("name", ["workers", "start_method", "on_ready", "loop"])
def test_nonsense_is_refused_by_run(name: str) -> None:
    arguments: dict[str, Any] = {"workers": 2}
    for value in (object(), b"x", "x", -1, 1.5, [1]):
        with pytest.raises((TypeError, ValueError), match=rf"\b{name}\b"):
            pywscore.run(handler, "127.0.0.1", 0, **arguments | {name: value})


def test_what_is_accepted() -> None:
    async def main() -> None:
        for arguments in (
            dict.fromkeys(TIMES, value)
            for value in (0.5, 3, Decimal("2.5"), float("inf"), None)
        ):
            async with serve(**arguments) as server:
                uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
                async with pywscore.connect(uri, **arguments) as ws:
                    await (await ws.ping())
        for size in (1e6, float("inf"), (1 << 20, None), None):
            async with serve(max_size=size, max_queue=(4, 2)):
                pass
        async with serve(
            logger=logging.LoggerAdapter(logging.getLogger("x")),
            origins=["https://a.example", "null", re.compile("https://.*"), None],
            process_request=functools.partial(lambda a, ws, request: None, 1),
        ) as server:
            assert server.is_serving()

    asyncio.run(main())


@pytest.mark.parametrize("function", BOTH)
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ping_intervall", "ping_interval"),
        ("opentimeout", "open_timeout"),
        ("maxsize", "max_size"),
        ("timeout", "close_timeout"),
        ("klass", "create_connection"),
        ("create_protocol", "create_connection"),
        ("ssl_context", "ssl"),
        ("protocols", "subprotocols"),
        ("sok", "sock"),
    ],
)
def test_unknown_keywords(function: Any, name: str, meant: str) -> None:
    expected = rf"unexpected keyword argument '{name}': did you mean {meant}\?"
    with pytest.raises(TypeError, match=expected):
        function(**{name: None})


def test_unknown_keywords_of_one() -> None:
    with pytest.raises(TypeError, match=r"'extra_headers': did you mean additional_h"):
        connect(extra_headers={})
    with pytest.raises(TypeError, match="'extra_headers': a process_response hook"):
        serve(extra_headers={})
    with pytest.raises(TypeError, match="'read_limit': max_queue bounds"):
        serve(read_limit=1)
    with pytest.raises(TypeError, match=r"'loop': the running loop is used$"):
        connect(loop=None)
    for function, name in [(serve, "proxy"), (connect, "origins"), (serve, "xyzzy")]:
        with pytest.raises(TypeError, match=f"keyword argument '{name}'"):
            function(**{name: None})
    with pytest.raises(TypeError, match="'proxy_ssl'"):
        serve(proxy_ssl=True)


def test_what_is_no_such_thing() -> None:
    for function in BOTH:
        with pytest.raises(TypeError, match="logger must be a logger"):
            function(logger="x")
        with pytest.raises(TypeError, match="create_connection must be callable"):
            function(create_connection=3)
        with pytest.raises(TypeError, match="ssl must be an SSLContext or a TLS"):
            pywscore.connect("wss://h/", ssl="cert.pem")
    with pytest.raises(TypeError, match="ssl must be an SSLContext or a TLSContext"):
        serve(ssl="cert.pem")
    with pytest.raises(TypeError, match="ssl must be"):
        serve(ssl=True)
    for uri in (None, b"ws://h/", 3):
        with pytest.raises(TypeError, match="uri must be a string"):
            pywscore.connect(uri)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="proxy must be True, None or an address"):
        connect(proxy=False)
    with pytest.raises(ValueError, match="port must be from 0 to 65535"):
        pywscore.serve(handler, "127.0.0.1", 70000)


def test_what_cannot_be_sent() -> None:
    for value in ("a\r\nb", "a\0", " a", "a\t", "\u20ac"):
        with pytest.raises(ValueError, match=r"^server_header can't be sent"):
            serve(server_header=value)
        with pytest.raises(ValueError, match=r"^user_agent_header can't be sent"):
            connect(user_agent_header=value)
        with pytest.raises(ValueError, match=r"^origin can't be sent"):
            connect(origin=value)
    with pytest.raises(TypeError, match="server_header must be a string"):
        serve(server_header=b"x")


@pytest.mark.parametrize("origin", ["*", "https://*.example", "https://a.example/"])
def test_origins_that_never_match(origin: str) -> None:
    with pytest.raises(ValueError, match=r"matches none"):
        serve(origins=["https://a.example", origin])


def test_handlers() -> None:
    async def with_path(ws: Any, path: str) -> None: ...

    async def generator(ws: Any) -> Any:
        yield

    with pytest.raises(TypeError, match=r"1 argument, .*the path is ws\.request\.path"):
        pywscore.serve(with_path, "127.0.0.1", 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="has a yield"):
        pywscore.serve(generator, "127.0.0.1", 0)
    with pytest.raises(TypeError, match="handler must be callable"):
        pywscore.serve(3, "127.0.0.1", 0)  # type: ignore[arg-type]
    for name, count in [("process_request", 2), ("process_response", 3)]:
        with pytest.raises(TypeError, match=f"^{name} is called with {count} arg"):
            serve(**{name: lambda: None})
    with pytest.raises(TypeError, match="select_subprotocol is called with 2 arg"):
        serve(select_subprotocol=lambda offered: None)
    with pytest.raises(TypeError, match="reconnect_delays is called with no arg"):
        connect(reconnect_delays=lambda x: iter(()))


async def test_a_handler_that_gives_a_task(
    serve: Any, connect: Any, uri_of: Any
) -> None:
    """Whatever can be awaited will do, not coroutines only."""

    async def echo(ws: ServerConnection) -> None:
        async for message in ws:
            await ws.send(message)

    def handler(ws: ServerConnection) -> asyncio.Task[None]:
        return asyncio.create_task(echo(ws))

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(uri_of(server)) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"


def test_hooks_whose_arguments_nobody_knows() -> None:
    """Of some functions in C there is no signature to look at."""
    with pytest.raises(ValueError, match="no signature"):
        inspect.signature(max)
    serve(process_request=max)


async def test_synchronous_handler(
    serve: Any, connect: Any, uri_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(lambda ws: None, "127.0.0.1", 0) as server:
        async with connect(uri_of(server)) as ws:
            await ws.wait_closed()
            assert ws.close_code == 1011
    [failure] = [record.exc_info for record in caplog.records if record.exc_info]
    assert "the handler gave None" in str(failure[1])
    assert "coroutine function" in str(failure[1])


class Asynchronous:
    async def on_message(self, ws: Any, message: Any) -> None: ...


async def test_asynchronous_listeners(
    serve: Any, connect: Any, uri_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    text = "Asynchronous.on_message is a coroutine function"
    with pytest.raises(TypeError, match=text):
        pywscore.serve(None, "127.0.0.1", 0, listener=Asynchronous)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=text):
        pywscore.connect("ws://h/", listener=Asynchronous)  # type: ignore[arg-type]
    # Of a function it is known when it has made one.
    async with serve(None, "127.0.0.1", 0, listener=lambda: Asynchronous()) as server:
        async with connect(uri_of(server)) as ws:
            await ws.wait_closed()
            assert ws.close_code == 1011
    [failure] = [record.exc_info for record in caplog.records if record.exc_info]
    assert text in str(failure[1])


async def test_await_that_is_missing(
    serve: Any, connect: Any, echo: Any, uri_of: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0) as server, connect(uri_of(server)) as ws:
        said = ""
        with pytest.warns(RuntimeWarning, match="'Connection.recv' was never awaited"):
            try:
                await ws.send(ws.recv())
            except TypeError as exc:
                said = str(exc)
            gc.collect()
        assert "an await is missing" in said
        for send in (
            ws.send_nowait,
            ws.ping,
            ws.pong,
            functools.partial(pywscore.broadcast, [ws]),
            pywscore.is_valid_utf8,
        ):
            later = asyncio.sleep(0)
            with pytest.raises(TypeError, match="an await is missing"):
                sent = send(later)
                if sent is not None:
                    await sent
            later.close()
        await ws.send("still there")
        assert await ws.recv() == "still there"


async def test_logger_that_raises(
    serve: Any, connect: Any, uri_of: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    class Broken(logging.Logger):
        def handle(self, record: logging.LogRecord) -> None:
            raise OSError("no space left")

    async def failing(ws: ServerConnection) -> None:
        raise LookupError("the handler's own")

    async with serve(failing, "127.0.0.1", 0, logger=Broken("x")) as server:
        async with connect(uri_of(server)) as ws:
            await ws.wait_closed()
            assert ws.close_code == 1011
        await until(lambda: not server._tasks)
    assert "LookupError: the handler's own" in capfd.readouterr().err


def test_server_that_never_starts() -> None:
    server: Any = serve()
    with pytest.raises(AttributeError, match="never started"):
        _ = server.sockets
    with pytest.raises(AttributeError, match="never started"):
        server.is_serving()
    with pytest.warns(RuntimeWarning, match="a server was never started"):
        del server
        gc.collect()


def test_names_that_a_server_has_not() -> None:
    server = serve()
    with pytest.raises(AttributeError, match=r"'Server' .*has no attribute 'port'"):
        _ = server.port
    with pytest.raises(AttributeError, match="doesn't listen yet"):
        _ = server.sockets
    with warnings.catch_warnings(action="ignore"):
        del server


def test_server_that_could_not_start_says_nothing_more() -> None:
    async def main() -> None:
        async with serve() as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(OSError):
                await pywscore.serve(handler, "127.0.0.1", port)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        gc.collect()


async def test_start_after_close(serve: Any) -> None:
    server = await serve(handler, "127.0.0.1", 0)
    server.close()
    with pytest.raises(RuntimeError, match="the server is closed"):
        await server.start_serving()
    await server.wait_closed()


async def test_run_in_a_loop() -> None:
    with pytest.raises(RuntimeError, match="in a loop, await serve"):
        pywscore.run(handler, "127.0.0.1", 0)


async def test_delays_that_end() -> None:
    attempts = pywscore.connect(
        "ws://127.0.0.1:1", reconnect_delays=lambda: iter([0, 0]), proxy=None
    )
    with pytest.raises(OSError):
        async for _ in attempts:
            pass


async def test_too_big_names_the_limit(
    serve: Any, connect: Any, echo: Any, uri_of: Any
) -> None:
    for compression in (None, "deflate"):
        async with serve(
            echo, "127.0.0.1", 0, max_size=1000, compression=compression
        ) as server:
            async with connect(uri_of(server), compression=compression) as ws:
                await ws.send(b"a" * 1001, compress=compression is not None)
                with pytest.raises(ConnectionClosed) as caught:
                    await ws.recv()
        received = caught.value.rcvd
        assert received is not None and received.code == 1009
        assert "limit of 1000 bytes" in received.reason
    async with (
        serve(echo, "127.0.0.1", 0) as server,
        connect(uri_of(server), max_size=9) as ws,
    ):
        await ws.send("a" * 10)
        with pytest.raises(ConnectionClosed) as caught:
            await ws.recv()
        cause = caught.value.__cause__
        assert isinstance(cause, pywscore.PayloadTooBig)
        assert cause.max_size == 9
        assert "limit of 9 bytes" in str(cause)
        assert caught.value.sent is not None
        assert caught.value.sent.reason == str(cause)
