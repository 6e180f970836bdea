"""Handshakes, limits, clocks and the end of connections of pywscore's uvicorn class."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import time
from typing import Any

import pytest
import trustme
import uvicorn
import websockets
from uvicorn.server import ServerState
from uvicorn_servers import (
    ENVIRONMENTS,
    THEIRS,
    Environment,
    Event,
    both,
    frame,
    model,
    ours,
    raw,
    request,
    server_frame,
    with_zttp,
)
from waiting import until

import pywscore
from pywscore.integrations.uvicorn import _connection as integration
from pywscore.integrations.uvicorn._private import _end_of_head

ACCEPT = {"type": "websocket.accept"}
ONE = Environment(*ENVIRONMENTS[0])


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(ACCEPT)
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


async def idle(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(ACCEPT)
    assert (await receive())["type"] == "websocket.disconnect"


# Handshakes -----------------------------------------------------------------------


@with_zttp
@pytest.mark.threat("HSK-7")
def test_frames_behind_the_request_at_every_cut(environment: Environment) -> None:
    frames = frame(1, b"one") + frame(1, b"a\r\n\r\nb") + frame(2, b"three")
    answers = b"".join(
        [
            server_frame(1, b"one"),
            server_frame(1, b"a\r\n\r\nb"),
            server_frame(2, b"three"),
        ]
    )

    async def main() -> None:
        async with environment.serve(echo) as served:
            data = request("Cookie: a=b", path="/x?y") + frames

            async def attempt(cut: int) -> None:
                async with raw(served.port) as client:
                    client.writer.write(data[:cut])
                    if cut < len(data):
                        await asyncio.sleep(0.02)
                        client.writer.write(data[cut:])
                    status, _ = await client.read_head()
                    assert status == 101, cut
                    got = await client.reader.readexactly(len(answers))
                    assert got == answers, cut

            for first in range(1, len(data) + 1, 40):
                cuts = range(first, min(first + 40, len(data) + 1))
                await asyncio.gather(*map(attempt, cuts))

    environment.run(main)


@pytest.mark.threat("HSK-7")
def test_frames_of_a_refused_request_are_dropped() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"})
        assert await receive() == {"type": "websocket.disconnect", "code": 1006}

    async def main() -> None:
        async with ONE.serve(app) as served, raw(served.port) as client:
            client.writer.write(request() + frame(1, b"one"))
            status, _ = await client.read_head()
            assert status == 403
            assert await client.reader.read() == b""

    ONE.run(main)


@pytest.mark.parametrize("tail", [b"", b"\x81\x80\0\0\0\0", b"\x01\x80\r\n\r\n"])
def test_end_of_head(tail: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    for start in range(len(head) - 1):
        packet = head[start:] + tail
        assert packet[_end_of_head(packet) :] == tail


REFUSALS = {
    "no key": (["-Sec-WebSocket-Key"], 400),
    "bad key": (["-Sec-WebSocket-Key", "Sec-WebSocket-Key: short"], 400),
    "two keys": (["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="], 400),
    "no version": (["-Sec-WebSocket-Version"], 400),
    "old version": (["-Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"], 426),
    "body": (["Content-Length: 5"], 400),
    "chunked body": (["Transfer-Encoding: chunked"], 400),
    "long line": (["X-Long: " + "a" * 9000], 431),
    "many lines": ([f"X-{number}: a" for number in range(140)], 431),
}


@with_zttp
@pytest.mark.parametrize("case", REFUSALS)
def test_bad_request_is_answered_at_once(environment: Environment, case: str) -> None:
    lines, expected = REFUSALS[case]
    if environment.http == "zttp" and case == "many lines":
        expected = 400  # by the HTTP class itself

    async def main() -> None:
        async with environment.serve(echo) as served, raw(served.port) as client:
            client.writer.write(request(*lines))
            if "body" in case and environment.http == "httptools":
                # It hands the request over once the body is there.
                chunked = b"5\r\nhello\r\n0\r\n\r\n"
                client.writer.write(chunked if "chunked" in case else b"hello")
            async with asyncio.timeout(2):
                status, headers = await client.read_head()
                assert status == expected
                named = dict(headers)
                await client.reader.read()
            assert "close" in named["connection"].lower()
            if expected == 426:
                assert named["sec-websocket-version"] == "13"
            if expected != 431 and environment.http != "zttp":
                assert named["server"] == "uvicorn"

    environment.run(main)


@ours
@pytest.mark.parametrize(
    ("method", "version", "expected"),
    [("POST", "HTTP/1.1", 405), ("GET", "HTTP/1.0", 505)],
)
def test_method_and_version(
    environment: Environment, method: str, version: str, expected: int
) -> None:
    async def main() -> None:
        async with environment.serve(echo) as served, raw(served.port) as client:
            client.writer.write(request(method=method, version=version))
            async with asyncio.timeout(2):
                status, headers = await client.read_head()
            assert status == expected
            if expected == 405:
                assert dict(headers)["allow"] == "GET"

    environment.run(main)


@both
def test_plain_requests_stay_with_uvicorn(environment: Environment) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await echo(scope, receive, send)
            return
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"plain"})

    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            client.writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            status, _ = await client.read_head()
            assert status == 200
            assert await client.reader.readexactly(5) == b"plain"
            # The same TCP connection becomes a WebSocket connection.
            await client.open()
            client.writer.write(frame(1, b"hi"))
            assert await client.read_frame() == (1, b"hi")

    environment.run(main)


def bare_server(
    timeout: float,
) -> tuple[uvicorn.Config, Any]:
    """Our class alone on a port, without an HTTP class in front of it."""
    config = uvicorn.Config(idle, ws=Environment("", "").ws, log_config=None)
    config.load()
    options = integration._options_of(config)
    integration._options[config] = dataclasses.replace(options, open_timeout=timeout)

    def factory() -> integration.WebSocketProtocol:
        return integration.WebSocketProtocol(config, ServerState(), {})

    return config, factory


class Double:
    """As little of a transport as unit tests of uvicorn's classes have."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def get_extra_info(self, name: str) -> Any:
        return {"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 9)}.get(name)

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def test_transports_of_unit_tests() -> None:
    async def main() -> None:
        _, factory = bare_server(5)
        protocol, transport = factory(), Double()
        protocol.connection_made(transport)
        assert (protocol.server, protocol.client) == (
            ("127.0.0.1", 80),
            ("127.0.0.1", 9),
        )
        protocol.data_received(request())
        await until(lambda: b"\r\n\r\n" in transport.written)
        assert transport.written.startswith(b"HTTP/1.1 101 ")
        transport.written = b""
        protocol.data_received(frame(9, b"hello"))
        await until(lambda: transport.written)
        assert transport.written == b"\x8a\x05hello"
        protocol.transport.abort()
        assert transport.closed
        protocol.connection_lost(None)
        await until(lambda: not protocol.tasks)

    ONE.run(main)


@pytest.mark.threat("HSK-8")
def test_silent_client_is_cut() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        config, factory = bare_server(0.2)
        server = await loop.create_server(factory, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with raw(port) as silent, raw(port) as slow, raw(port) as good:
            slow.writer.write(request()[:30])
            await good.open()
            before = time.monotonic()
            for client in (silent, slow):
                try:
                    assert await client.reader.read() == b""
                except ConnectionResetError:
                    pass
            assert time.monotonic() - before < 2
            good.writer.write(frame(9, b"still here"))
            assert await good.read_frame() == (10, b"still here")
        server.close()
        assert config.loaded

    ONE.run(main)


# Limits ---------------------------------------------------------------------------


@ours
def test_max_size(environment: Environment) -> None:
    events: list[Event] = []
    ended = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        while not ended.is_set():
            events.append(await receive())
            if events[-1]["type"] == "websocket.disconnect":
                ended.set()

    async def main() -> None:
        async with environment.serve(app, ws_max_size=100) as served:
            async with websockets.connect(served.uri, compression=None) as client:
                await client.send("x" * 100)
                await client.send("x" * 101)
                await client.wait_closed()
                assert client.close_code == 1009
            await ended.wait()

    environment.run(main)
    assert events[0] == {"type": "websocket.receive", "text": "x" * 100}
    assert events[1]["code"] == 1009


@ours
def test_max_queue_stops_reading(environment: Environment) -> None:
    may_receive = asyncio.Event()
    total = 40

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await may_receive.wait()
        for number in range(total):
            assert (await receive())["text"] == str(number)
        await send({"type": "websocket.send", "text": "all"})
        await receive()

    async def main() -> None:
        async with environment.serve(app, ws_max_queue=4) as served:
            async with websockets.connect(served.uri) as client:
                for number in range(total):
                    await client.send(str(number))
                await until(lambda: served.protocol.read_paused)
                assert served.protocol.messages_queued == 4
                may_receive.set()
                assert await client.recv() == "all"

    environment.run(main)


@both
@pytest.mark.parametrize("compression", [True, False])
def test_compression(environment: Environment, compression: bool) -> None:
    async def main() -> None:
        async with environment.serve(
            echo, ws_per_message_deflate=compression
        ) as served:
            async with websockets.connect(served.uri) as client:
                assert client.response is not None
                agreed = "Sec-WebSocket-Extensions" in client.response.headers
                assert agreed is compression
                for _ in range(3):
                    await client.send("again and " * 100)
                    assert await client.recv() == "again and " * 100

    environment.run(main)


@ours
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(1, b"\xff"), 1007),
        (frame(3), 1002),
        (b"\x81\x00", 1002),
        (frame(0, b"x"), 1002),
    ],
)
def test_invalid_frames(environment: Environment, data: bytes, code: int) -> None:
    events: list[Event] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        events.append(await receive())

    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            await client.open()
            client.writer.write(data)
            opcode, payload = await client.read_frame()
            assert (opcode, payload[:2]) == (8, code.to_bytes(2, "big"))
            client.writer.close()

    environment.run(main)
    assert [(e["type"], e["code"]) for e in events] == [("websocket.disconnect", code)]


