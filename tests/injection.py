"""System calls that fail on demand, in this process and for good: errors that no program can provoke otherwise.

`inject(("accept4", fd, errno.ENFILE), …)` installs a seccomp filter, which needs no privilege: from now on the call
answers with the error, for this descriptor or, with None, for every one. For use in a program of its own (`failing`).
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from pathlib import Path

import pytest

from support import run_program

#: Numbers of system calls. recv() is recvfrom and send() is sendto for the kernel.
CALLS = {
    "x86_64": "read 0 write 1 writev 20 sendfile 40 connect 42 sendto 44 recvfrom 45 sendmsg 46 recvmsg 47 shutdown 48 "
    "epoll_ctl 233 timerfd_create 283 accept4 288 eventfd2 290 epoll_create1 291 recvmmsg 299 sendmmsg 307 "
    "prctl 157 pidfd_open 434",
    "aarch64": "eventfd2 19 epoll_create1 20 epoll_ctl 21 read 63 write 64 writev 66 sendfile 71 timerfd_create 85 "
    "connect 203 sendto 206 recvfrom 207 shutdown 210 sendmsg 211 recvmsg 212 accept4 242 recvmmsg 243 sendmmsg 269 "
    "prctl 167 pidfd_open 434",
}
#: Every call that a loop may send or receive by: what counts is the error, not the way to it.
SENDING = ("sendto", "sendmsg", "sendmmsg", "write", "writev")
RECEIVING = ("recvfrom", "recvmsg", "recvmmsg", "read")

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_AT_NUMBER, _AT_FIRST_ARGUMENT = 0, 16


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def inject(*rules):
    """Make calls fail: (name of the call, descriptor or None, errno) each."""
    words = CALLS[platform.machine()].split()
    numbers = dict(zip(words[::2], words[1::2], strict=True))
    code = b"".join(_rule(int(numbers[name]), fd, error) for name, fd, error in rules) + _op(_RETURN, _ALLOW)
    memory = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((_PR_SET_NO_NEW_PRIVS, 1, 0), (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program))):
        if libc.prctl(*call, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "seccomp")


def inject_all(names, fd, error):
    """The same error for several calls on one descriptor."""
    inject(*[(name, fd, error) for name in names])


def _rule(number, fd, error):
    verdict = _op(_RETURN, _FAIL | error)
    if fd is not None:
        verdict = _op(_LOAD_WORD, _AT_FIRST_ARGUMENT) + _op(_JUMP_IF_EQUAL, fd, 0, 1) + verdict
    skipped = len(verdict) // 8
    return _op(_LOAD_WORD, _AT_NUMBER) + _op(_JUMP_IF_EQUAL, number, 0, skipped) + verdict


def _op(code, k, jump_true=0, jump_false=0):
    return struct.pack("HBBI", code, jump_true, jump_false, k)


#: What every failing program starts with.
HEAD = f"""
sys.path.insert(0, {str(Path(__file__).parent)!r})
import contextlib, errno
from injection import RECEIVING, SENDING, inject, inject_all
from support import BufferedRecorder, Recorder, connected, gone, until
from hygiene import _descriptors as descriptors
seen = []
def told():
    return [(context["message"], getattr(context.get("exception"), "errno", None)) for context in seen]
def main_on(loop, main):
    loop.set_exception_handler(lambda loop, context: seen.append(context))
    try:
        return loop.run_until_complete(asyncio.wait_for(main(), 20))
    finally:
        seen.clear()
        gc.collect()
        loop.close()
"""


def failing(kind, source, output, **options):
    """Run a program that injects failures, and see that it prints `output` and nothing else."""
    if sys.platform != "linux" or platform.machine() not in CALLS or not _available():
        pytest.skip("needs Linux's seccomp filters on a processor whose call numbers are listed")
    done = run_program(kind, HEAD + source, **options)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stdout == output, done.stdout + done.stderr
    assert done.stderr == "", done.stderr


def _available():
    """Whether filters may be installed here, found out in a child."""
    pid = os.fork()
    if pid == 0:
        try:
            inject(("pidfd_open", None, errno.ENOSYS))
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0
