"""The C extension: sans-IO protocol objects and the asyncio connection's hot path."""

import asyncio
import socket
import ssl
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from contextvars import Context
from types import CodeType
from typing import (
    Any,
    ClassVar,
    Literal,
    NoReturn,
    Self,
    TypeAlias,
    TypeVar,
    final,
    overload,
)

from typing_extensions import disjoint_base

from .enums import State
from .exceptions import ConnectionClosed
from .extensions import PerMessageDeflate
from .http import Headers, Request, Response
from .typing import DataLike

_T = TypeVar("_T")
_Bytes: TypeAlias = bytes | bytearray | memoryview
_HeadersLike: TypeAlias = Headers | Iterable[tuple[str, str]] | dict[str, str]

simd: str
"""The name of the SIMD version in use: ``scalar``, ``sse2``, ``avx2``, ..."""

def apply_mask(data: _Bytes, masking_key: _Bytes, /) -> bytes:
    """Mask or unmask a payload (RFC 6455 §5.3).

    Args:
        data: the payload.
        masking_key: 4 bytes.

    Returns:
        The other of the two, as long as ``data``.

    Raises:
        ValueError: if ``masking_key`` isn't of 4 bytes.
    """

def is_valid_utf8(data: _Bytes, /) -> bool:
    """Whether bytes are UTF-8 (RFC 3629), as text messages have to be (RFC 6455 §8.1).

    Args:
        data: the bytes.
    """

def accept_key(key: str, /) -> str:
    """The Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 §4.2.2).

    Args:
        key: 16 bytes in base64.

    Raises:
        ValueError: if it isn't that.
    """

def read_response(data: _Bytes, /) -> tuple[Response, int] | None:
    """The response whose head data begins with, and how many bytes the head has; None
    while it isn't complete.

    Args:
        data: what came so far.

    Raises:
        ValueError: if it isn't a response of HTTP/1, or longer than the limits.
    """

def read_proxy_header(
    data: _Bytes, /
) -> tuple[tuple[int, bytes, int] | None, int] | None:
    """What the header of the PROXY protocol says that data begins with, and how many
    bytes it has; None while it isn't complete.

    Args:
        data: what came so far.

    Returns:
        The client's address as its kind (1 IPv4, 2 IPv6, 3 Unix), its bytes and port;
        None in its place if the proxy doesn't say.

    Raises:
        ValueError: if it isn't one, or longer than 8 KiB.
    """

# Events ---------------------------------------------------------------------------

@final
class TextMessage:
    """A text message, as ``str`` (RFC 6455 §5.6).

    Args:
        data: the payload.
        fin: whether this is the whole message, or its last fragment.
        compressed: whether it came compressed.
    """

    __match_args__: ClassVar[tuple[str, ...]] = ("data",)
    def __new__(
        cls, data: str, *, fin: bool = True, compressed: bool = False
    ) -> Self: ...
    @property
    def data(self) -> str:
        """The payload."""
    @property
    def fin(self) -> bool:
        """Whether this is the whole message, or its last fragment (RFC 6455 §5.4)."""
    @property
    def compressed(self) -> bool:
        """Whether it came compressed (RFC 7692 §6)."""
    def __getnewargs_ex__(self) -> tuple[tuple[Any], dict[str, bool]]: ...

@final
class BinaryMessage:
    """A binary message, as ``bytes`` (RFC 6455 §5.6).

    Args:
        data: the payload.
        fin: whether this is the whole message, or its last fragment.
        compressed: whether it came compressed.
    """

    __match_args__: ClassVar[tuple[str, ...]] = ("data",)
    def __new__(
        cls, data: bytes, *, fin: bool = True, compressed: bool = False
    ) -> Self: ...
    @property
    def data(self) -> bytes:
        """The payload."""
    @property
    def fin(self) -> bool:
        """Whether this is the whole message, or its last fragment (RFC 6455 §5.4)."""
    @property
    def compressed(self) -> bool:
        """Whether it came compressed (RFC 7692 §6)."""
    def __getnewargs_ex__(self) -> tuple[tuple[Any], dict[str, bool]]: ...

@final
class Ping:
    """A ping (RFC 6455 §5.5.2); its pong is queued already.

    Args:
        data: the payload.
    """

    __match_args__: ClassVar[tuple[str, ...]] = ("data",)
    def __new__(cls, data: bytes) -> Self: ...
    @property
    def data(self) -> bytes:
        """The payload, at most 125 bytes."""
    def __getnewargs__(self) -> tuple[bytes]: ...

@final
class Pong:
    """A pong (RFC 6455 §5.5.3).

    Args:
        data: the payload.
    """

    __match_args__: ClassVar[tuple[str, ...]] = ("data",)
    def __new__(cls, data: bytes) -> Self: ...
    @property
    def data(self) -> bytes:
        """The payload, at most 125 bytes."""
    def __getnewargs__(self) -> tuple[bytes]: ...

@final
class Close:
    """What a close frame said (RFC 6455 §5.5.1).

    Args:
        code: the status code; 1005 stands for an empty frame.
        reason: the reason.
    """

    __match_args__: ClassVar[tuple[str, ...]] = ("code", "reason")
    def __new__(cls, code: int, reason: str = "") -> Self: ...
    @property
    def code(self) -> int:
        """The status code (RFC 6455 §7.4), 1005 if there was none."""
    @property
    def reason(self) -> str:
        """The reason, at most 123 bytes of UTF-8."""
    def __getnewargs__(self) -> tuple[int, str]: ...

