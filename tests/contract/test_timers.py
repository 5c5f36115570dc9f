"""Timers: their order, their punctuality, and what becomes of cancelled ones."""

import asyncio
import gc
import itertools
import math
import time

import pytest

from support import turn


def test_timers_run_in_the_order_of_their_deadlines(loop):
    ran = []
    now = loop.time()  # one for all: the machine may stand still between two calls
    for delay in (0.03, 0.01, 0.02):
        loop.call_at(now + delay, ran.append, delay)
    loop.call_at(now + 0.04, loop.stop)
    loop.run_forever()
    assert ran == [0.01, 0.02, 0.03]


def test_equal_deadlines_run_in_a_stable_order_within_one_turn(loop):
    ran = []
    when = loop.time() + 0.01
    for number in range(3):
        loop.call_at(when, ran.append, number)
    loop.call_at(when + 0.01, loop.stop)
    loop.run_forever()
    assert sorted(ran) == [0, 1, 2]


@pytest.mark.parametrize("delay", [0.0005, 0.001, 0.0015, 0.0105, 0.05])
def test_timer_never_fires_early(loop, delay):
    async def main():
        for _ in range(5):
            start = time.monotonic()
            await asyncio.sleep(delay)
            # asyncio fires up to its clock's resolution, 1 ns on Linux, before the time.
            assert time.monotonic() - start >= delay - 2e-9

    loop.run_until_complete(main())


def test_timer_called_at_a_time_sees_that_time_on_the_clock(loop):
    seen = []
    when = loop.time() + 0.005
    loop.call_at(when, lambda: seen.append(loop.time()))
    loop.call_at(when + 0.001, loop.stop)
    loop.run_forever()
    assert seen[0] >= when - 2e-9


@pytest.mark.alone
def test_timer_is_not_late_by_more_than_an_idle_machine_makes_it(loop):
    async def main():
        late = []
        for _ in range(15):
            start = time.perf_counter()
            await asyncio.sleep(0.002)
            late.append(time.perf_counter() - start - 0.002)
        return sorted(late)[len(late) // 2]

    # asyncio's clock for waiting has steps of 1 ms.
    assert min(loop.run_until_complete(main()) for _ in range(3)) < 0.003


@pytest.mark.parametrize("delay", [0, -1, -1e9, 0.0, -0.0, False])
def test_timer_without_a_wait_is_due_in_the_next_turn_but_not_in_this_one(loop, delay):
    ran = []

    def schedule():
        loop.call_later(delay, ran.append, "timer")
        loop.call_soon(ran.append, "soon")

    loop.call_soon(schedule)
    turn(loop)
    assert ran == []
    turn(loop)
    assert ran == ["soon", "timer"]


def test_timer_of_the_past_is_due_in_the_next_turn(loop):
    ran = []
    loop.call_at(loop.time() - 5, ran.append, 1)
    loop.call_at(0, ran.append, 0)
    turn(loop)
    assert sorted(ran) == [0, 1]


def test_timer_cancelled_before_its_time_does_not_run(loop):
    ran = []
    handle = loop.call_later(0.001, ran.append, "cancelled")
    handle.cancel()
    loop.call_later(0.005, loop.stop)
    loop.run_forever()
    assert ran == []


def test_timer_cancelled_in_its_own_turn_does_not_run(loop):
    ran = []
    when = loop.time() - 1
    loop.call_at(when, lambda: handle.cancel())
    handle = loop.call_at(when + 0.1, ran.append, "cancelled")
    turn(loop, 2)
    assert ran == []
    assert handle.cancelled()


def test_timer_can_be_cancelled_by_a_callback_that_ran_while_it_was_ready(loop):
    ran = []
    handle = loop.call_later(0, ran.append, "cancelled")
    loop.call_soon(handle.cancel)
    turn(loop, 3)
    assert ran == []


def test_cancelling_a_timer_twice_or_after_it_ran_is_harmless(loop):
    ran = []
    handle = loop.call_later(0, ran.append, 1)
    turn(loop)
    handle.cancel()
    handle.cancel()
    turn(loop)
    assert ran == [1]
    assert handle.cancelled()


def test_timers_added_by_timers_run(loop):
    ran = []

    def again(left):
        ran.append(left)
        if left:
            loop.call_later(0, again, left - 1)
        else:
            loop.stop()

    loop.call_later(0, again, 50)
    loop.run_forever()
    assert ran == list(range(50, -1, -1))


def test_earlier_timer_added_later_shortens_the_wait(loop):
    ran = []
    late = loop.call_later(3600, ran.append, "late")
    loop.call_soon(lambda: loop.call_later(0.001, loop.stop))
    start = time.monotonic()
    loop.run_forever()
    late.cancel()
    assert time.monotonic() - start < 5
    assert ran == []


def test_cancelling_the_earliest_timer_lets_the_next_one_run_on_time(loop):
    ran = []
    handle = loop.call_later(0.001, ran.append, "cancelled")
    loop.call_later(0.01, lambda: (ran.append("kept"), loop.stop()))
    loop.call_soon(handle.cancel)
    loop.run_forever()
    assert ran == ["kept"]


def test_hundred_thousand_cancelled_timers_leave_no_garbage(loop):
    class Argument:
        alive = 0

        def __init__(self):
            Argument.alive += 1

        def __del__(self):
            Argument.alive -= 1

    def schedule():
        for _ in range(100):
            for handle in [loop.call_later(3600, print, Argument()) for _ in range(1000)]:
                handle.cancel()

    keep = [loop.call_later(3600, print) for _ in range(10)]
    loop.call_soon(schedule)
    turn(loop, 3)
    gc.collect()
    assert Argument.alive == 0
    for handle in keep:
        handle.cancel()
    del keep, handle
    turn(loop, 2)


def test_cancelled_timer_lets_go_of_its_callback_and_arguments_at_once(loop):
    class Argument:
        pass

    import weakref

    argument = Argument()
    seen = weakref.ref(argument)
    handle = loop.call_later(3600, print, argument)
    del argument
    assert seen() is not None
    handle.cancel()
    gc.collect()
    assert seen() is None


def test_ten_thousand_timers_in_random_order_all_run_in_order(loop):
    import random

    ran = []
    base = loop.time()
    numbers = list(range(10_000))
    random.Random(7).shuffle(numbers)
    for number in numbers:
        loop.call_at(base - 1 + number * 1e-5, ran.append, number)
    turn(loop, 2)
    assert ran == sorted(numbers)


@pytest.mark.parametrize("delay", [1e9, 1e15, 1e300, math.inf])
def test_huge_delays_are_accepted_and_do_not_hold_the_loop(loop, delay):
    ran = []
    handle = loop.call_later(delay, ran.append, "never")
    loop.call_later(0.002, loop.stop)
    loop.run_forever()
    assert ran == []
    assert handle.when() >= delay
    handle.cancel()


def test_only_timer_far_away_lets_a_thread_wake_the_loop(loop):
    import threading

    handle = loop.call_later(1e12, print)
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(loop.stop))
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    handle.cancel()


