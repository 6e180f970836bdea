"""The exceptions, with the names and meaning they have in ``websockets``.

* ``WebSocketException``

  * ``ConnectionClosed``: ``ConnectionClosedOK``, ``ConnectionClosedError``
  * ``InvalidURI``, ``InvalidProxy``
  * ``InvalidHandshake``

    * ``SecurityError``: ``RequestLineTooLong``, ``StatusLineTooLong``,
      ``HeaderLineTooLong``, ``TooManyHeaders``
    * ``ProxyError``: ``InvalidProxyMessage``, ``InvalidProxyStatus``
    * ``InvalidMessage``, ``InvalidMethod``, ``InvalidProtocol``, ``InvalidStatus``
    * ``InvalidHeader``: ``InvalidHeaderFormat``, ``InvalidHeaderValue``,
      ``InvalidOrigin``, ``InvalidUpgrade``
    * ``NegotiationError``: ``DuplicateParameter``, ``InvalidParameterName``,
      ``InvalidParameterValue``

  * ``ProtocolError``, ``PayloadTooBig``, ``TooManyFragments``, ``InvalidState``,
    ``ConcurrencyError``
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from ._shown import shown_url
from .enums import CloseCode, explain
from .http import Headers

if TYPE_CHECKING:
    from ._core import Close
    from .http import HeadersLike, Response
    from .typing import StatusLike

__all__ = [
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "DuplicateParameter",
    "HeaderLineTooLong",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidMethod",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProtocol",
    "InvalidProxy",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "InvalidUpgrade",
    "NegotiationError",
    "PayloadTooBig",
    "ProtocolError",
    "ProxyError",
    "RequestLineTooLong",
    "SecurityError",
    "StatusLineTooLong",
    "TooManyFragments",
    "TooManyHeaders",
    "WebSocketException",
]


class WebSocketException(Exception):
    """The root of all exceptions of this package."""


# Closing ---------------------------------------------------------------------------


def describe_close(close: Close) -> str:
    """``str(close)``: the code, what it stands for, and the reason."""
    text = f"{close.code} ({explain(close.code)})"
    return f"{text} {close.reason}" if close.reason else text


class ConnectionClosed(WebSocketException):
    """The connection is closed, so nothing can be sent or received any more.

    Attributes:
        rcvd: the close frame that was received (``code``, ``reason``), or None.
        sent: the close frame that was sent, or None.
        rcvd_then_sent: which was first, as seen from this end; None unless there were
            both.
    """

    def __init__(
        self,
        rcvd: Close | None,
        sent: Close | None,
        rcvd_then_sent: bool | None = None,
    ) -> None:
        super().__init__(rcvd, sent, rcvd_then_sent)
        self.rcvd = rcvd
        self.sent = sent
        self.rcvd_then_sent = rcvd_then_sent

    def __str__(self) -> str:
        if self.rcvd is None and self.sent is None:
            return "no close frame received or sent"
        if self.rcvd is None:
            assert self.sent is not None
            return f"sent {describe_close(self.sent)}; no close frame received"
        received = f"received {describe_close(self.rcvd)}"
        if self.sent is None:
            return f"{received}; no close frame sent"
        sent = f"sent {describe_close(self.sent)}"
        if self.rcvd_then_sent:
            return f"{received}; then {sent}"
        return f"{sent}; then {received}"

    @property
    def code(self) -> int:
        """The code received; 1006 if no close frame came."""
        return CloseCode.ABNORMAL_CLOSURE if self.rcvd is None else self.rcvd.code

    @property
    def reason(self) -> str:
        """The reason received, ``""`` if no close frame came."""
        return "" if self.rcvd is None else self.rcvd.reason


class ConnectionClosedOK(ConnectionClosed):
    """Both ends sent a close frame with 1000, 1001 or no code."""


class ConnectionClosedError(ConnectionClosed):
    """The connection broke, or a close frame carried another code."""


# Addresses ---------------------------------------------------------------------------


class InvalidURI(WebSocketException):
    """Not a ``ws`` or ``wss`` URI (RFC 6455 §3).

    Attributes:
        uri: without user information.
        msg: what is wrong with it.
    """

    def __init__(self, uri: str, msg: str) -> None:
        uri = shown_url(uri)
        super().__init__(uri, msg)
        self.uri = uri
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.uri} isn't a valid URI: {self.msg}"


class InvalidProxy(WebSocketException):
    """Not the address of a proxy.

    Attributes:
        proxy: without user information.
        msg: what is wrong with it.
    """

    def __init__(self, proxy: str, msg: str) -> None:
        proxy = shown_url(proxy)
        super().__init__(proxy, msg)
        self.proxy = proxy
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.proxy} isn't a valid proxy: {self.msg}"


# Opening handshake -----------------------------------------------------------------


class InvalidHandshake(WebSocketException):
    """The opening handshake failed (RFC 6455 §4)."""


class SecurityError(InvalidHandshake):
    """A limit or a rule that protects this end was broken by the peer."""


class RequestLineTooLong(SecurityError):
    """The request line is longer than the limit."""


class StatusLineTooLong(SecurityError):
    """The status line is longer than the limit."""


class HeaderLineTooLong(SecurityError):
    """A header line, or all of them together, is longer than the limit."""


class TooManyHeaders(SecurityError):
    """There are more header lines than the limit."""


class ProxyError(InvalidHandshake):
    """No connection through the proxy."""


class InvalidProxyMessage(ProxyError):
    """The proxy's answer isn't HTTP."""


class InvalidProxyStatus(ProxyError):
    """The HTTP proxy refused; ``response`` is its answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response

    def __str__(self) -> str:
        return f"proxy rejected connection: HTTP {self.response.status_code}"


