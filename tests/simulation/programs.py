"""Random programs as data: the same seed gives the same program everywhere.

A program is a dictionary: `tasks` are the blocks of its first tasks, `outside` what plain callbacks do and when,
`objects` what there is to share. A block is a list of operations, an operation a tuple of its name, numbers and blocks;
`machine.py` says what each does. An awaitable, as gather() and its like take, is a tuple too.

Every delay of a program, in microseconds, is a different fraction of a millisecond, and the clock stands on whole
milliseconds: no two deadlines are equal.
"""

from __future__ import annotations

import random
from typing import Any

Block = list[Any]

FAMILIES = ("lock", "condition", "event", "semaphore", "barrier", "queue", "compose", "group", "timeout", "future")
DEPTH_MAX = 4
OPERATIONS_MAX = 60
RETURN_WHEN = ("FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED")


def generate(seed: int, *, shutdown: bool = False, eager: bool = False) -> dict[str, Any]:
    """The program of a seed. `shutdown`: queues can be shut down; `eager`: there are eager tasks."""
    return _Generator(random.Random(seed), shutdown).program(eager)


class _Generator:
    def __init__(self, source: random.Random, shutdown: bool) -> None:
        self.random = source
        self.shutdown = shutdown
        self.fractions = source.sample(range(1, 1000), 999)
        self.left = OPERATIONS_MAX
        self.serial = 0
        count = source.choice((1, 2, 2, 3, 4, len(FAMILIES)))
        self.families = source.sample(FAMILIES, count)
        # A lock that is released by whoever likes to is a program's mistake: some have it.
        self.undisciplined = source.random() < 0.15
        self.makers = [maker for family in self.families for maker in self.FAMILY[family]]

    def program(self, eager: bool) -> dict[str, Any]:
        choose = self.random.choice
        objects = {
            "condition shares lock": self.random.random() < 0.3,
            "semaphores": [choose((0, 1, 1, 2)), choose((1, 2, 3))],
            "parties": choose((1, 2, 2, 3)),
            "queues": [(choose(("Queue", "LifoQueue", "PriorityQueue", "Custom")), choose((0, 1, 1, 2))) for _ in "12"],
        }
        tasks = [self.block(0) for _ in range(self.random.randint(2, 5))]
        outside = [(self.delay(), self.action()) for _ in range(self.random.randint(0, 5))]
        return {
            "objects": objects,
            "tasks": tasks,
            "outside": outside,
            "eager": eager and self.random.random() < 0.15,
            "disciplined": not self.undisciplined,
            "debug": self.random.random() < 0.02,
        }

    # Numbers.

    def delay(self) -> int:
        """Microseconds, mostly few milliseconds: then things meet."""
        return self.random.choice((0, 0, 0, 1, 1, 2, 3, 5, 8)) * 1000 + self.fractions.pop()

    def limit(self) -> int | None:
        """A time-out, which may also be none or have passed."""
        chance = self.random.random()
        return None if chance < 0.08 else 0 if chance < 0.16 else -1000 if chance < 0.2 else self.delay()

    def two(self) -> int:
        return self.random.randrange(2)

    def task(self) -> int:
        return self.random.randrange(8)

    def item(self) -> tuple[int, int]:
        self.serial += 1
        return self.random.randrange(4), self.serial

    # Blocks.

    def block(self, depth: int) -> Block:
        block = []
        for _ in range(self.random.choice((1, 1, 2, 2, 3, 4) if depth else (2, 3, 4, 6))):
            block.append(self.operation(depth))
            # Whom it woke may be cancelled before it gets to run: that is where permits are lost.
            if self.random.random() < 0.12:
                block.append(("cancel_waiting", self.task()))
        return block

    def operation(self, depth: int) -> Any:
        self.left -= 1
        if self.left < 0 or depth >= DEPTH_MAX:
            return self.idle(depth)
        chance = self.random.random()
        if chance < 0.22:
            return self.idle(depth)
        if chance < 0.30:
            return self.cancelling(depth)
        if chance < 0.38:
            return self.guarded(depth)
        return getattr(self, self.random.choice(self.makers))(depth)

    def idle(self, depth: int) -> Any:
        return self.random.choice((("sleep", self.delay()), ("spin", self.random.randint(1, 3)), ("sleep", 0)))

    def cancelling(self, depth: int) -> Any:
        which = self.random.random()
        if which < 0.6:
            return (self.random.choice(("cancel", "cancel_waiting")), self.task())
        if which < 0.7:
            return ("cancel_self",)
        if which < 0.8:
            return ("uncancel",)
        if which < 0.9:
            return ("fail", self.random.randrange(100))
        return ("busy", self.random.randint(1, 3))

    def guarded(self, depth: int) -> Any:
        kind = self.random.choice(("try", "swallow", "swallow_uncancel", "finally"))
        if kind == "finally":
            return (kind, self.block(depth + 1), self.block(depth + 2))
        return (kind, self.block(depth + 1))

    def guard(self, operation: Any) -> Any:
        return ("try", [operation]) if self.random.random() < 0.8 else operation

    def awaitable(self, depth: int) -> Any:
        chance = self.random.random()
        if chance < 0.5:
            return ("block", self.block(depth + 1))
        if chance < 0.6:
            return ("task", self.task())
        if chance < 0.7:
            return ("future", self.two())
        kinds: list[Any] = [("sleep", self.delay()), ("event", self.two())]
        if "lock" in self.families:
            kinds += [("lock", self.two())]
        if "semaphore" in self.families:
            kinds += [("semaphore", self.two())]
        if "queue" in self.families:
            kinds += [("get", self.two()), ("put", self.two(), self.item()), ("join", self.two())]
        if "barrier" in self.families:
            kinds += [("barrier",)]
        return self.random.choice(kinds)

    def awaitables(self, depth: int) -> list[Any]:
        return [self.awaitable(depth) for _ in range(self.random.choice((0, 1, 2, 2, 3)))]

    # Operations, by family.

    def make_with_lock(self, depth: int) -> Any:
        return ("with_lock", self.two(), self.block(depth + 1))

    def make_lock_raw(self, depth: int) -> Any:
        if not self.undisciplined:
            return self.make_with_lock(depth)
        return (self.random.choice(("lock_acquire", "lock_release")), self.two())

    def make_condition_wait(self, depth: int) -> Any:
        inner = [
            ("condition_wait",) if self.random.random() < 0.6 else ("condition_wait_for", self.random.randint(1, 3))
        ]
        if self.random.random() < 0.4:
            inner += self.block(depth + 2)
        if self.undisciplined and self.random.random() < 0.1:
            return inner[0]
        return ("with_condition", inner)

    def make_notify(self, depth: int) -> Any:
        notify = ("notify", self.random.choice((1, 1, 1, 2, -1)))
        if self.undisciplined and self.random.random() < 0.1:
            return notify
        inner = [notify]
        if self.random.random() < 0.4:
            inner += self.block(depth + 2)
        return ("with_condition", inner)

    def make_event_wait(self, depth: int) -> Any:
        return ("event_wait", self.two())

    def make_event_set(self, depth: int) -> Any:
        return (self.random.choice(("event_set", "event_set", "event_clear")), self.two())

    def make_with_semaphore(self, depth: int) -> Any:
        return ("with_semaphore", self.two(), self.block(depth + 1))

    def make_semaphore_release(self, depth: int) -> Any:
        if not self.undisciplined:
            return ("semaphore_release", 0)
        return (self.random.choice(("semaphore_acquire", "semaphore_release")), self.two())

    def make_barrier(self, depth: int) -> Any:
        chance = self.random.random()
        if chance < 0.7:
            return ("barrier_wait",)
        if chance < 0.85:
            return ("with_barrier", self.block(depth + 1))
        return ("barrier_reset",) if chance < 0.94 else ("barrier_abort",)

    def make_put(self, depth: int) -> Any:
        return (self.random.choice(("put", "put", "put", "put_nowait")), self.two(), self.item())

    def make_get(self, depth: int) -> Any:
        return (self.random.choice(("get", "get", "get_done", "get_done", "get_nowait")), self.two())

    def make_queue_other(self, depth: int) -> Any:
        if self.shutdown and self.random.random() < 0.4:
            return ("queue_shutdown", self.two(), self.random.random() < 0.4)
        return (self.random.choice(("join", "join", "task_done")), self.two())

    def make_wait_for(self, depth: int) -> Any:
        return self.guard(("wait_for", self.awaitable(depth), self.limit()))

    def make_gather(self, depth: int) -> Any:
        return self.guard(("gather", self.awaitables(depth), self.random.random() < 0.5))

    def make_shield(self, depth: int) -> Any:
        return self.guard(("shield", self.awaitable(depth)))

    def make_wait(self, depth: int) -> Any:
        limit = self.limit() if self.random.random() < 0.5 else None
        return ("wait", self.awaitables(depth), self.random.choice(RETURN_WHEN), limit)

    def make_as_completed(self, depth: int) -> Any:
        limit = self.limit() if self.random.random() < 0.5 else None
        return self.guard(("as_completed", self.awaitables(depth), limit, self.random.random() < 0.5))

    def make_spawn(self, depth: int) -> Any:
        return ("spawn", self.awaitable(depth))

    def make_await_task(self, depth: int) -> Any:
        return self.guard(("await_task", self.task()))

    def make_group(self, depth: int) -> Any:
        children = [("child", self.awaitable(depth)) for _ in range(self.random.randint(0, 3))]
        block = children + self.block(depth + 1)
        if self.random.random() < 0.5:
            self.random.shuffle(block)
        return self.guard(("group", block))

    def make_timeout(self, depth: int) -> Any:
        return self.guard(("timeout", self.limit(), self.block(depth + 1)))

    def make_reschedule(self, depth: int) -> Any:
        return ("reschedule", self.limit())

    def make_future(self, depth: int) -> Any:
        kind = self.random.choice(("await_future", "await_future", "set_future", "fail_future", "cancel_future"))
        return self.guard((kind, self.two())) if kind == "await_future" else (kind, self.two())

    FAMILY = {
        "lock": ("make_with_lock", "make_with_lock", "make_lock_raw"),
        "condition": ("make_condition_wait", "make_condition_wait", "make_notify", "make_notify"),
        "event": ("make_event_wait", "make_event_set"),
        "semaphore": ("make_with_semaphore", "make_with_semaphore", "make_semaphore_release"),
        "barrier": ("make_barrier",),
        "queue": ("make_put", "make_put", "make_get", "make_get", "make_queue_other"),
        "compose": (
            "make_wait_for",
            "make_gather",
            "make_shield",
            "make_wait",
            "make_as_completed",
            "make_spawn",
            "make_await_task",
        ),
        "group": ("make_group",),
        "timeout": ("make_timeout", "make_wait_for", "make_reschedule"),
        "future": ("make_future",),
    }

    # What happens from outside of any task.

    def action(self) -> Any:
        if self.random.random() < 0.25:
            return ("both", self.single_action(), self.single_action())
        return self.single_action()

    def single_action(self) -> Any:
        if self.random.random() < 0.6:
            return (self.random.choice(("cancel", "cancel_waiting")), self.task())
        actions: list[Any] = [("event_set", self.two()), ("set_future", self.two()), ("event_clear", self.two())]
        if "queue" in self.families:
            actions += [("put_nowait", self.two(), self.item()), ("get_nowait", self.two())] * 2
        if "semaphore" in self.families:
            actions += [("semaphore_release", 0)] * 2
        if "condition" in self.families and self.undisciplined:
            actions += [("notify", 1)]
        return self.random.choice(actions)
