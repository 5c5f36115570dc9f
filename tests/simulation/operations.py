"""What a program's operations do: each is `op_NAME(machine, who, …)`, and tells the trace what came of it."""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import Any

from .clocks import TICK_NS
from .machine import OPERATIONS, Boom, Machine, Who, describe
from .programs import Block

# Doing nothing, failing, being cancelled.


async def op_sleep(m: Machine, who: Who, delay: int) -> None:
    m.log(who, "slept", await m.names.sleep(delay / 1e6, delay))


async def op_spin(m: Machine, who: Who, count: int) -> None:
    """Count turns: what takes one turn more or less shows beside it."""
    for number in range(count):
        await m.names.sleep(0)
        m.log(who, "turn", number)


async def op_busy(m: Machine, who: Who, ticks: int) -> None:
    """Take time without giving way."""
    m.loop.set_clock(m.loop.now_ns + ticks * TICK_NS)


async def op_fail(m: Machine, who: Who, number: int) -> None:
    raise Boom(number)


async def op_cancel(m: Machine, who: Who, number: int) -> None:
    if m.tasks:
        other, task = m.tasks[number % len(m.tasks)]
        m.log(who, "cancels", other.name, task.cancel(f"by {who.name}"), task.cancelling())


async def op_cancel_waiting(m: Machine, who: Who, number: int) -> None:
    """Cancel somebody who waits for something, maybe for what came just now."""
    waiting = [(other, task) for other, task in m.pending() if other.waits is not None]
    if waiting:
        other, task = waiting[number % len(waiting)]
        m.log(who, "cancels", other.name, task.cancel(f"by {who.name}"), task.cancelling())


async def op_both(m: Machine, who: Who, one: Any, other: Any) -> None:
    """Two things at once."""
    await m.operation(who, one)
    await m.operation(who, other)


async def op_cancel_self(m: Machine, who: Who) -> None:
    task = m.names.current_task()
    m.log(who, "cancels itself", task.cancel("itself"), task.cancelling())


async def op_uncancel(m: Machine, who: Who) -> None:
    m.log(who, "uncancels", m.names.current_task().uncancel())


async def op_try(m: Machine, who: Who, block: Block) -> None:
    try:
        await m.block(who, block)
    except Exception as exc:
        m.log(who, "caught", describe(exc))


async def op_swallow(m: Machine, who: Who, block: Block) -> None:
    try:
        await m.block(who, block)
    except asyncio.CancelledError as exc:
        m.log(who, "swallowed", describe(exc))


async def op_swallow_uncancel(m: Machine, who: Who, block: Block) -> None:
    try:
        await m.block(who, block)
    except asyncio.CancelledError:
        m.log(who, "swallowed, left", m.names.current_task().uncancel())


async def op_finally(m: Machine, who: Who, block: Block, last: Block) -> None:
    try:
        await m.block(who, block)
    finally:
        m.log(who, "finally")
        await m.block(who, last)


# Locks and their like.


async def op_with_lock(m: Machine, who: Who, number: int, block: Block) -> None:
    with who.waiting("lock", number):
        await m.locks[number].__aenter__()
    try:
        m.log(who, "has lock", number)
        with m.holding("lock", number, 1):
            await m.block(who, block)
    finally:
        await m.locks[number].__aexit__(None, None, None)
    m.log(who, "released lock", number, m.locks[number].locked())


async def op_lock_acquire(m: Machine, who: Who, number: int) -> None:
    with who.waiting("lock", number):
        m.log(who, "acquired", number, await m.locks[number].acquire())


async def op_lock_release(m: Machine, who: Who, number: int) -> None:
    m.log(who, "released", number, m.locks[number].release())


async def op_with_condition(m: Machine, who: Who, block: Block) -> None:
    async with m.condition:
        m.log(who, "has condition", m.condition.locked())
        await m.block(who, block)


async def op_condition_wait(m: Machine, who: Who) -> None:
    with who.waiting("condition"):
        m.log(who, "notified", await m.condition.wait(), m.condition.locked())


async def op_condition_wait_for(m: Machine, who: Who, enough: int) -> None:
    with who.waiting("condition"):
        m.log(who, "notified", await m.condition.wait_for(lambda: m.notified >= enough and m.notified))


