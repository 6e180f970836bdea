"""What is measured in rounds, and what the project wants of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Figure = Literal["cpu_us", "messages_per_second", "p10_us", "p50_us", "p99_us"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A limit of the ratio of our figure to a peer's, on one loop. The floor is what
    those named, without those that are less, would have in our place."""

    ours: str = "pywscore"
    peer: str
    floor: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    loop: str = "uvloop"
    most: float | None = None
    least: float | None = None
    figure: Figure = "cpu_us"

    def reached(self, ratio: float) -> bool:
        if self.least is not None and ratio < self.least:
            return False
        return self.most is None or ratio <= self.most

    @property
    def limit(self) -> str:
        return f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A client of benchmarks/c against servers in turns, or its server, ``feed``,
    against clients."""

    name: str
    title: str
    what: str  # for the text: connections, sizes
    peers: tuple[str, ...]
    goals: tuple[Goal, ...] = ()
    loops: tuple[str, ...] = ("uvloop",)
    client: str = "load"
    connections: int = 64
    slow: int = 0  # connections more, with slow handlers, that aren't counted
    at_once: int = 1  # of a broadcast: messages of as many members
    size: int = 256
    tls: bool = False
    compressed: bool = False
    turns: bool = False  # of clients: they send each message back
    unit: str = "message"
    rounds: int = 31
    seconds: float = 0.12
    # The figures of the table's peers are ratios of this server's.
    ours: str = "pywscore"
    figure: Figure = "cpu_us"

    @property
    def of_clients(self) -> bool:
        return self.client.startswith("feed")


QUANTILES: tuple[Figure, ...] = ("p10_us", "p50_us", "p99_us")
ECHO = ("pywscore", "pywscore_listener", "epoll_echo", "uws_echo")
TRANSPORT = "pywscore_transport"
SSL_CONTEXT = "pywscore_ssl_context"
BESIDE_TRANSPORT = "pywscore_beside_transport"

CLIENTS = (
    *("pywscore", "pywscore_listener"),
    *("picows_callback", "picows_async", "websockets"),
)
CLIENTS_OVER_TLS = ("pywscore_tls_context", *CLIENTS)
BARE = ("epoll_client", "epoll_client_own")
# The first that is there: libraries hand out messages with memory of their own.
FLOORS = ("epoll_client_own", "epoll_client_tls", "epoll_client")
RECEIVED: list[tuple[str, str, dict[str, Any]]] = [
    ("client-128", "128 bytes", {"size": 128}),
    ("client-1k", "1 KiB", {"size": 1024}),
    ("client-64k", "64 KiB", {"size": 65536}),
    (
        "client-deflate",
        "1 KiB of JSON as text, permessage-deflate",
        {
            "compressed": True,
            "peers": ("pywscore", "epoll_client", "picows_async", "websockets"),
        },
    ),
    (
        "client-tls",
        "128 bytes, TLS 1.3 with AES-128-GCM in full records",
        {
            "client": "feed-tls",
            "size": 128,
            "tls": True,
            "peers": (*CLIENTS_OVER_TLS, "epoll_client_tls"),
        },
    ),
]


def _receiving(name: str, what: str, settings: dict[str, Any]) -> Scenario:
    """Messages without end."""
    peers = settings.get("peers", (*CLIENTS, *BARE))
    floor = (next(peer for peer in FLOORS if peer in peers),)
    goals = [
        Goal(peer="picows_async", most=0.6, floor=floor),
        Goal(ours="pywscore_listener", peer="picows_callback", most=1.05, floor=floor),
        Goal(peer="websockets", most=0.15, floor=floor),
    ]
    return Scenario(
        **{
            "name": name,
            "title": f"A client receives: {what}",
            "what": f"one connection, {what}, sent without end",
            "client": "feed",
            "loops": ("asyncio", "uvloop"),
            "peers": peers,
            "goals": tuple(
                goal for goal in goals if {goal.ours, goal.peer} <= {*peers}
            ),
            **settings,
        }
    )


def _beside_uws(most: float, floor: tuple[str, ...] = ()) -> tuple[Goal, ...]:
    """Of a handler and of a listener."""
    ours = "pywscore", "pywscore_listener"
    return tuple(
        Goal(ours=each, peer="uws_echo", most=most, floor=floor) for each in ours
    )


SCENARIOS = [
    Scenario(
        name="echo",
        title="Echo over asyncio",
        what="64 connections, 256 bytes, ping-pong",
        peers=(
            *(*ECHO, TRANSPORT, "picows_callback", "picows_async", "node_ws"),
            *("aiohttp", "pywscore_aiohttp", "uvicorn", "websockets"),
        ),
        loops=("asyncio", "uvloop"),
        goals=(
            Goal(peer="uws_echo", most=1.4),
            Goal(peer="picows_async", most=0.55),
            Goal(ours="pywscore_listener", peer="uws_echo", most=1.1),
            Goal(ours=TRANSPORT, peer="picows_async", most=1.0),
            Goal(ours=TRANSPORT, peer="picows_async", loop="asyncio", most=1.2),
            Goal(ours=TRANSPORT, peer="websockets", most=0.5),
            Goal(ours=TRANSPORT, peer="websockets", loop="asyncio", most=0.5),
            Goal(ours="pywscore_aiohttp", peer="aiohttp", most=0.35),
        ),
    ),
    Scenario(
        name="echo-1",
        title="Round trips of one connection",
        what="1 connection, 256 bytes, ping-pong",
        connections=1,
        peers=(*ECHO, "picows_callback", "picows_async"),
        figure="messages_per_second",
        goals=(
            Goal(peer="uws_echo", least=1.0, figure="messages_per_second"),
            Goal(
                ours="pywscore_listener",
                peer="uws_echo",
                least=1.0,
                figure="messages_per_second",
            ),
        ),
    ),
    Scenario(
        name="echo-1000",
        title="Echo to 1,000 connections",
        what="1,000 connections, 256 bytes, ping-pong",
        connections=1000,
        peers=(*ECHO, "picows_callback", "picows_async"),
        goals=(
            Goal(peer="uws_echo", most=1.8),
            Goal(peer="picows_async", most=0.5),
        ),
    ),
    Scenario(
        name="echo-8k",
        title="Echo of 8 KiB",
        what="64 connections, 8 KiB, ping-pong",
        size=8192,
        peers=(*ECHO, "picows_callback", "picows_async"),
        goals=(Goal(peer="uws_echo", most=1.4),),
    ),
    Scenario(
        name="echo-1m",
        title="Echo of 1 MB",
        what="8 connections, 1,000,000 bytes, ping-pong",
        connections=8,
        size=1_000_000,
        peers=(*ECHO, "picows_callback", "picows_async"),
        goals=(Goal(peer="uws_echo", most=1.4),),
    ),
    Scenario(
        name="echo-tls",
        title="Echo over TLS",
        what="64 connections, 256 bytes, ping-pong, TLS 1.3 with AES-128-GCM for all",
        client="load-tls",
        tls=True,
        peers=(
            *("pywscore", "tls_calls", "pywscore_listener", SSL_CONTEXT, "ssl_calls"),
            *("uws_echo", TRANSPORT, "picows_callback", "picows_async", "node_ws"),
            *("aiohttp", "websockets"),
        ),
        loops=("asyncio", "uvloop"),
        goals=(
            Goal(peer="uws_echo", most=1.3),
            Goal(peer="picows_async", most=0.65),
            *(
                Goal(
                    ours=SSL_CONTEXT,
                    peer=peer,
                    loop=loop,
                    most=most,
                    floor=("pywscore", "ssl_calls"),
                    less=("tls_calls",),
                )
                for peer, most in (("pywscore", 1.15), ("picows_async", 0.75))
                for loop in ("asyncio", "uvloop")
            ),
        ),
    ),
    Scenario(
        name="echo-asgi",
        title="Echo of ASGI applications",
        what="64 connections, 256 bytes, ping-pong; uvicorn with httptools, its class "
        "websockets-sansio or ours, a bare application or a FastAPI endpoint",
        peers=(*("pywscore_uvicorn", "uvicorn", "pywscore_fastapi", "fastapi_sansio"),),
        loops=("asyncio", "uvloop"),
        ours="pywscore_uvicorn",
        goals=(
            Goal(ours="pywscore_uvicorn", peer="uvicorn", most=0.45),
            Goal(ours="pywscore_fastapi", peer="fastapi_sansio", most=0.6),
        ),
    ),
    Scenario(
        name="echo-deflate",
        title="Echo with permessage-deflate",
        what="64 connections, 1 KiB of JSON as text, permessage-deflate both ways with "
        "each server's own settings, ping-pong",
        size=0,
        compressed=True,
        peers=("pywscore", TRANSPORT, "picows_async", "websockets"),
        loops=("asyncio", "uvloop"),
    ),
    Scenario(
        name="broadcast",
        title="Broadcast",
        what="256 bytes of one to 1,000 members, itself among them; when all have the "
        "message, the next",
        client="broadcast",
        connections=1000,
        unit="delivery",
        ours="pywscore_broadcast",
        peers=(
            *("pywscore_broadcast", "epoll_broadcast", "uws_broadcast"),
            *("picows_broadcast", "websockets_broadcast"),
        ),
        goals=(Goal(ours="pywscore_broadcast", peer="epoll_broadcast", most=1.2),),
    ),
    Scenario(
        name="beside",
        title="Quick handlers beside slow ones",
        what="8 connections, 256 bytes, beside 4 whose handlers block for 5 ms with "
        "each message, and aren't counted; all send at once, and again when all have "
        "their echo",
        connections=8,
        slow=4,
        seconds=1,
        rounds=11,
        ours="pywscore_beside",
        peers=("pywscore_beside", BESIDE_TRANSPORT, "websockets_beside"),
        loops=("asyncio", "uvloop"),
        goals=tuple(
            Goal(
                ours="pywscore_beside",
                peer=BESIDE_TRANSPORT,
                loop=loop,
                figure=figure,
                most=1.1,
            )
            for loop in ("asyncio", "uvloop")
            for figure in QUANTILES
        ),
    ),
    Scenario(
        name="handshakes",
        title="Opening handshakes",
        what="connections opened 32 at a time, then dropped, which isn't counted",
        client="handshakes",
        unit="handshake",
        seconds=0.5,
        peers=(
            *("pywscore", "pywscore_listener", "pywscore_bare", TRANSPORT),
            *("epoll_echo", "uws_echo", "picows_callback", "picows_async"),
            *("aiohttp", "websockets"),
        ),
        # Five times as many handshakes per second of processor time.
        goals=(
            Goal(peer="websockets", most=0.2),
            *_beside_uws(1.4, ("pywscore_bare",)),
        ),
    ),
    Scenario(
        name="handshakes-tls",
        title="Opening handshakes over TLS",
        what="connections opened 32 at a time, TLS 1.3 with AES-128-GCM and a "
        "certificate for P-256, no session resumed, then dropped, which isn't counted",
        client="handshakes-tls",
        tls=True,
        unit="handshake",
        seconds=0.5,
        peers=(
            *("pywscore", "pywscore_listener", SSL_CONTEXT, TRANSPORT, "uws_echo"),
            *("picows_callback", "picows_async", "node_ws", "aiohttp", "websockets"),
        ),
        goals=_beside_uws(1.1),
    ),
    *(_receiving(*row) for row in RECEIVED),
    Scenario(
        name="client-turns-tls",
        title="A client's round trips over TLS",
        what="a client that sends each message of 256 bytes back, one at a time, TLS "
        "1.3 with AES-128-GCM",
        client="feed-tls",
        tls=True,
        turns=True,
        peers=CLIENTS_OVER_TLS,
        figure="p50_us",
        goals=tuple(
            Goal(peer="picows_callback", figure=figure, most=1.0)
            for figure in ("p50_us", "p99_us")
        ),
    ),
]
