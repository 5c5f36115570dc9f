"""Loops outside the main thread, several loops, and programs that fork."""

import asyncio
import os
import threading

import pytest

from support import program_output, run_program, until


def in_thread(function):
    """Run a function in a thread of its own; its result, or its exception."""
    outcome = []

    def work():
        try:
            outcome.append((function(), None))
        except BaseException as exc:
            outcome.append((None, exc))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def test_loop_runs_in_another_thread(make_loop):
    def work():
        loop = make_loop()
        try:
            return loop.run_until_complete(asyncio.sleep(0.001, "from a thread"))
        finally:
            loop.close()

    assert in_thread(work) == "from a thread"


def test_loop_made_in_one_thread_runs_in_another(loop):
    assert in_thread(lambda: loop.run_until_complete(asyncio.sleep(0.001, "moved"))) == "moved"
    assert loop.run_until_complete(asyncio.sleep(0.001, "and back")) == "and back"


def test_runner_works_in_another_thread(make_loop):
    async def main():
        return await asyncio.gather(asyncio.sleep(0, 1), asyncio.to_thread(int, "2"))

    def work():
        with asyncio.Runner(loop_factory=make_loop) as runner:
            return runner.run(main())

    assert in_thread(work) == [1, 2]


def test_loops_in_several_threads_run_at_once(make_loop):
    barrier = threading.Barrier(3)
    results = []

    def work(number):
        loop = make_loop()

        async def main():
            await loop.run_in_executor(None, barrier.wait, 10)
            for _ in range(100):
                await asyncio.sleep(0)
            assert asyncio.get_running_loop() is loop
            assert len(asyncio.all_tasks()) == 1
            return number

        results.append(loop.run_until_complete(main()))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [0, 1, 2]


def test_loops_in_one_thread_take_turns(make_loop):
    first, second = make_loop(), make_loop()
    future = second.create_future()

    async def main():
        second.call_soon_threadsafe(future.set_result, "passed")
        await asyncio.sleep(0)

    first.run_until_complete(main())
    assert second.run_until_complete(future) == "passed"


def test_loops_in_two_threads_talk_over_a_connection(make_loop):
    def serve(started, stop):
        loop = make_loop()

        async def echo(reader, writer):
            while data := await reader.read(1000):
                writer.write(data)
            writer.close()

        async def main():
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            done = asyncio.Event()
            stop.append((loop, done, server.sockets[0].getsockname()))
            started.set()
            await done.wait()
            await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
            server.close()
            await server.wait_closed()

        loop.run_until_complete(main())
        loop.close()

    started, stop = threading.Event(), []
    thread = threading.Thread(target=serve, args=(started, stop))
    thread.start()
    assert started.wait(10)
    serving_loop, done, address = stop[0]
    loop = make_loop()

    async def main():
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"across")
        assert await reader.readexactly(6) == b"across"
        writer.close()
        await writer.wait_closed()

    loop.run_until_complete(main())
    serving_loop.call_soon_threadsafe(done.set)
    thread.join()


def test_loop_running_in_one_thread_cannot_be_run_in_another(loop):
    async def main():
        def again():
            with pytest.raises(RuntimeError, match="This event loop is already running"):
                loop.run_forever()

        await asyncio.to_thread(again)

    loop.run_until_complete(main())


def test_stop_from_another_thread_stops_the_loop(loop):
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(loop.stop))
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()


def test_hundred_loops_come_and_go_without_a_trace(make_loop, new_loop):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        loop = new_loop()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_future_of_a_thread_without_a_loop_is_an_error(loop_kind):
    from support import future_class

    with pytest.raises(RuntimeError, match="no running event loop|no current event loop"):
        in_thread(lambda: future_class(loop_kind)())


FORK = """
warnings.simplefilter("ignore", DeprecationWarning)

def child_runs():
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = child()
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def test_forked_child_has_no_running_loop_and_can_run_its_own(loop_kind):
    output = program_output(
        loop_kind,
        FORK
        + """
def child():
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        return 2
    loop = new_loop()
    print(loop.run_until_complete(asyncio.sleep(0.001, "child")), flush=True)
    loop.close()
    return 0

async def main():
    loop = asyncio.get_running_loop()
    assert child_runs() == 0
    assert asyncio.get_running_loop() is loop
    await asyncio.sleep(0.001)
    loop.call_soon_threadsafe(lambda: None)
    return "parent"

with asyncio.Runner(loop_factory=new_loop) as runner:
    print(runner.run(main()))
