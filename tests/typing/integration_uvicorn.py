"""uvicorn started from Python, as mypy --strict sees it. Checked, never run."""

from typing import Any

import uvicorn

from pywscore import PerMessageDeflate
from pywscore.integrations.uvicorn import HTTPProtocol, WebSocketProtocol


class SmallWindows(WebSocketProtocol):
    carrier = "transport"
    compression = PerMessageDeflate(server_max_window_bits=11)


async def app(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})


def main() -> None:
    uvicorn.run(app, ws=WebSocketProtocol)
    uvicorn.run(app, ws=SmallWindows, http=HTTPProtocol)
    uvicorn.run(app, ws="pywscore.integrations.uvicorn:WebSocketProtocol")
    uvicorn.Server(uvicorn.Config(app, ws=WebSocketProtocol))
