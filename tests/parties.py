"""Parties for the tests of what threads and tasks share: one body, run in a thread, or in a task of any loop.

A body is a coroutine function. In a thread it is stepped once and must not give way: whatever it waits for blocks,
since no task runs there. So `await wait(lock.acquire())` does for each what it has to.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

SECONDS_MAX = 20.0


def _kind(name: str, module: str | None = None) -> Any:
    missing = module is not None and importlib.util.find_spec(module) is None
    return pytest.param(name, marks=pytest.mark.skip(reason=f"{module} is not installed")) if missing else name


TASKS = [_kind("tideloop"), _kind("asyncio"), _kind("uvloop", "uvloop"), _kind("trio", "trio")]
KINDS = ["thread", *TASKS]


async def wait(outcome: Any) -> Any:
    """The outcome of a call, which has blocked already or is to be awaited."""
    return await outcome if inspect.isawaitable(outcome) else outcome


def waiting(primitive: Any) -> int:
    """How many wait at a primitive, from what it says of itself."""
    found = re.search(r"(\d+) waiting>$", repr(primitive))
    return int(found[1]) if found else 0


def until(condition: Callable[[], Any], what: str = "") -> None:
    """Block this thread until the condition holds, with a limit."""
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, f"never: {what or inspect.getsource(condition).strip()}"
        time.sleep(0.0005)


async def pause(seconds: float = 0) -> None:
    """Let the others of this thread, or the other threads, run."""
    kind = current_kind()
    if kind == "thread":
        time.sleep(seconds)
    elif kind == "trio":
        import trio

        await trio.sleep(seconds)
    else:
        await asyncio.sleep(seconds)


_here = threading.local()


def current_kind() -> str:
    """The kind of the party that runs here."""
    return getattr(_here, "kind", "thread")


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """A loop of the kind."""
    if kind == "asyncio":
        return asyncio.SelectorEventLoop()
    return importlib.import_module(kind).new_event_loop()


def _warm_uvloop() -> None:
    """Its first loop makes a pipe that the process keeps, which is no leak of the test that comes first."""
    if importlib.util.find_spec("uvloop") is not None:
        loop = new_loop("uvloop")
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


_warm_uvloop()


class Party(threading.Thread):
    """A thread that runs `body(*args)`, as it is or in a task of a loop; `result()` has what came of it."""

    def __init__(self, kind: str, body: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
        super().__init__(name=f"{kind} {body.__name__}")
        self._kind = kind
        self._body = body
        self._args = args
        self._cancel: Callable[[], object] = lambda: None
        self._outcome: Any = None
        self._error: BaseException | None = None
        self.started = threading.Event()
        self.was_cancelled = False
        self.start()
        assert self.started.wait(SECONDS_MAX)

    def run(self) -> None:
        _here.kind = self._kind
        try:
            if self._kind == "thread":
                self._drive()
            elif self._kind == "trio":
                self._run_trio()
            else:
                self._run_asyncio()
        except BaseException as exc:  # the one who asks for the result gets it
            self._error = exc
        finally:
            self.started.set()

    def _drive(self) -> None:
        self.started.set()
        coro = self._body(*self._args)
        try:
            coro.send(None)
        except StopIteration as stop:
            self._outcome = stop.value
        else:
            coro.close()
            raise AssertionError("a body gave way in a thread")

    def _run_asyncio(self) -> None:
        loop = new_loop(self._kind)
        try:
            task = loop.create_task(self._body(*self._args))
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
            self.started.set()
            self._outcome = loop.run_until_complete(task)
        except asyncio.CancelledError:
            self.was_cancelled = True
        finally:
            loop.close()

    def _run_trio(self) -> None:
        import trio

        async def main() -> None:
            token = trio.lowlevel.current_trio_token()
            with trio.CancelScope() as scope:
                self._cancel = lambda: token.run_sync_soon(scope.cancel)
                self.started.set()
                self._outcome = await self._body(*self._args)
            self.was_cancelled = scope.cancelled_caught

        trio.run(main)

    def cancel(self) -> None:
        """Cancel the task, from any thread; one that has ended has."""
        with suppress(RuntimeError):  # its loop is closed
            self._cancel()

    def result(self) -> Any:
        """Wait for the end; what the body returned, or its exception."""
        self.join(SECONDS_MAX)
        assert not self.is_alive(), f"{self.name} does not end"
        if self._error is not None:
            raise self._error
        return self._outcome


@contextmanager
def parties(*made: Party) -> Iterator[None]:
    """Parties that have ended without an error when the block is left."""
    yield
    for party in made:
        party.result()
