"""Connections of one loop, and applications that do anything in any callback.

Hypothesis drives peers that send what they please in pieces, and says what happens in
the next callback of a connection. Whatever that is: a connection gets the messages of
its own peer, in order, none twice, and in the end nothing is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import gc
import logging
import os
import socket
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from environments import LOOPS
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from nesting import NestingLoop
from peers import ACCEPT, REQUEST, frame

import pywscore

pytestmark = [
    pytest.mark.threat("BOR-1", "BOR-2"),
    pytest.mark.usefixtures("cheap_collections"),
]


class Base(BaseException):
    """As pytest's own, and those of other libraries."""


RAISED: list[type[BaseException]] = [
    ValueError,
    MemoryError,
    asyncio.CancelledError,
    GeneratorExit,
    Base,
    KeyboardInterrupt,
    SystemExit,
]
EXITS = (KeyboardInterrupt, SystemExit)
WRONG = {1002, 1003, 1007, 1008, 1009}  # no peer sends what calls for these
ACTIONS = ["send", "send large", "start sending", "close", "abort", "cancel", "nest"]
ACTIONS += ["drop", "collect", "stop", *(kind.__name__ for kind in RAISED)]

HARMLESS = ["send", "nest", "collect", "stop"]


@dataclasses.dataclass(repr=False)
class Peer:
    """One peer, and what became of its connection."""

    tag: int
    sock: socket.socket
    pending: bytearray = dataclasses.field(default_factory=bytearray)
    sent: list[str | bytes] = dataclasses.field(default_factory=list)
    received: list[str | bytes] = dataclasses.field(default_factory=list)
    controls: list[bytes] = dataclasses.field(default_factory=list)
    output: bytearray = dataclasses.field(default_factory=bytearray)
    close_codes: list[int] = dataclasses.field(default_factory=list)
    sent_controls: list[bytes] = dataclasses.field(default_factory=list)
    planned: str | None = None  # for the next callback
    disturbed: bool = False
    ws: Any = None
    task: asyncio.Task[Any] | None = None

    def __repr__(self) -> str:
        return (
            f"<{self.tag}: got {len(self.received)} of {len(self.sent)}, "
            f"{len(self.pending)} bytes pending, "
            f"{'' if self.disturbed else 'un'}disturbed>"
        )

    def write(self, size: int) -> None:
        with contextlib.suppress(OSError):
            del self.pending[: self.sock.send(self.pending[:size])]

    def read(self) -> None:
        with contextlib.suppress(OSError):
            while piece := self.sock.recv(1 << 20):
                self.output += piece

    def read_frames(self) -> None:
        """For the codes of close frames; their payloads are short."""
        self.read()
        while len(self.output) >= 2:
            opcode, length = self.output[0] & 15, self.output[1]
            start = 2 + {126: 2, 127: 8}.get(length, 0)
            if length > 125:
                length = int.from_bytes(self.output[2:start])
            if len(self.output) < start + length:
                break
            if opcode == 8:
                self.close_codes.append(int.from_bytes(self.output[2:4]))
            del self.output[: start + length]