_Event = Request | Response | TextMessage | BinaryMessage | Ping | Pong | Close

@final
class CoroutineMethod:
    # A method that returns a coroutine; inspect.iscoroutinefunction() is true for it.
    # Its docstring is the method's; its code object, defaults and annotations are those
    # of the `async def` of the same name in pywscore/_coroutine_methods.py.
    __name__: str
    __qualname__: str
    __objclass__: type
    __code__: CodeType
    __defaults__: tuple[Any, ...] | None
    __kwdefaults__: dict[str, Any] | None
    __globals__: dict[str, Any]
    def __call__(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]: ...
    def __get__(self, instance: Any, owner: type | None = None, /) -> Any: ...

# Sans-IO --------------------------------------------------------------------------

@disjoint_base
class Protocol:
    """One end of a WebSocket connection, without I/O. Not instantiable itself."""

    def __init_subclass__(cls, **kwargs: Any) -> None: ...
    def receive_data(self, data: _Bytes, /) -> None:
        """Take bytes that came from the peer, in any pieces; ``next_event()`` reads
        them.

        Nothing is raised for what the peer sent: ``error`` has that, and
        ``data_to_send()`` what to answer (RFC 6455 §7.1.7).

        Args:
            data: the bytes. Anything but ``bytes`` is copied.
        """
    def receive_eof(self) -> None:
        """Take note that the peer ended TCP, or that it broke (RFC 6455 §7.1.4)."""
    def next_event(self) -> _Event | None:
        """The next event; None while more bytes are needed, and while a request waits
        for its answer.

        Pongs and the answer to a close frame are queued by themselves (RFC 6455 §5.5.2,
        §5.5.1).
        """
    def events(self) -> Iterator[_Event]:
        """The events until ``next_event()`` gives None, as an iterator."""
    def send_text(
        self, data: str | _Bytes, /, *, fin: bool = True, compress: bool | None = None
    ) -> None:
        """Queue a text message (RFC 6455 §5.6), or its first fragment.

        Args:
            data: ``str``, or bytes that are UTF-8.
            fin: False for the first fragment of several (RFC 6455 §5.4).
            compress: True or False overrides the threshold of the compression that was
                agreed (RFC 7692 §6).

        Raises:
            InvalidState: if the connection isn't open, or a message isn't finished.
            UnicodeError: if a whole message isn't UTF-8 (RFC 6455 §8.1).
        """
    def send_binary(
        self, data: _Bytes, /, *, fin: bool = True, compress: bool | None = None
    ) -> None:
        """Queue a binary message (RFC 6455 §5.6), or its first fragment.

        Args:
            data: the payload.
            fin: False for the first fragment of several (RFC 6455 §5.4).
            compress: True or False overrides the threshold of the compression that was
                agreed (RFC 7692 §6).

        Raises:
            InvalidState: if the connection isn't open, or a message isn't finished.
        """
    def send_continuation(self, data: str | _Bytes, /, *, fin: bool = True) -> None:
        """Queue the next fragment of the message that isn't finished (RFC 6455 §5.4).

        Args:
            data: ``str`` or bytes.
            fin: whether it is the last one.

        Raises:
            InvalidState: if the connection isn't open, or there is no such message.
        """
    def send_ping(self, data: _Bytes = b"", /) -> None:
        """Queue a ping (RFC 6455 §5.5.2).

        Args:
            data: up to 125 bytes.

        Raises:
            InvalidState: if the connection isn't open.
            ValueError: if ``data`` is longer.
        """
    def send_pong(self, data: _Bytes = b"", /) -> None:
        """Queue a pong that nobody asked for (RFC 6455 §5.5.3).

        Args:
            data: up to 125 bytes.

        Raises:
            InvalidState: if the connection isn't open.
            ValueError: if ``data`` is longer.
        """
    def send_close(self, code: int | None = None, reason: str = "") -> None:
        """Start the closing handshake (RFC 6455 §7.1.2), unless that was done.

        Args:
            code: 1000-1014 as far as they may be sent, or 3000-4999 (RFC 6455 §7.4);
                None for an empty frame.
            reason: up to 123 bytes of UTF-8, empty without a code.

        Raises:
            InvalidState: during the opening handshake.
            ValueError: if code or reason can't be sent.
        """
    def fail(self, code: int, reason: str = "") -> None:
        """Fail the connection (RFC 6455 §7.1.7): queue a close frame, if one may still
        be sent, and read nothing more.

        Args:
            code: 1000-1014 as far as they may be sent, or 3000-4999 (RFC 6455 §7.4).
            reason: up to 123 bytes of UTF-8.

        Raises:
            ValueError: if code or reason can't be sent.
        """
    def data_to_send(self) -> bytes:
        """What is to be sent to the peer now, once; ``b""`` for nothing."""
    def buffers_to_send(self) -> list[bytes]:
        """What ``data_to_send()`` gives, as a list, with large payloads as the objects
        that they were sent as."""
    @property
    def is_server(self) -> bool:
        """Whether this is the server's end."""
    @property
    def state(self) -> State:
        """CONNECTING, OPEN, CLOSING or CLOSED (RFC 6455 §4.1, §7.1)."""
    @property
    def close_code(self) -> int | None:
        """The close code received: 1005 for none in the frame, 1006 if TCP ended
        without a frame; None before (RFC 6455 §7.1.5)."""
    @property
    def close_reason(self) -> str | None:
        """The close reason received (RFC 6455 §7.1.6): empty if TCP ended without a
        frame, None before."""
    @property
    def close_received(self) -> Close | None:
        """The close frame received, or None."""
    @property
    def close_rcvd(self) -> Close | None:
        """``close_received``, by its name in ``websockets``."""
    @property
    def close_sent(self) -> Close | None:
        """The close frame sent, or None."""
    @property
    def close_received_then_sent(self) -> bool | None:
        """Whether the close frame received was first, as seen from this end; None
        unless there were both."""
    @property
    def close_rcvd_then_sent(self) -> bool | None:
        """``close_received_then_sent``, by its name in ``websockets``."""
    @property
    def close_exception(self) -> ConnectionClosed:
        """ConnectionClosedOK or ConnectionClosedError: what to raise once the
        connection is closed."""
    @property
    def close_exc(self) -> ConnectionClosed:
        """``close_exception``, by its name in ``websockets``."""
    @property
    def close_expected(self) -> bool:
        """Nothing more is to be received: TCP should be ended, by a server at once, by
        a client once the server did or took too long (RFC 6455 §7.1.1)."""
    @property
    def handshake_exception(self) -> Exception | None:
        """Why the opening handshake failed, or None (RFC 6455 §4)."""
    @property
    def handshake_exc(self) -> Exception | None:
        """``handshake_exception``, by its name in ``websockets``."""
    @property
    def error(self) -> Exception | None:
        """What failed the connection from this end (ProtocolError, PayloadTooBig,
        UnicodeDecodeError ...), or None."""
    @property
    def subprotocol(self) -> str | None:
        """The agreed subprotocol, or None (RFC 6455 §1.9)."""
    @property
    def compression(self) -> PerMessageDeflate | None:
        """The agreed permessage-deflate parameters (RFC 7692 §7.1), None before or
        without it."""
    @property
    def extensions(self) -> list[PerMessageDeflate]:
        """The agreed extensions: ``compression`` or nothing."""
    @property
    def max_size(self) -> int | None:
        """Bytes in a received message after decompression, None for no limit."""

