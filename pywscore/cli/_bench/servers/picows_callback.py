"""picows' callbacks."""

from __future__ import annotations

from pathlib import Path

from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

from . import ssl_context


class Echo(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_bytes())


def listener(request: WSUpgradeRequest) -> WSListener:
    return Echo()


async def serve(compression: bool, tls: Path | None = None) -> int:
    if compression:
        raise SystemExit("picows' callbacks do not compress")
    server = await ws_create_server(listener, "127.0.0.1", 0, ssl=ssl_context(tls))
    port: int = server.sockets[0].getsockname()[1]
    return port