async def op_notify(m: Machine, who: Who, count: int) -> None:
    m.notified += 1
    m.log(who, "notifies", m.condition.notify_all() if count < 0 else m.condition.notify(count))


async def op_event_wait(m: Machine, who: Who, number: int) -> None:
    with who.waiting("event", number):
        m.log(who, "event", number, await m.events[number].wait())


async def op_event_set(m: Machine, who: Who, number: int) -> None:
    m.log(who, "set", number, m.events[number].set())


async def op_event_clear(m: Machine, who: Who, number: int) -> None:
    m.log(who, "cleared", number, m.events[number].clear())


async def op_with_semaphore(m: Machine, who: Who, number: int, block: Block) -> None:
    with who.waiting("semaphore", number):
        await m.semaphores[number].__aenter__()
    try:
        m.log(who, "has permit", number, m.semaphores[number].locked())
        with m.holding("semaphore", number, m.bounds[number]):
            await m.block(who, block)
    finally:
        await m.semaphores[number].__aexit__(None, None, None)
    m.log(who, "gave permit", number, m.semaphores[number].locked())


async def op_semaphore_acquire(m: Machine, who: Who, number: int) -> None:
    m.bounds[number] += 100  # it is nobody's any more
    with who.waiting("semaphore", number):
        m.log(who, "permit", number, await m.semaphores[number].acquire())


async def op_semaphore_release(m: Machine, who: Who, number: int) -> None:
    m.semaphores[number].release()
    m.bounds[number] += 1
    m.log(who, "more permits", number, m.semaphores[number].locked())


async def op_barrier_wait(m: Machine, who: Who) -> None:
    with who.waiting("barrier"):
        m.log(who, "passed", await m.barrier.wait(), m.barrier.n_waiting, m.barrier.broken)


async def op_with_barrier(m: Machine, who: Who, block: Block) -> None:
    async with m.barrier as position:
        m.log(who, "passed", position, m.barrier.n_waiting)
        await m.block(who, block)


async def op_barrier_reset(m: Machine, who: Who) -> None:
    m.log(who, "resets", await m.barrier.reset(), m.barrier.n_waiting, m.barrier.broken)


async def op_barrier_abort(m: Machine, who: Who) -> None:
    m.log(who, "aborts", await m.barrier.abort(), m.barrier.n_waiting, m.barrier.broken)


# Queues.


async def op_put(m: Machine, who: Who, number: int, item: Any) -> None:
    with who.waiting("put", number):
        await m.queues[number].put(item)
    m.put[number][item] += 1
    m.log(who, "put", number, item, m.queues[number].qsize())


async def op_put_nowait(m: Machine, who: Who, number: int, item: Any) -> None:
    m.queues[number].put_nowait(item)
    m.put[number][item] += 1
    m.log(who, "put now", number, item, m.queues[number].qsize())


async def op_get(m: Machine, who: Who, number: int) -> None:
    with who.waiting("get", number):
        item = await m.queues[number].get()
    m.got[number][item] += 1
    m.log(who, "got", number, item, m.queues[number].qsize())


async def op_get_done(m: Machine, who: Who, number: int) -> None:
    await op_get(m, who, number)
    await op_task_done(m, who, number)


async def op_get_nowait(m: Machine, who: Who, number: int) -> None:
    item = m.queues[number].get_nowait()
    m.got[number][item] += 1
    m.log(who, "got now", number, item, m.queues[number].qsize())


async def op_task_done(m: Machine, who: Who, number: int) -> None:
    m.log(who, "task done", number, m.queues[number].task_done())


async def op_join(m: Machine, who: Who, number: int) -> None:
    with who.waiting("join", number):
        m.log(who, "joined", number, await m.queues[number].join())


async def op_queue_shutdown(m: Machine, who: Who, number: int, immediate: bool) -> None:
    if immediate:
        m.unseen = True
    m.log(who, "shuts down", number, m.queues[number].shutdown(immediate))


# Putting awaitables together.


def seconds(limit: int | None) -> float | None:
    return None if limit is None else limit / 1e6


async def op_wait_for(m: Machine, who: Who, awaitable: Any, limit: int | None) -> None:
    m.log(who, "in time", await m.names.wait_for(m.awaitable(who.child(), awaitable), seconds(limit)))