class ServerProtocol(Protocol):
    """The server's end of a connection, without I/O.

    A request that doesn't ask for WebSocket as RFC 6455 §4.2.1 wants it is refused at
    once (handshake_exception), without an event. With ``any_request`` it gives a
    Request event like others, unless its head can't be read: health checks and pages
    are answered with ``respond()``. ``handshake_exception`` is set then, and
    ``accept()``, ``build_response()`` and a 101 raise it.

    Args:
        max_size: bytes in a received message after decompression; None for no limit.
        compression: what to accept of permessage-deflate; None for nothing.
        max_line: bytes in the request's first line.
        max_header_line: bytes in one of its header lines.
        max_head: bytes in all of its head.
        max_headers: number of its header lines.
        any_request: give an event for requests of other kinds, too.

    Raises:
        ValueError: if a limit is out of range.
    """

    def __init__(
        self,
        *,
        max_size: int | None = 1048576,
        compression: PerMessageDeflate | None = None,
        max_line: int = 8192,
        max_header_line: int = 8192,
        max_head: int = 32768,
        max_headers: int = 128,
        any_request: bool = False,
    ) -> None: ...
    def accept(
        self, *, subprotocol: str | None = None, headers: _HeadersLike = ()
    ) -> None:
        """Queue the 101 (RFC 6455 §4.2.2) for the request that ``next_event()`` gave;
        the connection is open then.

        Args:
            subprotocol: one that the request offers, or None.
            headers: more header lines.

        Raises:
            InvalidState: if no request waits for an answer.
            InvalidHandshake: ``handshake_exception``, if there is one.
            ValueError: if the subprotocol wasn't offered, or a header can't be sent.
        """
    def _accept(self, subprotocol: str | None, server: str | None, /) -> Response: ...
    def build_response(
        self, *, subprotocol: str | None = None, headers: _HeadersLike = ()
    ) -> Response:
        """The 101 that ``accept()`` would queue, to be changed and given to
        ``respond()``.

        Args:
            subprotocol: one that the request offers, or None.
            headers: more header lines.

        Raises:
            InvalidState: if no request waits for an answer.
            InvalidHandshake: ``handshake_exception``, if there is one.
            ValueError: if the subprotocol wasn't offered, or a header can't be sent.
        """
    def respond(self, response: Response, /) -> None:
        """Queue any response; status 101 opens the connection, another ends it.

        Args:
            response: it.

        Raises:
            InvalidState: if no request waits for an answer.
            InvalidHandshake: ``handshake_exception``, if there is one and the status is
                101.
            ValueError: if the response can't be sent, a 101 with a subprotocol that
                wasn't offered, for instance.
        """
    def reject(
        self, status: int, body: str | bytes = "", *, headers: _HeadersLike = ()
    ) -> None:
        """Refuse the request with a text (RFC 6455 §4.2.2); that ends the connection.

        Args:
            status: HTTP's status code, but 101.
            body: the text.
            headers: more header lines.

        Raises:
            InvalidState: if no request waits for an answer.
            ValueError: if the status or a header can't be sent.
        """
    @property
    def offered_subprotocols(self) -> list[str]:
        """The subprotocols that the request offers, preferred first (RFC 6455 §4.2.1,
        item 8); none once it is answered."""
    @property
    def origin(self) -> str | None:
        """The request's Origin (RFC 6455 §10.2), or None; None once it is answered."""
    @property
    def refusal(self) -> tuple[int, str] | None:
        """While a request waits that ``handshake_exception`` is about: the status and
        the sentence to refuse it with; else None."""

