"""The micro workloads, each with a size of its own choice of unit; `ROWS` names them.

Polling and looking at the clock depend on the time that has passed, and under valgrind all of it passes fifty times as
slowly as it should. So nearly every workload is a hundred tasks side by side: a turn of the loop then takes longer
than any of the loop's limits, every turn does the same, and what the turn itself costs is a hundredth of it. A turn
with work and one that waits have rows of their own.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import tideloop

SIDE_BY_SIDE = 100
CONNECTIONS = 50
# Small enough for Python's own allocator: what libc's costs depends on what was freed before.
MESSAGE = bytes(256)
LINE = b"a line of some forty bytes, as headers are\r\n"
# Longer than every interval by which the loop decides: each turn polls, and each hands the interpreter lock over.
LONG_TURN_SECONDS = 0.0011


@dataclass(frozen=True)
class Row:
    """A workload: `work(given, n)` does `n * operations` operations, and checks that it did.

    What it is given, a context manager makes, once and uncounted; mostly it is the module whose names are used.
    """

    work: Callable[[Any, int], Awaitable[None]]
    given: AbstractAsyncContextManager[Any]
    operations: int = SIDE_BY_SIDE
    sizes: tuple[int, int] = (5, 30)


async def noop() -> int:
    return 1


async def side_by_side(aio: Any, one: Callable[[int], Awaitable[int]], n: int, tasks: int = SIDE_BY_SIDE) -> None:
    """`tasks` tasks that count to n each."""
    assert sum(await aio.gather(*[one(n) for _ in range(tasks)])) == n * tasks


async def sleep0(aio: Any, n: int) -> None:
    async def one(n: int) -> int:
        for _ in range(n):
            await aio.sleep(0)
        return n

    await side_by_side(aio, one, n)


async def create_task_await(aio: Any, n: int) -> None:
    async def one(n: int) -> int:
        total = 0
        for _ in range(n):
            total += await aio.create_task(noop())
        return total

    await side_by_side(aio, one, n)


async def gather_100(aio: Any, n: int) -> None:
    for _ in range(n):
        assert sum(await aio.gather(*[noop() for _ in range(100)])) == 100


async def task_group_100(aio: Any, n: int) -> None:
    for _ in range(n):
        async with aio.TaskGroup() as group:
            tasks = [group.create_task(noop()) for _ in range(100)]
        assert sum(task.result() for task in tasks) == 100


async def wait_for(aio: Any, n: int) -> None:
    async def one(n: int) -> int:
        total = 0
        for _ in range(n):
            total += await aio.wait_for(aio.sleep(0, 1), 1000)
        return total

    await side_by_side(aio, one, n)


async def timeout(aio: Any, n: int) -> None:
    for _ in range(n * SIDE_BY_SIDE):
        async with aio.timeout(1000):
            pass


async def lock(aio: Any, n: int) -> None:
    gate = aio.Lock()
    for _ in range(n * SIDE_BY_SIDE):
        async with gate:
            pass


async def lock_contended(aio: Any, n: int) -> None:
    """Ten locks, for ten tasks each."""
    gates = [aio.Lock() for _ in range(SIDE_BY_SIDE // 10)]
    given = iter(gates * 10)

    async def one(n: int) -> int:
        gate = next(given)
        for _ in range(n):
            async with gate:
                await aio.sleep(0)
        return n

    await side_by_side(aio, one, n)


async def event_ping_pong(aio: Any, n: int) -> None:
    async def one(n: int) -> int:
        ping, pong = aio.Event(), aio.Event()

        async def answer() -> None:
            for _ in range(n):
                await ping.wait()
                ping.clear()
                pong.set()

        task = aio.create_task(answer())
        for _ in range(n):
            ping.set()
            await pong.wait()
            pong.clear()
        await task
        return n

    await side_by_side(aio, one, n)


async def queue_ping_pong(aio: Any, n: int) -> None:
    async def one(n: int) -> int:
        queue = aio.Queue(1)

        async def put() -> None:
            for _ in range(n):
                await queue.put(1)

        task = aio.create_task(put())
        total = 0
        for _ in range(n):
            total += await queue.get()
        await task
        return total

    await side_by_side(aio, one, n)


async def readline(aio: Any, n: int) -> None:
    reader = aio.StreamReader()
    for _ in range(n):
        reader.feed_data(LINE * 100)
        for _ in range(100):
            assert await reader.readline() == LINE


@contextlib.contextmanager
def never_idle() -> Iterator[None]:
    """Meanwhile the loop does not wait: how it does so depends on how long it waited before."""
    loop = asyncio.get_running_loop()

    def step() -> None:
        nonlocal handle
        handle = loop.call_soon(step)

    handle = loop.call_soon(step)
    yield
    handle.cancel()


@contextlib.asynccontextmanager
async def streams(aio: Any) -> AsyncIterator[Any]:
    """The clients' ends of connections by streams, whose other ends send back what they get."""

    async def answer(sock: socket.socket) -> None:
        reader, writer = await aio.open_connection(sock=sock)
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    pairs = [socket.socketpair() for _ in range(CONNECTIONS)]
    tasks = [aio.create_task(answer(theirs)) for _, theirs in pairs]
    clients = [await aio.open_connection(sock=ours) for ours, _ in pairs]
    with never_idle():
        yield aio, clients
    for _, writer in clients:
        writer.close()
    await aio.gather(*tasks)


