"""The processor's time of programs that are clients: redis-py, websockets, and one that reads lines from a stream.

    python benches/clients.py [WORK …] [--rounds 9] [--operations 4000] [--loops uvloop,tideloop,tideloop+] [--json]

Each client is a program that knows nothing of Tideloop, in a process of its own; `tideloop+` has called
`tideloop.install(names=True)` first. The server is the same for all and its time does not count. Loops take turns in
every round; the figure is the median, the ratio the median of the rounds' ratios to the first loop, with quartiles.
Work whose library or server is not installed is left out, and named. Every answer is compared.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib.util import find_spec
from typing import Any

import bench

LOOPS = "uvloop,tideloop,tideloop+"
WARM_UP = 200
PIPELINE = 100
LINES_IN_FLIGHT = 50
SERVER_START_S = 20.0

Client = Callable[[int, int], Awaitable[float]]


async def timed(operations: int, one: Callable[[], Awaitable[None]]) -> float:
    """CPU seconds per call of `one`, after some calls that do not count."""
    for _ in range(min(WARM_UP, operations)):
        await one()
    started = time.process_time()
    for _ in range(operations):
        await one()
    return (time.process_time() - started) / operations


async def redis_get(port: int, operations: int) -> float:
    import redis.asyncio

    client = redis.asyncio.Redis(port=port)
    await client.set("key", "value" * 10)

    async def one() -> None:
        assert await client.get("key") == b"value" * 10

    try:
        return await timed(operations, one)
    finally:
        await client.aclose()


async def redis_pipeline(port: int, operations: int) -> float:
    import redis.asyncio

    client = redis.asyncio.Redis(port=port)
    await client.set("key", "value")

    async def one() -> None:
        async with client.pipeline(transaction=False) as pipeline:
            for _ in range(PIPELINE):
                pipeline.get("key")
            assert await pipeline.execute() == [b"value"] * PIPELINE

    try:
        return await timed(max(operations // PIPELINE, 1), one)
    finally:
        await client.aclose()


async def websockets_echo(port: int, operations: int) -> float:
    from websockets.asyncio.client import connect

    message = "m" * 100
    async with connect(f"ws://127.0.0.1:{port}", compression=None) as connection:

        async def one() -> None:
            await connection.send(message)
            assert await connection.recv() == message

        return await timed(operations, one)


async def lines(port: int, operations: int) -> float:
    """A client of a line protocol, with some lines in flight."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    line = b"x" * 99 + b"\n"

    async def one() -> None:
        writer.write(line * LINES_IN_FLIGHT)
        await writer.drain()
        for _ in range(LINES_IN_FLIGHT):
            assert await reader.readline() == line

    try:
        return await timed(max(operations // LINES_IN_FLIGHT, 1), one) / LINES_IN_FLIGHT
    finally:
        writer.close()
        await writer.wait_closed()


async def line(port: int, operations: int) -> float:
    """A client of a line protocol that waits for each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def one() -> None:
        writer.write(b"a question\n")
        await writer.drain()
        assert await reader.readline() == b"a question\n"

    try:
        return await timed(operations, one)
    finally:
        writer.close()
        await writer.wait_closed()


async def serve_websockets(port: int) -> None:
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", port, compression=None) as server:
        await server.serve_forever()


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def serve_lines(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    await server.serve_forever()


# What is done, the module it needs, and the server: a program, or one of SERVERS.
WORK: dict[str, tuple[Client, str, str]] = {
    "redis_get": (redis_get, "redis", "redis-server"),
    "redis_pipeline": (redis_pipeline, "redis", "redis-server"),
    "websockets": (websockets_echo, "websockets", "websockets"),
    "lines": (lines, "asyncio", "lines"),
    "line": (line, "asyncio", "lines"),
}
SERVERS: dict[str, Callable[[int], Awaitable[None]]] = {"websockets": serve_websockets, "lines": serve_lines}


def client(work: str, loop_name: str, port: int, operations: int) -> float:
    """The work of one client in this process: CPU seconds per operation."""
    module = loop_name.rstrip("+")
    if loop_name.endswith("+"):
        importlib.import_module(module).install(names=True)
    loop = bench.new_event_loop(module)
    asyncio.set_event_loop(loop)
    return loop.run_until_complete(WORK[work][0](port, operations))  # type: ignore[arg-type]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def server(kind: str) -> Iterator[int]:
    """A server in a process of its own; its port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        if kind in SERVERS:
            command = [sys.executable, os.path.abspath(__file__), "--serve", kind, str(port)]
        else:
            command = [kind, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + SERVER_START_S
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                if time.monotonic() > deadline or process.poll() is not None:
                    sys.exit(f"the server {kind} did not start")
                time.sleep(0.05)
            yield port
        finally:
            process.kill()
            process.wait()


def absent(work: str) -> str | None:
    """What the work lacks here."""
    _, module, kind = WORK[work]
    if find_spec(module) is None:
        return f"{module} is not installed"
    return f"there is no {kind}" if kind not in SERVERS and shutil.which(kind) is None else None


def measured(work: str, loops: list[str], rounds: int, operations: int) -> dict[str, list[float]]:
    """CPU seconds per operation, a list for each loop."""
    figures: dict[str, list[float]] = {name: [] for name in loops}
    with server(WORK[work][2]) as port:
        for _ in range(rounds):
            for name in loops:
                command = [sys.executable, __file__, "--client", work, name, str(port), str(operations)]
                figures[name].append(float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    return figures


def row(work: str, loops: list[str], figures: dict[str, list[float]]) -> list[str]:
    cells = [work]
    for name in loops:
        cell = f"{statistics.median(figures[name]) * 1e6:.1f}"
        if name != loops[0]:
            ratios = [mine / first for mine, first in zip(figures[name], figures[loops[0]], strict=True)]
            cell += f" ({statistics.median(ratios):.2f})"
        cells.append(cell)
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="*", help=f"of {', '.join(WORK)}; by default all")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--operations", type=int, default=4000)
    parser.add_argument("--loops", default=LOOPS)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    loops = [name for name in options.loops.split(",") if not bench.missing(name.rstrip("+"))]
    results = {}
    for work in options.work or WORK:
        if why := absent(work):
            print(f"{work} is left out: {why}", file=sys.stderr)
            continue
        results[work] = measured(work, loops, options.rounds, options.operations)
        if not options.json:
            print("  ".join(row(work, loops, results[work])), flush=True)
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print("\nCPU of the client, µs per operation (in brackets: times the first)")
        bench.print_table(["", *loops], [row(work, loops, figures) for work, figures in results.items()])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(SERVERS[sys.argv[2]](int(sys.argv[3])))  # type: ignore[arg-type]
    elif sys.argv[1:2] == ["--client"]:
        print(client(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
    else:
        main()
