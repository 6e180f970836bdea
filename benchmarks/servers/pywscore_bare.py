"""The floor of opening handshakes in Python: the engine, and of each connection no
objects but those that it can't do without. It accepts every request, in one call of
Python, sets no deadline, keeps no book and doesn't echo."""

from __future__ import annotations

import asyncio
import socket

from pywscore import _core
from pywscore.asyncio._engine import EngineTransport, engine_of


class Bare(_core.Connection):
    protocol: _core.ServerProtocol

    def _on_request(self, request: object) -> None:
        self.protocol.accept()
        self._listen(self)
        self.flush()

    def on_message(self, ws: object, message: str | bytes) -> None:
        pass


async def serve(compression: bool) -> int:
    loop = asyncio.get_running_loop()
    engine = engine_of(loop)
    buffer, timers = _core.ReceiveBuffer(), _core.Timers(loop)
    options = None, (65536, 16384), None, None, None

    def accepted(fd: int, error: int) -> None:
        ws = Bare(_core.ServerProtocol(), loop, buffer, timers, *options)
        ws.connection_made(EngineTransport(engine, fd, ws))

    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sock.setblocking(False)
    port: int = sock.getsockname()[1]
    engine.listen(sock.detach(), accepted)
    return port
