"""How many connections a server takes, against a list of those it has."""

import random
from collections import Counter

import pytest

from pywscore.asyncio._places import Places, network_of


@pytest.mark.threat("OVL-2")
@pytest.mark.parametrize("limit", [None, 1, 20])
@pytest.mark.parametrize("per_address", [None, 1, 5])
def test_exact_counts_over_ten_thousand_ends(
    limit: int | None, per_address: int | None
) -> None:
    places = Places(limit, per_address)
    chance = random.Random(f"{limit} {per_address}")
    networks = ["", *(f"192.0.2.{number}" for number in range(8))]
    held: list[str] = []
    ends = 0
    while ends < 10_000:
        network = chance.choice(networks)
        free = limit is None or len(held) < limit
        if network and per_address is not None:
            free = free and held.count(network) < per_address
        assert places.take(network) is free
        if free:
            held.append(network)
        if held and (chance.random() < 0.5 or len(held) > 30):
            places.give_back(held.pop(chance.randrange(len(held))))
            ends += 1
    assert places._taken_from == Counter(network for network in held if network)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        (("192.0.2.1", 80), "192.0.2.1"),
        (("::ffff:192.0.2.1", 80, 0, 0), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 80, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 80, 0, 2), "fe80::/64"),
        (("::1", 80, 0, 0), "::/64"),
        ("", ""),
        (b"\0abstract", ""),
        (None, ""),
    ],
)
def test_network_of(address: object, network: str) -> None:
    assert network_of(address) == network
