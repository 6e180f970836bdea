"""One of our servers, sending messages back: python servers.py FACE

Prints the port of 127.0.0.1 that it serves, and ends when its stdin does.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import trustme

import pywscore

# The suite's largest messages have 16 MiB.
MAX_SIZE = 1 << 25

OPTIONS: dict[str, Any] = {"max_size": MAX_SIZE, "ping_interval": None}


async def echo(ws: pywscore.ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


class Echo(pywscore.Listener):
    def on_message(self, ws: pywscore.Connection, message: str | bytes) -> None:
        ws.send_nowait(message)


async def serve_carrier(
    sock: socket.socket, carrier: Literal["engine", "transport"]
) -> None:
    async with pywscore.serve(echo, sock=sock, carrier=carrier, **OPTIONS) as server:
        await server.serve_forever()


async def serve_engine(sock: socket.socket) -> None:
    await serve_carrier(sock, "engine")


async def serve_transport(sock: socket.socket) -> None:
    await serve_carrier(sock, "transport")


async def serve_listener(sock: socket.socket) -> None:
    async with pywscore.serve(None, sock=sock, listener=Echo, **OPTIONS) as server:
        await server.serve_forever()


async def serve_tls(sock: socket.socket) -> None:
    with certificate().private_key_and_cert_chain_pem.tempfile() as path:
        context = pywscore.TLSContext.server(path)
    async with pywscore.serve(echo, sock=sock, ssl=context, **OPTIONS) as server:
        await server.serve_forever()


async def serve_ssl(sock: socket.socket) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate().configure_cert(context)
    async with pywscore.serve(echo, sock=sock, ssl=context, **OPTIONS) as server:
        await server.serve_forever()


def certificate() -> trustme.LeafCert:
    return trustme.CA().issue_cert("127.0.0.1")


async def serve_uvicorn(sock: socket.socket) -> None:
    import uvicorn

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send(event | {"type": "websocket.send"})

    config = uvicorn.Config(
        application,
        ws="pywscore.integrations.uvicorn:WebSocketProtocol",
        ws_max_size=MAX_SIZE,
        lifespan="off",
        log_level="warning",
    )
    await uvicorn.Server(config).serve(sockets=[sock])


async def serve_aiohttp(sock: socket.socket) -> None:
    from aiohttp import WSMsgType, web

    from pywscore.integrations.aiohttp import WebSocketResponse

    async def handler(request: web.Request) -> WebSocketResponse:
        ws = WebSocketResponse(max_msg_size=MAX_SIZE)
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await ws.send_bytes(message.data)
        return ws

    application = web.Application()
    application.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    await asyncio.Event().wait()


FACES: dict[str, Callable[[socket.socket], Awaitable[None]]] = {
    "engine": serve_engine,
    "transport": serve_transport,
    "listener": serve_listener,
    "tls": serve_tls,
    "ssl": serve_ssl,
    "uvicorn": serve_uvicorn,
    "aiohttp": serve_aiohttp,
}


def end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


async def main(face: str) -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    threading.Thread(target=end_with_stdin, daemon=True).start()
    await FACES[face](sock)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
