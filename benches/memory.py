"""Memory of an idle accepted connection, and of a task parked on a future of its own.

    python benches/memory.py [LOOP …] [--json] [--repeat 3]

Both are slopes, between 5,000 and 15,000 connections and between 50,000 and 150,000 tasks, of the process's
proportional set size: what a loop needs at all, and what Python itself needs, cancels out. The connections' other ends
are in another process; what the kernel keeps for a socket is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import socket
import struct
import subprocess
import sys
from pathlib import Path

import bench

CONNECTIONS = [5_000, 15_000]
TASKS = [50_000, 150_000]
BACKLOG = 4096
CONNECT_BATCH = 1000
BATCH_TIMEOUT_S = 30
DESCRIPTORS_BESIDES = 50


def pss_bytes() -> int:
    """Return the proportional set size of this process, after a collection."""
    gc.collect()
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Pss in /proc/self/smaps_rollup")


class Crowd:
    """Idle connections to a server on this loop, opened by another process."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.accepted = self.target = 0
        self.reached: asyncio.Future[None] = loop.create_future()
        crowd = self

        class Idle(asyncio.Protocol):
            """A protocol that holds nothing, so that the transport's memory is all there is."""

            __slots__ = ()

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                crowd.accepted += 1
                if crowd.accepted == crowd.target:
                    crowd.reached.set_result(None)

        self.protocol = Idle

    async def start(self) -> None:
        self.server = await self.loop.create_server(self.protocol, "127.0.0.1", 0, backlog=BACKLOG)
        # The same file, without a loop: see connect() below.
        command = [sys.executable, __file__, "--connect", str(self.server.sockets[0].getsockname()[1])]
        self.client = subprocess.Popen(command, stdin=subprocess.PIPE)

    async def grow(self, connections: int) -> None:
        """Have so many connections, opened in batches that the backlog can hold."""
        assert self.client.stdin is not None
        while self.accepted < connections:
            batch = min(CONNECT_BATCH, connections - self.accepted)
            self.target = self.accepted + batch
            self.reached = self.loop.create_future()
            self.client.stdin.write(struct.pack("!I", batch))
            self.client.stdin.flush()
            async with asyncio.timeout(BATCH_TIMEOUT_S):
                await self.reached

    def end(self) -> None:
        assert self.client.stdin is not None
        self.client.stdin.close()
        self.client.wait()
        self.server.close()


def connection_bytes(name: str, counts: list[int]) -> float:
    """Accept idle connections on this loop and return the slope in bytes per connection."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < counts[1] + DESCRIPTORS_BESIDES:
        sys.exit(f"{counts[1]} connections need as many descriptors: the limit here is {limit}")
    loop = bench.new_event_loop(name)

    async def main() -> float:
        crowd = Crowd(loop)
        await crowd.start()
        sizes = []
        for count in counts:
            await crowd.grow(count)
            sizes.append(pss_bytes())
        crowd.end()
        return (sizes[1] - sizes[0]) / (counts[1] - counts[0])

    return loop.run_until_complete(main())  # the process ends here: there is no need to close 15,000 connections


def connect(port: int) -> None:
    """Open as many connections as standard input says, again and again, and reset them all at its end."""
    held = []
    while word := sys.stdin.buffer.read(4):
        for _ in range(struct.unpack("!I", word)[0]):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            held.append(connection)


def task_bytes(name: str, counts: list[int]) -> float:
    """Park tasks, each on a future of its own, and return the slope in bytes per task, future and coroutine."""
    loop = bench.new_event_loop(name)

    async def parked(future: asyncio.Future[None]) -> None:
        await future

    async def main() -> float:
        futures: list[asyncio.Future[None]] = []
        tasks: list[asyncio.Task[None]] = []
        sizes = []
        for count in counts:
            while len(tasks) < count:
                futures.append(loop.create_future())
                tasks.append(loop.create_task(parked(futures[-1])))
            await asyncio.sleep(0)
            sizes.append(pss_bytes())
        for future in futures:
            future.set_result(None)
        await asyncio.wait(tasks)
        return (sizes[1] - sizes[0]) / (counts[1] - counts[0])

    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def measure(name: str, options: argparse.Namespace) -> bench.Figures:
    if options.part == "connection_bytes":
        return {options.part: [connection_bytes(name, options.connections)]}
    if options.part == "task_bytes":
        return {options.part: [task_bytes(name, options.tasks)]}
    figures: bench.Figures = {"connection_bytes": [], "task_bytes": []}
    for _ in range(options.repeat):
        for part in figures:  # each in a process of its own: what one has freed would serve the next
            command = [sys.executable, *sys.argv, "--part", part]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            figures[part] += json.loads(done.stdout)[part]
    return figures


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeat", type=int, default=3, help="times; the median is shown")
    for what, default in (("--connections", CONNECTIONS), ("--tasks", TASKS)):
        parser.add_argument(what, type=int, nargs=2, default=default, metavar=("LOW", "HIGH"), help="the slope's ends")
    parser.add_argument("--part", choices=("connection_bytes", "task_bytes"), help=argparse.SUPPRESS)


def raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    raise_descriptor_limit()
    if sys.argv[1:2] == ["--connect"]:
        connect(int(sys.argv[2]))
    else:
        columns = {"connection_bytes": ("bytes/connection", ",.0f"), "task_bytes": ("bytes/parked task", ",.0f")}
        bench.run(__file__, "Memory of what waits.", measure, columns, add_options)
