"""The server's side of the opening handshake, from a request that aiohttp has read.

What aiohttp accepts is accepted, but for requests of HTTP/1.0 or with a body.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import re
from collections.abc import Container
from typing import Any

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.log import ws_logger
from multidict import CIMultiDict

from ... import _core
from ..._shown import printable
from ...extensions.permessage_deflate import SERVER_DEFAULT, PerMessageDeflate
from ...http import TOKEN

__all__ = ["accept_head", "deflate_elements", "parameters", "wire_text"]

# Versions of drafts whose frames are RFC 6455's are among them.
_VERSIONS = ("13", "8", "7")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
# The core sees the request of a client that does everything right.
_HEAD = (
    b"GET / HTTP/1.1\r\nHost: aiohttp\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
_deflate = re.compile(
    rf"permessage-deflate(?:\s*;\s*{TOKEN}(?:\s*=\s*(?:{TOKEN}|\"{TOKEN}\"))?)*",
    re.ASCII,
).fullmatch


def accept_head(
    request: web.BaseRequest,
    *,
    protocols: Container[str],
    compress: bool | int,
    max_msg_size: int,
) -> tuple[_core.ServerProtocol, CIMultiDict[str], str | None]:
    """Read the handshake of ``request``.

    Returns:
        The protocol that can accept it, the headers of the 101, and the subprotocol.

    Raises:
        HTTPBadRequest: if this isn't a WebSocket handshake.
        HTTPVersionNotSupported: if it is of HTTP/1.0.
    """
    _check_upgrade(request)
    chosen = _choose(request, protocols)
    version = request.headers.get(hdrs.SEC_WEBSOCKET_VERSION, "")
    if version not in _VERSIONS:
        raise _refusal(f"Unsupported version: {printable(version)}")
    accept = _accept_value(request.headers.get(hdrs.SEC_WEBSOCKET_KEY))
    protocol = _core.ServerProtocol(
        max_size=max_msg_size or None,
        compression=_settings(compress) if compress else None,
        max_head=65536,
        max_header_line=65536,
    )
    offers = request.headers.getall(hdrs.SEC_WEBSOCKET_EXTENSIONS, ())
    deflate = ", ".join(deflate_elements(",".join(offers)))
    offer = f"Sec-WebSocket-Extensions: {deflate}\r\n" if deflate else ""
    protocol.receive_data(_HEAD + offer.encode() + b"\r\n")
    protocol.next_event()
    headers = CIMultiDict(protocol.build_response().headers.raw_items())
    headers[hdrs.SEC_WEBSOCKET_ACCEPT] = accept
    if chosen:
        headers[hdrs.SEC_WEBSOCKET_PROTOCOL] = chosen
    return protocol, headers, chosen


def _refusal(text: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=text, headers={hdrs.SEC_WEBSOCKET_VERSION: "13"})


def _check_upgrade(request: web.BaseRequest) -> None:
    headers = request.headers
    upgrade = headers.get(hdrs.UPGRADE, "")
    if upgrade.strip().lower() != "websocket":
        raise _refusal(f"No WebSocket UPGRADE hdr: {printable(upgrade)}")
    connection = ",".join(headers.getall(hdrs.CONNECTION, ()))
    if "upgrade" not in (item.strip() for item in connection.lower().split(",")):
        raise _refusal(f"No CONNECTION upgrade hdr: {printable(connection)}")
    # aiohttp takes what follows the head for frames. A proxy that takes it for a body,
    # or for the next request, is how requests are smuggled.
    refusal: web.HTTPException
    if request.version < HttpVersion11:
        refusal = web.HTTPVersionNotSupported(
            text="A WebSocket connection is opened with HTTP/1.1."
        )
    elif (
        hdrs.TRANSFER_ENCODING in headers
        or headers.get(hdrs.CONTENT_LENGTH, "0").strip() != "0"
    ):
        refusal = _refusal("The request must not have a body.")
    else:
        return
    refusal.force_close()
    raise refusal


def _choose(request: web.BaseRequest, known: Container[str]) -> str | None:
    """The first subprotocol offered that is known, or None with a warning."""
    lines = request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())
    offered = [item.strip() for item in ",".join(lines).split(",")]
    for protocol in offered:
        if protocol in known:
            return protocol or None
    if lines:
        ws_logger.warning(
            "%s: no subprotocol in common: offered %s, known %r",
            request.remote,
            printable(offered),
            known,
        )
    return None


def _accept_value(key: str | None) -> str:
    try:
        good = key is not None and len(base64.b64decode(key)) == 16
    except (binascii.Error, ValueError):
        good = False
    if not good:
        raise _refusal(f"Handshake error: {printable(key)}")
    assert key is not None
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


@functools.lru_cache
def _settings(compress: bool | int) -> PerMessageDeflate:
    if type(compress) is not int or not 9 <= compress <= 15:
        return SERVER_DEFAULT
    bits = None if compress == 15 else compress
    return PerMessageDeflate(server_max_window_bits=bits, client_max_window_bits=bits)


def deflate_elements(value: str) -> list[str]:
    """The well-formed permessage-deflate elements of a Sec-WebSocket-Extensions."""
    elements = (element.strip() for element in value.split(","))
    return [element for element in elements if _deflate(element)]


def wire_text(value: Any) -> str:
    """A header value as the core takes it: a character for each byte of UTF-8."""
    # aiohttp leaves lone surrogates out, too.
    return str(value).strip(" \t").encode("utf-8", "ignore").decode("iso-8859-1")


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
