"""Programs of communicating sequential processes: several at once, or one after the other."""

from __future__ import annotations

import asyncio
import contextvars
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

        return run(self._run())

    def __await__(self) -> Generator[Any, Any, list[Any]]:
        """Run the program in the loop of this task; what its processes return, in their order."""
        return self._run().__await__()

    async def _run(self) -> list[Any]:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._processes)} processes>"


class Sequence(_Program):
    """Processes that run one after the other. The first that fails ends the program by its exception.

    A process is a function without arguments, which runs in a thread, an async function or a coroutine, which runs in
    the loop, or another program.
    """

    async def _run(self) -> list[Any]:
        left = list(reversed(self._processes))
        try:
            return [await _run_one(left.pop(), ()) for _ in self._processes]
        finally:
            _discard(left)


class Parallel(_Program):
    """Processes that run at once. The program ends when all of them have.

    A process is a function without arguments, which runs in a thread of its own, an async function or a coroutine,
    which runs as a task, or another program. The first that fails cancels those that are tasks; a thread cannot be
    cancelled, and runs to its end. The channels in *closing* are closed then, so that who waits at one of them does not
    wait for ever (the Closed that it gets is no failure), and in any case at the end. When nothing runs any more, an
    exception group with all failures is raised.
    """

    def __init__(self, *processes: Process, closing: Iterable[_Closable] = ()) -> None:
        super().__init__(*processes)
        self._closing = tuple(closing)

    async def _run(self) -> list[Any]:
        results: list[Any] = [None] * len(self._processes)

        async def run(number: int, process: Process) -> None:
            results[number] = await _run_one(process, self._closing)

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
            raise BaseExceptionGroup("processes of a Parallel have failed", failures.exceptions) from None
        finally:
            _close(self._closing)
        return results


async def _run_one(process: Process, closing: tuple[_Closable, ...]) -> Any:
    """Run one process to its end; where that comes by an exception, close the channels."""
    try:
        if inspect.isawaitable(process):
            return await process
        if inspect.iscoroutinefunction(process) or inspect.iscoroutinefunction(type(process).__call__):
            return await process()
        return await _run_in_thread(process, closing)
    except BaseException:
        _close(closing)
        raise


async def _run_in_thread(function: Callable[[], Any], closing: tuple[_Closable, ...]) -> Any:
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
    ended_early = False
    while True:
        try:
            result, error = await _receive(done, ended_early)
            break
        except BaseException as cancelled:
            # Others have failed: the thread is waited for, and perhaps it waits for one of them.
            ended_early = True
            _close(closing)
            reason = cancelled
    thread.join()
    try:
        if error is not None and not (ended_early and getattr(error, "channel", None) in closing):
            raise error
        if ended_early:
            raise reason
        return result
    finally:
        # What was raised holds this frame.
        del error
        reason = None  # type: ignore[assignment]


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
