"""The server's side of the opening handshake, from a request that aiohttp has read."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import hdrs, web
from aiohttp.log import ws_logger
from multidict import CIMultiDict

from ... import _core
from ...asyncio._log import printable
from ...extensions import SERVER_DEFAULT
from ...http import Request

__all__ = ["accept_head", "choose_protocol", "parameters"]

# Versions of drafts whose frames are RFC 6455's; aiohttp takes them too.
_DRAFTS = (b"7", b"8")
_HANDSHAKE_NAMES = frozenset(
    (
        b"upgrade",
        b"connection",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"sec-websocket-protocol",
        b"sec-websocket-extensions",
    )
)


def accept_head(
    request: web.BaseRequest, *, compress: bool, max_msg_size: int
) -> _core.ServerProtocol:
    """The protocol that has read the handshake of ``request`` and can accept it.

    Raises:
        HTTPBadRequest: if this isn't a WebSocket handshake.
    """
    protocol = _core.ServerProtocol(
        max_size=max_msg_size or None,
        compression=SERVER_DEFAULT if compress else None,
        max_head=65536,
        max_header_line=16384,
    )
    lines = [b"GET / HTTP/1.1\r\nHost: aiohttp\r\n"]
    for name, value in request.raw_headers:
        name = name.lower()
        if name in _HANDSHAKE_NAMES:
            if name == b"sec-websocket-version" and value.strip() in _DRAFTS:
                value = b"13"
            lines.append(b"%b: %b\r\n" % (name, value))
    protocol.receive_data(b"".join(lines) + b"\r\n")
    if isinstance(protocol.next_event(), Request):
        return protocol
    failure = protocol.handshake_exception
    raise web.HTTPBadRequest(
        text=str(failure), headers={hdrs.SEC_WEBSOCKET_VERSION: "13"}
    )


def choose_protocol(
    request: web.BaseRequest, accepted: _core.ServerProtocol, known: Sequence[str]
) -> str | None:
    """The first subprotocol offered that is known, or None with a warning."""
    offered = accepted.offered_subprotocols
    for protocol in offered:
        if protocol in known:
            return protocol
    if offered:
        ws_logger.warning(
            "%s: no subprotocol in common: offered %s, known %r",
            request.remote,
            printable(offered),
            known,
        )
    return None


def parameters(headers: CIMultiDict[str]) -> tuple[int, bool]:
    """Our window bits, 0 without compression, and whether the window is forgotten."""
    agreed = headers.get(hdrs.SEC_WEBSOCKET_EXTENSIONS, "")
    if "permessage-deflate" not in agreed:
        return 0, False
    bits, forgets = 15, False
    for parameter in agreed.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name == "server_max_window_bits":
            bits = int(value.strip('"'))
        elif name == "server_no_context_takeover":
            forgets = True
    return bits, forgets
