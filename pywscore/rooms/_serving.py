"""Whether a room is served by this node: while it is needed, and some seconds more."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, TypeVar

from ._errors import HubClosed, HubError
from ._fanout import Fanout
from ._node import Node
from ._service import Options, Service
from ._timeline import result_of

__all__ = ["Serving"]

T = TypeVar("T")

UNSERVE_AFTER = 5.0


class Serving(ABC):
    """What a ``Room`` is beside its members.

    Args:
        node: of the hub.
        name: the room's.
        options: the room's.

    Attributes:
        name: the room's.
    """

    __slots__ = (
        "_held",
        "_node",
        "_opening",
        "_options",
        "_service",
        "_unneeded",
        "name",
    )

    def __init__(self, node: Node, name: str, options: Options) -> None:
        self.name = name
        self._node = node
        self._options = options
        self._held = 0  # who needs it: members, joins, iterators
        self._service: Service | None = None
        self._opening: asyncio.Task[Service] | None = None
        self._unneeded: asyncio.TimerHandle | None = None

    @abstractmethod
    def _on_gone(self, member: Any) -> None:
        """Let a member go that can't be sent to any more, if it hasn't left."""

    async def _hold(self) -> Service:
        """The room is served until ``_release()``."""
        self._node.check_open()
        self._held += 1
        if self._unneeded is not None:
            self._unneeded.cancel()
            self._unneeded = None
        try:
            if self._service is not None and self._service.ready:
                return self._service
            if self._opening is None:
                self._opening = self._node.start(self._open())
            return await self._in_time(result_of(self._opening))
        except BaseException:
            self._release()
            raise

    def _release(self) -> None:
        self._held -= 1
        if not self._held:
            loop = asyncio.get_running_loop()
            self._unneeded = loop.call_later(UNSERVE_AFTER, self._drop)

    def _check_serves(self, service: Service) -> None:
        """Raises:
        HubClosed: if the hub has been closed meanwhile.
        """
        self._node.check_open()
        if self._service is not service:
            raise HubClosed("the hub is closed")

    async def _in_time(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(self._node.limits.join_timeout):
                return await coroutine
        except TimeoutError:
            raise HubError(f"room {self.name!r} can't be reached") from None

    async def _open(self) -> Service:
        service = self._service = Service(self._node, self.name, self._options, self)
        try:
            await self._node.serve(self.name, service)
            await service.begin()
            return service
        finally:
            if self._service is service:
                self._opening = None
                if not service.ready:
                    self._drop()

    @property
    def _fanout(self) -> Fanout | None:
        return None if self._service is None else self._service.fanout

    def _empty(self) -> None:
        """All members leave."""
        if self._fanout is not None:
            self._fanout.send_pending()
        for member in list(self._fanout or ()):
            self._on_gone(member)

    def _drop(self) -> None:
        """It isn't served any more."""
        self._empty()
        if self._unneeded is not None:
            self._unneeded.cancel()
            self._unneeded = None
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        service, self._service = self._service, None
        if service is not None:
            service.close()
            self._node.delivered += service.fanout.delivered
            self._node.skipped += service.fanout.skipped
            self._node.leave_alone(self.name, service)
