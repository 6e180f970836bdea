"""Coroutine functions as tests: each in a loop of its own, that nothing is left in."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable
from typing import Any

import pytest

TEST_TIMEOUT = float(os.environ.get("PYWSCORE_TEST_TIMEOUT", "30"))  # seconds

Loops = Callable[[], asyncio.AbstractEventLoop]


def run(
    item: pytest.Function, loop_factory: Loops = asyncio.new_event_loop
) -> bool | None:
    """For ``pytest_pyfunc_call``: True if it was one, and has passed."""
    if not inspect.iscoroutinefunction(item.obj):
        return None
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    problems: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(context))
        async with asyncio.timeout(TEST_TIMEOUT):
            await item.obj(**arguments)
        # What ended has to be gone: no task stays behind (that closes an async
        # generator takes a moment).
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            _, left = await asyncio.wait(left, timeout=1)
        assert not left, left

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert not problems, problems
    return True