class ClientProtocol(Protocol):
    """The client's end of a connection, without I/O; its request is queued at once (RFC
    6455 §4.1).

    Args:
        target: what to ask for, a path with a query.
        headers: header lines, Host first; those of the handshake are added.
        subprotocols: what to offer, the preferred one first.
        max_size: bytes in a received message after decompression; None for no limit.
        compression: what to offer of permessage-deflate; None for nothing.
        max_line: bytes in the response's first line.
        max_header_line: bytes in one of its header lines.
        max_head: bytes in all of its head.
        max_headers: number of its header lines.

    Raises:
        ValueError: if a header, a subprotocol or a limit can't be used.
    """

    def __init__(
        self,
        *,
        target: str,
        headers: Sequence[tuple[str, str]],
        subprotocols: Sequence[str] = (),
        max_size: int | None = 1048576,
        compression: PerMessageDeflate | None = None,
        max_line: int = 8192,
        max_header_line: int = 8192,
        max_head: int = 32768,
        max_headers: int = 128,
    ) -> None:
        """Queue the request (RFC 6455 §4.1): `headers` (Host first, extra ones after)
        plus Upgrade, Connection, Sec-WebSocket-Key, -Version, -Extensions and
        -Protocol."""
    @property
    def request(self) -> Request:
        """The request that was queued."""

# asyncio --------------------------------------------------------------------------

@final
class ReceiveBuffer:
    """The memory that all connections of one event loop receive into.

    Args:
        size: in bytes.
    """

    def __new__(cls, size: int = 262144) -> Self: ...

@final
class Timers:
    """The timers of all connections of one event loop; at most one of the loop's own is
    set for them.

    Args:
        loop: it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None: ...
    _handle: asyncio.TimerHandle | None
    def _fired(self) -> None: ...

@final
class Waiter:
    """What a task waits on: asyncio's future protocol, woken in place."""

    _asyncio_future_blocking: bool
    def get_loop(self) -> asyncio.AbstractEventLoop: ...
    def add_done_callback(
        self, callback: Any, /, *, context: Context | None = None
    ) -> None: ...
    def remove_done_callback(self, callback: Any, /) -> int: ...
    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def cancel(self, msg: Any = None) -> bool: ...
    def result(self) -> None: ...
    def exception(self) -> BaseException | None: ...

@final
class Stepper(Coroutine[Any, Any, _T]):
    """The coroutine of a task, which steps another one. The task sleeps on while that
    one waits for nothing but ``Waiter`` objects; whatever else happens in it, the task
    does. Other attributes are the other coroutine's.

    Args:
        coroutine: the other one.
    """

    def __new__(cls, coroutine: Coroutine[Any, Any, _T], /) -> Self: ...
    def __await__(self) -> Self: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any, /) -> Any: ...
    def throw(self, *args: Any) -> Any: ...
    def close(self) -> None: ...

