"""What ``connect("wss://…")`` trusts without ``ssl``."""

from __future__ import annotations

import os
import ssl
from typing import Any

__all__ = ["default_context"]

# What ``ssl.create_default_context()`` looks at.
_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")

_made: tuple[tuple[Any, ...], ssl.SSLContext] | None = None


def default_context() -> ssl.SSLContext:
    """``ssl.create_default_context()``, which takes 28 ms to read 144 authorities: the
    same one again, as long as it would read the same ones."""
    global _made
    known = _made
    basis = _basis()
    if known is None or known[0] != basis:
        known = _made = basis, ssl.create_default_context()
    return known[1]


def _basis() -> tuple[Any, ...]:
    """All that it depends on. Others may have put something in the place of Python's
    functions, as ``truststore`` does."""
    paths = ssl.get_default_verify_paths()
    return (
        ssl.create_default_context,
        ssl.SSLContext,
        *map(os.environ.get, _VARIABLES),
        *map(_state, (paths.cafile, paths.capath)),
    )


def _state(path: str | None) -> tuple[int, ...] | None:
    try:
        found = os.stat(path or "")
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
