"""The scripts, and how one is run."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from .._pipeline import Calls

__all__ = ["run", "script"]


@functools.cache
def script(name: str) -> tuple[str, str]:
    """Its text, and the digest by which Redis knows it."""
    import hashlib

    source = (files(__package__) / "lua" / f"{name}.lua").read_text(encoding="utf-8")
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


async def run(
    calls: Calls, name: str, keys: Sequence[str | bytes], arguments: Sequence[Any]
) -> Any:
    """Its answer. A server that doesn't know it yet is told the text."""
    source, digest = script(name)
    try:
        return await calls.call("EVALSHA", digest, len(keys), *keys, *arguments)
    except NoScriptError:
        return await calls.call("EVAL", source, len(keys), *keys, *arguments)