@disjoint_base
class Connection:
    """The hot path of an asyncio connection: a BufferedProtocol, the receive queue, and
    the awaitables of recv() and send(). pywscore.asyncio.Connection derives from it.

    Hooks (methods named ``_on_...``) are called between calls into the core, never in
    the middle of one; they may do anything. An exception in one fails the connection
    with 1011 and is given to the loop's exception handler.

    Args:
        protocol: the connection without I/O.
        loop: the running event loop.
        receive_buffer: the loop's.
        timers: the loop's.
        max_queue: (high, low) in messages, None for no limit.
        write_limit: (high, low) in bytes.
        ping_interval: in seconds, None for never; as the next two.
        ping_timeout: how long a pong may take.
        idle_timeout: how long there may be no message.
        rate_limit: messages and bytes that may come in a second, None for any number;
            seconds of both that may come at once; True to close with 1008 who sends
            more, False to stop reading. None for no limit.
    """

    def __init__(
        self,
        protocol: ServerProtocol | ClientProtocol,
        loop: asyncio.AbstractEventLoop,
        receive_buffer: ReceiveBuffer,
        timers: Timers,
        max_queue: tuple[int, int] | None,
        write_limit: tuple[int, int],
        ping_interval: float | None,
        ping_timeout: float | None,
        idle_timeout: float | None,
        rate_limit: tuple[float | None, float | None, float, bool] | None = None,
    ) -> None:
        """`max_queue` is (high, low) in messages, None for no limit; times are in
        seconds, None for never."""

    protocol: ServerProtocol | ClientProtocol
    """The connection without I/O."""
    loop: asyncio.AbstractEventLoop
    """The event loop that it belongs to."""
    transport: asyncio.Transport
    """asyncio's transport, or the engine's; None before there is one."""
    @property
    def state(self) -> State:
        """CONNECTING, OPEN, CLOSING or CLOSED (RFC 6455 §4.1, §7.1)."""

    # asyncio.BufferedProtocol, called by the transport
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the transport, as what follows: TCP, and TLS on it, is there.

        Args:
            transport: it.
        """
    def get_buffer(self, sizehint: int) -> memoryview:
        """The memory to receive into, for the transport.

        Args:
            sizehint: no matter.
        """
    def buffer_updated(self, nbytes: int) -> None:
        """The transport has received something.

        Args:
            nbytes: how much of the buffer is filled.
        """
    def eof_received(self) -> bool | None:
        """The peer has ended its side; whether ours stays open."""
    def connection_lost(self, exc: Exception | None) -> None:
        """TCP is gone.

        Args:
            exc: why; None if it was closed.
        """
    def pause_writing(self) -> None:
        """The transport has more to send than its high-water mark."""
    def resume_writing(self) -> None:
        """The transport has less to send than its low-water mark."""

    # receiving
    @overload
    async def recv(self, decode: Literal[True]) -> str: ...
    @overload
    async def recv(self, decode: Literal[False]) -> bytes: ...
    @overload
    async def recv(self, decode: bool | None = None) -> str | bytes:
        """Receive the next message: ``str`` for text, ``bytes`` for binary (RFC 6455
        §5.6).

        Cancelling it loses no message.

        Args:
            decode: True for ``str`` also from binary messages, False for ``bytes`` also
                from text messages.

        Returns:
            The message.

        Raises:
            ConnectionClosed: once the connection is closed and all messages were
                received; with ``decode=True`` also if a binary message isn't UTF-8,
                which closes it with 1007.
            ConcurrencyError: if another task receives at the same time.
        """
    def __aiter__(self) -> AsyncIterator[str | bytes]: ...
    def __anext__(self) -> Coroutine[Any, Any, str | bytes]: ...
    def _recv_fragment(self) -> Coroutine[Any, Any, TextMessage | BinaryMessage]:
        """The next fragment of a message (fin tells the last), as recv() would wait for
        a whole one: messages are given out in pieces, as they come, until the current
        one has ended. What recv_streaming() is made of."""
    _by_loop: bool
    """Tasks are not resumed in place, so that the loop's debug mode sees each step."""
    def _start_trace(self) -> None:
        """Have ``_on_frames()`` and ``_on_head_received()`` called from now on."""
    def _listen(self, listener: Any) -> None:
        """Give messages to `listener` from now on; see pywscore.Listener. Exceptions
        that its methods raise go to ``_on_listener_failed(exc)``, and the connection is
        closed with 1011; KeyboardInterrupt and SystemExit leave.

        RuntimeError if somebody receives already, or could have.
        """
    def _end_receiving(self) -> None:
        """From now on, recv() raises ConnectionClosed where it would wait, also the one
        that is waiting: for carriers' interfaces that report a closing connection
        before TCP is gone."""
    def _close_exception(self) -> ConnectionClosed:
        """What recv() and send() raise once the connection is closed:
        protocol.close_exception with the attribute _cause as its __cause__, unless a
        rule that was broken is the cause."""
    # sending
    async def send(
        self,
        message: DataLike | Iterable[DataLike] | AsyncIterable[DataLike],
        text: bool | None = None,
        compress: bool | None = None,
    ) -> None:
        """Send a message: ``str`` as text, bytes-like as binary (RFC 6455 §5.6), an
        iterable or asynchronous iterable of either as fragments (RFC 6455 §5.4).

        Waits while output is above the high-water mark of ``write_limit``.

        Args:
            message: it, or its fragments.
            text: True for a text message of UTF-8 bytes, False for a binary message of
                an encoded ``str``.
            compress: True or False overrides the threshold of the compression that was
                agreed (RFC 7692 §6).

        Raises:
            ConnectionClosed: if the connection isn't open.
            TypeError: for messages of other types.
            UnicodeError: if a text message isn't UTF-8 (RFC 6455 §8.1).
        """
    def send_nowait(
        self,
        message: str | _Bytes,
        *,
        text: bool | None = None,
        compress: bool | None = None,
    ) -> bool:
        """Queue a message at once (RFC 6455 §5.6).

        Args:
            message: ``str`` for text, bytes-like for binary.
            text: True for a text message of UTF-8 bytes, False for a binary message of
                an encoded ``str``.
            compress: True or False overrides the threshold of the compression that was
                agreed (RFC 7692 §6).

        Returns:
            Whether output isn't above the high-water mark of ``write_limit``. Who goes
            on otherwise has to bound what is queued; ``drain()``, or ``on_drained`` of
            a listener, says when there is room again.

        Raises:
            ConnectionClosed: if the connection isn't open.
            ConcurrencyError: while a message is sent in fragments.
            TypeError: for messages of other types.
            UnicodeError: if a text message isn't UTF-8 (RFC 6455 §8.1).
            RuntimeError: in another thread than the loop's.
        """
    async def drain(self) -> None:
        """Wait until output is below the low-water mark of ``write_limit``, if it was
        above the high one.

        Raises:
            ConnectionClosed: if the connection ends before.
        """
    def flush(self) -> None:
        """Hand what is queued to the transport; while messages are taken, once they
        are.

        Raises:
            RuntimeError: in another thread than the loop's.
        """
    def _check_thread(self) -> None:
        """RuntimeError outside of the loop's thread."""
    @property
    def write_paused(self) -> bool:
        """Output went above the high-water mark of ``write_limit`` and isn't below the
        low one yet."""
    @property
    def read_paused(self) -> bool:
        """Reading stopped because more messages wait than ``max_queue`` allows."""
    @property
    def messages_queued(self) -> int:
        """Messages received and not taken yet."""
    @property
    def messages_received(self) -> int:
        """Whole messages received so far."""
    @property
    def messages_sent(self) -> int:
        """Whole messages queued for sending so far."""
    @property
    def broadcasts_skipped(self) -> int:
        """Messages that ``broadcast()`` left out because this peer reads too slowly."""
    @property
    def _traffic(self) -> tuple[int, int, int, int, int, int, int, int, int]:
        """So far: messages received and sent; bytes received and sent; payload bytes
        received compressed, and what became of them; payload bytes sent compressed, and
        what they were before. And bytes that wait to be sent."""
    def _add_traffic(self, totals: list[int], /) -> None:
        """Add all but the queues to totals, which are those of ``Traffic``."""
    _fragmented_send: Any
    """Set by _send_slow to a Future while a fragmented message is being sent; then
    send() goes through _send_slow too. None otherwise."""

    # deadlines: tell them what happened
    def _opens_by(self, at: float | None, /) -> None:
        """The opening handshake has to end at `at` on the loop's clock."""
    def _has_opened(self) -> None:
        """The opening handshake ended well."""
    def _is_alive(self, latency: float, /) -> None:
        """The pong that answers our last keepalive ping came after `latency` s."""
    def _closes_within(self, seconds: float | None, /) -> None:
        """From now on only the end of TCP is awaited, for so long after the peer took
        some of our output last. Said twice, the shorter time counts."""
    def _untaken(self) -> int:
        """Bytes of output that the peer's system has not acknowledged, as far as ours
        tells."""
    @property
    def _keepalive(self) -> bool:
        """Keepalive pings are to be sent or answered."""

    # hooks for the subclass
    def _on_request(self, request: Request) -> None: ...
    def _on_response(self, response: Response) -> None: ...
    def _on_handshake_failed(self, exc: Exception) -> None: ...
    def _on_ping(self, data: bytes) -> None:
        """Called only if a subclass defines it (the pong is queued already)."""
    def _on_pong(self, data: bytes) -> None: ...
    def _on_head_received(self, head: Request | Response) -> None:
        """Only if it is traced, before ``_on_request`` and ``_on_response``."""
    def _on_frames(
        self, frames: list[tuple[bool, int, bool, int, bytes]], omitted: int
    ) -> None:
        """Only if it is traced: frames went in or out, or there is a new state.

        ``frames`` are (sent, opcode, fin, length, payload), the payload before
        compression and masking; of one above 300 bytes the first 200 and the last 100.
        ``omitted`` counts those that there was no memory for."""
    def _on_close_received(self) -> None:
        """The peer's close frame came, and it is not answered here; see close_by_hand
        of MessageStream."""
    def _on_closing(self) -> None:
        """The state left OPEN: a close frame was sent or received, or we failed. Called
        once more when protocol.close_expected turns true later than that. Output is
        flushed by then."""
    def _on_listener_failed(self, exc: BaseException) -> None: ...
    def _on_lost(self, exc: Exception | None) -> None:
        """TCP is gone; waiting recv() and send() have been woken with
        protocol.close_exception."""
    def _on_open_timeout(self) -> None: ...
    def _send_keepalive_ping(self) -> None: ...
    def _start_close(self, code: int, reason: str) -> None:
        """Of the idle timeout."""
    def _on_no_pong(self) -> None:
        """The keepalive ping was not answered in time."""
    def _abort(self, why: str) -> None:
        """Closing, or what waits to be sent, took too long."""
    def _on_output_taken(self) -> None:
        """While closing: a look found that the peer's system has all our output. Called
        more than once."""
    async def _undecodable(self, exc: UnicodeDecodeError) -> NoReturn:
        """recv(decode=True) got a binary message that isn't UTF-8."""
    async def _send_slow(
        self, message: Any, text: bool | None, compress: bool | None
    ) -> None: ...

