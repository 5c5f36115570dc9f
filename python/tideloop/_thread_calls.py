"""The ways to have a function called by a thread pool: what the pool and its views have in common."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import math
import operator
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, SupportsIndex, TypeVar, cast

from . import _native, _thread_deadlines, _thread_mail
from ._native import CancelToken
from ._thread_map import PoolMap

if TYPE_CHECKING:
    from ._thread_future import Future
    from ._thread_pool import ThreadPool

__all__ = ["PLAIN", "Calls", "ThreadPoolView"]

_T = TypeVar("_T")
_P = ParamSpec("_P")

# The queue counts with signed numbers of 64 bits.
PRIORITIES = 2**63


@dataclass(frozen=True)
class _Options:
    priority: int = 0
    timeout: float | None = None
    token: CancelToken | None = None
    name: str | None = None


PLAIN = _Options()


class Calls:
    """What a pool and its views have in common: the three ways to have a function called."""

    _options: _Options

    def _pool_core(self) -> _native.ThreadPoolCore:
        raise NotImplementedError

    async def run(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Await ``fn(*args, **kwargs)`` in a thread of the pool, with the caller's context variables.

        Cancelling takes the call out of the queue; if it has begun, the function's token is cancelled, and what it
        returns is dropped. Works on every asyncio loop, and on trio. Corresponds to :func:`asyncio.to_thread`.
        """
        options = self._options
        context = contextvars.copy_context()
        loop = asyncio._get_running_loop()
        core = self._whole_pool()._direct_core
        if loop is None:
            token = options.token or CancelToken()
            future = self._queue(fn, args, kwargs, context, token)
            return cast("_T", await _thread_mail.wait_on_trio(future, token, options.timeout))
        waiting: asyncio.Future[_T]
        if core is not None and isinstance(loop, _native.EventLoop):
            call, args_, kwargs_ = _named(options.name, fn, args, kwargs)
            waiting = core.submit_from_loop(loop, call, args_, kwargs_, context, options.priority, options.token)
        else:
            token = options.token or CancelToken()
            future = self._queue(fn, args, kwargs, context, token)
            waiting = _thread_mail.wait_on(loop, future, token)
        if options.timeout is None:
            return await waiting
        async with asyncio.timeout(options.timeout):
            return await waiting

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Have ``fn(*args, **kwargs)`` called in a thread of the pool; the future of its result.

        The function does not see the caller's context variables. Raises RuntimeError after shutdown(). Corresponds to
        :meth:`concurrent.futures.Executor.submit`.
        """
        if self._options is PLAIN:
            if type(fn) is _Call:
                return cast("Future[_T]", fn.enter(self._pool_core(), args, kwargs))
            return self._pool_core().submit(fn, args, kwargs)
        return self._queue_with_limit(fn, args, kwargs, None)

    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        ordered: bool = True,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> PoolMap[_T]:
        """Call *fn* for the items of *iterables*; the results, for ``for`` or for ``async for``, in the items' order.

        *timeout*: seconds from now to the last result; *chunksize*: items per job, 1 unless it is a number above,
        and *buffersize* at most; *buffersize*: how many items are taken from the iterables ahead of the results that
        were delivered (None: all of them, now, so that an endless one needs a number); *ordered* False: each result as
        soon as it is there; *progress*: called with the number of results so far and the number of items, None if
        unknown.
        Raises what *fn* raises, and TimeoutError. Corresponds to :meth:`concurrent.futures.Executor.map`.
        """
        context = contextvars.copy_context()

        def submit(call: Callable[..., Any], *args: Any) -> Future[Any]:
            # Each has a copy, because no two threads may be in one context.
            return self._queue_with_limit(call, args, {}, context.copy())

        return PoolMap(
            submit,
            self._whole_pool()._must_help,
            fn,
            iterables,
            timeout=timeout,
            chunksize=chunksize,
            buffersize=buffersize,
            ordered=ordered,
            progress=progress,
        )

    def with_options(
        self,
        *,
        priority: int | None = None,
        timeout: float | None = None,
        token: CancelToken | None = None,
        name: str | None = None,
    ) -> ThreadPoolView:
        """The same pool for calls with options; what is None stays as it is.

        *priority*: lower numbers first, 0 is usual; *timeout*: seconds for each call, those in the queue included,
        after which whoever waits gets a TimeoutError, a queued call is dropped, and one that runs goes on with its
        token cancelled; *token*: what cancels the calls and what :func:`tideloop.threads.current_token` gives them;
        *name*: the thread's while it makes the call.
        Raises TypeError and ValueError for what cannot be one of these.
        """
        _check_options(priority, timeout, token, name)
        old = self._options
        options = _Options(
            old.priority if priority is None else priority,
            old.timeout if timeout is None else timeout,
            old.token if token is None else token,
            old.name if name is None else name,
        )
        return ThreadPoolView(self._whole_pool(), options)

    def _whole_pool(self) -> ThreadPool:
        raise NotImplementedError

    def _queue(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: contextvars.Context | None,
        token: CancelToken | None,
    ) -> Future[Any]:
        """Queue a call with the options, by way of the pool's submit() where that is not ours."""
        pool, options = self._whole_pool(), self._options
        if pool._direct_core is None and type(fn) is not _Call:
            return pool.submit(_Call(fn, context, options, token), *args, **kwargs)
        call, args, kwargs = _named(options.name, fn, args, kwargs)
        return self._pool_core().submit(call, args, kwargs, context, options.priority, token)

    def _queue_with_limit(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: contextvars.Context | None,
    ) -> Future[Any]:
        """The same for a call that no loop waits for, so that its time limit is watched elsewhere."""
        options = self._options
        if options.timeout is None:
            return self._queue(fn, args, kwargs, context, options.token)
        token = options.token or CancelToken()
        future = self._queue(fn, args, kwargs, context, token)
        _thread_deadlines.watch(future, options.timeout, token, shared=options.token is not None)
        return future


