"""What keys and channels are called. All begin with the hub's prefix; those of a room
have the same hash tag, one of 1,024:

    pywscore.{17}.s.lobby   stream of its messages, whose identifiers are the offsets
    pywscore.{17}.m.lobby   hash: e epoch, o newest offset, t its tag
    pywscore.{17}.p.lobby   hash: its members by node
    pywscore.{17}.i.lobby.K an idempotency key
    pywscore.{17}.c.lobby   channel: m messages, r reports
    pywscore.nodes          sorted set: nodes by the time they showed that they live
    pywscore.probe.NODE     channel: what a node says to itself
"""

from __future__ import annotations

import binascii

__all__ = ["key_of", "partition_of"]

PARTITIONS = 1024


def partition_of(room: str) -> int:
    return binascii.crc32(room.encode()) % PARTITIONS


def key_of(prefix: str, room: str, kind: str) -> str:
    return f"{prefix}.{{{partition_of(room)}}}.{kind}.{room}"
