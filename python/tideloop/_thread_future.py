"""The futures of thread pools: the native ones, which are :class:`concurrent.futures.Future` to everybody."""

from __future__ import annotations

import atexit
import gc
import logging
from concurrent import futures
from typing import TYPE_CHECKING, TypeVar

from . import _native
from ._thread_map import PoolMap

__all__ = ["Future"]

LOGGER = logging.getLogger("tideloop")

_T = TypeVar("_T")

if TYPE_CHECKING:

    class Future(futures.Future[_T]):
        """What :meth:`tideloop.threads.ThreadPool.submit` returns."""

else:

    class Future(_native.ThreadFuture, futures.Future):
        """The future of a call in a thread pool. Corresponds to :class:`concurrent.futures.Future`."""

        __slots__ = ()


def _at_exit() -> None:
    """Have exceptions reported that nobody has looked at, while there is still somebody who can.

    Whoever refers to a future until the program ends leaves it to an interpreter that logs nothing any more. The
    collector knows all futures, so that none has to be noted down while the program runs.
    """
    living = gc.get_objects()
    for thing in living:
        if type(thing) is PoolMap:
            thing.__del__()  # what is left of its results is nobody's
    for thing in living:
        if issubclass(type(thing), _native.ThreadFuture):
            _native.ThreadFuture.__del__(thing)


atexit.register(_at_exit)
