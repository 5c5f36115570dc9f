"""Measure Tideloop beside its peers with `tideloop bench`, and write the table into README.md.

    make bench          a quarter of an hour; needs an otherwise idle machine

The Python is an optimised one where there is one (a Python built without profile-guided optimisation makes every loop
look alike), in an environment of its own with a release wheel. BENCH_PYTHON=… names another. BENCH_OPTIONS=… is handed
on to `tideloop bench`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import readme
from pythons import ROOT

BUILD = ROOT / "build" / "bench"
VENV = ROOT / ".venv-bench"
PYTHON = VENV / "bin" / "python"
BEGIN, END = "<!-- measured: begin, written by `make bench` -->", "<!-- measured: end -->"
ROWS = (
    *("sleep0", "create_task_await", "future_set_await", "call_soon", "call_later_cancel", "gather_100"),
    *("task_group_100", "wait_for", "timeout", "lock_contended_10", "event_ping_pong", "queue_ping_pong"),
    *("protocol", "streams", "lines", "sock", "unix", "udp", "tls", "tls_streams", "aiohttp_server"),
)
OPTIMISED = "import sysconfig; assert '--enable-optimizations' in (sysconfig.get_config_var('CONFIG_ARGS') or '')"


def main() -> None:
    environment(os.environ.get("BENCH_PYTHON") or optimised_python())
    figures = BUILD / "figures.json"
    options = shlex.split(os.environ.get("BENCH_OPTIONS", ""))
    run([str(PYTHON), "-m", "tideloop.cli", "bench", *ROWS, "--json", str(figures), *options])
    document = json.loads(figures.read_text())
    readme.put(BEGIN, table(document), END)
    print(f"README.md has the table; all figures are in {figures.relative_to(ROOT)}")


def run(command: list[str]) -> None:
    print("+", " ".join(command), flush=True)
    subprocess.run(command, cwd=ROOT, check=True)


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


def environment(python: str) -> None:
    """Make the environment with a release wheel and the peers that can be installed."""
    requirements = ["tests/requirements-test.txt", "--optional", "tests/requirements-peers.txt"]
    run([python, "tools/venv.py", str(VENV), *requirements])
    out = BUILD / "wheel"
    shutil.rmtree(out, ignore_errors=True)
    build = ["maturin", "build", "--quiet", "--release", "--locked", "--interpreter", str(PYTHON), "--out", str(out)]
    run([*build, "--target-dir", str(ROOT / "target" / "bench")])
    (wheel,) = out.glob("*.whl")
    run([str(PYTHON), "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--force-reinstall", str(wheel)])


def table(document: dict[str, Any]) -> list[str]:
    """The lines of the table, from what `tideloop bench --json` wrote."""
    around, titles = document["environment"], document["peers"]
    unsteady = " The machine's pace was not steady, `tideloop bench` warned: trust the ratios, not the nanoseconds."
    noisy = "" if document["conclusive"] else unsteady
    lines = [
        f"CPU time per operation in nanoseconds, Python {around['python']} on {around['cpu']}, {around['date'][:10]}; "
        "in brackets, what that is beside uvloop's, round by round. Tideloop is under a program that is not touched, "
        f"Tideloop+ under one that says `import tideloop as asyncio`.{noisy}",
        "",
        "| work | " + " | ".join(titles.values()) + " |",
        "|---|" + "--:|" * len(titles),
    ]
    for result in document["workloads"].values():
        cells = [cell(name, result) for name in titles]
        lines.append(f"| {result['title']} | {' | '.join(cells)} |")
    return lines


def cell(peer: str, result: dict[str, Any]) -> str:
    figures = result["peers"].get(peer)
    if figures is None:
        return "–"
    ratio = f" ({figures['ratio']['median']:.2f})" if figures["ratio"] and peer != result["reference"] else ""
    text = f"{figures['cpu_ns']['median']:.0f}{ratio}"
    return f"**{text}**" if peer.startswith("tideloop") else text


if __name__ == "__main__":
    main()
