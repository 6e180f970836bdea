"""Market data: a client that reconnects, subscribes again and checks sequence numbers.

    pip install pywscore
    python examples/feed.py exchange
    python examples/feed.py follow ws://127.0.0.1:8765/ BTC ETH

The exchange is a small one that loses updates and cuts connections, to be run in
another terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import Sequence

import pywscore

SILENCE = 10  # seconds, after which a feed counts as dead


# The client -------------------------------------------------------------------------


class Market:
    """What is known of it; it outlives connections."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = symbols
        self.prices: dict[str, float] = {}
        self.connections = 0
        self.gaps = 0


class Feed:
    """The listener of one connection."""

    def __init__(self, market: Market) -> None:
        self.market = market
        # Of the last update of each symbol; none until its snapshot has come.
        self.sequences: dict[str, int] = {}

    def on_open(self, ws: pywscore.Connection) -> None:
        self.market.connections += 1
        for symbol in self.market.symbols:
            self.subscribe(ws, symbol)

    def subscribe(self, ws: pywscore.Connection, symbol: str) -> None:
        """Ask for a snapshot of ``symbol``, and the updates after it."""
        self.sequences.pop(symbol, None)
        ws.send_nowait(json.dumps({"subscribe": symbol}))

    def on_message(self, ws: pywscore.Connection, message: str | bytes) -> None:
        # What isn't as expected raises: that closes the connection, and is logged.
        update = json.loads(message)
        symbol, sequence = update["symbol"], update["sequence"]
        if not update["snapshot"]:
            last = self.sequences.get(symbol)
            if last is None or sequence <= last:
                return  # the snapshot that comes, or came, knows of it
            if sequence > last + 1:
                self.market.gaps += 1
                self.subscribe(ws, symbol)
                return
        self.sequences[symbol] = sequence
        self.market.prices[symbol] = update["price"]


async def follow(uri: str, market: Market) -> None:
    """Keep ``market`` up to date. Ends only if the server refuses for good."""
    async for ws in pywscore.connect(
        uri, listener=lambda: Feed(market), idle_timeout=SILENCE
    ):
        await ws.wait_closed()
        print(f"connection lost: {ws.close_code} {ws.close_reason}")


async def show(market: Market) -> None:
    while True:
        await asyncio.sleep(1)
        prices = "  ".join(f"{name} {it:.2f}" for name, it in market.prices.items())
        print(f"{prices}  ({market.connections} connections, {market.gaps} gaps)")


# The exchange -----------------------------------------------------------------------


class Exchange:
    """Sends updates of its symbols to who has subscribed.

    Args:
        loses_every: so many updates, the last of which nobody gets.
        cuts_every: so many updates, after which all connections are cut.
    """

    def __init__(self, loses_every: int = 97, cuts_every: int = 1009) -> None:
        self.loses_every = loses_every
        self.cuts_every = cuts_every
        self.sequences: dict[str, int] = {}
        self.prices: dict[str, float] = {}
        self.subscribers: dict[str, set[pywscore.Connection]] = {}

    async def __call__(self, ws: pywscore.Connection) -> None:
        try:
            async for message in ws:
                symbol = json.loads(message)["subscribe"]
                self.prices.setdefault(symbol, 100.0)
                self.subscribers.setdefault(symbol, set()).add(ws)
                await ws.send(self.told(symbol, snapshot=True))
        finally:
            for subscribers in self.subscribers.values():
                subscribers.discard(ws)

    def told(self, symbol: str, *, snapshot: bool = False) -> str:
        update = {
            "symbol": symbol,
            "sequence": self.sequences.setdefault(symbol, 0),
            "price": self.prices[symbol],
            "snapshot": snapshot,
        }
        return json.dumps(update)

    def trade(self, symbol: str) -> str:
        """A new price; the update that tells of it."""
        self.sequences[symbol] += 1
        self.prices[symbol] *= random.uniform(0.999, 1.001)
        return self.told(symbol)

    async def run(self, interval: float = 0.005) -> None:
        for number in itertools.count(1):
            await asyncio.sleep(interval)
            symbols = [name for name, who in self.subscribers.items() if who]
            if not symbols:
                continue
            symbol = random.choice(symbols)
            update = self.trade(symbol)
            if number % self.loses_every:
                pywscore.broadcast(self.subscribers[symbol], update)
            if number % self.cuts_every == 0:
                for ws in set().union(*self.subscribers.values()):
                    ws.transport.abort()


async def exchange(host: str, port: int) -> None:
    ours = Exchange()
    async with pywscore.serve(ours, host, port) as server:
        address, port = server.sockets[0].getsockname()[:2]
        print(f"the exchange is open: ws://{address}:{port}/", flush=True)
        await ours.run()


async def client(uri: str, symbols: Sequence[str]) -> None:
    market = Market(symbols)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(follow(uri, market))
        tasks.create_task(show(market))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    server = parts.add_parser("exchange", help="run the small exchange")
    server.add_argument("--host", default="127.0.0.1")
    server.add_argument("--port", type=int, default=8765)
    follower = parts.add_parser("follow", help="show the prices of an exchange")
    follower.add_argument("uri")
    follower.add_argument("symbols", nargs="+", metavar="SYMBOL")
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        if given.part == "exchange":
            asyncio.run(exchange(given.host, given.port))
        else:
            asyncio.run(client(given.uri, given.symbols))


if __name__ == "__main__":
    main()
