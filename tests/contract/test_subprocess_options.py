"""Child processes: what subprocess.Popen's keywords do to them."""

import asyncio
import os
import signal
import subprocess

import pytest

from child_processes import DEVNULL, EXEC, PIPE, SHELL, output


def test_environment_and_directory(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TIDELOOP_TEST", "inherited")

    async def main():
        assert await output("echo $TIDELOOP_TEST") == ("inherited\n", 0)
        assert await output("echo $TIDELOOP_TEST", env={"TIDELOOP_TEST": "given"}) == ("given\n", 0)
        assert await output("/usr/bin/env", env={"A": "1", b"B": b"2"}) == (
            await asyncio.to_thread(
                subprocess.check_output, "/usr/bin/env", text=True, env={"A": "1", b"B": b"2"}, shell=True
            ),
            0,
        )
        assert await output("pwd", cwd=tmp_path) == (f"{tmp_path}\n", 0)
        assert await output("pwd", cwd=os.fsencode(tmp_path)) == (f"{tmp_path}\n", 0)
        # The program is looked for in the child's PATH.
        (tmp_path / "tideloop-here").write_text("#!/bin/sh\necho found\n")
        (tmp_path / "tideloop-here").chmod(0o755)
        process = await EXEC("tideloop-here", env={"PATH": f"/bin:{tmp_path}"}, stdout=PIPE)
        assert (await process.communicate())[0] == b"found\n"

    run(main())


def test_sessions_groups_and_umask(run):
    async def main():
        fields = "cut -d' ' -f1,5,6 /proc/$$/stat"
        pid, group, session = (await output(fields))[0].split()
        assert int(group) == os.getpgrp() and int(session) == os.getsid(0)
        pid, group, session = (await output(fields, start_new_session=True))[0].split()
        assert pid == group == session
        pid, group, session = (await output(fields, process_group=0))[0].split()
        assert pid == group != session
        assert await output("umask", umask=0o077) == ("0077\n", 0)

    run(main())


def test_descriptors_are_passed_or_closed(run):
    async def main():
        read, write = os.pipe()
        os.set_inheritable(write, True)
        script = f"echo through >/dev/fd/{write}"
        process = await SHELL(script, stderr=DEVNULL)
        assert await process.wait() != 0
        process = await SHELL(script, pass_fds=(write,))
        assert await process.wait() == 0
        assert os.read(read, 100) == b"through\n"
        process = await SHELL(script, close_fds=False)
        assert await process.wait() == 0
        assert os.read(read, 100) == b"through\n"
        os.set_inheritable(write, False)
        process = await SHELL(script, pass_fds=(write,))
        assert await process.wait() == 0
        os.close(read)
        os.close(write)

    run(main())


def test_executable_stands_in_for_the_program(run):
    async def main():
        process = await EXEC("any-name", "-c", "echo $0", executable="/bin/sh", stdout=PIPE)
        assert (await process.communicate())[0] == b"any-name\n"
        assert await output("echo $0", executable="/bin/sh") == ("/bin/sh\n", 0)

    run(main())


def test_preexec_fn_runs_in_the_child(run):
    async def main():
        here = os.getpid()
        process = await SHELL("pwd", stdout=PIPE, preexec_fn=lambda: os.chdir("/") if os.getpid() != here else None)
        assert (await process.communicate())[0] == b"/\n"
        assert process.returncode == 0

        def failing():
            raise ZeroDivisionError

        with pytest.raises(subprocess.SubprocessError, match="Exception occurred in preexec_fn"):
            await SHELL("true", preexec_fn=failing, stdin=PIPE, stdout=PIPE)
        with pytest.raises(FileNotFoundError):
            await EXEC("/tideloop-nowhere", preexec_fn=lambda: None)

    run(main())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change users")
def test_another_user_and_group(run):
    async def main():
        assert await output("id -u; id -g; id -G", user=65534, group=65533, extra_groups=[65532]) == (
            "65534\n65533\n65533 65532\n",
            0,
        )
        with pytest.raises(ValueError, match="User ID cannot be negative"):
            await SHELL("true", user=-1)

    run(main())


def test_signals_that_python_ignores_are_restored(run):
    script = "grep SigIgn /proc/$$/status"

    def ignores_sigpipe(line):
        return bool(int(line.split()[1], 16) & 1 << signal.SIGPIPE - 1)

    async def main():
        assert not ignores_sigpipe((await output(script))[0])
        assert ignores_sigpipe((await output(script, restore_signals=False))[0])

    run(main())


def test_the_signal_mask_is_the_caller_s(run):
    async def main():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        try:
            text, _ = await output("exec grep SigBlk /proc/self/status")
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert int(text.split()[1], 16) == 1 << signal.SIGUSR2 - 1

    run(main())
