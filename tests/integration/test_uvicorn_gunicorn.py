"""pywscore's class in uvicorn's workers under gunicorn."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import websockets
from uvicorn_servers import OURS

import pywscore

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn forks"),
    pytest.mark.skipif(
        importlib.util.find_spec("gunicorn") is None, reason="gunicorn isn't installed"
    ),
]

PROGRAM = """
import os
from {module} import UvicornWorker

class Worker(UvicornWorker):
    CONFIG_KWARGS = {{
        **UvicornWorker.CONFIG_KWARGS,
        "ws": "{ws}",
        "http": "pywscore.integrations.uvicorn:HTTPProtocol",
    }}

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for what in "startup", "shutdown":
            await receive()
            print("lifespan", what, os.getpid(), flush=True)
            await send({{"type": f"lifespan.{{what}}.complete"}})
        return
    await receive()
    await send({{"type": "websocket.accept"}})
    await send({{"type": "websocket.send", "text": str(os.getpid())}})
    while (event := await receive())["type"] == "websocket.receive":
        await send({{"type": "websocket.send", "text": event["text"]}})
    print("event", event, flush=True)
"""


@pytest.mark.parametrize("module", ["uvicorn.workers", "uvicorn_worker"])
@pytest.mark.parametrize("workers", [1, 2])
def test_gunicorn(tmp_path: Path, module: str, workers: int) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"there is no {module}")
    (tmp_path / "program.py").write_text(PROGRAM.format(module=module, ws=OURS))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "gunicorn", "--worker-class", "program.Worker"),
        *("--workers", str(workers), "--bind", f"127.0.0.1:{port}"),
        *("--worker-tmp-dir", str(tmp_path), "--log-level", "warning", "program:app"),
    ]
    top = str(Path(pywscore.__file__).parents[1])
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{top}:{tmp_path}"},
        stdout=subprocess.PIPE,
        text=True,
    )

    async def connect() -> websockets.ClientConnection:
        while True:
            with contextlib.suppress(OSError):
                return await websockets.connect(f"ws://127.0.0.1:{port}/")
            await asyncio.sleep(0.05)

    async def client() -> None:
        # Until every worker has served somebody.
        connections = []
        seen = set()
        while len(seen) < workers:
            ws = await connect()
            connections.append(ws)
            seen.add(await ws.recv())
            await ws.send("hi")
            assert await ws.recv() == "hi"
        process.send_signal(signal.SIGTERM)
        for ws in connections:
            await ws.wait_closed()
            assert ws.close_code == 1012

    try:
        asyncio.run(asyncio.wait_for(client(), 30))
        output, _ = process.communicate(timeout=15)
    finally:
        if process.poll() is None:
            process.terminate()  # the workers end with it
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    assert process.returncode == 0
    assert output.count("lifespan startup") == workers
    assert output.count("lifespan shutdown") == workers
    assert "'code': 1012" in output
