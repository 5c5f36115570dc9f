"""Servers of our own, on the standard library's loop in a thread: the same for every peer."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

__all__ = ["listening"]


@contextlib.contextmanager
def listening(opened: Callable[[], AbstractAsyncContextManager[Any]]) -> Iterator[tuple[str, int]]:
    """Run a server, which `async with opened()` has, in a thread; its host and port."""
    ready: concurrent.futures.Future[tuple[str, int]] = concurrent.futures.Future()
    loop = asyncio.SelectorEventLoop()
    ended = asyncio.Event()

    async def serve() -> None:
        async with opened() as server:
            host, port = server.sockets[0].getsockname()
            ready.set_result((host, port))
            await ended.wait()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(serve())
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        address = ready.result()
        try:
            yield address
        finally:
            loop.call_soon_threadsafe(ended.set)
    finally:
        thread.join()
