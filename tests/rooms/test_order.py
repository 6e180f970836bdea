"""A room's order, against a server that forgets and a network that loses."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pywscore.rooms._broker import Entry, Place, Reading
from pywscore.rooms._order import OVERHEAD, Order


class Log:
    """What a Redis keeps, as read.lua sees it."""

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.lineage = "lineage-"
        self.epoch = 0
        self.entries: list[Entry] = []
        self.offset = 0
        self.tags = 0

    def publish(self) -> tuple[Place, bytes]:
        self.offset += 1
        self.tags += 1
        tag = f"t{self.tags}"
        body = str(self.tags).encode()
        self.entries.append(Entry(self.offset, tag, body))
        del self.entries[: -self.keep]
        return Place(f"{self.lineage}{self.epoch}", self.offset, tag), body

    def copy(self) -> tuple[int, list[Entry], int]:
        return self.epoch, list(self.entries), self.offset

    def restore(self, state: tuple[int, list[Entry], int]) -> None:
        self.epoch, self.entries, self.offset = state[0], list(state[1]), state[2]

    def read(self, after: Place | None, limit: int) -> Reading:
        oldest = self.entries[0].offset if self.entries else self.offset + 1
        continued = after is None or after.epoch == f"{self.lineage}{self.epoch}"
        if after is not None and continued and after.offset > 0 and after.tag:
            there = [it for it in self.entries if it.offset == after.offset]
            if there and there[0].tag != after.tag:
                continued = False
            if not there and (after.offset > self.offset or after.offset >= oldest):
                continued = False
            if not continued:
                self.epoch += 1000
        start = oldest
        if after is not None and (continued or after.offset == 0):
            start = after.offset + 1
        entries = [it for it in self.entries if it.offset >= start][:limit]
        tag = self.entries[-1].tag if self.entries else ""
        top = Place(f"{self.lineage}{self.epoch}", self.offset, tag)
        return Reading(top, entries, max(oldest - start, 0), continued)


class Node:
    def __init__(self, log: Log, keep: int) -> None:
        self.log = log
        self.order = Order(keep, 1 << 20)
        self.got: list[int | str | None] = []
        self.read()

    def see(self, place: Place, body: bytes) -> None:
        entry = self.order.see(place, body)
        if entry is not None:
            self.got.append(int(entry.body))

    def read(self, page: int = 3) -> None:
        for _ in range(1000):
            if not self.order.behind:
                return
            held = self.order.held
            reading = self.log.read(self.order.place, page)
            missing, entries = self.order.take(reading, held)
            if missing is None:
                self.got.append("gap")
            elif missing:
                self.got += [None] * missing
            self.got += [int(entry.body) for entry in entries]
        raise AssertionError("it never ends")


STEPS = st.lists(
    st.sampled_from(["publish", "lose", "cut", "read", "late", "snapshot", "failover"]),
    max_size=60,
)


FAILED_OVER_TWICE = ["publish", "snapshot", *["publish"] * 3]
FAILED_OVER_TWICE += ["failover", "read", "failover"]


@pytest.mark.threat("RMS-3")
@settings(max_examples=500, deadline=None)
@example(steps=FAILED_OVER_TWICE, keep=3)
@given(steps=STEPS, keep=st.integers(3, 12))
def test_once_and_in_order_or_a_gap(steps: list[str], keep: int) -> None:
    log = Log(keep)
    node = Node(log, keep)
    late: list[tuple[Place, bytes]] = []
    replica = log.copy()
    failed_over = cut = False
    for step in steps:
        match step:
            case "publish":
                message = log.publish()
                if not cut:
                    for old in late:  # TCP is in order
                        node.see(*old)
                    late.clear()
                    node.see(*message)
            case "lose":
                # Only a cut loses messages.
                cut = True
                node.order.lose_sight()
                late.clear()
                log.publish()
            case "late":
                if not cut:
                    late.append(log.publish())
            case "cut":
                cut = True
                node.order.lose_sight()
                late.clear()
            case "read":
                cut = False
                node.read()
            case "snapshot":
                replica = log.copy()
            case "failover":
                cut = True
                node.order.lose_sight()
                late.clear()
                log.restore(replica)
                failed_over = True
    for old in late:
        node.see(*old)
    node.order.lose_sight()
    node.read()
    numbers = [it for it in node.got if isinstance(it, int)]
    assert numbers == sorted(set(numbers)), node.got
    assert not node.order.behind
    kept = [int(entry.body) for entry in log.entries]
    if failed_over:
        # Of what it can't tell from what it has seen it says that it may be missing.
        assert set(kept) <= set(numbers) or "gap" in node.got
    else:
        assert set(kept) <= set(numbers), (kept, node.got)
        assert "gap" not in node.got
        assert len(node.got) == log.tags, node.got


@pytest.mark.threat("BRK-7")
def test_what_a_promoted_replica_gave_out_again() -> None:
    log = Log(10)
    node = Node(log, 10)
    for _ in range(3):
        node.see(*log.publish())
    replica = log.copy()
    for _ in range(2):
        node.see(*log.publish())
    log.restore(replica)
    node.order.lose_sight()
    for _ in range(3):  # the places of 4 and 5, and one more
        node.see(*log.publish())
    node.read()
    assert node.got == [1, 2, 3, 4, 5, "gap", 6, 7, 8]


def test_a_server_that_forgot_everything() -> None:
    log = Log(10)
    node = Node(log, 10)
    for _ in range(5):
        node.see(*log.publish())
    node.order.lose_sight()
    log.epoch, log.entries, log.offset = 5, [], 0
    log.lineage = "another-"
    for _ in range(2):
        log.publish()
    node.read()
    assert node.got == [1, 2, 3, 4, 5, "gap", 6, 7]


@given(messages=st.permutations(range(2, 8)))
def test_messages_in_any_order(messages: list[int]) -> None:
    """Should a network mix them up, they are read in order."""
    log = Log(100)
    first = log.publish()
    node = Node(log, 100)
    assert node.got == [1]
    others = {
        int(body): (place, body) for place, body in (log.publish() for _ in range(6))
    }
    node.see(*first)
    for number in messages:
        node.see(*others[number])
        node.read()
    assert node.got == [1, 2, 3, 4, 5, 6, 7]


def test_what_is_held_is_bounded() -> None:
    log = Log(10_000)
    node = Node(log, 10)
    log.publish()
    for _ in range(3000):
        node.see(*log.publish())
    node.read(page=256)
    assert node.got == list(range(1, 3002))
    assert not node.order.behind


def test_what_is_remembered_is_bounded() -> None:
    order = Order(1000, 10 * (10 + OVERHEAD))
    order.take(Reading(Place("e", 0), [], 0, True), 0)
    for offset in range(1, 30):
        assert order.see(Place("e", offset, f"t{offset}"), b"x" * 10)
    assert order.since(Place("e", 5)) is None
    known = order.since(Place("e", 20))
    assert known is not None and [entry.offset for entry in known] == [*range(21, 30)]
    assert order.since(Place("e", 29)) == []
    assert order.since(Place("other", 29)) is None


def test_another_message_in_a_known_place() -> None:
    """A server that was promoted gives out places again."""
    order = Order(10, 1000)
    order.take(Reading(Place("e", 0), [], 0, True), 0)
    assert order.see(Place("e", 1, "a"), b"1")
    assert order.see(Place("e", 1, "a"), b"1") is None and not order.behind
    assert order.see(Place("e", 1, "b"), b"2") is None and order.behind


@pytest.mark.threat("BRK-3")
@pytest.mark.parametrize("others", [1, 3000])
def test_messages_that_are_nowhere(others: int) -> None:
    """Somebody else has made them up: they are read for once, and nobody gets them."""
    log = Log(10)
    node = Node(log, 10)
    node.see(*log.publish())
    for number in range(others):
        node.see(Place("lineage-0", 900 + 2 * number, "other"), b"0")
    node.read()
    node.see(*log.publish())
    assert node.got == [1, 2] and not node.order.behind


def test_a_message_that_comes_while_those_before_it_are_read() -> None:
    """The reading may have been made before them: there is another one."""
    log = Log(10)
    node = Node(log, 10)
    node.order.lose_sight()
    early, held = log.read(node.order.place, 10), node.order.held
    log.publish()
    node.see(*log.publish())
    assert node.order.take(early, held) == (0, []) and node.order.behind
    node.read()
    assert node.got == [1, 2]