async def op_gather(m: Machine, who: Who, awaitables: list[Any], return_exceptions: bool) -> None:
    made = m.awaitables(who, awaitables)
    results = await m.names.gather(*made, return_exceptions=return_exceptions)
    m.log(who, "gathered", [describe(each) if isinstance(each, BaseException) else each for each in results])


async def op_shield(m: Machine, who: Who, awaitable: Any) -> None:
    m.log(who, "shielded", await m.names.shield(m.awaitable(who.child(), awaitable)))


def as_tasks(m: Machine, who: Who, awaitables: list[Any]) -> dict[Any, str]:
    """Futures with names; one that is done at most: asyncio looks at those in the order of a set."""
    futures: dict[Any, str] = {}
    done = 0
    for each in awaitables:
        child = who.child()
        future = m.awaitable(child, each)
        if not asyncio.isfuture(future):
            future = m.spawn(child, each) if each[0] == "block" else m.names.ensure_future(future)
        if future not in futures:
            done += future.done()
            if not future.done() or done == 1:
                futures[future] = child.name
    return futures


async def op_wait(m: Machine, who: Who, awaitables: list[Any], when: str, limit: int | None) -> None:
    futures = as_tasks(m, who, awaitables)
    done, pending = await m.names.wait(list(futures), timeout=seconds(limit), return_when=when)
    m.log(who, "waited", sorted(futures[each] for each in done), sorted(futures[each] for each in pending))


async def op_as_completed(m: Machine, who: Who, awaitables: list[Any], limit: int | None, plainly: bool) -> None:
    futures = as_tasks(m, who, awaitables)
    completed = m.names.as_completed(list(futures), timeout=seconds(limit))
    if plainly or sys.version_info < (3, 13):  # asyncio's is no asynchronous iterator before
        for each in completed:
            try:
                m.log(who, "completed", await each)
            except Boom as exc:
                m.log(who, "completed", describe(exc))
    else:
        async for future in completed:
            m.log(who, "completed", futures[future], m.state(future))


async def op_spawn(m: Machine, who: Who, awaitable: Any) -> None:
    child = who.child()
    child.older = len(m.tasks)
    m.spawn(child, awaitable)


async def op_await_task(m: Machine, who: Who, number: int) -> None:
    if not who.older:
        return
    number %= who.older
    with who.waiting("task", number):
        m.log(who, "awaited", await m.tasks[number][1])


async def op_group(m: Machine, who: Who, block: Block) -> None:
    async with m.names.TaskGroup() as group:
        m.groups.append((who, group))
        try:
            await m.block(who, block)
        finally:
            m.groups.remove((who, group))
            m.log(who, "leaves group", repr(group))
    m.log(who, "left group", repr(group))


async def op_child(m: Machine, who: Who, awaitable: Any) -> None:
    """A task in the youngest group there is, whoever's that may be."""
    if m.groups:
        owner, group = m.groups[-1]
        child = who.child()
        child.older = min(child.older, owner.older)
        m.spawn(child, awaitable, group.create_task)


async def op_timeout(m: Machine, who: Who, limit: int | None, block: Block) -> None:
    timeout = m.names.timeout(seconds(limit))
    try:
        async with timeout:
            who.timeouts.append(timeout)
            try:
                await m.block(who, block)
            finally:
                who.timeouts.pop()
    finally:
        m.log(who, "timed", timeout.expired())


async def op_reschedule(m: Machine, who: Who, limit: int | None) -> None:
    if who.timeouts:
        when = None if limit is None else m.loop.time() + limit / 1e6
        m.log(who, "reschedules", who.timeouts[-1].reschedule(when))


async def op_await_future(m: Machine, who: Who, number: int) -> None:
    with who.waiting("future", number):
        m.log(who, "future", await m.futures[number])


async def op_set_future(m: Machine, who: Who, number: int) -> None:
    m.futures[number].set_result(who.name)


async def op_fail_future(m: Machine, who: Who, number: int) -> None:
    m.futures[number].set_exception(Boom(who.name))


async def op_cancel_future(m: Machine, who: Who, number: int) -> None:
    m.log(who, "cancels future", m.futures[number].cancel(f"by {who.name}"))


OPERATIONS |= {
    name[3:]: made
    for name, made in list(globals().items())
    if inspect.iscoroutinefunction(made) and name.startswith("op_")
}
