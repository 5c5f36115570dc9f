"""Runs a program of `programs.py` on a loop with a simulated clock, and writes down what happened and when.

Each operation is a method `op_…` here. What it did goes into the trace with the time, the task and the result; a lock
held twice, an item that came out twice and their like go into `broken`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from .clocks import START_NS
from .programs import Block

ADDRESS = re.compile(r"0x[0-9a-f]+|<(Task|Future|_GatheringFuture) .*", re.DOTALL)
STATE = re.compile(r"\[.*\]>$")
# Rounds of cancelling everything, after which a task that still lives is stuck.
CANCEL_ROUNDS_MAX = 12
# Where a program goes on and on, something is wrong with a loop or a primitive.
EVENTS_MAX = 20_000


class Boom(Exception):
    """What a program raises on purpose."""


class Endless(BaseException):
    """A program that does not end."""


def describe(exc: BaseException | None) -> Any:
    """An exception as a value that can be compared."""
    if exc is None:
        return None
    text = ADDRESS.sub("0x", str(exc)) if not isinstance(exc, BaseExceptionGroup) else exc.message
    inner = [describe(each) for each in exc.exceptions] if isinstance(exc, BaseExceptionGroup) else ()
    return type(exc).__name__, text, *inner, type(exc.__cause__).__name__


class Who:
    """A task's name, what it waits for, and the time-outs that it is in.

    It may wait for the first `older` tasks alone, and so may whoever it waits for: nobody waits in a circle, which
    asyncio's cancel() would go round for ever.
    """

    def __init__(self, name: str, older: int) -> None:
        self.name = name
        self.older = older
        self.waits: Any = None
        self.timeouts: list[Any] = []
        self.children = 0

    def child(self) -> Who:
        self.children += 1
        return Who(f"{self.name}.{self.children}", self.older)

    @contextlib.contextmanager
    def waiting(self, *what: Any) -> Iterator[None]:
        before, self.waits = self.waits, what
        try:
            yield
        finally:
            self.waits = before


class Machine:
    """One run of one program. `names` gives the functions and classes, `loop` runs it."""

    def __init__(self, loop: Any, names: Any, program: dict[str, Any]) -> None:
        self.loop, self.names, self.program = loop, names, program
        self.trace: list[Any] = []
        self.broken: list[str] = []
        self.tasks: list[tuple[Who, Any]] = []
        # Tasks that gather() and its like made, in the order of their first steps.
        self.inner: dict[Any, Who] = {}
        self.groups: list[tuple[Who, Any]] = []
        objects = program["objects"]
        self.locks = [names.Lock(), names.Lock()]
        self.condition = names.Condition(self.locks[0]) if objects["condition shares lock"] else names.Condition()
        self.events = [names.Event(), names.Event()]
        bound, bounded = objects["semaphores"]
        self.semaphores = [names.Semaphore(bound), names.BoundedSemaphore(bounded)]
        self.bounds = [bound, bounded]
        self.barrier = names.Barrier(objects["parties"])
        self.queues = [self.queue(kind, size) for kind, size in objects["queues"]]
        self.futures = [loop.create_future(), loop.create_future()]
        self.notified = 0
        self.holders: Counter[Any] = Counter()
        self.put: list[Counter[Any]] = [Counter(), Counter()]
        self.got: list[Counter[Any]] = [Counter(), Counter()]
        # What nobody looks at when it comes may be lost with whoever waited.
        self.unseen = False

    def queue(self, kind: str, size: int) -> Any:
        if kind != "Custom":
            return getattr(self.names, kind)(size)

        class Custom(self.names.Queue):  # type: ignore[misc, name-defined]
            """The largest first, by the hooks that asyncio's documentation shows."""

            def _init(self, maxsize: int) -> None:
                self._queue: list[Any] = []

            def _put(self, item: Any) -> None:
                self._queue.append(item)
                self._queue.sort()

            def _get(self) -> Any:
                return self._queue.pop()

        return Custom(size)

    # The run.

    def run(self) -> list[Any]:
        loop = self.loop
        loop.set_exception_handler(self.report)
        if self.program["debug"]:
            loop.set_debug(True)
            loop.slow_callback_duration = 1e9
        if self.program["eager"]:
            loop.set_task_factory(self.names.eager_task_factory)
        loop.call_soon(self.start)
        for delay, action in self.program["outside"]:
            loop.call_later(delay / 1e6, self.act, action)
        loop.run_forever()
        self.look("idle")
        self.check_idle()
        for number in range(CANCEL_ROUNDS_MAX):
            pending = self.pending()
            if not pending:
                break
            if number > CANCEL_ROUNDS_MAX // 2:
                # A condition does not give up before it has its lock, which nobody may hold any more.
                for lock in (*self.locks, self.condition):
                    if lock.locked():
                        lock.release()
            for who, task in pending:
                self.log(who, "cancelled at the end", task.cancel(f"end {number}"))
            loop.run_forever()
        self.look("end")
        self.check_end()
        return self.trace

    def pending(self) -> list[tuple[Who, Any]]:
        """The tasks that have not ended."""
        made = {task: who for who, task in self.tasks}
        return [(who, task) for task, who in (made | self.inner).items() if not task.done()]

    def start(self) -> None:
        for number, block in enumerate(self.program["tasks"]):
            self.spawn(Who(f"T{number}", number), ("block", block))

    def log(self, who: Who | None, *event: Any) -> None:
        if len(self.trace) > EVENTS_MAX:
            raise Endless
        at = (self.loop.now_ns - START_NS) // 1000
        self.trace.append((at, who.name if who else "outside", *event))

    def report(self, loop: Any, context: dict[str, Any]) -> None:
        # When an object's end comes is not part of the contract.
        if "never retrieved" not in context["message"] and "was destroyed" not in context["message"]:
            message = ADDRESS.sub("0x", context["message"]).partition("<")[0]
            self.log(None, "report", message, describe(context.get("exception")))

    def look(self, when: str) -> None:
        """Write down the state of everything."""
        for who, task in self.tasks:
            self.log(who, when, self.state(task), who.waits, task.cancelling())
        things = (*self.locks, self.condition, *self.events, *self.semaphores, self.barrier)
        for thing in things:
            self.log(None, when, type(thing).__name__, *STATE.findall(repr(thing)))
        for queue in self.queues:
            # Not by the lists of who waits: whoever looks at those has a queue that takes the long way from then on.
            self.log(None, when, "queue", queue.qsize(), queue.empty(), queue.full(), queue._format())
        self.log(None, when, [self.state(future) for future in self.futures])

    @staticmethod
    def state(future: Any) -> Any:
        if not future.done():
            return "pending"
        if future.cancelled():
            return "cancelled"
        return describe(future.exception()) if future.exception() else ("result", future.result())

    # What must hold, whatever asyncio does.

    def check_idle(self) -> None:
        """Nothing more will happen: nobody may wait for what is there."""
        for who, _ in self.pending():
            if who.waits is None:
                continue
            kind, number = who.waits[0], who.waits[-1]
            lost = (
                (kind == "lock" and not self.locks[number].locked())
                or (kind == "semaphore" and self.semaphores[number]._value > 0)
                or (kind == "event" and self.events[number].is_set())
                or (kind == "get" and not self.queues[number].empty())
                or (kind == "put" and not self.queues[number].full())
                or (kind == "join" and "tasks=" not in self.queues[number]._format())
                or (kind == "task" and self.tasks[number][1].done())
                or (kind == "future" and self.futures[number].done())
            )
            if lost:
                self.broken.append(f"{who.name} waits for {kind} {number}, which is there: a wake-up was lost")

    def check_end(self) -> None:
        """Every task has ended: what was taken is back."""
        if pending := [who.name for who, _ in self.pending()]:
            self.broken.append(f"{pending} survived being cancelled again and again")
            return
        if not self.unseen:
            # Who awaits get() within something else may be cancelled together with the item.
            for number, queue in enumerate(self.queues):
                self.check_queue(number, queue)
        for (kind, number), count in self.holders.items():
            if count:
                self.broken.append(f"{kind} {number} is held {count} times at the end")

    def check_queue(self, number: int, queue: Any) -> None:
        left: Counter[Any] = Counter()
        while not queue.empty():
            left[queue.get_nowait()] += 1
        if self.put[number] != self.got[number] + left:
            there = self.got[number] + left
            lost, more = self.put[number] - there, there - self.put[number]
            self.broken.append(f"queue {number} lost {dict(lost)} and made up {dict(more)}")

    @contextlib.contextmanager
    def holding(self, kind: str, number: int, most: int) -> Iterator[None]:
        self.holders[kind, number] += 1
        if self.holders[kind, number] > most and self.program["disciplined"]:
            self.broken.append(f"{kind} {number} is held {self.holders[kind, number]} times")
        try:
            yield
        finally:
            self.holders[kind, number] -= 1

    # Blocks and tasks.

    async def block(self, who: Who, block: Block) -> str:
        for operation in block:
            await self.operation(who, operation)
        return who.name

    async def first_block(self, who: Who, block: Block) -> str:
        """A block that may be a task's coroutine."""
        self.inner.setdefault(self.names.current_task(), who)
        return await self.block(who, block)

    async def operation(self, who: Who, operation: Any) -> None:
        name = operation[0]
        function = OPERATIONS[name]
        try:
            await function(self, who, *operation[1:])
        except (asyncio.CancelledError, TimeoutError, Boom, BaseExceptionGroup) as exc:
            self.log(who, name, "raises", describe(exc))
            raise
        except Exception as exc:
            # RuntimeError, QueueEmpty, BrokenBarrierError, …: told, and over.
            self.log(who, name, "fails", describe(exc))

    def act(self, action: Any) -> None:
        """An operation by a plain callback: none of those that are made here waits."""
        steps = self.operation(Who("outside", 0), action)
        with contextlib.suppress(StopIteration):
            steps.send(None)

    def spawn(self, who: Who, awaitable: Any, create: Callable[..., Any] | None = None) -> Any:
        made = self.awaitable(who, awaitable)
        if awaitable[0] in ("task", "future"):
            made = self.alone(who, made)
        create = create or self.names.create_task
        task = create(made, name=who.name)
        self.tasks.append((who, task))
        task.add_done_callback(lambda task: self.log(who, "done", self.state(task)))
        return task

    async def alone(self, who: Who, awaitable: Any) -> Any:
        return await awaitable

    def awaitable(self, who: Who, awaitable: Any) -> Any:
        """What gather() and its like are given: a coroutine of ours, one of a primitive's, a task or a future."""
        kind, *rest = awaitable
        if kind == "block":
            return self.first_block(who, rest[0])
        if kind == "task":
            return self.tasks[rest[0] % who.older][1] if who.older else self.futures[0]
        if kind == "future":
            return self.futures[rest[0]]
        if kind == "sleep":
            return self.names.sleep(rest[0] / 1e6, f"slept {rest[0]}")
        if kind == "event":
            return self.events[rest[0]].wait()
        if kind == "barrier":
            return self.barrier.wait()
        self.unseen = True
        if kind in ("lock", "semaphore"):
            return (self.locks if kind == "lock" else self.semaphores)[rest[0]].acquire()
        if kind == "put":
            return self.queues[rest[0]].put(rest[1])
        return self.queues[rest[0]].get() if kind == "get" else self.queues[rest[0]].join()

    def awaitables(self, who: Who, awaitables: list[Any]) -> list[Any]:
        return [self.awaitable(who.child(), each) for each in awaitables]


# Filled by operations.py.
OPERATIONS: dict[str, Callable[..., Any]] = {}
