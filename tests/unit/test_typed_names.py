"""Type checkers see every name of asyncio under Tideloop's, also those that came with a later Python."""

import asyncio
import importlib
import subprocess
import sys
import textwrap
import types

import pytest

pytest.importorskip("mypy", reason="mypy is not installed")

MODULES = sorted(
    name
    for name, value in vars(asyncio).items()
    if isinstance(value, types.ModuleType) and "asyncio." in value.__name__
)


def mypy(folder, source):
    """What mypy says of a program: lines of 'number: message'."""
    file = folder / "program.py"
    file.write_text(textwrap.dedent(source))
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-incremental", "program.py"]
    command.append(f"--python-version={sys.version_info[0]}.{sys.version_info[1]}")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=55)
    assert done.stderr == "", done.stderr
    return [line.removeprefix("program.py:") for line in done.stdout.splitlines()]


def uses(package):
    """A program with one line for each name that asyncio and its modules say is public."""
    lines = [f"{package}.{name}" for name in sorted(asyncio.__all__)]
    for module in MODULES:
        for name in getattr(importlib.import_module(f"asyncio.{module}"), "__all__", ()):
            lines.append(f"{package}.{module}.{name}")
    lines += [f"{package}.subprocess.{name}" for name in ("PIPE", "STDOUT", "DEVNULL", "Process")]
    return "\n".join([f"import {package}", *lines])


def test_every_name_of_asyncio_is_seen(tmp_path):
    asyncio_lacks = [line.replace("asyncio", "tideloop") for line in mypy(tmp_path, uses("asyncio"))]
    assert [line for line in mypy(tmp_path, uses("tideloop")) if line not in asyncio_lacks] == []


def test_types_are_those_of_asyncio_and_later_names_are_seen_on_every_version(tmp_path):
    seen = mypy(
        tmp_path,
        """
        import tideloop as asyncio
        from tideloop.subprocess import PIPE

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await writer.drain()

        async def main() -> None:
            queue: asyncio.Queue[int] = asyncio.Queue()
            queue.shutdown()
            number: int = await queue.get()
            asyncio.QueueShutDown("down")
            pair: tuple[int, str] = await asyncio.gather(asyncio.sleep(0, 1), asyncio.to_thread(str, 1))
            async with asyncio.TaskGroup() as group, asyncio.timeout(1) as limit, asyncio.Lock():
                task: asyncio.Task[str] = group.create_task(asyncio.wait_for(asyncio.sleep(0, ""), 1))
                limit.reschedule(None)
            limits: asyncio.Timeout = asyncio.timeout_at(None)
            loop = asyncio.get_running_loop()
            handle: asyncio.Handle = loop.call_soon(print)
            waiter: asyncio.Future[int] = loop.create_future()
            server: asyncio.Server = await asyncio.start_server(serve, "localhost")
            reader, writer = await asyncio.open_connection("localhost", 1)
            line: bytes = await reader.readuntil((b"a", b"b"))
            async for each in reader:
                line = each
            async for future in asyncio.as_completed([asyncio.sleep(0, 5)]):
                number = future.result()
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            process = await asyncio.create_subprocess_exec("true", stdout=PIPE)
            status: int = await process.wait()
            out: asyncio.StreamReader | None = process.stdout
            asyncio.no_such_name

        with asyncio.Runner(loop_factory=asyncio.EventLoop) as runner:
            runner.run(main())
        asyncio.run(main(), loop_factory=asyncio.new_event_loop)
        asyncio.install(names=True)
        """,
    )
    assert seen == ['32: error: Module has no attribute "no_such_name"  [attr-defined]']
