"""The servers and clients that are compared."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from . import native
from .common import version

SERVERS = "pywscore.cli._bench.servers"
NO_LOOP = ""  # of a program that is not Python


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A module of ``benchmarks.servers``, of ``pywscore.cli._bench.servers`` or of
    ``benchmarks.clients``, or one of ``native.PROGRAMS``."""

    module: str
    title: str
    distribution: str | None = None  # None: a program
    options: tuple[str, ...] = ()  # of the client
    alone: bool = False  # neither a server nor a client

    @property
    def name(self) -> str:
        """With the version."""
        if self.distribution is None:
            return native.name(self.module, self.title)
        number = version(self.distribution)
        return self.title.replace(self.distribution, f"{self.distribution} {number}", 1)

    def loops(self, wanted: Iterable[str]) -> list[str]:
        return [NO_LOOP] if self.distribution is None else list(wanted)

    def missing(self) -> str | None:
        """Why it can't be run here, if it can't."""
        if self.distribution is None:
            return native.missing(self.module)
        return None if version(self.distribution) else "not installed"


def _python(module: str, distribution: str, title: str) -> Peer:
    return Peer(module=module, distribution=distribution, title=title)


PEERS = {
    peer.module: peer
    for peer in [
        _python("pywscore", "pywscore", "pywscore"),
        _python("pywscore_listener", "pywscore", "pywscore listener"),
        _python("pywscore_bare", "pywscore", "pywscore without all that Python does"),
        _python("pywscore_tls_context", "pywscore", "pywscore with a TLSContext"),
        _python("pywscore_transport", "pywscore", "pywscore on transports"),
        _python("pywscore_ssl_context", "pywscore", "pywscore, ssl.SSLContext"),
        _python("pywscore_beside", "pywscore", "pywscore"),
        _python("pywscore_beside_transport", "pywscore", "pywscore on transports"),
        _python("websockets_beside", "websockets", "websockets"),
        _python("pywscore_broadcast", "pywscore", "pywscore broadcast()"),
        _python("pywscore_rooms", "pywscore", "pywscore room"),
        _python("pywscore_rooms_redis", "pywscore", "pywscore room over Redis"),
        _python("fastapi_redis", "fastapi", "fastapi with Redis Pub/Sub"),
        _python("channels_redis", "channels_redis", "channels_redis"),
        Peer(
            module="socketio_redis",
            title="python-socketio with its Redis manager",
            distribution="python-socketio",
            options=("--socketio", "1"),
        ),
        Peer(module="epoll_client", title="bare epoll loop in C"),
        Peer(
            module="epoll_client_own", title="the same, each message in its own memory"
        ),
        Peer(module="epoll_client_tls", title="bare epoll loop in C"),
        Peer(
            module="tls_calls", title="TLSContext's calls of OpenSSL alone", alone=True
        ),
        Peer(module="ssl_calls", title="ssl.SSLContext's calls alone", alone=True),
        Peer(module="epoll_echo", title="bare epoll loop in C"),
        Peer(module="epoll_broadcast", title="bare send() loop in C"),
        Peer(module="uws_echo", title="uWebSockets"),
        Peer(module="uws_broadcast", title="uWebSockets publish()"),
        _python("picows_callback", "picows", "picows callbacks"),
        _python("picows_async", "picows", "picows async API"),
        _python("picows_broadcast", "picows", "picows callbacks, send() to each"),
        Peer(module="node_ws", title="Node ws"),
        _python("aiohttp", "aiohttp", "aiohttp"),
        _python("pywscore_aiohttp", "pywscore", "pywscore in aiohttp"),
        _python("uvicorn", "uvicorn", "uvicorn"),
        _python("pywscore_uvicorn", "pywscore", "pywscore in uvicorn"),
        _python("fastapi_sansio", "fastapi", "FastAPI in uvicorn"),
        _python("pywscore_fastapi", "pywscore", "FastAPI, pywscore in uvicorn"),
        _python("websockets", "websockets", "websockets"),
        _python("websockets_broadcast", "websockets", "websockets broadcast()"),
    ]
}


def client_command(
    peer: Peer, loop: str, *, compression: bool, tls: bool, turns: bool
) -> list[str]:
    """How a client is started that is measured."""
    if peer.distribution is None:
        words = native.PROGRAMS[peer.module]()
        given = {"--compression": compression}
    else:
        words = [sys.executable, "-m", "benchmarks.clients", peer.module]
        words += ["--loop", loop]
        given = {"--compression": compression, "--tls": tls, "--turns": turns}
    return [*words, *(name for name, value in given.items() if value)]


def command(
    peer: Peer, loop: str, *, compression: bool = False, tls: Path | None = None
) -> list[str]:
    """How a peer's server is started."""
    if peer.distribution is None:
        words = native.PROGRAMS[peer.module]()
    else:
        ours = importlib.util.find_spec(f"benchmarks.servers.{peer.module}")
        package = "benchmarks.servers" if ours else SERVERS
        words = [sys.executable, "-m", SERVERS, f"{package}.{peer.module}"]
        words += ["--loop", loop]
    words = [*words, "--compression"] if compression else words
    return words if tls is None else [*words, "--tls", str(tls)]


_said: set[str] = set()


def leave_out(peer: Peer, reason: str) -> None:
    """Say so, once."""
    if peer.title not in _said:
        _said.add(peer.title)
        print(f"without {peer.title}: {reason}", file=sys.stderr)


def installed(modules: Iterable[str]) -> list[Peer]:
    found = []
    for module in modules:
        peer = PEERS[module]
        reason = peer.missing()
        if reason is None:
            found.append(peer)
        else:
            leave_out(peer, reason)
    return found
