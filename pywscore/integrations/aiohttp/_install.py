"""The part of ``pywscore.install()`` that is aiohttp's."""

from __future__ import annotations

import sys
from typing import Any

import aiohttp
import aiohttp.web
import aiohttp.web_ws

from . import WebSocketReady, WebSocketResponse, ws_connect

_REPLACED: list[tuple[Any, str, object]] = [
    (aiohttp.web, "WebSocketResponse", WebSocketResponse),
    (aiohttp.web, "WebSocketReady", WebSocketReady),
    (aiohttp.web_ws, "WebSocketResponse", WebSocketResponse),
    (aiohttp.web_ws, "WebSocketReady", WebSocketReady),
    (aiohttp.ClientSession, "ws_connect", ws_connect),
]

_originals: list[tuple[Any, str, object]] = []


def install() -> None:
    """Raises:
    RuntimeError: if others have imported aiohttp's class.
    """
    if _originals:
        return
    users = _users_of(aiohttp.web.WebSocketResponse)
    if users:
        raise RuntimeError(
            f"aiohttp's WebSocketResponse is imported already, by {', '.join(users)}: "
            "call pywscore.install() before, in the program's first lines"
        )
    for owner, name, ours in _REPLACED:
        _originals.append((owner, name, getattr(owner, name)))
        setattr(owner, name, ours)


def uninstall() -> None:
    """Put back what was there."""
    for owner, name, original in _originals:
        setattr(owner, name, original)
    _originals.clear()


def _users_of(original: object) -> list[str]:
    """The modules that have it as a name of their own."""
    return sorted(
        name
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] not in ("aiohttp", "pywscore")
        and any(value is original for value in list(vars(module).values()))
    )
