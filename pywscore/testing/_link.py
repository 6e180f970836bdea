"""What joins two ends in memory."""

from __future__ import annotations

import asyncio
import random

from ._faults import DEFAULTS, Direction, Faults
from ._transport import MemoryTransport

__all__ = ["FaultyLink", "joined"]


class FaultyLink:
    """What joins a client and a server in memory.

    Args:
        to_server: faults of what the client sends; none by default.
        to_client: faults of what the server sends.
        seed: of what is random; shown by ``repr()``. A random one by default.

    Attributes:
        seed: what to give to have the same again.
    """

    def __init__(
        self,
        to_server: Faults | None = None,
        to_client: Faults | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        seed = DEFAULTS.seed if seed is None else seed
        self.seed = random.getrandbits(32) if seed is None else seed
        choose = random.Random(self.seed)
        self._log: list[tuple[str, bytes]] = []  # who sent what
        self._to_server = Direction("client", to_server or Faults(), choose, self._log)
        self._to_client = Direction("server", to_client or Faults(), choose, self._log)
        self._client: MemoryTransport | None = None
        self._server: MemoryTransport | None = None

    def __repr__(self) -> str:
        return f"<FaultyLink seed={self.seed}>"

    @property
    def sent_to_server(self) -> bytes:
        """All that the client has sent."""
        return bytes(self._to_server.data)

    @property
    def sent_to_client(self) -> bytes:
        """All that the server has sent."""
        return bytes(self._to_client.data)

    def reset(self) -> None:
        """Both ends see a ConnectionResetError."""
        for end in self._ends():
            end.reset()

    def stall(self) -> None:
        """Nothing arrives any more, until ``resume()``."""
        for end in self._ends():
            end.stalled = True

    def resume(self) -> None:
        """What was held up arrives, and all that follows."""
        for end in self._ends():
            end.stalled = False
            end.deliver_soon()

    def _ends(self) -> list[MemoryTransport]:
        return [end for end in (self._client, self._server) if end is not None]


def joined(link: FaultyLink) -> tuple[MemoryTransport, MemoryTransport]:
    """The client's transport and the server's.

    Raises:
        RuntimeError: if the link has been used.
    """
    if link._client is not None:
        raise RuntimeError("a link joins two ends once")
    loop = asyncio.get_running_loop()
    client = MemoryTransport(loop, link._to_server, ("memory-client", 0))
    server = MemoryTransport(loop, link._to_client, ("memory-server", 0))
    client.peer, server.peer = server, client
    link._client, link._server = client, server
    return client, server
