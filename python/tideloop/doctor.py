"""`tideloop doctor`: what Tideloop finds on this machine, and whether the extension works in this interpreter."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import importlib
import json
import os
import platform
import re
import select
import sys
import sysconfig
from collections.abc import Callable
from importlib import machinery, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["examine", "main"]

Facts = dict[str, Any]

#: The numbers are the same on every architecture: Linux gives new calls one number for all since 5.1.
SYSCALL_IO_URING_SETUP = 425
SYSCALL_EPOLL_PWAIT2 = 441
OPTIONAL_PARTS = ("rich", "matplotlib", "uvloop", "aiohttp")
SMOKE_TIMEOUT_S = 5.0


def main(as_json: bool = False) -> int:
    """Print the report, as text or as one JSON object; return 0, or 1 if something is broken."""
    report = examine()
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        _print(report)
    return 1 if report["problems"] else 0


def examine() -> Facts:
    """Return what was found: a dictionary of sections, each a dictionary of facts, and the list "problems".

    A fact that cannot be found out here is None. Raises nothing: what fails is a problem in the list.
    """
    problems: list[str] = []
    return {
        "tideloop": _extension(problems),
        "python": _python(),
        "system": _system(),
        "kernel": _kernel(problems),
        "limits": _limits(problems),
        "optional": {name: _version(name) for name in OPTIONAL_PARTS},
        "problems": problems,
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


# --- the extension ----------------------------------------------------------------------------------------------------


def _extension(problems: list[str]) -> Facts:
    folder = Path(__file__).parent
    spec = find_spec("tideloop._native")
    facts: Facts = {
        "version": _version("tideloop"),
        "folder": str(folder),
        "extension": spec.origin if spec else None,
        "loads": False,
        "runs": False,
    }
    if spec is None:
        built = sorted(path.name for path in folder.glob("_native*") if path.suffix in (".so", ".dylib", ".pyd"))
        wanted = machinery.EXTENSION_SUFFIXES[0]
        others = f"; for another there is {', '.join(built)}" if built else ""
        problems.append(f"the extension was not built for this Python: no _native{wanted} in {folder}{others}")
        return facts
    try:
        importlib.import_module("tideloop._native")
    except Exception as error:
        problems.append(f"the extension does not load: {type(error).__name__}: {error}")
        return facts
    facts["loads"] = True
    try:
        facts["runs"] = _smoke()
    except Exception as error:
        problems.append(f"a first program fails: {type(error).__name__}: {error}")
    return facts


def _smoke() -> bool:
    """Run a task, a timer, a thread and a connection on a loop of our own; raise what goes wrong."""
    package = importlib.import_module("tideloop")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async def program() -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await asyncio.gather(asyncio.sleep(0.002), asyncio.to_thread(int))
        if loop.time() - before < 0.002:
            raise RuntimeError("a timer fired early")
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"tide\n")
            if await reader.read() != b"tide\n":
                raise RuntimeError("a connection to itself lost its data")
            writer.close()

    package.run(asyncio.wait_for(program(), SMOKE_TIMEOUT_S))
    return True


# --- the interpreter and the system -----------------------------------------------------------------------------------


def _python() -> Facts:
    gil_enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "compiler": platform.python_compiler(),
        "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil_enabled": gil_enabled(),
        "extension_suffix": machinery.EXTENSION_SUFFIXES[0],
        "debug_mode": sys.flags.dev_mode or bool(os.environ.get("PYTHONASYNCIODEBUG")),
        "tasks": os.environ.get("TIDELOOP_TASKS") or "native",
    }


def _system() -> Facts:
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "name": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "processors": os.cpu_count(),
        "processors_usable": len(affinity(0)) if affinity else os.cpu_count(),
        "clock_source": _read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "clock_counter_steady": _counter_is_steady(),
    }


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _counter_is_steady() -> bool | None:
    """Whether the processor's counter ticks at one rate in every state, which makes it fit for telling the time."""
    text = _read("/proc/cpuinfo")
    if platform.machine() in ("aarch64", "arm64"):
        return True
    found = re.search(r"^flags\s*:(.*)$", text or "", re.MULTILINE)
    return {"constant_tsc", "nonstop_tsc"} <= set(found[1].split()) if found else None


