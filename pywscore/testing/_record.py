"""A session as a script, to be read, kept and done again."""

from __future__ import annotations

from typing import Literal

from ._frames import FrameReader
from ._link import FaultyLink
from ._script import shown_frame

__all__ = ["record"]


def record(link: FaultyLink, side: Literal["client", "server"] = "client") -> str:
    """What went over a link after the opening handshake, as a script that a
    ``ScriptedPeer`` can do in the place of one of the ends.

    Args:
        link: what joined the two ends.
        side: whose frames are to be sent; those of the other end are expected.

    Returns:
        A line for each frame, in the order in which they were written.
    """
    lines = []
    readers = {"client": FrameReader(), "server": FrameReader()}
    heads = {"client": bytearray(), "server": bytearray()}
    opened = {"client": False, "server": False}
    for sender, data in link._log:
        if not opened[sender]:
            heads[sender] += data
            _, end, rest = bytes(heads[sender]).partition(b"\r\n\r\n")
            if not end:
                continue
            opened[sender] = True
            data = rest
        for frame in readers[sender].feed(data):
            verb = "send" if sender == side else "expect"
            lines.append(f"{verb} {shown_frame(frame)}\n")
    return "".join(lines)
