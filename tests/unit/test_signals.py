"""Signals beyond asyncio's contract: whose the wake-up descriptor is, and what arrives while no loop runs."""

import asyncio
import gc
import os
import signal
import socket
import threading
import weakref

import pytest

from support import program_output, turn


def wakeup_fd() -> int:
    """The wake-up descriptor of the process; asking for it takes it away for a moment."""
    fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    return fd


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_the_wakeup_descriptor_is_the_loops_while_it_runs_and_what_it_was_after(loop, run):
    theirs, other_end = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno())

    async def main():
        return wakeup_fd()

    try:
        assert run(main()) not in (-1, theirs.fileno())
        assert wakeup_fd() == theirs.fileno()
        with pytest.raises(ZeroDivisionError):
            loop.call_soon(loop.stop)
            loop._run_turns = lambda: 1 / 0
            loop.run_forever()
        assert wakeup_fd() == theirs.fileno()
    finally:
        signal.set_wakeup_fd(-1)
        theirs.close()
        other_end.close()
        del loop._run_turns


def test_a_wakeup_descriptor_that_somebody_set_during_the_run_stays(run):
    theirs, other_end = socket.socketpair()
    theirs.setblocking(False)

    async def main():
        signal.set_wakeup_fd(theirs.fileno())

    run(main())
    assert signal.set_wakeup_fd(-1) == theirs.fileno()
    theirs.close()
    other_end.close()


def test_a_wakeup_descriptor_that_was_closed_during_the_run_is_not_put_back(run):
    theirs, other_end = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno())

    async def main():
        theirs.close()

    run(main())
    assert signal.set_wakeup_fd(-1) == -1
    other_end.close()


def test_a_loop_in_another_thread_leaves_the_wakeup_descriptor_alone(make_loop):
    seen = []

    def in_thread():
        loop = make_loop()
        loop.run_until_complete(asyncio.sleep(0))
        seen.append(loop._wakeup_pair)
        loop.close()

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert seen == [None]


def test_a_signal_that_arrives_before_the_run_is_served_in_it(loop):
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "usr1")
    send(signal.SIGUSR1)
    assert seen == []
    turn(loop)
    assert seen == ["usr1"]


def test_a_signal_between_two_runs_is_served_once(loop):
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "usr1")
    turn(loop)
    send(signal.SIGUSR1)
    turn(loop, 3)
    assert seen == ["usr1"]


def test_each_signal_during_the_run_is_served(loop, run):
    seen = []
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, seen.append, number)

    async def main():
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1):
            send(number)
            count = len(seen)
            while len(seen) == count:
                await asyncio.sleep(0)

    run(main())
    assert seen == [signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1]


def test_a_signal_wakes_a_loop_that_waits(loop):
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    timer = threading.Timer(0.01, send, [signal.SIGUSR1])
    timer.start()
    loop.run_forever()
    timer.join()


def test_a_handler_set_by_others_runs_while_the_loop_waits_for_nothing(loop):
    seen = []

    def handler(number, frame):
        seen.append(number)
        loop.stop()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        timer = threading.Timer(0.01, send, [signal.SIGUSR1])
        timer.start()
        loop.run_forever()
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1]


def test_ctrl_c_leaves_a_loop_that_waits_for_nothing(loop):
    timer = threading.Timer(0.01, send, [signal.SIGINT])
    # From within the run: this thread may stand still before it, and the interrupt would end the tests.
    loop.call_soon(timer.start)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    timer.join()
    assert not loop.is_running()
    turn(loop)


def test_the_loop_that_asked_last_has_the_signal(make_loop):
    first, second = make_loop(), make_loop()
    seen = []
    first.add_signal_handler(signal.SIGUSR1, seen.append, "first")
    second.add_signal_handler(signal.SIGUSR1, seen.append, "second")
    first.call_soon(send, signal.SIGUSR1)
    turn(first, 3)
    turn(second, 3)
    assert seen == ["second"]


def test_a_handler_replaced_is_not_called(loop):
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "old")
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "new")
    send(signal.SIGUSR1)
    turn(loop)
    assert seen == ["new"]


def test_a_handler_that_cannot_be_set_leaves_nothing(loop):
    with pytest.raises(RuntimeError, match="sig 9 cannot be caught"):
        loop.add_signal_handler(signal.SIGKILL, print)
    assert not loop.remove_signal_handler(signal.SIGKILL)


def test_another_thread_cannot_add_a_handler(loop):
    errors = []

    def add():
        try:
            loop.add_signal_handler(signal.SIGUSR1, print)
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=add)
    thread.start()
    thread.join()
    assert errors == ["set_wakeup_fd only works in main thread of the main interpreter"]
    assert loop._signal_handlers == {}


def test_close_gives_the_signals_back(make_loop):
    loop = make_loop()
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.add_signal_handler(signal.SIGINT, print)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning")
def test_a_forgotten_loop_with_signal_handlers_is_collected(new_loop):
    loop = new_loop()
    loop.add_signal_handler(signal.SIGUSR1, print)
    watch = weakref.ref(loop)
    del loop
    gc.collect()
    assert watch() is None
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_the_child_of_a_fork_does_not_write_signals_into_its_parents_loop():
    source = """
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, seen.append, "usr1")
        pid = os.fork()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGUSR1)
            os._exit(signal.set_wakeup_fd(-1) + 1)
        _, status = os.waitpid(pid, 0)
        print("status", os.waitstatus_to_exitcode(status))
        await asyncio.sleep(0.01)

    loop = new_loop()
    loop.run_until_complete(main())
    loop.close()
    print(seen)
    """
    flags = ("-W", "ignore::DeprecationWarning")
    assert program_output("tideloop", source, flags=flags) == "status 0\n[]\n"