def _kernel(problems: list[str]) -> Facts:
    if not hasattr(select, "epoll"):
        return {"kqueue": hasattr(select, "kqueue")}
    facts: Facts = {
        "epoll": _works(lambda: select.epoll().close()),
        "epoll_pwait2": _syscall(SYSCALL_EPOLL_PWAIT2, -1, None, 0, None, None, 0),
        "timerfd": _timerfd(),
        "eventfd": _works(lambda: os.close(os.eventfd(0))),
        "pidfd": _works(lambda: os.close(os.pidfd_open(os.getpid()))),
        "io_uring": _syscall(SYSCALL_IO_URING_SETUP, 0, None),
        "io_uring_disabled": _read("/proc/sys/kernel/io_uring_disabled"),
        "listen_backlog_max": _number(_read("/proc/sys/net/core/somaxconn")),
        "ephemeral_ports": _read("/proc/sys/net/ipv4/ip_local_port_range"),
    }
    problems += [f"the kernel refuses {name}: {facts[name]}" for name in ("epoll", "timerfd") if facts[name] != "yes"]
    return facts


def _works(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return f"no ({errno.errorcode.get(error.errno or 0, error.errno)})"
    return "yes"


def _syscall(number: int, *arguments: int | None) -> str:
    """Make a system call with arguments that cannot succeed: how it fails tells whether the kernel has it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(ctypes.c_long(number), *(ctypes.c_long(argument or 0) for argument in arguments))
    number = ctypes.get_errno()
    refused = {errno.ENOSYS: "no (ENOSYS)", errno.EPERM: "no (EPERM: forbidden here)"}
    return refused.get(number, "yes")


def _timerfd() -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.timerfd_create(1, os.O_CLOEXEC)  # 1 is CLOCK_MONOTONIC
    if fd < 0:
        return f"no ({errno.errorcode.get(ctypes.get_errno())})"
    os.close(fd)
    return "yes"


def _number(text: str | None) -> int | None:
    return int(text) if text else None


def _limits(problems: list[str]) -> Facts:
    import resource  # absent where there is no POSIX, as the loop is

    def limit(name: str) -> str:
        values = resource.getrlimit(getattr(resource, name))
        return " of ".join("unlimited" if value == resource.RLIM_INFINITY else str(value) for value in values)

    free = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if 0 <= free < 64:
        problems.append(f"only {free} descriptors may be open: raise it with `ulimit -n`")
    return {
        "descriptors": limit("RLIMIT_NOFILE"),
        "processes": limit("RLIMIT_NPROC"),
        "locked_bytes": limit("RLIMIT_MEMLOCK"),
        "address_bytes": limit("RLIMIT_AS"),
    }


# --- as text ----------------------------------------------------------------------------------------------------------


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _print(report: Facts) -> None:
    sections = {name: facts for name, facts in report.items() if name != "problems"}
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        _print_plain(sections)
    else:
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")  # a path stays whole
        for name, facts in sections.items():
            table.add_row(f"[bold]{name}[/]")
            for key, value in facts.items():
                table.add_row(f"  {key.replace('_', ' ')}", _text(value))
        Console(highlight=False).print(table)
    for problem in report["problems"]:
        print(f"broken: {problem}", file=sys.stderr)
    if not report["problems"]:
        print("everything works")


def _print_plain(sections: dict[str, Facts]) -> None:
    for name, facts in sections.items():
        print(name)
        for key, value in facts.items():
            print(f"  {key.replace('_', ' '):<22} {_text(value)}")


if __name__ == "__main__":
    sys.exit(main("--json" in sys.argv[1:]))
