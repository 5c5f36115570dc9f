"""Measure what threads and tasks share beside the libraries for it, and write the table into README.md, and a picture.

    make bench-threads  six minutes; needs an otherwise idle machine

Runs benches/locks.py, threads.py and queues_both.py, one after the other, in the environment of `make bench`.
"""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from typing import Any

import bench
import readme
from pythons import ROOT

BEGIN, END = "<!-- threads: begin, written by `make bench-threads` -->", "<!-- threads: end -->"
PICTURE = ROOT / "docs" / "performance" / "threads.svg"
SCRIPTS = ("locks", "threads", "queues_both")
# What each script calls its work, and what it is.
TITLES = {
    "free": "`with lock`, free",
    "awaited": "`async with lock`, free",
    "contended": "`with lock`, two threads",
    "watched": "`with lock`, free, deadlocks looked for",
    "run_in_executor": "`await run_in_executor(…)`",
    "to_thread": "`await to_thread(…)`",
    "asyncio_to_thread": "`await asyncio.to_thread(…)`, untouched",
    "burst": "20,000 `run_in_executor` at once, each",
    "submit": "`pool.submit(…).result()`",
    "thread to task": "queue, thread to task",
    "task to thread": "queue, task to thread",
    "ping-pong": "queue, there and back",
    "thread to thread": "queue, thread to thread",
}
NAMES = {
    "threading": "threading.Lock",
    "loop-bound": "tideloop.Lock",
    "unwatched": "not looked for",
    "tideloop": "Tideloop",
    "ThreadPool": "Tideloop",
}


def main() -> None:
    bench.environment(os.environ.get("BENCH_PYTHON") or bench.optimised_python())
    results: dict[str, dict[str, Any]] = {}
    for script in SCRIPTS:
        command = [str(bench.PYTHON), f"benches/{script}.py", "--json"]
        print("+", " ".join(command), flush=True)
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        results |= json.loads(done.stdout)
    readme.put(BEGIN, table(results), END)
    draw(results)
    print(f"README.md has the table, {PICTURE.relative_to(ROOT)} the picture")


def table(results: dict[str, dict[str, Any]]) -> list[str]:
    """The lines of the table: ours, and each other contestant with what ours is beside it."""
    version = subprocess.run([str(bench.PYTHON), "-V"], check=True, capture_output=True, text=True).stdout.strip()
    lines = [
        f"{version}, {datetime.now(UTC):%Y-%m-%d}; time per operation, medians; in brackets, Tideloop's share "
        "of the other's time, round by round. "
        f"While 8 wait for an event, a second costs {results['idle']['ms']['tideloop']:.1f} ms of processor time.",
        "",
        "| work | Tideloop | beside it |",
        "|---|--:|---|",
    ]
    for work, title in TITLES.items():
        figures, mine = contestants(results[work])
        others = ", ".join(f"{name} {shown(ns)} ({mine_beside:.2f})" for name, ns, mine_beside in figures)
        lines.append(f"| {title} | **{shown(mine)}** | {others} |")
    return lines


def contestants(result: dict[str, Any]) -> tuple[list[tuple[str, float, float]], float]:
    """The others, each with its nanoseconds and with ours as a part of them; and ours."""
    ns = result.get("ns") or {name: us * 1000 for name, us in result["us"].items()}
    ours = next(name for name in ns if name in ("tideloop", "ThreadPool"))
    ratios = {pair.split(" / ")[1]: ratio for pair, ratio in result["ratios"].items()}
    return [(NAMES.get(name, name), ns[name], ratio) for name, ratio in ratios.items()], ns[ours]


def shown(ns: float) -> str:
    return f"{ns:.0f} ns" if ns < 10_000 else f"{ns / 1000:.1f} µs"


def draw(results: dict[str, dict[str, Any]]) -> None:
    """How many times as fast as each of the others Tideloop is, as an SVG file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "tideloop"
    bars = [
        (f"{title.replace('`', '')}: {name}", 1 / ratio)
        for work, title in TITLES.items()
        if work != "watched"
        for name, _, ratio in contestants(results[work])[0]
    ]
    figure, axes = pyplot.subplots(figsize=(9, 0.32 * len(bars) + 1), layout="constrained")
    drawn = axes.barh([label for label, _ in bars], [times for _, times in bars], color="#1f77b4")
    axes.bar_label(drawn, [f"{times:.1f}" for _, times in bars], padding=3)
    axes.set_xscale("log")
    axes.set_xlabel("times as fast as the other (log scale)")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main()
