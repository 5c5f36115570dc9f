"""Shared queues beside the stdlib's, step by step: the same answers, the same errors, the same counts."""

import asyncio
import queue

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tideloop
from tideloop import sync

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put_nowait"), st.integers(0, 9)),
        st.tuples(st.just("get_nowait")),
        st.tuples(st.just("task_done")),
        st.tuples(st.just("qsize")),
        st.tuples(st.just("empty")),
        st.tuples(st.just("full")),
    ),
    max_size=60,
)
PAIRS = pytest.mark.parametrize("name", ["Queue", "LifoQueue", "PriorityQueue"])


def outcome(q, method, *args):
    """What a step returns, or the name of what it raises; ours have the stdlib's names, or asyncio's."""
    try:
        return getattr(q, method)(*args)
    except Exception as exc:
        return type(exc).__name__.removeprefix("Queue")


@PAIRS
@settings(deadline=None, max_examples=150)
@given(steps=STEPS, maxsize=st.integers(0, 4))
def test_in_a_thread_it_answers_as_queues_of_threads_do(name, steps, maxsize):
    ours, theirs = getattr(sync, name)(maxsize), getattr(queue, name)(maxsize)
    for step in steps:
        assert outcome(ours, *step) == outcome(theirs, *step), step
        assert ours.unfinished_tasks == theirs.unfinished_tasks


@PAIRS
@settings(deadline=None, max_examples=60)
@given(steps=STEPS, maxsize=st.integers(0, 4))
def test_in_a_task_it_answers_as_queues_of_tasks_do(name, steps, maxsize):
    async def main():
        ours, theirs = getattr(sync, name)(maxsize), getattr(asyncio, name)(maxsize)
        for step in steps:
            assert outcome(ours, *step) == outcome(theirs, *step), step

    tideloop.run(main())


@PAIRS
@settings(deadline=None, max_examples=40)
@given(
    waits=st.lists(st.tuples(st.sampled_from(["put", "get", "cancel"]), st.integers(0, 30)), max_size=40),
    maxsize=st.integers(0, 2),
)
def test_tasks_that_wait_and_are_cancelled_leave_what_was_put_and_not_got(name, waits, maxsize):
    async def main():
        q, tasks, put, got = getattr(sync, name)(maxsize), [], [], []

        async def do_put(item):
            await q.put(item)
            put.append(item)

        async def do_get():
            got.append(await q.get())

        for number, (what, which) in enumerate(waits):
            if what == "cancel":
                if tasks:
                    tasks[which % len(tasks)].cancel()
            else:
                tasks.append(asyncio.ensure_future(do_put(number) if what == "put" else do_get()))
            if which % 3 == 0:
                await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while not q.empty():
            got.append(q.get_nowait())
        assert sorted(got) == sorted(put)

    tideloop.run(main())
