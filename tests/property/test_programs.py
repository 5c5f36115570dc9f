"""Random programs of callbacks, timers, futures and tasks: what happens, and in which order, is what asyncio does."""

import asyncio
import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import future_class, reports, task_class, turn

SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
TURNS_MAX = 40

# Nothing here depends on real time: every timer is due when it is made, with an order of its own.
numbers = st.integers(0, 7)
actions = st.one_of(
    st.tuples(st.just("call_soon"), numbers),
    st.tuples(st.just("call_soon_threadsafe"), numbers),
    st.tuples(st.just("call_later"), numbers),
    st.tuples(st.just("call_past"), numbers),
    st.tuples(st.just("cancel_handle"), numbers),
    st.tuples(st.just("set_result"), numbers),
    st.tuples(st.just("set_exception"), numbers),
    st.tuples(st.just("cancel_future"), numbers),
    st.tuples(st.just("add_callback"), numbers),
    st.tuples(st.just("remove_callback"), numbers),
    st.tuples(st.just("await_future"), numbers),
    st.tuples(st.just("await_task"), numbers),
    st.tuples(st.just("sleepers"), st.integers(0, 4)),
    st.tuples(st.just("cancel_task"), numbers),
    st.tuples(st.just("uncancel_task"), numbers),
    st.tuples(st.just("stubborn_task"), numbers),
    st.tuples(st.just("failing_task"), numbers),
    st.tuples(st.just("shield"), numbers),
    st.tuples(st.just("gather"), numbers),
    st.tuples(st.just("turn"), st.integers(1, 3)),
)
programs = st.lists(st.tuples(actions, st.lists(actions, max_size=3)), min_size=1, max_size=20)


