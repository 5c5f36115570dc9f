"""The worlds of tasks that one shared object is used in: Tideloop's, asyncio's and uvloop's loops, and trio."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import threading
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

__all__ = [
    "SECONDS_MAX",
    "WORLDS",
    "Started",
    "Tasks",
    "asyncio_worlds",
    "in_threads",
    "new_loop",
    "pause",
    "run",
    "until",
    "worlds",
]

SECONDS_MAX = 30.0
"""How long anything here may take."""

WORLDS = ("tideloop", "asyncio", "uvloop", "trio")

_KINDS = [
    pytest.param(
        world,
        marks=pytest.mark.skipif(
            world in ("uvloop", "trio") and importlib.util.find_spec(world) is None, reason=f"{world} is not installed"
        ),
    )
    for world in WORLDS
]

worlds = pytest.mark.parametrize("world", _KINDS)
"""A test that asks for `world` runs in each."""

asyncio_worlds = pytest.mark.parametrize("world", _KINDS[:3])
"""The same without trio."""


def new_loop(world: str) -> asyncio.AbstractEventLoop:
    """A loop of a world that has loops."""
    if world == "asyncio":
        return asyncio.SelectorEventLoop()
    with warnings.catch_warnings():
        # uvloop's import asks for names that newer versions of Python are about to lose.
        warnings.simplefilter("ignore")
        return importlib.import_module(world).new_event_loop()


def run(world: str, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Run a coroutine function to its end in a new loop, and close that."""
    if world == "trio":
        import trio

        return trio.run(function, *args)
    with asyncio.Runner(loop_factory=lambda: new_loop(world)) as runner:
        return runner.run(function(*args))


if importlib.util.find_spec("uvloop") is not None:
    # Its library opens a pipe once in a process, and never closes it: before any test, that no test is blamed for it.
    new_loop("uvloop").close()


async def pause(seconds: float = 0.0) -> None:
    """Sleep, in whatever world."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import trio

        await trio.sleep(seconds)
    else:
        await asyncio.sleep(seconds)


async def until(condition: Callable[[], Any]) -> None:
    """Let others run until it holds."""
    for _ in range(int(SECONDS_MAX * 1000)):
        if condition():
            return
        await pause(0.001)
    raise TimeoutError(f"it never came true: {condition}")


class Started:
    """A task: what came of it, once it has ended."""

    def __init__(self, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args
        self.is_done = False
        self.was_cancelled = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.cancel: Callable[[], Any]

    async def _run(self, cancelled: type[BaseException]) -> None:
        try:
            self.value = await self._function(*self._args)
        except cancelled:
            self.was_cancelled = True
            raise
        except Exception as exc:
            self.error = exc
        finally:
            self.is_done = True

    async def result(self) -> Any:
        """Wait for its end; what it returned, or raised."""
        await until(lambda: self.is_done)
        if self.error is not None:
            raise self.error
        return self.value


class Tasks(contextlib.AsyncExitStack):
    """`async with Tasks() as tasks: tasks.start(function, ...)`: all have ended when the block has."""

    async def __aenter__(self) -> Tasks:
        await super().__aenter__()
        self._all: list[asyncio.Task[None]] = []
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            import trio

            self._nursery = await self.enter_async_context(trio.open_nursery())
        else:
            self._nursery = None
            self.push_async_callback(self._wait)
        return self

    async def _wait(self) -> None:
        await asyncio.gather(*self._all, return_exceptions=True)

    def start(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Started:
        """Have a coroutine function run as a task."""
        started = Started(function, args)
        if self._nursery is None:
            task = asyncio.ensure_future(started._run(asyncio.CancelledError))
            self._all.append(task)
            started.cancel = task.cancel
        else:
            import trio

            scope = trio.CancelScope()
            started.cancel = scope.cancel

            async def run_in_scope() -> None:
                with scope:
                    await started._run(trio.Cancelled)

            self._nursery.start_soon(run_in_scope)
        return started


def in_threads(*functions: Callable[[], Any]) -> list[Any]:
    """Run all at once, each in a thread of its own; what they return, or the first exception."""
    outcomes: list[Any] = [None] * len(functions)
    errors: list[BaseException] = []

    def call(at: int) -> None:
        try:
            outcomes[at] = functions[at]()
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=call, args=(at,), daemon=True) for at in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS_MAX)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a thread does not end"
    return outcomes
