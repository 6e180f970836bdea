"""examples/feed.py: nothing is missed, whatever is lost and cut."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import until

import pywscore

PATH = Path(__file__).parents[3] / "examples/feed.py"


@pytest.fixture(scope="module")
def feed() -> Any:
    spec = importlib.util.spec_from_file_location("feed", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_losses_and_cuts(serve: Any, uri_of: Any, feed: Any) -> None:
    exchange = feed.Exchange(loses_every=7, cuts_every=100)
    market = feed.Market(["BTC", "ETH"])
    async with serve(exchange, "127.0.0.1", 0) as server, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(feed.follow(uri_of(server), market))
        trading = tasks.create_task(exchange.run(interval=0.001))
        await until(lambda: market.connections >= 3 and market.gaps >= 10, 20)
        trading.cancel()
        # Lost or not, the next update shows it.
        await until(lambda: all(exchange.subscribers.get(s) for s in market.symbols))
        for symbol in market.symbols:
            update = exchange.trade(symbol)
            pywscore.broadcast(exchange.subscribers[symbol], update)
        await until(lambda: market.prices == exchange.prices)
        following.cancel()


def update(symbol: str, sequence: int, price: float, snapshot: bool = False) -> str:
    return json.dumps(
        {"symbol": symbol, "sequence": sequence, "price": price, "snapshot": snapshot}
    )


class Sent:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def send_nowait(self, message: str) -> bool:
        self.messages.append(json.loads(message)["subscribe"])
        return True


def test_sequence_numbers(feed: Any) -> None:
    market, ws = feed.Market(["A", "B"]), Sent()
    listener = feed.Feed(market)
    listener.on_open(ws)
    assert ws.messages == ["A", "B"]
    listener.on_message(ws, update("A", 5, 1.0))  # older than the snapshot that comes
    assert market.prices == {}
    listener.on_message(ws, update("A", 6, 2.0, snapshot=True))
    listener.on_message(ws, update("A", 6, 3.0))
    assert market.prices == {"A": 2.0}
    listener.on_message(ws, update("A", 7, 4.0))
    assert market.prices == {"A": 4.0} and market.gaps == 0
    listener.on_message(ws, update("A", 9, 5.0))
    listener.on_message(ws, update("A", 10, 6.0))
    assert market.prices == {"A": 4.0} and market.gaps == 1
    assert ws.messages == ["A", "B", "A"]
    listener.on_message(ws, update("A", 10, 7.0, snapshot=True))
    listener.on_message(ws, update("A", 11, 8.0))
    assert market.prices == {"A": 8.0} and market.gaps == 1


def test_as_programs() -> None:
    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-u", str(PATH), *arguments],
            env=os.environ | {"PYTHONPATH": str(Path(pywscore.__file__).parents[1])},
            stdout=subprocess.PIPE,
            text=True,
        )

    with start("exchange", "--port", "0") as exchange:
        assert exchange.stdout is not None
        uri = exchange.stdout.readline().split()[-1]
        with start("follow", uri, "BTC", "ETH") as client:
            assert client.stdout is not None
            line = ""
            while "BTC" not in line or "ETH" not in line:
                line = client.stdout.readline()
                assert line, "the client ended"
            client.kill()
        exchange.kill()
    assert "1 connections" in line
