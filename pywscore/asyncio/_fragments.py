"""Messages that are sent in fragments (RFC 6455 §5.4)."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Mapping,
)
from typing import Any

from .._shown import unawaited
from ..enums import CloseCode
from ._ending import Ending

_BYTES_LIKE = (bytes, bytearray, memoryview)


async def send_fragments(
    connection: Ending, message: Any, text: bool | None, compress: bool | None
) -> None:
    """``send()`` for everything that isn't simply a ``str`` or bytes-like.

    Raises:
        ConnectionClosed: when the connection is closed.
        TypeError: if message has another type, or fragments have different ones.
    """
    await _turn(connection)
    if isinstance(message, (str, *_BYTES_LIKE)):
        await connection._wait_open()
        await connection.send(message, text, compress)
        return
    if hint := unawaited(message):
        raise TypeError(f"send() got {message!r}{hint}")
    if isinstance(message, Mapping):
        raise TypeError("data is a dict-like object")
    if isinstance(message, AsyncIterable):
        fragments = aiter(message)
    elif isinstance(message, Iterable):
        fragments = _iterate(message)
    else:
        raise TypeError("data must be str, bytes, iterable, or async iterable")
    await connection._wait_open()
    try:
        first = await anext(fragments)
    except StopAsyncIteration:
        return
    if not isinstance(first, (str, *_BYTES_LIKE)):
        raise TypeError("fragments must be str or bytes-like")
    # While the first fragment was awaited, another message may have begun.
    await _turn(connection)
    await connection._wait_open()
    done = connection._fragmented_send = connection.loop.create_future()
    try:
        await _send_all(connection, first, fragments, text, compress)
    except BaseException:
        # Half a message can't be taken back, and nothing else can follow it.
        connection._fail(CloseCode.INTERNAL_ERROR, "error in fragmented message")
        raise
    finally:
        if connection._fragmented_send is done:  # not when TCP has ended meanwhile
            connection._fragmented_send = None
            done.set_result(None)


async def _turn(connection: Ending) -> None:
    while connection._fragmented_send is not None:
        await asyncio.shield(connection._fragmented_send)


async def _iterate(fragments: Iterable[Any]) -> AsyncIterator[Any]:
    for fragment in fragments:
        yield fragment


async def _send_all(
    connection: Ending,
    first: Any,
    rest: AsyncIterator[Any],
    text: bool | None,
    compress: bool | None,
) -> None:
    protocol = connection.protocol
    kind = str if isinstance(first, str) else _BYTES_LIKE
    if text is None:
        text = kind is str
    data = first.encode() if isinstance(first, str) else first
    if text:
        protocol.send_text(data, fin=False, compress=compress)
    else:
        protocol.send_binary(data, fin=False, compress=compress)
    await _flush(connection)
    async for fragment in rest:
        if not isinstance(fragment, kind):
            raise TypeError("all fragments must be of the same type")
        await connection._wait_open()
        protocol.send_continuation(fragment, fin=False)
        await _flush(connection)
    await connection._wait_open()
    protocol.send_continuation(b"", fin=True)
    await _flush(connection)


async def _flush(connection: Ending) -> None:
    connection.flush()
    if connection.write_paused:
        await connection.drain()
