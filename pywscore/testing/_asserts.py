"""What tests of WebSocket code assert again and again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..exceptions import ConnectionClosed

__all__ = ["assert_closes"]


@contextlib.contextmanager
def assert_closes(code: int, reason: str | None = None) -> Iterator[None]:
    """The block ends because the connection is closed, with this code::

        with assert_closes(1009):
            await ws.recv()

    Args:
        code: what the peer's close frame said, or if none came ours; 1006 for neither.
        reason: what it said besides; None for any.

    Raises:
        AssertionError: if it isn't closed, or by something else.
    """
    try:
        yield
    except ConnectionClosed as exc:
        close = exc.rcvd or exc.sent
        got = 1006 if close is None else close.code
        said = "" if close is None else close.reason
        if got != code or (reason is not None and said != reason):
            wanted = f"{code}" if reason is None else f"{code} {reason!r}"
            raise AssertionError(f"closed with {got} {said!r}, not {wanted}") from exc
    else:
        raise AssertionError(f"the connection isn't closed with {code}")