def broadcast(
    connections: Iterable[Connection],
    message: str | _Bytes,
    text: bool | None,
    compress: bool | None,
    close_slow: bool,
    report_slow: bool,
    hold: bool,
    /,
) -> list[tuple[Connection, Exception | None]] | None:
    """What ``pywscore.broadcast()`` is made of: send a message to those of the
    connections that are open. Those above their high-water mark are left out and
    counted.

    Args:
        connections: all of this thread's loop.
        message: it.
        text: as of ``send()``.
        compress: as of ``send()``.
        close_slow: close those that are left out, with 1008.
        report_slow: mention them in what is returned.
        hold: it is to leave with what is sent next.

    Returns:
        What went wrong with which connection, None if nothing did; None for the
            exception
        says that it was left out.

    Raises:
        RuntimeError: for a connection of another thread.
        TypeError: for something else than a connection.
    """

@disjoint_base
class MessageStream:
    """Another library's interface over a connection: what is done per message.

    A subclass opens it with _open_stream(), and has these coroutine methods for all
    that is unusual: ``_receive_slow(timeout=None)`` and ``_next_slow()`` while the
    stream isn't open, is closing or closed, has a receive() waiting, or with limits of
    time; ``_receive_end()`` and ``_next_end()`` once the connection has ended and all
    messages were received, to give the last one or to raise; ``_send_str_slow(...)``
    and ``_send_bytes_slow(...)`` with arguments other than one message of the right
    type; ``_send_lost()``, to raise, when the connection was lost while a message
    waited for room.
    """

    _connection: Any
    """The Connection, None before _open_stream()."""
    _waiting: bool
    """A receive() has begun and not ended."""
    _closed: bool
    _closing: bool
    _released: Callable[[], object] | None
    """Called, once, when the receive() that waits ends, however it ends."""
    def _open_stream(
        self,
        connection: Connection,
        format: tuple[Any, ...],
        *,
        direct_receive: bool,
        direct_next: bool,
        control_messages: bool,
        close_by_hand: bool,
        max_queue_bytes: int,
        max_plain_size: int | None,
    ) -> None:
        """Go over ``connection``, which is past its handshake and has received no
        message.

        format: (type of text messages, kind of text, type of binary messages, kind of
            binary, extra, whether text is decoded, kind of pings, kind of pongs);
            messages are made as ``tuple.__new__(type, (kind, data, extra))``.
        direct_receive: receive() without a timeout needs no _receive_slow().
        direct_next: the same for iteration.
        control_messages: pings and pongs are received as messages in their place, and
            no ping is answered.
        close_by_hand: the peer's close frame ends receiving, but isn't answered; until
            protocol.send_close() the state stays OPEN.
        max_queue_bytes: reading stops while messages of this size, with 128 bytes for
            each, wait; 0 for no such limit.
        max_plain_size: limit of uncompressed messages in bytes, None for the
            protocol's."""
    def _make_message(self, data: str | bytes) -> Any: ...
    def _end_waiting(self) -> None:
        """A receive() of _receive_slow() has ended."""
    async def receive(self, timeout: float | None = None) -> Any:
        """Wait for a message. Cancelling it loses none.

        Args:
            timeout: in seconds; by default the receive timeout of the object.

        Returns:
            A message as aiohttp's; of type CLOSE, CLOSING, CLOSED or ERROR when the
                connection
            ends.

        Raises:
            TimeoutError: after ``timeout``; the connection stays open.
            RuntimeError: before ``prepare()``, and while another task receives.
        """
    async def send_str(self, data: str, compress: int | None = None) -> None:
        """Send a text message (RFC 6455 §5.6). Waits while much output waits.

        Args:
            data: the message.
            compress: False sends it uncompressed, a number above 0 compressed, if
                compression was agreed on; by default as agreed (RFC 7692 §6).

        Raises:
            ClientConnectionResetError: if the connection is closing or lost.
            RuntimeError: before ``prepare()``.
            TypeError: if ``data`` isn't ``str``.
        """
    async def send_bytes(self, data: _Bytes, compress: int | None = None) -> None:
        """Send a binary message (RFC 6455 §5.6); see ``send_str()``.

        Args:
            data: ``bytes``, a ``bytearray`` or a ``memoryview``.
            compress: as of ``send_str()``.

        Raises:
            ClientConnectionResetError: if the connection is closing or lost.
            RuntimeError: before ``prepare()``.
            TypeError: if ``data`` is something else.
        """
    def __aiter__(self) -> AsyncIterator[Any]: ...
    def __anext__(self) -> Coroutine[Any, Any, Any]: ...

