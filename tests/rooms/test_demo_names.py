"""Names in the demo's chat, whose workers don't know of each other at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pywscore.cli._demo import chat
from pywscore.cli._demo.chat import Chat, Room

# The demo takes one URL.
ONE = ["memory", "redis", "sentinel", "cluster"]
pytestmark = [
    pytest.mark.external,
    pytest.mark.parametrize("broker", ONE, indirect=True),
]


@pytest.fixture
def workers(broker: Any) -> list[Chat]:
    return [Chat(broker) for _ in range(2)]


async def test_one_name_for_two_at_the_same_moment(workers: list[Chat]) -> None:
    """On two workers, and on one; whoever has their own key has their name again."""
    async with workers[0].hub, workers[1].hub:
        for number in range(10):
            name = f"names {number}"
            here, there = (Room(worker.hub, name) for worker in workers)
            people = await asyncio.gather(
                *(room.admit("Ada", "") for room in (here, there, here, there))
            )
            names = [person.name for person in people]
            # Whose turn it is between two workers may leave a number out.
            assert len({it.casefold() for it in names}) == 4, names
            assert "Ada" in names
            room = f"keys {number}"
            here, there = (Room(worker.hub, room) for worker in workers)
            first = await here.admit("Ada", "mine")
            second = await there.admit("Ada", "mine")
            assert first.name == second.name == "Ada"


async def test_a_name_is_free_again(
    workers: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers[0].hub, workers[1].hub:
        here, there = (Room(worker.hub, "free") for worker in workers)
        ada = await here.admit("Ada", "")
        assert (await there.admit("ADA", "")).name == "ADA (2)"
        del here.people[ada.id]  # gone, before anybody was told of it
        assert (await here.admit("Ada", "")).name == "Ada"
        here.people.clear()
        monkeypatch.setattr(chat, "KNOWN_AFTER", 0.0)
        assert (await there.admit("Ada", "")).name == "Ada"
