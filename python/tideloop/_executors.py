"""Work that blocks: thread pools behind the loop."""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
import threading
import warnings
from asyncio import coroutines
from collections.abc import Callable
from contextvars import Context
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack

from . import _native

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future, ThreadPoolExecutor

__all__ = ["Executors", "asyncio_error", "interrupt_being_handled", "is_coroutine_callback", "loop_is_interrupted"]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class Executors(_native.EventLoop):
    """Mixin: run_in_executor and the default executor's life."""

    __slots__ = ()

    # Names that anyio, pytest plugins and CPython's own test helpers read.
    _default_executor: ThreadPoolExecutor | None
    _executor_shutdown_called: bool
    _interrupt_before: BaseException | None

    def __init__(self) -> None:
        super().__init__()
        self._default_executor = None
        self._executor_shutdown_called = False
        self._interrupt_before = None

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """Call ``func(*args)`` in *executor* (None: the loop's own thread pool); return a future of its result.

        Cancelling the future cancels the call if it has not begun.
        Raises RuntimeError when the loop is closed or its default executor is shut down, and in debug mode TypeError
        for a coroutine function. Counterpart: :meth:`asyncio.loop.run_in_executor`.
        """
        self._check_closed()
        if self.get_debug():
            _check_blocking_callback(func)
        if executor is None:
            executor = self._ensure_default_executor()
        core = getattr(executor, "_direct_core", None)
        if type(core) is _native.ThreadPoolCore:
            return core.submit_from_loop(self, func, args)
        submitted = executor.submit(func, *args)
        if asyncio.isfuture(submitted):
            return submitted
        from concurrent.futures import Future

        if not isinstance(submitted, Future):
            raise AssertionError(f"concurrent.futures.Future is expected, got {submitted!r}")
        return self._wrap_submitted(submitted)

    def _run_in_default_thread(
        self, func: Callable[..., _T], args: tuple[Any, ...], kwargs: dict[str, Any], context: Context
    ) -> asyncio.Future[_T]:
        """What to_thread() awaits: the call in *context*, in the default executor."""
        core = getattr(self._default_executor or self._ensure_default_executor(), "_direct_core", None)
        if type(core) is _native.ThreadPoolCore and not self._executor_shutdown_called and not self.is_closed():
            return core.submit_from_loop(self, func, args, kwargs, context)
        return self.run_in_executor(None, functools.partial(context.run, func, *args, **kwargs))

    def set_default_executor(self, executor: ThreadPoolExecutor) -> None:  # type: ignore[override]
        """Use *executor* where run_in_executor() is given None.

        Raises TypeError unless it is a ThreadPoolExecutor. Counterpart: :meth:`asyncio.loop.set_default_executor`.
        """
        from concurrent.futures import ThreadPoolExecutor

        if not isinstance(executor, ThreadPoolExecutor):
            raise TypeError("executor must be ThreadPoolExecutor instance")
        self._default_executor = executor

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait until the default executor's threads have ended, at most *timeout* seconds (None: without limit).

        Past the limit a RuntimeWarning is given and the threads are left to themselves. run_in_executor() with the
        default executor raises RuntimeError from the call on.
        Counterpart: :meth:`asyncio.loop.shutdown_default_executor` (3.11 has no timeout there; here it has).
        """
        self._executor_shutdown_called = True
        executor = self._default_executor
        if executor is None:
            return
        interrupt = interrupt_being_handled()
        if interrupt is not None and interrupt is not self._interrupt_before and hasattr(executor, "_interrupt"):
            # asyncio.run() cleans up behind Ctrl+C, and nobody wants to press it again for each call in a thread. A
            # loop that began to run while the program handled an earlier Ctrl+C was not ended by that one.
            executor._interrupt()
            return
        joined: asyncio.Future[None] = self.create_future()
        thread = threading.Thread(target=self._join_executor, args=(executor, joined))
        thread.start()
        try:
            async with asyncio.timeout(timeout):
                await joined
        except TimeoutError:
            warnings.warn(
                f"The executor did not finishing joining its threads within {timeout} seconds.",
                RuntimeWarning,
                stacklevel=2,
            )
            executor.shutdown(wait=False)
        else:
            thread.join()

    def _join_executor(self, executor: ThreadPoolExecutor, joined: asyncio.Future[None]) -> None:
        """Runs in a thread of its own, because waiting for threads blocks."""
        error: Exception | None = None
        try:
            executor.shutdown(wait=True)
        except Exception as exc:
            error = exc
        deliver_threadsafe(self, joined, None, error)

    def _ensure_default_executor(self) -> ThreadPoolExecutor:
        if self._executor_shutdown_called:
            raise RuntimeError("Executor shutdown has been called")
        if self._default_executor is None:
            from ._thread_pool import ThreadPool

            self._default_executor = ThreadPool(thread_name_prefix="asyncio")
        return self._default_executor

    def _close_default_executor(self) -> None:
        self._executor_shutdown_called = True
        self._interrupt_before = None
        executor, self._default_executor = self._default_executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    def _wrap_submitted(self, submitted: Future[_T]) -> asyncio.Future[_T]:
        """What asyncio.wrap_future() does, without its checks for loops that cannot differ here."""
        waiting: asyncio.Future[_T] = self.create_future()

        def on_waiting_done(future: asyncio.Future[_T]) -> None:
            if future.cancelled():
                submitted.cancel()

        def on_submitted_done(future: Future[_T]) -> None:
            if waiting.cancelled():
                return
            if future.cancelled():
                _call_unless_closed(self, waiting.cancel)
                return
            error = future.exception()
            deliver_threadsafe(self, waiting, None if error else future.result(), error)

        waiting.add_done_callback(on_waiting_done)
        submitted.add_done_callback(on_submitted_done)
        return waiting


def deliver_threadsafe(
    loop: asyncio.AbstractEventLoop, waiting: asyncio.Future[_T], result: Any, error: BaseException | None
) -> None:
    """From any thread: complete *waiting* in its loop, unless it is done or the loop has gone by then."""
    _call_unless_closed(loop, _settle, waiting, result, error)


def interrupt_being_handled() -> KeyboardInterrupt | None:
    """The Ctrl+C that this thread handles, as far as it is in an ``except`` or ``finally`` block for one."""
    exception = sys.exc_info()[1]
    return exception if isinstance(exception, KeyboardInterrupt) else None


def loop_is_interrupted() -> bool:
    """Whether Ctrl+C ends what the loop runs that runs here.

    asyncio's runner takes the signal, counts it and has its main task cancelled, which may handle that and go on. Its
    handler is the only one who knows.
    """
    handler = signal.getsignal(signal.SIGINT)
    if not isinstance(handler, functools.partial):
        return False
    runner: Any = getattr(handler.func, "__self__", None)
    if not isinstance(runner, asyncio.Runner) or runner._loop is not asyncio._get_running_loop():  # type: ignore[attr-defined]
        return False
    return bool(runner._interrupt_count and handler.keywords["main_task"].cancelling())  # type: ignore[attr-defined]


def is_coroutine_callback(callback: object) -> bool:
    """Whether *callback* is a coroutine or makes one: such a thing is never called as a plain callback."""
    if asyncio.iscoroutine(callback) or iscoroutinefunction(callback):
        return True
    marker = getattr(callback, "_is_coroutine", None)  # asyncio's own mark, which mocks and Cython functions carry
    return marker is not None and marker is coroutines._is_coroutine  # type: ignore[attr-defined]


def _call_unless_closed(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        # The loop may close between a question and the call; only that error is expected.
        if not loop.is_closed():
            raise


def _settle(waiting: asyncio.Future[_T], result: Any, error: BaseException | None) -> None:
    if waiting.done():
        return
    if error is None:
        waiting.set_result(result)
    else:
        waiting.set_exception(asyncio_error(error))


def asyncio_error(error: BaseException) -> BaseException:
    """The same error as a future of asyncio takes it.

    concurrent.futures has classes of its own by names that asyncio has too. A StopIteration would end the generator
    that awaits: asyncio's newer futures make a RuntimeError of it, and older ones refuse it.
    """
    from concurrent import futures

    match type(error):
        case futures.CancelledError:
            return asyncio.CancelledError(*error.args)
        case futures.InvalidStateError:
            return asyncio.InvalidStateError(*error.args)
    if not isinstance(error, StopIteration):
        return error
    refusal = RuntimeError("StopIteration interacts badly with generators and cannot be raised into a Future")
    refusal.__cause__ = refusal.__context__ = error
    return refusal


def _check_blocking_callback(func: object) -> None:
    if is_coroutine_callback(func):
        raise TypeError("coroutines cannot be used with run_in_executor()")
    if not callable(func):
        raise TypeError(f"a callable object was expected by run_in_executor(), got {func!r}")
