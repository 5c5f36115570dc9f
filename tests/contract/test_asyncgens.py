"""Async generators: the loop closes those that were begun and not finished."""

import asyncio
import gc

import pytest

from support import reports, turn


async def numbers(closed):
    try:
        for number in range(10):
            await asyncio.sleep(0)
            yield number
    finally:
        await asyncio.sleep(0)
        closed.append(True)


def test_shutdown_closes_those_that_were_begun(loop):
    closed = []
    kept = []

    async def main():
        for _ in range(3):
            generator = numbers(closed)
            kept.append(generator)
            assert await generator.__anext__() == 0

    loop.run_until_complete(main())
    assert closed == []
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert closed == [True] * 3


def test_generator_that_is_dropped_is_closed_by_the_loop(loop):
    closed = []

    async def main():
        generator = numbers(closed)
        await generator.__anext__()
        del generator
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        assert closed == [True]

    loop.run_until_complete(main())


def test_finished_generator_is_not_closed_again(loop):
    closed = []

    async def main():
        return [number async for number in numbers(closed)]

    assert loop.run_until_complete(main()) == list(range(10))
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert closed == [True]


def test_generator_begun_after_the_shutdown_warns(loop):
    closed = []
    loop.run_until_complete(loop.shutdown_asyncgens())

    async def main():
        generator = numbers(closed)
        await generator.__anext__()
        await generator.aclose()

    with pytest.warns(ResourceWarning, match=r"was scheduled after loop\.shutdown_asyncgens\(\)"):
        loop.run_until_complete(main())


def test_generator_that_raises_while_closing_is_reported(loop):
    async def broken():
        try:
            yield 1
        finally:
            raise LookupError("closing")

    async def main():
        generator = broken()
        await generator.__anext__()
        return generator

    generator = loop.run_until_complete(main())
    with reports(loop) as seen:
        loop.run_until_complete(loop.shutdown_asyncgens())
    assert seen[0]["message"].startswith("an error occurred during closing of asynchronous generator")
    assert isinstance(seen[0]["exception"], LookupError)
    assert seen[0]["asyncgen"] is generator
    seen.clear()


def test_hooks_are_set_only_while_the_loop_runs(loop):
    import sys

    before = sys.get_asyncgen_hooks()
    seen = []
    loop.call_soon(lambda: seen.append(sys.get_asyncgen_hooks()))
    turn(loop)
    assert seen[0] != before
    assert seen[0].firstiter is not None
    assert seen[0].finalizer is not None
    assert sys.get_asyncgen_hooks() == before


def test_hooks_of_others_are_put_back(loop):
    import sys

    def firstiter(_generator):
        pass

    sys.set_asyncgen_hooks(firstiter=firstiter)
    try:
        turn(loop)
        assert sys.get_asyncgen_hooks().firstiter is firstiter
    finally:
        sys.set_asyncgen_hooks(firstiter=None)


def test_generator_dropped_in_another_thread_is_closed_by_the_loop(loop):
    import threading

    closed = []

    async def main():
        generator = numbers(closed)
        await generator.__anext__()
        cell = [generator]
        del generator
        thread = threading.Thread(target=cell.clear)
        thread.start()
        await asyncio.to_thread(thread.join)
        for _ in range(5):
            await asyncio.sleep(0)
        assert closed == [True]

    loop.run_until_complete(main())


def test_shutdown_twice_is_harmless(loop):
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_asyncgens())


def test_generator_dropped_when_the_loop_is_closed_does_no_harm(make_loop):
    closed = []
    loop = make_loop()

    async def main():
        generator = numbers(closed)
        await generator.__anext__()
        return generator

    generator = loop.run_until_complete(main())
    loop.close()
    del generator
    gc.collect()
    assert closed == []
