"""The pairs of a loop and of names that programs run on, and asyncio as the judge."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

from . import operations
from .clocks import SimulatedAsyncioLoop, simulated_tideloop
from .machine import Machine

JUDGE = "asyncio"
assert operations.OPERATIONS  # importing them registers them
# The loop, whether its tasks are asyncio's, and whose names.
KINDS = {
    JUDGE: ("asyncio", None, "asyncio"),
    "tideloop": ("tideloop", "native", "tideloop"),
    "tideloop with asyncio's names": ("tideloop", "native", "asyncio"),
    "tideloop with asyncio's tasks": ("tideloop", "asyncio", "tideloop"),
    "asyncio's loop with tideloop's names": ("asyncio", None, "tideloop"),
    "tideloop with names of both": ("tideloop", "native", "both"),
}


class InOrder(dict[Any, None]):
    """What a group keeps its tasks in, so that it cancels them in the order they were made: a set has none."""

    def add(self, item: Any) -> None:
        self[item] = None

    def discard(self, item: Any) -> None:
        self.pop(item, None)

    remove = dict.__delitem__


class TaskGroup(asyncio.TaskGroup):
    """asyncio's, with that, and as its newest version behaves."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks = InOrder()  # type: ignore[assignment]

    def _abort(self) -> None:
        # The judge's own _abort goes through what may shrink meanwhile: a set minds as little as this.
        tasks, self._tasks = self._tasks, list(self._tasks)  # type: ignore[assignment]
        try:
            super()._abort()
        finally:
            self._tasks = tasks

    if sys.version_info < (3, 13, 2) and not (3, 12, 9) <= sys.version_info < (3, 13):

        def create_task(self, coro: Any, **kwargs: Any) -> Any:
            """Let the group learn of an eager task that is done a turn later, as of any other."""
            with_eager = asyncio.TaskGroup.create_task
            told: list[Any] = []
            self._on_task_done = told.append  # type: ignore[method-assign]
            try:
                task = with_eager(self, coro, **kwargs)
            finally:
                del self._on_task_done
            task.remove_done_callback(told.append)
            self._tasks.add(task)
            task.add_done_callback(self._on_task_done)
            return task

    if sys.version_info < (3, 13):

        async def __aexit__(self, et: Any, exc: Any, tb: Any) -> None:
            """Take back last what the group has asked of its parent, and keep the count of what others have."""
            self._exiting = True
            if exc is not None and self._is_base_error(exc) and self._base_error is None:
                self._base_error = exc
            cancellation = exc if isinstance(exc, asyncio.CancelledError) else None
            if exc is not None and not self._aborting:
                self._abort()
            while self._tasks:
                self._on_completed_fut = self._loop.create_future()
                try:
                    await self._on_completed_fut
                except asyncio.CancelledError as error:
                    if not self._aborting:
                        cancellation = error
                        self._abort()
                self._on_completed_fut = None
            if self._base_error is not None:
                raise self._base_error
            parent, errors = self._parent_task, list(self._errors)
            if self._parent_cancel_requested and parent.uncancel() == 0:
                cancellation = None
            if cancellation is not None and not errors:
                raise cancellation
            if exc is not None and not isinstance(exc, asyncio.CancelledError):
                errors.append(exc)
            if errors:
                if parent.cancelling():
                    parent.uncancel()
                    parent.cancel()
                raise BaseExceptionGroup("unhandled errors in a TaskGroup", errors) from None


class Names:
    """asyncio's names, or those of `modules` where they have them."""

    def __init__(self, *modules: Any) -> None:
        self.modules = modules

    def __getattr__(self, name: str) -> Any:
        found = next((getattr(module, name) for module in self.modules if hasattr(module, name)), None)
        found = found or getattr(asyncio, name)
        if found is asyncio.TaskGroup:
            found = TaskGroup
        setattr(self, name, found)
        return found


class NamesOfBoth:
    """Each name from one of two, by chance; the same for a seed."""

    def __init__(self, seed: int, one: Names, other: Names) -> None:
        self.random = random.Random(seed)
        self.both = one, other

    def __getattr__(self, name: str) -> Any:
        # A primitive's exceptions and the loop's tasks are the same in both.
        return getattr(self.random.choice(self.both), name)


@functools.cache
def loop_class(kind: str) -> Callable[..., Any]:
    return SimulatedAsyncioLoop if kind == "asyncio" else simulated_tideloop()


ASYNCIO = Names()


@functools.cache
def tideloop_names() -> Names:
    return Names(importlib.import_module("tideloop"), *native_modules())


def native_modules() -> list[Any]:
    """The modules of the native names, those that are there."""
    found = []
    for name in ("locks", "queues", "tasks", "timeouts", "taskgroups"):
        with contextlib.suppress(ImportError):
            found.append(importlib.import_module(f"tideloop.{name}"))
    return found


@contextlib.contextmanager
def running(kind: str) -> Iterator[Any]:
    """A loop of a kind, closed afterwards."""
    loop_kind, tasks, _ = KINDS[kind]
    loop = loop_class(loop_kind)() if tasks is None else loop_class(loop_kind)(tasks=tasks)
    try:
        yield loop
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_forever()
        loop.close()


def names_of(kind: str, seed: int) -> Any:
    names = KINDS[kind][2]
    if names == "both":
        return NamesOfBoth(seed, ASYNCIO, tideloop_names())
    return ASYNCIO if names == "asyncio" else tideloop_names()


def run(program: dict[str, Any], kind: str, seed: int = 0, names: Any = None) -> tuple[list[Any], list[str]]:
    """What happened, and what must not have."""
    with running(kind) as loop:
        machine = Machine(loop, names_of(kind, seed) if names is None else names, program)
        trace = machine.run()
        # Nothing of the run may outlive its loop.
        loop.set_exception_handler(lambda loop, context: None)
        return trace, machine.broken
