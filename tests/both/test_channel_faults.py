"""What breaks channels elsewhere: leaving in the moment of the answer, loops that close, finalizers, forks, Ctrl+C."""

from __future__ import annotations

import asyncio
import gc
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
from channel_support import Here, World, in_every_world, run_on

import tideloop
from tideloop.channels import Broadcast, Channel, Closed, Watch, WouldBlock, select

on_asyncio_loops = pytest.mark.parametrize("loop_name", ["tideloop", "asyncio"])


# --- cancelled after it was answered ------------------------------------------------------------------------------


@on_asyncio_loops
@pytest.mark.parametrize("capacity", [0, 1, None])
def test_a_value_given_to_a_task_that_is_cancelled_goes_to_the_next(loop_name, capacity):
    async def main():
        channel = Channel(capacity)
        first, second = (asyncio.ensure_future(channel.receive()) for _ in range(2))
        await asyncio.sleep(0)
        channel.send_nowait("value")
        # It has been answered, and has not run since.
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await asyncio.wait_for(second, 5)

    assert run_on(loop_name, main) == "value"


@on_asyncio_loops
def test_a_value_given_to_a_select_that_is_cancelled_stays_in_its_channel(loop_name):
    async def main():
        a, b = Channel(), Channel(1)
        choice = asyncio.ensure_future(select(a, b))
        await asyncio.sleep(0)
        a.send_nowait("for a")
        b.send_nowait("for b")
        choice.cancel()
        with pytest.raises(asyncio.CancelledError):
            await choice
        return a.receive_nowait(), b.receive_nowait()

    assert run_on(loop_name, main) == ("for a", "for b")


