"""Child processes: what Tideloop does in its own way, off the loop's thread and by pidfd."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from child_processes import DEVNULL, EXEC, PIPE, SHELL, Recorder, output
from hygiene import _descriptors as descriptors
from support import program_output, until
from tideloop import _children


@pytest.fixture
def without_pidfd(monkeypatch):
    monkeypatch.setattr(_children, "USES_PIDFD", False)


@pytest.mark.usefixtures("without_pidfd")
def test_without_pidfd_a_thread_waits(run):
    async def main():
        texts = await asyncio.gather(*(output(f"echo {number}; exit {number}") for number in range(10)))
        assert texts == [(f"{number}\n", number) for number in range(10)]
        process = await EXEC("sleep", "1000")

        def waiting():
            return [thread.name for thread in threading.enumerate() if "wait" in thread.name]

        # The threads of those before have told of the end, and end themselves a little later.
        await until(lambda: waiting() == [f"tideloop-wait-{process.pid}"])
        process.terminate()
        assert await process.wait() == -signal.SIGTERM
        transport, _ = await asyncio.get_running_loop().subprocess_exec(Recorder, "sleep", "1000")
        transport.close()
        assert await transport._wait() == -signal.SIGKILL

    run(main())


def test_descriptors_of_the_caller_may_be_closed_as_soon_as_the_start_has_begun(loop):
    async def main():
        read, write = os.pipe()
        extra_read, extra_write = os.pipe()
        script = f"echo through; echo extra >/dev/fd/{extra_write}"
        starting = asyncio.ensure_future(SHELL(script, stdout=write, pass_fds=(extra_write,)))
        await asyncio.sleep(0)
        os.close(write)
        os.close(extra_write)
        # Their numbers are somebody else's when the program starts.
        others = [os.dup(0) for _ in range(10)]
        process = await starting
        assert await process.wait() == 0
        assert os.read(read, 100) == b"through\n" and os.read(read, 1) == b""
        assert os.read(extra_read, 100) == b"extra\n" and os.read(extra_read, 1) == b""
        for fd in (*others, read, extra_read):
            os.close(fd)

    loop.run_until_complete(main())


def test_directory_and_environment_are_those_of_the_call(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    monkeypatch.setenv("TIDELOOP_TEST", "at the call")

    async def main():
        here = asyncio.ensure_future(output("pwd; echo $TIDELOOP_TEST"))
        below = asyncio.ensure_future(output("pwd", cwd="below"))
        await asyncio.sleep(0)
        os.chdir("/")
        os.environ["TIDELOOP_TEST"] = "after it"
        assert await here == (f"{tmp_path}\nat the call\n", 0)
        assert await below == (f"{tmp_path}/below\n", 0)

    run(main())


@pytest.mark.parametrize("turns", range(1, 12))
@pytest.mark.parametrize("program", [("true",), ("sleep", "1000"), ("/tideloop-nowhere",)])
def test_cancelled_at_any_point_of_the_start_nothing_is_left(run, turns, program):
    async def main():
        before = descriptors()
        starting = asyncio.ensure_future(EXEC(*program, stdin=PIPE, stdout=PIPE, stderr=PIPE))
        for _ in range(turns):
            await asyncio.sleep(0.0002 if turns % 2 else 0)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, FileNotFoundError):
            process = await starting
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate(b"")
        await until(lambda: descriptors().keys() <= before.keys() | {asyncio.get_running_loop()._spawner.fileno()})

    run(main())


def test_a_loop_closed_while_children_start_ends_them():
    source = """
    def children_left():
        try:
            return os.waitpid(-1, os.WNOHANG) is not None
        except ChildProcessError:
            return False
    loop = new_loop()
    starting = [loop.create_task(asyncio.create_subprocess_exec("sleep", "1000")) for _ in range(10)]
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    # Who started in time is ended by the end of its transport.
    import logging
    logging.disable()
    warnings.simplefilter("ignore")
    starting.clear()
    gc.collect()
    while children_left():
        time.sleep(0.01)
    print("none", flush=True)
    """
    assert program_output("tideloop", source, seconds=20) == "none\n"


def test_another_class_in_the_place_of_popen_is_used(run, monkeypatch):
    seen = []

    class Mine(subprocess.Popen):
        def __init__(self, args, **options):
            seen.append(args)
            super().__init__(args, **options)

    monkeypatch.setattr(subprocess, "Popen", Mine)

    async def main():
        process = await EXEC("echo", "mine", stdout=PIPE)
        assert (await process.communicate())[0] == b"mine\n"
        assert isinstance(process._transport.get_extra_info("subprocess"), Mine)

    run(main())
    assert seen == [("echo", "mine")]


def test_auditors_hear_of_the_program():
    source = """
    seen = []
    sys.addaudithook(lambda event, args: seen.append(args) if event == "subprocess.Popen" else None)
    async def main():
        process = await asyncio.create_subprocess_exec("true", "argument", cwd="/", env={"PATH": "/bin"})
        await process.wait()
    loop = new_loop()
    loop.run_until_complete(main())
    loop.close()
    print(seen)
    """
    assert program_output("tideloop", source) == "[('true', ['true', 'argument'], '/', {'PATH': '/bin'})]\n"


def test_many_at_once(run):
    async def main():
        async def one(number):
            process = await SHELL(f"exit {number % 100}", stdout=PIPE)
            await process.communicate()
            return process.returncode

        assert await asyncio.gather(*map(one, range(200))) == [number % 100 for number in range(200)]

    run(main())


def test_missing_programs_among_others_under_load(run):
    async def main():
        async def one(number):
            if number % 2:
                return await output("exit 3")
            with pytest.raises(FileNotFoundError):
                await EXEC("/tideloop-nowhere", stdin=PIPE, stdout=PIPE)
            return None

        results = await asyncio.gather(*map(one, range(100)))
        assert results == [("", 3) if number % 2 else None for number in range(100)]

    run(main())


def test_loops_in_threads_have_children_of_their_own(new_loop):
    results = []

    def work(number):
        loop = new_loop()
        try:
            results.append(loop.run_until_complete(output(f"echo {number}; exit {number}")))
        finally:
            loop.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(f"{number}\n", number) for number in range(4)]


def test_the_child_of_a_fork_starts_children_of_its_own():
    source = """
    async def main():
        process = await asyncio.create_subprocess_exec("true")
        return await process.wait()
    loop = new_loop()
    assert loop.run_until_complete(main()) == 0
    pid = os.fork()
    if pid == 0:
        mine = new_loop()
        status = mine.run_until_complete(main())
        again = loop.run_until_complete(main())  # it was not running, and works in the child too
        os._exit(10 + status + again)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 10
    assert loop.run_until_complete(main()) == 0
    loop.close()
    print("both")
    """
    with_warning = {"flags": ("-W", "ignore::DeprecationWarning")}  # 3.12 on: threads and fork
    assert program_output("tideloop", source, **with_warning) == "both\n"


def test_a_child_may_ask_to_die_with_its_parent_and_lives_as_long(run):
    """PR_SET_PDEATHSIG means the parent's thread: one that went home would take its children along."""
    code = (
        "import ctypes, signal, sys\n"
        "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )

    async def main():
        process = await EXEC(sys.executable, "-c", code, stdin=PIPE, stdout=PIPE)
        assert await process.stdout.readline() == b"ready\n"
        await asyncio.gather(*(output("true") for _ in range(20)))
        assert process.returncode is None
        process.stdin.close()
        assert await process.wait() == 0

    run(main())


def test_cancelled_communicate_and_a_kill_meanwhile(run):
    async def main():
        process = await EXEC("cat", stdin=PIPE, stdout=PIPE)
        talking = asyncio.ensure_future(process.communicate(b"x" * 1_000_000))
        await asyncio.sleep(0)
        talking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talking
        process.kill()
        await process.wait()
        process = await SHELL("cat; sleep 1000", stdin=PIPE, stdout=PIPE, process_group=0)
        talking = asyncio.ensure_future(process.communicate(b"x"))
        await asyncio.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        await talking
        assert process.returncode == -signal.SIGKILL

    run(main())


def test_a_child_without_pipes_costs_no_task(run):
    async def main():
        tasks = asyncio.all_tasks()
        process = await EXEC("true", stdin=DEVNULL)
        assert asyncio.all_tasks() == tasks
        await process.wait()

    run(main())