""",
    )
    assert output == "child\nparent\n"


def test_forked_child_can_run_a_runner_with_connections_while_the_parent_serves(loop_kind):
    output = program_output(
        loop_kind,
        FORK
        + """
async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
    writer.close()

async def client(address):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"hello")
    data = await reader.readexactly(5)
    writer.close()
    await writer.wait_closed()
    return data

def child():
    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        data = await client(server.sockets[0].getsockname())
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.001)
        server.close()
        return 0 if data == b"hello" else 3
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main())

async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(*address)
    for number in range(3):
        assert child_runs() == 0
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        assert await client(address) == b"hello"
    writer.close()
    await writer.wait_closed()
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0.001)
    server.close()
    await server.wait_closed()
    return "parent serves on"

with asyncio.Runner(loop_factory=new_loop) as runner:
    print(runner.run(main()))
""",
    )
    assert output == "parent serves on\n"


def test_closing_in_the_child_what_it_inherited_does_not_disturb_the_parent(loop_kind):
    output = program_output(
        loop_kind,
        FORK
        + """
left, right = socket.socketpair()
loop = new_loop()
seen = []
loop.add_reader(left, lambda: (seen.append(left.recv(10)), loop.stop()))

def child():
    left.close()
    right.close()
    return 0

assert child_runs() == 0
right.send(b"still watched")
loop.run_forever()
loop.remove_reader(left)
loop.close()
left.close()
right.close()
print(seen)
""",
    )
    assert output == "[b'still watched']\n" or output == "[b'still watc']\n"


def test_loop_that_ran_while_the_parent_forked_is_dead_in_the_child_with_a_clear_error(loop_kind):
    if loop_kind == "asyncio":
        pytest.skip("asyncio lets the child use the loop and share the parent's epoll set, which breaks both")
    output = program_output(
        loop_kind,
        FORK
        + """
left, right = socket.socketpair()

def child():
    warnings.simplefilter("ignore")
    uses = [
        lambda: loop.run_until_complete(asyncio.sleep(0)),
        loop.run_forever,
        lambda: loop.add_reader(left, print),
        lambda: loop.call_soon(print),
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.call_later(0, print),
    ]
    for use in uses:
        try:
            use()
        except RuntimeError as exc:
            print("fork" in str(exc), flush=True)
        else:
            print("no error", flush=True)
    return 0

async def main():
    global loop
    loop = asyncio.get_running_loop()
    status = child_runs()
    return await asyncio.sleep(0.001, status)

with asyncio.Runner(loop_factory=new_loop) as runner:
    print(runner.run(main()))
left.close()
right.close()
""",
    )
    assert output == "True\n" * 6 + "0\n"


def test_loop_that_did_not_run_while_the_parent_forked_runs_in_both(loop_kind):
    output = program_output(
        loop_kind,
        FORK
        + """
loop = new_loop()
loop.run_until_complete(asyncio.sleep(0))

def child():
    print(loop.run_until_complete(asyncio.sleep(0.001, "child")), flush=True)
    loop.close()
    return 0

assert child_runs() == 0
print(loop.run_until_complete(asyncio.sleep(0.001, "parent")))
loop.close()
""",
    )
    assert output == "child\nparent\n"


def test_signal_in_the_child_does_not_wake_the_parent(loop_kind):
    output = program_output(
        loop_kind,
        FORK
        + """
seen = []

def child():
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(0)
    return 0

async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, seen.append, 1)
    status = child_runs()
    await asyncio.sleep(0.02)
    loop.remove_signal_handler(signal.SIGUSR1)
    return status

with asyncio.Runner(loop_factory=new_loop) as runner:
    print(runner.run(main()), len(seen) <= 1)
""",
    )
    assert output == "0 True\n"


def test_multiprocessing_by_fork_works_from_a_running_loop(loop_kind):
    done = run_program(
        loop_kind,
        """
        warnings.simplefilter("ignore", DeprecationWarning)
        import multiprocessing

        def work(connection):
            async def main():
                await asyncio.sleep(0.001)
                return os.getpid()
            with asyncio.Runner(loop_factory=new_loop) as runner:
                connection.send(runner.run(main()))

        async def main():
            context = multiprocessing.get_context("fork")
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs,))
            process.start()
            pid = await asyncio.to_thread(ours.recv)
            await asyncio.to_thread(process.join)
            return pid == process.pid, process.exitcode

        with asyncio.Runner(loop_factory=new_loop) as runner:
            print(runner.run(main()))
        """,
    )
    assert (done.returncode, done.stdout) == (0, "(True, 0)\n"), done.stderr