# Clocks ---------------------------------------------------------------------------


@both
def test_keepalive(environment: Environment) -> None:
    async def main() -> None:
        async with environment.serve(
            idle, ws_ping_interval=0.05, ws_ping_timeout=0.5
        ) as served:
            async with raw(served.port) as silent, raw(served.port) as client:
                await client.open()
                await silent.open()
                [protocol, _] = served.server.server_state.connections
                assert protocol.ping_sent_at == 0.0
                assert protocol.ping_timer is not None
                for _ in range(4):
                    opcode, payload = await client.read_frame()
                    assert opcode == 9 and len(payload) == 4
                    client.writer.write(frame(10, payload))
                assert protocol.ping_sent_at > 0.0
                assert (await silent.read_frame())[0] == 9
                text = b"\x03\xf3keepalive ping timeout"
                assert await silent.read_frame() == (8, text)

    environment.run(main)


@both
def test_no_keepalive(environment: Environment) -> None:
    async def main() -> None:
        async with environment.serve(idle, ws_ping_interval=None) as served:
            async with websockets.connect(served.uri):
                [protocol] = served.server.server_state.connections
                assert protocol.ping_timer is None

    environment.run(main)


@both
def test_close_timeout(environment: Environment) -> None:
    closed = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await receive()
        await send({"type": "websocket.close"})
        closed.set()

    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            await client.open()
            [protocol] = served.server.server_state.connections
            assert protocol.close_timeout == 10.0
            assert protocol.close_timer is None
            protocol.close_timeout = 0.2
            client.writer.write(frame(1, b"go"))
            await closed.wait()
            assert protocol.close_timer is not None
            assert await client.read_frame() == (8, b"\x03\xe8")
            async with asyncio.timeout(2):
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await client.reader.readexactly(1)
            assert protocol.close_timer is None

    environment.run(main)


