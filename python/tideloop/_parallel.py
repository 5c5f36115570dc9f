"""Programs of communicating sequential processes: several at once, or one after the other."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import sys
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import Any, Protocol

from ._channels import Channel

__all__ = ["Parallel", "Sequence"]


class _Closable(Protocol):
    def close(self) -> object: ...


Process = Callable[[], Any] | Awaitable[Any]
"""What can be a part of a program: a function, an async function, a coroutine, or another program."""


class _Program:
    """What Parallel and Sequence have in common."""

    def __init__(self, *processes: Process) -> None:
        for process in processes:
            if not callable(process) and not inspect.isawaitable(process):
                raise TypeError(f"a process is a function, a coroutine or a program, not {type(process).__name__}")
        self._processes = processes

    def run(self) -> list[Any]:
        """Run the program to its end, on a loop of its own; return what its processes return, in their order."""
        from . import run

        program = self._run()
        try:
            return run(program)
        finally:
            program.close()  # where a loop runs already it has not begun

    def __await__(self) -> Generator[Any, Any, list[Any]]:
        """Run the program in the loop of this task; what its processes return, in their order."""
        return self._run().__await__()

    async def _run(self, end_early: Callable[[], object] = lambda: None) -> list[Any]:
        """Run it. *end_early*: tells the program that this one is a part of that both will end before their time."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._processes)} processes>"


class Sequence(_Program):
    """Processes that run one after the other. The first that fails ends the program by its exception.

    A process is a function without arguments, which runs in a thread, an async function or a coroutine, which runs in
    the loop, or another program.
    """

    async def _run(self, end_early: Callable[[], object] = lambda: None) -> list[Any]:
        left = list(reversed(self._processes))
        try:
            return [await _run_one(left.pop(), end_early) for _ in self._processes]
        finally:
            _discard(left)


class Parallel(_Program):
    """Processes that run at once. The program ends when all of them have.

    A process is a function without arguments, which runs in a thread of its own, an async function or a coroutine,
    which runs as a task, or another program. The first that fails cancels those that are tasks; a thread cannot be
    cancelled, and runs to its end. The channels in *closing* are closed then, so that who waits at one of them does not
    wait for ever (the Closed that it gets is no failure), and in any case at the end. When nothing runs any more, an
    exception group with all failures is raised. One of them can be a CancelledError, if a process raises that without
    having been cancelled.
    """

    def __init__(self, *processes: Process, closing: Iterable[_Closable] = ()) -> None:
        super().__init__(*processes)
        self._closing = tuple(closing)

    async def _run(self, end_early: Callable[[], object] = lambda: None) -> list[Any]:
        results: list[Any] = [None] * len(self._processes)
        ends_early = False

        def end_all_early() -> None:
            nonlocal ends_early
            ends_early = True
            _close(self._closing)
            end_early()

        async def run(number: int, process: Process) -> None:
            try:
                results[number] = await _run_one(process, end_all_early)
                return
            except BaseException as error:
                failure = _failure_beside_closing(error, self._closing) if ends_early else error
                if isinstance(failure, asyncio.CancelledError) and not _was_cancelled():
                    failure = _Uncancelled(failure)
            end_all_early()
            try:
                if failure is not None:
                    raise failure
            finally:
                del failure  # its traceback has this frame

        try:
            if _in_trio():
                async with sys.modules["trio"].open_nursery() as nursery:
                    for number, process in enumerate(self._processes):
                        nursery.start_soon(run, number, process)
            else:
                async with asyncio.TaskGroup() as group:
                    for number, process in enumerate(self._processes):
                        group.create_task(run(number, process))
        except BaseExceptionGroup as failures:
            errors = [error.args[0] if isinstance(error, _Uncancelled) else error for error in failures.exceptions]
            raise BaseExceptionGroup("processes of a Parallel have failed", errors) from None
        finally:
            _close(self._closing)
            _discard(self._processes)
        return results


class _Uncancelled(Exception):
    """Carries a CancelledError past the TaskGroup, which would take it for the end of a task that was cancelled."""


def _was_cancelled() -> bool:
    task = None if _in_trio() else asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _failure_beside_closing(error: BaseException, closing: tuple[_Closable, ...]) -> BaseException | None:
    """What is left of an error without every Closed of these channels."""
    from .channels import Closed

    def is_of_closing(error: BaseException) -> bool:
        if not isinstance(error, Closed):
            return False
        # What a subscription or a watcher belongs to only the collector can tell.
        about = [error.channel, *gc.get_referents(error.channel)]
        return any(channel is thing for channel in closing for thing in about)

    if isinstance(error, BaseExceptionGroup):
        return error.split(is_of_closing)[1]
    return None if is_of_closing(error) else error


async def _run_one(process: Process, end_early: Callable[[], object]) -> Any:
    """Run one process of a program to its end."""
    if isinstance(process, _Program):
        return await process._run(end_early)
    if inspect.isawaitable(process):
        return await process
    if inspect.iscoroutinefunction(process) or inspect.iscoroutinefunction(type(process).__call__):
        return await process()
    return await _run_in_thread(process, end_early)


async def _run_in_thread(function: Callable[[], Any], end_early: Callable[[], object]) -> Any:
    """Run a function in a thread of its own, and wait for its end whatever happens meanwhile."""
    done: Channel[tuple[Any, BaseException | None]] = Channel(1)
    context = contextvars.copy_context()

    def run() -> None:
        try:
            done.send_nowait((context.run(function), None))
        except BaseException as error:
            done.send_nowait((None, error))

    thread = threading.Thread(target=run, name=f"process {getattr(function, '__name__', function)}")
    thread.start()
    reason: BaseException | None = None
    while True:
        try:
            result, error = await _receive(done, reason is not None)
            break
        except BaseException as cancelled:
            # Others have failed: the thread is waited for, and perhaps it waits for one of them.
            reason = cancelled
            end_early()
    thread.join()
    try:
        if error is not None:
            raise error
        if reason is not None:
            raise reason
        return result
    finally:
        del error, reason  # what was raised holds this frame


async def _receive(done: Channel[Any], shielded: bool) -> Any:
    if shielded and _in_trio():
        # trio cancels whatever waits, time and again; asyncio once.
        with sys.modules["trio"].CancelScope(shield=True):
            return await done.receive()
    return await done.receive()


def _in_trio() -> bool:
    lowlevel = sys.modules.get("trio.lowlevel")
    if lowlevel is None:
        return False
    try:
        lowlevel.current_task()
    except RuntimeError:
        return False
    return True


def _close(channels: Iterable[_Closable]) -> None:
    for channel in channels:
        channel.close()


def _discard(processes: Iterable[Process]) -> None:
    """Coroutines that will not run are told so; else they complain that nobody has awaited them."""
    for process in processes:
        if inspect.iscoroutine(process):
            process.close()
