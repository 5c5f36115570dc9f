"""Measure Tideloop beside asyncio, uvloop and rloop in one run, and write the table into README.md.

    make bench          about ten minutes; needs an otherwise idle machine, and the shared directory's benchmarks

The Python is an optimised one where there is one (a Python built without profile-guided optimisation makes every loop
look alike), in an environment of its own with a release wheel. BENCH_PYTHON=… names another.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pythons import ROOT, SHARED

BUILD = ROOT / "build" / "bench"
VENV = ROOT / ".venv-bench"
PYTHON = VENV / "bin" / "python"
README = ROOT / "README.md"
BEGIN, END = "<!-- measured: begin, written by `make bench` -->", "<!-- measured: end -->"
PEERS = ("asyncio", "uvloop", "rloop")
# The loop alone, under a program that is not touched; and the names as well: `import tideloop as asyncio`.
OURS = {"tideloop": "Tideloop", "tideloop+": "**with its names**"}
ROWS = {
    "sleep0": "`await sleep(0)`",
    "create_task_await": "`await create_task(…)`",
    "future_set_await": "a future set by `call_soon`, awaited",
    "call_soon": "`call_soon` chain",
    "call_later_cancel": "`call_later`, cancelled",
    "gather_100": "`gather` of 100",
    "task_group_100": "`TaskGroup` of 100",
    "wait_for": "`await wait_for(…)`",
    "timeout": "`async with timeout(10)`",
    "lock": "`async with lock`",
    "lock_contended_10": "the same, 10 tasks",
    "event_ping_pong": "an event set and awaited, back and forth",
    "queue_ping_pong": "`Queue(1)`, put and got",
    "queue_buffered": "`Queue(1000)`, put and got",
}
# Kind of server, options, what the table calls it. Not every peer has every channel.
ECHO = (
    ("protocol", "-c 100", "echo of 1 KiB over TCP, 100 connections, protocols"),
    ("streams", "-c 100", "the same, streams"),
    ("lines", "-p 50 -s 100 -c 20", "lines of 100 bytes, 50 in flight, 20 connections, streams"),
    ("sock", "-c 100", "echo of 1 KiB, `sock_recv` and `sock_sendall`"),
    ("unix", "-c 100", "the same over Unix sockets, protocols"),
    ("udp", "-c 8", "the same over UDP, 8 peers"),
    ("tls", "-c 8", "the same over TLS, 8 connections, protocols"),
    ("tls_streams", "-c 8", "the same over TLS, 8 connections, streams"),
)
LACKING = {"tls": ("rloop",), "tls_streams": ("rloop",), "unix": ("rloop",)}
OPTIMISED = "import sysconfig; assert '--enable-optimizations' in (sysconfig.get_config_var('CONFIG_ARGS') or '')"


def main() -> None:
    if not (SHARED / "bench").exists():
        sys.exit(f"{SHARED / 'bench'} is not there: the benchmarks are in the shared directory beside the checkout")
    python = os.environ.get("BENCH_PYTHON") or optimised_python()
    peers = environment(python)
    BUILD.mkdir(parents=True, exist_ok=True)
    shutil.copytree(SHARED / "bench", BUILD / "suite", dirs_exist_ok=True, ignore=shutil.ignore_patterns("target"))
    run(["cargo", "build", "--quiet", "--release"], cwd=BUILD / "suite" / "loadgen")
    names = [*peers, *OURS]
    table = micro(names)
    for kind, options, title in ECHO:
        table[title] = echo(kind, options.split(), [name for name in names if name not in LACKING.get(kind, ())])
    write(table, names, python)


def run(command: list[str], cwd: Path = ROOT) -> None:
    print("+", " ".join(command), flush=True)
    subprocess.run(command, cwd=cwd, check=True)


def optimised_python() -> str:
    """The distribution's Python, which is optimised though it does not say so; else one that says so; else this one."""
    recent = "import sys; assert sys.version_info >= (3, 11); "
    system = "/usr/bin/python3"
    if Path(system).exists() and subprocess.run([system, "-c", recent], capture_output=True).returncode == 0:
        return system
    for name in filter(None, (shutil.which(f"python3.{minor}") for minor in range(11, 15))):
        if subprocess.run([name, "-c", recent + OPTIMISED], capture_output=True).returncode == 0:
            return name
    print("!!! no optimised Python was found: every loop's own cost is diluted by the interpreter's")
    return sys.executable


