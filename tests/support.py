"""What the contract tests share: recording protocols, bounded turns of a loop, programs in a process of their own."""

import asyncio
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

PROGRAM_SECONDS_MAX = 60

#: Every program starts with this; `new_loop` makes the loop under test.
PROGRAM_HEAD = """
import asyncio, faulthandler, gc, os, signal, socket, sys, threading, time, warnings
faulthandler.enable()
if {kind!r} == "asyncio":
    new_loop = asyncio.SelectorEventLoop
else:
    import tideloop
    new_loop = tideloop.new_event_loop
"""


def future_class(kind: str) -> Any:
    """The class of futures that the loop under test makes."""
    if kind == "asyncio":
        return asyncio.Future
    import tideloop

    return tideloop.Future


def task_class(kind: str) -> Any:
    """The class of tasks that the loop under test makes."""
    if kind == "asyncio":
        return asyncio.Task
    import tideloop

    return tideloop.Task


def turn(loop: asyncio.AbstractEventLoop, count: int = 1) -> None:
    """Run exactly `count` turns of the loop."""
    for _ in range(count):
        loop.call_soon(loop.stop)
        loop.run_forever()


def run_until(loop: asyncio.AbstractEventLoop, condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Run the loop until the condition holds, with a limit."""

    async def wait() -> None:
        await until(condition, seconds)

    loop.run_until_complete(wait())


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait until the condition holds, looking every millisecond; fail after `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, f"still false after {seconds} s: {condition}"
        await asyncio.sleep(0.001)


@contextlib.contextmanager
def reports(loop: asyncio.AbstractEventLoop) -> Iterator[list[dict[str, Any]]]:
    """Collect the contexts that reach the loop's exception handler."""
    seen: list[dict[str, Any]] = []
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _loop, context: seen.append(context))
    try:
        yield seen
    finally:
        loop.set_exception_handler(before)


def run_program(
    kind: str,
    source: str,
    *,
    env: dict[str, str] | None = None,
    flags: tuple[str, ...] = (),
    seconds: float = PROGRAM_SECONDS_MAX,
) -> subprocess.CompletedProcess[str]:
    """Run a program with the loop under test in a fresh interpreter."""
    program = PROGRAM_HEAD.format(kind=kind) + textwrap.dedent(source)
    return subprocess.run(
        [sys.executable, *flags, "-c", program],
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def program_output(kind: str, source: str, **options: Any) -> str:
    """The standard output of a program that must end with status 0 and without a word on standard error."""
    done = run_program(kind, source, **options)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stderr == "", done.stderr
    return done.stdout


class OneSignal(threading.Thread):
    """Sends the main thread a signal, after a while, and then others that do nothing, until `end()`.

    A signal that comes between asyncio's last look at signals and its system call is seen after that call alone, which
    is when the next signal interrupts it.
    """

    def __init__(self, number: int, delay: float) -> None:
        super().__init__()
        self.number, self.delay = number, delay
        self.over = threading.Event()
        self.before = signal.signal(signal.SIGUSR2, lambda *_: None)

    def run(self) -> None:
        main = threading.main_thread().ident
        assert main is not None
        time.sleep(self.delay)
        signal.pthread_kill(main, self.number)
        while not self.over.wait(0.2):
            signal.pthread_kill(main, signal.SIGUSR2)

    def end(self) -> None:
        self.over.set()
        self.join()
        signal.signal(signal.SIGUSR2, self.before)


class Recorder(asyncio.Protocol):
    """A protocol that writes down each callback in order."""

    def __init__(self, *, keep_open: bool | None = None) -> None:
        self.events: list[str] = []
        self.data = bytearray()
        self.transport: Any = None
        self.lost: Any = "not lost"
        self.keep_open = keep_open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        if not self.events or self.events[-1] != "data":
            self.events.append("data")
        self.data += data

    def eof_received(self) -> bool | None:
        self.events.append("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self.lost = exc


class Collects:
    """A factory of recorders that keeps them."""

    def __init__(self) -> None:
        self._protocols: list[Recorder] = []

    def __call__(self) -> Recorder:
        self._protocols.append(Recorder())
        return self._protocols[-1]

    @property
    def made(self) -> list[Recorder]:
        """Those whose connections are made, too, which is a turn later."""
        return [protocol for protocol in self._protocols if protocol.transport is not None]


class BufferedRecorder(asyncio.BufferedProtocol):
    """The same for a protocol that hands out its own buffer."""

    def __init__(self, size: int = 65536) -> None:
        self.events: list[str] = []
        self.data = bytearray()
        self.buffer = bytearray(size)
        self.hints: list[int] = []
        self.transport: Any = None
        self.lost: Any = "not lost"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.events.append("made")

    def get_buffer(self, sizehint: int) -> bytearray:
        self.hints.append(sizehint)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.events[-1] != "data":
            self.events.append("data")
        self.data += self.buffer[:nbytes]

    def eof_received(self) -> None:
        self.events.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self.lost = exc


async def connected(
    protocol: Any = None, *, sndbuf: int | None = None, rcvbuf: int | None = None
) -> tuple[Any, Any, socket.socket]:
    """A transport of the loop under test, its protocol, and a plain blocking socket at the other end.

    `sndbuf` and `rcvbuf` are the kernel's buffers, in bytes, of the transport and of the plain socket.
    """
    loop = asyncio.get_running_loop()
    protocol = Recorder() if protocol is None else protocol
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if rcvbuf is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        # asyncio sets TCP_NODELAY only where the protocol is given by name.
        ours = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if sndbuf is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            ours.connect(listener.getsockname())
        peer, _ = listener.accept()
    peer.settimeout(10)
    transport, protocol = await loop.create_connection(lambda: protocol, sock=ours)
    return transport, protocol, peer


def reset(sock: socket.socket) -> None:
    """Close a connected socket so that its peer sees ECONNRESET."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def receive_all(sock: socket.socket) -> bytes:
    """Everything up to the end of the stream, read by blocking (for use in a thread or after the writer closed)."""
    chunks = []
    while chunk := sock.recv(1 << 16):
        chunks.append(chunk)
    return b"".join(chunks)


async def gone(*protocols: Any) -> None:
    """Wait until each protocol has had its connection_lost."""
    await until(lambda: all("lost" in protocol.events for protocol in protocols))
