"""The TLS of asyncio's own transports, for the engine to go on with.

Checked with CPython 3.11 to 3.13. Names that aren't public are used in this file only;
where one is missing, or means something else, nothing is found, and the transport
stays as it is.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from asyncio import selector_events, sslproto
from typing import Any, NamedTuple

__all__ = ["LoopsTLS", "forget", "of_transport", "reads"]

_selector: Any = selector_events
_sslproto: Any = sslproto
# What came and isn't decrypted may be as much, in bytes: the engine decrypts that
# together with what it receives next.
_INCOMING = 1 << 16
# Where an SSLProtocol reads from its SSLObject.
_READS = ("_do_read__copied", "_do_read__buffered")


class LoopsTLS(NamedTuple):
    """What an SSLProtocol of asyncio's drives."""

    made: ssl.SSLObject
    context: ssl.SSLContext
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO


def of_transport(transport: asyncio.BaseTransport) -> LoopsTLS | None:
    """TLS of ``transport``, if it is open and all that was sent is the kernel's."""
    try:
        return _found(transport)
    except AttributeError:
        return None


def _found(transport: Any) -> LoopsTLS | None:
    if type(transport) is not _sslproto._SSLProtocolTransport:
        return None
    protocol = transport._ssl_protocol
    if type(protocol) is not _sslproto.SSLProtocol:
        return None
    lower = protocol._transport
    made, context = protocol._sslobj, protocol._sslcontext
    incoming, outgoing = protocol._incoming, protocol._outgoing
    fits = (
        type(lower) is _selector._SelectorSocketTransport
        and not lower.is_closing()
        and lower.get_write_buffer_size() == 0
        and protocol._state is _sslproto.SSLProtocolState.WRAPPED
        and not protocol._write_backlog
        and isinstance(made, ssl.SSLObject)
        and isinstance(context, ssl.SSLContext)
        and type(incoming) is type(outgoing) is ssl.MemoryBIO
        and incoming.pending <= _INCOMING
        and outgoing.pending == 0
        and type(protocol._extra) is dict
        and hasattr(protocol, "_ssl_buffer")
        and hasattr(protocol, "_ssl_buffer_view")
        and all(hasattr(protocol, name) for name in _READS)
        and not reads(transport)
    )
    return LoopsTLS(made, context, incoming, outgoing) if fits else None


def reads(transport: Any) -> bool:
    """Is this code that a read of ``transport``'s TLS runs: of a subclass of SSLObject,
    or of a loop inside of that? What is read goes to the protocol that it has then."""
    protocol = getattr(transport, "_ssl_protocol", None)
    frame = None if protocol is None else sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name in _READS and frame.f_locals.get("self") is protocol:
            return True
        frame = frame.f_back
    return False


def forget(transport: Any) -> None:
    """Let ``transport``, whose TLS and socket others have now, end without them.

    It reads what is to be sent when it has ended, and keeps 256 KiB for what comes as
    long as anybody refers to it.
    """
    protocol = transport._ssl_protocol
    for name in ("socket", "sockname", "peername"):  # asked of the one below, till now
        protocol._extra[name] = transport.get_extra_info(name)
    protocol._incoming = protocol._outgoing = ssl.MemoryBIO()
    protocol._ssl_buffer = bytearray()
    protocol._ssl_buffer_view = memoryview(protocol._ssl_buffer)