def environment(python: str) -> list[str]:
    """Make the environment with a release wheel and the peers; returns the peers that could be installed."""
    run(
        [
            python,
            "tools/venv.py",
            str(VENV),
            "tests/requirements-test.txt",
            "--optional",
            "tests/requirements-peers.txt",
        ]
    )
    out = BUILD / "wheel"
    shutil.rmtree(out, ignore_errors=True)
    build = ["maturin", "build", "--quiet", "--release", "--locked", "--interpreter", str(PYTHON), "--out", str(out)]
    run([*build, "--target-dir", str(ROOT / "target" / "bench")])
    (wheel,) = out.glob("*.whl")
    run([str(PYTHON), "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--force-reinstall", str(wheel)])
    there = [name for name in PEERS if not subprocess.run([PYTHON, "-c", f"import {name}"]).returncode]
    for name in set(PEERS) - set(there):
        print(f"!!! {name} is not installed: LEFT OUT")
    return there


def micro(names: list[str]) -> dict[str, dict[str, float]]:
    out = BUILD / "micro.json"
    command = [str(PYTHON), str(BUILD / "suite" / "micro.py"), "-n", "30000", "-r", "7", "--rows", ",".join(ROWS)]
    run([*command, "--json", str(out), *names])
    rows: dict[str, dict[str, float]] = json.loads(out.read_text())
    return {ROWS[row]: nanoseconds for row, nanoseconds in rows.items()}


def echo(kind: str, options: list[str], names: list[str]) -> dict[str, float]:
    """Nanoseconds of server CPU per message."""
    out = BUILD / f"echo-{kind}.json"
    command = [str(PYTHON), str(BUILD / "suite" / "echo_compare.py"), kind, *options]
    run([*command, "--json", str(out), *names])
    rows: dict[str, float] = json.loads(out.read_text())
    return {name: us * 1000 for name, us in rows.items()}


def write(table: dict[str, dict[str, float]], names: list[str], python: str) -> None:
    """Put the table between the two marks in README.md."""
    asked = [str(PYTHON), "-c", "import platform; print(platform.python_version())"]
    version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    lines = [
        f"CPU time per operation in nanoseconds, Python {version} on {cpu_name()}, "
        f"{datetime.date.today().isoformat()}. In brackets: how many times the last column's "
        "time it is, that of `import tideloop as asyncio`; the column before is the loop alone, under asyncio's names.",
        "",
        "| work | " + " | ".join(OURS.get(name, name) for name in names) + " |",
        "|---|" + "--:|" * len(names),
    ]
    for title, row in table.items():
        best = row[names[-1]]
        others = [f"{row[name]:.0f} ({row[name] / best:.1f}×)" if name in row else "–" for name in names[:-1]]
        lines.append(f"| {title} | " + " | ".join([*others, f"**{best:.0f}**"]) + " |")
    for name in names[:-1]:
        ratios = [table[title][name] / table[title][names[-1]] for title in ROWS.values()]
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"geometric mean over the rows without sockets: {mean:.2f} × {name}")
    text = README.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(before + "\n".join([BEGIN, *lines, END]) + after)
    print(f"README.md has the table, measured with {python}")


def cpu_name() -> str:
    cpus: Any = Path("/proc/cpuinfo")
    for line in cpus.read_text().splitlines() if cpus.exists() else []:
        if line.startswith("model name"):
            return str(line.partition(":")[2]).strip()
    return platform.machine()


if __name__ == "__main__":
    main()
