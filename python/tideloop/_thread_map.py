"""The results of ``ThreadPool.map``: an iterator for threads and an asynchronous one for tasks, in one object."""

from __future__ import annotations

import asyncio
import collections
import itertools
import math
import operator
import queue
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sized
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from . import _thread_mail

__all__ = ["PoolMap"]

_T = TypeVar("_T")
_Submit = Callable[..., "Future[Any]"]


class PoolMap(Iterator[_T], AsyncIterator[_T], Generic[_T]):
    """What a function gives for each item; made by :meth:`ThreadPool.map`."""

    def __init__(
        self,
        submit: _Submit,
        must_help: Callable[[], bool],
        fn: Callable[..., _T],
        iterables: tuple[Iterable[Any], ...],
        *,
        timeout: float | None,
        chunksize: int,
        buffersize: int | None,
        ordered: bool,
        progress: Callable[[int, int | None], object] | None,
    ) -> None:
        self._begun = False
        # Held while a result is waited for: like a generator, it has one consumer at a time.
        self._consuming = threading.Lock()
        chunksize = _items_per_job(chunksize)
        _check_buffersize(buffersize)
        if buffersize is not None:
            chunksize = min(chunksize, buffersize)
        self._end = None if timeout is None else time.monotonic() + timeout
        self._total = _total(iterables)
        if progress is not None and not callable(progress):
            raise TypeError(f"progress must be callable or None, not {type(progress).__name__}")
        self._ordered, self._progress = ordered, progress
        self._delivered = 0
        items: Iterator[tuple[Any, ...]] = zip(*iterables, strict=False)
        self._chunksize, self._chunked = chunksize, chunksize > 1
        # How many items more may be taken ahead of the results that were delivered.
        self._room: float = math.inf if buffersize is None else buffersize
        self._call: Callable[..., Any]
        self._source: Iterator[tuple[Any, ...]]
        self._call, self._source = _in_chunks(fn, items, chunksize) if self._chunked else (fn, items)
        self._submit: _Submit | None = submit
        # Whether what this thread waits for is left to itself, because it is one of the pool's and no other is free.
        self._must_help: Callable[[], bool] | None = must_help
        # Without an order: those that are done, in the order in which they were.
        self._done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._pending: collections.OrderedDict[Future[Any], None] = collections.OrderedDict()
        self._results: collections.deque[Any] = collections.deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._submit_ahead()

    def __iter__(self) -> PoolMap[_T]:
        return self

    def __aiter__(self) -> PoolMap[_T]:
        return self

    def __next__(self) -> _T:
        if not self._consuming.acquire(blocking=False):
            raise ValueError("generator already executing")
        try:
            self._begun = True
            while not self._results and self._pending:
                self._take(self._first_done())
            if self._results:
                return self._deliver()
            self._complete()
        except StopIteration as error:
            # To whoever iterates it would look like the end of the results.
            self.close()
            raise RuntimeError("generator raised StopIteration") from error
        except BaseException:
            self.close()
            raise
        finally:
            self._consuming.release()
        raise StopIteration

    async def __anext__(self) -> _T:
        if not self._consuming.acquire(blocking=False):
            raise RuntimeError("anext(): asynchronous generator is already running")
        try:
            self._begun = True
            while not self._results and self._pending:
                async with asyncio.timeout(self._left()):
                    future = await self._first_done_in_loop()
                self._take(future)
            if self._results:
                return self._deliver()
            self._complete()
        except (StopIteration, StopAsyncIteration) as error:
            self.close()
            kind = "StopIteration" if isinstance(error, StopIteration) else "StopAsyncIteration"
            raise RuntimeError(f"async generator raised {kind}") from error
        except BaseException:
            self.close()
            raise
        finally:
            self._consuming.release()
        raise StopAsyncIteration

    def close(self) -> None:
        """Take no more items and cancel the calls that have not begun. It is called at the end of the results."""
        pending, self._pending = self._pending, collections.OrderedDict()
        self._submit = self._must_help = None
        self._source = iter(())
        self._results.clear()
        for future in pending:
            if not future.cancel():
                future.add_done_callback(_retrieve)
        progress, self._progress = self._progress, None
        end = getattr(progress, "close", None)
        if end is not None:
            end()

    async def aclose(self) -> None:
        """The same, for ``contextlib.aclosing``."""
        self.close()

    def __del__(self) -> None:
        # Whoever has never asked for a result wants the calls all the same, as with Executor.map.
        if self._begun:
            self.close()

    def _submit_ahead(self) -> None:
        while self._room >= self._chunksize:
            item = next(self._source, None)
            if item is None:
                self._room = -math.inf
            else:
                self._add(item)
                self._room -= len(item) if self._chunked else 1

    def _add(self, item: tuple[Any, ...]) -> None:
        assert self._submit is not None
        future = self._submit(self._call, *item)
        self._pending[future] = None
        if not self._ordered:
            if self._loop is None:
                future.add_done_callback(self._done.put)
            else:
                self._post(future)

    def _take(self, future: Future[Any]) -> None:
        """A call is done: its results are to be handed out."""
        self._pending.pop(future, None)
        if not self._chunked:
            self._results.append((True, future.result(0)))
            return
        results, error = future.result(0)
        self._results.extend((True, result) for result in results)
        if error is not None:
            self._results.append((False, error))

    def _deliver(self) -> _T:
        good, value = self._results.popleft()
        if not good:
            try:
                raise value
            finally:
                del value  # the exception's traceback has this frame
        self._delivered += 1
        self._room += 1
        self._submit_ahead()
        if self._progress is not None:
            self._progress(self._delivered, self._total)
        result: _T = value
        return result

    def _complete(self) -> None:
        complete = getattr(self._progress, "complete", None)
        if complete is not None:
            complete(self._delivered)
        self.close()

    def _left(self) -> float | None:
        return None if self._end is None else self._end - time.monotonic()

    def _first_done(self) -> Future[Any]:
        left = self._left()
        if self._ordered:
            future = next(iter(self._pending))
            if left is not None or not future.done():
                future.exception(left)
            return future
        if left is None and self._done.empty():
            self._help()
        try:
            return self._done.get(timeout=None if left is None else max(left, 0))
        except queue.Empty:
            raise TimeoutError from None

    def _help(self) -> None:
        """Where nobody else would make the next call, make it here, as result() of a call does."""
        if self._must_help is not None and self._must_help():
            for future in self._pending:
                if not future.running() and not future.done():
                    future.exception()
                    return

    async def _first_done_in_loop(self) -> Future[Any]:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            if not self._ordered:
                # Those that are in the queue are told of there; all others come through the mailbox from here on.
                for future in self._pending:
                    self._post(future)
                self._done = queue.SimpleQueue()
        if self._ordered:
            future = next(iter(self._pending))
            if not future.done():
                await _thread_mail.done_on(self._loop, future)
            return future
        while True:
            try:
                return self._done.get_nowait()
            except queue.Empty:
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None

    def _post(self, future: Future[Any]) -> None:
        assert self._loop is not None
        mailbox = _thread_mail.mailbox_of(self._loop)
        future.add_done_callback(lambda done: mailbox.post(self._arrived, done))

    def _arrived(self, future: Future[Any]) -> None:
        self._done.put(future)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _items_per_job(chunksize: object) -> int:
    """ThreadPoolExecutor does not look at *chunksize*, and so takes anything."""
    try:
        return min(max(operator.index(chunksize), 1), sys.maxsize)  # type: ignore[arg-type]
    except TypeError:
        return 1


def _check_buffersize(buffersize: int | None) -> None:
    if buffersize is not None:
        if not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize < 1:
            raise ValueError("buffersize must be None or > 0")


def _total(iterables: tuple[Iterable[Any], ...]) -> int | None:
    if iterables and all(isinstance(iterable, Sized) for iterable in iterables):
        return min(map(operator.length_hint, iterables))
    return None


def _in_chunks(
    fn: Callable[..., Any], items: Iterator[tuple[Any, ...]], size: int
) -> tuple[Callable[..., Any], Iterator[tuple[Any, ...]]]:
    """What a job calls, and with what: the results come in a list, and what was raised behind them."""

    def call(*chunk: tuple[Any, ...]) -> tuple[list[Any], BaseException | None]:
        results: list[Any] = []
        for item in chunk:
            try:
                results.append(fn(*item))
            except BaseException as error:
                return results, error
        return results, None

    def chunks() -> Iterator[tuple[Any, ...]]:
        while chunk := tuple(itertools.islice(items, size)):
            yield chunk

    return call, chunks()


def _retrieve(future: Future[Any]) -> None:
    """What is raised after the end of the results is nobody's."""
    if not future.cancelled():
        future.exception()
