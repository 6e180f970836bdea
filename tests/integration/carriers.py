"""What is below both drop-ins in their tests: a loop, and TLS or none.

Clients that a test opens without more ado, of websockets and pywscore, trust what
``over()`` serves with.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from nesting import NestingLoop
from tls_peer import Files

from pywscore import _core

LOOPS: dict[str, Any] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": pytest.importorskip("uvloop").new_event_loop,
    "nesting": NestingLoop,
}
needs_engine = pytest.mark.skipif(
    not hasattr(_core, "Engine"), reason="there is no engine on this system"
)
# All that carries a drop-in's TLS, not only asyncio's loop, whose TLS the engine takes.
EVERY = "PYWSCORE_DROP_INS_TLS" in os.environ

_by_tls: ContextVar[bool] = ContextVar("by_tls", default=False)


@functools.cache
def files() -> Files:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Files(Path(folder.name), "SSLContext")


@contextlib.contextmanager
def over(tls: bool) -> Iterator[None]:
    """Servers and clients of the rigs are over TLS, or plain."""
    trusted = {"SSL_CERT_FILE": str(files().ca)} if tls else {}
    token = _by_tls.set(tls)
    try:
        with mock.patch.dict(os.environ, trusted):
            yield
    finally:
        _by_tls.reset(token)


def by_tls() -> bool:
    return _by_tls.get()


def server_tls() -> ssl.SSLContext | None:
    return files().python_server() if by_tls() else None


def client_tls() -> dict[str, Any]:
    """Arguments of ``asyncio.open_connection()``."""
    if not by_tls():
        return {}
    return {"ssl": files().python_client(), "server_hostname": "localhost"}


def uri(scheme: str, port: int) -> str:
    """With ``scheme`` of a plain connection."""
    if by_tls():
        return f"{scheme}s://localhost:{port}"
    return f"{scheme}://127.0.0.1:{port}"


def _over(*tls: bool) -> list[Any]:
    ids = ["tls" if each else "plain" for each in tls]
    return [
        pytest.mark.usefixtures("carried"),
        pytest.mark.parametrize("carried", tls, ids=ids, indirect=True),
    ]


# Of a module with tests that are run plain, and over TLS.
by_both = _over(False, True)
# Where TLS makes little difference, and there are many.
by_every = _over(False, True) if EVERY else _over(False)
