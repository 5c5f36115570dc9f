"""Debug mode: slow callbacks, calls from the wrong thread, where things were made."""

import asyncio
import logging
import os
import re
import threading
import time

import pytest

from support import program_output, run_program, turn


@pytest.fixture
def debug_loop(loop):
    """The loop, in debug mode, for which everything is slow."""
    loop.set_debug(True)
    loop.slow_callback_duration = 0.01
    return loop


def slow():
    time.sleep(0.02)


def slow_records(caplog, name):
    """What was logged as slow under this name: on a busy machine anything else may be so too, as turn()'s loop.stop."""
    return [record for record in caplog.records if "took" in record.message and name in record.message]


def test_debug_mode_is_off_at_first_and_can_be_set(loop):
    assert loop.get_debug() is False
    loop.set_debug(True)
    assert loop.get_debug() is True
    loop.set_debug(False)
    assert loop.get_debug() is False


def test_threshold_is_a_tenth_of_a_second_at_first(loop):
    assert loop.slow_callback_duration == 0.1


def test_slow_callback_is_logged_with_its_duration(debug_loop, caplog):
    """uvloop #656, #611: what blocked the loop is named."""
    debug_loop.call_soon(slow)
    turn(debug_loop)
    (record,) = slow_records(caplog, "slow()")
    assert record.levelno == logging.WARNING
    assert record.name == "asyncio"
    found = re.fullmatch(
        r"Executing <Handle slow\(\) at .*test_debug_mode\.py:\d+ created at .*test_debug_mode\.py:\d+> "
        r"took (\d+\.\d{3}) seconds",
        record.message,
    )
    assert found, record.message
    assert 0.02 <= float(found[1]) < 2


def test_slow_task_is_logged_as_the_task(debug_loop, caplog):
    """uvloop #656."""

    async def slow_task():
        slow()

    task = debug_loop.create_task(slow_task(), name="sluggish")
    turn(debug_loop)
    (record,) = slow_records(caplog, "sluggish")
    assert re.match(
        r"Executing <Task finished name='sluggish' coro=<.*slow_task\(\) done, defined at .*> result=None "
        r"created at .*test_debug_mode\.py:\d+> took 0\.\d{3} seconds",
        record.message,
    ), record.message
    debug_loop.run_until_complete(task)


def test_slow_step_of_a_waiting_task_is_logged(debug_loop, caplog):
    async def slow_task():
        await asyncio.sleep(0)
        slow()
        await asyncio.sleep(0)

    debug_loop.run_until_complete(slow_task())
    messages = [record.message for record in caplog.records if "took" in record.message]
    assert any("slow_task() running at" in message or "slow_task()" in message for message in messages)


def test_slow_timer_is_logged(debug_loop, caplog):
    debug_loop.call_later(0, slow)
    turn(debug_loop)
    assert any("<TimerHandle" in record.message and "took" in record.message for record in caplog.records)


def test_fast_callbacks_are_not_logged(loop, caplog):
    loop.set_debug(True)
    loop.slow_callback_duration = 10
    loop.call_soon(slow)
    turn(loop)
    assert not [record for record in caplog.records if "took" in record.message]


def test_slow_callbacks_are_not_logged_without_debug_mode(loop, caplog):
    loop.slow_callback_duration = 0.001
    loop.call_soon(slow)
    turn(loop)
    assert not caplog.records


@pytest.mark.parametrize("method", ["call_soon", "call_later", "call_at"])
def test_call_from_the_wrong_thread_is_a_runtime_error(debug_loop, method):
    caught = []

    def call():
        try:
            arguments = () if method == "call_soon" else (0,)
            getattr(debug_loop, method)(*arguments, print)
        except RuntimeError as exc:
            caught.append(str(exc))

    async def main():
        thread = threading.Thread(target=call)
        thread.start()
        await asyncio.get_running_loop().run_in_executor(None, thread.join)

    debug_loop.run_until_complete(main())
    assert caught == ["Non-thread-safe operation invoked on an event loop other than the current one"]


def test_call_soon_threadsafe_from_another_thread_is_allowed(debug_loop):
    seen = []

    async def main():
        await asyncio.to_thread(debug_loop.call_soon_threadsafe, seen.append, 1)
        await asyncio.sleep(0)

    debug_loop.run_until_complete(main())
    assert seen == [1]


