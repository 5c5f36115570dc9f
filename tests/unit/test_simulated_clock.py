"""A loop on a simulated clock: no real waiting, and the same order as asyncio on one."""

import asyncio
import time

import pytest

from simulation.clocks import START_NS, TICK_NS, SimulatedAsyncioLoop, simulated_tideloop


@pytest.fixture(params=["asyncio", "tideloop"])
def simulated(request):
    loop = SimulatedAsyncioLoop() if request.param == "asyncio" else simulated_tideloop()()
    yield loop
    loop.close()


def test_hours_of_sleep_take_no_time_and_end_at_the_next_tick(simulated):
    async def main():
        start = simulated.time()
        await asyncio.sleep(3600.00025)
        return simulated.time() - start

    began = time.monotonic()
    assert simulated.run_until_complete(main()) == pytest.approx(3600.001, abs=1e-7)
    assert time.monotonic() - began < 10


def test_time_stands_still_while_something_is_ready(simulated):
    async def main():
        for _ in range(1000):
            await asyncio.sleep(0)
        return simulated.time()

    assert simulated.run_until_complete(main()) == START_NS / 1e9


def test_timers_of_one_tick_run_in_one_turn_in_the_order_of_their_deadlines(simulated):
    log = []

    def note(name):
        log.append((name, simulated.now_ns))
        simulated.call_soon(log.append, "turn")

    for microseconds in (700, 100, 400, 1100):
        simulated.call_later(microseconds / 1e6, note, microseconds)
    simulated.run_forever()
    first, second = START_NS + TICK_NS, START_NS + 2 * TICK_NS
    assert log == [(100, first), (400, first), (700, first), "turn", "turn", "turn", (1100, second), "turn"]


def test_delay_of_nothing_is_due_without_time_passing(simulated):
    log = []
    simulated.call_later(0, lambda: log.append(simulated.now_ns))
    simulated.call_at(simulated.time(), lambda: log.append(simulated.now_ns))
    simulated.run_forever()
    assert log == [START_NS, START_NS]


def test_loop_with_nothing_to_wait_for_stops(simulated):
    cancelled = simulated.call_later(1, print)
    cancelled.cancel()
    simulated.run_forever()
    assert simulated.now_ns == START_NS


def test_clock_moved_by_a_callback_makes_timers_due_in_the_next_turn(simulated):
    log = []
    simulated.call_later(0.5, log.append, "timer")

    def busy():
        simulated.set_clock(simulated.now_ns + 1000 * TICK_NS)
        simulated.call_soon(log.append, "next turn")

    simulated.call_soon(busy)
    simulated.run_forever()
    # asyncio and Tideloop append due timers behind what is ready already.
    assert log == ["next turn", "timer"]


def test_loop_goes_back_to_the_systems_clock():
    loop = simulated_tideloop()()
    try:
        assert loop.time() == START_NS / 1e9
        loop._simulate_clock(None)
        assert loop.time() == pytest.approx(time.monotonic(), abs=1)
        loop.run_until_complete(asyncio.sleep(0.001))
    finally:
        loop.close()
