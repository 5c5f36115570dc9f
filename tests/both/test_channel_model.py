"""Random calls on channels, compared call by call with a model of a few lines."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tideloop.channels import Channel, Closed, WouldBlock, select

CHANNELS = 3
NOTHING = object()


class Model:
    """A channel whose calls never wait: those who would are kept in order."""

    def __init__(self, capacity: int | None) -> None:
        self.capacity = capacity
        self.values: deque[int] = deque()
        self.senders: deque[tuple[int, int]] = deque()
        self.receivers: deque[int] = deque()
        self.closed = False
        self.ended: dict[int, Any] = {}
        """How the waits went that are over: by their number."""

    def send(self, number: int, value: int) -> Any:
        if self.closed:
            return Closed
        if self.receivers:
            self.ended[self.receivers.popleft()] = value
            return None
        if self.capacity is None or len(self.values) < self.capacity:
            self.values.append(value)
            return None
        self.senders.append((number, value))
        return NOTHING

    def receive(self, number: int) -> Any:
        if self.values:
            value = self.values.popleft()
            if self.senders:
                sender, waiting = self.senders.popleft()
                self.values.append(waiting)
                self.ended[sender] = None
            return value
        if self.senders:
            sender, value = self.senders.popleft()
            self.ended[sender] = None
            return value
        if self.closed:
            return Closed
        self.receivers.append(number)
        return NOTHING

    def close(self) -> None:
        self.closed = True
        for sender, _ in self.senders:
            self.ended[sender] = Closed
        for receiver in self.receivers:
            self.ended[receiver] = Closed
        self.senders.clear()
        self.receivers.clear()

    def leave(self, number: int) -> None:
        self.senders = deque(pair for pair in self.senders if pair[0] != number)
        self.receivers = deque(receiver for receiver in self.receivers if receiver != number)


CALLS = st.one_of(
    st.tuples(st.sampled_from(["send", "receive", "send_nowait", "receive_nowait"]), st.integers(0, CHANNELS - 1)),
    st.tuples(st.just("close"), st.integers(0, CHANNELS - 1)),
    st.tuples(st.just("cancel"), st.integers(0, 200)),
    st.tuples(st.just("select"), st.permutations(range(CHANNELS)).map(lambda order: tuple(order[:2]))),
)


async def outcome(awaitable: Any) -> Any:
    try:
        return await awaitable
    except Closed:
        return Closed


async def play(capacities: list[int | None], calls: list[tuple[str, Any]]) -> None:
    channels: list[Channel[int]] = [Channel(capacity) for capacity in capacities]
    models = [Model(capacity) for capacity in capacities]
    waits: dict[int, asyncio.Future[Any]] = {}
    for number, (call, what) in enumerate(calls):
        if call == "cancel":
            if waits:
                chosen = sorted(waits)[what % len(waits)]
                waits.pop(chosen).cancel()
                for model in models:
                    model.leave(chosen)
        elif call == "close":
            channels[what].close()
            models[what].close()
        elif call == "select":
            # Of those that are ready, any: the model follows.
            chosen = select(*(channels[at] for at in what), default=None) if not closed(models, what) else None
            if chosen is not None:
                assert models[channels.index(chosen[0])].receive(number) == chosen[1]
            elif not closed(models, what):
                assert all(not models[at].values and not models[at].senders for at in what)
        elif call.endswith("_nowait"):
            check_nowait(channels[what], models[what], number, call)
        else:
            method = getattr(channels[what], call)
            arguments = (number,) if call == "send" else ()
            expected = getattr(models[what], call)(number, *arguments)
            running = asyncio.ensure_future(outcome(method(*arguments)))
            await asyncio.sleep(0)
            if expected is NOTHING:
                assert not running.done()
                waits[number] = running
            else:
                assert await running == expected
        for _ in range(3):
            await asyncio.sleep(0)
        for model in models:
            for ended, expected in model.ended.items():
                assert waits.pop(ended).result() == expected
            model.ended.clear()
        assert not any(wait.done() for wait in waits.values())
        for channel, model in zip(channels, models, strict=True):
            assert (len(channel), channel.closed) == (len(model.values), model.closed)
            expected_waits = f"{len(model.senders)} waiting to send, {len(model.receivers)} to receive>"
            assert repr(channel).endswith(expected_waits)
    for wait in waits.values():
        wait.cancel()
    await asyncio.gather(*waits.values(), return_exceptions=True)


def closed(models: list[Model], which: tuple[int, ...]) -> bool:
    return any(models[at].closed for at in which)


def check_nowait(channel: Channel[int], model: Model, number: int, call: str) -> None:
    arguments = (number,) if call == "send_nowait" else ()
    try:
        got: Any = getattr(channel, call)(*arguments)
    except Closed:
        got = Closed
    except WouldBlock:
        got = NOTHING
    assert got == getattr(model, call.removesuffix("_nowait"))(number, *arguments)
    model.leave(number)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from([0, 1, 2, None]), min_size=CHANNELS, max_size=CHANNELS),
    st.lists(CALLS, max_size=40),
    st.sampled_from(["asyncio", "tideloop"]),
)
def test_channels_do_what_the_model_does(capacities, calls, loop_name):
    import tideloop

    run = tideloop.run if loop_name == "tideloop" else asyncio.run
    run(play(capacities, calls))
