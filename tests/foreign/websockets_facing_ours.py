"""A plugin of pytest: websockets' tests of its connection, of ours.

The other end stays theirs, which records and delays frames.
"""

import asyncio
import logging
import socket

from tests.asyncio import test_connection as theirs
from websockets.protocol import CLIENT

import pywscore

for name in pywscore.__all__:
    if hasattr(theirs, name):
        setattr(theirs, name, getattr(pywscore, name))

OPTIONS = {
    "compression": None,
    "ping_interval": None,
    "close_timeout": 2 * theirs.MS,
    "logger": logging.getLogger("websockets.connection"),
}


async def set_up(self: theirs.ClientConnectionTests) -> None:
    """Two ends after their handshake, of which this one is ours."""
    connected = client if self.LOCAL is CLIENT else server
    self.connection, remote = await connected(self)
    self.transport = self.connection.transport
    loop = asyncio.get_running_loop()
    self.remote_transport, self.remote_connection = await loop.create_connection(
        lambda: theirs.InterceptingConnection(theirs.RecordingProtocol(self.REMOTE)),
        sock=remote,
    )


async def client(self):
    ours, remote = socket.socketpair()
    connect = pywscore.connect("ws://localhost", sock=ours, **OPTIONS)
    connecting = asyncio.ensure_future(connect)
    await shake_hands(remote, pywscore.ServerProtocol())
    return await connecting, remote


async def server(self):
    opened = asyncio.get_running_loop().create_future()

    async def handler(ws):
        opened.set_result(ws)
        await ws.wait_closed()

    server = await pywscore.serve(handler, "127.0.0.1", 0, **OPTIONS)
    self.addAsyncCleanup(server.wait_closed)
    self.addCleanup(server.close, close_connections=False)
    remote = socket.create_connection(server.sockets[0].getsockname())
    await shake_hands(remote, pywscore.ClientProtocol("ws://localhost"))
    return await opened, remote


async def shake_hands(remote, protocol) -> None:
    loop = asyncio.get_running_loop()
    remote.setblocking(False)
    await loop.sock_sendall(remote, protocol.data_to_send())
    while (event := protocol.next_event()) is None:
        protocol.receive_data(await loop.sock_recv(remote, 4096))
    if isinstance(event, pywscore.Request):
        protocol.accept()
        await loop.sock_sendall(remote, protocol.data_to_send())


theirs.ClientConnectionTests.asyncSetUp = set_up
