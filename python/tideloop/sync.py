"""What threads and tasks share: each object serves any thread and any task, on any loop."""

from ._backoff import Backoff as Backoff
from ._both import Barrier as Barrier
from ._both import BoundedSemaphore as BoundedSemaphore
from ._both import Condition as Condition
from ._both import Event as Event
from ._both import Latch as Latch
from ._both import LifoQueue as LifoQueue
from ._both import Lock as Lock
from ._both import Once as Once
from ._both import PriorityQueue as PriorityQueue
from ._both import Queue as Queue
from ._both import RLock as RLock
from ._both import RWLock as RWLock
from ._both import Semaphore as Semaphore
from ._both import acquire_all as acquire_all
from ._native import ApproximateCounter as ApproximateCounter
from ._native import AtomicBool as AtomicBool
from ._native import AtomicInt as AtomicInt
from ._native import AtomicRef as AtomicRef
from ._native import ConcurrentDict as ConcurrentDict
from ._native import ConcurrentList as ConcurrentList
from ._native import ConcurrentSet as ConcurrentSet
from ._native import Snapshot as Snapshot
from ._queue_errors import BrokenBarrierError as BrokenBarrierError
from ._queue_errors import Empty as Empty
from ._queue_errors import Full as Full
from ._queue_errors import ShutDown as ShutDown
from ._simple_queue import SimpleQueue as SimpleQueue
from ._synchronized import synchronized as synchronized

__all__ = [
    "ApproximateCounter",
    "AtomicBool",
    "AtomicInt",
    "AtomicRef",
    "Backoff",
    "Barrier",
    "BoundedSemaphore",
    "BrokenBarrierError",
    "ConcurrentDict",
    "ConcurrentList",
    "ConcurrentSet",
    "Condition",
    "Empty",
    "Event",
    "Full",
    "Latch",
    "LifoQueue",
    "Lock",
    "Once",
    "PriorityQueue",
    "Queue",
    "RLock",
    "RWLock",
    "Semaphore",
    "ShutDown",
    "SimpleQueue",
    "Snapshot",
    "acquire_all",
    "synchronized",
]
