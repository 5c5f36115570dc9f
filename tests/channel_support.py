"""Parties that meet at one object: the same coroutine function runs in a thread, or in a task of any loop.

A party is `async def party(here): …`. It waits by `await here.call(channel.receive)`: in a thread the call blocks and
there is nothing to await, so the coroutine runs to its end in one step. `gather(world, *parties)` runs them together.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import pytest

import tideloop

WAIT_S = 20.0
"""For what must come: a test that would hang fails."""
INSTALLED = [name for name in ("uvloop", "trio") if importlib.util.find_spec(name)]


class InThread:
    """A party that is a thread."""

    kind = "thread"

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    async def pause(self, seconds: float = 0.0) -> None:
        time.sleep(seconds)

    async def each(self, iterable: Any) -> AsyncIterator[Any]:
        for item in iterable:
            yield item


class InTask:
    """A party that is a task."""

    kind = "task"

    def __init__(self, loop_name: str) -> None:
        self._sleep = importlib.import_module("trio" if loop_name == "trio" else "asyncio").sleep

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    async def pause(self, seconds: float = 0.0) -> None:
        await self._sleep(seconds)

    async def each(self, iterable: Any) -> AsyncIterator[Any]:
        async for item in iterable:
            yield item


Here = InThread | InTask
Party = Callable[[Here], Awaitable[Any]]


def run_on(loop_name: str, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run an async function without arguments on a loop by its name."""
    if loop_name == "trio":
        return importlib.import_module("trio").run(main)
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "tideloop": tideloop.new_event_loop,
        "asyncio": asyncio.new_event_loop,
    }
    if loop_name == "uvloop":
        factories["uvloop"] = importlib.import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factories[loop_name]) as runner:
        return runner.run(main())  # type: ignore[arg-type]


async def together(loop_name: str, functions: Iterable[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """Run async functions in tasks of the loop that runs here; their results in order."""
    functions = list(functions)
    results: list[Any] = [None] * len(functions)

    async def one(number: int, function: Callable[[], Awaitable[Any]]) -> None:
        results[number] = await function()

    if loop_name == "trio":
        async with importlib.import_module("trio").open_nursery() as nursery:
            for number, function in enumerate(functions):
                nursery.start_soon(one, number, function)
    else:
        async with asyncio.TaskGroup() as group:
            for number, function in enumerate(functions):
                group.create_task(one(number, function))
    return results


def run_in_thread(party: Party) -> Any:
    """Run a party in this very thread."""
    coroutine = party(InThread())
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration as end:
        return end.value
    raise AssertionError("a party in a thread has awaited something")


class World:
    """Where parties run: "threads", "tasks of LOOP", or "mixed with LOOP": a thread and a task by turns."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.loop_name = name.rpartition(" ")[2]

    def gather(self, *parties: Party) -> list[Any]:
        """Run all of them together; what they return. What the first one raises that fails is raised."""
        if self.name == "threads":
            in_threads = list(enumerate(parties))
            in_tasks = []
        elif self.name.startswith("tasks"):
            in_threads, in_tasks = [], list(enumerate(parties))
        else:
            in_threads, in_tasks = list(enumerate(parties))[::2], list(enumerate(parties))[1::2]
        results: list[Any] = [None] * len(parties)
        errors: list[BaseException] = []

        def run(number: int, party: Party) -> None:
            try:
                results[number] = run_in_thread(party)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in in_threads]
        for thread in threads:
            thread.start()
        try:
            if in_tasks:
                self._run_tasks(in_tasks, results)
        finally:
            deadline = time.monotonic() + WAIT_S
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        if errors:
            raise errors[0]
        assert not any(thread.is_alive() for thread in threads), "a thread waits for ever"
        return results

    def _run_tasks(self, in_tasks: list[tuple[int, Party]], results: list[Any]) -> None:
        async def main() -> None:
            here = InTask(self.loop_name)
            functions = [lambda party=party: party(here) for _, party in in_tasks]
            for (number, _), result in zip(in_tasks, await together(self.loop_name, functions), strict=True):
                results[number] = result

        try:
            run_on(self.loop_name, main)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None


def _worlds() -> list[Any]:
    names = ["threads"]
    for loop_name in ("tideloop", "asyncio", "uvloop", "trio"):
        names += [f"tasks of {loop_name}", f"mixed with {loop_name}"]
    return [
        pytest.param(
            World(name),
            id=name.replace(" ", "-"),
            marks=[]
            if (loop_name := name.rpartition(" ")[2]) in ("threads", "tideloop", "asyncio", *INSTALLED)
            else pytest.mark.skip(reason=f"{loop_name} is not installed"),
        )
        for name in names
    ]


WORLDS = _worlds()
LOOPS = [
    pytest.param(
        name,
        marks=[]
        if name in ("tideloop", "asyncio", *INSTALLED)
        else pytest.mark.skip(reason=f"{name} is not installed"),
    )
    for name in ("tideloop", "asyncio", "uvloop", "trio")
]
in_every_world = pytest.mark.parametrize("world", WORLDS)
on_every_loop = pytest.mark.parametrize("loop_name", LOOPS)

if "uvloop" in INSTALLED:
    # Its first loop opens pipes that stay open: before any test.
    run_on("uvloop", lambda: asyncio.sleep(0))
