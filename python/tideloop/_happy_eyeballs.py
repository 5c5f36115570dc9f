"""Happy eyeballs (RFC 8305): try several addresses, each a little later than the one before, and keep the first."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

__all__ = ["connect_first", "interleave_families"]

_AddrInfo = tuple[Any, Any, int, str, Any]  # family, type, protocol, canonical name, address
_Attempt = Callable[[], Coroutine[Any, Any, socket.socket]]
_Task = asyncio.Task[socket.socket]


def interleave_families(infos: Sequence[_AddrInfo], first_family_count: int) -> list[_AddrInfo]:
    """Order *infos* by turns of their families, after *first_family_count* - 1 extra ones of the first family."""
    families: dict[int, list[_AddrInfo]] = {}
    for info in infos:
        families.setdefault(info[0], []).append(info)
    if not families:
        return []
    lists = list(families.values())
    head, lists[0] = lists[0][: first_family_count - 1], lists[0][first_family_count - 1 :]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*lists))
    return head + [info for info in turns if info is not None]


async def connect_first(
    loop: asyncio.AbstractEventLoop, attempts: Sequence[_Attempt], delay: float
) -> socket.socket | None:
    """The socket of the first attempt that succeeds, None if all fail with OSError; any other error is raised.

    An attempt starts *delay* seconds after the one before it, or as soon as that one has failed. Every attempt that
    lost has ended when this returns, and no socket but the winner's is left open.
    """
    running: set[_Task] = set()
    try:
        for position, attempt in enumerate(attempts):
            latest = loop.create_task(attempt())
            running.add(latest)
            deadline = loop.time() + delay if position + 1 < len(attempts) else None
            while running and not (latest.done() and deadline is not None):
                timeout = None if deadline is None else deadline - loop.time()
                if timeout is not None and timeout <= 0:
                    break
                await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                winner = _take_winner(running)
                if winner is not None:
                    return winner
        return None
    finally:
        for task in running:
            task.add_done_callback(_close_loser)
            task.cancel()
        if running:
            await asyncio.wait(running)


def _take_winner(running: set[_Task]) -> socket.socket | None:
    """Take ended attempts out of *running*; return the socket of one that succeeded, and leave others to be closed."""
    for task in [task for task in running if task.done()]:
        running.remove(task)
        error = task.exception() if not task.cancelled() else None
        if error is None and not task.cancelled():
            return task.result()
        if error is not None and not isinstance(error, OSError):
            raise error
    return None


def _close_loser(task: _Task) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
