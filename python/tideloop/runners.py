"""Running a program's main coroutine on Tideloop: the names of :mod:`asyncio.runners`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

from ._loop import new_event_loop

__all__ = ["Runner", "run"]

_T = TypeVar("_T")
if sys.version_info >= (3, 14):
    _Main: TypeAlias = Awaitable[_T]
else:
    _Main: TypeAlias = Coroutine[Any, Any, _T]


class Runner(asyncio.Runner):  # type: ignore[misc]  # final to type checkers
    """A context manager that runs coroutines one after another in one Tideloop event loop.

    *debug*: the loop's debug mode, None for its default. *loop_factory*: makes the loop, None for
    :func:`tideloop.new_event_loop`. Counterpart: :class:`asyncio.Runner`.
    """

    def __init__(
        self, *, debug: bool | None = None, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    ) -> None:
        super().__init__(debug=debug, loop_factory=loop_factory if loop_factory is not None else new_event_loop)


def run(
    main: _Main[_T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> _T:
    """Run the coroutine *main* in a new Tideloop event loop, close the loop, and return the result.

    *debug* and *loop_factory* as for :class:`Runner`. Ctrl+C cancels *main* and ends in KeyboardInterrupt.
    Raises RuntimeError inside a running loop. Counterpart: :func:`asyncio.run`.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)