class InvalidMessage(InvalidHandshake):
    """The peer's request or response isn't HTTP/1.1."""


class InvalidMethod(InvalidHandshake):
    """The request's method isn't GET; ``method`` is it."""

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.method = method

    def __str__(self) -> str:
        return f"unsupported HTTP method: {self.method}"


class InvalidProtocol(InvalidHandshake):
    """The request isn't HTTP/1.1; ``protocol`` is what it says."""

    def __init__(self, protocol: str) -> None:
        super().__init__(protocol)
        self.protocol = protocol

    def __str__(self) -> str:
        return f"unsupported HTTP version: {self.protocol}"


class InvalidStatusCode(InvalidHandshake):
    """The old name of ``InvalidStatus``, for ``except`` clauses that have it.

    Attributes:
        status_code: of the response.
        headers: of the response.
    """

    def __init__(self, status_code: int, headers: HeadersLike) -> None:
        super().__init__(status_code, headers)
        self.status_code = status_code
        self.headers = headers

    def __str__(self) -> str:
        return f"server rejected WebSocket connection: HTTP {self.status_code}"


class InvalidStatus(InvalidStatusCode):
    """The server answered with another status than 101; ``response`` is its answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code, response.headers)
        self.args = (response,)
        self.response = response


class InvalidHeader(InvalidHandshake):
    """A header has no valid value.

    Attributes:
        name: the header.
        value: its value; None if the header isn't there.
    """

    def __init__(self, name: str, value: str | None = None) -> None:
        super().__init__(name, value)
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing {self.name} header"
        if self.value == "":
            return f"empty {self.name} header"
        return f"invalid {self.name} header: {self.value}"


class InvalidHeaderFormat(InvalidHeader):
    """A header doesn't follow its grammar.

    Args:
        name: the header.
        error: what was expected.
        header: its value.
        pos: where in the value.
    """

    def __init__(self, name: str, error: str, header: str, pos: int) -> None:
        super().__init__(name, f"{error} at {pos} in {header}")
        self.args = (name, error, header, pos)


class InvalidHeaderValue(InvalidHeader):
    """A header follows its grammar, but its value isn't acceptable."""


