"""What TLS agreed on is what has to be spoken (RFC 7301 §3.2), and that is HTTP/1.1."""

from __future__ import annotations

import asyncio

__all__ = ["other_protocol"]


def other_protocol(transport: asyncio.BaseTransport) -> str | None:
    """The protocol that TLS agreed on by ALPN, ``h2`` for instance, if it is another
    than ``http/1.1``. Only an ``ssl.SSLContext`` that was told to offers others."""
    tls = transport.get_extra_info("ssl_object")
    agreed: str | None = None if tls is None else tls.selected_alpn_protocol()
    return None if agreed == "http/1.1" else agreed
