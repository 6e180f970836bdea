"""Echo servers as the documentation of each library writes them, one module a library.

Each has ``async def serve(compression: bool) -> int``, which listens on a free port of
the loopback interface and returns it. Those that do TLS take ``tls: Path | None`` too,
a folder with ``certificate.pem`` and ``key.pem``. Run by ``python -m
pywscore.cli._bench.servers MODULE``.
"""

from __future__ import annotations

import ssl
from pathlib import Path


def ssl_context(tls: Path | None) -> ssl.SSLContext | None:
    """As the ssl module has it by default."""
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "certificate.pem", tls / "key.pem")
    return context