# The end of the server ------------------------------------------------------------


@both
def test_shutdown_closes_with_1012(environment: Environment) -> None:
    events: list[Event] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        events.append(await receive())

    async def main() -> None:
        async with environment.serve(app) as served:
            async with websockets.connect(served.uri) as client:
                await served.stop()
                await client.wait_closed()
                assert client.close_code == 1012
        assert served.server.server_state.connections == set()

    environment.run(main)
    assert events == [{"type": "websocket.disconnect", "code": 1012}]


def test_shutdown_does_not_wait_long_for_silent_clients() -> None:
    async def main() -> None:
        async with ONE.serve(idle) as served, raw(served.port) as client:
            await client.open()
            before = time.monotonic()
            await served.stop()
            assert time.monotonic() - before < 3
            assert await client.read_frame() == (8, b"\x03\xf4")

    ONE.run(main)


@ours
def test_send_after_the_end_fails_at_once(environment: Environment) -> None:
    """Even while TCP stays open: this client doesn't answer the close frame."""
    waited: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        assert (await receive())["type"] == "websocket.disconnect"
        before = time.monotonic()
        with pytest.raises(OSError):
            await send({"type": "websocket.send", "text": "late"})
        waited.append(time.monotonic() - before)

    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            await client.open()
            await served.stop()

    environment.run(main)
    assert waited[0] < 0.5