class Machine(RuleBasedStateMachine):
    new_loop: Callable[[], asyncio.AbstractEventLoop]
    carrier: str

    # The application

    def act(self, peer: Peer, ws: Any) -> None:
        action, peer.planned = peer.planned, None
        if action is None:
            return
        peer.disturbed |= action not in HARMLESS and (
            peer.task is not None or action not in [it.__name__ for it in EXITS]
        )
        if action == "send":
            self.try_to(ws.send_nowait, "answer")
        elif action == "send large":
            self.try_to(ws.send_nowait, bytes(300_000))
        elif action == "start sending":
            self.start(ws.send(bytes(300_000)))
        elif action == "close":
            ws.close_nowait(4000)
        elif action == "abort":
            ws.transport.abort()
        elif action == "cancel":
            if peer.task is not None:
                peer.task.cancel()
        elif action == "nest":
            if isinstance(self.loop, NestingLoop):
                self.loop.nest()
        elif action == "drop":
            peer.ws = peer.task = None
        elif action == "collect":
            gc.collect()
        elif action == "stop":
            self.loop.stop()
        else:
            raise next(kind for kind in RAISED if kind.__name__ == action)

    @staticmethod
    def try_to(call: Callable[..., object], *args: object) -> None:
        with contextlib.suppress(pywscore.ConnectionClosed):
            call(*args)

    def start(self, awaitable: Any) -> None:
        task = asyncio.ensure_future(awaitable, loop=self.loop)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def peer_of(self, ws: Any) -> Peer:
        if not any(ref() is ws for ref in self.seen):
            self.seen.append(weakref.ref(ws))
        return self.peers[int(ws.request.path[1:])]

    def listener(self) -> Any:
        machine = self

        class Listener:
            def on_open(self, ws: Any) -> None:
                peer = machine.peer_of(ws)
                peer.ws = ws
                machine.act(peer, ws)

            def on_message(self, ws: Any, message: Any) -> None:
                peer = machine.peer_of(ws)
                peer.received.append(message)
                machine.act(peer, ws)

            def on_ping(self, ws: Any, data: bytes) -> None:
                peer = machine.peer_of(ws)
                peer.controls.append(data)
                machine.act(peer, ws)

            on_pong = on_ping

            def on_close(self, ws: Any, code: int, reason: str) -> None:
                machine.act(machine.peer_of(ws), ws)

        return Listener()

    async def handler(self, ws: Any) -> None:
        peer = self.peer_of(ws)
        peer.ws, peer.task = ws, asyncio.current_task()
        try:
            self.act(peer, ws)
            async for message in ws:
                peer.received.append(message)
                self.act(peer, ws)
        finally:
            peer.ws = peer.task = None

    # The loop

    def __init__(self) -> None:
        super().__init__()
        self.peers: dict[int, Peer] = {}
        self.seen: list[weakref.ref[Any]] = []
        self.background: set[Any] = set()
        self.problems: list[str] = []
        self.loop = self.new_loop()
        self.loop.set_exception_handler(self.note)
        logger = logging.Logger("machine")
        logger.addHandler(logging.NullHandler())
        serve = functools.partial(
            pywscore.serve,
            host="127.0.0.1",
            port=0,
            carrier=self.carrier,
            logger=logger,
            compression=None,
            ping_interval=None,
            close_timeout=0.2,
        )

        async def start() -> list[pywscore.Server]:
            return [
                await serve(None, listener=self.listener),
                await serve(self.handler),
            ]

        self.servers = self.loop.run_until_complete(start())

    def note(self, _: object, context: dict[str, Any]) -> None:
        exception = context.get("exception")
        if not isinstance(exception, tuple(RAISED)):
            self.problems.append(f"{context['message']}: {exception!r}")

    def turn(self, rounds: int = 2) -> None:
        for _ in range(rounds):
            self.loop.call_soon(self.loop.stop)
            with contextlib.suppress(*EXITS):
                self.loop.run_forever()

    def until(self, condition: Callable[[], bool], seconds: float = 1) -> None:
        end = self.loop.time() + seconds
        while not condition() and self.loop.time() < end:
            self.turn()
        assert condition(), self.peers

    # The peers

    @initialize(listening=st.lists(st.booleans(), min_size=2, max_size=3))
    def connect_all(self, listening: list[bool]) -> None:
        for tag, listens in enumerate(listening):
            server = self.servers[not listens]
            sock = socket.create_connection(server.sockets[0].getsockname()[:2])
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            self.peers[tag] = peer = Peer(tag, sock)
            sock.send(REQUEST.format(path=f"/{tag}", extra="").encode())

            def is_open(peer: Peer = peer) -> bool:
                peer.read()
                return b"\r\n\r\n" in peer.output

            self.until(is_open)
            head, _, peer.output[:] = peer.output.partition(b"\r\n\r\n")
            assert ACCEPT.encode() in head

    numbers = st.integers(0, 2)
    sizes = st.sampled_from([0, 1, 7, 100, 1000, 1 << 20, 1 << 20, 1 << 20])

    def peer(self, number: int) -> Peer:
        return self.peers[number % len(self.peers)]

    @rule(
        number=numbers,
        kinds=st.lists(st.sampled_from("tbpfL"), min_size=1, max_size=5),
        action=st.sampled_from(ACTIONS),
        size=sizes,
    )
    def send(self, number: int, kinds: list[str], action: str, size: int) -> None:
        """Text, binary, pings, fragments, large ones; and what the next one causes."""
        peer = self.peer(number)
        for kind in kinds:
            count = len(peer.sent) + len(peer.sent_controls)
            # Of a size, so that one's may lie where another's was.
            data = f"{peer.tag}:{count}:".encode().ljust(32, b"ABC"[peer.tag :][:1])
            if kind == "L":
                data *= 3000
            if kind == "p":
                peer.pending += frame(9, data, mask=True)
                peer.sent_controls.append(data)
            elif kind == "f":
                peer.pending += frame(1, data[:3], fin=False, mask=True)
                peer.pending += frame(0, data[3:], mask=True)
                peer.sent.append(data.decode())
            else:
                peer.pending += frame(1 if kind == "t" else 2, data, mask=True)
                peer.sent.append(data.decode() if kind == "t" else data)
        peer.planned = action
        peer.write(size)

    @rule(sizes=st.tuples(sizes, sizes, sizes))
    def deliver(self, sizes: tuple[int, ...]) -> None:
        """Pieces of several peers arrive at the same time."""
        for peer, size in zip(self.peers.values(), sizes, strict=False):
            peer.write(size)
        self.turn()

    @rule(number=numbers)
    def read(self, number: int) -> None:
        self.peer(number).read_frames()
        self.turn()

    @rule(number=numbers)
    def close(self, number: int) -> None:
        peer = self.peer(number)
        peer.pending += frame(8, b"\x03\xe8", mask=True)
        peer.disturbed = True

    @rule(number=numbers)
    def end(self, number: int) -> None:
        peer = self.peer(number)
        peer.sock.close()
        peer.disturbed = True
        self.turn()

    @rule(number=numbers)
    def act_from_outside(self, number: int) -> None:
        """Not in a callback of the connection's."""
        peer = self.peer(number)
        ws = peer.ws
        if ws is not None:
            with contextlib.suppress(*RAISED):
                self.act(peer, ws)

    @rule()
    def go_on(self) -> None:
        self.turn()

    # What holds

    def check(self) -> None:
        for peer in self.peers.values():
            assert peer.received == peer.sent[: len(peer.received)]
            assert peer.controls == peer.sent_controls[: len(peer.controls)]
            assert not WRONG.intersection(peer.close_codes), peer
        assert self.problems == []

    def teardown(self) -> None:
        try:
            if self.peers:
                self.finish()
        finally:
            for peer in self.peers.values():
                peer.sock.close()
            self.loop.close()

    def finish(self) -> None:
        for peer in self.peers.values():
            peer.planned = None
        undisturbed = [peer for peer in self.peers.values() if not peer.disturbed]

        def all_received() -> bool:
            for peer in self.peers.values():
                peer.write(1 << 20)
                peer.read_frames()
            return all(len(peer.received) == len(peer.sent) for peer in undisturbed)

        self.until(all_received)
        self.check()
        for peer in self.peers.values():
            peer.sock.close()
            peer.ws = peer.task = None
        closing = [self.loop.create_task(self.close_server(it)) for it in self.servers]
        self.until(lambda: all(task.done() for task in closing))
        self.until(lambda: asyncio.all_tasks(self.loop) == set())
        assert [task.exception() for task in closing] == [None, None]
        assert [server.connections for server in self.servers] == [set(), set()]
        self.check()
        closing.clear()
        self.turn()
        gc.collect()
        assert [ref() for ref in self.seen if ref() is not None] == []

    @staticmethod
    async def close_server(server: pywscore.Server) -> None:
        server.close()
        await server.wait_closed()


EXAMPLES = 12 if "PYWSCORE_SANITIZED" in os.environ else 30
CELLS = [(name, carrier) for name in LOOPS for carrier in ("transport", "auto")]


@pytest.mark.parametrize(("loop", "carrier"), CELLS)
def test_connections_and_what_callbacks_do(loop: str, carrier: str) -> None:
    class Here(Machine):
        pass

    Here.carrier = carrier
    Here.new_loop = staticmethod(NestingLoop if loop == "asyncio" else LOOPS[loop])
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # looking for a smaller example takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
