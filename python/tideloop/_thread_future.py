"""The futures of thread pools: the native ones, which are :class:`concurrent.futures.Future` to everybody."""

from __future__ import annotations

import logging
from concurrent import futures
from typing import TYPE_CHECKING, TypeVar

from . import _native

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
