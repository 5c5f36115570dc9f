"""Signal handlers of the loop, and Ctrl+C in whole programs."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading

import pytest

from support import PROGRAM_HEAD, OneSignal, program_output, reports, run_program, run_until, turn


def send(number=signal.SIGUSR1):
    os.kill(os.getpid(), number)


def test_handler_is_called_in_the_loop_with_its_arguments(loop):
    seen = []
    assert loop.add_signal_handler(signal.SIGUSR1, lambda *args: seen.append(args), 1, "two") is None
    loop.call_soon(send)
    run_until(loop, lambda: seen)
    assert seen == [(1, "two")]
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_signal_wakes_a_parked_loop(loop):
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    thread = threading.Thread(target=send)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    loop.remove_signal_handler(signal.SIGUSR1)


def test_signal_that_came_while_the_loop_did_not_run_is_handled_in_the_next_run(loop):
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, 1)
    send()
    assert seen == []
    run_until(loop, lambda: seen)
    loop.remove_signal_handler(signal.SIGUSR1)
    assert seen == [1]


def test_new_handler_replaces_the_old_one(loop):
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "old")
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "new")
    loop.call_soon(send)
    run_until(loop, lambda: seen)
    loop.remove_signal_handler(signal.SIGUSR1)
    assert seen == ["new"]


def test_removing_what_is_not_there_is_false(loop):
    assert loop.remove_signal_handler(signal.SIGUSR1) is False
    loop.add_signal_handler(signal.SIGUSR1, print)
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert loop.remove_signal_handler(signal.SIGUSR1) is False


def test_removing_the_handler_of_sigint_gives_back_the_interpreters(loop):
    before = signal.getsignal(signal.SIGINT)
    loop.add_signal_handler(signal.SIGINT, print)
    assert loop.remove_signal_handler(signal.SIGINT) is True
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", ["text", 1.5, None])
def test_signal_that_is_no_number_is_a_type_error(loop, number):
    with pytest.raises(TypeError, match="sig must be an int, not"):
        loop.add_signal_handler(number, print)
    with pytest.raises(TypeError, match="sig must be an int, not"):
        loop.remove_signal_handler(number)


@pytest.mark.parametrize("number", [0, -1, 1000])
def test_signal_that_does_not_exist_is_a_value_error(loop, number):
    with pytest.raises(ValueError, match=f"invalid signal number {number}"):
        loop.add_signal_handler(number, print)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_signal_that_cannot_be_caught_is_a_runtime_error(loop, number):
    with pytest.raises(RuntimeError, match="cannot be caught"):
        loop.add_signal_handler(number, print)


def test_coroutines_are_refused(loop):
    with pytest.raises(TypeError, match="coroutines cannot be used with add_signal_handler"):
        loop.add_signal_handler(signal.SIGUSR1, asyncio.sleep)


def test_adding_in_another_thread_is_refused(make_loop):
    caught = []

    def work():
        loop = make_loop()
        try:
            loop.add_signal_handler(signal.SIGUSR1, print)
        except (ValueError, RuntimeError) as exc:
            caught.append(str(exc))
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in caught[0]


def test_handler_that_raises_is_reported_and_stays(loop):
    ran = []

    def handler():
        ran.append(1)
        raise LookupError("signal handler")

    loop.add_signal_handler(signal.SIGUSR1, handler)
    with reports(loop) as seen:
        for count in (1, 2):
            loop.call_soon(send)
            run_until(loop, lambda count=count: len(ran) == count)
    assert [type(context["exception"]) for context in seen] == [LookupError] * 2
    seen.clear()
    loop.remove_signal_handler(signal.SIGUSR1)


def test_close_removes_the_handlers(make_loop):
    loop = make_loop()
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1


def test_many_signals_of_several_kinds_are_told_apart(loop):
    seen = []
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, seen.append, number)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.call_soon(send, number)
    run_until(loop, lambda: len(seen) == 2)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.remove_signal_handler(number)
    assert sorted(seen) == [signal.SIGUSR1, signal.SIGUSR2]


def test_handler_made_by_signal_signal_runs_while_the_loop_is_parked(loop):
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_args: (seen.append(1), loop.call_soon_threadsafe(loop.stop)))
    try:
        sending = OneSignal(signal.SIGUSR1, 0)
        loop.call_soon(sending.start)
        loop.run_forever()
        sending.end()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [1]


def test_exception_in_a_handler_made_by_signal_signal_leaves_the_loop(loop):
    """uvloop #703, #295."""

    class Mine(Exception):
        pass

    def handler(*_args):
        raise Mine

    before = signal.signal(signal.SIGALRM, handler)
    try:
        timer = loop.call_later(3600, print)
        sending = OneSignal(signal.SIGALRM, 0.02)
        with pytest.raises(Mine):
            sending.start()
            loop.run_forever()
        sending.end()
        timer.cancel()
    finally:
        signal.signal(signal.SIGALRM, before)
    turn(loop)