# The engine (Linux, macOS, FreeBSD) ---------------------------------------------

@disjoint_base
class Engine:
    """Sockets in C, watched by an event loop as one descriptor.

    Args:
        loop: it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None: ...
    def fileno(self) -> int:
        """What the loop watches for reading, with ``ready()`` as its callback."""
    def ready(self) -> None:
        """Handle what is ready."""
    def listen(
        self, fd: int, accepted: Callable[[int, int], object], /
    ) -> EngineAcceptor:
        """Accept from a listening socket, which stays the caller's.

        Args:
            fd: the socket.
            accepted: called with a descriptor and 0, or with -1 and an errno when there
                are no resources.
        """
    def forget(self) -> None:
        """In a child after ``fork()``: what is shared with the parent isn't touched."""

@final
class EngineAcceptor:
    def accept(self, on: bool, /) -> None:
        """Stop or go on accepting.

        Args:
            on: go on.
        """
    def close(self) -> None:
        """Stop for good; the socket stays the caller's."""

@final
class TLSContext:
    """OpenSSL's settings. Once connections use them nothing but ``add_name()`` may be
    called, by any thread. ValueError says what is wrong with an argument.

    Args:
        server: for a server's connections.
    """

    def __new__(cls, server: bool) -> Self: ...
    def certificate(
        self, chain_file: bytes, key_file: bytes, password: str | None, /
    ) -> None: ...
    def trust(self, file: str | None, folder: str | None, /) -> None: ...
    def ciphers(self, ciphers: str, /) -> None: ...
    def verify(self, verify: int, check_hostname: bool, /) -> None: ...
    def only_1_3(self) -> None: ...
    def add_name(self, name: str, other: TLSContext, /) -> None: ...

