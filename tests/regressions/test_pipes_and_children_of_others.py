"""Bugs that users of other loops met with pipes and child processes, each with its number: none may be ours."""

import asyncio
import os
import select
import signal
import subprocess
import sys

import pytest

from support import Recorder, gone, program_output, until

BOTH = pytest.mark.loop_kinds("asyncio", "tideloop")
OURS = pytest.mark.loop_kinds("tideloop")


def descriptors():
    return set(os.listdir("/proc/self/fd"))


@BOTH
def test_pipe_is_closed_once_and_never_somebody_elses(loop):
    """uvloop #763: connect_read_pipe closed its descriptor twice, the second time somebody else's."""

    async def main():
        for connect, end in ((loop.connect_read_pipe, 0), (loop.connect_write_pipe, 1)):
            ends = os.pipe()
            file = os.fdopen(ends[end], "rb" if end == 0 else "wb", 0)
            transport, protocol = await connect(Recorder, file)
            transport.close()
            await gone(protocol)
            await asyncio.sleep(0)
            # Whoever opens one now gets the number that is free.
            others = os.pipe()
            assert ends[end] in others
            transport.close()
            del transport, protocol, file
            await asyncio.sleep(0)
            os.write(others[1], b"x")
            assert os.read(others[0], 1) == b"x"
            for fd in (*others, ends[1 - end]):
                os.close(fd)

    loop.run_until_complete(main())


@BOTH
def test_pipe_can_be_connected_again_under_the_same_number(loop):
    """uvloop #262: FileExistsError."""

    async def main():
        reading, writing = os.pipe()
        for _ in range(3):
            duplicate = os.fdopen(os.dup(writing), "wb", 0)
            number = duplicate.fileno()
            transport, protocol = await loop.connect_write_pipe(Recorder, duplicate)
            transport.write(b"x")
            transport.close()
            await gone(protocol)
            assert os.read(reading, 10) == b"x"
        assert number
        os.close(reading)
        os.close(writing)

    loop.run_until_complete(main())


@BOTH
def test_child_that_cannot_be_started_leaves_no_descriptor(loop):
    """zuvloop #6, #56: the child's end of its standard input stayed open."""

    async def main():
        warm = await asyncio.create_subprocess_exec("/bin/true")
        await warm.wait()
        before = descriptors()
        for arguments in (["/does/not/exist"], ["/"], ["/etc/passwd"]):
            with pytest.raises(OSError):
                await asyncio.create_subprocess_exec(*arguments, stdin=-1, stdout=-1, stderr=-1)
        with pytest.raises(OSError):
            await asyncio.create_subprocess_exec("/bin/true", cwd="/does/not/exist", stdin=-1)
        await until(lambda: descriptors() == before)

    loop.run_until_complete(main())


@BOTH
def test_child_that_ran_leaves_no_descriptor(loop):
    async def main():
        warm = await asyncio.create_subprocess_exec("/bin/true")
        await warm.wait()
        before = descriptors()
        for _ in range(3):
            child = await asyncio.create_subprocess_exec("/bin/cat", stdin=-1, stdout=-1, stderr=-1)
            assert await child.communicate(b"x") == (b"x", b"")
        del child, warm
        await asyncio.sleep(0.01)
        await until(lambda: descriptors() == before)

    loop.run_until_complete(main())


@BOTH
@pytest.mark.parametrize("arguments", [("/bin/echo", "a\0b"), ("/bin/ec\0ho",)])
def test_zero_byte_in_an_argument_is_a_value_error(loop, arguments):
    """zuvloop #59: the argument was cut there."""

    async def main():
        with pytest.raises(ValueError, match="null"):
            await asyncio.create_subprocess_exec(*arguments)

    loop.run_until_complete(main())


# Ours alone: since 3.14 asyncio's wait() returns before connection_lost(), and until that comes a signal to a child
# that has ended is dropped without a word; which of the two comes first is chance. Neither signals anybody else.
@pytest.mark.loop_kinds("tideloop")
def test_no_signal_is_sent_to_a_number_that_is_somebody_elses(loop):
    """cpython #127049: between the end of the child and its being noticed, its number was signalled."""

    async def main():
        child = await asyncio.create_subprocess_exec("/bin/true")
        await child.wait()
        for act in (child.kill, child.terminate, lambda: child.send_signal(signal.SIGTERM)):
            with pytest.raises(ProcessLookupError):
                act()

    loop.run_until_complete(main())


