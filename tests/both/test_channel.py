"""Channels between threads and tasks: what is sent is received once, in order, until the channel is closed."""

from __future__ import annotations

import gc
import math
import time
import weakref
from collections import Counter

import pytest
from channel_support import Here, World, in_every_world

from tideloop.channels import Channel, Closed, WouldBlock

CAPACITIES = [0, 1, 3, None]
every_capacity = pytest.mark.parametrize("capacity", CAPACITIES)


# --- what one caller sees -----------------------------------------------------------------------------------------


def test_a_channel_says_what_it_is():
    channel = Channel(3)
    channel.send_nowait("a")
    assert (channel.capacity, len(channel), channel.closed) == (3, 1, False)
    assert repr(channel) == "<tideloop.channels.Channel 1/3, 0 waiting to send, 0 to receive>"
    channel.close()
    assert (len(channel), channel.closed) == (1, True)
    assert repr(channel) == "<tideloop.channels.Channel closed 1/3, 0 waiting to send, 0 to receive>"
    assert Channel().capacity == 0
    assert Channel(None).capacity is Channel(math.inf).capacity is Channel(2**200 // 2**100).capacity is None
    assert str(Channel[int]) == "tideloop.channels.Channel[int]"
    assert bool(Channel())


@pytest.mark.parametrize(("capacity", "error"), [(-1, ValueError), (1.5, TypeError), ("1", TypeError)])
def test_a_capacity_is_a_number_of_values(capacity, error):
    with pytest.raises(error):
        Channel(capacity)


@pytest.mark.parametrize("timeout", [float("nan")])
def test_a_timeout_is_a_number_of_seconds(timeout):
    with pytest.raises(ValueError, match="NaN"):
        Channel(1).receive(timeout)


def test_without_waiting_a_full_or_empty_channel_says_that_it_would_block():
    channel = Channel(1)
    with pytest.raises(WouldBlock, match="empty"):
        channel.receive_nowait()
    channel.send_nowait(1)
    with pytest.raises(WouldBlock, match="no room"):
        channel.send_nowait(2)
    assert channel.receive_nowait() == 1
    with pytest.raises(WouldBlock):
        Channel().send_nowait(1)


def test_a_closed_channel_refuses_and_gives_what_is_left():
    channel = Channel(3)
    for value in "ab":
        channel.send(value)
    channel.close()
    channel.close()
    for refused in (channel.send, channel.send_nowait):
        with pytest.raises(Closed) as caught:
            refused("c")
        assert caught.value.channel is channel
    assert (channel.receive(), channel.receive_nowait()) == ("a", "b")
    for ended in (channel.receive, channel.receive_nowait):
        with pytest.raises(Closed, match="^the channel is closed$"):
            ended()
    assert list(channel) == []


def test_with_closes_at_the_end():
    with Channel(2) as channel:
        channel.send(1)
    assert channel.closed
    assert list(channel) == [1]


def test_an_exception_leaves_with_as_it_came():
    with pytest.raises(ZeroDivisionError), Channel() as channel:
        raise ZeroDivisionError
    assert channel.closed


def test_a_subclass_is_a_channel():
    class Named(Channel):
        def __init__(self, capacity, name):
            self.name = name

        def __new__(cls, capacity, name):
            return super().__new__(cls, capacity)

    channel = Named(2, "orders")
    channel.send(1)
    assert (channel.name, channel.capacity, channel.receive()) == ("orders", 2, 1)


def test_a_time_out_in_a_thread_ends_the_wait_in_time():
    for channel, wait in ((c := Channel(), lambda: c.receive(0.05)), (d := Channel(), lambda: d.send(1, timeout=0.05))):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            wait()
        assert 0.045 <= time.monotonic() - began < 5
        assert repr(channel).endswith("0 waiting to send, 0 to receive>")
    with pytest.raises(TimeoutError):
        Channel().receive(timeout=0)
    with pytest.raises(TimeoutError):
        Channel().receive(timeout=-1)


# --- between several ----------------------------------------------------------------------------------------------


@in_every_world
@every_capacity
def test_one_sends_and_one_receives_in_order(world: World, capacity):
    channel = Channel(capacity)

    async def produce(here: Here):
        for value in range(100):
            await here.call(channel.send, value)
        channel.close()

    async def consume(here: Here):
        return [value async for value in here.each(channel)]

    assert world.gather(produce, consume)[1] == list(range(100))
    assert world.gather(consume) == [[]]


@in_every_world
@every_capacity
def test_many_send_and_many_receive_each_value_once(world: World, capacity):
    channel = Channel(capacity)
    done = Channel(None)

    def producer(first):
        async def produce(here: Here):
            for value in range(first, 400, 4):
                await here.call(channel.send, value)
            done.send_nowait(first)

        return produce

    async def consume(here: Here):
        received = []
        async for value in here.each(channel):
            received.append(value)
            if value % 10 == 0:
                await here.pause()
        return received

    async def close(here: Here):
        for _ in range(4):
            await here.call(done.receive)
        channel.close()

    parties = [p for first in range(4) for p in (consume, producer(first))]
    results = world.gather(close, *parties)
    received = [value for result in results if result for value in result]
    assert sorted(received) == list(range(400))
    # One receiver sees what one sender sent in its order.
    for result in filter(None, results):
        for sender in range(4):
            own = [value for value in result if value % 4 == sender]
            assert own == sorted(own)


@in_every_world
def test_at_a_rendezvous_a_sender_waits_until_its_value_is_received(world: World):
    channel = Channel()
    told = []

    async def send(here: Here):
        await here.call(channel.send, "value")
        told.append("sent")

    async def receive(here: Here):
        await here.pause(0.05)
        assert told == []
        return await here.call(channel.receive)

    assert world.gather(send, receive)[1] == "value"
    assert told == ["sent"]


@in_every_world
def test_a_full_channel_holds_its_sender_until_there_is_room(world: World):
    channel = Channel(1)
    sent = []

    async def send(here: Here):
        for value in range(3):
            await here.call(channel.send, value)
            sent.append(value)

    async def receive(here: Here):
        while not sent:
            await here.pause(0.001)
        await here.pause(0.03)
        assert sent == [0]
        return [await here.call(channel.receive) for _ in range(3)]

    assert world.gather(send, receive)[1] == [0, 1, 2]


@in_every_world
@pytest.mark.parametrize("capacity", [0, 1])
def test_closing_ends_everybody_who_waits(world: World, capacity):
    channel = Channel(capacity)
    others = Channel(capacity)
    for _ in range(capacity):
        others.send_nowait("kept")

    async def receive(here: Here):
        with pytest.raises(Closed) as caught:
            await here.call(channel.receive)
        return caught.value.channel is channel

    async def send(here: Here):
        with pytest.raises(Closed) as caught:
            await here.call(others.send, "refused")
        return caught.value.channel is others

    async def close(here: Here):
        while "2 waiting to send" not in repr(others) or "2 to receive" not in repr(channel):
            await here.pause(0.001)
        channel.close()
        others.close()
        return True

    assert world.gather(receive, receive, send, send, close) == [True] * 5
    assert list(others) == ["kept"] * capacity


@in_every_world
def test_a_time_out_leaves_nothing_behind(world: World):
    channel = Channel()

    async def late(here: Here):
        for function, args in ((channel.receive, ()), (channel.send, ("lost",))):
            with pytest.raises(TimeoutError):
                await here.call(function, *args, timeout=0.02)

    world.gather(late)
    assert repr(channel).endswith(", 0 waiting to send, 0 to receive>")

    async def send(here: Here):
        await here.call(channel.send, "value", timeout=10)

    async def receive(here: Here):
        return await here.call(channel.receive, timeout=10)

    assert world.gather(send, receive)[1] == "value"


@in_every_world
def test_a_random_mix_of_senders_and_receivers_is_exact(world: World):
    channels = [Channel(0), Channel(2), Channel(None)]
    done = Channel(None)
    each = 600

    def producer(number):
        async def produce(here: Here):
            for value in range(number * each, (number + 1) * each):
                channel = channels[value % 3]
                while True:
                    try:
                        await here.call(channel.send, value, timeout=0.0005 if value % 7 == 0 else None)
                    except TimeoutError:
                        continue
                    break
            done.send_nowait(number)

        return produce

    def consumer(channel):
        async def consume(here: Here):
            received = []
            while True:
                try:
                    received.append(await here.call(channel.receive, timeout=0.0005 if len(received) % 5 else None))
                except TimeoutError:
                    continue
                except Closed:
                    return received

        return consume

    async def close(here: Here):
        for _ in range(6):
            await here.call(done.receive)
        for channel in channels:
            channel.close()

    consumers = [consumer(channel) for channel in channels for _ in range(2)]
    parties = [party for pair in zip(consumers, map(producer, range(6)), strict=True) for party in pair]
    results = world.gather(*parties, close)
    counts = Counter(value for result in results if result for value in result)
    assert counts == Counter(range(6 * each))


# --- the collector ------------------------------------------------------------------------------------------------


def test_a_channel_in_a_cycle_dies():
    class Value:
        pass

    channel = Channel(None)
    value = Value()
    value.channel = channel
    channel.send(value)
    channel.send(channel)
    gone = weakref.ref(value), weakref.ref(channel)
    del channel, value
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_a_value_is_let_go_of_when_it_has_been_received():
    class Value:
        pass

    channel = Channel(2)
    channel.send(Value())
    gone = weakref.ref(channel.receive())
    assert gone() is None


def test_a_finalizer_may_use_the_channel_that_lets_go_of_its_object():
    channel = Channel(4)

    class Value:
        def __del__(self):
            channel.send_nowait("gone")

    closed = Channel(1)
    closed.close()
    with pytest.raises(Closed):
        closed.send(Value())
    gc.collect()
    assert channel.receive_nowait() == "gone"
    with pytest.raises(TimeoutError):
        Channel().send(Value(), timeout=0.001)
    gc.collect()
    assert channel.receive_nowait() == "gone"
