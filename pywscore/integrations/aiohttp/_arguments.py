"""What the arguments of the two classes can be."""

from __future__ import annotations

from typing import Any

from multidict import CIMultiDict

from ..._numbers import seconds_or_none, whole
from ...asyncio._arguments import ARGUMENTS, Check, flag, list_of, optional
from ._private import ClientWSTimeout

__all__ = ["OF_CLIENTS", "OF_SERVERS"]


def _flag(name: str, value: Any) -> Any:
    return None if value is None else flag(name, value)


def _size(name: str, value: Any) -> int:
    return 0 if value is None else whole(name, value, "a number of bytes")


def _protocols(name: str, protocols: Any) -> Any:
    # One text is what aiohttp looks for a client's subprotocol in.
    if isinstance(protocols, str):
        return protocols
    known = list_of(name, protocols, "strings")
    if not all(isinstance(protocol, str) for protocol in known):
        raise TypeError(f"{name} must be a list of strings, not {protocols!r}")
    return known


def _headers(name: str, headers: Any) -> CIMultiDict[str]:
    try:
        return CIMultiDict(headers)
    except (TypeError, ValueError):
        # What they are isn't said: one may be a secret.
        raise TypeError(f"{name} must be a mapping or pairs of strings") from None


def _compress(name: str, compress: Any) -> Any:
    if compress is not None and not isinstance(compress, int):
        raise TypeError(f"{name} must be True, False or a number, not {compress!r}")
    return compress


def _client_timeout(name: str, timeout: Any) -> Any:
    if isinstance(timeout, ClientWSTimeout):
        return timeout
    return optional(seconds_or_none)(name, timeout)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {value!r}")
    return value


_OF_BOTH: dict[str, Check] = {
    "autoclose": _flag,
    "autoping": _flag,
    "compress": _compress,
    "decode_text": _flag,
    "heartbeat": optional(seconds_or_none),
    "max_msg_size": _size,
    "protocols": _protocols,
    "receive_timeout": optional(seconds_or_none),
    "timeout": optional(seconds_or_none),
}
OF_SERVERS = _OF_BOTH | {
    "close_on_error": _flag,
    "close_on_shutdown": _flag,
    "rate_limit": ARGUMENTS["rate_limit"],
    "writer_limit": _size,
}
OF_CLIENTS = _OF_BOTH | {
    "headers": optional(_headers),
    "method": _text,
    "origin": optional(_text),
    "timeout": _client_timeout,
}