def test_call_while_the_loop_does_not_run_is_allowed(debug_loop):
    debug_loop.call_soon(lambda: None)
    debug_loop.call_later(0, lambda: None)
    turn(debug_loop)


def test_wrong_thread_is_not_looked_for_without_debug_mode(loop):
    async def main():
        ran = []
        await asyncio.to_thread(loop.call_soon, ran.append, 1)
        await asyncio.sleep(0.01)
        return ran

    assert loop.run_until_complete(main()) == [1]


def test_handles_and_tasks_remember_where_they_were_made(debug_loop):
    handle = debug_loop.call_soon(slow)
    assert "created at" in repr(handle)
    handle.cancel()

    async def noop():
        pass

    task = debug_loop.create_task(noop())
    assert "created at" in repr(task)
    future = debug_loop.create_future()
    assert "created at" in repr(future)
    debug_loop.run_until_complete(task)


def test_coroutine_origins_are_tracked_while_the_loop_runs(debug_loop):
    import sys

    async def main():
        return sys.get_coroutine_origin_tracking_depth()

    before = sys.get_coroutine_origin_tracking_depth()
    assert debug_loop.run_until_complete(main()) > 0
    assert sys.get_coroutine_origin_tracking_depth() == before


def test_debug_mode_can_be_changed_while_the_loop_runs(loop):
    import sys

    async def main():
        loop.set_debug(True)
        await asyncio.sleep(0)
        assert loop.get_debug()
        assert sys.get_coroutine_origin_tracking_depth() > 0
        loop.set_debug(False)
        await asyncio.sleep(0)
        assert sys.get_coroutine_origin_tracking_depth() == 0

    loop.run_until_complete(main())


def test_environment_turns_debug_mode_on(loop_kind):
    output = program_output(
        loop_kind,
        "loop = new_loop(); print(loop.get_debug()); loop.close()",
        env={"PYTHONASYNCIODEBUG": "1"},
    )
    assert output == "True\n"


def test_development_mode_turns_debug_mode_on(loop_kind):
    output = program_output(loop_kind, "loop = new_loop(); print(loop.get_debug()); loop.close()", flags=("-X", "dev"))
    assert output == "True\n"


def test_ignored_environment_is_ignored(loop_kind):
    output = program_output(
        loop_kind,
        "loop = new_loop(); print(loop.get_debug()); loop.close()",
        env={"PYTHONASYNCIODEBUG": "1", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        flags=("-E",),
    )
    assert output == "False\n"


def test_whole_program_runs_in_debug_mode(loop_kind):
    done = run_program(
        loop_kind,
        """
        async def echo(reader, writer):
            while data := await reader.read(100):
                writer.write(data)
                await writer.drain()
            writer.close()
            ended.set()

        async def main():
            global ended
            ended = asyncio.Event()
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello")
            print((await reader.readexactly(5)).decode())
            writer.close()
            await writer.wait_closed()
            # Up to 3.11 the server does not wait for it, and says so at length where it is cancelled.
            await ended.wait()
            await asyncio.gather(asyncio.to_thread(print, "thread"), asyncio.sleep(0.01))
            server.close()
            await server.wait_closed()

        with asyncio.Runner(loop_factory=new_loop, debug=True) as runner:
            runner.run(main())
        """,
        flags=("-X", "dev"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "hello\nthread\n"
    assert "Traceback" not in done.stderr


def test_close_of_an_executor_in_debug_mode_is_silent(debug_loop):
    debug_loop.slow_callback_duration = 10
    assert debug_loop.run_until_complete(debug_loop.run_in_executor(None, str, 1)) == "1"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_each_accepted_connection_is_logged(debug_loop, caplog, kind):
    caplog.set_level(logging.DEBUG)
    debug_loop.slow_callback_duration = 10

    async def serve(reader, writer):
        writer.close()
        await writer.wait_closed()

    async def main():
        # Another process may be at the same test just now.
        path = f"\0tideloop-debug-{os.getpid()}"
        if kind == "tcp":
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        else:
            server = await asyncio.start_unix_server(serve, path)
            reader, writer = await asyncio.open_unix_connection(path)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        server.close()
        await asyncio.sleep(0.005)
        return server, writer.get_extra_info("sockname")

    server, name = debug_loop.run_until_complete(main())
    (record,) = [record for record in caplog.records if "got a new connection from" in record.message]
    assert record.levelno == logging.DEBUG
    assert record.args[0] is server
    assert record.args[1] == name
    caplog.clear()
