"""The sans-IO protocol objects: bytes in, events out, bytes to send out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import _core
from ._core import Protocol, ServerProtocol
from .enums import Side, State
from .extensions import PerMessageDeflate
from .http import USER_AGENT, Headers, HeadersLike, basic_credentials
from .uri import WebSocketURI, parse_uri

__all__ = ["ClientProtocol", "Protocol", "ServerProtocol", "Side", "State"]

SERVER, CLIENT = Side
CONNECTING, OPEN, CLOSING, CLOSED = State

# What the core writes itself; a second line of these would break the handshake.
_RESERVED = frozenset(
    {
        "connection",
        "content-length",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "transfer-encoding",
        "upgrade",
    }
)


class ClientProtocol(_core.ClientProtocol):
    """The client's end of a connection, without I/O.

    The request (RFC 6455 §4.1) is queued at once: ``data_to_send()`` gives it.

    Args:
        uri: the server's address, a ``ws`` or ``wss`` URI.
        origin: value of the Origin header, for servers that look at it.
        subprotocols: what to offer, the preferred one first.
        headers: more header lines. A Host among them replaces the URI's; user
            information in the URI gives an Authorization unless there is one here.
        user_agent_header: value of the User-Agent header; None for none.
        compression: what to offer of permessage-deflate; None for nothing.
        max_size: bytes in a received message after decompression; None for no limit.
        max_line: bytes in the response's status line.
        max_header_line: bytes in one of its header lines.
        max_head: bytes in all of its head.
        max_headers: number of its header lines.

    Raises:
        InvalidURI: if ``uri`` isn't valid.
        ValueError: if a header, a subprotocol or a limit can't be used.
    """

    def __init__(
        self,
        uri: str | WebSocketURI,
        *,
        origin: str | None = None,
        subprotocols: Sequence[str] | None = None,
        headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        compression: PerMessageDeflate | None = None,
        max_size: int | None = 1 << 20,
        max_line: int = 8192,
        max_header_line: int = 8192,
        max_head: int = 32768,
        max_headers: int = 128,
    ) -> None:
        self.uri = uri if isinstance(uri, WebSocketURI) else parse_uri(uri)
        lines = Headers([*request_lines(self.uri, origin, headers, user_agent_header)])
        super().__init__(
            target=self.uri.resource_name,
            headers=list(lines.raw_items()),
            subprotocols=tuple(subprotocols or ()),
            compression=compression,
            max_size=max_size,
            max_line=max_line,
            max_header_line=max_header_line,
            max_head=max_head,
            max_headers=max_headers,
        )

    def __repr__(self) -> str:
        # The rest of the URI may be secret.
        where = f"{'wss' if self.uri.secure else 'ws'}://{self.uri.host_header}"
        return f"<{type(self).__name__} {self.state.name} {where} at {id(self):#x}>"


def checked_headers(headers: HeadersLike | None) -> Headers:
    """Headers that may be added to a request.

    Raises:
        ValueError: if one can't be written, or isn't to be set by hand.
    """
    extra = Headers(headers or ())
    for name in extra:
        if name in _RESERVED:
            raise ValueError(f"{name} is not to be set by hand")
    return extra


def request_lines(
    uri: WebSocketURI,
    origin: str | None,
    headers: HeadersLike | None,
    user_agent_header: str | None,
) -> Iterator[tuple[str, str]]:
    extra = checked_headers(headers)
    yield "Host", extra.get("Host", uri.host_header)
    if origin is not None:
        yield "Origin", origin
    if uri.user_info is not None and "Authorization" not in extra:
        yield "Authorization", basic_credentials(*uri.user_info)
    yield from (line for line in extra.raw_items() if line[0].lower() != "host")
    if user_agent_header is not None and "User-Agent" not in extra:
        yield "User-Agent", user_agent_header