class InvalidOrigin(InvalidHeader):
    """The request's Origin, ``origin``, isn't on the list (RFC 6455 §10.2)."""

    def __init__(self, origin: str | None) -> None:
        super().__init__("Origin", origin)
        self.args = (origin,)


class InvalidUpgrade(InvalidHeader):
    """The Upgrade or Connection header doesn't ask for WebSocket."""


class NegotiationError(InvalidHandshake):
    """No agreement about a subprotocol or an extension."""


class DuplicateParameter(NegotiationError):
    """An extension's parameter came twice; ``name`` is it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"duplicate parameter: {self.name}"


class InvalidParameterName(NegotiationError):
    """An extension has no parameter called ``name``."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"invalid parameter name: {self.name}"


class InvalidParameterValue(NegotiationError):
    """An extension's parameter ``name`` can't have this ``value`` (None: no value)."""

    def __init__(self, name: str, value: str | None) -> None:
        super().__init__(name, value)
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing value for parameter {self.name}"
        if self.value == "":
            return f"empty value for parameter {self.name}"
        return f"invalid value for parameter {self.name}: {self.value}"


# Frames and messages -------------------------------------------------------------


class ProtocolError(WebSocketException):
    """A frame, or an order of frames, that RFC 6455 forbids."""


WebSocketProtocolError = ProtocolError
"""The old name."""


class PayloadTooBig(WebSocketException):
    """A message is bigger than ``max_size``. Made of ``size_or_message``, which is one
    of the first two, and the others.

    Attributes:
        message: what happened, if it was given as a text; None otherwise.
        size: bytes in the frame; None if not known.
        max_size: the limit in bytes; None if not known.
        current_size: bytes of the message before this frame; None if not fragmented.
    """

    def __init__(
        self,
        size_or_message: int | str | None,
        max_size: int | None = None,
        current_size: int | None = None,
    ) -> None:
        super().__init__(size_or_message, max_size, current_size)
        self.message = size_or_message if isinstance(size_or_message, str) else None
        self.size = None if isinstance(size_or_message, str) else size_or_message
        self.max_size = max_size
        self.current_size = current_size

    def __str__(self) -> str:
        if self.message is not None:
            return self.message
        parts = ["frame"]
        if self.size is not None:
            parts.append(f"with {self.size} bytes")
        if self.current_size is not None:
            parts.append(f"after reading {self.current_size} bytes")
        parts.append(f"exceeds limit of {self.max_size} bytes")
        return " ".join(parts)


class TooManyFragments(WebSocketException):
    """A message came in more fragments than ``max_fragments``."""

    def __init__(self, max_fragments: int) -> None:
        super().__init__(max_fragments)
        self.max_fragments = max_fragments

    def __str__(self) -> str:
        return f"fragmented message exceeds limit of {self.max_fragments} frames"


class InvalidState(WebSocketException, AssertionError):
    """This call isn't allowed in the state that the connection is in."""


class ConcurrencyError(WebSocketException, RuntimeError):
    """Two tasks receive at once, or two pings wait with the same payload."""


# The old names that ``websockets`` still has, besides aliases.


class AbortHandshake(InvalidHandshake):
    """Never raised: a response that an old server's hook wanted to be sent.

    Attributes:
        status: its status code.
        headers: its headers.
        body: what comes after them.
    """

    def __init__(
        self, status: StatusLike, headers: HeadersLike, body: bytes = b""
    ) -> None:
        super().__init__(status, headers, body)
        self.status = HTTPStatus(status)
        self.headers = Headers(headers)
        self.body = body

    def __str__(self) -> str:
        return f"response with HTTP {self.status.value}"


class RedirectHandshake(InvalidHandshake):
    """Never raised: a redirect to ``uri`` that an old client followed."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.uri = uri

    def __str__(self) -> str:
        return f"redirect to {self.uri}"