class ThreadPoolView(Calls):
    """A thread pool with options for its calls; made by :meth:`ThreadPool.with_options`."""

    def __init__(self, pool: ThreadPool, options: _Options) -> None:
        self._pool = pool
        self._options = options

    def _pool_core(self) -> _native.ThreadPoolCore:
        return self._pool._core

    def _whole_pool(self) -> ThreadPool:
        return self._pool


def _check_options(
    priority: SupportsIndex | None, timeout: float | None, token: CancelToken | None, name: str | None
) -> None:
    if priority is not None and not -PRIORITIES <= operator.index(priority) < PRIORITIES:
        raise ValueError("priority must fit in 64 bits")
    if timeout is not None and math.isnan(timeout):
        raise ValueError("timeout must not be NaN")
    for option, value, kind in ("token", token, CancelToken), ("name", name, str):
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{option} must be {kind.__name__} or None, not {type(value).__name__}")


class _Call:
    """A function and the options to call it with, as a submit() that is not ours is given them.

    It hands on what it is given to the pool's own, which takes the two apart again. Where something that it has made
    itself gets there instead, the thread does what is left: the context and the name.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        context: contextvars.Context | None,
        options: _Options,
        token: CancelToken | None,
    ) -> None:
        functools.update_wrapper(self, fn, updated=())
        self._fn, self._context, self._options, self._token = fn, context, options, token

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call, args, kwargs = _named(self._options.name, self._fn, args, kwargs)
        return call(*args, **kwargs) if self._context is None else self._context.run(call, *args, **kwargs)

    def enter(self, core: _native.ThreadPoolCore, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """Queue it."""
        options = self._options
        call, args, kwargs = _named(options.name, self._fn, args, kwargs)
        return core.submit(call, args, kwargs, self._context, options.priority, self._token)


def _named(
    name: str | None, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """The call that makes the thread bear *name* meanwhile."""
    if name is None:
        return fn, args, kwargs
    return functools.partial(_call_named, name, fn), args, kwargs


def _call_named(name: str, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> _T:
    thread = threading.current_thread()
    usual, thread.name = thread.name, name
    try:
        return fn(*args, **kwargs)
    finally:
        thread.name = usual