@both
def test_shutdown_before_the_answer(environment: Environment) -> None:
    asked = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        asked.set()
        assert await receive() == {"type": "websocket.disconnect", "code": 1006}

    async def main() -> None:
        async with environment.serve(app) as served, raw(served.port) as client:
            client.writer.write(request())
            await asked.wait()
            await served.stop()
            status, _ = await client.read_head()
            assert status == 500

    environment.run(main)


# The rest -------------------------------------------------------------------------


@pytest.mark.threat("TLS-10")
@both
def test_tls(environment: Environment) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    # The server offers no HTTP/2: connect() would raise if they agreed on it.
    trusting.set_alpn_protocols(["h2", "http/1.1"])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": scope["scheme"]})
        await receive()

    async def main() -> None:
        with (
            certificate.private_key_pem.tempfile() as key,
            certificate.cert_chain_pems[0].tempfile() as chain,
        ):
            async with environment.serve(
                app, ssl_keyfile=key, ssl_certfile=chain
            ) as served:
                async with pywscore.connect(
                    f"wss://localhost:{served.port}", ssl=trusting
                ) as client:
                    assert await client.recv() == "wss"
                # At shutdown theirs breaks on a connection that is closing.
                await until(lambda: not served.server.server_state.connections)

    environment.run(main)


@model
@both
def test_unix_socket(environment: Environment, tmp_path: Any) -> None:
    path = str(tmp_path / "socket")
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    async def main() -> None:
        config = uvicorn.Config(
            app, http=environment.http, ws=environment.ws, uds=path, lifespan="off"
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        async with websockets.unix_connect(path) as client:
            await client.send("hi")
            assert await client.recv() == "hi"
        await server.shutdown()
        assert scopes[0]["client"] is None
        assert scopes[0]["server"] == (path, None)

    environment.run(main)


@model
@pytest.mark.parametrize(
    "name", ["ws_max_size", "ws_max_queue", "ws_ping_interval", "ws_ping_timeout"]
)
def test_nonsense_in_the_configuration(name: str) -> None:
    for value in (object(), "20", [1]):
        config = uvicorn.Config(echo, log_config=None, **{name: value})
        with pytest.raises(TypeError, match=f"{name} must be "):
            integration.WebSocketProtocol(config, ServerState(), {})


@model
def test_attributes_that_tools_read() -> None:
    names = [
        "ping_sent_at",
        "ping_timer",
        "close_timer",
        "close_timeout",
        "transport",
        "data_received",
        "pause_writing",
        "resume_writing",
        "connection_lost",
        "connection_made",
        "eof_received",
        "shutdown",
        "config",
        "app",
        "loop",
        "root_path",
        "app_state",
        "connections",
        "tasks",
        "default_headers",
        "server",
        "client",
        "scheme",
        "handshake_complete",
        "close_sent",
        "initial_response",
    ]

    async def main() -> None:
        found = []
        for ws in (ONE.ws, THEIRS):
            environment = Environment(ONE.loop, ONE.http, ws)
            async with environment.serve(idle) as served:
                async with websockets.connect(served.uri):
                    [protocol] = served.server.server_state.connections
                    found.append([name for name in names if hasattr(protocol, name)])
        assert found == [names, names]

    ONE.run(main)
