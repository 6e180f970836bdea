"""picows' callbacks."""

from __future__ import annotations

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from . import ssl_context


class Takes(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        frame.get_payload_as_bytes()
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close()
            transport.disconnect()


class TakesTurns(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            transport.send(frame.msg_type, frame.get_payload_as_bytes())


async def run(uri: str, *, tls: bool, compression: bool, turns: bool) -> None:
    if compression:
        raise SystemExit("picows' callbacks do not compress")
    listener = TakesTurns if turns else Takes
    transport, _ = await ws_connect(listener, uri, ssl_context=ssl_context(tls))
    await transport.wait_disconnected()