class Machine:
    """Runs a program on a loop and writes down what happened."""

    def __init__(self, loop, kind):
        self.loop = loop
        self.log = []
        self.handles = []
        self.futures = [loop.create_future() for _ in range(4)] + [future_class(kind)(loop=loop) for _ in range(4)]
        self.callbacks = [[] for _ in self.futures]
        self.tasks = []
        self.task_class = task_class(kind)
        self.count = 0
        # All that is due lies between the machine's start, which may have been just now, and now.
        self.base = loop.time() / 2
        self.past = self.base / 2

    def name(self):
        self.count += 1
        return self.count

    def callback(self, name, inner):
        self.log.append(("ran", name))
        for action in inner:
            if action[0] != "turn":
                self.do(action, ())

    def done(self, name):
        def done_callback(future):
            self.log.append(("done", name, self.state(future)))

        return done_callback

    @staticmethod
    def state(future):
        if not future.done():
            return "pending"
        if future.cancelled():
            return "cancelled"
        return repr(future.exception()) if future.exception() else repr(future.result())

    async def awaiting(self, name, awaited, stubborn=False):
        self.log.append(("starts", name))
        try:
            value = await awaited
        except BaseException as exc:
            self.log.append(("raised", name, type(exc).__name__, exc.args))
            if not stubborn:
                raise
            value = "stubborn"
        self.log.append(("goes on", name, value))
        return name

    async def sleeper(self, name, count):
        for number in range(count):
            self.log.append(("sleeps", name, number))
            await asyncio.sleep(0)

    async def failing(self, name):
        await asyncio.sleep(0)
        raise LookupError(name)

    def start(self, coroutine):
        # Every second task is made by the class, the others by the loop.
        by_class = len(self.tasks) % 2 == 0
        task = self.task_class(coroutine, loop=self.loop) if by_class else self.loop.create_task(coroutine)
        task.add_done_callback(self.done(f"task {len(self.tasks)}"))
        self.tasks.append(task)

    def do(self, action, inner):
        kind, number = action
        getattr(self, "do_" + kind)(number, inner)

    def do_call_soon(self, number, inner):
        self.handles.append(self.loop.call_soon(self.callback, self.name(), inner))

    def do_call_soon_threadsafe(self, number, inner):
        self.handles.append(self.loop.call_soon_threadsafe(self.callback, self.name(), inner))

    def do_call_later(self, number, inner):
        # A step of the clock apart, so that the order is known.
        self.base += 1e-4
        self.handles.append(self.loop.call_at(self.base, self.callback, self.name(), inner))

    def do_call_past(self, number, inner):
        # Earlier than all that call_later makes; the later made, the earlier.
        self.past -= 1e-4
        self.handles.append(self.loop.call_at(self.past, self.callback, self.name(), inner))

    def do_cancel_handle(self, number, inner):
        if self.handles:
            handle = self.handles[number % len(self.handles)]
            handle.cancel()
            self.log.append(("cancelled handle", handle.cancelled()))

    def do_set_result(self, number, inner):
        with contextlib.suppress(asyncio.InvalidStateError):
            self.futures[number].set_result(self.name())

    def do_set_exception(self, number, inner):
        with contextlib.suppress(asyncio.InvalidStateError):
            self.futures[number].set_exception(ValueError(self.name()))

    def do_cancel_future(self, number, inner):
        self.log.append(("cancel future", self.futures[number].cancel(f"message {self.name()}")))

    def do_add_callback(self, number, inner):
        callback = self.done(self.name())
        self.callbacks[number].append(callback)
        self.futures[number].add_done_callback(callback)

    def do_remove_callback(self, number, inner):
        # Its own only: a task whose wake-up is taken away sleeps for ever.
        if self.callbacks[number]:
            callback = self.callbacks[number].pop(0)
            self.log.append(("removed", self.futures[number].remove_done_callback(callback)))

    def do_await_future(self, number, inner):
        self.start(self.awaiting(self.name(), self.futures[number]))

    def do_await_task(self, number, inner):
        if self.tasks:
            self.start(self.awaiting(self.name(), self.tasks[number % len(self.tasks)]))

    def do_sleepers(self, number, inner):
        self.start(self.sleeper(self.name(), number))

    def do_cancel_task(self, number, inner):
        if self.tasks:
            task = self.tasks[number % len(self.tasks)]
            self.log.append(("cancel task", task.cancel(f"message {self.name()}"), task.cancelling()))

    def do_uncancel_task(self, number, inner):
        if self.tasks:
            self.log.append(("uncancel", self.tasks[number % len(self.tasks)].uncancel()))

    def do_stubborn_task(self, number, inner):
        self.start(self.awaiting(self.name(), self.futures[number], stubborn=True))

    def do_failing_task(self, number, inner):
        self.start(self.failing(self.name()))

    def do_shield(self, number, inner):
        async def shielded(name, future):
            await asyncio.shield(future)
            self.log.append(("shielded", name))

        self.start(shielded(self.name(), self.futures[number]))

    def do_gather(self, number, inner):
        async def gathers(name, futures):
            self.log.append(("gathered", name, len(await asyncio.gather(*futures, return_exceptions=True))))

        self.start(gathers(self.name(), self.futures[: number + 1]))

    def do_turn(self, number, inner):
        for _ in range(number):
            turn(self.loop)
            self.log.append("turn")

    def run(self, program):
        for action, inner in program:
            self.do(action, inner)
        for _ in range(TURNS_MAX):
            turn(self.loop)
            self.log.append("turn")
        self.log.append([self.state(future) for future in self.futures])
        self.log.append([self.state(task) for task in self.tasks])
        for future in self.futures:
            future.cancel()
        for _ in range(TURNS_MAX):
            turn(self.loop)
        for task in self.tasks:
            task.cancel()
        for _ in range(TURNS_MAX):
            turn(self.loop)
        assert all(self.state(task) != "pending" for task in self.tasks)
        return self.log


def outcome(kind, new_loop, program):
    loop = new_loop()
    try:
        with reports(loop) as seen:
            return Machine(loop, kind).run(program), len(seen)
    finally:
        loop.close()


@pytest.mark.loop_kinds("tideloop")
@given(program=programs)
@SETTINGS
def test_random_program_does_what_it_does_on_asyncio(loop_kind, new_loop, program):
    assert outcome(loop_kind, new_loop, program) == outcome("asyncio", asyncio.SelectorEventLoop, program)


@pytest.mark.loop_kinds("asyncio")
@given(program=programs)
@settings(SETTINGS, max_examples=20)
def test_random_program_does_the_same_twice(loop_kind, new_loop, program):
    """The judge itself: were its log not repeatable, the test above would prove nothing."""
    assert outcome(loop_kind, new_loop, program) == outcome("asyncio", asyncio.SelectorEventLoop, program)
