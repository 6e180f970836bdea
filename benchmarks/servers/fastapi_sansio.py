"""A FastAPI endpoint under uvicorn with ``--ws websockets-sansio``."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from pywscore.cli._bench.servers.uvicorn import listen

DISTRIBUTION = "fastapi"
TITLE = "FastAPI, uvicorn"

app = FastAPI()


@app.websocket("/")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            event = await ws.receive()
            if event["type"] != "websocket.receive":
                break
            if event.get("text") is not None:
                await ws.send_text(event["text"])
            else:
                await ws.send_bytes(event["bytes"])
    except WebSocketDisconnect:
        pass


async def serve(compression: bool) -> int:
    return await listen(app, "websockets-sansio", compression)