@final
class Histogram:
    """Durations in whole nanoseconds, with three significant digits and a bounded size:
    below 2048 a value has a bucket of its own, above it shares one whose width is at
    most 1/1024 of it.
    """

    def __new__(cls) -> Self: ...
    count: int
    """How many there are."""
    min: int
    """The smallest one, exact; 0 if there is none."""
    max: int
    """The largest one, exact; 0 if there is none."""
    @property
    def mean(self) -> float:
        """Of all, exact; 0 if there is none."""
    def add(self, value: int, /) -> None:
        """Count a duration.

        Args:
            value: in nanoseconds.

        Raises:
            OverflowError: if it is negative, or has more than 64 bits.
        """
    def merge(self, other: Histogram, /) -> None:
        """Count all that another one has counted.

        Args:
            other: it.
        """
    def percentile(self, percent: float, /) -> int:
        """The duration that so many do not pass: the nearest rank, and the largest
        value of its bucket.

        Args:
            percent: 0 to 100.

        Raises:
            ValueError: if it isn't.
        """

@final
class Load:
    """A load on a server from one thread: csrc/include/wsc/load.h, which explains what
    the arguments do. Times are in seconds.

    Args:
        address: in digits.
        port: of TCP.
        target: of the request; ``{room}`` and ``{connection}`` are replaced.
        payload: of each message.
        tls: its settings, or None.
        server_name: for TLS.
        headers: of the request, Host among them.
        subprotocols: to offer.
        compression: whether permessage-deflate is offered.
        text: whether messages are text, not binary.
        connections: how many.
        first_room: the number of the first room.
        room_size: connections in a room; ``connections`` is a multiple.
        depth: messages of a room that are on their way at most.
        rate: messages a second; 0 for a closed loop.
        messages: to be sent; 0 for any number.
        duration: of sending; 0 for any.
        ramp: connections that are opened a second; 0 for any number.
        opening_max: connections that are opened at the same time at most.
        timeout: to open a connection, and to be answered.
        handshakes: open and drop connections in the place of sending.
        spin: don't sleep.
        max_size: bytes of a message that is received, at most.

    Raises:
        ValueError: if an argument is out of range.
        OSError: if the system has no descriptors left.
    """

    def __new__(
        cls,
        *,
        address: bytes,
        port: int,
        target: bytes,
        payload: bytes,
        tls: TLSContext | None,
        server_name: bytes,
        headers: tuple[tuple[bytes, bytes], ...],
        subprotocols: tuple[bytes, ...],
        compression: bool,
        text: bool,
        connections: int,
        first_room: int,
        room_size: int,
        depth: int,
        rate: float,
        messages: int,
        duration: float,
        ramp: float,
        opening_max: int,
        timeout: float,
        handshakes: bool,
        spin: bool,
        max_size: int,
    ) -> Self: ...
    def run(self, seconds: float, /) -> int:
        """Work for some time, or until a phase has ended, without the GIL. The phase
        is 0 while connections open, 1 when they are ready for ``start()``, 2 running, 3
        waiting for what is on its way, 4 closing, 5 over.

        Args:
            seconds: for how long at most.

        Raises:
            RuntimeError: in this and all other methods, if another thread runs it.
        """
    def start(self) -> None:
        """In phase 1: begin to send, from now on."""
    def stop(self) -> None:
        """Before its time: send no more, close the connections."""
    def figures(self) -> dict[str, int]:
        """What was counted, by the names of ``struct wsc_load_figures``; moments are
        nanoseconds of ``time.monotonic_ns()``.
        """
    def faults(self) -> list[tuple[int, int, int, bytes]]:
        """Why connections failed: kind and number as in ``enum wsc_load_fault_kind``,
        how many, and a text, perhaps the peer's.
        """
    def latencies(self) -> Histogram:
        """A copy: from when messages were sent, or with ``rate`` were to be sent, until
        they were received.
        """
    def openings(self) -> Histogram:
        """A copy: of opening a connection."""

@disjoint_base
class EngineTransport:
    """A connected socket as the transport of a connection, with the methods of
    ``asyncio.Transport``. It owns ``fd``, unless OSError is raised.

    Args:
        engine: the loop's.
        fd: the socket.
        connection: whose it is.
        tls: settings, None for plain TCP.
        server_hostname: what to ask the server for, and to look for in its certificate.
    """

    def __init__(
        self,
        engine: Engine,
        fd: int,
        connection: Connection,
        tls: TLSContext
        | tuple[ssl.SSLObject, Any, ssl.SSLContext, ssl.MemoryBIO, ssl.MemoryBIO]
        | None = None,
        server_hostname: str | None = None,
    ) -> None: ...
    def _tls_info(
        self,
    ) -> tuple[str, str, int, str | None, bool, bytes, bool] | None: ...
    _socket: socket.socket | None
    """Borrows the descriptor: the method ``_detach()`` has to detach it. That is called
    before the end, too, of what isn't an Internet socket's."""
    def _expect_proxy_header(self) -> None: ...
    def _received(self) -> None: ...
    def _ssl_object(self) -> tuple[ssl.SSLObject, ssl.SSLContext] | None:
        """With its context, once the handshake is done."""
    def fileno(self) -> int: ...
    def _address(self, peer: bool, /) -> bytes:
        """The socket's address as a struct sockaddr, also after its end; empty for what
        isn't an Internet socket's."""
    def write(self, data: _Bytes, /) -> None: ...
    def write_eof(self) -> None: ...
    def can_write_eof(self) -> bool: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool: ...
    def is_reading(self) -> bool: ...
    def get_protocol(self) -> Any:
        """The connection; None after its end."""
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def get_write_buffer_limits(self) -> tuple[int, int]: ...
    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None: ...
