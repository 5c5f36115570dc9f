"""Broadcast: every subscriber gets every value from its subscription on, or is told what it has missed."""

from __future__ import annotations

import gc
import math
import weakref

import pytest
from channel_support import Here, World, in_every_world

from tideloop.channels import Broadcast, Closed, Lagged, Subscription, WouldBlock

# --- what one caller sees -----------------------------------------------------------------------------------------


def test_a_broadcast_says_what_it_is():
    news = Broadcast(3)
    assert (news.capacity, news.subscribers, news.closed) == (3, 0, False)
    subscription = news.subscribe()
    assert isinstance(subscription, Subscription)
    assert news.subscribers == 1
    assert repr(news) == "<tideloop.channels.Broadcast to 1, 0 waiting to send, 0 to receive>"
    assert repr(subscription) == "<tideloop.channels.Subscription 0 to receive>"
    assert bool(subscription)
    subscription.close()
    assert (repr(subscription), subscription.closed, len(subscription)) == (
        "<tideloop.channels.Subscription closed>",
        True,
        0,
    )
    assert Broadcast(None).capacity is Broadcast(math.inf).capacity is None
    assert str(Broadcast[int]) == "tideloop.channels.Broadcast[int]"


@pytest.mark.parametrize(("capacity", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_a_capacity_is_at_least_one(capacity, error):
    with pytest.raises(error):
        Broadcast(capacity)


def test_each_subscriber_gets_what_is_sent_from_its_subscription_on():
    news = Broadcast(None)
    news.send("nobody hears it")
    early = news.subscribe()
    news.send(1)
    late = news.subscribe()
    news.send_nowait(2)
    assert (len(early), len(late)) == (2, 1)
    news.close()
    assert (list(early), list(late)) == ([1, 2], [2])
    for refused in (news.send, news.send_nowait):
        with pytest.raises(Closed) as caught:
            refused(3)
        assert caught.value.channel is news
    for ended in (early.receive, early.receive_nowait):
        with pytest.raises(Closed) as caught:
            ended()
        assert caught.value.channel is early


def test_without_waiting_it_says_that_it_would_block():
    news = Broadcast(1)
    subscription = news.subscribe()
    with pytest.raises(WouldBlock, match="no new value"):
        subscription.receive_nowait()
    news.send_nowait(1)
    with pytest.raises(WouldBlock, match="too far behind"):
        news.send_nowait(2)
    with pytest.raises(TimeoutError):
        news.send(2, timeout=0.01)
    assert subscription.receive_nowait() == 1
    with pytest.raises(TimeoutError):
        subscription.receive(timeout=0.01)


def test_where_the_oldest_is_dropped_the_sender_never_waits_and_the_slow_are_told():
    news = Broadcast(2, drop_oldest=True)
    slow, fast = news.subscribe(), news.subscribe()
    received = []
    for value in range(5):
        news.send(value)
        received.append(fast.receive())
    assert received == [0, 1, 2, 3, 4]
    with pytest.raises(Lagged, match="3 values were dropped") as caught:
        slow.receive()
    assert caught.value.missed == 3
    assert [slow.receive(), slow.receive()] == [3, 4]
    for value in range(3):
        news.send(value)
    with pytest.raises(Lagged):
        next(slow)
    news.close()
    assert list(slow) == [1, 2]


def test_with_ends_a_subscription_and_a_broadcast():
    with Broadcast(1) as news:
        with news.subscribe() as subscription:
            assert news.subscribers == 1
        assert news.subscribers == 0
    assert news.closed
    with pytest.raises(Closed):
        subscription.receive()


def test_a_forgotten_subscription_holds_nobody_back():
    news = Broadcast(1)
    forgotten = news.subscribe()
    news.send(1)
    with pytest.raises(WouldBlock):
        news.send_nowait(2)
    del forgotten
    assert news.subscribers == 0
    news.send_nowait(2)


# --- between several ----------------------------------------------------------------------------------------------


@in_every_world
@pytest.mark.parametrize("capacity", [1, 3, None])
def test_everybody_gets_everything_in_order(world: World, capacity):
    news = Broadcast(capacity)
    subscriptions = [news.subscribe() for _ in range(4)]

    async def publish(here: Here):
        for value in range(100):
            await here.call(news.send, value)
            if value % 10 == 0:
                await here.pause()
        news.close()

    def subscriber(subscription):
        async def read(here: Here):
            return [value async for value in here.each(subscription)]

        return read

    results = world.gather(publish, *map(subscriber, subscriptions))
    assert results[1:] == [list(range(100))] * 4


@in_every_world
def test_several_publishers_wait_for_the_slowest_subscriber(world: World):
    news = Broadcast(2)
    slow, fast = news.subscribe(), news.subscribe()
    running = [0, 1, 2]

    def publisher(first):
        async def publish(here: Here):
            for value in range(first, 150, 3):
                await here.call(news.send, value)
            running.remove(first)
            if not running:
                news.close()

        return publish

    def subscriber(subscription, every):
        async def read(here: Here):
            received = []
            async for value in here.each(subscription):
                received.append(value)
                assert len(subscription) <= 2
                if value % every == 0:
                    await here.pause(0.0005)
            return received

        return read

    results = world.gather(subscriber(slow, 3), publisher(0), subscriber(fast, 1000), publisher(1), publisher(2))
    # All of them see one order, and each publisher's values in its own.
    assert results[0] == results[2]
    assert sorted(results[0]) == list(range(150))
    for first in range(3):
        assert results[0] == results[2]
        assert [value for value in results[0] if value % 3 == first] == list(range(first, 150, 3))


@in_every_world
def test_unsubscribing_frees_a_sender_that_waits(world: World):
    news = Broadcast(1)
    never_reads = news.subscribe()

    async def publish(here: Here):
        await here.call(news.send, 1)
        await here.call(news.send, 2)
        return "sent"

    async def unsubscribe(here: Here):
        while "1 waiting to send" not in repr(news):
            await here.pause(0.001)
        never_reads.close()

    assert world.gather(publish, unsubscribe)[0] == "sent"


@in_every_world
def test_closing_a_subscription_ends_who_waits_at_it(world: World):
    news = Broadcast(1)
    one, other = news.subscribe(), news.subscribe()

    async def read(here: Here):
        with pytest.raises(Closed) as caught:
            await here.call(one.receive)
        return caught.value.channel is one

    async def read_on(here: Here):
        return await here.call(other.receive)

    async def close(here: Here):
        while "2 to receive" not in repr(news):
            await here.pause(0.001)
        one.close()
        await here.call(news.send, "for the other")

    assert world.gather(read, close, read_on) == [True, None, "for the other"]


@in_every_world
def test_several_readers_of_one_subscription_share_its_values(world: World):
    news = Broadcast(4)
    subscription, other = news.subscribe(), news.subscribe()

    async def publish(here: Here):
        for value in range(200):
            await here.call(news.send, value)
        news.close()

    def reader(shared):
        async def read(here: Here):
            received = []
            while True:
                try:
                    received.append(await here.call(shared.receive, timeout=0.001))
                except TimeoutError:
                    continue
                except Closed:
                    return received

        return read

    results = world.gather(publish, reader(subscription), reader(subscription), reader(subscription), reader(other))
    assert sorted(value for result in results[1:4] for value in result) == list(range(200))
    assert results[4] == list(range(200))


# --- the collector ------------------------------------------------------------------------------------------------


def test_a_broadcast_in_a_cycle_dies():
    class Value:
        pass

    news, value = Broadcast(None), Value()
    value.subscription = news.subscribe()
    news.send(value)
    gone = weakref.ref(value), weakref.ref(news)
    del news, value
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_a_value_is_let_go_of_when_the_last_has_received_it():
    class Value:
        pass

    news = Broadcast(2)
    one, other = news.subscribe(), news.subscribe()
    news.send(Value())
    gone = weakref.ref(one.receive())
    gc.collect()
    assert isinstance(gone(), Value)
    other.receive()
    assert gone() is None
    news.send(Value())
    gone = weakref.ref(one.receive())
    other.close()
    assert gone() is None
