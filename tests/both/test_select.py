"""select: the first of several channels that is ready, exactly one case of all, each with the same chance."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
import weakref
from collections import Counter

import pytest
from channel_support import Here, World, in_every_world, on_every_loop, run_on

from tideloop.channels import Channel, Closed, select

ROUNDS = 20_000


# --- what one caller sees -----------------------------------------------------------------------------------------


def test_select_receives_from_the_channel_that_is_ready():
    empty, full = Channel(1), Channel(1)
    full.send("value")
    assert select(empty, full) == (full, "value")
    assert (len(empty), len(full)) == (0, 0)


def test_select_sends_to_the_channel_that_has_room():
    full, empty = Channel(1), Channel(1)
    full.send("old")
    assert select((full, "a"), (empty, "b")) == (empty, None)
    assert (full.receive(), empty.receive()) == ("old", "b")


def test_with_a_default_select_does_not_wait():
    channel = Channel()
    assert select(channel, default=None) is None
    assert select((channel, 1), default="nobody") == "nobody"
    assert select(default="nothing to do") == "nothing to do"


def test_a_default_in_a_task_comes_at_once():
    async def main():
        channel = Channel(1)
        before = select(channel, default="empty")
        channel.send_nowait("value")
        return before, select(channel, default="empty") == (channel, "value")

    assert asyncio.run(main()) == ("empty", True)


def test_select_times_out():
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        select(Channel(), (Channel(), 1), timeout=0.03)
    assert 0.025 <= time.monotonic() - began < 5
    with pytest.raises(TimeoutError):
        select(timeout=0)


def test_select_on_a_closed_channel_says_which():
    open_one, closed = Channel(), Channel()
    closed.close()
    for case in (closed, (closed, 1)):
        with pytest.raises(Closed) as caught:
            select(open_one, case)
        assert caught.value.channel is closed


@pytest.mark.parametrize("case", [1, (), (Channel(),), (1, 2), (Channel(), 1, 2), None])
def test_what_is_no_case_is_refused(case):
    with pytest.raises(TypeError, match="a case is a channel or"):
        select(case)


def test_select_without_cases_would_wait_for_ever():
    with pytest.raises(ValueError, match="for ever"):
        select()
    with pytest.raises(ValueError, match="a timeout and a default"):
        select(Channel(), timeout=1, default=1)


def test_one_channel_may_stand_in_several_cases():
    channel = Channel(1)
    assert select((channel, 1), (channel, 2), channel) == (channel, None)
    assert select(channel, channel, (channel, 3))[1] in (1, 2)
    rendezvous = Channel()
    with pytest.raises(TimeoutError):
        # It does not meet itself.
        select(rendezvous, (rendezvous, 1), timeout=0.02)
    assert repr(rendezvous).endswith(", 0 waiting to send, 0 to receive>")


# --- fairness -----------------------------------------------------------------------------------------------------


def shares(counts: Counter, n: int) -> list[float]:
    return [counts[number] / ROUNDS * n for number in range(n)]


@pytest.mark.parametrize("n", [2, 4])
def test_each_of_n_ready_channels_has_its_share(n):
    channels = [Channel(None) for _ in range(n)]
    numbers = {channel: number for number, channel in enumerate(channels)}
    for channel in channels:
        for _ in range(ROUNDS):
            channel.send_nowait(None)
    counts = Counter(numbers[select(*channels)[0]] for _ in range(ROUNDS))
    assert all(0.92 <= share <= 1.08 for share in shares(counts, n)), counts


def test_the_ready_ones_have_their_shares_whatever_stands_between_them():
    ready = [Channel(None) for _ in range(4)]
    never = [Channel() for _ in range(6)]
    cases = [never[0], ready[0], *never[1:4], ready[1], ready[2], *never[4:], (ready[3], None)]
    numbers = {channel: number for number, channel in enumerate(ready)}
    for channel in ready[:3]:
        for _ in range(ROUNDS):
            channel.send_nowait(None)
    counts = Counter(numbers[select(*cases)[0]] for _ in range(ROUNDS))
    assert all(0.92 <= share <= 1.08 for share in shares(counts, 4)), counts


@on_every_loop
def test_a_task_has_its_share_of_each_ready_channel(loop_name):
    channels = [Channel(None) for _ in range(4)]
    numbers = {channel: number for number, channel in enumerate(channels)}
    for channel in channels:
        for _ in range(ROUNDS):
            channel.send_nowait(None)

    async def main():
        return Counter([numbers[(await select(*channels))[0]] for _ in range(ROUNDS)])

    counts = run_on(loop_name, main)
    assert all(0.92 <= share <= 1.08 for share in shares(counts, 4)), counts


# --- between several ----------------------------------------------------------------------------------------------


@in_every_world
def test_select_waits_for_the_first_that_sends(world: World):
    a, b = Channel(), Channel(1)

    async def choose(here: Here):
        return [await here.call(select, a, b) for _ in range(2)]

    async def send(here: Here):
        while "1 to receive" not in repr(a) or "1 to receive" not in repr(b):
            await here.pause(0.001)
        await here.call(b.send, "second")
        await here.call(a.send, "first")

    assert world.gather(choose, send)[0] == [(b, "second"), (a, "first")]
    assert repr(a).endswith(", 0 waiting to send, 0 to receive>")


@in_every_world
def test_select_waits_for_the_first_that_receives(world: World):
    a, b = Channel(), Channel()

    async def choose(here: Here):
        return await here.call(select, (a, "to a"), (b, "to b"))

    async def receive(here: Here):
        while "1 waiting to send" not in repr(a) or "1 waiting to send" not in repr(b):
            await here.pause(0.001)
        return await here.call(b.receive)

    assert world.gather(choose, receive) == [(b, None), "to b"]
    assert repr(a).endswith(", 0 waiting to send, 0 to receive>")


@in_every_world
def test_two_selects_meet_on_a_rendezvous(world: World):
    a, b = Channel(), Channel()

    async def sender(here: Here):
        sent = Counter()
        for value in range(200):
            channel, nothing = await here.call(select, (a, value), (b, value))
            assert nothing is None
            sent[channel is a] += 1
        return sent

    async def receiver(here: Here):
        received = [await here.call(select, b, a) for _ in range(200)]
        return [value for _, value in received], Counter(channel is a for channel, _ in received)

    sent, (values, received) = world.gather(sender, receiver)
    assert values == list(range(200))
    assert sent == received


@in_every_world
def test_a_close_ends_a_select_that_waits(world: World):
    a, b = Channel(), Channel()

    async def choose(here: Here):
        with pytest.raises(Closed) as caught:
            await here.call(select, a, (b, 1))
        return caught.value.channel is b

    async def close(here: Here):
        while "1 waiting to send" not in repr(b):
            await here.pause(0.001)
        b.close()

    assert world.gather(choose, close)[0] is True


@in_every_world
def test_selects_exchange_values_both_ways_and_none_is_lost_or_doubled(world: World):
    """Each party sends its own values and receives what comes, in one select; when all is sent, it only receives."""
    ways = [Channel(), Channel(), Channel(2)]
    done = Channel(None)
    each, parties = 200, 4

    def party(number):
        async def exchange(here: Here):
            received, mine = [], list(range(number * each, (number + 1) * each))
            chosen = random.Random(number)
            while mine:
                cases = [*ways, *((way, mine[-1]) for way in chosen.sample(ways, 2))]
                channel, value = await here.call(select, *cases)
                assert channel in ways
                if value is None:
                    mine.pop()
                else:
                    received.append(value)
            done.send_nowait(number)
            opened = list(ways)
            while opened:
                try:
                    received.append((await here.call(select, *opened))[1])
                except Closed as closed:
                    opened.remove(closed.channel)
            return received

        return exchange

    async def close(here: Here):
        for _ in range(parties):
            await here.call(done.receive)
        for way in ways:
            way.close()

    results = world.gather(*map(party, range(parties)), close)
    counts = Counter(value for result in results[:-1] for value in result)
    assert counts == Counter(range(parties * each))


# --- leaving ------------------------------------------------------------------------------------------------------


@in_every_world
def test_impatient_selects_lose_and_double_nothing(world: World):
    """Time-outs race with the answers on both sides."""
    ways = [Channel(), Channel(1)]
    total = 1200
    finished = []

    async def send(here: Here):
        for value in range(total):
            while True:
                try:
                    await here.call(select, *((way, value) for way in ways), timeout=value % 3 * 0.0002)
                except TimeoutError:
                    continue
                break
        finished.append(True)

    def receiver(number):
        async def receive(here: Here):
            received = []
            while True:
                try:
                    received.append((await here.call(select, *ways, timeout=number * 0.0003))[1])
                except TimeoutError:
                    if finished and not any(map(len, ways)):
                        return received
                    await here.pause()

        return receive

    results = world.gather(send, receiver(1), receiver(2), receiver(0))
    received = [value for result in results[1:] for value in result]
    assert sorted(received) == list(range(total))
    assert all(repr(way).endswith(", 0 waiting to send, 0 to receive>") for way in ways)


@pytest.mark.parametrize("loop_name", ["tideloop", "asyncio"])
def test_selects_cancelled_at_any_time_lose_and_double_nothing(loop_name):
    """Tasks that select are cancelled at random while threads send; whoever was cancelled has received nothing."""
    ways = [Channel(), Channel(2)]
    total = 3000
    received: list[int] = []

    def send():
        for value in range(total):
            select(*((way, value) for way in ways))
        for way in ways:
            way.close()

    async def receive():
        opened = list(ways)
        while opened:
            try:
                received.append((await select(*opened))[1])
            except Closed as closed:
                opened.remove(closed.channel)

    async def main():
        chosen = random.Random(1)
        tasks = [asyncio.ensure_future(receive()) for _ in range(4)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            number = chosen.randrange(4)
            if chosen.random() < 0.2:
                tasks[number].cancel()
                await asyncio.wait([tasks[number]])
                tasks[number] = asyncio.ensure_future(receive())

    thread = threading.Thread(target=send)
    thread.start()
    run_on(loop_name, main)
    thread.join(20)
    assert not thread.is_alive()
    left = [value for way in ways for value in way]
    assert Counter(received + left) == Counter(range(total))


def test_a_select_that_is_never_awaited_does_nothing():
    async def main():
        channel = Channel(1)
        channel.send_nowait("kept")
        with pytest.warns(RuntimeWarning, match="never awaited"):
            select(channel)
            gc.collect()
        return len(channel)

    assert asyncio.run(main()) == 1


def test_a_select_that_is_dropped_while_it_waits_leaves():
    channel = Channel()

    async def main():
        waiting = select(channel, (channel, "value"))
        waiting.send(None)
        assert "1 waiting to send, 1 to receive" in repr(channel)
        waiting.close()

    asyncio.run(main())
    assert repr(channel).endswith(", 0 waiting to send, 0 to receive>")


def test_the_values_of_cases_that_did_not_happen_are_let_go_of():
    class Value:
        pass

    a, b = Channel(1), Channel()
    value, other = Value(), Value()
    gone = weakref.ref(other)
    select((a, value), (b, other))
    if len(a) == 0:
        pytest.fail("b has no receiver")
    del other
    assert gone() is None
    assert a.receive() is value
