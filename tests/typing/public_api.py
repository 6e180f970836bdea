"""How users write it, as mypy --strict sees it. Checked, never run."""

import asyncio
from collections.abc import Iterator
from typing import assert_type

import pywscore


def sans_io(head: bytes, chunks: Iterator[bytes]) -> bytes:
    protocol = pywscore.ServerProtocol(max_size=1 << 20)
    protocol.receive_data(head)
    request = protocol.next_event()
    assert isinstance(request, pywscore.Request)
    assert_type(request.path, str)
    protocol.accept(subprotocol=None, headers=[("X-Served-By", "pywscore")])
    for chunk in chunks:
        protocol.receive_data(chunk)
        for event in protocol.events():
            match event:
                case pywscore.TextMessage(data=text):
                    assert_type(text, str)
                    protocol.send_text(text, compress=False)
                case pywscore.BinaryMessage(data=data):
                    assert_type(data, bytes)
                    protocol.send_binary(data)
                case pywscore.Ping(data=data) | pywscore.Pong(data=data):
                    assert_type(data, bytes)
                case pywscore.Close(code=code, reason=reason):
                    assert_type(code, int)
                    assert_type(reason, str)
                case pywscore.Request() | pywscore.Response():
                    pass
    assert_type(protocol.close_code, int | None)
    assert_type(protocol.buffers_to_send(), list[bytes])
    return protocol.data_to_send()


async def echo(ws: pywscore.ServerConnection) -> None:
    async for message in ws:
        assert_type(message, str | bytes)
        await ws.send(message)


async def server() -> None:
    async with pywscore.serve(echo, "127.0.0.1", 8765, max_size=None) as running:
        await running.serve_forever()


async def client() -> None:
    async with pywscore.connect("ws://127.0.0.1:8765", subprotocols=None) as ws:
        await ws.send("text")
        await ws.send(b"bytes")
        await ws.send(["in ", "fragments"])
        assert_type(await ws.recv(), str | bytes)
        assert_type(await ws.recv(decode=True), str)
        assert_type(await ws.recv(decode=False), bytes)
        waiter = await ws.ping()
        assert_type(await waiter, float)
        assert_type(ws.latency, float)
        await ws.close(1000, "done")
        assert_type(ws.close_code, int | None)


async def again_and_again(uri: str) -> None:
    async for ws in pywscore.connect(uri):
        try:
            async for message in ws:
                print(message)
        except pywscore.ConnectionClosedError as error:
            assert_type(error.rcvd, pywscore.Close | None)
            continue


def wrong() -> None:
    # The ignores are checked: mypy reports one that is not needed.
    pywscore.ServerProtocol(1 << 20)  # type: ignore[call-arg]
    pywscore.serve(echo, "127.0.0.1", "8765")  # type: ignore[call-overload]
    pywscore.ServerProtocol().send_text(1)  # type: ignore[arg-type]


if __name__ == "__main__":
    asyncio.run(server())
