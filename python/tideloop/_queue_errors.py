"""What shared queues raise: threads expect the exceptions of `queue`, tasks those of asyncio, and these are both."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading

from .queues import QueueShutDown

__all__ = ["BrokenBarrierError", "Empty", "Full", "ShutDown"]


class BrokenBarrierError(threading.BrokenBarrierError, asyncio.BrokenBarrierError):
    """A barrier is broken. Both `threading.BrokenBarrierError` and `asyncio.BrokenBarrierError`."""


class Empty(queue.Empty, asyncio.QueueEmpty):
    """There is no item, and one was not to wait, or not longer. Both `queue.Empty` and `asyncio.QueueEmpty`."""


class Full(queue.Full, asyncio.QueueFull):
    """There is no room, and one was not to wait, or not longer. Both `queue.Full` and `asyncio.QueueFull`."""


if sys.version_info >= (3, 13):

    class ShutDown(queue.ShutDown, QueueShutDown):
        """The queue takes no more items, or has no more. Both `queue.ShutDown` and `asyncio.QueueShutDown`."""

else:

    class ShutDown(QueueShutDown):
        """The queue takes no more items, or has no more; a `tideloop.QueueShutDown`, which has no other before 3.13."""


for _class in (BrokenBarrierError, Empty, Full, ShutDown):
    _class.__module__ = "tideloop.sync"
