"""A message of one connection goes to all, by picows' callbacks."""

from __future__ import annotations

from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

members: set[WSTransport] = set()


class Relay(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        members.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        members.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        message = frame.get_payload_as_bytes()
        for member in members:
            member.send(frame.msg_type, message)


def listener(request: WSUpgradeRequest) -> WSListener:
    return Relay()


async def serve(compression: bool) -> int:
    server = await ws_create_server(listener, "127.0.0.1", 0)
    return server.sockets[0].getsockname()[1]
