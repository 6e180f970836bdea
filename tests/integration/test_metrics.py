"""Counters of the drop-ins' connections, as Prometheus' own client reads them."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.metrics import NoOpMeter
from prometheus_client import parser
from uvicorn_servers import ENVIRONMENTS, Environment
from waiting import until

import pywscore
from pywscore.integrations import _ledger, metrics
from pywscore.integrations.aiohttp import WebSocketResponse

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _own_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests of this process have counted isn't counted here."""
    fresh = _ledger.Ledger()
    for name in ("begin", "end", "stats"):
        monkeypatch.setattr(_ledger.ledger, name, getattr(fresh, name))


@asynccontextmanager
async def by_aiohttp() -> Any:
    async def handler(request: web.Request) -> web.StreamResponse:
        ws = WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/ws", handler)
    app.router.add_get("/metrics", metrics.aiohttp)
    async with TestServer(app) as server:
        yield int(server.port or 0)


@asynccontextmanager
async def by_uvicorn() -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await metrics.asgi(scope, receive, send)
            return
        await receive()
        if scope["path"] != "/ws":
            return  # 403
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event["text"]})

    async with Environment(*ENVIRONMENTS[0]).serve(app) as server:
        yield server.port


async def scrape(port: int, method: str = "GET") -> tuple[str, str]:
    """Head and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"{method} /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return head.lower(), body


def samples(body: str) -> dict[tuple[str, str], float]:
    """By name and the value of the one label there may be."""
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in parser.text_string_to_metric_families(body)
        for sample in family.samples
    }


@pytest.mark.parametrize("served", [by_aiohttp, by_uvicorn])
def test_all_connections_are_counted(served: Any) -> None:
    async def main() -> None:
        async with served() as port:
            uri = f"ws://127.0.0.1:{port}/ws"
            async with (
                pywscore.connect(uri, proxy=None) as one,
                pywscore.connect(uri, proxy=None) as two,
            ):
                for ws in (one, one, two):
                    await ws.send("x" * 100)
                    assert await ws.recv() == "x" * 100
                head, body = await scrape(port)
                assert head.startswith("http/1.1 200 ")
                assert "content-type: text/plain; version=0.0.4" in head
                found = samples(body)
                assert found["pywscore_connections", "open"] == 2
                assert found["pywscore_messages_received_total", ""] == 3
                assert found["pywscore_messages_sent_total", ""] == 3
                assert found["pywscore_bytes_received_total", ""] >= 3 * 100
                await one.close(4000)
                await until(lambda: metrics.stats().connections == 1)
            await until(lambda: metrics.stats().connections == 0)
            stats = metrics.stats()
            assert dict(stats.close_codes) == {1000: 1, 4000: 1}
            assert (stats.messages_received, stats.connections_total) == (3, 2)
            assert (stats.handshakes_failed, stats.messages_queued) == (0, 0)

    asyncio.run(main())


def test_both_drop_ins_are_in_one_sum() -> None:
    async def main() -> None:
        async with by_aiohttp() as first, by_uvicorn() as second:
            for port in (first, second):
                async with pywscore.connect(f"ws://127.0.0.1:{port}/ws", proxy=None):
                    pass
            with pytest.raises(pywscore.InvalidStatus):
                await pywscore.connect(f"ws://127.0.0.1:{second}/no", proxy=None)
            await until(lambda: metrics.stats().handshakes_failed == 1)
            await until(lambda: metrics.stats().connections == 0)
            assert metrics.stats().connections_total == 3
            assert dict(metrics.stats().close_codes) == {1000: 2}

    asyncio.run(main())


def test_other_methods() -> None:
    async def main() -> None:
        async with by_uvicorn() as port:
            head, body = await scrape(port, "HEAD")
            assert head.startswith("http/1.1 200 ") and body == ""
            head, body = await scrape(port, "POST")
            assert head.startswith("http/1.1 405 ") and "allow: get, head" in head
            with pytest.raises(ValueError, match="not of websocket"):
                await metrics.asgi({"type": "websocket"}, None, None)  # type: ignore[arg-type]

    asyncio.run(main())


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    dashboard = json.loads((ROOT / "examples/grafana.json").read_text())
    asked = set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            names = re.findall(r"pywscore_\w+", target["expr"])
            assert names, target
            asked.update(names)
    ledger = _ledger.Ledger()
    ledger._totals.left(mock.Mock(), 1000)
    there = {
        name for name, _ in samples(pywscore.asyncio._stats.prometheus(ledger.stats()))
    }  # type: ignore[attr-defined]
    assert asked <= there
    assert len(asked) > 10


def test_opentelemetry_observes_them() -> None:
    """As docs/how-to/metrics.md has it."""
    seen = []

    class Meter(NoOpMeter):
        def create_observable_counter(self, name: str, callbacks: Any, **_: Any) -> Any:
            seen.extend((name, it.value) for each in callbacks for it in each(None))

        create_observable_gauge = create_observable_counter

    page = (ROOT / "docs/how-to/metrics.md").read_text()
    [code] = re.findall(r"```python\n(from opentelemetry.*?)```", page, re.S)
    names: dict[str, Any] = {}
    exec(compile(code, "metrics.md", "exec"), names)
    names["observe"](Meter("pywscore"))
    assert dict(seen).keys() >= {"pywscore.messages_received", "pywscore.connections"}
    assert all(value == 0 for _, value in seen)
