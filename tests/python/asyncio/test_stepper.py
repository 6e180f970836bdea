"""The task of a handler, which isn't woken for every message, against asyncio's own.

What a handler does is written down by itself, once as the coroutine of an ordinary task
and once stepped by ``_core.Stepper``: both have to read the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import inspect
import random
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pywscore import _core

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


async def settle(ends: Any) -> None:
    """What the client has sent has arrived, and whoever waited for it has gone on."""
    await (await ends.client.ping())
    for _ in range(5):
        await asyncio.sleep(0)


class Script:
    """A handler that does what it is told, and what it went through."""

    def __init__(self, ws: Any, actions: list[str]) -> None:
        self.ws = ws
        self.actions = actions
        self.trace: list[Any] = []
        self.futures: list[asyncio.Future[Any]] = []
        self.timeout: asyncio.Timeout | None = None

    async def handler(self) -> str:
        task = asyncio.current_task()
        assert task is not None
        for number, action in enumerate(self.actions):
            variable.set(number)
            try:
                result = await getattr(self, action)(task)
            except asyncio.CancelledError as exc:
                self.trace.append((action, "cancelled", exc.args, task.cancelling()))
                if task.uncancel() > 0 or number % 5 == 4:
                    raise
            except TimeoutError:
                self.trace.append((action, "timeout", task.cancelling()))
            else:
                if action == "leave":
                    return "left"
                self.trace.append((action, result))
            assert asyncio.current_task() is task
            assert variable.get() == number
        return "ended"

    async def receive(self, task: Any) -> Any:
        return await self.ws.recv()

    async def iterate(self, task: Any) -> Any:
        async for message in self.ws:
            return message
        return None

    async def receive_in_time(self, task: Any) -> Any:
        async with asyncio.timeout(None) as self.timeout:
            return await self.ws.recv()

    async def send(self, task: Any) -> Any:
        await self.ws.send("from the handler")

    async def turn(self, task: Any) -> Any:
        await asyncio.sleep(0)

    async def future(self, task: Any) -> Any:
        self.futures.append(asyncio.get_running_loop().create_future())
        return await self.futures[-1]

    async def done_future(self, task: Any) -> Any:
        future = task.get_loop().create_future()
        future.set_result("done")
        return await future

    async def child(self, task: Any) -> Any:
        async def child() -> Any:
            try:
                assert asyncio.current_task() is not task
                return await self.future(None), variable.get()
            except asyncio.CancelledError as exc:
                self.trace.append(("child", exc.args))
                raise

        return await asyncio.create_task(child())

    async def stubborn_child(self, task: Any) -> Any:
        async def child() -> Any:
            try:
                return await self.future(None)
            except asyncio.CancelledError:
                return "not cancelled"

        return await asyncio.create_task(child())

    async def group(self, task: Any) -> Any:
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(self.ws.recv())
            group.create_task(asyncio.sleep(0))
        return receiving.result()

    async def cancel(self, task: Any) -> Any:
        return task.cancel("by itself")

    async def cancel_and_take_back(self, task: Any) -> Any:
        return task.cancel(), task.uncancel()

    async def fail(self, task: Any) -> Any:
        raise ValueError("failed")

    async def leave(self, task: Any) -> Any:
        return None


async def play(
    pair: Any, actions: list[str], events: str, run: Callable[[Any], Any]
) -> Any:
    """The trace of a script, and how its task ended."""
    async with pair() as ends:
        script = Script(ends.server, actions)
        task = asyncio.get_running_loop().create_task(run(script.handler()))
        sent = 0
        for event in events:
            await settle(ends)
            if event == "m":
                await ends.client.send(str(sent))
                sent += 1
            elif event == "c":
                script.trace.append(task.cancel("from outside"))
            elif event == "C":  # before the loop sees the message
                ends.client.send_nowait(str(sent))
                sent += 1
                script.trace.append(task.cancel())
            elif event == "t":
                if script.timeout is not None and not task.done():
                    with contextlib.suppress(RuntimeError):  # it is over
                        script.timeout.reschedule(0)
            elif script.futures and not script.futures[-1].done():
                script.futures[-1].set_result("set")
        await settle(ends)
        waits = not task.done()
        while not task.done():
            task.cancel()
            await settle(ends)
        if task.cancelled():
            outcome: Any = "cancelled"
        elif (exc := task.exception()) is not None:
            outcome = type(exc), exc.args
        else:
            outcome = task.result()
        await ends.client.send("end")
        left = []
        while (message := await ends.server.recv()) != "end":
            left.append(message)
        return script.trace, left, waits, outcome


def itself(coroutine: Any) -> Any:
    return coroutine


async def compare(pair: Any, actions: list[str], events: str) -> None:
    expected = await play(pair, actions, events, itself)
    assert await play(pair, actions, events, _core.Stepper) == expected


NEXT = [
    "receive",
    "iterate",
    "receive_in_time",
    "send",
    "turn",
    "future",
    "done_future",
    "child",
    "stubborn_child",
    "group",
    "cancel",
    "cancel_and_take_back",
    "fail",
    "leave",
]


@pytest.mark.threat("LIF-7")
@pytest.mark.parametrize("action", NEXT)
@pytest.mark.parametrize("before", ["receive", "cancel", "cancel_and_take_back"])
async def test_what_follows_a_message(pair: Any, before: str, action: str) -> None:
    """In the step that the message causes, of which the task doesn't know."""
    for events in ("mmfmm", "mcmfm", "mCmcm", "mtCf"):
        await compare(pair, ["receive", before, action, "receive", "turn"], events)