@pytest.mark.parametrize("value", [None, "1", object()], ids=["None", "str", "object"])
def test_delay_that_is_no_number_is_a_type_error(loop, value):
    with pytest.raises(TypeError):
        loop.call_later(value, print)
    turn(loop, 2)


def test_none_is_refused_by_name(loop):
    with pytest.raises(TypeError, match="^delay must not be None$"):
        loop.call_later(None, print)
    with pytest.raises(TypeError, match="^when cannot be None$"):
        loop.call_at(None, print)


@pytest.mark.parametrize("value", [1, True, 0.5])
def test_integers_and_floats_are_times(loop, value):
    before = loop.time()
    handle = loop.call_later(value, print)
    assert before < handle.when() <= loop.time() + value
    handle.cancel()


def test_call_at_keeps_the_exact_time(loop):
    when = loop.time() + 1234.56789
    handle = loop.call_at(when, print)
    assert handle.when() == when
    handle.cancel()


def test_callback_that_is_not_callable_is_refused_in_debug_mode(loop):
    loop.set_debug(True)
    with pytest.raises(TypeError, match=r"a callable object was expected by call_at\(\)"):
        loop.call_at(loop.time(), "not callable")
    with pytest.raises(TypeError, match="a callable object was expected by call_"):
        loop.call_later(0, "not callable")


def test_sleep_zero_yields_exactly_one_turn(loop):
    ran = []

    async def sleeper():
        ran.append("before")
        await asyncio.sleep(0)
        ran.append("after")

    task = loop.create_task(sleeper())
    turn(loop)
    assert ran == ["before"]
    turn(loop)
    assert ran == ["before", "after"]
    loop.run_until_complete(task)


def test_sleep_returns_its_result_and_negative_ones_too(loop):
    assert loop.run_until_complete(asyncio.sleep(-1, "result")) == "result"
    assert loop.run_until_complete(asyncio.sleep(0.001, "result")) == "result"


def test_sleeps_end_in_the_order_of_their_lengths(loop):
    ran, begun = [], []
    delays = (0.03, 0.02, 0.01, 0)

    async def sleeper(number):
        begun.append(loop.time())
        await asyncio.sleep(delays[number])
        ran.append(number)

    async def main():
        sleepers = [asyncio.ensure_future(sleeper(number)) for number in range(4)]
        loop.call_soon(lambda: begun.append(loop.time()))
        await asyncio.gather(*sleepers)

    loop.run_until_complete(main())
    assert ran[0] == 3
    # Each sleep began between two of the times: if the machine stood still there, another order is right.
    for one, other in itertools.combinations(ran[1:], 2):
        assert begun[one] + delays[one] <= begun[other + 1] + delays[other]


def test_exception_in_a_timer_reaches_the_exception_handler_with_its_handle(loop):
    from support import reports

    with reports(loop) as seen:
        handle = loop.call_later(0, lambda: 1 / 0)
        turn(loop)
    assert isinstance(seen[0]["exception"], ZeroDivisionError)
    assert seen[0]["handle"] is handle
    seen.clear()
    handle.cancel()