@BOTH
def test_options_of_popen_are_known(loop):
    """uvloop: process_group, text and encoding were a ValueError of the wrong kind, or unknown."""

    async def main():
        program = "import os; print(os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid())"
        for options, expected in (({"process_group": 0}, b"True False"), ({"start_new_session": True}, b"True True")):
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=-1, **options)
            output, _ = await child.communicate()
            assert output.strip() == expected
        for options in ({"text": True}, {"encoding": "utf-8"}, {"errors": "strict"}, {"universal_newlines": True}):
            with pytest.raises(ValueError):
                await loop.subprocess_exec(asyncio.SubprocessProtocol, "/bin/true", **options)

    loop.run_until_complete(main())


@BOTH
def test_standard_input_that_is_given_stays_the_callers(loop):
    """uvloop: a device as standard input ("devstdin")."""

    async def main():
        with open("/dev/null", "rb") as null:
            child = await asyncio.create_subprocess_exec("/bin/cat", stdin=null, stdout=-1)
            assert await child.communicate() == (b"", None)
            assert not null.closed
            os.fstat(null.fileno())
        child = await asyncio.create_subprocess_exec("/bin/cat", stdin=subprocess.DEVNULL, stdout=-1)
        assert await child.communicate() == (b"", None)

    loop.run_until_complete(main())


@OURS
def test_subinterpreter_refuses_the_loop_or_runs_it_and_nothing_crashes(loop_kind):
    """uvloop #650: a fatal error."""
    output = program_output(
        loop_kind,
        """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        made = interpreters.create()
        source = "import asyncio, tideloop; tideloop.run(asyncio.sleep(0.001))"
        try:
            interpreters.run_string(made, source)
        except Exception:
            pass
        interpreters.destroy(made)
        tideloop.run(asyncio.sleep(0.001))
        gc.collect()
        print("alive")
        """,
    )
    assert output == "alive\n"


@OURS
def test_development_mode_survives_every_channel(loop_kind):
    """uvloop #485, #715, #716, #103: -X dev crashed, or drowned the program in warnings."""
    output = program_output(
        loop_kind,
        """
        import logging, ssl
        async def echo(reader, writer):
            writer.write(await reader.read(100))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async def main():
            loop = asyncio.get_running_loop()
            assert loop.get_debug()
            loop.slow_callback_duration = 10
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"tcp")
            print(await reader.read())
            writer.close()
            await writer.wait_closed()
            server.close()
            server = await asyncio.start_unix_server(echo, "\\0tideloop-dev-%d" % os.getpid())
            reader, writer = await asyncio.open_unix_connection("\\0tideloop-dev-%d" % os.getpid())
            writer.write(b"unix")
            print(await reader.read())
            writer.close()
            await writer.wait_closed()
            server.close()
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
            transport.sendto(b"x", transport.get_extra_info("sockname"))
            await asyncio.sleep(0.01)
            transport.close()
            await loop.getaddrinfo("localhost", 80)
            await asyncio.to_thread(int)
            await asyncio.sleep(0.01)

        logging.getLogger("asyncio").setLevel(logging.WARNING)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        """,
        flags=("-X", "dev"),
    )
    assert output.splitlines() == ["b'tcp'", "b'unix'"]


@OURS
def test_child_that_is_slow_to_start_does_not_hold_the_loop(loop):
    """uvloop #118, cpython #146181, #104372, #81444: the loop stood still until the program had begun."""

    async def main():
        gate, opener = os.pipe()
        # The program begins when the loop has gone on for a while; if it stands still, after 5 s.
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec("/bin/true", preexec_fn=lambda: select.select([gate], [], [], 5))
        )
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not starting.done()
        os.write(opener, b"!")
        assert await (await starting).wait() == 0
        os.close(gate)
        os.close(opener)

    loop.run_until_complete(main())