@pytest.mark.threat("LIF-7")
@pytest.mark.parametrize("seed", range(12))
async def test_random_scripts(pair: Any, seed: int) -> None:
    chosen = random.Random(seed)
    for _ in range(4):
        actions = chosen.choices(NEXT[:-2], k=12)
        for place in range(0, 12, 2):
            actions[place] = chosen.choice(["receive", actions[place]])
        events = "".join(chosen.choices("mmmftcC", k=10))
        await compare(pair, actions, events)


@pytest.mark.threat("LIF-7")
async def test_cancelled_when_its_message_is_there(
    serve: Any, raw_client: Any, uri_of: Any
) -> None:
    """By another handler, whose message came first in the same turn of the loop."""
    tasks: dict[str, asyncio.Task[Any]] = {}
    seen: list[str] = []

    async def handler(ws: Any) -> None:
        path = ws.request.path
        task = tasks[path] = asyncio.current_task()  # type: ignore[assignment]
        while True:
            try:
                message = await ws.recv()
            except asyncio.CancelledError:
                seen.append(path + " cancelled")
                task.uncancel()
            else:
                seen.append(path + " " + message)
                if message == "cancel":
                    tasks["/b" if path == "/a" else "/a"].cancel()

    async with (
        serve(handler, "127.0.0.1", 0) as server,
        raw_client(server, "/a") as a,
        raw_client(server, "/b") as b,
    ):
        for first, second in ((a, b), (b, a)):
            seen.clear()
            first.send_frame(1, b"cancel")
            second.send_frame(1, b"x")
            while len(seen) < 3:
                await asyncio.sleep(0)
            one, other = ("/a", "/b") if first is a else ("/b", "/a")
            assert sorted(seen) == sorted(
                [one + " cancel", other + " cancelled", other + " x"]
            )


async def test_coroutine_is_seen(pair: Any) -> None:
    """By debuggers, by anyio, and by whoever prints tasks."""
    async with pair() as ends:

        async def handler() -> None:
            coroutine: Any = asyncio.current_task().get_coro()  # type: ignore[union-attr]
            for _ in range(2):
                states.append(inspect.getcoroutinestate(coroutine))
                await ends.server.recv()

        states: list[str] = []
        stepper: Any = _core.Stepper(handler())
        assert inspect.getcoroutinestate(stepper) == inspect.CORO_CREATED
        task = asyncio.create_task(stepper)
        await settle(ends)
        await ends.client.send("")
        await settle(ends)
        assert inspect.getcoroutinestate(stepper) == inspect.CORO_SUSPENDED
        assert stepper.__qualname__.endswith("handler") and "handler" in repr(task)
        assert [frame.f_code.co_name for frame in task.get_stack()] == ["handler"]
        await ends.client.send("")
        await task
        assert inspect.getcoroutinestate(stepper) == inspect.CORO_CLOSED
        assert states == [inspect.CORO_RUNNING] * 2
        with pytest.raises(AttributeError, match="no_such_name"):
            _ = stepper.no_such_name


async def test_coroutine_by_hand(pair: Any) -> None:
    """Without a task it is a coroutine as any other."""
    async with pair() as ends:
        steps: list[Any] = []

        async def handler() -> str:
            try:
                await ends.server.recv()
            except ZeroDivisionError as exc:
                steps.append(exc)
            stepped = _core.Stepper(inner())
            return await stepped + await ends.server.recv()

        async def inner() -> str:
            with pytest.raises(ValueError, match="already executing"):
                stepper.send(None)
            with pytest.raises(ValueError, match="already executing"):
                stepper.throw(KeyError())
            with pytest.raises(ValueError, match="already executing"):
                stepper.close()
            return "inner "

        stepper: Any = _core.Stepper(handler())
        waiting = stepper.send(None)
        assert not waiting.done()
        await ends.client.send("message")
        stepper.throw(ZeroDivisionError())
        while True:
            await settle(ends)
            try:
                next(stepper)
            except StopIteration as exc:
                assert exc.value == "inner message"
                break
        assert len(steps) == 1
        with pytest.raises(RuntimeError, match="cannot reuse"):
            stepper.send(None)
        closed: Any = _core.Stepper(handler())
        closed.send(None)
        closed.close()
        with pytest.raises(RuntimeError, match="cannot reuse"):
            closed.send(None)


