"""Happy eyeballs: which attempt starts when, who wins, and that no loser leaves a socket or a task."""

import asyncio
import socket

import pytest

from simulation.clocks import TICK_NS, simulated_tideloop
from tideloop._happy_eyeballs import connect_first, interleave_families

V4, V6 = socket.AF_INET, socket.AF_INET6


def info(family, name):
    return (family, socket.SOCK_STREAM, 0, "", name)


@pytest.mark.parametrize(
    ("first", "expected"), [(1, "a x b y c"), (2, "a b x c y"), (3, "a b c x y"), (9, "a b c x y")]
)
def test_families_take_turns_after_the_first_ones(first, expected):
    infos = [info(V6, "a"), info(V6, "b"), info(V6, "c"), info(V4, "x"), info(V4, "y")]
    assert " ".join(one[4] for one in interleave_families(infos, first)) == expected


def test_no_address_stays_no_address():
    assert interleave_families([], 1) == []


class Attempts:
    """Attempts that a test decides: `attempt.settle(name, …)` lets one end."""

    def __init__(self, names):
        self.started: list[str] = []
        self.settled = {}
        self.sockets = {}
        self.names = names

    def __iter__(self):
        return iter([self._make(name) for name in self.names])

    def _make(self, name):
        async def attempt():
            self.started.append(name)
            self.settled[name] = asyncio.get_running_loop().create_future()
            await self.settled[name]
            self.sockets[name] = socket.socket()
            return self.sockets[name]

        return attempt

    async def start(self, count):
        while len(self.started) < count:
            await asyncio.sleep(0)

    def succeed(self, name):
        self.settled[name].set_result(None)

    def fail(self, name, error=None):
        self.settled[name].set_exception(error or ConnectionRefusedError(name))


def race(attempts, delay):
    return asyncio.ensure_future(connect_first(asyncio.get_running_loop(), list(attempts), delay))


def test_a_failure_starts_the_next_attempt_at_once(run):
    async def main():
        attempts = Attempts("ab")
        racing = race(attempts, 3600)
        await attempts.start(1)
        attempts.fail("a")
        await attempts.start(2)
        attempts.succeed("b")
        return await racing is attempts.sockets["b"], attempts.sockets["b"].close()

    assert run(main())[0]


def test_the_delay_starts_the_next_attempt_beside_the_first(run):
    async def main():
        attempts = Attempts("abc")
        racing = race(attempts, 0.005)
        await attempts.start(3)
        attempts.succeed("a")
        winner = await racing
        assert winner is attempts.sockets["a"]
        assert set(attempts.sockets) == {"a"}
        winner.close()

    run(main())


def test_an_earlier_attempts_failure_does_not_shorten_the_delay():
    # On a clock that moves only here: on a busy machine the delay may pass between any two lines.
    loop = simulated_tideloop()()

    async def main():
        attempts = Attempts("abc")
        racing = race(attempts, 0.02)
        await attempts.start(1)
        loop.set_clock(loop.now_ns + 21 * TICK_NS)
        await attempts.start(2)
        attempts.fail("a")
        for _ in range(5):
            await asyncio.sleep(0)
        loop.set_clock(loop.now_ns + 19 * TICK_NS)
        for _ in range(5):
            await asyncio.sleep(0)
        assert attempts.started == ["a", "b"]
        loop.set_clock(loop.now_ns + 2 * TICK_NS)
        await attempts.start(3)
        attempts.succeed("c")
        (await racing).close()

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def test_two_that_succeed_in_one_turn_leave_one_socket(run):
    async def main():
        attempts = Attempts("ab")
        racing = race(attempts, 0)
        await attempts.start(2)
        attempts.succeed("a")
        attempts.succeed("b")
        winner = await racing
        still_open = [sock for sock in attempts.sockets.values() if sock.fileno() != -1]
        assert still_open == [winner]
        winner.close()

    run(main())


def test_all_failing_is_none(run):
    async def main():
        attempts = Attempts("ab")
        racing = race(attempts, 0)
        await attempts.start(2)
        attempts.fail("b")
        attempts.fail("a")
        return await racing

    assert run(main()) is None


def test_an_error_that_is_no_oserror_ends_the_race(run):
    async def main():
        attempts = Attempts("ab")
        racing = race(attempts, 0)
        await attempts.start(2)
        attempts.fail("a", ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            await racing
        assert attempts.settled["b"].cancelled()

    run(main())


def test_cancelling_the_race_cancels_its_attempts(run):
    async def main():
        attempts = Attempts("ab")
        racing = race(attempts, 0)
        await attempts.start(2)
        racing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await racing
        assert all(settled.cancelled() for settled in attempts.settled.values())

    run(main())
