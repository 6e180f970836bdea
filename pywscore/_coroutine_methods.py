"""Models of the methods that C defines and that return coroutines: their ``__code__``,
defaults and annotations are what ``inspect`` and ``unittest.mock`` see of those.

A class for each type of ``_core``; imported when one of these attributes is asked for.
The bodies never run.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any

from pywscore.typing import Data, DataLike


class Connection:
    async def recv(self, decode: bool | None = None) -> Data:
        raise NotImplementedError

    async def send(
        self,
        message: DataLike | Iterable[DataLike] | AsyncIterable[DataLike],
        text: bool | None = None,
        compress: bool | None = None,
    ) -> None:
        raise NotImplementedError

    async def drain(self) -> None:
        raise NotImplementedError


class MessageStream:
    async def receive(self, timeout: float | None = None) -> Any:
        raise NotImplementedError

    async def send_str(self, data: str, compress: int | None = None) -> None:
        raise NotImplementedError

    async def send_bytes(
        self, data: bytes | bytearray | memoryview, compress: int | None = None
    ) -> None:
        raise NotImplementedError