async def test_nothing_is_kept(pair: Any) -> None:
    """Of a handler that ended, one that was cancelled, and one that never will."""
    async with pair() as ends:

        class Canary:
            pass

        async def handler(ends_itself: bool) -> None:
            canary = Canary()
            canaries.append(weakref.ref(canary))
            await ends.server.recv()
            if not ends_itself:
                await asyncio.get_running_loop().create_future()

        canaries: list[Any] = []
        tasks = []
        for ends_itself in (True, False):
            task = asyncio.create_task(_core.Stepper(handler(ends_itself)))
            await settle(ends)
            await ends.client.send("")
            await settle(ends)
            tasks.append(task)
        assert [canary() is None for canary in canaries] == [True, False]
        ended = weakref.ref(tasks.pop(0))
        assert ended() is None
        task.cancel()
        await asyncio.wait(tasks)
        del task, tasks  # with its exception
        gc.collect()
        assert canaries[1]() is None

        async def holds(itself: list[Any]) -> None:
            canary = Canary()
            canaries.append(weakref.ref(canary))
            await asyncio.sleep(0)

        itself: list[Any] = []
        itself.append(_core.Stepper(holds(itself)))
        itself[0].send(None)
        del itself
        assert canaries[2]() is not None
        gc.collect()
        assert canaries[2]() is None


async def test_never_awaited() -> None:
    async def handler() -> None:
        pass

    with pytest.warns(RuntimeWarning, match="handler' was never awaited"):
        _core.Stepper(handler())
        gc.collect()


@pytest.mark.threat("LIF-1")
@pytest.mark.parametrize("cause", ["message", "room", "end"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_exits_leave_the_loop(
    serve: Any, connect: Any, uri_of: Any, loop_factory: Any, error: Any, cause: str
) -> None:
    """From a step that a message, room for more output, or the end of TCP caused."""

    async def handler(ws: Any) -> None:
        async for _ in ws:
            if cause == "room":
                await ws.send(bytes(20_000_000))
            if cause != "end":
                raise error
        raise error

    async def main() -> None:
        async with serve(handler, "127.0.0.1", 0) as server:
            async with connect(uri_of(server), max_size=None) as ws:
                await ws.send("")
                if cause == "end":
                    await ws.close()
                await asyncio.sleep(5)

    loop = loop_factory()
    task = loop.create_task(main())
    with pytest.raises(error):
        loop.run_until_complete(task)
    for left in asyncio.all_tasks(loop):
        left.cancel()
        loop.run_until_complete(asyncio.wait([left]))
    loop.close()


async def test_tasks_of_factories(serve: Any, connect: Any, uri_of: Any) -> None:
    """Written in Python, and such as current_task() doesn't know. (Eager ones are in
    test_tasks.py.)"""

    async def handler(ws: Any) -> None:
        async for message in ws:
            await asyncio.sleep(0)
            await ws.send(message)

    class Unknown:
        """It runs a coroutine, without asyncio's knowledge."""

        def __init__(self, coroutine: Any, loop: Any) -> None:
            self.coroutine = coroutine
            self.loop = loop
            self.done_callbacks: list[Any] = []
            loop.call_soon(self.step)

        def step(self, done: Any = None) -> None:
            try:
                awaited = self.coroutine.send(None)
            except StopIteration:
                for callback in self.done_callbacks:
                    self.loop.call_soon(callback, self)
                return
            if awaited is None:
                self.loop.call_soon(self.step)
            else:
                awaited._asyncio_future_blocking = False
                awaited.add_done_callback(self.step, context=contextvars.copy_context())

        def set_name(self, name: Any) -> None:
            pass

        def add_done_callback(self, callback: Any) -> None:
            self.done_callbacks.append(callback)

        def cancelled(self) -> bool:
            return False

        def exception(self) -> None:
            return None

    python_task: Any = asyncio.tasks._PyTask  # type: ignore[attr-defined]
    factories: list[Callable[..., Awaitable[Any]]] = [
        lambda loop, coroutine, **kwargs: python_task(coroutine, loop=loop, **kwargs),
        lambda loop, coroutine, **kwargs: Unknown(coroutine, loop),  # type: ignore[list-item, return-value]
    ]
    loop = asyncio.get_running_loop()
    for factory in factories:
        async with serve(handler, "127.0.0.1", 0) as server:
            uri = uri_of(server)
            loop.set_task_factory(factory)  # type: ignore[arg-type]
            try:
                async with connect(uri) as ws:
                    for number in range(20):
                        await ws.send(str(number))
                        assert await ws.recv() == str(number)
            finally:
                loop.set_task_factory(None)
