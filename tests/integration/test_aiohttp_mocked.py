"""What unit tests of handlers rely on: mocked requests, and some private names."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import WSMessage, WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from aiohttp_rig import KEY, THEIRS, Kind, run, scenario, served

from pywscore.integrations.aiohttp import WebSocketReady, WebSocketResponse, ws_connect
from pywscore.integrations.aiohttp._private import ClientWSTimeout, WSMessageTypeError

HEADERS = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}
MESSAGES = [
    WSMessage(WSMsgType.TEXT, "täxt", ""),
    WSMessage(WSMsgType.TEXT, "x" * 300, ""),
    WSMessage(WSMsgType.BINARY, bytes(70_000), ""),
    WSMessage(WSMsgType.PING, b"ping", ""),
    WSMessage(WSMsgType.PONG, b"", ""),
    WSMessage(WSMsgType.CLOSE, 4000, "why"),
]


async def mocked(**options: Any) -> tuple[WebSocketResponse, Any]:
    ws = WebSocketResponse(**options)
    request = make_mocked_request("GET", "/", headers=HEADERS)
    await ws.prepare(request)
    return ws, request.transport


def test_ready_is_aiohttps() -> None:
    async def main() -> None:
        request = make_mocked_request("GET", "/", headers=HEADERS)
        assert WebSocketReady is web.WebSocketReady
        assert WebSocketResponse().can_prepare(request) == web.WebSocketReady(
            True, None
        )

    run(main())


def test_prepare_and_send() -> None:
    async def main() -> None:
        ws, transport = await mocked()
        await ws.send_str("hello")
        written = b"".join(call.args[0] for call in transport.write.mock_calls)
        assert written.startswith(b"HTTP/1.1 101 ")
        assert written.endswith(b"\x81\x05hello")
        assert ws._loop is asyncio.get_running_loop()
        assert ws._writer.transport is transport

    run(main())


def test_messages_put_into_the_reader() -> None:
    async def main() -> None:
        ws, _ = await mocked(autoping=False)
        for message in MESSAGES:
            ws._reader.feed_data(message, 0)
        assert [await ws.receive() for _ in MESSAGES] == MESSAGES
        assert ws.close_code == 4000

    run(main())


@pytest.mark.parametrize("kind", [WSMsgType.CLOSED, WSMsgType.CLOSING])
def test_end_put_into_the_reader(kind: WSMsgType) -> None:
    async def main() -> None:
        ws, transport = await mocked()
        ws._reader.feed_data(WSMessage(kind, None, None), 0)
        assert await ws.close()
        assert not await ws.close()
        transport.close.assert_called_once_with()
        with pytest.raises(ConnectionError):
            await ws.send_str("hello")
        with pytest.raises(WSMessageTypeError):
            await ws.receive_str()

    run(main())


def test_close_without_a_peer_ends() -> None:
    async def main() -> None:
        ws, _ = await mocked(timeout=0.01)
        assert await ws.close()
        assert (ws.close_code, type(ws.exception())) == (1006, TimeoutError)

    run(main())


def test_start_without_prepare() -> None:
    async def main() -> None:
        ws = WebSocketResponse()
        await ws._start(make_mocked_request("GET", "/", headers=HEADERS))
        assert "Transfer-Encoding" not in ws.headers
        assert not ws.prepared

    run(main())


@scenario()
async def test_writer(kind: Kind) -> None:
    async def handler(ws: Any, log: list[Any]) -> None:
        await ws._writer.send_frame(b"one", WSMsgType.TEXT)
        log.append(ws._writer._limit)
        log.append(ws._writer.transport.get_extra_info("peername")[0])
        await ws._writer.close(4001, b"why")
        await ws.receive()

    async with served(kind, handler, writer_limit=1234) as rig, rig.open_peer() as peer:
        assert await peer.frame() == (1, b"one")
        assert await peer.frame() == (8, b"\x0f\xa1why")
        peer.writer.close()
        await rig.done.wait()
        assert rig.log == [1234, "127.0.0.1"]


async def with_client(path: Any) -> None:
    """Call ``path(session.ws_connect-like, url, seen)`` with a server that echoes."""
    seen: list[Any] = []

    async def handler(request: web.Request) -> Any:
        seen.append(request.headers)
        ws = THEIRS.make()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/", handler)
    async with TestClient(TestServer(app)) as client:
        await path(client.session, client.make_url("/"), seen)


def test_client_headers_of_the_caller() -> None:
    async def main(session: Any, url: Any, seen: list[Any]) -> None:
        headers = {"Sec-WebSocket-Version": "8", "Sec-WebSocket-Key": "no"}
        async with ws_connect(session, url, headers=headers) as ws:
            await ws.send_str("hello")
            assert await ws.receive_str() == "hello"
        assert seen[0].getall("Sec-WebSocket-Version") == ["8"]
        assert seen[0].getone("Sec-WebSocket-Key") != "no"

    run(with_client(main))


def test_client_receive_timeout() -> None:
    async def main(session: Any, url: Any, seen: list[Any]) -> None:
        timeout = ClientWSTimeout(ws_close=1.0)
        with pytest.warns(DeprecationWarning, match="receive_timeout"):
            connecting = ws_connect(session, url, timeout=timeout, receive_timeout=0.01)
        async with connecting as ws:
            with pytest.raises(TimeoutError):
                await ws.receive()

    run(with_client(main))


def test_client_extra_info_ends_with_the_connection() -> None:
    async def main(session: Any, url: Any, seen: list[Any]) -> None:
        ws = await ws_connect(session, url)
        assert ws.get_extra_info("socket") is not None
        await ws.close()
        assert ws.get_extra_info("socket", "none") == "none"

    run(with_client(main))