@on_asyncio_loops
def test_what_a_cancelled_subscriber_was_given_is_its_next_value(loop_name):
    async def main():
        news = Broadcast(2, drop_oldest=True)
        subscription = news.subscribe()
        reading = asyncio.ensure_future(subscription.receive())
        await asyncio.sleep(0)
        news.send_nowait(1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        news.send_nowait(2)
        return await subscription.receive(), await subscription.receive()

    assert run_on(loop_name, main) == (1, 2)


@on_asyncio_loops
def test_a_watcher_that_is_cancelled_has_not_seen_the_value(loop_name):
    async def main():
        level = Watch(0)
        watcher = level.subscribe()
        watching = asyncio.ensure_future(watcher.changed())
        await asyncio.sleep(0)
        level.set(1)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
        return await watcher.changed(timeout=5)

    assert run_on(loop_name, main) == 1


@on_asyncio_loops
def test_a_sender_that_is_cancelled_in_time_has_not_sent(loop_name):
    async def main():
        channel = Channel(1)
        channel.send_nowait(1)
        sending = asyncio.ensure_future(channel.send(2))
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        channel.close()
        return list(channel)

    assert run_on(loop_name, main) == [1]


@on_asyncio_loops
def test_random_cancellation_loses_and_doubles_nothing(loop_name):
    """10,000 values from threads and tasks to threads and tasks, while receiving tasks are cancelled at random."""
    channel, total = Channel(2), 10_000
    received: list[int] = []

    def produce(values):
        for value in values:
            channel.send(value)

    def consume():
        received.extend(channel)

    async def consume_soon():
        async for value in channel:
            received.append(value)

    async def produce_soon(values):
        for value in values:
            await channel.send(value)

    async def main():
        chosen = random.Random(2)
        threads = [
            *(threading.Thread(target=produce, args=[range(first, total, 4)]) for first in (0, 1)),
            *(threading.Thread(target=consume) for _ in range(2)),
        ]
        for thread in threads:
            thread.start()
        producers = [asyncio.ensure_future(produce_soon(range(first, total, 4))) for first in (2, 3)]
        consumers = [asyncio.ensure_future(consume_soon()) for _ in range(3)]
        while not all(task.done() for task in producers) or threads[0].is_alive() or threads[1].is_alive():
            await asyncio.sleep(0.0005)
            number = chosen.randrange(3)
            consumers[number].cancel()
            await asyncio.wait([consumers[number]])
            consumers[number] = asyncio.ensure_future(consume_soon())
        channel.close()
        await asyncio.gather(*producers, *consumers)
        for thread in threads:
            await asyncio.to_thread(thread.join, 10)

    run_on(loop_name, main)
    assert Counter(received) == Counter(range(total))


@in_every_world
def test_ten_thousand_values_through_a_random_mix_are_exact(world: World):
    """Senders and receivers by every call there is, over two channels."""
    ways, total = [Channel(), Channel(3)], 10_000
    left = list(range(4))

    def producer(first):
        async def produce(here: Here):
            chosen = random.Random(first)
            for value in range(first, total, 4):
                way = chosen.choice(ways)
                if chosen.random() < 0.3:
                    await here.call(select, *((way, value) for way in ways))
                elif chosen.random() < 0.3:
                    try:
                        way.send_nowait(value)
                    except WouldBlock:
                        await here.call(way.send, value)
                else:
                    await here.call(way.send, value)
            left.remove(first)
            if not left:
                for way in ways:
                    way.close()

        return produce

    def consumer(number):
        async def consume(here: Here):
            chosen, received, opened = random.Random(number), [], list(ways)
            while opened:
                try:
                    if chosen.random() < 0.5:
                        received.append((await here.call(select, *opened))[1])
                    else:
                        received.append(await here.call(chosen.choice(opened).receive, timeout=0.001))
                except TimeoutError:
                    pass
                except Closed as closed:
                    opened.remove(closed.channel)
            return received

        return consume

    parties = [party for number in range(4) for party in (producer(number), consumer(number))]
    results = world.gather(*parties[:4], *reversed(parties[4:]))
    counts = Counter(value for result in results if result for value in result)
    assert counts == Counter(range(total))


# --- loops and tasks that go away ---------------------------------------------------------------------------------


@pytest.fixture
def leftovers_allowed() -> set[str]:
    """A loop that is closed under its tasks leaves them pending: that is the subject."""
    return {"tasks", "reports", "handles"}


@on_asyncio_loops
def test_a_value_given_to_a_task_whose_loop_is_closed_goes_to_the_next(loop_name):
    channel = Channel()
    loop = tideloop.new_event_loop() if loop_name == "tideloop" else asyncio.new_event_loop()

    async def receive():
        return await channel.receive()

    task = loop.create_task(receive())
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.run_until_complete(asyncio.sleep(0))
    assert "1 to receive" in repr(channel)
    loop.close()
    received = []
    thread = threading.Thread(target=lambda: received.append(channel.receive()))
    thread.start()
    # A loop of ours has told the channel that nobody waits there any more; of asyncio's it is learned by sending.
    there = 1 if loop_name == "tideloop" else 2
    while f"{there} to receive" not in repr(channel):
        time.sleep(0.001)
    channel.send("value")
    thread.join(10)
    assert received == ["value"]
    task._log_destroy_pending = False
    del task
    gc.collect()


def test_a_select_of_a_closed_loop_leaves_its_channels_to_others():
    a, b = Channel(), Channel()
    loop = tideloop.new_event_loop()

    async def choose():
        return await select(a, (b, "from the dead"))

    task = loop.create_task(choose())
    loop.run_until_complete(asyncio.sleep(0))
    assert "1 to receive" in repr(a)
    assert "1 waiting to send" in repr(b)
    loop.close()
    a_sender = threading.Thread(target=a.send, args=["kept"], daemon=True)
    a_sender.start()
    assert a.receive(timeout=10) == "kept"
    a_sender.join(10)
    task._log_destroy_pending = False
    del task
    gc.collect()
    assert repr(a).endswith(", 0 waiting to send, 0 to receive>")


# --- Python runs in between ---------------------------------------------------------------------------------------


def test_a_finalizer_may_use_the_channel_at_any_time():
    """Objects that send when they are collected, while the collector runs at every chance."""
    channel, finalized = Channel(None), Channel(None)

    class Noisy:
        def __init__(self):
            self.cycle = self

        def __del__(self):
            finalized.send_nowait(1)
            channel.send_nowait("from a finalizer")
            select(channel, default=None)

    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for number in range(300):
            Noisy()
            channel.send(number)
            select((channel, number), channel)
            if len(channel):
                channel.receive()
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert len(finalized) == 300


def test_a_signal_handler_may_use_the_channel_that_its_thread_waits_at():
    channel = Channel()
    before = signal.signal(signal.SIGALRM, lambda *_: select((other, "from the handler"), default=None))
    other = Channel(1)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        assert select(channel, other, timeout=10) == (other, "from the handler")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("wait", ["channel.receive()", "channel.send(1)", "select(channel, other)", "next(channel)"])
def test_ctrl_c_ends_a_wait_and_leaves_nothing_behind(wait):
    program = f"""
import os, signal, threading, time
from tideloop.channels import Channel, select
channel, other = Channel(), Channel()
def interrupt():
    while repr(channel).endswith("0 waiting to send, 0 to receive>"):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
began = time.monotonic()
try:
    {wait}
except KeyboardInterrupt:
    print(time.monotonic() - began < 5, repr(channel), repr(other))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    empty = "<tideloop.channels.Channel 0/0, 0 waiting to send, 0 to receive>"
    assert (done.stdout, done.stderr) == (f"True {empty} {empty}\n", "")


def test_the_child_of_a_fork_finds_the_values_and_nobody_who_waits():
    program = """
import os, threading, time
from tideloop.channels import Channel
channel, rendezvous = Channel(2), Channel()
channel.send("kept")
thread = threading.Thread(target=rendezvous.receive, daemon=True)
thread.start()
while "1 to receive" not in repr(rendezvous):
    time.sleep(0.001)
child = os.fork()
if child == 0:
    try:
        rendezvous.send("to nobody", timeout=0.05)
    except TimeoutError:
        os._exit(42 if channel.receive() == "kept" else 1)
    os._exit(2)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), channel.receive())
rendezvous.send("value")
thread.join(10)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("42 kept\n", "")


# --- eager tasks --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
@on_asyncio_loops
def test_an_eager_task_that_need_not_wait_ends_at_once(loop_name):
    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        channel, empty = Channel(2), Channel()
        channel.send_nowait("a")
        channel.send_nowait("b")

        async def receive():
            return await channel.receive()

        async def choose():
            return (await select(channel, empty))[1]

        one, other = asyncio.create_task(receive()), asyncio.create_task(choose())
        assert (one.done(), other.done()) == (True, True)
        waits = asyncio.create_task(receive())
        await channel.send("c")
        return one.result(), other.result(), await waits

    assert run_on(loop_name, main) == ("a", "b", "c")


def test_a_callback_of_a_loop_does_not_get_something_to_await():
    async def main():
        channel, got = Channel(1), []
        channel.send_nowait("value")
        asyncio.get_running_loop().call_soon(lambda: got.append(channel.receive()))
        await asyncio.sleep(0.01)
        return got

    assert asyncio.run(main()) == ["value"]


def test_a_forgotten_wait_does_not_take_a_value():
    async def main():
        channel = Channel()
        waiting = channel.receive()
        waiting.send(None)
        assert "1 to receive" in repr(channel)
        del waiting
        gc.collect()
        with pytest.raises(WouldBlock):
            channel.send_nowait("lost")

    assert asyncio.run(main()) is None