async def streams_echo(given: Any, n: int) -> None:
    aio, clients = given
    unasked = iter(clients)

    async def one(n: int) -> int:
        reader, writer = next(unasked)
        for _ in range(n):
            writer.write(MESSAGE)
            assert await reader.readexactly(len(MESSAGE)) == MESSAGE
        return n

    await side_by_side(aio, one, n, CONNECTIONS)


class Answering(asyncio.Protocol):
    """The server's side of an echo."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Asking(Answering):
    """The client's side: one message after another, each when the one before has come back."""

    def ask(self, messages: int) -> asyncio.Future[int]:
        """How many bytes will have come back."""
        self.received, self.left = 0, messages
        self.done = asyncio.get_running_loop().create_future()
        self.data_received(b"")
        return self.done

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.left:
            self.left -= 1
            self.transport.write(MESSAGE)
        else:
            self.done.set_result(self.received)


@contextlib.asynccontextmanager
async def protocols() -> AsyncIterator[list[Asking]]:
    loop = asyncio.get_running_loop()
    transports, clients = [], []
    for _ in range(CONNECTIONS):
        ours, theirs = socket.socketpair()
        transports.append((await loop.create_connection(Answering, sock=theirs))[0])
        transport, client = await loop.create_connection(Asking, sock=ours)
        transports.append(transport)
        clients.append(client)
    with never_idle():
        yield clients
    for transport in transports:
        transport.close()
    await asyncio.sleep(0)


async def protocol_echo(clients: list[Asking], n: int) -> None:
    for answer in [client.ask(n) for client in clients]:
        assert await answer == n * len(MESSAGE)


@contextlib.asynccontextmanager
async def running_loop() -> AsyncIterator[asyncio.AbstractEventLoop]:
    yield asyncio.get_running_loop()


async def future_set_await(loop: asyncio.AbstractEventLoop, n: int) -> None:

    async def one(n: int) -> int:
        total = 0
        for _ in range(n):
            future = loop.create_future()
            loop.call_soon(future.set_result, 1)
            total += await future
        return total

    await side_by_side(asyncio, one, n)


async def call_soon(loop: asyncio.AbstractEventLoop, n: int) -> None:
    ended, left = loop.create_future(), n * SIDE_BY_SIDE

    def step() -> None:
        nonlocal left
        left -= 1
        if left >= SIDE_BY_SIDE:
            loop.call_soon(step)
        elif left == 0:
            ended.set_result(None)

    for _ in range(SIDE_BY_SIDE):
        loop.call_soon(step)
    await ended


async def call_later_cancel(loop: asyncio.AbstractEventLoop, n: int) -> None:
    for _ in range(n * SIDE_BY_SIDE):
        timer = loop.call_later(1000, noop)
        timer.cancel()
    assert timer.cancelled()


async def turn(loop: asyncio.AbstractEventLoop, n: int) -> None:
    """A turn of the loop with one callback in it, and with a look at the kernel."""
    ended, left = loop.create_future(), n

    def step() -> None:
        nonlocal left
        left -= 1
        # Time passes, and hardly an instruction.
        time.sleep(LONG_TURN_SECONDS)
        if left:
            loop.call_soon(step)
        else:
            ended.set_result(None)

    loop.call_soon(step)
    await ended


async def wait(loop: asyncio.AbstractEventLoop, n: int) -> None:
    """A turn of the loop that waits for a timer."""
    ended, left = loop.create_future(), n

    def step() -> None:
        nonlocal left
        left -= 1
        if left:
            loop.call_later(LONG_TURN_SECONDS, step)
        else:
            ended.set_result(None)

    loop.call_soon(step)
    await ended


# Under tideloop's names, and those under asyncio's that programs without a changed line use most.
NATIVE = (sleep0, create_task_await, gather_100, task_group_100, wait_for, timeout, lock, lock_contended)
NATIVE = (*NATIVE, event_ping_pong, queue_ping_pong, readline)
UNCHANGED = (sleep0, create_task_await, gather_100, task_group_100, wait_for, timeout, lock_contended, queue_ping_pong)
LOOP = (future_set_await, call_soon, call_later_cancel)

ROWS = {
    **{f"tideloop.{work.__name__}": Row(work, nullcontext(tideloop)) for work in NATIVE},
    "tideloop.streams_echo": Row(streams_echo, streams(tideloop), CONNECTIONS, (5, 20)),
    **{f"asyncio.{work.__name__}": Row(work, nullcontext(asyncio)) for work in UNCHANGED},
    "asyncio.streams_echo": Row(streams_echo, streams(asyncio), CONNECTIONS, (5, 20)),
    **{f"loop.{work.__name__}": Row(work, running_loop()) for work in LOOP},
    "loop.protocol_echo": Row(protocol_echo, protocols(), CONNECTIONS, (5, 20)),
    "loop.turn": Row(turn, running_loop(), 1, (10, 60)),
    "loop.wait": Row(wait, running_loop(), 1, (10, 60)),
}