def nudge(child):
    """Interrupt the system call that the program is in, twice a second, until it has ended.

    A signal that comes between asyncio's last look at signals and its system call is seen after that call alone.
    """
    while True:
        try:
            child.wait(0.5)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGSTOP)
            child.send_signal(signal.SIGCONT)
        else:
            return


def interrupted(kind, source):
    """Start a program, send it Ctrl+C when it says `ready`, and give status, output and errors."""
    program = PROGRAM_HEAD.format(kind=kind) + textwrap.dedent(source)
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as child:
        lines = []
        nudging = threading.Thread(target=nudge, args=(child,))
        for line in child.stdout:
            if line == "ready\n":
                child.send_signal(signal.SIGINT)
                nudging.start()
            else:
                lines.append(line)
        errors = child.stderr.read()
    nudging.join()
    return child.returncode, "".join(lines), errors


def test_ctrl_c_in_run_forever_raises_keyboard_interrupt_in_the_caller(loop_kind):
    status, output, errors = interrupted(
        loop_kind,
        """
        loop = new_loop()
        loop.call_soon(print, "ready")
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted", loop.is_running())
        finally:
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
        print("end")
        """,
    )
    assert (status, output, errors) == (0, "interrupted False\nend\n", "")


def test_ctrl_c_cancels_the_main_task_of_a_runner(loop_kind):
    status, output, errors = interrupted(
        loop_kind,
        """
        async def main():
            print("ready")
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                print("cancelled")
                raise
            finally:
                await asyncio.sleep(0)
                print("cleaned")

        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(main())
        except KeyboardInterrupt:
            print("interrupted")
        """,
    )
    assert (status, output, errors) == (0, "cancelled\ncleaned\ninterrupted\n", "")


def test_ctrl_c_uncaught_ends_the_program_as_the_interpreter_does(loop_kind):
    status, output, errors = interrupted(
        loop_kind,
        """
        async def main():
            print("ready")
            await asyncio.sleep(60)

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        """,
    )
    assert (status, output) == (-signal.SIGINT, "")
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_ctrl_c_interrupts_a_busy_loop(loop_kind):
    """uvloop #295, #335, #94."""
    status, output, _ = interrupted(
        loop_kind,
        """
        async def main():
            print("ready")
            while True:
                await asyncio.sleep(0)

        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(main())
        except KeyboardInterrupt:
            print("interrupted")
        """,
    )
    assert (status, output) == (0, "interrupted\n")


def test_ctrl_c_interrupts_a_callback_that_never_returns(loop_kind):
    status, output, _ = interrupted(
        loop_kind,
        """
        def stuck():
            print("ready")
            while True:
                pass

        loop = new_loop()
        loop.call_soon(stuck)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted")
        loop.close()
        """,
    )
    assert (status, output) == (0, "interrupted\n")


def test_own_handler_of_ctrl_c_is_called_and_nothing_is_interrupted(loop_kind):
    status, output, errors = interrupted(
        loop_kind,
        """
        async def main():
            done = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, done.set)
            print("ready")
            await done.wait()
            print("handled")

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        """,
    )
    assert (status, output, errors) == (0, "handled\n", "")


def test_ctrl_c_while_the_books_epilogue_runs_ends_cleanly(loop_kind):
    status, output, errors = interrupted(
        loop_kind,
        """
        loop = new_loop()
        server = loop.run_until_complete(loop.create_server(asyncio.Protocol, "127.0.0.1", 0))
        loop.call_soon(print, "ready")
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            pass
        server.close()
        loop.run_until_complete(server.wait_closed())
        loop.close()
        print("closed")
        """,
    )
    assert (status, output, errors) == (0, "closed\n", "")


def test_sigterm_without_a_handler_ends_the_program(loop_kind):
    done = run_program(
        loop_kind,
        """
        async def main():
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
            await asyncio.sleep(60)

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        """,
    )
    assert done.returncode == -signal.SIGTERM


def test_wakeup_descriptor_of_others_still_gets_each_signal(loop):
    """Twisted's asyncio reactor sets one before the loop runs, and learns by it of the ends of its children."""
    theirs, ours = socket.socketpair()
    for end in (theirs, ours):
        end.setblocking(False)
    seen = []
    loop.add_reader(ours, lambda: seen.extend(ours.recv(100)))
    handler = signal.signal(signal.SIGUSR2, lambda *_: None)
    before = signal.set_wakeup_fd(theirs.fileno())
    try:
        loop.call_soon(send, signal.SIGUSR2)
        run_until(loop, lambda: seen == [signal.SIGUSR2])
        loop.call_soon(send, signal.SIGUSR2)
        run_until(loop, lambda: seen == [signal.SIGUSR2] * 2)
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGUSR2, handler)
        loop.remove_reader(ours)
        theirs.close()
        ours.close()


def test_wakeup_descriptor_of_others_is_put_back(loop_kind):
    assert (
        program_output(
            loop_kind,
            """
            left, right = socket.socketpair()
            left.setblocking(False)
            signal.set_wakeup_fd(left.fileno())
            loop = new_loop()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
            print(signal.set_wakeup_fd(-1) in (left.fileno(), -1))
            left.close()
            right.close()
            """,
        )
        == "True\n"
    )
