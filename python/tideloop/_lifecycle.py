"""How a loop begins, runs, stops and closes, and what becomes of its async generators meanwhile."""

from __future__ import annotations

import asyncio
import os
import sys
import warnings
import weakref
from asyncio import constants
from asyncio.base_events import _run_until_complete_cb  # type: ignore[attr-defined]
from asyncio.log import logger
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, TypeVar

from ._both import abandon
from ._exceptions import ExceptionHandlers
from ._executors import Executors, interrupt_being_handled
from ._resolver import Resolver
from ._signals import Signals

__all__ = ["Lifecycle"]

_T = TypeVar("_T")
_AsyncGen = AsyncGenerator[Any, Any]


class Lifecycle(Signals, Resolver, Executors, ExceptionHandlers):
    """Mixin: run_forever, run_until_complete, close, and the async-generator hooks."""

    __slots__ = ()

    _asyncgens: weakref.WeakSet[_AsyncGen]
    _asyncgens_shutdown_called: bool
    _asyncgen_hooks_before: tuple[Any, Any] | None
    _origin_depth_before: int | None
    _has_run: bool

    def __init__(self) -> None:
        super().__init__()
        self._asyncgens = weakref.WeakSet()
        self._asyncgens_shutdown_called = False
        self._asyncgen_hooks_before = None
        self._origin_depth_before = None  # None while this loop does not track where coroutines are made
        self._has_run = False
        self.set_debug(_debug_by_default())

    def __repr__(self) -> str:
        return (
            f"<{self.__class__.__name__} running={self.is_running()} "
            f"closed={self.is_closed()} debug={self.get_debug()}>"
        )

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if not self.is_closed():
            _warn(f"unclosed event loop {self!r}", ResourceWarning, source=self)
            if not self.is_running():
                self.close()

    def set_debug(self, enabled: bool) -> None:
        """Switch debug mode: checks, and reports that say where things were made, at the price of speed.

        A new loop has it on under ``python -X dev`` or ``PYTHONASYNCIODEBUG=1``.
        Counterpart: :meth:`asyncio.loop.set_debug`.
        """
        super().set_debug(enabled)
        if self.is_running():
            self.call_soon_threadsafe(self._track_coroutine_origins, enabled)

    def run_forever(self) -> None:
        """Run callbacks until stop() is called; a stop() made before lets exactly one turn run.

        Raises RuntimeError if the loop is closed, if it runs already, or if another one runs in this thread;
        KeyboardInterrupt and SystemExit from a callback leave it. Counterpart: :meth:`asyncio.loop.run_forever`.
        """
        self._run_forever_setup()
        try:
            self._run_turns()
        finally:
            self._run_forever_cleanup()

    def run_until_complete(self, future: Generator[Any, None, _T] | Awaitable[_T]) -> _T:
        """Run until *future* (a coroutine becomes a task) is done; return its result or raise its exception.

        Raises RuntimeError as run_forever() does, and when stop() ends the run first.
        Counterpart: :meth:`asyncio.loop.run_until_complete`.
        """
        self._check_closed()
        self._check_running()
        made_here = not asyncio.isfuture(future)
        task: asyncio.Future[_T] = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]
        if made_here:
            # If it does not get done, the RuntimeError below says so; no second report is needed.
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        # The stdlib's own function object: anyio finds a run's root task by looking for it among the callbacks.
        task.add_done_callback(_run_until_complete_cb)
        try:
            self.run_forever()
        except BaseException:
            if made_here and task.done() and not task.cancelled():
                # The same exception is on its way to the caller: mark it as seen.
                task.exception()
            raise
        finally:
            task.remove_done_callback(_run_until_complete_cb)
        if not task.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return task.result()

    def close(self) -> None:
        """Drop all callbacks and timers, let go of the default executor, the name resolver and the signal handlers.

        Harmless when closed already; waits for no thread that is at work. Raises RuntimeError while the loop runs.
        Counterpart: :meth:`asyncio.loop.close`.
        """
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self.is_closed():
            return
        if self.get_debug():
            logger.debug("Close %r", self)
        self._close_native()
        self._abandon_waits()
        self._close_wakeup()
        self._close_default_executor()
        self._close_resolver()
        self._close_signal_handlers()

    def _abandon_waits(self, _is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        """Have tasks that will never run again hand on what a primitive shared with others may have given them."""
        if _is_finalizing():  # nobody is left, and neither are the modules
            return
        for task in asyncio.all_tasks(self):
            coroutine: Any = task.get_coro()
            while coroutine is not None and not abandon(coroutine):
                coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)

    async def shutdown_asyncgens(self) -> None:
        """Close every async generator that this loop has begun to iterate and not finished.

        Errors on the way go to the exception handler. Counterpart: :meth:`asyncio.loop.shutdown_asyncgens`.
        """
        self._asyncgens_shutdown_called = True
        closing = list(self._asyncgens)
        self._asyncgens.clear()
        if not closing:
            return
        results = await asyncio.gather(*(agen.aclose() for agen in closing), return_exceptions=True)
        for agen, result in zip(closing, results, strict=True):
            if isinstance(result, Exception):
                self.call_exception_handler(
                    {
                        "message": f"an error occurred during closing of asynchronous generator {agen!r}",
                        "exception": result,
                        "asyncgen": agen,
                    }
                )

    # These two carry the names that asyncio gave them in 3.13, for loops that drive a graphical toolkit.

    def _run_forever_setup(self) -> None:
        self._check_closed()
        self._check_running()
        self._install_wakeup()  # first, because it is the one that may fail
        if not self._has_run:
            self._has_run = True
            self._interrupt_before = interrupt_being_handled()
        self._enter_run()
        self._track_coroutine_origins(self.get_debug())
        self._asyncgen_hooks_before = tuple(sys.get_asyncgen_hooks())  # type: ignore[assignment]
        sys.set_asyncgen_hooks(firstiter=self._asyncgen_firstiter_hook, finalizer=self._asyncgen_finalizer_hook)
        asyncio._set_running_loop(self)

    def _run_forever_cleanup(self) -> None:
        self._leave_run()
        asyncio._set_running_loop(None)
        self._uninstall_wakeup()
        self._track_coroutine_origins(False)
        hooks, self._asyncgen_hooks_before = self._asyncgen_hooks_before, None
        if hooks is not None:
            sys.set_asyncgen_hooks(*hooks)

    def _check_running(self) -> None:
        if self.is_running():
            raise RuntimeError("This event loop is already running")
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("Cannot run the event loop while another loop is running")

    def _track_coroutine_origins(self, enabled: bool) -> None:
        """In debug mode, have "coroutine was never awaited" say where it was made; put the old depth back after."""
        before = self._origin_depth_before
        if enabled and before is None:
            self._origin_depth_before = sys.get_coroutine_origin_tracking_depth()
            sys.set_coroutine_origin_tracking_depth(constants.DEBUG_STACK_DEPTH)
        elif not enabled and before is not None:
            self._origin_depth_before = None
            sys.set_coroutine_origin_tracking_depth(before)

    def _asyncgen_firstiter_hook(self, agen: _AsyncGen) -> None:
        if self._asyncgens_shutdown_called:
            warnings.warn(
                f"asynchronous generator {agen!r} was scheduled after loop.shutdown_asyncgens() call",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )
        self._asyncgens.add(agen)

    def _asyncgen_finalizer_hook(self, agen: _AsyncGen) -> None:
        # The collector may run this in any thread.
        self._asyncgens.discard(agen)
        if not self.is_closed():
            self.call_soon_threadsafe(self.create_task, agen.aclose())


def _debug_by_default() -> bool:
    if sys.flags.dev_mode:
        return True
    return not sys.flags.ignore_environment and bool(os.environ.get("PYTHONASYNCIODEBUG"))
