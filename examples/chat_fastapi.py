"""A chat room on FastAPI, with pywscore below uvicorn.

    pip install fastapi 'pywscore[uvicorn]'
    python examples/chat_fastapi.py

and open http://127.0.0.1:8000/ in two windows. With another server program it is

    uvicorn --app-dir examples --ws pywscore.integrations.uvicorn:WebSocketProtocol \\
        chat_fastapi:app
"""

from __future__ import annotations

import argparse
import asyncio

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse

MAX_NAME = 32
MAX_TEXT = 2000
MAX_BEHIND = 100  # messages that may wait for a slow member

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>Chat</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto;
         padding: 0 1rem; }
  #log { min-height: 12rem; list-style: none; padding: 0; overflow-wrap: anywhere; }
  form { display: flex; gap: .5rem; }
  form[hidden] { display: none; }
  input { flex: 1; min-width: 0; font: inherit; padding: .4rem; }
  button { font: inherit; }
</style>
<h1>Chat</h1>
<form id="join"><input id="name" placeholder="Your name" maxlength="32" required
  autofocus><button>Join</button></form>
<ul id="log" aria-live="polite"></ul>
<form id="say" hidden><input id="text" placeholder="Message" maxlength="2000"
  autocomplete="off"><button>Send</button></form>
<script>
  const $ = (id) => document.getElementById(id);
  const show = (text) => {
    const item = document.createElement("li");
    item.textContent = text;
    $("log").append(item);
  };
  let ws;
  $("join").onsubmit = (event) => {
    event.preventDefault();
    const url = new URL("ws/" + encodeURIComponent($("name").value), location.href);
    url.protocol = url.protocol.replace("http", "ws");
    ws = new WebSocket(url);
    ws.onopen = () => {
      $("join").hidden = true;
      $("say").hidden = false;
      $("text").focus();
    };
    ws.onmessage = (event) => show(event.data);
    ws.onclose = (event) => {
      show("Not connected" + (event.reason ? ": " + event.reason : "."));
      $("join").hidden = false;
      $("say").hidden = true;
    };
  };
  $("say").onsubmit = (event) => {
    event.preventDefault();
    if ($("text").value && ws.readyState === WebSocket.OPEN) {
      ws.send($("text").value);
      $("text").value = "";
    }
  };
</script>
</html>
"""

app = FastAPI()
members: dict[str, asyncio.Queue[str]] = {}


@app.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.websocket("/ws/{name}")
async def chat(ws: WebSocket, name: str) -> None:
    await ws.accept()
    name = name.strip()
    if not name or len(name) > MAX_NAME or name in members:
        await ws.close(1008, "this name can't be used, or is taken")
        return
    # A member who reads slowly has a queue of their own: nobody else waits for them.
    queue = members[name] = asyncio.Queue(MAX_BEHIND)
    writer = asyncio.create_task(write(ws, queue))
    try:
        tell(f"{name} joined; here: {', '.join(members)}")
        while True:
            text = await ws.receive_text()
            tell(f"{name}: {text[:MAX_TEXT]}")
    except WebSocketDisconnect:
        pass
    finally:
        writer.cancel()
        del members[name]
        tell(f"{name} left")


async def write(ws: WebSocket, queue: asyncio.Queue[str]) -> None:
    try:
        while True:
            await ws.send_text(await queue.get())
    except (WebSocketDisconnect, RuntimeError):
        pass  # the one who reads sees it too


def tell(text: str) -> None:
    """To all members; those who are too far behind miss it."""
    for queue in members.values():
        if not queue.full():
            queue.put_nowait(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat room on FastAPI.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        ws="pywscore.integrations.uvicorn:WebSocketProtocol",
    )
