"""The native primitives for threads and tasks, by their public names."""

from ._native import _both

abandon = _both.abandon
acquire_all = _both.acquire_all
Barrier = _both.Barrier
BoundedSemaphore = _both.BoundedSemaphore
Condition = _both.Condition
Event = _both.Event
Latch = _both.Latch
LifoQueue = _both.LifoQueue
Lock = _both.Lock
Once = _both.Once
PriorityQueue = _both.PriorityQueue
Queue = _both.Queue
RLock = _both.RLock
RWLock = _both.RWLock
RWLockSide = _both.RWLockSide
Semaphore = _both.Semaphore
