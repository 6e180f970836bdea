"""Connections without context takeover borrow their compressors from one pool."""

from __future__ import annotations

import random
import sysconfig
import tracemalloc

import pytest
from wire import BINARY, CONT, SEED, frame, opened, pair, parse, run_fresh

from pywscore import BinaryMessage, PerMessageDeflate

ALONE = PerMessageDeflate(
    server_no_context_takeover=True, client_no_context_takeover=True, threshold=0
)
PARAMETERS = "server_no_context_takeover; client_no_context_takeover"


@pytest.mark.slow
@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="has no pool"
)
def test_nothing_is_held_between_messages() -> None:
    message = b"to and fro, " * 50

    def talk() -> None:
        for one, other in ((server, client), (client, server)):
            one.send_binary(message)
            other.receive_data(one.data_to_send())
            assert other.next_event() == BinaryMessage(message, compressed=True)

    ends = [pair(ALONE) for _ in range(20)]
    for end in ends[:1]:
        server, client = end["server"], end["client"]
        talk()  # the pool has its contexts
    tracemalloc.start()
    try:
        for end in ends[1:]:
            server, client = end["server"], end["client"]
            talk()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / 19 / 2 < 2048  # one compressor has 260 KB


@pytest.mark.slow
@pytest.mark.threat("INF-12")
@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="has no pool"
)
def test_what_all_hold_together() -> None:
    """800 ends with context takeover, which would hold 33 MiB."""
    settings = PerMessageDeflate(
        server_max_window_bits=12, client_max_window_bits=12, mem_level=4, threshold=0
    )
    ends = [pair(settings) for _ in range(400)]
    message = random.Random(SEED).randbytes(3000)
    tracemalloc.start()
    try:
        for end in ends * 2:
            server, client = end["server"], end["client"]
            for one, other in ((server, client), (client, server)):
                one.send_binary(message)
                other.receive_data(one.data_to_send())
                assert other.next_event() == BinaryMessage(message, compressed=True)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # And each a window, a KiB of what it sent, and its buffer for output.
    assert 7 << 20 < held < (9 << 20) + 800 * (4096 + 1024 + 4096)


@pytest.mark.threat("INF-11")
def test_in_the_middle_of_messages() -> None:
    """A context stays with its message, however many are under way."""
    rng = random.Random(SEED)
    words = [rng.randbytes(12) for _ in range(50)]
    messages = [b"".join(rng.choices(words, k=300)) for _ in range(30)]
    sender = opened(
        "client", compression=ALONE, extension=f"permessage-deflate; {PARAMETERS}"
    )
    receivers = []
    pieces: list[list[bytes]] = []
    for index, message in enumerate(messages):
        bits = 9 + index % 7
        receivers.append(
            opened(
                "server",
                compression=ALONE,
                extension=f"permessage-deflate; {PARAMETERS}; "
                f"server_max_window_bits={bits}",
            )
        )
        sender.send_binary(message)
        (sent,) = parse(sender.data_to_send(), "client")
        size = len(sent.payload) // 5 + 1
        parts = [sent.payload[i : i + size] for i in range(0, len(sent.payload), size)]
        pieces.append(
            [
                frame(
                    BINARY if i == 0 else CONT,
                    part,
                    to="server",
                    fin=i == len(parts) - 1,
                    rsv=4 if i == 0 else 0,
                )
                for i, part in enumerate(parts)
            ]
        )
    for step in range(5):
        for index, receiver in enumerate(receivers):
            receiver.receive_data(pieces[index][step])
            expected = BinaryMessage(messages[index], compressed=True)
            assert receiver.next_event() == (expected if step == 4 else None)
            if (index + step) % 4 == 0:  # one is gone in the middle
                opened("server", compression=ALONE).receive_data(pieces[0][0])
            if step == 0:
                receiver.send_binary(messages[index], fin=False)
            else:
                receiver.send_continuation(messages[index], fin=step == 4)
    for index, receiver in enumerate(receivers):
        reader = opened(
            "client", compression=ALONE, extension=f"permessage-deflate; {PARAMETERS}"
        )
        reader.receive_data(receiver.data_to_send())
        event = reader.next_event()
        assert event == BinaryMessage(messages[index] * 5, compressed=True)


def test_objects_that_outlive_the_module() -> None:
    """The pool goes with its last user, in whatever order things are collected."""
    assert run_fresh(
        """
import gc, sys
ends = [pair(PerMessageDeflate(
    server_no_context_takeover=True, client_no_context_takeover=True, threshold=0))
    for _ in range(3)]
for end in ends:
    end["server"].send_text("x" * 1000)
    end["client"].receive_data(end["server"].data_to_send())
    end["client"].next_event()
class Cycle: pass
cycle = Cycle()
cycle.me, cycle.ends = cycle, ends
import pywscore._core
cycle.core = pywscore._core
del ends, end, cycle
for name in list(sys.modules):
    if name.startswith("pywscore") or name == "wire":
        sys.modules.pop(name).__dict__.clear()
for name in [n for n in globals() if n not in ("gc", "sys", "__builtins__")]:
    del globals()[name]
gc.collect()
gc.collect()
print("fine")
"""
    ).split() == ["fine"]
