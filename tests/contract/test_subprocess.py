"""Child processes: starting them, their pipes, errors, status, signals and ends."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys

import pytest

from child_processes import DEVNULL, EXEC, PIPE, SHELL, Recorder, output
from support import reports, until


def is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return False


def test_input_goes_in_and_output_comes_out(run):
    data = os.urandom(1 << 20)

    async def main():
        process = await EXEC("cat", stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert await process.communicate(data) == (data, b"")
        assert process.returncode == 0

    run(main())


def test_nothing_is_lost_of_what_was_written_just_before_the_end(run):
    async def main():
        for size in (1, 65536, 1_000_000):
            text, status = await output(f"head -c {size} /dev/zero; exit 5")
            assert (len(text), status) == (size, 5)

    run(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGRTMIN + 1])
def test_the_status_of_a_process_that_a_signal_ends_is_negative(run, number):
    async def main():
        process = await EXEC("sleep", "1000")
        process.send_signal(number)
        assert await process.wait() == -number

    run(main())


@pytest.mark.parametrize("status", [0, 1, 77, 255])
def test_the_exit_status(run, status):
    async def main():
        process = await SHELL(f"exit {status}")
        assert process.returncode in (None, status)  # it may have ended already
        assert await process.wait() == status == process.returncode

    run(main())


def test_callbacks_of_the_protocol_and_their_order(run):
    async def main():
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_shell(Recorder, "echo out; echo err >&2; exit 2")
        assert protocol.transport is transport
        assert isinstance(transport, asyncio.SubprocessTransport)
        assert transport.get_protocol() is protocol
        await until(lambda: "lost" in protocol.events)
        assert protocol.events[0] == "made" and protocol.events[-1] == "lost"
        assert sorted(protocol.events[1:-1]) == ["data 1", "data 2", "exited", "lost 0", "lost 1", "lost 2"]
        for fd in (1, 2):
            assert protocol.events.index(f"data {fd}") < protocol.events.index(f"lost {fd}")
        assert protocol.data == {1: b"out\n", 2: b"err\n"}
        assert transport.get_returncode() == 2
        transport.close()

    run(main())


def test_the_transport_tells_of_its_process_and_pipes(run):
    async def main():
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(Recorder, "cat", stderr=None)
        assert transport.get_extra_info("subprocess").pid == transport.get_pid()
        assert isinstance(transport.get_extra_info("subprocess"), subprocess.Popen)
        assert isinstance(transport.get_pipe_transport(0), asyncio.WriteTransport)
        assert isinstance(transport.get_pipe_transport(1), asyncio.ReadTransport)
        assert transport.get_pipe_transport(2) is None
        assert f"pid={transport.get_pid()} running" in repr(transport)
        transport.get_pipe_transport(0).write(b"x")
        transport.get_pipe_transport(0).write_eof()
        await until(lambda: "lost" in protocol.events)
        assert protocol.data[1] == b"x"
        assert "returncode=0" in repr(transport)
        transport.close()
        assert transport.is_closing()

    run(main())


def test_standard_error_goes_where_standard_output_goes(run):
    async def main():
        process = await SHELL("echo one; echo two >&2", stdout=PIPE, stderr=subprocess.STDOUT)
        assert (await process.communicate())[0] == b"one\ntwo\n"
        assert process.stderr is None

    run(main())


def test_files_descriptors_and_devnull_as_standard_streams(run, tmp_path):
    async def main():
        (tmp_path / "in").write_bytes(b"from a file")
        with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as sink:
            process = await SHELL("cat; echo error >&2", stdin=source, stdout=sink.fileno(), stderr=DEVNULL)
            assert await process.wait() == 0
        assert (tmp_path / "out").read_bytes() == b"from a file"
        assert process.stdin is process.stdout is process.stderr is None

    run(main())


def test_a_socket_and_a_terminal_as_standard_streams(run):
    import pty
    import socket

    async def main():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = await SHELL("echo to the socket", stdout=theirs)
            assert await process.wait() == 0
            assert ours.recv(100) == b"to the socket\n"
        master, slave = pty.openpty()
        process = await SHELL("tty <&1 >/dev/null && echo terminal", stdout=slave)
        os.close(slave)
        assert await process.wait() == 0
        assert os.read(master, 100) == b"terminal\r\n"
        os.close(master)

    run(main())


def test_the_input_is_closed_while_the_output_goes_on(run):
    async def main():
        process = await SHELL("cat >/dev/null; echo after", stdin=PIPE, stdout=PIPE)
        process.stdin.write(b"x" * 100_000)
        await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()
        assert await process.stdout.read() == b"after\n"
        assert await process.wait() == 0

    run(main())


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("/tideloop-nowhere/program", FileNotFoundError),
        ("tideloop-no-such-program", FileNotFoundError),
        ("/etc/passwd", PermissionError),
        ("/etc/passwd/x", NotADirectoryError),
    ],
)
def test_a_program_that_cannot_be_run(run, program, error):
    async def main():
        with pytest.raises(error) as caught:
            await EXEC(program, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert caught.value.filename == program
        assert type(caught.value) is error
        with pytest.raises(error):
            subprocess.run([program])

    run(main())


def test_a_file_that_is_no_program(run, tmp_path):
    path = tmp_path / "text"
    path.write_text("no program")
    path.chmod(0o755)

    async def main():
        with pytest.raises(OSError, match="Exec format error") as caught:
            await EXEC(path)
        assert os.fspath(caught.value.filename) == str(path)  # asyncio has either

    run(main())


@pytest.mark.parametrize(
    ("cwd", "error"), [("/tideloop-nowhere", FileNotFoundError), ("/etc/passwd", NotADirectoryError)]
)
def test_a_directory_that_cannot_be_entered(run, cwd, error):
    async def main():
        with pytest.raises(error) as caught:
            await EXEC("true", cwd=cwd)
        assert caught.value.filename == cwd

    run(main())


@pytest.mark.parametrize(
    "arguments",
    [
        {"args": ("echo", "a\0b")},
        {"args": ("ec\0ho",)},
        {"args": ("echo",), "cwd": "/\0"},
        {"args": ("echo",), "env": {"NAME": "a\0b"}},
        {"args": ("echo",), "env": {"A=B": "c"}},
    ],
)
def test_a_zero_in_a_string_is_an_error_and_nothing_is_left(run, arguments):
    arguments = dict(arguments)
    args = arguments.pop("args")

    async def main():
        with pytest.raises(ValueError):
            await EXEC(*args, stdin=PIPE, stdout=PIPE, stderr=PIPE, **arguments)

    run(main())


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"universal_newlines": True}, "universal_newlines must be False"),
        ({"bufsize": 1}, "bufsize must be 0"),
        ({"text": True}, "text must be False"),
        ({"encoding": "utf-8"}, "encoding must be None"),
        ({"errors": "strict"}, "errors must be None"),
    ],
)
def test_what_a_loop_has_not(run, option, text):
    async def main():
        with pytest.raises(ValueError, match=text):
            await EXEC("true", **option)
        with pytest.raises(ValueError, match=text):
            await SHELL("true", **option)

    run(main())


def test_shell_and_exec_are_not_each_other(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pytest.raises(ValueError, match="shell must be False"):
            await loop.subprocess_exec(Recorder, "true", shell=True)
        with pytest.raises(ValueError, match="shell must be True"):
            await loop.subprocess_shell(Recorder, "true", shell=False)
        with pytest.raises(ValueError, match="cmd must be a string"):
            await loop.subprocess_shell(Recorder, ["true"])
        with pytest.raises(TypeError):
            await EXEC("true", 1)

    run(main())


def test_signals_to_a_process_that_has_ended_hit_nobody(run):
    async def main():
        process = await EXEC("true")
        await process.wait()
        await asyncio.sleep(0)
        with contextlib.suppress(ProcessLookupError):
            process.terminate()

    run(main())


def test_closing_the_transport_kills_a_process_that_runs(run):
    async def main():
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(Recorder, "sleep", "1000")
        transport.close()
        transport.close()
        await until(lambda: "lost" in protocol.events)
        assert transport.get_returncode() == -signal.SIGKILL
        assert protocol.events[0] == "made" and protocol.events[-1] == "lost"

    run(main())


def test_several_wait_and_communicate_waits_too(run):
    async def main():
        process = await SHELL("read line; exit 3", stdin=PIPE)
        waits = [asyncio.create_task(process.wait()) for _ in range(5)]
        waits[0].cancel()
        await process.communicate(b"go\n")
        assert await asyncio.gather(*waits[1:]) == [3] * 4
        assert await process.wait() == 3

    run(main())


def test_a_child_that_somebody_else_has_waited_for(run, caplog):
    async def main():
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(Recorder, "true", stdin=None, stdout=None, stderr=None)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(transport.get_pid(), 0)
        await until(lambda: "lost" in protocol.events)
        transport.close()
        return transport.get_returncode()

    with caplog.at_level(logging.WARNING, "asyncio"):
        status = run(main())
    # Here and there the loop was first.
    assert (status, len(caplog.records)) in ((255, 1), (0, 0))


def test_other_children_are_left_to_their_parents(run):
    async def main():
        others = [subprocess.Popen(["sh", "-c", f"exit {status}"]) for status in range(5)]
        for _ in range(5):
            process = await EXEC("true")
            await process.wait()
        assert [await asyncio.to_thread(other.wait) for other in others] == list(range(5))

    run(main())


def test_no_process_and_no_pipe_is_left_behind(run):
    async def main():
        processes = [await EXEC("cat", stdin=PIPE, stdout=PIPE) for _ in range(5)]
        await asyncio.gather(*(process.communicate(b"x") for process in processes))
        assert not any(is_zombie(process.pid) for process in processes)

    run(main())


def test_a_grandchild_that_keeps_the_pipe_open(run):
    async def main():
        process = await SHELL("sleep 1000 & echo $!; exit 4", stdout=PIPE)
        grandchild = int(await process.stdout.readline())
        await until(lambda: process.returncode is not None)
        assert process.returncode == 4
        os.kill(grandchild, signal.SIGKILL)
        assert await process.stdout.read() == b""
        assert await process.wait() == 4

    run(main())


def test_a_child_that_closes_its_output_and_lives_on(run):
    async def main():
        process = await SHELL("echo bye; exec >&-; read line; exit 6", stdin=PIPE, stdout=PIPE)
        assert await process.stdout.read() == b"bye\n"
        assert process.returncode is None
        process.stdin.write(b"\n")
        assert await process.wait() == 6

    run(main())


def test_a_protocol_that_raises_is_reported_and_the_rest_goes_on(loop):
    class Raising(Recorder):
        def pipe_data_received(self, fd, data):
            super().pipe_data_received(fd, data)
            raise ZeroDivisionError

        def process_exited(self):
            super().process_exited()
            raise ZeroDivisionError

    async def main():
        _, protocol = await loop.subprocess_shell(Raising, "echo out")
        await until(lambda: "lost" in protocol.events)
        protocol.transport.close()

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert [type(context["exception"]) for context in seen] == [ZeroDivisionError] * 2


def test_a_factory_that_raises_starts_nothing(run):
    def factory():
        raise ZeroDivisionError

    async def main():
        with pytest.raises(ZeroDivisionError):
            await asyncio.get_running_loop().subprocess_exec(factory, "true")

    run(main())


def test_debug_mode_tells_of_processes_but_not_of_their_arguments(loop, caplog):
    loop.set_debug(True)
    loop.slow_callback_duration = 10

    async def main():
        process = await EXEC("echo", "secret", stdout=PIPE)
        await process.communicate()

    with caplog.at_level(logging.DEBUG, "asyncio"):
        loop.run_until_complete(main())
    told = "\n".join(caplog.messages)
    assert "process 'echo' created: pid" in told
    assert "exited with return code 0" in told
    assert "secret" not in told


def test_streams_of_python_itself(run):
    code = "import sys; sys.stdout.write(sys.stdin.read().upper())"

    async def main():
        process = await EXEC(sys.executable, "-c", code, stdin=PIPE, stdout=PIPE)
        assert (await process.communicate(b"text"))[0] == b"TEXT"

    run(main())
