"""The process that a peer runs in: it does slices of one workload when told so, and is blocked on a pipe otherwise."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from array import array
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from tideloop._bench import catalogue, held, peers
from tideloop._bench.workload import Context, Held, Histogram, Operations, Requests, Served, Started, check

__all__ = ["main"]

Commands = Iterator[dict[str, Any]]
Say = Callable[..., None]


def main(specification: dict[str, Any], commands: Commands, say: Say) -> None:
    """Run the workload of the specification on its peer, until there are no more commands."""
    peer = peers.find(specification["peer"])
    workload = catalogue.load(specification["module"])
    paths: dict[str, Any] = {
        name: Path(specification[name]) for name in ("folder", "certificate", "key") if specification.get(name)
    }
    context = Context(peer=peer.name, service=specification.get("service"), **paths)
    match workload:
        case Operations():
            _operations(peer, workload, commands, say)
        case Requests():
            with asyncio.Runner(loop_factory=peer.new_event_loop) as runner:
                runner.run(_requests(peer, workload, context, commands, say))
        case Served() if peer.floor:
            _floor(peer, say)
        case Served():
            _served(peer, workload, context, say)
        case Started():
            _started(peer, workload, context, commands, say)
        case Held():
            _held(peer, workload, context, commands, say)


def _operations(peer: peers.Peer, workload: Operations, commands: Commands, say: Say) -> None:
    names, body, n = peer.asyncio(), workload.body, workload.operations

    async def several(calls: int) -> None:
        for _ in range(calls):
            await body(names, n)

    clock = time.perf_counter_ns if workload.wall else time.process_time_ns
    with asyncio.Runner(loop_factory=peer.new_event_loop) as runner:
        loop = runner.get_loop()
        say(ready=True)
        for command in commands:
            gc.collect()
            wall, cpu = time.perf_counter_ns(), clock()
            loop.run_until_complete(several(command["calls"]))
            cpu, wall = clock() - cpu, time.perf_counter_ns() - wall
            say(operations=n * command["calls"], cpu_ns=cpu, wall_ns=wall, latencies=[])


async def _requests(peer: peers.Peer, workload: Requests, context: Context, commands: Commands, say: Say) -> None:
    names = peer.asyncio()
    async with workload.open(names, context) as one:
        say(ready=True)
        for command in commands:
            gc.collect()
            latencies = array("q")
            wall, cpu = time.perf_counter_ns(), time.process_time_ns()
            await _call(names, one, command["calls"], workload.concurrency, latencies)
            cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
            done = len(latencies) * workload.operations
            say(operations=done, cpu_ns=cpu, wall_ns=wall, latencies=_histogram(latencies).pairs())


async def _call(
    names: Any, one: Callable[[int], Awaitable[None]], calls: int, concurrency: int, latencies: array[int]
) -> None:
    """Call `one` so many times, from several tasks; a latency for each."""
    clock, add = time.perf_counter_ns, latencies.append
    left = iter(range(calls))

    async def caller(number: int) -> None:
        for _ in left:
            begun = clock()
            await one(number)
            add(clock() - begun)

    if concurrency == 1:
        await caller(0)
    else:
        async with names.TaskGroup() as group:
            for number in range(concurrency):
                group.create_task(caller(number))


def _histogram(latencies: array[int]) -> Histogram:
    histogram = Histogram()
    for latency_ns in latencies:
        histogram.add(latency_ns)
    return histogram


def _served(peer: peers.Peer, workload: Served, context: Context, say: Say) -> None:
    loop = peer.new_event_loop()
    address = loop.run_until_complete(workload.serve(peer.asyncio(), context))
    gc.collect()
    say(ready=True, address=address)
    loop.run_forever()


def _floor(peer: peers.Peer, say: Say) -> None:
    import importlib

    server = importlib.import_module(peer.module).EchoFloor()
    say(ready=True, address=("127.0.0.1", server.port))
    server.serve()


def _started(peer: peers.Peer, workload: Started, context: Context, commands: Commands, say: Say) -> None:
    command = workload.command(peer)
    assert command is not None, "the catalogue leaves such peers out"
    # Bytecode comes from a folder of its own, filled by a first run that does not count: whatever the checkout or the
    # surroundings say of bytecode (stale, not to be written), nobody is measured compiling.
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(context.folder / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    _start_once(command, environment, workload.output)
    say(ready=True)
    for order in commands:
        cpu_ns = wall_ns = 0
        latencies = Histogram()
        for _ in range(order["calls"]):
            cpu, wall = _start_once(command, environment, workload.output)
            cpu_ns += cpu
            wall_ns += wall
            latencies.add(wall)
        say(operations=order["calls"], cpu_ns=cpu_ns, wall_ns=wall_ns, latencies=latencies.pairs())


def _start_once(command: list[str], environment: dict[str, str], output: str) -> tuple[int, int]:
    """Run a process to its end; return its processor time and the time from start to end, in ns."""
    with tempfile.TemporaryFile() as errors:
        begun = time.perf_counter_ns()
        end, pipe = os.pipe()
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, pipe, 1),
            (os.POSIX_SPAWN_DUP2, errors.fileno(), 2),
        ]
        pid = os.posix_spawn(command[0], command, environment, file_actions=actions)
        os.close(pipe)
        with open(end, "rb") as printed:
            text = printed.read().decode(errors="replace")
        _, status, used = os.wait4(pid, 0)
        wall = time.perf_counter_ns() - begun
        if status:
            errors.seek(0)
            told = errors.read().decode(errors="replace").strip()
            print(told)  # all of it, where the laboratory finds it
            raise ChildProcessError(f"exit status {os.waitstatus_to_exitcode(status)}: {told.rpartition(chr(10))[2]}")
    check(text == output, f"it printed {text[:200]!r}")
    return round((used.ru_utime + used.ru_stime) * 1e9), wall


def _held(peer: peers.Peer, workload: Held, context: Context, commands: Commands, say: Say) -> None:
    held.prepare(peer)
    say(ready=True)
    for command in commands:
        seen = [held.seen(peer, workload, context) for _ in range(command["calls"])]
        grown, wall = (sum(column) for column in zip(*seen, strict=True))
        # Bytes stand where other kinds have their processor time: that is what is compared.
        say(operations=workload.things * command["calls"], cpu_ns=grown, wall_ns=wall, latencies=[])
