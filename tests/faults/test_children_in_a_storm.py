"""Child processes while signals rain down and other people's children die: statuses exact, nobody's child reaped."""

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

from support import run_program, until

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

OWN = 40
TRUE = "/bin/true"


async def own_children(count):
    """Start children that end with different statuses, ten at a time, and see that each is told as it was."""
    limit = asyncio.Semaphore(10)

    async def one(number):
        async with limit:
            child = await asyncio.create_subprocess_exec("/bin/sh", "-c", f"exit {number % 100}")
            assert await child.wait() == number % 100

    await asyncio.gather(*[one(number) for number in range(count)])


def test_children_of_others_are_left_to_them(loop):
    """DESIGN: no reaping of children that are not ours; a loop that waits for any child steals their statuses."""

    async def main():
        others = [subprocess.Popen(["/bin/sh", "-c", f"exit {number}"]) for number in range(20)]
        await own_children(OWN)
        assert [await asyncio.to_thread(other.wait) for other in others] == list(range(20))

    loop.run_until_complete(main())


def test_storm_of_sigchld_changes_nothing(loop):
    seen = []
    over = threading.Event()

    def storm():
        while not over.wait(0.0002):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGCHLD)

    before = signal.signal(signal.SIGCHLD, lambda *_: seen.append(1))
    thread = threading.Thread(target=storm)
    thread.start()
    try:
        loop.run_until_complete(own_children(OWN))
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGCHLD, before)
    assert seen


def test_programs_own_handler_of_sigchld_is_called_and_the_loop_does_not_need_the_signal(loop):
    seen = []

    async def main():
        loop.add_signal_handler(signal.SIGCHLD, seen.append, 1)
        await own_children(3)
        # Somebody takes the signal away: children are watched all the same.
        loop.remove_signal_handler(signal.SIGCHLD)
        await own_children(3)

    loop.run_until_complete(main())
    assert seen


def test_children_that_die_of_every_signal_are_told_as_they_died(loop):
    numbers = [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT, signal.SIGSEGV, signal.SIGHUP]

    async def main():
        children = [await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1) for _ in numbers]
        for child, number in zip(children, numbers, strict=True):
            child.send_signal(number)
        assert [await child.wait() for child in children] == [-number for number in numbers]
        for child in children:
            child.stdin.close()
            await until(lambda: cannot_be_killed(child))  # noqa: B023

    def cannot_be_killed(child):
        try:
            child.kill()
        except ProcessLookupError:
            return True
        return False

    loop.run_until_complete(main())


def test_output_at_the_very_end_is_not_lost(loop):
    """The child writes as much as a pipe holds and is gone before anybody reads."""

    async def one():
        child = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", "head -c 65536 /dev/zero; head -c 10000 /dev/zero >&2; exit 7", stdout=-1, stderr=-1
        )
        output, errors = await child.communicate()
        assert (len(output), len(errors), child.returncode) == (65536, 10000, 7)

    async def main():
        await asyncio.gather(*[one() for _ in range(20)])

    loop.run_until_complete(main())


def test_pipe_that_a_grandchild_keeps_open_does_not_hold_the_status(loop):
    """The child is dead, its child holds the pipe: process_exited comes, the pipe is lost when its end comes."""

    class Protocol(asyncio.SubprocessProtocol):
        def __init__(self):
            self.events = []
            self.exited, self.ended = loop.create_future(), loop.create_future()

        def pipe_data_received(self, fd, data):
            self.events.append(data)

        def process_exited(self):
            self.events.append("exited")
            self.exited.set_result(None)

        def connection_lost(self, exc):
            self.events.append("lost")
            self.ended.set_result(exc)

    async def main():
        holder, holds = os.pipe()
        transport, protocol = await loop.subprocess_exec(
            Protocol, "/bin/sh", "-c", "exec 3<&0; (read line <&3; echo last) & exit 3", stdin=holder
        )
        os.close(holder)
        await asyncio.wait_for(protocol.exited, 10)
        assert transport.get_returncode() == 3
        assert "lost" not in protocol.events
        os.write(holds, b"\n")
        await asyncio.wait_for(protocol.ended, 10)
        assert [event for event in protocol.events if event != "exited"] == [b"last\n", "lost"]
        os.close(holds)
        transport.close()

    loop.run_until_complete(main())


def test_child_that_is_reaped_by_somebody_else_ends_with_a_warning_and_no_hang(loop_kind):
    done = run_program(
        loop_kind,
        """
        async def main():
            child = await asyncio.create_subprocess_exec("/bin/sh", "-c", "read line; exit 3", stdin=-1)
            time.sleep(0.001)
            child.stdin.write(b"\\n")
            await child.stdin.drain()
            try:
                os.waitpid(child.pid, 0)
            except ChildProcessError:
                pass  # asyncio's thread was faster
            status = await asyncio.wait_for(child.wait(), 10)
            print(status in (255, 3))

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        """,
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


# asyncio of 3.14 fails to start a child that is gone before it is looked for.
@pytest.mark.loop_kinds("tideloop")
def test_program_that_ignores_sigchld_hears_of_the_ends(loop_kind):
    """The kernel reaps children by itself then; their statuses are lost, but not their ends."""
    done = run_program(
        loop_kind,
        """
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        async def main():
            child = await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 3")
            await asyncio.wait_for(child.wait(), 10)
            print(child.returncode is not None)

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        """,
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_loop_that_is_closed_while_children_run_leaves_no_zombie(loop_kind):
    done = run_program(
        loop_kind,
        """
        async def main():
            return [await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 0") for _ in range(5)]

        warnings.simplefilter("ignore")
        with asyncio.Runner(loop_factory=new_loop) as runner:
            children = runner.run(main())
            runner.run(asyncio.sleep(0.1))
        pids = [child.pid for child in children]
        del children
        gc.collect()
        deadline = time.monotonic() + 5
        def zombies():
            found = []
            for pid in pids:
                try:
                    with open(f"/proc/{pid}/stat") as file:
                        found.append(file.read().rpartition(")")[2].split()[0])
                except OSError:
                    pass
            return found
        while zombies() and time.monotonic() < deadline:
            time.sleep(0.01)
        print(zombies())
        """,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
