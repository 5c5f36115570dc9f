"""What threads send to a loop that is not ours: each receiver gets its own, whatever another one raises."""

import asyncio
import concurrent.futures
import threading

import pytest

from tideloop import _thread_mail
from tideloop.threads import ThreadPool


@pytest.fixture
def pool():
    with ThreadPool(2) as pool:
        yield pool


@pytest.fixture
def foreign_loop():
    loop = asyncio.SelectorEventLoop()
    yield loop
    loop.close()


def raise_stop_iteration():
    raise StopIteration("mine")


def test_a_function_that_raises_stop_iteration_is_a_runtime_error_and_hangs_nobody(pool, foreign_loop):
    release = threading.Event()

    async def main():
        calls = [pool.run(release.wait, 10), pool.run(raise_stop_iteration), pool.run(pow, 2, 3)]
        waiting = asyncio.gather(*calls, return_exceptions=True)
        foreign_loop.call_later(0.01, release.set)
        return await asyncio.wait_for(waiting, 5)

    waited, error, power = foreign_loop.run_until_complete(main())
    assert (waited, power) == (True, 8)
    assert isinstance(error, RuntimeError)
    assert "StopIteration interacts badly with generators" in str(error)
    assert error.__cause__.value == "mine"


def test_stop_iteration_from_an_executor_of_the_stdlib_hangs_nobody(run, loop, loop_kind):
    if loop_kind != "tideloop":
        pytest.skip("asyncio hangs there before 3.12.6")

    async def main():
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            with pytest.raises(RuntimeError, match="StopIteration interacts badly"):
                await asyncio.wait_for(loop.run_in_executor(executor, raise_stop_iteration), 5)

    run(main())


def test_what_a_receiver_raises_goes_to_the_exception_handler_and_the_rest_is_delivered(foreign_loop):
    reports, got = [], []
    foreign_loop.set_exception_handler(lambda _, context: reports.append(type(context["exception"])))
    mailbox = _thread_mail.mailbox_of(foreign_loop)
    done = concurrent.futures.Future()
    for receiver in (lambda _: 1 / 0, got.append, lambda _: [].pop(), got.append):
        mailbox.post(receiver, done)
    foreign_loop.call_soon(foreign_loop.stop)
    foreign_loop.run_forever()
    assert got == [done, done]
    assert reports == [ZeroDivisionError, IndexError]


def test_what_follows_an_interrupt_is_delivered_in_the_next_turn(foreign_loop):
    def interrupt(_):
        raise KeyboardInterrupt

    got = []
    mailbox = _thread_mail.mailbox_of(foreign_loop)
    done = concurrent.futures.Future()
    for receiver in (interrupt, got.append):
        mailbox.post(receiver, done)
    with pytest.raises(KeyboardInterrupt):
        foreign_loop.run_forever()
    assert got == []
    foreign_loop.call_soon(foreign_loop.stop)
    foreign_loop.run_forever()
    assert got == [done]
